"""``jiff data prt``: radiance transfer of every scan of a folder, written beside each scan."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from jiff.batch import BatchOptions, plan_batch
from jiff.config import option
from jiff.errors import UsageError
from jiff.files import remove_leftovers
from jiff.parallel import run_batch

if TYPE_CHECKING:
    from jiff.parallel import BatchReport
    from jiff.progress import Progress

_COSINE_NAMES = ("adaptive", "cosine")
WORKER_GIB = 0.5
"""Most memory of a process, measured on a scan of 470,000 triangles."""


@dataclass(frozen=True)
class PrtConfig(BatchOptions):
    """Options of ``run_prt``.

    Attributes:
        input: folder of scans.
        directions: n of the published n x n directions (``-n``); the default sampler casts n^2 / 16 rays per vertex.
        sampling: "cosine" (better and faster) or "uniform" (as published); "adaptive" is another name of "cosine".
        overwrite: compute again what is there.
        seed: of the sampling.
    """

    input: Path = option(help="Folder of scans.", flags=("-i",))
    directions: int = option(
        40, help="n of the published n x n directions; the default sampler casts n^2 / 16 rays per vertex.",
        flags=("-n",), min=2, max=512,
    )  # fmt: skip
    sampling: Literal["cosine", "uniform", "adaptive"] = option(
        "cosine", help="cosine is better and faster; uniform is the published one; adaptive is cosine."
    )
    overwrite: bool = option(False, help="Compute again what is there.")
    seed: int = option(0, help="Seed of the sampling.", min=0)


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
    from time import perf_counter

    from jiff.geometry.mesh_io import load_mesh
    from jiff.geometry.raycast import RayScene
    from jiff.render.prt import PrtSampling, compute_prt
    from jiff.render.prt_io import BOUNCE_FOLDER, bounce_folder, write_prt

    method = "cosine" if config.sampling in _COSINE_NAMES else config.sampling
    sampling = PrtSampling(method, config.directions, config.seed)
    remove_leftovers(mesh_path.parent, BOUNCE_FOLDER)
    mesh = load_mesh(mesh_path, texture=False)
    begin = perf_counter()
    prt = compute_prt(mesh, RayScene(mesh.vertices, mesh.faces), sampling, threads=threads)
    seconds = perf_counter() - begin
    write_prt(bounce_folder(mesh_path), prt, mesh.faces)
    return PrtResult(len(mesh.vertices), len(mesh.vertices) * sampling.rays, seconds)


def _is_complete(mesh_path: Path) -> bool:
    from jiff.render.prt_io import bounce_folder, has_prt

    return has_prt(bounce_folder(mesh_path))


def run_prt(config: PrtConfig, progress: Progress) -> BatchReport:
    """Write ``bounce/bounce0.txt`` and ``bounce/face.npy`` beside every scan of a folder.

    Returns:
        The report; its results are ``PrtResult``.

    Raises:
        DatasetError: the folder holds no scans.
        UsageError: an unknown sampling, or scans that share one folder.
    """
    from jiff.data.layout import find_scans
    from jiff.render.prt import PrtSampling

    PrtSampling("cosine" if config.sampling in _COSINE_NAMES else config.sampling, config.directions)
    config = config.located()
    scans = find_scans(config.input, may_lack=config.shard is not None)
    folders = [path.parent for path in scans.values()]
    for path in scans.values():
        if folders.count(path.parent) > 1:
            raise UsageError(
                f"{path}: shares its folder with other scans, but PRT needs one folder per scan; "
                f"run `jiff data rescale -i {config.input} -o OUT` first and give OUT."
            )
    plan = plan_batch(config, scans, worker_gib=WORKER_GIB)
    report = run_batch(
        partial(prepare_prt, config=config, threads=plan.threads),
        list(scans.items()),
        plan=plan,
        progress=progress,
        title="Radiance transfer",
        is_complete=None if config.overwrite else _is_complete,
    )
    report.outputs = [str(config.input)]
    return report
