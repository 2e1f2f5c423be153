"""Is a subject of a processed set complete, readable and consistent with its scan?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import ImageError, InputError
from jiff.base.files import read_text
from jiff.check.item import CheckItem
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.param_io import read_param
from jiff.data.set_images import decode_image
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.closest import MeshBvh
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.raycast import RayScene
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

MIN_SILHOUETTE_IOU = 0.98
MAX_FACE_DISTANCE = (1.5, 4.0)
"""Largest median and 90th percentile of the face mesh's distance to the scan, world units (about cm)."""
_FOLDERS = {
    "RENDER": ".jpg",
    "MASK": ".png",
    "PARAM": ".npy",
    "UV_RENDER": ".jpg",
    "RENDER_1024": ".jpg",
    "MASK_1024": ".png",
}
_OPTIONAL = ("UV_RENDER", "RENDER_1024", "MASK_1024")
_ENDS = {".jpg": b"\xff\xd9", ".png": b"IEND\xaeB`\x82"}
_REDO = "delete its folder in RENDER and run `jiff data render` again"


@dataclass
class SubjectData:
    """What checking a subject leaves for its pictures.

    Attributes:
        views: names of the views that are complete.
        cameras: view -> camera at the size of its mask.
        mesh: the scan, None when unreadable.
        silhouettes: view -> [H, W] bool mesh silhouette of the views looked at.
        face: the face mesh, None when there is none.
        box_world: [2, 3] the face box, None when there is none.
    """

    views: list[str]
    cameras: dict[str, Camera]
    mesh: Mesh | None = None
    silhouettes: dict[str, NDArray[np.bool_]] | None = None
    face: Mesh | None = None
    box_world: NDArray[np.float64] | None = None


def read_pixels(path: Path, *, gray: bool = False) -> NDArray[np.uint8] | None:
    """Return [H, W, 3] RGB or [H, W] gray of an image file, None when it cannot be decoded."""
    import cv2

    try:
        image = decode_image(path, cv2.IMREAD_GRAYSCALE if gray else cv2.IMREAD_COLOR)
    except ImageError:
        return None
    return image if gray else np.ascontiguousarray(image[..., ::-1])


def _stems(folder: Path, suffix: str) -> set[str]:
    if not folder.is_dir():
        return set()
    return {p.stem for p in folder.iterdir() if p.suffix == suffix and not p.name.startswith(".")}


