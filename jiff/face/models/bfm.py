"""The Basel Face Model 2009 as Deep3DFaceReconstruction cuts and scales it: files, formulas, conversion.

Deng et al., "Accurate 3D Face Reconstruction with Weakly-Supervised Learning", CVPRW 2019. One model unit is 10 cm.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.assets.folders import assets_dir
from jiff.base.errors import AssetError
from jiff.face.model import MorphableModel
from jiff.face.regions import face_regions

if TYPE_CHECKING:
    from numpy.typing import NDArray

IDENTITY, EXPRESSION, TEXTURE = 80, 64, 80
FOCAL, CENTER, CAMERA_DISTANCE, CROP_ROWS = 1015.0, 112.0, 10.0, 224
"""Camera of the 224-px crop: focal length and centre in pixels, distance in model units."""
WORLD_PER_UNIT = 10.0
_FULL_VERTICES, _EXPRESSION_VERTICES = 53490, 53215
FILES_TO_BUILD = (
    "01_MorphableModel.mat", "Exp_Pca.bin", "std_exp.txt", "BFM_front_idx.mat", "BFM_exp_idx.mat", "facemodel_info.mat",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class BaselModel:
    """Arrays of ``BFM_model_front.mat``, indices from 0, coefficients in standard deviations.

    Attributes:
        mean: [V, 3] model units.
        identity: [V * 3, 80].
        expression: [V * 3, 64].
        texture_mean: [V, 3] RGB 0-255.
        texture: [V * 3, 80].
        triangles: [F, 3].
        neighbours: [V, 8] triangles round a vertex, F where there are fewer.
        landmarks: [68].
    """

    mean: NDArray[np.float32]
    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    texture_mean: NDArray[np.float32]
    texture: NDArray[np.float32]
    triangles: NDArray[np.int64]
    neighbours: NDArray[np.int64]
    landmarks: NDArray[np.int64]

    def shape(self, identity: NDArray[np.float32], expression: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [V, 3] re-centred vertices of coefficients [80] and [64]."""
        flat = self.identity @ identity + self.expression @ expression + self.mean.ravel()
        return np.asarray(flat.reshape(-1, 3) - self.mean.mean(0), dtype=np.float32)

    def albedo(self, texture: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [V, 3] RGB 0-255 of coefficients [80]."""
        return np.asarray((self.texture @ texture).reshape(-1, 3) + self.texture_mean, dtype=np.float32)


def euler_rotation(angles_rad: NDArray[np.float32]) -> NDArray[np.float64]:
    """Return [3, 3] (Rz Ry Rx)^T of (x, y, z) angles; rows of vertices are multiplied from the left."""
    (cx, cy, cz), (sx, sy, sz) = np.cos(angles_rad.astype(float)), np.sin(angles_rad.astype(float))
    rx = np.array([[1, 0, 0], [0, cx, -sx], [0, sx, cx]])
    ry = np.array([[cy, 0, sy], [0, 1, 0], [-sy, 0, cy]])
    rz = np.array([[cz, -sz, 0], [sz, cz, 0], [0, 0, 1]])
    rotation: NDArray[np.float64] = (rz @ ry @ rx).T
    return rotation


@dataclass(frozen=True, eq=False)
class Coefficients:
    """The 257 numbers of the coefficient network.

    Attributes:
        identity: [80].
        expression: [64].
        texture: [80].
        angles_rad: [3].
        gamma: [27] light.
        translation: [3] model units.
    """

    identity: NDArray[np.float32]
    expression: NDArray[np.float32]
    texture: NDArray[np.float32]
    angles_rad: NDArray[np.float32]
    gamma: NDArray[np.float32]
    translation: NDArray[np.float32]

    @classmethod
    def split(cls, values: NDArray[np.float32]) -> Coefficients:
        """Cut a vector [257] into its parts."""
        parts = np.split(np.asarray(values, dtype=np.float32).ravel(), [80, 144, 224, 227, 254])
        return cls(*parts)


def pose_vertices(shape: NDArray[np.float32], c: Coefficients) -> NDArray[np.float64]:
    """Return [V, 3] turned and moved vertices, model units, the camera at z = 10 looking down -z."""
    posed: NDArray[np.float64] = shape @ euler_rotation(c.angles_rad) + c.translation
    return posed


def project(posed: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return pixels [V, 2] of the 224-px crop (y down from the centre of the first row) and depth [V] towards the camera."""
    depth = CAMERA_DISTANCE - posed[:, 2:]
    pixels = FOCAL * posed[:, :2] / depth + CENTER
    pixels[:, 1] = CROP_ROWS - 1 - pixels[:, 1]
    return pixels, posed[:, 2]


def read_mat(path: Path) -> dict[str, Any]:
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    if not path.is_file():
        raise AssetError(
            f"{path}: is missing; `jiff assets list` says where to ask for it, and it belongs at this place."
        )
    try:
        content: dict[str, Any] = loadmat(str(path))
    except (MatReadError, OSError, ValueError, TypeError, NotImplementedError, EOFError, KeyError) as error:
        raise AssetError(
            f"{path}: is not a complete MATLAB file ({type(error).__name__}); copy it again."
        ) from error
    return content


def mat_array(content: dict[str, Any], key: str, shape: tuple[int | None, ...], path: Path) -> NDArray[Any]:
    value = content.get(key)
    fits = (
        isinstance(value, np.ndarray)
        and value.ndim == len(shape)
        and all(want is None or have == want for have, want in zip(value.shape, shape))
        and value.dtype.kind in "fiu"
    )
    if not fits or value is None:
        got = getattr(value, "shape", None)
        raise AssetError(
            f"{path}: has {'no ' + key if got is None else f'{key} of shape {got}'} where {shape} was expected;"
            " it is another file or another version, get the one that `jiff assets list` names."
        )
    return np.asarray(value)


def from_arrays(content: dict[str, Any], path: Path) -> BaselModel:
    """Return the model of the variables of a ``BFM_model_front.mat`` (any number of vertices).

    Raises:
        AssetError: a variable is missing or of another shape.
    """
    mean = mat_array(content, "meanshape", (1, None), path).astype(np.float32).reshape(-1, 3)
    count = len(mean)
    triangles = mat_array(content, "tri", (None, 3), path).astype(np.int64) - 1
    neighbours = mat_array(content, "point_buf", (count, 8), path).astype(np.int64) - 1
    landmarks = np.ravel(mat_array(content, "keypoints", (1, 68), path)).astype(np.int64) - 1
    if triangles.min() < 0 or triangles.max() >= count or landmarks.min() < 0 or landmarks.max() >= count:
        raise AssetError(f"{path}: an index points outside its {count} vertices; get the file again.")
    return BaselModel(
        mean=mean,
        identity=mat_array(content, "idBase", (3 * count, IDENTITY), path).astype(np.float32),
        expression=mat_array(content, "exBase", (3 * count, EXPRESSION), path).astype(np.float32),
        texture_mean=mat_array(content, "meantex", (1, 3 * count), path).astype(np.float32).reshape(-1, 3),
        texture=mat_array(content, "texBase", (3 * count, TEXTURE), path).astype(np.float32),
        triangles=triangles,
        neighbours=neighbours,
        landmarks=landmarks,
    )


def read_bfm_front(path: Path) -> BaselModel:
    """Read ``BFM_model_front.mat``.

    Raises:
        AssetError: missing, truncated or of another layout.
    """
    return from_arrays(read_mat(path), path)


def _read_expressions(path: Path, deviations: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return [53215 * 3, N] scaled expression basis of ``Exp_Pca.bin`` (int32 N, mean, N directions, float32)."""
    try:
        blob = path.read_bytes()
    except OSError as error:
        raise AssetError(
            f"{path}: is missing; `jiff assets list` says where to get it, and it belongs at this place."
        ) from error
    width = 3 * _EXPRESSION_VERTICES
    count = int(np.frombuffer(blob[:4], "<i4")[0]) if len(blob) >= 4 else 0
    if not EXPRESSION <= count <= 1000 or len(blob) != 4 + 4 * width * (count + 1):
        raise AssetError(f"{path}: is cut off or another file ({len(blob)} bytes); get it again.")
    if len(deviations) < count:
        raise AssetError(
            f"{path.with_name('std_exp.txt')}: holds {len(deviations)} numbers where Exp_Pca.bin has {count} directions;"
            " get it again."
        )
    rows = np.frombuffer(blob, "<f4", offset=4 + 4 * width).reshape(count, width)[:EXPRESSION]
    return np.ascontiguousarray(rows.T) * deviations[:EXPRESSION].astype(np.float32)


def build_bfm_front(folder: Path) -> BaselModel:
    """Build the front model from the Basel and FaceWarehouse files of ``folder`` (see ``FILES_TO_BUILD``).

    Raises:
        AssetError: a file is missing, truncated or of another layout.
    """
    main = folder / "01_MorphableModel.mat"
    basel = read_mat(main)
    n = 3 * _FULL_VERTICES

    def scaled(vectors: str, deviations: str, count: int) -> NDArray[np.float32]:
        basis = mat_array(basel, vectors, (n, None), main)
        sigma = np.ravel(mat_array(basel, deviations, (None, 1), main))
        if basis.shape[1] < count or len(sigma) < count:
            raise AssetError(f"{main}: {vectors} has fewer than {count} directions; get the 2009 model.")
        return (basis[:, :count] * sigma[:count]).astype(np.float32)

    try:
        deviations = np.loadtxt(folder / "std_exp.txt", ndmin=1).ravel()
    except (OSError, ValueError) as error:
        raise AssetError(f"{folder / 'std_exp.txt'}: is missing or not numbers; get it again.") from error
    expression = _read_expressions(folder / "Exp_Pca.bin", deviations).reshape(_EXPRESSION_VERTICES, 3, -1)
    front_path, trim_path = folder / "BFM_front_idx.mat", folder / "BFM_exp_idx.mat"
    front = np.ravel(mat_array(read_mat(front_path), "idx", (None, 1), front_path)).astype(np.int64) - 1
    trim = (
        np.ravel(mat_array(read_mat(trim_path), "trimIndex", (_EXPRESSION_VERTICES, 1), trim_path)).astype(
            np.int64
        )
        - 1
    )
    if (
        front.min() < 0
        or front.max() >= _EXPRESSION_VERTICES
        or trim.min() < 0
        or trim.max() >= _FULL_VERTICES
    ):
        raise AssetError(f"{front_path}: points outside the Basel model; get the helper files again.")
    vertices = trim[front]
    count = len(front)
    info_path = folder / "facemodel_info.mat"
    info = read_mat(info_path)

    def cut(full: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(
            full.reshape(_FULL_VERTICES, 3, -1)[vertices].reshape(3 * count, -1), dtype=np.float32
        )

    content = {
        "meanshape": cut(mat_array(basel, "shapeMU", (n, 1), main)).reshape(1, -1) / 1e5,
        "meantex": cut(mat_array(basel, "texMU", (n, 1), main)).reshape(1, -1),
        "idBase": cut(scaled("shapePC", "shapeEV", IDENTITY)) / 1e5,
        "texBase": cut(scaled("texPC", "texEV", TEXTURE)),
        "exBase": np.ascontiguousarray(expression[front].reshape(3 * count, -1)) / 1e5,
        "tri": info.get("tri"),
        "point_buf": info.get("point_buf"),
        "keypoints": info.get("keypoints"),
    }
    return from_arrays(content, info_path)


def load_basel(folder: Path | None = None) -> BaselModel:
    """Return the model of the assets folder: ``BFM_model_front.mat``, else built from its parts.

    Raises:
        AssetError: neither is complete; the message names what is missing.
    """
    folder = folder or assets_dir() / "bfm"
    front = folder / "BFM_model_front.mat"
    if front.is_file():
        return read_bfm_front(front)
    missing = [name for name in FILES_TO_BUILD if not (folder / name).is_file()]
    if missing:
        raise AssetError(
            f"{front}: is missing, and so are {', '.join(missing)} to build it from; `jiff assets list` says where to"
            " ask, or use --model anny, which needs no file."
        )
    return build_bfm_front(folder)


def morphable(basel: BaselModel) -> MorphableModel:
    """Return the model in world units (10 per model unit) as the common interface."""
    count = len(basel.mean)
    mean = ((basel.mean - basel.mean.mean(0)) * WORLD_PER_UNIT).astype(np.float32)
    triangles = basel.triangles
    a, b, c = (mean[triangles[:, k]] for k in range(3))
    if np.cross(b - a, c - a)[:, 2].sum() < 0:
        triangles = triangles[:, ::-1]

    def basis(flat: NDArray[np.float32], factor: float) -> NDArray[np.float32]:
        return np.ascontiguousarray((flat * np.float32(factor)).T.reshape(-1, count, 3))

    weight, core = face_regions(mean.astype(np.float64), mean[basel.landmarks].astype(np.float64))
    return MorphableModel(
        name="bfm",
        mean=mean,
        identity=basis(basel.identity, WORLD_PER_UNIT),
        expression=basis(basel.expression, WORLD_PER_UNIT),
        texture_mean=np.clip(basel.texture_mean / 255.0, 0, 1).astype(np.float32),
        texture_basis=basis(basel.texture, 1 / 255.0),
        triangles=np.ascontiguousarray(triangles),
        landmarks68=basel.landmarks,
        fit_weight=weight,
        core=core,
    )


def load_bfm() -> MorphableModel:
    """Return the Basel Face Model from the assets folder as a model in world units; see ``load_basel``."""
    return morphable(load_basel())
