"""The container of glTF 2.0: its tree, buffers, accessors and pictures, each checked before it is believed.

Khronos, "glTF 2.0 Specification" (https://registry.khronos.org/glTF/specs/2.0/glTF-2.0.html), sections 3.6 and 4.
"""

from __future__ import annotations

import base64
import binascii
import json
import struct
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

import numpy as np

from jiff.base.errors import ImageError, MeshError
from jiff.geometry.io.header_checks import HEADER_CHECKS

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

_TYPES = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4, "MAT2": 4, "MAT3": 9, "MAT4": 16}
_COMPONENTS = {5120: "<i1", 5121: "<u1", 5122: "<i2", 5123: "<u2", 5125: "<u4", 5126: "<f4"}
_KTX2 = "KHR_texture_basisu"
# Required extensions that change nothing of shape and colour, or that are read here and in ``gltf_materials``.
_READ = {
    "EXT_texture_webp", "KHR_materials_clearcoat", "KHR_materials_emissive_strength", "KHR_materials_ior",
    "KHR_materials_pbrSpecularGlossiness", "KHR_materials_sheen", "KHR_materials_specular",
    "KHR_materials_transmission", "KHR_materials_unlit", "KHR_materials_volume", "KHR_mesh_quantization",
    "KHR_texture_transform", "KHR_lights_punctual", _KTX2,
}  # fmt: skip
_REMEDIES = {
    "KHR_draco_mesh_compression": "is compressed with Draco (KHR_draco_mesh_compression), which is not read; export it without "
    "compression, or open it in Blender and export it with Compression off",
    "EXT_meshopt_compression": "is compressed with meshopt (EXT_meshopt_compression), which is not read; run gltfpack without -c "
    "and -cc, or open it in Blender and export it again",
    "KHR_meshopt_compression": "is compressed with meshopt (KHR_meshopt_compression), which is not read; run gltfpack without -c "
    "and -cc, or open it in Blender and export it again",
}


