"""``jiff data render``: images, masks, cameras, UV maps and geometry of every scan."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiff.batch import BatchOptions, plan_batch
from jiff.config import option
from jiff.errors import AssetError, UsageError
from jiff.files import remove_leftovers
from jiff.parallel import run_batch

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jiff.data.layout import ProcessedSet
    from jiff.parallel import BatchReport
    from jiff.progress import Progress

_VIEWS, _LIGHT, _OUTPUT = "Views", "Light", "Output"
WORKER_GIB = 1.25
"""Most memory of a process, measured on a scan of 470,000 triangles with a texture of 8192 pixels."""


@dataclass(frozen=True)
class RenderConfig(BatchOptions):
    """Options of ``run_render``.

    Attributes:
        input: folder of rescaled scans with PRT.
        out: processed set to write.
        size: width and height of RENDER, MASK and the UV maps, pixels.
        high_size: width and height of the further images for fine colour, 0 for none.
        samples: rays per pixel.
        yaw_step: degrees between views.
        yaws: exactly these yaws (degrees) instead of steps.
        pitches: degrees.
        lights: pictures under different lights per view.
        env_sh: file of environments (N, 9, 3); generated ones without it.
        environments: how many to generate.
        light_rotation: turn of the environment about y in degrees; None draws it within 18 degrees.
        uv_render: whether UV_RENDER is written.
        egl: make the G-buffer with pyrender on a GPU.
        val_fraction: share of the subjects held out in ``val.txt``.
        val_subjects: hold out exactly these instead.
        seed: of lights and held-out subjects.
        overwrite: draw again what is complete.
    """

    input: Path = option(help="Folder of rescaled scans with PRT.", flags=("-i",))
    out: Path = option(help="Processed set to write.", flags=("-o", "--out-dir"))
    size: int = option(
        512, help="Width and height of RENDER, MASK and the UV maps, pixels.", flags=("-s",), min=16, max=4096,
        panel=_VIEWS,
    )  # fmt: skip
    high_size: int = option(
        1024, help="Width and height of the images for fine colour, pixels; 0 leaves them out.", min=0, max=8192,
        panel=_VIEWS,
    )  # fmt: skip
    samples: int = option(
        1, help="Rays per pixel (antialiasing).", flags=("-m", "--ms-rate"), min=1, max=256, panel=_VIEWS
    )
    yaw_step: int = option(1, help="Degrees between views; 1 makes 360.", min=1, max=360, panel=_VIEWS)
    yaws: tuple[int, ...] | None = option(None, help="Exactly these yaws, degrees, instead.", panel=_VIEWS)
    pitches: tuple[int, ...] = option((0,), help="Pitches, degrees.", panel=_VIEWS)
    lights: int = option(1, help="Pictures per view, each under its own light.", min=1, max=99, panel=_LIGHT)
    env_sh: Path | None = option(
        None, help="File of environments (N, 9, 3) in place of generated ones.", panel=_LIGHT
    )
    environments: int = option(128, help="How many environments to generate.", min=1, max=4096, panel=_LIGHT)
    light_rotation: float | None = option(
        None, help="Turn of the environment, degrees, 0 for none; drawn within 18 degrees without it.",
        flags=("--light-rotation-deg",), panel=_LIGHT,
    )  # fmt: skip
    uv_render: bool = option(True, help="Write UV_RENDER, the colour stages' targets.", panel=_OUTPUT)
    egl: bool = option(False, help="Use pyrender on a GPU (pip install 'jiff[gl]').", flags=("-e",))
    val_fraction: float = option(
        0.05, help="Share of subjects held out in val.txt.", min=0, max=1, panel=_OUTPUT
    )
    val_subjects: tuple[str, ...] = option((), help="Hold out exactly these subjects.", panel=_OUTPUT)
    seed: int = option(0, help="Seed of lights and held-out subjects.", min=0)
    overwrite: bool = option(False, help="Draw again what is complete.")

    def view_names(self) -> list[str]:
        """Return the names of a subject's views, pitch by pitch.

        Raises:
            UsageError: a yaw outside 0..359.
        """
        from jiff.data.layout import view_name

        yaws = range(0, 360, self.yaw_step) if self.yaws is None else tuple(dict.fromkeys(self.yaws))
        if not yaws or any(not 0 <= yaw < 360 for yaw in yaws):
            raise UsageError(f"yaws {tuple(yaws)}: must be from 0 to 359 degrees; correct --yaws.")
        return [view_name(y, p, k) for p in self.pitches for y in yaws for k in range(self.lights)]


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


def _agree(config: RenderConfig, dataset: ProcessedSet, settings: dict[str, Any]) -> None:
    from jiff.data.dataset_file import read_dataset_file

    stages = read_dataset_file(dataset).get("stages", {})
    before = stages.get("render", {}).get("settings", {}) if isinstance(stages, dict) else {}
    for name, value in settings.items():
        if not config.overwrite and name in before and before[name] != value:
            raise UsageError(
                f"{dataset.root}: was rendered with {name} {before[name]} where this run has {value}; "
                "give --overwrite or another -o."
            )


def _write_validation(
    config: RenderConfig, dataset: ProcessedSet, names: list[str], kept: list[str]
) -> list[str]:
    from jiff.files import write_text

    if config.val_subjects:
        chosen = sorted(set(config.val_subjects))
    else:
        chosen = choose_validation(names, config.val_fraction, config.seed, kept)
    write_text(dataset.val_list, "".join(f"{name}\n" for name in chosen))
    return chosen


def _with_gl(config: RenderConfig, progress: Progress) -> RenderConfig:
    """Return the options with ``egl`` only where it works; says aloud which renderer is used."""
    from jiff.render.gl import require_gl

    try:
        progress.info(f"Drawing with OpenGL on {require_gl()}")
    except AssetError as error:
        progress.warn(f"{error} Going on with ray casting.")
        return replace(config, egl=False)
    return config


def run_render(config: RenderConfig, progress: Progress) -> BatchReport:
    """Draw every scan of a folder into a processed set.

    Views are complete when all their files are; a run that was killed goes on where it stopped and ends with the
    same bytes. A scan that fails is reported and does not stop the others.

    Returns:
        The report; its results are view counts.

    Raises:
        DatasetError: the folder holds no scans.
        UsageError: options that contradict each other or the set on disk.
        InputError: the environment file cannot be read.
    """
    from jiff.data.dataset_file import held_out_before, record_stage
    from jiff.data.layout import ProcessedSet, find_scans
    from jiff.pipelines.render_subject import RenderTask, is_complete, render_subject
    from jiff.render.environments import generate_environments, load_environments

    config = config.located()
    scans = find_scans(config.input, may_lack=config.shard is not None)
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
    views = config.view_names()
    if config.egl:
        config = _with_gl(config, progress)
    dataset = ProcessedSet(Path(config.out))
    digest = hashlib.blake2b(environments.astype("<f8").tobytes(), digest_size=8).hexdigest()
    settings = _settings(config, digest)
    _agree(config, dataset, settings)
    plan = plan_batch(config, scans, worker_gib=WORKER_GIB)
    shared = plan.shard is not None
    if not shared:
        remove_leftovers(dataset.root)
    kept = [] if config.overwrite else held_out_before(dataset, shared=shared)
    record_stage(dataset, "render", settings=settings, shared=shared)
    items = [
        (name, RenderTask(name, path, dataset.root, tuple(views), config, environments, plan.threads))
        for name, path in scans.items()
    ]
    report = run_batch(
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
    report.outputs = [str(dataset.root)]
    return report
