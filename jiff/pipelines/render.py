"""``jiff data render``: images, masks, cameras, UV maps and geometry of every scan."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiff.base.errors import AssetError, UsageError
from jiff.base.files import remove_leftovers, write_text
from jiff.data.dataset_file import held_out_before, read_dataset_file, record_stage
from jiff.data.layout import ProcessedSet, view_name
from jiff.data.scans import find_scans
from jiff.options.render import RenderConfig
from jiff.pipelines.render_subject import RenderTask, is_complete, render_subject
from jiff.render.environments import generate_environments, load_environments
from jiff.render.gl import require_gl
from jiff.run.parallel import add_not_taken, run_items
from jiff.run.plan import plan_work

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jiff.base.progress import Progress
    from jiff.run.parallel import WorkReport

WORKER_GIB = 1.25
"""Most memory of a process, measured on a scan of 470,000 triangles with a texture of 8192 pixels."""


def view_names(config: RenderConfig) -> list[str]:
    """Return the names of a subject's views, pitch by pitch.

    Raises:
        UsageError: a yaw outside 0..359.
    """
    yaws = range(0, 360, config.yaw_step) if config.yaws is None else tuple(dict.fromkeys(config.yaws))
    if not yaws or any(not 0 <= yaw < 360 for yaw in yaws):
        raise UsageError(f"yaws {tuple(yaws)}: must be from 0 to 359 degrees; correct --yaws.")
    return [view_name(y, p, k) for p in config.pitches for y in yaws for k in range(config.lights)]


def choose_validation(
    subjects: Iterable[str], fraction: float, seed: int, kept: Iterable[str] = ()
) -> list[str]:
    """Return the held-out subjects, sorted: those ``kept``, and more by seeded order until the share is reached.

    A subject once held out stays so when the set grows. At least one is held out when ``fraction`` is above 0 and
    there are two subjects; at least one is left for training.
    """
    names = sorted(subjects)
    chosen = [name for name in sorted(set(kept)) if name in names]
    wanted = min(max(round(fraction * len(names)), 1 if fraction > 0 else 0), max(len(names) - 1, 0))
    order = sorted(names, key=lambda name: hashlib.blake2b(f"{seed}:{name}".encode()).digest())
    chosen += [name for name in order if name not in chosen][: max(wanted - len(chosen), 0)]
    return sorted(chosen)


def _settings(config: RenderConfig, environments_digest: str) -> dict[str, Any]:
    # What decides the bytes of a view; views, lights per view and optional outputs may be added later.
    return {
        "size": config.size,
        "samples": config.samples,
        "seed": config.seed,
        "light_rotation": config.light_rotation,
        "environments": environments_digest,
        "renderer": "gl" if config.egl else "rays",
    }


def _recorded(dataset: ProcessedSet) -> dict[str, Any]:
    """Return the settings of the set's earlier render, {} where none is recorded."""
    stages = read_dataset_file(dataset).get("stages", {})
    return dict(stages.get("render", {}).get("settings", {})) if isinstance(stages, dict) else {}


def _write_validation(
    config: RenderConfig, dataset: ProcessedSet, names: list[str], kept: list[str]
) -> list[str]:
    if config.val_subjects:
        chosen = sorted(set(config.val_subjects))
    else:
        chosen = choose_validation(names, config.val_fraction, config.seed, kept)
    write_text(dataset.val_list, "".join(f"{name}\n" for name in chosen))
    return chosen


def _with_gl(config: RenderConfig, progress: Progress) -> RenderConfig:
    """Return the options with ``egl`` only where it works; says aloud which renderer is used."""
    try:
        progress.info(f"Drawing with OpenGL on {require_gl()}")
    except AssetError as error:
        progress.warn(f"{error} Going on with ray casting.")
        return replace(config, egl=False)
    return config


def run_render(config: RenderConfig, progress: Progress) -> WorkReport:
    """Draw every scan of a folder into a processed set.

    Views are complete when all their files are, drawn with the same settings of the same scan; a run that was killed
    goes on where it stopped and ends with the same bytes. A scan that fails is reported and does not stop the others.

    Returns:
        The report; its results are view counts.

    Raises:
        DatasetError: the folder holds no scans.
        UsageError: options that contradict each other.
        InputError: the environment file cannot be read.
    """
    config = config.located()
    found = find_scans(config.input, may_lack=config.shard is not None)
    scans = found.scans
    missing = sorted(set(config.val_subjects) - set(scans))
    if missing and config.shard is None:
        raise UsageError(f"{config.input}: holds no scan named {', '.join(missing)}; correct --val-subjects.")
    if missing:
        # Another shard may still be making it.
        progress.warn(
            f"{config.input}: holds no scan named {', '.join(missing)} yet; see that --val-subjects is right."
        )
    if config.env_sh is not None:
        environments = load_environments(config.env_sh)
    else:
        environments = generate_environments(config.environments, config.seed)
    views = view_names(config)
    if config.egl:
        config = _with_gl(config, progress)
    dataset = ProcessedSet(Path(config.out))
    digest = hashlib.blake2b(environments.astype("<f8").tobytes(), digest_size=8).hexdigest()
    settings = _settings(config, digest)
    recorded = _recorded(dataset)
    plan = plan_work(config, scans, worker_gib=WORKER_GIB)
    shared = plan.shard is not None
    if not shared:
        remove_leftovers(dataset.root)
    kept = [] if config.overwrite else held_out_before(dataset, shared=shared)
    record_stage(dataset, "render", settings=settings, shared=shared)
    items = [
        (
            name,
            RenderTask(
                name, path, dataset.root, tuple(views), config, environments, plan.threads, settings, recorded
            ),
        )
        for name, path in scans.items()
    ]
    report = run_items(
        render_subject,
        items,
        plan=plan,
        progress=progress,
        title="Rendering",
        is_complete=None if config.overwrite else is_complete,
    )
    done = [name for name in plan.names if name not in report.failures]
    if done:
        counts = {name: {"views": len(dataset.views(name))} for name in done}
        record_stage(dataset, "render", subjects=counts, shared=shared)
        # A shard cannot know what the others render; all of them choose among the scans and write the same list.
        names = sorted({*dataset.subjects(), *scans}) if shared else dataset.subjects()
        held_out = _write_validation(config, dataset, names, kept)
        progress.info(f"{dataset.val_list}: {len(held_out)} of {len(names)} subjects held out")
    add_not_taken(report, found.not_taken, plan, progress)
    report.outputs = [str(dataset.root)]
    return report
