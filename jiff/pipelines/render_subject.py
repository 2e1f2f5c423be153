"""All files of one subject of a processed set: views, UV maps and geometry."""

from __future__ import annotations

import shutil
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import pyexr

from jiff.base.errors import DatasetError, ImageError, InputError, MeshError
from jiff.base.files import atomic_path, remove_leftovers
from jiff.data.layout import ProcessedSet, parse_view_name
from jiff.data.param_io import write_param
from jiff.data.scans import scan_inputs
from jiff.geometry.camera import CANONICAL_HALF_WIDTH, Camera, rotation_y
from jiff.geometry.io.mesh_io import load_mesh, load_texture, save_image, save_mesh, texture_path_of
from jiff.render.gl import GlCaster
from jiff.render.prt_io import STAMP_FILE, Prt, bounce_folder, read_prt
from jiff.render.sh import environment_in_model_frame, rotate_sh
from jiff.render.shading import ShadedScan
from jiff.render.uvmaps import build_uv_maps
from jiff.run.stage import BEGUN, Stamp, Verdict, begin, finish, inputs_change, read_stamp, settings_change

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.options.render import RenderConfig
    from jiff.render.uvmaps import UvMaps

_LIGHT_TURN_DEG = 36.0
"""Range of the random turn of the environment about y: 0.2 pi as published, centred at 0."""
_FORMAT = 1
_HEIGHT_RANGE = (144.0, 216.0)
_TEXTURE_NAMES = ("material0.jpeg", "material0.jpg", "material0.png")


@dataclass(frozen=True)
class RenderTask:
    """One subject to draw.

    Attributes:
        subject: its name.
        scan: its mesh file.
        root: the processed set.
        views: names of the views.
        config: the options.
        environments: [N, 9, 3].
        threads: views drawn at once.
        settings: what decides the bytes of a view, besides the scan.
        recorded: the same of the set's earlier render, for subjects without a stamp of their own.
    """

    subject: str
    scan: Path
    root: Path
    views: tuple[str, ...]
    config: RenderConfig
    environments: NDArray[np.float64]
    threads: int = 1
    settings: dict[str, Any] = field(default_factory=dict)
    recorded: dict[str, Any] = field(default_factory=dict)


def view_files(task: RenderTask, view: str) -> list[Path]:
    """Return the files that make a view complete."""
    dataset, subject, config = ProcessedSet(task.root), task.subject, task.config
    files = [dataset.param(subject, view), dataset.mask(subject, view), dataset.render(subject, view)]
    if config.uv_render:
        files.append(dataset.uv_render(subject, view))
    if config.high_size:
        files += [dataset.render_hi(subject, view), dataset.mask_hi(subject, view)]
    return files


def subject_files(task: RenderTask) -> list[Path]:
    """Return the files that a subject has once."""
    dataset = ProcessedSet(task.root)
    getters = (dataset.geometry, dataset.uv_mask, dataset.uv_normal, dataset.uv_pos)
    return [get(task.subject) for get in getters]


def _present(files: list[Path], listings: dict[Path, set[str]]) -> bool:
    # One listing per folder: a set of 526 scans has a million files.
    for path in files:
        if path.parent not in listings:
            folder = path.parent
            listings[folder] = {entry.name for entry in folder.iterdir()} if folder.is_dir() else set()
        if path.name not in listings[path.parent]:
            return False
    return True


def missing_views(task: RenderTask) -> list[str]:
    """Return the views of which a file is absent."""
    listings: dict[Path, set[str]] = {}
    return [view for view in task.views if not _present(view_files(task, view), listings)]


def render_stamp(task: RenderTask, stored: dict[str, Any] | None) -> Stamp:
    """Return what decides the bytes of a subject; larger images and further views may be added later.

    Args:
        task: the subject.
        stored: the stamp it has, which knows the size of larger images that this run neither asks for nor changes.
    """
    known = ((stored or {}).get("settings") or {}).get("high_size", 0)
    high = known if not (task.config.high_size and known) else task.config.high_size
    transfer = bounce_folder(task.scan) / "bounce0.txt"
    inputs = {**scan_inputs(task.scan), "radiance transfer": transfer}
    return Stamp("render", _FORMAT, {**task.settings, "high_size": high}, inputs)


