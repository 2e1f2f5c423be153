"""Write a mesh as binary glTF 2.0 with texture or vertex colours, as the specification wants them.

Khronos, "glTF 2.0 Specification" (https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html): vertex colours are
linear, textures are sRGB, texture rows count downward, buffers are aligned to four bytes.
"""

from __future__ import annotations

import json
import struct
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff import __version__
from jiff.base.errors import ImageError
from jiff.geometry.io.color_space import srgb_to_linear

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

GENERATOR = "jiff"
_ARRAY, _ELEMENT = 34962, 34963
_FLOAT, _UINT8, _UINT16, _UINT32 = 5126, 5121, 5123, 5125
_LINEAR, _MIPMAP, _CLAMP = 9729, 9987, 33071


class Binary:
    """The buffer with its views and accessors."""

    def __init__(self) -> None:
        self.blob = bytearray()
        self.views: list[dict[str, Any]] = []
        self.accessors: list[dict[str, Any]] = []

    def view(self, data: bytes, target: int | None = None) -> int:
        """Add bytes and return their view; ``target`` says that they are vertices or indices."""
        self.blob += b"\0" * (-len(self.blob) % 4)
        entry: dict[str, Any] = {"buffer": 0, "byteOffset": len(self.blob), "byteLength": len(data)}
        if target is not None:
            entry["target"] = target
        self.blob += data
        self.views.append(entry)
        return len(self.views) - 1

    def attribute(self, values: NDArray[np.floating], bounds: bool = False) -> int:
        """Add [N, K] values of vertices and return their accessor; positions need ``bounds``."""
        return self._floats(values, f"VEC{values.shape[1]}", _ARRAY, bounds)

    def values(self, values: NDArray[np.floating], kind: str, bounds: bool = False) -> int:
        """Add [N, K] values of animations (times need ``bounds``) or skins and return their accessor."""
        return self._floats(values, kind, None, bounds)

    def joints(self, bones: NDArray[np.integer], count: int) -> int:
        """Add [V, 4] bones, of ``count``, and return their accessor."""
        small = count <= 256
        rows = np.ascontiguousarray(bones, dtype="<u1" if small else "<u2")
        self.accessors.append(
            {
                "bufferView": self.view(rows.tobytes(), _ARRAY),
                "componentType": _UINT8 if small else _UINT16,
                "count": len(rows),
                "type": "VEC4",
            }
        )
        return len(self.accessors) - 1

    def _floats(self, values: NDArray[np.floating], kind: str, target: int | None, bounds: bool) -> int:
        rows = np.ascontiguousarray(values, dtype="<f4")
        entry: dict[str, Any] = {
            "bufferView": self.view(rows.tobytes(), target),
            "componentType": _FLOAT,
            "count": len(rows),
            "type": kind,
        }
        if bounds:
            entry["min"] = [float(x) for x in rows.min(axis=0)]
            entry["max"] = [float(x) for x in rows.max(axis=0)]
        self.accessors.append(entry)
        return len(self.accessors) - 1

    def indices(self, faces: NDArray[np.integer], vertices: int) -> int:
        """Add [F, 3] triangles over so many vertices and return their accessor."""
        # 65535 restarts a strip and must not be an index.
        small = vertices <= 65535
        flat = np.ascontiguousarray(faces.reshape(-1), dtype="<u2" if small else "<u4")
        self.accessors.append(
            {
                "bufferView": self.view(flat.tobytes(), _ELEMENT),
                "componentType": _UINT16 if small else _UINT32,
                "count": len(flat),
                "type": "SCALAR",
            }
        )
        return len(self.accessors) - 1


def encode_texture(texture: NDArray[np.uint8], jpeg_quality: int) -> bytes:
    """Return a JPEG of [H, W, 3] RGB with full colour resolution.

    Raises:
        ImageError: OpenCV cannot encode it.
    """
    import cv2

    flags = [
        *(cv2.IMWRITE_JPEG_QUALITY, jpeg_quality),
        *(cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444),
    ]
    ok, blob = cv2.imencode(".jpg", np.ascontiguousarray(texture[..., ::-1]), flags)
    if not ok:
        raise ImageError(
            f"a texture of {texture.shape[1]} x {texture.shape[0]} pixels cannot be written as JPEG."
        )
    return bytes(blob.tobytes())


