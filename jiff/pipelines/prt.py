"""``jiff data prt``: radiance transfer of every scan of a folder, written beside each scan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from jiff.base.errors import UsageError
from jiff.base.files import remove_leftovers
from jiff.data.scans import find_scans
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.raycast import RayScene
from jiff.options.prt import PrtConfig
from jiff.render.prt import PrtSampling, compute_prt
from jiff.render.prt_io import BOUNCE_FOLDER, STAMP_FILE, bounce_folder, has_prt, write_prt
from jiff.run.parallel import add_not_taken, run_items
from jiff.run.plan import plan_work
from jiff.run.stage import Stamp, Verdict, read_stamp

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.run.parallel import WorkReport

_FORMAT = 1
WORKER_GIB = 0.5
"""Most memory of a process, measured on a scan of 470,000 triangles."""


@dataclass(frozen=True)
class PrtResult:
    """What one scan took.

    Attributes:
        vertices: number of vertices.
        rays: rays cast.
        seconds: time of ray casting alone.
    """

    vertices: int
    rays: int
    seconds: float


def prepare_prt(mesh_path: Path, config: PrtConfig, threads: int = 1) -> PrtResult:
    """Compute and write the PRT of one scan.

    Raises:
        MeshError: the scan cannot be read.
        OutputError: the folder beside it cannot be written.
    """
    sampling = PrtSampling(config.sampling, config.directions, config.seed)
    stamp = _stamp(mesh_path, config).taken(mesh_path.parent)
    remove_leftovers(mesh_path.parent, BOUNCE_FOLDER)
    mesh = load_mesh(mesh_path, texture=False)
    begin = perf_counter()
    prt = compute_prt(mesh, RayScene(mesh.vertices, mesh.faces), sampling, threads=threads)
    seconds = perf_counter() - begin
    write_prt(bounce_folder(mesh_path), prt, mesh.faces, stamp)
    return PrtResult(len(mesh.vertices), len(mesh.vertices) * sampling.rays, seconds)


def _stamp(mesh_path: Path, config: PrtConfig) -> Stamp:
    settings = {"directions": config.directions, "sampling": config.sampling, "seed": config.seed}
    return Stamp("prt", _FORMAT, settings, {"scan": mesh_path})


def _is_complete(mesh_path: Path, *, config: PrtConfig) -> Verdict:
    folder = bounce_folder(mesh_path)
    return _stamp(mesh_path, config).judge(read_stamp(folder / STAMP_FILE), has_prt(folder))


def run_prt(config: PrtConfig, progress: Progress) -> WorkReport:
    """Write ``bounce/bounce0.txt`` and ``bounce/face.npy`` beside every scan of a folder.

    Returns:
        The report; its results are ``PrtResult``.

    Raises:
        DatasetError: the folder holds no scans.
        UsageError: an unknown sampling, or scans that share one folder.
    """
    PrtSampling(config.sampling, config.directions)
    config = config.located()
    found = find_scans(config.input, may_lack=config.shard is not None)
    scans = found.scans
    folders = [path.parent for path in scans.values()]
    for path in scans.values():
        if folders.count(path.parent) > 1:
            raise UsageError(
                f"{path}: shares its folder with other scans, but PRT needs one folder per scan; "
                f"run `jiff data rescale -i {config.input} -o OUT` first and give OUT."
            )
    plan = plan_work(config, scans, worker_gib=WORKER_GIB)
    report = run_items(
        partial(prepare_prt, config=config, threads=plan.threads),
        list(scans.items()),
        plan=plan,
        progress=progress,
        title="Radiance transfer",
        is_complete=None if config.overwrite else partial(_is_complete, config=config),
    )
    add_not_taken(report, found.not_taken, plan, progress)
    report.outputs = [str(config.input)]
    return report