def is_complete(task: RenderTask) -> Verdict:
    """Tell whether all files of the subject are there and were drawn as this run would draw them."""
    there = _present(subject_files(task), {}) and not missing_views(task)
    stored = read_stamp(ProcessedSet(task.root).render_stamp(task.subject))
    if stored is None and there:
        told = settings_change(task.recorded, {k: v for k, v in task.settings.items() if k in task.recorded})
        return Verdict(not told, told)
    return render_stamp(task, stored).judge(stored, there)


def _clear_views(task: RenderTask) -> None:
    """Remove all views of a subject, those too that this run does not draw: no two views may be of different kinds."""
    dataset = ProcessedSet(task.root)
    begin(dataset.render_stamp(task.subject))
    getters = (
        dataset.param, dataset.mask, dataset.render, dataset.uv_render, dataset.render_hi, dataset.mask_hi
    )  # fmt: skip
    for get in getters:
        shutil.rmtree(get(task.subject, "0_0_00").parent, ignore_errors=True)


def load_scan(path: Path) -> Mesh:
    """Read a scan with its colours; ``material0.*`` beside it serves where no MTL names a texture.

    Raises:
        MeshError: damaged, not rescaled, or without texture coordinates.
        ImageError: without texture or vertex colours, or an unreadable texture.
    """
    mesh = load_mesh(path)
    if mesh.uv is None:
        raise MeshError(
            f"{path}: has no texture coordinates; run `jiff data rescale` on the scans first, which adds them."
        )
    if mesh.texture is None:
        beside = [path.with_name(name) for name in _TEXTURE_NAMES if path.with_name(name).is_file()]
        if beside:
            mesh = replace(mesh, texture=load_texture(beside[0]))
        elif mesh.colors is None:
            raise ImageError(
                f"{path}: has neither texture nor vertex colours; put its MTL and texture back beside it."
            )
    height = float(np.ptp(mesh.vertices[:, 1]))
    if not _HEIGHT_RANGE[0] <= height <= _HEIGHT_RANGE[1]:
        raise MeshError(
            f"{path}: is {height:.4g} units high along y where 180 are expected; run `jiff data rescale` first."
        )
    return mesh


def published_framing(mesh: Mesh) -> dict[str, Any]:
    """Return ``scale`` and ``center`` as the published renderer stores them: 180 / height; median x and z, middle y."""
    low, high = mesh.bounds
    center = np.median(mesh.vertices, axis=0)
    center[1] = 0.5 * (low[1] + high[1])
    return {"scale": np.float64(180.0 / (high[1] - low[1])), "center": center}


def _transfer(scan: Path, face_count: int) -> Prt:
    """Return the transfer beside a scan.

    Raises:
        InputError: it cannot be read, or the scan was turned or replaced since.
    """
    folder = bounce_folder(scan)
    stored = read_stamp(folder / STAMP_FILE)
    # Of the published script there is no stamp.
    told = inputs_change(stored, scan.parent) if stored else ""
    if told:
        raise InputError(
            f"{folder}: was made before {told.replace('its ', 'the ')}; run `jiff data prt` on the scans again."
        )
    return read_prt(folder, face_count)


def view_light(task: RenderTask, view: str) -> NDArray[np.float64]:
    """Return the [9, 3] environment of a view, camera frame; it depends on seed, subject and view alone."""
    config = task.config
    rng = np.random.default_rng(
        [config.seed, zlib.crc32(task.subject.encode()), *map(abs, parse_view_name(view))]
    )
    env = task.environments[rng.integers(len(task.environments))]
    turn = _LIGHT_TURN_DEG * (rng.random() - 0.5)
    if config.light_rotation is not None:
        turn = config.light_rotation
    return rotate_sh(env, rotation_y(np.radians(turn))) if turn else env


def _write_geometry(task: RenderTask, mesh: Mesh) -> None:
    """Put the scan into GEO, with MTL and texture, so that it can be opened in colour."""
    target = ProcessedSet(task.root).geometry(task.subject)
    if task.scan.suffix.lower() != ".obj":
        save_mesh(mesh, target)
        return
    libraries = [p for p in sorted(task.scan.parent.glob("*.mtl")) if p.is_file()]
    texture = texture_path_of(libraries)
    companions = [*libraries, *([texture] if texture is not None and texture.is_file() else [])]
    for source in companions:
        if source.parent == task.scan.parent:
            _copy(source, target.parent / source.name)
    _copy(task.scan, target)


