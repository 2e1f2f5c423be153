"""``jiff data rescale``: scans of any unit, axis and format to the frame of training."""

from __future__ import annotations

import math
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import DatasetError, ImageError, MeshError, UsageError
from jiff.base.files import make_folder, remove_leftovers
from jiff.data.scans import RESCALE_STAMP, find_scans, scan_inputs
from jiff.face.detect.detector import load_detector
from jiff.face.detect.facing import find_facing
from jiff.geometry.camera import BODY_HEIGHT_WORLD, CANONICAL_HALF_WIDTH, rotation_y
from jiff.geometry.io.mesh_io import read_surface
from jiff.geometry.io.obj_io import mesh_of
from jiff.geometry.io.obj_surface import baked_colors
from jiff.geometry.io.scan_writer import STEM, read_record, texture_name, write_scan
from jiff.geometry.mesh import Mesh
from jiff.geometry.orientation import feet_are_up, lies, up_axis, upright_rotation
from jiff.options.rescale import RescaleConfig
from jiff.render.prt_io import STAMP_FILE, bounce_folder
from jiff.run.parallel import add_not_taken, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict, begin, finish, read_stamp, settings_change

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.base.progress import Progress
    from jiff.face.detect.facing import Facing
    from jiff.geometry.io.obj_surface import Surface
    from jiff.run.parallel import WorkReport

_VERSION = 2
WORKER_GIB = 1.25
"""Most memory of a process, measured on a scan of 470,000 triangles with a texture of 8192 pixels."""


@dataclass(frozen=True)
class RescaleTask:
    """One scan to bring to the frame of training."""

    subject: str
    source: Path
    target: Path
    yaw_deg: float
    frontal: bool
    detector_model: Path | None = None
    up: str = "auto"


@dataclass(frozen=True)
class RescaleResult:
    """What was done to a scan.

    Attributes:
        height: of the scan in its own unit.
        up: its vertical axis, see ``upright_rotation``.
        turned_deg: by how much it was turned about the vertical axis.
        facing: where it faced before (from +z towards +x) and what says so, None when that was not asked.
        texture: file name of its texture, None when vertex colours alone colour it.
        baked: whether the texture was put together from several or from colours.
        notes: what was decided about the file, each half a sentence.
    """

    height: float
    up: str
    turned_deg: float
    facing: Facing | None
    texture: str | None
    baked: bool
    notes: tuple[str, ...] = ()


