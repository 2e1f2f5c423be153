"""Pictures of a run: predicted samples, meshes and face crops of a few items beside the truth."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch

from jiff.base.errors import ImageError, InputError, ReconstructionError
from jiff.data.layout import parse_view_name
from jiff.data.mesh_cache import cached_mesh
from jiff.data.sample import collate
from jiff.geometry.camera import Camera, rotation_y
from jiff.geometry.raycast import RayScene
from jiff.models.shape import ShapeNetwork
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import contact_sheet, render_preview
from jiff.training.meshes import predicted_mesh

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.data.dataset import TrainingSet
    from jiff.data.sample import Batch
    from jiff.geometry.mesh import Mesh
    from jiff.training.stages import StageModule

    Picture = NDArray[np.uint8]

_SIZE = 256
_BODY_CELLS = 96
_FACE_CELLS = 56
_SHOWN_POINTS = 2000
_MARGIN_WORLD = 10.0
_FACE_MARGIN = 1.2
_SIDE_RAD = np.pi / 2
_POINT_CHUNK = 20_000


@dataclass
class _Tiles:
    """Pictures with their captions, sheet by sheet."""

    samples: list[tuple[Picture, str]]
    mesh: list[tuple[Picture, str]]
    face: list[tuple[Picture, str]]


def preview_items(items: TrainingSet, count: int) -> list[int]:
    """Return at most ``count`` items of different subjects, each nearest to the front (the second, third ... turned)."""
    nearest: dict[str, tuple[float, int]] = {}
    for index in range(len(items)):
        subject, view = items.name_of(index)
        wanted = 30.0 * (len(nearest) if subject not in nearest else list(nearest).index(subject))
        if wanted >= 30.0 * count:
            break
        distance = abs((parse_view_name(view)[0] - wanted + 180.0) % 360.0 - 180.0)
        if subject not in nearest or distance < nearest[subject][0]:
            nearest[subject] = (distance, index)
    return [index for _, index in nearest.values()]


@torch.no_grad()
def draw_previews(
    module: StageModule, items: TrainingSet, count: int, device: torch.device
) -> dict[str, Picture]:
    """Return the sheets "samples", "mesh" and "face" (the last where there are faces), one row per item.

    Shape: predicted and true samples seen through the camera (red inside, blue outside); the predicted body from the
    camera and from the side, and the scan; the face by the fused answer, by the body branch alone, and the scan's.
    Colour: photo, true and predicted colours of samples; the seen surface in predicted colours, also in the face.

    Args:
        module: the stage; its network is left in the mode it came in.
        items: from ``TrainingSet(train=False)``.
        count: items.
        device: where the module is.
    """
    training = module.network.training
    module.network.eval()
    tiles = _Tiles([], [], [])
    try:
        for index in preview_items(items, count):
            _draw_item(module, items, index, device, tiles)
    finally:
        module.network.train(training)
    sheets = {}
    columns_face = 4 if isinstance(module.network, ShapeNetwork) else 2
    for name, columns in (("samples", 3), ("mesh", 4), ("face", columns_face)):
        pairs = getattr(tiles, name)
        if pairs:
            sheets[name] = contact_sheet([p for p, _ in pairs], [t for _, t in pairs], columns)
    return sheets


def _draw_item(
    module: StageModule, items: TrainingSet, index: int, device: torch.device, tiles: _Tiles
) -> None:
    sample = items[(0, index)]
    subject, view = sample.subject, sample.view
    batch = collate([sample]).to(device)
    camera = items.camera(subject, view).with_size(_SIZE)
    picture = _photo(sample.images[0].numpy())
    photo = _resized(picture, _SIZE)
    name = f"{subject} {view}"
    answer = module.answer(batch, batch.points_world)
    points = sample.points_world.numpy()
    if isinstance(module.network, ShapeNetwork):
        predicted, true = _label_colors(answer.fused()[0]), _label_colors(sample.targets)
    else:
        predicted, true = _unit_colors(answer.rgb[0]), _unit_colors(sample.targets)
    tiles.samples += [
        (photo, name),
        (_dots(photo, camera, points, true), "true samples"),
        (_dots(photo, camera, points, predicted), "predicted samples"),
    ]
    try:
        scan = cached_mesh(items.dataset, subject)
    except (InputError, ImageError):
        # A colour stage needs UV maps alone; then there is no mesh to show.
        return
    box = _face_camera(sample.face, camera)
    tiles.mesh.append((photo, name))
    if box is not None:
        tiles.face.append((_crop(picture, items.camera(subject, view), box), name))
    draw = _draw_shape if isinstance(module.network, ShapeNetwork) else _draw_color
    draw(module, batch, scan, camera, box, tiles)


def _draw_shape(
    module: StageModule,
    batch: Batch,
    scan: Mesh,
    camera: Camera,
    face: Camera | None,
    tiles: _Tiles,
) -> None:
    network = module.network
    if not isinstance(network, ShapeNetwork):
        raise TypeError("meshes are drawn of a shape network")
    low, high = scan.bounds
    bounds = np.stack([low - _MARGIN_WORLD, high + _MARGIN_WORLD])
    side = _from_the_side(camera)
    body = _surface(network, batch, bounds, _BODY_CELLS, True)
    tiles.mesh += [
        (_picture(body, camera), "predicted"),
        (_picture(body, side), "from the side"),
        (_picture(scan, camera), "scan"),
    ]
    if face is None:
        return
    reach = np.full(3, face.half_width_world)
    bounds = np.stack([face.center_world - reach, face.center_world + reach])
    tiles.face += [
        (_picture(_surface(network, batch, bounds, _FACE_CELLS, True), face), "predicted"),
        (_picture(_surface(network, batch, bounds, _FACE_CELLS, False), face), "body branch alone"),
        (_picture(scan, face), "scan"),
    ]


def _draw_color(
    module: StageModule,
    batch: Batch,
    scan: Mesh,
    camera: Camera,
    face: Camera | None,
    tiles: _Tiles,
) -> None:
    scene = RayScene(scan.vertices, scan.faces)
    side = _from_the_side(camera)
    tiles.mesh += [
        (_colored(module, batch, scan, scene, camera), "predicted"),
        (_colored(module, batch, scan, scene, side), "from the side"),
        (_picture(scan, camera), "scan"),
    ]
    if face is not None:
        tiles.face.append((_colored(module, batch, scan, scene, face), "predicted"))


def _surface(
    network: ShapeNetwork, batch: Batch, bounds: NDArray[np.float64], cells: int, face: bool
) -> Mesh | None:
    try:
        return predicted_mesh(network, batch, bounds, cells, face=face, coarse_resolution=cells // 2)
    except ReconstructionError:
        # Early in training there is no surface; the tile stays empty.
        return None


def _picture(mesh: Mesh | None, camera: Camera) -> Picture:
    if mesh is None:
        return np.full((camera.size, camera.size, 3), 255, np.uint8)
    return render_preview(mesh, camera, samples=2)


def _colored(module: StageModule, batch: Batch, scan: Mesh, scene: RayScene, camera: Camera) -> Picture:
    """Return what a camera sees of the scan in the colours that the network predicts."""
    seen = render_gbuffer(scan, camera, scene=scene)
    points = torch.from_numpy(seen.interpolate(scan.vertices, scan.faces)).to(batch.images.device)
    if len(points) == 0:
        return np.full((camera.size, camera.size, 3), 255, np.uint8)
    colors = [_unit_colors(module.answer(batch, part[None]).rgb[0]) for part in points.split(_POINT_CHUNK)]
    image = seen.resolve(np.concatenate(colors), (1.0, 1.0, 1.0))
    return np.rint(image * 255).astype(np.uint8)


def _from_the_side(camera: Camera) -> Camera:
    turned = np.asarray(rotation_y(_SIDE_RAD) @ camera.rotation)
    return Camera(turned, camera.center_world, camera.half_width_world, camera.size)


def _face_camera(face: object, camera: Camera) -> Camera | None:
    """Return the camera's close-up of the face box, None where there is no face."""
    vertices, box = np.asarray(face.vertices_world), np.asarray(face.box_world)  # type: ignore[attr-defined]
    if len(vertices) == 0:
        return None
    low = np.array([box[0], box[2], vertices[:, 2].min()], dtype=np.float64)
    high = np.array([box[1], box[3], vertices[:, 2].max()], dtype=np.float64)
    return Camera(
        camera.rotation, (low + high) / 2, float((high - low).max()) / 2 * _FACE_MARGIN, camera.size
    )


