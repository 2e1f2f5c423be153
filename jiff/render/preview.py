"""Pictures of any mesh for people to look at: soft studio light, no GL and no display."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import Camera
from jiff.geometry.raycast import RayScene
from jiff.render.gbuffer import GBuffer, render_gbuffer
from jiff.render.texture import MipTexture, pyramid_level, texels_per_world, texture_of

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import ArrayLike, NDArray

    from jiff.geometry.mesh import Mesh

CLAY = (0.74, 0.71, 0.68)
"""Colour of a mesh that has none."""

# Camera frame: x right, y up, z towards the viewer. Key light from the upper left, weak fill from the right,
# the rest ambient; weights sum to about one so that colours keep their brightness.
_KEY = np.array([-0.45, 0.6, 0.66])
_FILL = np.array([0.75, 0.1, 0.65])
_KEY_WEIGHT, _FILL_WEIGHT, _AMBIENT = 0.58, 0.18, 0.36


def sample_colors(
    mesh: Mesh, gbuffer: GBuffer, pixel_world: float, texture: MipTexture | None = None
) -> NDArray[np.float32]:
    """Return [S, 3] RGB in [0, 1] of the seen points: texture, else vertex colours, else clay.

    Args:
        mesh: the mesh that was cast.
        gbuffer: its visible points.
        pixel_world: width of a pixel in world units.
        texture: the mesh's texture with pyramid where one exists already.
    """
    texture = texture or texture_of(mesh)
    if texture is not None and mesh.uv is not None and mesh.faces_uv is not None:
        seen, index = np.unique(gbuffer.face, return_inverse=True)
        density = texels_per_world(
            mesh.vertices[mesh.faces[seen]],
            mesh.uv[mesh.faces_uv[seen]],
            texture.levels[0].shape[:2],
        )
        levels = pyramid_level(density, pixel_world / gbuffer.samples**0.5)
        return texture.sample(gbuffer.interpolate(mesh.uv, mesh.faces_uv), levels[index.ravel()])
    if mesh.colors is not None:
        return gbuffer.interpolate(mesh.colors, mesh.faces)
    return np.broadcast_to(np.array(CLAY, np.float32), (len(gbuffer.face), 3)).copy()


def _light(normals_camera: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return [S, 1] brightness of unit normals in the camera frame."""
    key = normals_camera @ (_KEY / np.linalg.norm(_KEY)).astype(np.float32)
    fill = normals_camera @ (_FILL / np.linalg.norm(_FILL)).astype(np.float32)
    # Wrapped cosine: folds in the shadow side stay readable.
    wrapped = np.clip((key + 0.25) / 1.25, 0, 1)
    shade: NDArray[np.float32] = _AMBIENT + _KEY_WEIGHT * wrapped + _FILL_WEIGHT * np.clip(fill, 0, 1)
    return shade[:, None]


def preview_colors(
    mesh: Mesh,
    camera: Camera,
    gbuffer: GBuffer,
    *,
    shading: bool = True,
    texture: MipTexture | None = None,
) -> NDArray[np.float32]:
    """Return [S, 3] RGB in [0, 1] of the seen points in studio light; arguments as of ``render_preview``."""
    pixel_world = 2 * camera.half_width_world / camera.zoom / camera.size
    colors = sample_colors(mesh, gbuffer, pixel_world, texture)
    if shading:
        normals = gbuffer.interpolate(mesh.vertex_normals(), mesh.faces)
        normals = normals @ np.asarray(camera.rotation, np.float32).T
        normals /= np.maximum(np.linalg.norm(normals, axis=1, keepdims=True), 1e-12)
        # An open sheet seen from behind is lit like its front.
        normals[~gbuffer.front] *= -1
        colors = colors * _light(normals)
    return np.clip(colors, 0, 1)


def render_preview(
    mesh: Mesh,
    camera: Camera,
    *,
    background: ArrayLike = (1.0, 1.0, 1.0),
    shading: bool = True,
    samples: int = 4,
    scene: RayScene | None = None,
    texture: MipTexture | None = None,
) -> NDArray[np.uint8]:
    """Return a picture [H, W, 3] uint8 RGB of a mesh.

    Args:
        mesh: texture, vertex colours or neither (clay).
        camera: the view (``fit_camera`` makes one for a mesh of unknown size).
        background: RGB in [0, 1].
        shading: False shows the plain colours.
        samples: rays per pixel.
        scene: the mesh's ray scene, when several views are wanted.
        texture: the mesh's texture pyramid, when several views are wanted.
    """
    gbuffer = render_gbuffer(mesh, camera, samples, scene=scene)
    colors = preview_colors(mesh, camera, gbuffer, shading=shading, texture=texture)
    image = gbuffer.resolve(colors, background)
    return np.rint(np.clip(image, 0, 1) * 255).astype(np.uint8)