def scan_frame(
    vertices: NDArray[np.float64], up: str, yaw_deg: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the rotation [3, 3] and the similarity [3, 4] that bring a scan to the frame of training.

    World frame: y up, feet at y = 0, 180 units tall, x and z centred at the mean of the vertices.

    Args:
        vertices: [V, 3] in the scan's own frame.
        up: its vertical axis, see ``upright_rotation``.
        yaw_deg: turn about the vertical axis, from +z towards +x.

    Raises:
        MeshError: the scan has no height.
    """
    rotation = rotation_y(math.radians(yaw_deg)) @ upright_rotation(up)
    turned = vertices @ rotation.T
    height = float(np.ptp(turned[:, 1]))
    if not height > 1e-9 * max(1.0, float(np.abs(turned).max())):
        raise MeshError("has no height; see that it is a standing person.")
    scale = BODY_HEIGHT_WORLD / height
    center = turned.mean(axis=0)
    center[1] = turned[:, 1].min()
    return rotation, np.column_stack([scale * rotation, -scale * center])


def _colored(surface: Surface, path: Path) -> Surface:
    """Return the scan with a texture, baked from vertex colours where it has none.

    Raises:
        ImageError: it has neither.
    """
    if surface.texture is not None:
        return surface
    if surface.data.colors is None:
        raise ImageError(
            f"{path}: has neither texture nor vertex colours; put its MTL and texture back beside it."
        )
    baked = baked_colors(surface.data, surface.data.colors[surface.data.corners])
    return replace(baked, notes=surface.notes)


def rescale_scan(task: RescaleTask) -> RescaleResult:
    """Bring one scan to the frame of training and write it with its texture.

    Raises:
        MeshError, ImageError: the scan or its texture cannot be read.
        OutputError: the target cannot be written.
    """
    remove_leftovers(task.target.parent)
    stamp = _stamp(task).taken(task.target.parent.parent)
    surface = _colored(read_surface(task.source), task.source)
    data = surface.data
    earlier = read_record(task.source) or {}
    used = np.zeros(len(data.positions), bool)
    used[data.corners.ravel()] = True
    up = _up(task.up, earlier, mesh_of(data))
    # A scan that was rescaled before is turned by what is still missing.
    yaw = task.yaw_deg - float(earlier.get("yaw_deg", 0.0))
    facing = None
    try:
        rotation, matrix = scan_frame(data.positions[used], up, 0.0)
        if lies(data.positions[used] @ rotation.T):
            raise MeshError(
                "lies along another axis than y or z, or is not one standing person; give --up x (or another axis)."
            )
        upside_down = feet_are_up(Mesh(data.positions @ rotation.T, data.corners))
        # Detectors see faces in the folds of one that stands on its head.
        if task.frontal and not upside_down:
            facing = _facing(surface, rotation, task.detector_model)
            yaw = task.yaw_deg - facing.yaw_deg
        if yaw:
            rotation, matrix = scan_frame(data.positions[used], up, yaw)
    except MeshError as error:
        raise MeshError(f"{task.source}: {error}") from error
    height = float(np.ptp(data.positions[used] @ rotation[1]))
    whole = np.vstack([matrix, [0, 0, 0, 1]]) @ _square(earlier.get("world_from_scan"))
    data = replace(
        data,
        positions=data.positions @ matrix[:, :3].T + matrix[:, 3],
        normals=None if data.normals is None else data.normals @ rotation.T,
    )
    record = {
        "version": _VERSION,
        "yaw_deg": float(earlier.get("yaw_deg", 0.0)) + yaw,
        "asked_yaw_deg": task.yaw_deg,
        "frontal": task.frontal,
        "up": task.up,
        "world_from_scan": whole[:3].tolist(),
    }
    surface = replace(surface, data=data)
    if (yaw or up != "y") and not (bounce_folder(task.target) / STAMP_FILE).is_file():
        # Stamped transfer knows its scan. Published of the scan as it stood before would light it from the wrong side.
        shutil.rmtree(bounce_folder(task.target), ignore_errors=True)
    if stamp_path(task.target).is_file():
        begin(stamp_path(task.target))
    write_scan(surface, task.target, record, task.source)
    finish(stamp_path(task.target), stamp)
    baked = surface.source is None
    notes = [*surface.notes, *doubts(mesh_of(surface.data))]
    if upside_down:
        other = up.removesuffix("-down") if up.endswith("-down") else f"{up}-down"
        left = ", and its face was not looked for" if task.frontal else ""
        notes.append(f"its feet are up, as its legs show{left}; give --up {other}")
    return RescaleResult(height, up, yaw, facing, texture_name(surface.source), baked, tuple(notes))


def _up(asked: str, earlier: dict[str, Any], mesh: Mesh) -> str:
    """Return the axis that is to point up; a scan that was rescaled before stands unless another one is asked for now."""
    if earlier and asked in ("auto", earlier.get("up", "auto")):
        return "y"
    return up_axis(mesh) if asked == "auto" else asked


def doubts(mesh: Mesh) -> list[str]:
    """Return what makes a rescaled scan unfit for what follows, each half a sentence."""
    told = []
    reach = float(np.linalg.norm(mesh.vertices[np.unique(mesh.faces)][:, [0, 2]], axis=1).max())
    if reach > CANONICAL_HALF_WIDTH:
        told.append(
            f"it reaches {reach:.0f} units from its axis, and pictures show {CANONICAL_HALF_WIDTH:.0f}: arms held out are cut off"
        )
    return told


def _facing(surface: Surface, rotation: NDArray[np.float64], detector_model: Path | None) -> Facing:
    """Return where the scan faces once ``rotation`` has set it upright.

    Raises:
        MeshError: neither its face nor its feet tell.
    """
    mesh = mesh_of(surface.data)
    # Loose vertices belong to no foot and to no head.
    kept, faces = np.unique(mesh.faces, return_inverse=True)
    upright = Mesh(
        mesh.vertices[kept] @ rotation.T, faces.reshape(-1, 3), uv=mesh.uv, faces_uv=mesh.faces_uv,
        colors=None if mesh.colors is None else mesh.colors[kept], texture=surface.texture,
    )  # fmt: skip
    return find_facing(upright, load_detector(detector_model))


def _square(matrix: Any) -> NDArray[np.float64]:
    result = np.eye(4)
    if matrix is not None:
        result[:3] = np.asarray(matrix, dtype=np.float64).reshape(3, 4)
    return result


def stamp_path(target: Path) -> Path:
    """Return where a rescaled scan keeps with what it was made."""
    return target.with_name(RESCALE_STAMP)


def _stamp(task: RescaleTask) -> Stamp:
    settings = {"yaw_deg": task.yaw_deg, "frontal": task.frontal, "up": task.up}
    # In place the result is the scan from then on, also that of a loose file, which gets a folder of its own.
    in_place = task.target.parent in (task.source.parent, task.source.parent / task.subject)
    inputs = {} if in_place else scan_inputs(task.source)
    return Stamp("rescale", _VERSION, settings, inputs)


def is_rescaled(task: RescaleTask) -> Verdict:
    """Tell whether the target is there, with its companions, as the options ask."""
    record = read_record(task.target)
    if record is None or record.get("version") != _VERSION:
        return Verdict(False)
    asked = {"yaw_deg": record.get("asked_yaw_deg"), "frontal": record.get("frontal"), "up": record.get("up")}
    told = settings_change(asked, {"yaw_deg": task.yaw_deg, "frontal": task.frontal, "up": task.up})
    textures = [p for p in task.target.parent.glob(f"{STEM}.*") if p.suffix != ".mtl"]
    there = bool(textures) and task.target.with_name(f"{STEM}.mtl").is_file()
    if told:
        return Verdict(False, told)
    return _stamp(task).judge(read_stamp(stamp_path(task.target)), there)


def _tasks(config: RescaleConfig, scans: dict[str, Path]) -> list[tuple[str, RescaleTask]]:
    tasks = []
    for subject, source in scans.items():
        if config.out is not None:
            folder = config.out / subject
        else:
            # Files that lie side by side would share one texture name: each gets a folder of its own.
            folder = config.input / subject if source.parent == config.input else source.parent
        target = folder / f"{subject}.obj"
        task = RescaleTask(
            subject, source, target, config.yaw_deg, config.frontal, config.detector_model, config.up
        )
        tasks.append((subject, task))
    return tasks


def run_rescale(config: RescaleConfig, progress: Progress) -> WorkReport:
    """Bring every scan of a folder to the frame of training (``scan_frame``), colours included.

    Writes ``<subject>/<subject>.obj``, ``material0.mtl`` and the texture; a single texture is copied byte for byte,
    several materials or plain vertex colours are baked into one.

    Returns:
        The report; its results are ``RescaleResult``.

    Raises:
        DatasetError: the folder holds no scans.
        UsageError: the yaw is not a number.
    """
    if config.out is not None and config.out.resolve() == config.input.resolve():
        config = replace(config, out=None)
    if not math.isfinite(config.yaw_deg):
        raise UsageError(f"--yaw is {config.yaw_deg}; give it in degrees.")
    config = config.located()
    found = find_scans(config.input, may_lack=config.shard is not None)
    tasks = _tasks(config, found.scans)
    if len({task.target for _, task in tasks}) != len(tasks):
        raise DatasetError(f"{config.input}: two scans have the same name; rename one of them.")
    if config.shard is not None and config.out is not None:
        # The stages that follow in the same job must find the folder, though this shard may have nothing to put in.
        make_folder(config.out)
    plan = plan_work(config, [name for name, _ in tasks], worker_gib=WORKER_GIB)
    report = run_items(
        rescale_scan,
        tasks,
        plan=plan,
        progress=progress,
        title="Rescaling",
        is_complete=None if config.overwrite else is_rescaled,
    )
    for name, result in report.results.items():
        for line in _remarks(result):
            progress.info(f"{name}: {line}")
        for note in result.notes:
            progress.warn(f"{name}: {note}.")
        if result.facing is not None and result.facing.doubt is not None:
            progress.warn(f"{name}: {result.facing.doubt}; look at it, and give --yaw if it is wrong.")
    add_not_taken(report, found.not_taken, plan, progress)
    report.outputs = [str(config.out or config.input)]
    return report


def _remarks(result: RescaleResult) -> list[str]:
    """Return what a user should know was decided for a scan."""
    lines = []
    if result.up != "y":
        lines.append(f"{result.up} was up; it now stands along y.")
    if result.facing is not None:
        lines.append(
            f"faced {result.facing.yaw_deg:.0f} degrees from +z by {result.facing.reason}; "
            f"turned by {result.turned_deg:.0f} degrees."
        )
    if result.baked:
        lines.append(f"its colours were baked into {result.texture}.")
    return lines
