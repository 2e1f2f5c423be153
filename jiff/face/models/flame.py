"""FLAME (Li et al. 2017) from its pickle, read without running any code in it."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.assets.folders import assets_dir
from jiff.base.errors import AssetError
from jiff.base.restricted_pickle import ArrayStandIn, PlainUnpickler
from jiff.face.detect.detector import FaceDetector, load_detector
from jiff.face.fit.external import model_of_face_mesh
from jiff.face.model import MorphableModel
from jiff.face.models.anny_face import load_anny_face
from jiff.face.models.anny_paint import paint_face
from jiff.face.regions import face_regions
from jiff.geometry.mesh import Mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray


WORLD_PER_METRE = 100.0
IDENTITY, EXPRESSION = 100, 50
_MAX_BYTES = 1 << 29


class _Stub:
    """Stands in for a class of chumpy or SciPy: keeps its state, does nothing."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.state: dict[str, Any] = {}

    def __setstate__(self, state: Any) -> None:
        self.state = dict(state) if isinstance(state, dict) else {}


class _TextArray(ArrayStandIn):
    """An array whose bytes Python 2 stored as text."""

    def __setstate__(self, state: Any) -> None:
        version, shape, dtype, fortran, data = state
        if isinstance(data, str):
            data = data.encode("latin1")
        super().__setstate__((version, shape, dtype, fortran, data))


def _new_array(*_: object) -> _TextArray:
    return _TextArray()


def _new_stub(*_: object) -> _Stub:
    return _Stub()


class _Reader(PlainUnpickler):
    """Admits arrays and scalars of plain numbers; classes of chumpy and SciPy become stubs; the rest is refused."""

    def find_class(self, module: str, name: str) -> Any:
        if name == "_reconstruct" and module.endswith(".multiarray") and module.startswith("numpy."):
            return _new_array
        if module.split(".")[0] in ("chumpy", "scipy") or (module, name) == ("__builtin__", "object"):
            return _Stub
        if (module, name) == ("copy_reg", "_reconstructor"):
            return _new_stub
        return super().find_class(module, name)


def _numbers(value: Any, depth: int = 0) -> NDArray[Any] | None:
    """Return the array behind a stand-in or a chumpy stub, None for anything else."""
    if isinstance(value, _Stub) and depth < 4:
        return _numbers(value.state.get("x"), depth + 1)
    if isinstance(value, ArrayStandIn):
        return _numbers(value.value, depth + 1)
    if isinstance(value, np.ndarray) and value.dtype.kind in "biuf":
        return value
    return None


def read_restricted_pickle(path: Path) -> dict[str, Any]:
    """Return the dictionary of a pickle that holds arrays, numbers and texts only.

    Raises:
        AssetError: missing, truncated, or it refers to anything that could run.
    """
    if not path.is_file():
        raise AssetError(f"{path}: is missing; `jiff assets list` says where to ask for it.")
    if path.stat().st_size > _MAX_BYTES:
        raise AssetError(f"{path}: is far too large for a face model; get it again.")
    try:
        with open(path, "rb") as handle:
            content = _Reader(handle, encoding="latin1").load()
    except (
        pickle.UnpicklingError, EOFError, AttributeError, IndexError, KeyError, TypeError, ValueError, OSError,
        MemoryError, ImportError, OverflowError,
    ) as error:  # fmt: skip
        raise AssetError(
            f"{path}: is not a plain pickle of arrays ({error}); get it again from its authors."
        ) from error
    if not isinstance(content, dict):
        raise AssetError(f"{path}: holds no dictionary; get it again from its authors.")
    return {str(key): value for key, value in content.items()}


def flame_arrays(path: Path) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    """Return template [V, 3] metres, bases [V, 3, C] and triangles [F, 3] of a FLAME pickle.

    Raises:
        AssetError: see ``read_restricted_pickle``; or the arrays are of another layout.
    """
    content = read_restricted_pickle(path)
    arrays = {key: _numbers(content.get(key)) for key in ("v_template", "shapedirs", "f")}
    missing = [key for key, value in arrays.items() if value is None]
    if missing:
        raise AssetError(f"{path}: has no array {missing[0]}; it is not a FLAME model.")
    template, bases, faces = (np.asarray(arrays[key]) for key in ("v_template", "shapedirs", "f"))
    count = len(template)
    if (
        template.shape != (count, 3)
        or bases.ndim != 3
        or bases.shape[:2] != (count, 3)
        or faces.ndim != 2
        or faces.shape[1] != 3
        or int(faces.min()) < 0
        or int(faces.max()) >= count
    ):
        raise AssetError(f"{path}: its arrays do not fit each other; it is not a FLAME model.")
    return template.astype(np.float64), bases.astype(np.float64), faces.astype(np.int64)


def build_flame(path: Path, detector: FaceDetector, reference: MorphableModel) -> MorphableModel:
    """Return the face of a FLAME head: the first 100 shape and 50 expression directions.

    Landmarks are found by fitting the reference face to FLAME's mean, so no further file is needed.

    Args:
        path: ``generic_model.pkl`` or alike (300 shape directions, then expressions).
        detector: see ``make_detector``.
        reference: a model with landmarks.

    Raises:
        AssetError: the file is not a FLAME model.
        MeshError: no face is seen in its mean.
    """
    template, bases, faces = flame_arrays(path)
    world = (template - template.mean(0)) * WORLD_PER_METRE
    rigid = model_of_face_mesh(Mesh(world, faces), str(path), detector, reference)
    marks = rigid.landmarks68
    # The skull and neck are no part of a face prior.
    weight, core = face_regions(world, world[marks])
    kept = np.flatnonzero(weight > 0)
    number = np.full(len(world), -1, dtype=np.int64)
    number[kept] = np.arange(len(kept))
    triangles = number[faces]
    triangles = triangles[(triangles >= 0).all(1)]
    center = world[kept].mean(0)
    first_expression = 300 if bases.shape[2] > 300 else bases.shape[2]

    def basis(columns: NDArray[np.float64]) -> NDArray[np.float32]:
        return np.ascontiguousarray(columns[kept].transpose(2, 0, 1) * WORLD_PER_METRE, dtype=np.float32)

    # FLAME's own textures are a separate, licensed download; painted brows and lips let photos be compared with it.
    texture_mean, texture_basis = paint_face(
        world[kept] - center, world[marks] - center, np.zeros(len(kept), dtype=bool)
    )
    return MorphableModel(
        name="flame",
        mean=(world[kept] - center).astype(np.float32),
        identity=basis(bases[:, :, : min(IDENTITY, first_expression)]),
        expression=basis(bases[:, :, first_expression : first_expression + EXPRESSION]),
        texture_mean=texture_mean,
        texture_basis=texture_basis,
        triangles=triangles,
        landmarks68=number[marks],
        fit_weight=weight[kept],
        core=core[kept],
    )


def load_flame() -> MorphableModel:
    """Return FLAME from the assets folder (``flame/generic_model.pkl``).

    Raises:
        AssetError: missing or damaged file.
    """
    return build_flame(assets_dir() / "flame" / "generic_model.pkl", load_detector(), load_anny_face())