def fit_camera(
    target: Mesh | ArrayLike,
    yaw_deg: float = 0.0,
    pitch_deg: float = 0.0,
    *,
    size: int = 512,
    margin: float = 1.08,
) -> Camera:
    """Return a camera that shows a whole mesh, or a whole box given as [2, 3] corners, in any unit."""
    bounds = np.asarray(getattr(target, "bounds", target), dtype=np.float64).reshape(2, 3)
    extent = bounds[1] - bounds[0]
    radius = max(float(np.hypot(extent[0], extent[2])) / 2, float(extent[1]) / 2, 1e-9)
    return Camera.at_yaw(
        yaw_deg, pitch_deg, center_world=bounds.mean(0), half_width_world=radius * margin, size=size
    )


def orbit_views(
    mesh: Mesh,
    yaws_deg: Sequence[float] = (0.0, 90.0, 180.0, 270.0),
    *,
    size: int = 512,
    box_world: ArrayLike | None = None,
    canonical: bool = False,
    samples: int = 4,
    shading: bool = True,
) -> list[NDArray[np.uint8]]:
    """Return pictures of a mesh turned by each yaw; the tree and the texture pyramid are built once.

    Args:
        mesh: any unit.
        yaws_deg: subject's turns, degrees.
        size: pixels.
        box_world: [2, 3] region to close up on (e.g. the head); the whole mesh without it.
        canonical: use the data set's camera instead of fitting one.
        samples: rays per pixel.
        shading: False shows the plain colours.
    """
    scene = RayScene(mesh.vertices, mesh.faces)
    texture = texture_of(mesh)
    target = mesh.bounds if box_world is None else box_world
    views = []
    for yaw in yaws_deg:
        camera = Camera.at_yaw(yaw, size=size) if canonical else fit_camera(target, yaw, size=size)
        views.append(
            render_preview(mesh, camera, samples=samples, shading=shading, scene=scene, texture=texture)
        )
    return views


def _wrapped(text: str, length: Callable[[str], float], width: float) -> list[str]:
    """Return the lines of a text that ``length`` measures to at most ``width``; longer words are cut."""
    lines = [""]
    for word in text.split():
        joined = f"{lines[-1]} {word}".strip()
        if length(joined) <= width:
            lines[-1] = joined
            continue
        if lines[-1]:
            lines.append("")
        for mark in word:
            if lines[-1] and length(lines[-1] + mark) > width:
                lines.append("")
            lines[-1] += mark
    return lines


def contact_sheet(
    images: Sequence[NDArray[np.uint8]],
    labels: Sequence[str] | None = None,
    columns: int = 4,
    *,
    gap: int = 6,
    background: int = 255,
) -> NDArray[np.uint8]:
    """Return images [H, W, 3] laid out in a grid, each with its label underneath; smaller ones are centred.

    Labels that are wider than a cell go on in a further line.

    Args:
        images: uint8, RGB or gray.
        labels: one text each, or None.
        columns: images per row.
        gap: pixels between images.
        background: gray level of the gaps.
    """
    from PIL import Image, ImageDraw, ImageFont

    if not images:
        return np.full((1, 1, 3), background, np.uint8)
    columns = max(1, min(columns, len(images)))
    cell_width = max(image.shape[1] for image in images)
    cell_height = max(image.shape[0] for image in images)
    font_size = int(np.clip(cell_width // 22, 13, 28))
    font = ImageFont.load_default(font_size)
    texts = [_wrapped(text, font.getlength, cell_width - 4) for text in (labels or ())[: len(images)]]
    line = font_size + 4
    strip = line * max(map(len, texts)) + 4 if texts else 0
    rows = -(-len(images) // columns)
    width = columns * (cell_width + gap) + gap
    sheet = Image.new("RGB", (width, rows * (cell_height + strip + gap) + gap), (background,) * 3)
    draw = ImageDraw.Draw(sheet)
    ink = (30, 30, 30) if background > 127 else (235, 235, 235)
    for index, image in enumerate(images):
        row, column = divmod(index, columns)
        left = gap + column * (cell_width + gap)
        top = gap + row * (cell_height + strip + gap)
        offset = (left + (cell_width - image.shape[1]) // 2, top + (cell_height - image.shape[0]) // 2)
        sheet.paste(Image.fromarray(np.ascontiguousarray(image)).convert("RGB"), offset)
        for number, text in enumerate(texts[index] if index < len(texts) else ()):
            draw.text((left + 2, top + cell_height + 2 + number * line), text, fill=ink, font=font)
    return np.asarray(sheet, np.uint8)
