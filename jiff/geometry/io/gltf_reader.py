"""glTF and GLB with the base colour as the specification has it: texture x factor x vertex colour, cut by alpha.

Khronos, "glTF 2.0 Specification", sections 3.7 to 3.9; KHR_texture_transform and KHR_materials_pbrSpecularGlossiness.
"""

from __future__ import annotations

import io
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.geometry.io.alpha_cut import cut_by_alpha, surface_area
from jiff.geometry.io.color_space import linear_to_srgb, srgb_to_linear
from jiff.geometry.io.gltf_file import GltfFile
from jiff.geometry.io.gltf_scene import primitives
from jiff.geometry.io.painted_texels import paint_factor
from jiff.geometry.io.parts import Part, join_parts
from jiff.geometry.io.texture_file import alpha_of, decode_texture

if TYPE_CHECKING:
    from pathlib import Path

    from numpy.typing import NDArray

    from jiff.geometry.io.gltf_scene import Primitive
    from jiff.geometry.io.obj_surface import Surface

_CLAMP, _MIRROR = 33071, 33648
_BLEND_CUTOFF = 0.5
_SPEC_GLOSS = "KHR_materials_pbrSpecularGlossiness"
_TRANSFORM = "KHR_texture_transform"
# Trimesh writes display values where the specification wants light.
_DISPLAY_WRITERS = ("trimesh",)


@dataclass(frozen=True)
class _Look:
    """The base colour of a material: linear RGBA factor, texture reference, and how alpha counts."""

    name: str
    factor: NDArray[np.float64]
    texture: dict[str, Any] | None
    mode: str
    cutoff: float


def _look(gltf: GltfFile, index: Any) -> _Look | None:
    if index is None:
        return None
    material = gltf.item("materials", index)
    gloss = (material.get("extensions") or {}).get(_SPEC_GLOSS)
    plain = material.get("pbrMetallicRoughness") or {}
    factor, texture = plain.get("baseColorFactor"), plain.get("baseColorTexture")
    if gloss is not None and factor is None and texture is None:
        factor, texture = gloss.get("diffuseFactor"), gloss.get("diffuseTexture")
    values = np.ones(4)
    given = np.array(factor if factor is not None else (), np.float64).ravel()[:4]
    values[: len(given)] = given
    mode = str(material.get("alphaMode", "OPAQUE"))
    cutoff = float(material.get("alphaCutoff", 0.5)) if mode == "MASK" else _BLEND_CUTOFF
    return _Look(str(material.get("name") or index), np.clip(values, 0, 1), texture, mode, cutoff)