def _copy(source: Path, target: Path) -> None:
    with atomic_path(target) as temporary:
        shutil.copyfile(source, temporary)


def _write_uv_maps(task: RenderTask, maps: UvMaps) -> None:
    dataset = ProcessedSet(task.root)
    with atomic_path(dataset.uv_pos(task.subject)) as temporary:
        pyexr.write(str(temporary), np.ascontiguousarray(maps.positions()))
    save_image(dataset.uv_normal(task.subject), maps.normal_image())
    save_image(dataset.uv_mask(task.subject), maps.mask())


def _draw_view(task: RenderTask, scan: ShadedScan, maps: UvMaps, framing: dict[str, Any], view: str) -> None:
    dataset, subject, config = ProcessedSet(task.root), task.subject, task.config
    yaw, pitch, _ = parse_view_name(view)
    camera = Camera.at_yaw(
        yaw,
        pitch,
        center_world=framing["center"],
        half_width_world=CANONICAL_HALF_WIDTH / float(framing["scale"]),
        size=config.size,
    )
    env = view_light(task, view)
    if config.high_size:
        frame = scan.render(camera.with_size(config.high_size), env, config.samples)
        save_image(dataset.mask_hi(subject, view), frame.mask)
        save_image(dataset.render_hi(subject, view), frame.image)
    if config.uv_render:
        save_image(
            dataset.uv_render(subject, view), maps.render(environment_in_model_frame(env, camera.rotation))
        )
    frame = scan.render(camera, env, config.samples)
    if not frame.mask.any():
        raise DatasetError(
            f"{task.scan}: view {view} shows nothing; run `jiff data rescale` on the scan first."
        )
    save_image(dataset.mask(subject, view), frame.mask)
    record = {"sh": env, "ortho_ratio": 0.4 * 512 / config.size, **framing, "R": camera.rotation}
    write_param(dataset.param(subject, view), record)
    save_image(dataset.render(subject, view), frame.image)


def _remove_leftovers(task: RenderTask) -> None:
    # Temporary files of a run that was killed; nobody else works on this subject now.
    for folder in {path.parent for path in subject_files(task) + view_files(task, task.views[0])}:
        remove_leftovers(folder)


def render_subject(task: RenderTask) -> int:
    """Draw what is missing of a subject and return the number of views drawn.

    Raises:
        InputError: scan, texture or PRT cannot be used.
        OutputError: the set cannot be written.
    """
    config = task.config
    _remove_leftovers(task)
    place = ProcessedSet(task.root).render_stamp(task.subject)
    stored = read_stamp(place)
    stamp = render_stamp(task, stored)
    # Begun with another stamp, or begun by clearing: what is there is of no use.
    begun = stored is not None and BEGUN in stored
    verdict = is_complete(task)
    cleared = bool(verdict.reason) or (begun and bool(stamp.change(stored or {})))
    foreign = stored is None and bool(ProcessedSet(task.root).has_views(task.subject)) and not cleared
    taken = stamp.taken(task.root)
    mesh = load_scan(task.scan)
    prt = _transfer(task.scan, len(mesh.faces))
    caster = None
    if config.egl:
        caster = GlCaster(mesh)
    scan = ShadedScan(mesh, prt, caster=caster)
    maps = build_uv_maps(mesh, prt, config.size, scan.texture)
    framing = published_framing(mesh)
    if cleared:
        _clear_views(task)
    if not foreign:
        taken["settings"]["high_size"] = config.high_size or taken["settings"]["high_size"]
        begin(place, taken)
    views = list(task.views) if config.overwrite else missing_views(task)
    cv2.setNumThreads(1)
    if task.threads == 1 or caster is not None:  # a GL context belongs to one thread
        for view in views:
            _draw_view(task, scan, maps, framing, view)
    else:
        with ThreadPoolExecutor(task.threads) as pool:
            list(pool.map(lambda view: _draw_view(task, scan, maps, framing, view), views))
    if caster is not None:
        caster.close()
    _write_uv_maps(task, maps)
    _write_geometry(task, mesh)
    if not foreign:
        finish(place, taken)
    return len(views)