def glb_bytes(
    mesh: Mesh, *, name: str = "mesh", extras: dict[str, Any] | None = None, jpeg_quality: int = 95
) -> bytes:
    """Return the file's bytes: one mesh of one primitive, split where texture coordinates meet.

    Args:
        mesh: in metres, y up; its texture goes in as JPEG, otherwise its colours, otherwise it is plain white.
        name: of node and mesh.
        extras: plain values kept in ``asset.extras``.
        jpeg_quality: of the texture.
    """
    binary = Binary()
    tree, _ = mesh_tree(mesh, binary, name=name, extras=extras, jpeg_quality=jpeg_quality)
    tree["scenes"] = [{"nodes": [0]}]
    tree["nodes"] = [{"mesh": 0, "name": name}]
    return container_bytes(tree, binary)


def mesh_tree(
    mesh: Mesh, binary: Binary, *, name: str, extras: dict[str, Any] | None, jpeg_quality: int
) -> tuple[dict[str, Any], NDArray[np.int64]]:
    """Put a mesh into the buffer, as ``glb_bytes`` does.

    Returns:
        The description, without scenes and nodes, and [V'] which vertex each written one was.
    """
    normals = mesh.vertex_normals()
    source = np.arange(len(mesh.vertices))
    textured = mesh.uv is not None and mesh.faces_uv is not None and mesh.texture is not None
    if textured:
        mesh, source = mesh.split_at_seams()
        normals = normals[source]
    length = np.linalg.norm(normals, axis=1, keepdims=True)
    normals = np.where(length > 1e-9, normals / np.maximum(length, 1e-9), (0.0, 1.0, 0.0))
    attributes = {
        "POSITION": binary.attribute(mesh.vertices, bounds=True),
        "NORMAL": binary.attribute(normals),
    }
    material: dict[str, Any] = {"metallicFactor": 0.0, "roughnessFactor": 1.0}
    tree: dict[str, Any] = {}
    if textured and mesh.uv is not None and mesh.texture is not None:
        # Rows of a glTF texture count downward.
        attributes["TEXCOORD_0"] = binary.attribute(mesh.uv * (1.0, -1.0) + (0.0, 1.0))
        picture = binary.view(encode_texture(mesh.texture, jpeg_quality))
        tree["images"] = [{"bufferView": picture, "mimeType": "image/jpeg", "name": name}]
        tree["samplers"] = [{"magFilter": _LINEAR, "minFilter": _MIPMAP, "wrapS": _CLAMP, "wrapT": _CLAMP}]
        tree["textures"] = [{"sampler": 0, "source": 0}]
        material["baseColorTexture"] = {"index": 0}
    elif mesh.colors is not None:
        attributes["COLOR_0"] = binary.attribute(srgb_to_linear(mesh.colors))
    indices = binary.indices(mesh.faces, len(mesh.vertices))
    asset: dict[str, Any] = {"version": "2.0", "generator": f"{GENERATOR} {__version__}"}
    if extras:
        asset["extras"] = extras
    primitive = {"attributes": attributes, "indices": indices, "material": 0}
    return {
        "asset": asset,
        "scene": 0,
        "meshes": [{"name": name, "primitives": [primitive]}],
        "materials": [{"name": name, "pbrMetallicRoughness": material}],
        **tree,
    }, source


def container_bytes(tree: dict[str, Any], binary: Binary) -> bytes:
    """Return a GLB of a description and its buffer."""
    header = {
        **tree,
        "accessors": binary.accessors,
        "bufferViews": binary.views,
        "buffers": [{"byteLength": len(binary.blob)}],
    }
    text = json.dumps(header, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
    text += b" " * (-len(text) % 4)
    blob = bytes(binary.blob) + b"\0" * (-len(binary.blob) % 4)
    total = 12 + 8 + len(text) + 8 + len(blob)
    return b"".join(
        [
            struct.pack("<4sII", b"glTF", 2, total),
            struct.pack("<I4s", len(text), b"JSON"),
            text,
            struct.pack("<I4s", len(blob), b"BIN\0"),
            blob,
        ]
    )