def _times(image: NDArray[np.uint8], factor: NDArray[Any]) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] times a factor of its light, [3] or [H, W, 3]."""
    light = srgb_to_linear(np.arange(256) / 255.0).astype(np.float32)[image] * factor
    return np.rint(linear_to_srgb(light) * 255).astype(np.uint8)


class _Reader:
    """Reads the parts of one file; pictures that parts share are decoded once."""

    def __init__(self, gltf: GltfFile) -> None:
        self.gltf = gltf
        self.notes: list[str] = []
        self._pictures: dict[Any, tuple[NDArray[np.uint8], NDArray[np.uint8] | None]] = {}
        self._tinted: dict[Any, NDArray[np.uint8]] = {}
        generator = str((gltf.tree.get("asset") or {}).get("generator", ""))
        self._display = any(name in generator for name in _DISPLAY_WRITERS)

    def _picture(self, texture: Any) -> tuple[NDArray[np.uint8], NDArray[np.uint8] | None]:
        if texture not in self._pictures:
            blob, name = self.gltf.picture(texture)
            self._pictures[texture] = decode_texture(blob, name), alpha_of(io.BytesIO(blob))
        return self._pictures[texture]

    def _corners_uv(self, shape: Primitive, reference: dict[str, Any]) -> NDArray[np.float64]:
        """Return [F, 3, 2] coordinates, v up, of the set that the texture asks for, transformed and wrapped."""
        transform = (reference.get("extensions") or {}).get(_TRANSFORM) or {}
        number = transform.get("texCoord", reference.get("texCoord", 0))
        if f"TEXCOORD_{number}" not in shape.attributes:
            raise self.gltf.damaged(f"a texture asks for coordinates TEXCOORD_{number}, which a part lacks")
        uv = np.asarray(self.gltf.accessor(shape.attributes[f"TEXCOORD_{number}"]), np.float64)[:, :2]
        if len(uv) != len(shape.positions):
            raise self.gltf.damaged("texture coordinates and vertices differ in number")
        if transform:
            turn = float(transform.get("rotation", 0.0))
            cos, sin = math.cos(turn), math.sin(turn)
            uv = uv * np.array(transform.get("scale", (1, 1)), np.float64)
            uv = np.stack([cos * uv[:, 0] + sin * uv[:, 1], -sin * uv[:, 0] + cos * uv[:, 1]], axis=1)
            uv = uv + np.array(transform.get("offset", (0, 0)), np.float64)
        sampler = self.gltf.item("textures", reference.get("index")).get("sampler")
        wraps = {} if sampler is None else self.gltf.item("samplers", sampler)
        for axis, key in enumerate(("wrapS", "wrapT")):
            if wraps.get(key) == _CLAMP:
                uv[:, axis] = np.clip(uv[:, axis], 0.0, 1.0)
            elif wraps.get(key) == _MIRROR:
                # Exact for triangles that lie within one repeat.
                folded = np.abs(uv[:, axis] - 2.0 * np.round(uv[:, axis] / 2.0))
                uv[:, axis] = folded
        return (uv * (1.0, -1.0) + (0.0, 1.0))[shape.corners]

    def _vertex_colors(self, shape: Primitive) -> NDArray[np.float64] | None:
        """Return [V, 4] linear colours, None where all are white."""
        if "COLOR_0" not in shape.attributes:
            return None
        values = np.asarray(self.gltf.accessor(shape.attributes["COLOR_0"]), np.float64)
        if len(values) != len(shape.positions) or values.shape[1] < 3:
            raise self.gltf.damaged("colours and vertices differ in number")
        bad = ~np.isfinite(values).all(axis=1)
        if bad.any():
            self.notes.append(f"{int(bad.sum())} of its vertex colours are not numbers and count as white")
            values[bad] = 1.0
        rgba = np.ones((len(values), 4))
        rgba[:, : values.shape[1]] = np.clip(values, 0, 1)
        if self._display:
            rgba[:, :3] = srgb_to_linear(rgba[:, :3])
        return rgba

    def part(self, shape: Primitive) -> Part:
        """Return one primitive with its colour."""
        look = _look(self.gltf, shape.material) or _Look("", np.ones(4), None, "OPAQUE", 0.5)
        colors = self._vertex_colors(shape)
        part = Part(shape.positions, shape.corners)
        alpha = None
        if look.texture is not None:
            image, alpha = self._picture(look.texture.get("index"))
            part = replace(part, corners_uv=self._corners_uv(shape, look.texture), image=image)
        if look.mode in ("MASK", "BLEND"):
            part, colors = self._cut(part, look, alpha, colors)
        if part.image is None:
            if colors is not None:
                return replace(part, colors=linear_to_srgb(colors[:, :3] * look.factor[:3]))
            if shape.material is None:
                return part
            red, green, blue = linear_to_srgb(look.factor[:3]).tolist()
            return replace(part, color=(red, green, blue))
        return self._tint(part, look, colors)

    def _tint(self, part: Part, look: _Look, colors: NDArray[np.float64] | None) -> Part:
        """Multiply factor and vertex colours into the texture, in light."""
        if part.image is None or part.corners_uv is None or look.texture is None:
            return part
        if colors is not None and (colors[:, :3] > 0.997).all():
            colors = None
        if colors is None and (look.factor[:3] > 0.997).all():
            return part
        factor: NDArray[Any] = look.factor[:3].astype(np.float32)
        if colors is None:
            key = (look.texture.get("index"), look.factor.tobytes())
            if key not in self._tinted:
                self._tinted[key] = _times(part.image, factor)
            return replace(part, image=self._tinted[key])
        size = (part.image.shape[0], part.image.shape[1])
        painted, apart = paint_factor(part.corners_uv, colors[part.corners][..., :3], size)
        if apart > 0.02:
            self.notes.append(
                f"its vertex colours multiply a texture of which {apart:.0%} of the faces share texels in other colours; "
                "bake them into the texture if it looks wrong"
            )
        return replace(part, image=_times(part.image, factor * painted))

    def _cut(
        self, part: Part, look: _Look, alpha: NDArray[np.uint8] | None, colors: NDArray[np.float64] | None
    ) -> tuple[Part, NDArray[np.float64] | None]:
        """Remove what is transparent; colours of vertices follow."""
        before, area = len(part.corners), surface_area(part.positions, part.corners)
        extra = np.ones((len(part.positions), 4)) if colors is None else colors
        own = look.factor[3] * extra[:, 3]
        if (own < look.cutoff).any():
            stays = own[part.corners].mean(axis=1) >= look.cutoff
            part = replace(
                part,
                corners=part.corners[stays],
                corners_uv=None if part.corners_uv is None else part.corners_uv[stays],
            )
        table = np.concatenate([part.positions, extra], axis=1)
        if alpha is not None and part.corners_uv is not None and alpha.min() < 255 and len(part.corners):
            strength = max(look.factor[3], 1e-3)
            table, corners, uv, _ = cut_by_alpha(
                table, part.corners, part.corners_uv, alpha, min(look.cutoff / strength, 1.0)
            )
            changed = len(corners) != before
            part = replace(part, positions=table[:, :3], corners=corners, corners_uv=uv)
        else:
            changed = len(part.corners) != before
        if changed:
            self.notes.append(
                f"its material {look.name} ({look.mode}) was cut where it is transparent "
                f"({1 - surface_area(part.positions, part.corners) / max(area, 1e-30):.0%} of its surface is gone)"
            )
            # Corners of removed cards would still count for height and width.
            used, inverse = np.unique(part.corners, return_inverse=True)
            table = table[used]
            part = replace(part, positions=table[:, :3], corners=inverse.reshape(-1, 3))
        return part, None if colors is None else table[:, 3:7]


def read_gltf(path: Path) -> Surface:
    """Read a glTF or GLB file: its shown scene, posed and coloured.

    Raises:
        MeshError: damaged, without triangles, or compressed in a way that is not read.
        ImageError: a texture is damaged, missing or of a kind that is not read.
    """
    reader = _Reader(GltfFile(path))
    parts = [reader.part(shape) for shape in primitives(reader.gltf)]
    return replace(join_parts(parts, path), notes=tuple(dict.fromkeys(reader.notes)))