def _photo(image: NDArray[np.float32]) -> Picture:
    """Return a network image [3, S, S] as a picture on white."""
    rgb = image.transpose(1, 2, 0) * 0.5 + 0.5
    # The background of a network image is 0, gray; people are shown on white like the meshes.
    rgb[(image == 0).all(axis=0)] = 1.0
    return np.rint(np.clip(rgb, 0, 1) * 255).astype(np.uint8)


def _resized(picture: Picture, size: int) -> Picture:
    import cv2

    method = cv2.INTER_AREA if picture.shape[0] > size else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(picture, (size, size), interpolation=method), dtype=np.uint8)


def _crop(photo: Picture, camera: Camera, face: Camera) -> Picture:
    """Return the part of a camera's photo that its close-up sees, at the close-up's size."""
    import cv2

    ratio = camera.half_width_world / face.half_width_world * face.size / camera.size
    center = camera.world_to_pixel(face.center_world)
    # The cameras measure from the image's corner, OpenCV from the centre of the first pixel.
    shift = face.size / 2 - 0.5 - ratio * (center - 0.5)
    matrix = np.array([[ratio, 0.0, shift[0]], [0.0, ratio, shift[1]]])
    crop = cv2.warpAffine(
        photo, matrix, (face.size, face.size), flags=cv2.INTER_CUBIC, borderValue=(255, 255, 255)
    )
    return np.asarray(crop, dtype=np.uint8)