def _some(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _check_completeness(item: CheckItem, dataset: ProcessedSet) -> list[str]:
    """Return the views that are complete."""
    subject = item.name
    stems = {folder: _stems(dataset.root / folder / subject, suffix) for folder, suffix in _FOLDERS.items()}
    wanted = sorted(set().union(*stems.values()))
    for folder, present in stems.items():
        absent = [view for view in wanted if view not in present]
        if absent and (present or folder not in _OPTIONAL):
            item.reject(
                f"{folder} lacks {len(absent)} of {len(wanted)} views ({_some(absent)}); run `jiff data render` again."
            )
    for path in (
        dataset.geometry(subject),
        dataset.uv_mask(subject),
        dataset.uv_normal(subject),
        dataset.uv_pos(subject),
    ):
        if not path.is_file():
            item.reject(f"{path.relative_to(dataset.root)} is missing; run `jiff data render` again.")
    cut = []
    for folder, present in stems.items():
        end = _ENDS.get(_FOLDERS[folder])
        for stem in sorted(present) if end else ():
            path = dataset.root / folder / subject / f"{stem}{_FOLDERS[folder]}"
            if not _ends_with(path, end or b""):
                cut.append(f"{folder}/{stem}")
    if cut:
        item.reject(
            f"{len(cut)} images are cut off ({_some(cut)}); delete them and run `jiff data render` again."
        )
    item.facts["views"] = len(wanted)
    item.facts["optional"] = [folder for folder in _OPTIONAL if stems[folder]]
    required = [stems[f] for f in stems if f not in _OPTIONAL]
    return sorted(set.intersection(*required), key=parse_view_name) if wanted else []


def _ends_with(path: Path, end: bytes) -> bool:
    try:
        with path.open("rb") as handle:
            handle.seek(0, 2)
            handle.seek(max(handle.tell() - len(end), 0))
            return handle.read() == end
    except OSError:
        return False


def _check_cameras(item: CheckItem, dataset: ProcessedSet, views: list[str]) -> dict[str, Camera]:
    cameras: dict[str, Camera] = {}
    turned = []
    for view in views:
        try:
            record = read_param(dataset.param(item.name, view))
            camera = Camera.from_param(record)
            light = np.asarray(record.get("sh"), dtype=np.float64)
        except (InputError, TypeError, ValueError) as error:
            item.reject(str(error))
            continue
        if light.shape != (9, 3) or not np.isfinite(light).all():
            item.reject(f"PARAM of view {view} holds no [9, 3] light; {_REDO}.")
        yaw, pitch, _ = parse_view_name(view)
        if not np.allclose(camera.rotation, Camera.at_yaw(yaw, pitch).rotation, atol=1e-3):
            turned.append(view)
        cameras[view] = camera
    if turned:
        item.reject(
            f"The rotation in PARAM does not fit the name of {len(turned)} views ({_some(turned)}); {_REDO}."
        )
    return cameras


def _check_silhouettes(item: CheckItem, dataset: ProcessedSet, data: SubjectData, chosen: list[str]) -> None:
    if data.mesh is None:
        return
    scene = RayScene(data.mesh.vertices, data.mesh.faces)
    data.silhouettes = {}
    ious = {}
    for view in chosen:
        paths = (dataset.render(item.name, view), dataset.mask(item.name, view))
        if not all(_ends_with(path, _ENDS[path.suffix]) for path in paths):
            continue  # told already
        image, mask = read_pixels(paths[0]), read_pixels(paths[1], gray=True)
        if image is None or mask is None:
            damaged = paths[0] if image is None else paths[1]
            item.reject(f"{damaged.relative_to(dataset.root)} cannot be decoded; {_REDO}.")
            continue
        if mask.shape != image.shape[:2] or mask.shape[0] != mask.shape[1]:
            item.reject(
                f"{paths[1].relative_to(dataset.root)} is {mask.shape[1]} x {mask.shape[0]} pixels and its image "
                f"{image.shape[1]} x {image.shape[0]}, where both must be the same square; {_REDO}."
            )
            continue
        if not (mask > 127).any():
            item.reject(f"{paths[1].relative_to(dataset.root)} is empty; {_REDO}.")
            continue
        camera = data.cameras[view].with_size(mask.shape[0])
        data.cameras[view] = camera
        seen = render_gbuffer(data.mesh, camera, scene=scene).mask() > 0
        data.silhouettes[view] = seen
        union = int((seen | (mask > 127)).sum())
        ious[view] = int((seen & (mask > 127)).sum()) / union if union else 0.0
    if ious:
        worst = min(ious, key=lambda view: ious[view])
        item.facts["silhouette_iou"] = round(ious[worst], 5)
        if ious[worst] < MIN_SILHOUETTE_IOU:
            item.reject(
                f"In view {worst} the mesh's silhouette meets the mask with IoU {ious[worst]:.3f} only "
                f"(at least {MIN_SILHOUETTE_IOU}); the scan was changed after rendering, {_REDO}."
            )


def _check_face(item: CheckItem, dataset: ProcessedSet, data: SubjectData, required: bool) -> None:
    region, mesh_file = dataset.face_region(item.name), dataset.face_mesh(item.name)
    absent = [p for p in (region, mesh_file, dataset.file_number(item.name)) if not p.is_file()]
    item.facts["face"] = not absent
    if absent:
        if required or len(absent) < 3:
            names = ", ".join(str(p.relative_to(dataset.root)) for p in absent)
            item.reject(f"{names}: missing; run `jiff data face`.")
        return
    try:
        camera = next((c for v, c in data.cameras.items() if v.startswith("0_0_")), None)
        if camera is not None:
            box = FaceBox.from_region_file(region, camera.with_size(512))
            data.box_world = np.array([[box.xmin, box.ymin, box.zmin], [box.xmax, box.ymax, box.zmax]])
        data.face = load_mesh(mesh_file)
    except InputError as error:
        item.reject(str(error))
        return
    _check_usable_views(item, dataset)
    if data.mesh is None:
        return
    low, high = data.face.bounds
    corners = data.mesh.triangles
    near = ((corners.max(1) > low - 6) & (corners.min(1) < high + 6)).all(axis=1)
    if not near.any():
        item.reject(
            "The face mesh lies nowhere near the scan; run `jiff data face --overwrite` for this subject."
        )
        return
    distance = MeshBvh(data.mesh.vertices, data.mesh.faces[near]).closest(data.face.vertices).distance
    median, ninth = (float(np.percentile(distance, q)) for q in (50, 90))
    item.facts["face_distance"] = {"median": round(median, 3), "p90": round(ninth, 3)}
    if median > MAX_FACE_DISTANCE[0] or ninth > MAX_FACE_DISTANCE[1]:
        item.reject(
            f"The face mesh lies {median:.2f} units from the scan (median; 90% within {ninth:.2f}), more than "
            f"{MAX_FACE_DISTANCE[0]} and {MAX_FACE_DISTANCE[1]}; look at its overlay, run `jiff data face --overwrite` and `jiff data icp`."
        )
    if data.box_world is not None:
        middle = data.face.vertices[:, :2].mean(0)
        if not ((middle > data.box_world[0, :2]) & (middle < data.box_world[1, :2])).all():
            item.reject(
                "The face mesh lies outside its face box; run `jiff data face --overwrite` for this subject."
            )


def _check_usable_views(item: CheckItem, dataset: ProcessedSet) -> None:
    lines = read_text(dataset.file_number(item.name)).split()
    rendered = {parse_view_name(view)[0] for view in dataset.views(item.name)}
    unknown = [word for word in lines if not word.isdigit() or int(word) not in rendered]
    item.facts["usable_yaws"] = len(lines) - len(unknown)
    if unknown or not lines:
        item.reject(
            f"FILE_NUMBER lists {len(unknown)} yaws that were not rendered and {len(lines) - len(unknown)} that were; run `jiff data face --overwrite`."
        )


def check_subject(
    dataset: ProcessedSet, subject: str, *, silhouettes: int = 4, face: bool = False
) -> tuple[CheckItem, SubjectData]:
    """Examine one subject of a processed set.

    Args:
        dataset: the set.
        subject: its name.
        silhouettes: how many views are compared with the mesh, spread over the yaws.
        face: whether missing face files are a problem.
    """
    item = CheckItem(subject)
    views = _check_completeness(item, dataset)
    if item.facts["views"] == 0:
        item.reject("It has no views; run `jiff data render` again.")
    cameras = _check_cameras(item, dataset, views)
    data = SubjectData([view for view in views if view in cameras], cameras)
    if dataset.geometry(subject).is_file():
        try:
            data.mesh = load_mesh(dataset.geometry(subject), texture=False)
        except InputError as error:
            item.reject(str(error))
    chosen: list[Any] = data.views[:: max(1, len(data.views) // silhouettes)][:silhouettes]
    _check_silhouettes(item, dataset, data, chosen)
    _check_face(item, dataset, data, face)
    return item, data
