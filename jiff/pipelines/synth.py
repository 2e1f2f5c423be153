"""Write free synthetic scans: clothed, textured people in the folder layout of THuman2.0."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jiff.base.files import make_folder, remove_leftovers
from jiff.options.synth import SynthConfig
from jiff.run.parallel import WorkReport, run_items
from jiff.run.plan import plan_work
from jiff.synthetic.scan_files import ScanJob, is_complete, warm_up, write_scan

if TYPE_CHECKING:
    from jiff.base.progress import Progress


def worker_gib(triangles: int) -> float:
    """Return the most memory of a process, GiB; measured 1.4 at 110,000 triangles and 4.4 at 400,000."""
    return round(0.4 + triangles / 100_000, 1)


def subject_name(index: int) -> str:
    """Return the name of person ``index``."""
    return f"synth_{index:04d}"


def run_synth(config: SynthConfig, progress: Progress) -> WorkReport:
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
        ScanJob(
            config.out / subject_name(i), config.seed, i, config.triangles, config.texture_size, config.poses
        )
        for i in range(config.count)
    ]
    plan = plan_work(config, [job.folder.name for job in jobs], worker_gib=worker_gib(config.triangles))
    own = set(plan.names)
    pending = [job for job in jobs if job.folder.name in own and (config.overwrite or not is_complete(job))]
    for job in pending:
        remove_leftovers(config.out, job.folder.name)
    if pending:
        # Once, before workers start, so that they do not all build the same cache.
        warm_up(config.triangles, config.texture_size)
    report = run_items(
        write_scan,
        [(job.folder.name, job) for job in jobs],
        plan=plan,
        progress=progress,
        title="Making people",
        is_complete=None if config.overwrite else is_complete,
    )
    report.outputs.append(str(config.out))
    return report