def _label_colors(labels: torch.Tensor) -> NDArray[np.float32]:
    inside = labels.float().clamp(0, 1).cpu().numpy()[:, None]
    red, blue = np.array([0.9, 0.2, 0.2], np.float32), np.array([0.2, 0.5, 1.0], np.float32)
    return np.asarray(inside * red + (1 - inside) * blue, dtype=np.float32)


def _unit_colors(colors: torch.Tensor) -> NDArray[np.float32]:
    return np.asarray((colors.float() * 0.5 + 0.5).clamp(0, 1).cpu().numpy(), dtype=np.float32)


def _dots(
    photo: Picture, camera: Camera, points_world: NDArray[np.float32], colors: NDArray[np.float32]
) -> Picture:
    """Return the photo, faded, with points as dots; nearer ones lie on top."""
    picture = (photo // 3 + 170).astype(np.uint8)
    shown = np.linspace(0, len(points_world) - 1, min(_SHOWN_POINTS, len(points_world))).astype(int)
    shown = shown[np.argsort(camera.world_to_ndc(points_world[shown])[:, 2])]
    pixels = np.floor(camera.world_to_pixel(points_world[shown])[:, :2]).astype(int)
    for dy, dx in ((0, 0), (0, 1), (1, 0), (1, 1)):
        x, y = pixels[:, 0] + dx, pixels[:, 1] + dy
        inside = (x >= 0) & (y >= 0) & (x < camera.size) & (y < camera.size)
        picture[y[inside], x[inside]] = np.rint(colors[shown][inside] * 255).astype(np.uint8)
    return picture
