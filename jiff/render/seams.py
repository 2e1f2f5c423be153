"""Colours of what a photo does not show, brought to those of what it shows where both meet.

A membrane over the surface (Perez et al., "Poisson Image Editing", SIGGRAPH 2003): the difference at the border goes on into what is
not seen and fades there.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy.sparse import coo_matrix, diags
from scipy.sparse.linalg import cg

from jiff.geometry.refine import unique_edges

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

_DATA = 0.5
"""Weight of a wholly seen vertex's own difference beside each neighbour's: single spots are no light."""
_EXACT, _ROUNDS = 1e-4, 400
_MOST = 0.25
"""Largest difference; larger ones are of other things than light."""


def seam_offsets(
    mesh: Mesh,
    difference: NDArray[np.floating],
    seen: NDArray[np.floating],
    fade: float,
) -> NDArray[np.float32]:
    """Return [V, C] what is to be added to colours so that they go over into those that are seen.

    Args:
        mesh: the surface.
        difference: [V, C] seen colours less those that are to be changed; where nothing is seen they do not count.
        seen: [V] in [0, 1] how much the photo shows.
        fade: distance over which an offset falls to a third, the mesh's unit.
    """
    count = len(mesh.vertices)
    first, second = unique_edges(mesh.faces, count)[0].T
    length = np.linalg.norm(mesh.vertices[first] - mesh.vertices[second], axis=1)
    both = np.concatenate([first, second])
    degree = np.bincount(both, minlength=count)
    edge = np.bincount(both, np.tile(length, 2), minlength=count) / np.maximum(degree, 1)
    near = coo_matrix((np.ones(len(both)), (both, np.concatenate([second, first]))), shape=(count, count))
    data = _DATA * np.asarray(seen, np.float64)
    # The sum over neighbours is a quarter of their number and squared distance times the Laplacian.
    held = (1 - np.asarray(seen, np.float64)) * degree * (edge / fade) ** 2 / 4 + 1e-6
    own = degree + data + held
    system = (diags(own) - near).tocsr()
    wanted = data[:, None] * np.clip(difference, -_MOST, _MOST)
    found = [cg(system, column, rtol=_EXACT, maxiter=_ROUNDS, M=diags(1 / own))[0] for column in wanted.T]
    return np.stack(found, axis=1).astype(np.float32)
