"""Pack meshes and the viewer into one HTML file without outside references."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.spatial import cKDTree

from jiff.base.errors import MeshError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.io.gltf_motion import Motion
    from jiff.geometry.mesh import Mesh

_TEXTURE_LIMIT_PX = 4096


@dataclass(frozen=True)
class ViewItem:
    """One mesh of the page.

    Attributes:
        mesh: any units; it is shown at its own height.
        label: text below it.
        note: smaller text below the label.
        motion: how it moves, if it does.
    """

    mesh: Mesh
    label: str
    note: str = ""
    motion: Motion | None = None


def _text(array: NDArray[Any]) -> str:
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode("ascii")


def _texture_url(texture: NDArray[np.uint8]) -> str:
    import cv2

    height, width = texture.shape[:2]
    shrink = _TEXTURE_LIMIT_PX / max(height, width)
    if shrink < 1:
        size = (max(1, round(width * shrink)), max(1, round(height * shrink)))
        texture = cv2.resize(texture, size, interpolation=cv2.INTER_AREA).astype(np.uint8)
    _, blob = cv2.imencode(".jpg", texture[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, 90])
    return "data:image/jpeg;base64," + base64.b64encode(blob.tobytes()).decode("ascii")


def pack_mesh(item: ViewItem) -> dict[str, Any]:
    """Return the mesh as the viewer reads it.

    Positions are 16-bit steps of the bounding box (a 65,535th of the height, 0.03 mm on a person). Vertices are
    split where they have several texture coordinates.

    Raises:
        MeshError: the mesh has no triangles or no finite extent.
    """
    mesh = item.mesh
    if len(mesh.faces) == 0:
        raise MeshError(f"{item.label}: has no triangles to show; give another mesh.")
    vertices, faces, uv = mesh.vertices, mesh.faces, None
    colors = mesh.colors
    if mesh.uv is not None and mesh.faces_uv is not None and mesh.texture is not None:
        pairs = np.stack([mesh.faces.ravel(), mesh.faces_uv.ravel()], axis=1)
        unique, inverse = np.unique(pairs, axis=0, return_inverse=True)
        faces = inverse.reshape(-1, 3)
        vertices, uv = vertices[unique[:, 0]], mesh.uv[unique[:, 1]]
        colors = None if colors is None else colors[unique[:, 0]]
    near = None
    if item.motion is not None:
        # Readers join and split vertices, but do not move them.
        near = cKDTree(item.motion.shown).query(vertices)[1]
        vertices = item.motion.bound[near]
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    size = high - low
    if not np.isfinite(size).all() or size.max() <= 0:
        raise MeshError(f"{item.label}: has no finite extent; give another mesh.")
    steps = np.rint((vertices - low) / np.where(size > 0, size, 1.0) * 65535.0)
    packed: dict[str, Any] = {
        "label": item.label,
        "note": item.note,
        "size": [float(value) for value in size],
        "position": _text(steps.astype("<u2")),
        "index": _text(faces.astype("<u4")),
    }
    if colors is not None:
        packed["color"] = _text(np.rint(np.clip(colors, 0.0, 1.0) * 255.0).astype(np.uint8))
    if uv is not None and mesh.texture is not None:
        packed["uv"] = _text(uv.astype("<f4"))
        packed["texture"] = _texture_url(mesh.texture)
    if item.motion is not None and near is not None:
        packed.update(_pack_motion(item.motion, near, (low + high) / 2, float(size[1]) or 1.0))
    return packed


def _pack_motion(
    motion: Motion, near: NDArray[np.int64], center: NDArray[np.float64], height: float
) -> dict[str, Any]:
    """Return bones, weights and movements as the viewer reads them; it shows a mesh around 0 at height 1."""
    clips = []
    for clip in motion.clips:
        matrices = clip.matrices.astype(np.float64)
        matrices[..., 3] = (matrices[..., :3] @ center + matrices[..., 3] - center) / height
        frames = {"frames": len(matrices), "frame_s": clip.frame_s, "matrices": _text(matrices.astype("<f4"))}
        clips.append({"name": clip.name, **frames})
    return {
        "joints": int(motion.clips[0].matrices.shape[1]),
        "bones": _text(motion.bones[near].astype("<u2")),
        "weights": _text(np.rint(motion.weights[near] * 65535.0).astype("<u2")),
        "clips": clips,
    }


def viewer_page(items: Sequence[ViewItem], title: str) -> str:
    """Return a complete HTML document that shows ``items`` side by side; it works offline from disk.

    Raises:
        MeshError: a mesh cannot be shown.
    """
    folder = resources.files("jiff.report.viewer")
    page = folder.joinpath("viewer.html").read_text(encoding="utf-8")
    script = folder.joinpath("viewer.js").read_text(encoding="utf-8")
    # "<" inside the data would end the script element early.
    data = json.dumps([pack_mesh(item) for item in items]).replace("<", "\\u003c")
    parts = {"__TITLE__": html.escape(title), "__SCRIPT__": script, "__MESHES__": data}
    for mark, text in parts.items():
        page = page.replace(mark, text)
    return page
