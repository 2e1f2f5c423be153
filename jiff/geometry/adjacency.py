"""Which vertices of a surface are neighbours."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from scipy import sparse

if TYPE_CHECKING:
    from numpy.typing import NDArray


def adjacency(faces: NDArray[np.int64], count: int) -> sparse.csr_matrix:
    """Return [count, count] float32 ones where an edge of [F, 3] faces runs, and on the diagonal."""
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).T
    one = sparse.csr_matrix((np.ones(len(ends[0]), np.float32), tuple(ends)), shape=(count, count))
    near = (one + one.T + sparse.identity(count, np.float32, "csr")).tocsr()
    near.data[:] = 1.0
    return near


def largest_around(near: sparse.csr_matrix, values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [N] each vertex's largest value among its neighbours and itself."""
    return np.asarray(np.maximum.reduceat(values[near.indices], near.indptr[:-1]))


def averaging(edges: NDArray[np.int64], count: int) -> sparse.csr_matrix:
    """Return the [V, V] matrix that replaces each vertex by the mean of its neighbours along edges [E, 2]; one without becomes 0."""
    rows = np.concatenate([edges[:, 0], edges[:, 1]])
    columns = np.concatenate([edges[:, 1], edges[:, 0]])
    matrix = sparse.csr_matrix((np.ones(len(rows)), (rows, columns)), shape=(count, count))
    degree = np.maximum(np.asarray(matrix.sum(axis=1)).ravel(), 1)
    return (sparse.diags(1 / degree) @ matrix).tocsr()
