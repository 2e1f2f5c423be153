"""Write free synthetic scans: clothed, textured people in the folder layout of THuman2.0."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from jiff.batch import BatchOptions, plan_batch
from jiff.config import option
from jiff.data.synthetic.scan_files import ScanJob, is_complete, warm_up, write_scan
from jiff.errors import UsageError
from jiff.files import make_folder, remove_leftovers
from jiff.parallel import BatchReport, run_batch

if TYPE_CHECKING:
    from jiff.progress import Progress

LEAST_TRIANGLES = 35_000
LEAST_TEXTURE = 256


@dataclass(frozen=True)
class SynthConfig(BatchOptions):
    """What ``run_synth`` makes.

    Attributes:
        out: folder that receives one folder per person, ``synth_0000`` and so on.
        count: number of people.
        seed: decides them; person i depends on the seed and i alone.
        triangles: about how many per scan (at least 35,000; a long skirt or long hair adds some).
        texture_size: pixels a side, a power of two from 256 on.
        overwrite: make complete scans again too.
    """

    out: Path = option(help="Folder that receives one folder per person.", flags=("-o",))
    count: int = option(10, help="Number of people.", flags=("-n",))
    seed: int = option(0, help="Decides the people; person i depends on the seed and i alone.")
    triangles: int = option(150_000, help="About how many triangles per scan, from 35,000.")
    texture_size: int = option(2048, help="Side of the texture in pixels, a power of two.")
    overwrite: bool = option(False, help="Make complete scans again.")

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.count < 1:
            raise UsageError(f"-n {self.count}: at least one person must be made; give a positive number.")
        if self.seed < 0:
            raise UsageError(f"--seed {self.seed}: seeds start at 0; give a number that is not negative.")
        if not LEAST_TRIANGLES <= self.triangles <= 400_000:
            raise UsageError(
                f"--triangles {self.triangles}: people are made of {LEAST_TRIANGLES} to 400000 triangles; choose within."
            )
        size = self.texture_size
        if size < LEAST_TEXTURE or size > 8192 or size & (size - 1):
            raise UsageError(f"--texture-size {size}: must be a power of two from 256 to 8192, such as 2048.")


def worker_gib(triangles: int) -> float:
    """Return the most memory of a process, GiB; measured 1.4 at 110,000 triangles and 4.4 at 400,000."""
    return round(0.4 + triangles / 100_000, 1)


def subject_name(index: int) -> str:
    """Return the name of person ``index``."""
    return f"synth_{index:04d}"


def run_synth(config: SynthConfig, progress: Progress) -> BatchReport:
    """Write ``config.count`` synthetic scans, skipping those that are complete.

    Args:
        config: what to make.
        progress: one bar, a step per person.

    Returns:
        Per person its folder; what failed and why.

    Raises:
        AssetError: the body's data cannot be read.
        OutputError: the cache or the output folder cannot be written.
    """
    config = config.located()
    make_folder(config.out)
    jobs = [
        ScanJob(config.out / subject_name(i), config.seed, i, config.triangles, config.texture_size)
        for i in range(config.count)
    ]
    plan = plan_batch(config, [job.folder.name for job in jobs], worker_gib=worker_gib(config.triangles))
    own = set(plan.names)
    pending = [job for job in jobs if job.folder.name in own and (config.overwrite or not is_complete(job))]
    for job in pending:
        remove_leftovers(config.out, job.folder.name)
    if pending:
        # Once, before workers start, so that they do not all build the same cache.
        warm_up(config.triangles, config.texture_size)
    report = run_batch(
        write_scan,
        [(job.folder.name, job) for job in jobs],
        plan=plan,
        progress=progress,
        title="Making people",
        is_complete=None if config.overwrite else is_complete,
    )
    report.outputs.append(str(config.out))
    return report