class GltfFile:
    """One glTF or GLB file.

    Attributes:
        path: the file.
        tree: its description.

    Raises:
        MeshError: damaged, or it requires an extension that is not read; the message names it and the remedy.
    """

    def __init__(self, path: Path) -> None:
        HEADER_CHECKS[path.suffix.lower()](path)
        self.path = path
        self._embedded: bytes | None = None
        blob = path.read_bytes()
        if path.suffix.lower() == ".glb":
            length = struct.unpack_from("<I", blob, 12)[0]
            text, rest = blob[20 : 20 + length], blob[20 + length :]
            if len(rest) >= 8:
                self._embedded = rest[8 : 8 + struct.unpack_from("<I", rest)[0]]
        else:
            text = blob
        self.tree: dict[str, Any] = json.loads(text.decode("utf-8"))
        self._buffers: dict[int, bytes] = {}
        self._check_extensions()

    def _check_extensions(self) -> None:
        required = [str(name) for name in self.tree.get("extensionsRequired") or ()]
        for name in required:
            if name in _REMEDIES:
                raise MeshError(f"{self.path}: {_REMEDIES[name]}.")
        unread = [name for name in required if name not in _READ]
        if unread:
            raise MeshError(
                f"{self.path}: requires {', '.join(unread)}, which is not read; export it as plain glTF 2.0 or OBJ."
            )

    def damaged(self, cause: str) -> MeshError:
        """Return the error that says what is wrong with the file."""
        return MeshError(f"{self.path}: {cause}; the file is damaged, export it again.")

    def item(self, kind: str, index: Any) -> dict[str, Any]:
        """Return one entry of a list of the tree.

        Raises:
            MeshError: there is none.
        """
        rows = self.tree.get(kind)
        if isinstance(rows, list) and isinstance(index, int) and 0 <= index < len(rows):
            row = rows[index]
            if isinstance(row, dict):
                return row
        raise self.damaged(f"it refers to {kind} {index}, which do not exist")

    def _beside(self, uri: str, what: str) -> bytes:
        if uri.startswith("data:"):
            try:
                return base64.b64decode(uri.partition(",")[2], validate=False)
            except (binascii.Error, ValueError) as error:
                raise self.damaged(f"its {what} is not valid base64") from error
        target = self.path.parent / unquote(uri)
        try:
            return target.read_bytes()
        except (OSError, ValueError) as error:
            kind = ImageError if what == "texture" else MeshError
            raise kind(
                f"{self.path}: its {what} {unquote(uri)} is not there; put it back beside the file."
            ) from error

    def _buffer(self, index: Any) -> bytes:
        if index not in self._buffers:
            entry = self.item("buffers", index)
            uri = entry.get("uri")
            if isinstance(uri, str):
                self._buffers[index] = self._beside(uri, "data file")
            elif index == 0 and self._embedded is not None:
                self._buffers[index] = self._embedded
            else:
                raise self.damaged(f"buffer {index} has no data")
        return self._buffers[index]

    def view(self, index: Any) -> tuple[bytes, int]:
        """Return the bytes of a buffer view, and its stride (0 where elements lie side by side)."""
        entry = self.item("bufferViews", index)
        blob = self._buffer(entry.get("buffer"))
        start, length = int(entry.get("byteOffset", 0)), int(entry.get("byteLength", 0))
        if start < 0 or length < 0 or start + length > len(blob):
            raise self.damaged(f"buffer view {index} reaches beyond its buffer")
        return blob[start : start + length], int(entry.get("byteStride", 0))

    def _elements(self, view: Any, offset: int, count: int, width: int, kind: str) -> NDArray[Any]:
        blob, stride = self.view(view)
        item = np.dtype(kind).itemsize * width
        stride = stride or item
        if (
            offset < 0
            or count < 0
            or stride < item
            or (count and offset + (count - 1) * stride + item > len(blob))
        ):
            raise self.damaged("an accessor reaches beyond its buffer view")
        if count == 0:
            return np.zeros((0, width), kind)
        return np.ndarray((count, width), kind, blob, offset, (stride, np.dtype(kind).itemsize)).copy()

    def accessor(self, index: Any) -> NDArray[Any]:
        """Return [N, K] values: float64 of normalised integers and floats, integers as they are.

        Raises:
            MeshError: it does not exist or reaches beyond the file.
        """
        entry = self.item("accessors", index)
        try:
            width, kind = _TYPES[entry["type"]], _COMPONENTS[entry["componentType"]]
            count = int(entry["count"])
        except (KeyError, TypeError, ValueError) as error:
            raise self.damaged(f"accessor {index} has no valid type") from error
        if "bufferView" in entry:
            values = self._elements(entry["bufferView"], int(entry.get("byteOffset", 0)), count, width, kind)
        else:
            values = np.zeros((count, width), kind)
        sparse = entry.get("sparse")
        if isinstance(sparse, dict):
            values = self._sparse(values, sparse, kind)
        if kind == "<f4":
            # Damaged files hold signalling NaNs, of which NumPy warns; who takes the values checks them.
            with np.errstate(invalid="ignore"):
                return values.astype(np.float64)
        if entry.get("normalized"):
            return np.maximum(values / float(np.iinfo(kind).max), -1.0)
        return values.astype(np.int64)

    def _sparse(self, values: NDArray[Any], sparse: dict[str, Any], kind: str) -> NDArray[Any]:
        try:
            count, where, what = int(sparse["count"]), sparse["indices"], sparse["values"]
            rows = self._elements(
                where["bufferView"],
                int(where.get("byteOffset", 0)),
                count,
                1,
                _COMPONENTS[where["componentType"]],
            ).ravel()
            new = self._elements(
                what["bufferView"], int(what.get("byteOffset", 0)), count, values.shape[1], kind
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self.damaged("a sparse accessor is incomplete") from error
        if len(rows) and int(rows.max()) >= len(values):
            raise self.damaged("a sparse accessor writes beyond its end")
        values[rows.astype(np.int64)] = new
        return values

    def picture(self, texture: Any) -> tuple[bytes, str]:
        """Return the encoded picture of a texture, and its name for messages.

        Raises:
            ImageError: it is KTX2 or DDS alone, or missing.
        """
        entry = self.item("textures", texture)
        extensions = entry.get("extensions") or {}
        source = (extensions.get("EXT_texture_webp") or {}).get("source", entry.get("source"))
        if source is None:
            names = ", ".join(extensions) or "no picture"
            kind = "KTX2" if _KTX2 in extensions else names
            raise ImageError(
                f"{self.path}: its texture is {kind} ({names}), which is not read; export it with PNG or JPEG textures."
            )
        image = self.item("images", source)
        name = f"{self.path} (picture {image.get('name') or image.get('uri') or source})"
        if isinstance(image.get("uri"), str):
            blob = self._beside(image["uri"], "texture")
            name = (
                str(self.path)
                if image["uri"].startswith("data:")
                else str(self.path.parent / unquote(image["uri"]))
            )
        else:
            blob = self.view(image.get("bufferView"))[0]
        if blob[:12] == b"\xabKTX 20\xbb\r\n\x1a\n":
            raise ImageError(
                f"{self.path}: its texture is KTX2, which is not read; export it with PNG or JPEG textures."
            )
        return blob, name
