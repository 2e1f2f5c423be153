"""``jiff demo``: the whole job on free data, each stage by the same function as its own command."""

from __future__ import annotations

import resource
import shutil
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jiff.base.errors import JiffError
from jiff.base.files import make_folder, read_json, write_bytes, write_json
from jiff.data.layout import ProcessedSet
from jiff.options.align import AlignConfig
from jiff.options.check import CheckConfig
from jiff.options.demo import DemoConfig
from jiff.options.evaluate import EvalJiffConfig, EvalPifuConfig
from jiff.options.face import FaceConfig
from jiff.options.icp import IcpConfig
from jiff.options.metrics import MetricsConfig
from jiff.options.presets import preset_config
from jiff.options.prt import PrtConfig
from jiff.options.render import RenderConfig
from jiff.options.rescale import RescaleConfig
from jiff.options.synth import SynthConfig
from jiff.perception.files import ensure_networks
from jiff.pipelines.align import run_align
from jiff.pipelines.check import run_check
from jiff.pipelines.demo_config import DemoPaths
from jiff.pipelines.demo_held import held_stages
from jiff.pipelines.demo_report import write_report
from jiff.pipelines.demo_stage import Stage
from jiff.pipelines.evaluate import run_eval_jiff, run_eval_pifu
from jiff.pipelines.face import run_face
from jiff.pipelines.icp import run_icp
from jiff.pipelines.metrics import run_metrics
from jiff.pipelines.prt import run_prt
from jiff.pipelines.render import run_render
from jiff.pipelines.rescale import run_rescale
from jiff.pipelines.synth import run_synth, subject_name
from jiff.pipelines.train import train_stage
from jiff.run.parallel import WorkReport
from jiff.run.plan import default_jobs

if TYPE_CHECKING:
    from jiff.base.progress import Progress


def held_out_names(config: DemoConfig) -> tuple[str, ...]:
    """Return the names of the people kept for the test: the last ones."""
    return tuple(subject_name(index) for index in range(config.people - config.held_out, config.people))


def preparation_stages(config: DemoConfig, paths: DemoPaths) -> list[Stage]:
    """Return the stages from nothing to a checked processed set."""
    jobs = config.jobs
    return [
        Stage(
            "synth", "Synthetic scans", "data synth",
            SynthConfig(
                out=paths.scans, count=config.people, seed=config.seed, jobs=jobs, triangles=config.triangles,
                texture_size=config.texture_size, poses="standing",
            ),
            run_synth,
        ),
        Stage(
            "rescale", "Rescale", "data rescale",
            RescaleConfig(input=paths.scans, out=paths.rescaled, jobs=jobs), run_rescale,
        ),
        Stage("prt", "Radiance transfer", "data prt", PrtConfig(input=paths.rescaled, jobs=jobs), run_prt),
        Stage(
            "render", "Render", "data render",
            RenderConfig(
                input=paths.rescaled, out=paths.data, yaw_step=config.yaw_step, high_size=0,
                val_subjects=held_out_names(config), seed=config.seed, jobs=jobs,
            ),
            run_render,
        ),
        Stage(
            "face", "Fit the face model", "data face",
            FaceConfig(input=paths.data, detector_model=config.detector_model, jobs=jobs), run_face,
        ),
        Stage("icp", "Refine the fits", "data icp", IcpConfig(input=paths.data, jobs=jobs), run_icp),
        Stage("check", "Check the set", "data check", CheckConfig(root=paths.data), run_check),
    ]  # fmt: skip


def training_stages(config: DemoConfig, paths: DemoPaths) -> list[Stage]:
    """Return the three training stages."""
    steps = {
        "shape": config.shape_steps,
        "color_coarse": config.color_coarse_steps,
        "color_fine": config.color_fine_steps,
    }
    titles = {
        "shape": "Train shape",
        "color_coarse": "Train coarse colour",
        "color_fine": "Train fine colour",
    }
    stages = []
    for stage, count in steps.items():
        settings = preset_config(
            config.network,
            stage=stage,
            dataroot=paths.data,
            checkpoints_path=paths.checkpoints,
            results_path=paths.root / "training",
            name=paths.run_name,
            max_steps=count,
            seed=config.seed,
            device=config.device,
            continue_train=True,
            jobs=config.jobs,
        )
        command = f"train {stage.replace('_', '-')}"
        stages.append(Stage(stage, titles[stage], command, settings, train_stage))
    return stages


def evaluation_stages(config: DemoConfig, paths: DemoPaths) -> list[Stage]:
    """Return the published four-step test procedure and the measurements."""
    shared: dict[str, Any] = {
        "input": paths.test,
        "checkpoint": paths.run,
        "resolution": config.resolution,
        "device": config.device,
    }
    stages = [
        Stage("eval_pifu", "Reconstruct: PIFu", "eval pifu", EvalPifuConfig(out=paths.pifu, **shared), run_eval_pifu),
        Stage(
            "test_face", "Faces of the test images", "data face",
            FaceConfig(input=paths.test, detector_model=config.detector_model, jobs=config.jobs), run_face,
            essential=False,
        ),
        Stage(
            "align", "Align the faces", "eval align", AlignConfig(pifu=paths.pifu, test=paths.test), run_align,
            essential=False,
        ),
        Stage("eval_jiff", "Reconstruct: JIFF", "eval jiff", EvalJiffConfig(out=paths.jiff, **shared), run_eval_jiff, essential=False),
    ]  # fmt: skip
    for method, folder in (("pifu", paths.pifu), ("jiff", paths.jiff)):
        settings = MetricsConfig(pred=folder, gt=paths.data, out=paths.measured(method), seed=config.seed)
        stages.append(
            Stage(
                f"metrics_{method}",
                f"Measure {method.upper()}",
                "eval metrics",
                settings,
                run_metrics,
                essential=False,
            )
        )
    return stages


def copy_test_images(config: DemoConfig, paths: DemoPaths) -> None:
    """Copy the frontal image and mask of every held-out person into the test folder."""
    dataset = ProcessedSet(paths.data)
    make_folder(paths.test)
    for name in held_out_names(config):
        for source, target in (
            (dataset.render(name, "0_0_00"), paths.test / f"{name}.jpg"),
            (dataset.mask(name, "0_0_00"), paths.test / f"{name}_mask.png"),
        ):
            if source.is_file() and not target.is_file():
                write_bytes(target, source.read_bytes())


def peak_memory_mib(processes: int) -> float | None:
    """Return an upper bound of the memory used so far: this process and ``processes`` of its largest child.

    None where the system does not account for it.
    """
    if sys.platform == "win32":
        return None
    own = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    child = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
    unit = 1 if sys.platform == "darwin" else 1024
    return (own + processes * child) * unit / 2**20


class _Clock:
    """Seconds of each stage, added up over interrupted runs, kept in ``stages.json``."""

    def __init__(self, paths: DemoPaths, jobs: int) -> None:
        self._file = paths.times
        self._jobs = jobs
        self.record: dict[str, Any] = {"stages": {}, "peak_memory_mib": None}
        if self._file.is_file():
            self.record = read_json(self._file)

    def is_done(self, stage: Stage) -> bool:
        entry = self.record["stages"].get(stage.key)
        return bool(entry and entry["done"] and entry["command"] == stage.line)

    def note(self, stage: Stage, seconds: float, done: bool, failures: dict[str, str]) -> None:
        entry = self.record["stages"].get(stage.key)
        before = entry["seconds"] if entry and entry["command"] == stage.line and not entry["done"] else 0.0
        self.record["stages"][stage.key] = {
            "title": stage.title,
            "command": stage.line,
            "seconds": round(before + seconds, 2),
            "done": done,
            "failures": failures,
        }
        peak = peak_memory_mib(self._jobs)
        if peak is not None:
            self.record["peak_memory_mib"] = round(max(peak, self.record.get("peak_memory_mib") or 0.0))
        write_json(self._file, self.record)


def _failures_of(outcome: Any) -> dict[str, str]:
    """Return name -> sentence of what a stage could not use; a training names files, not items."""
    failures = getattr(outcome, "failures", {})
    if isinstance(failures, dict):
        return dict(failures)
    return {f"file {number}": sentence for number, sentence in enumerate(failures, 1)}


def _run_stage(
    stage: Stage, clock: _Clock, progress: Progress, total: WorkReport, held_out: tuple[str, ...]
) -> None:
    progress.info(f"$ {stage.line}")
    # What an earlier stage made anew, the later ones must see; they skip for themselves what is unchanged.
    if clock.is_done(stage) and not total.results:
        total.skipped.append(stage.key)
        return
    started = time.perf_counter()
    outcome: Any = None
    done, failures = False, {}
    try:
        outcome = stage.run(stage.config, progress)
        failures = _failures_of(outcome)
        # A training that Ctrl-C ended has saved itself and returns as if nothing had happened.
        done = not getattr(outcome, "interrupted", False)
    except JiffError as error:
        if stage.essential:
            raise
        failures = {"all": str(error)}
        progress.warn(f"{stage.title}: {error}")
    finally:
        clock.note(stage, time.perf_counter() - started, done, failures)
    if getattr(outcome, "interrupted", False):
        raise KeyboardInterrupt
    nothing = isinstance(outcome, WorkReport) and not outcome.results and not outcome.skipped
    if stage.essential and failures and nothing:
        name, reason = next(iter(failures.items()))
        raise JiffError(f"`{stage.line}`: nothing came through ({name}: {reason}).")
    total.results[stage.key] = stage.title
    for name, reason in failures.items():
        # A refused person of the training set costs one person, which the command has said; the demo itself is whole.
        if name in held_out or name == "all":
            total.failures[f"{stage.key} {name}"] = reason


def run_demo(config: DemoConfig, progress: Progress) -> WorkReport:
    """Run the whole job, keeping what an earlier run completed.

    Returns:
        Stages done and skipped, failed items of any stage, and the files to look at.

    Raises:
        JiffError: a stage got nothing done.
        KeyboardInterrupt: Ctrl-C, also where a stage saved its state and returned.
    """
    paths = DemoPaths(Path(config.out))
    make_folder(paths.root)
    clock = _Clock(paths, config.jobs or default_jobs())
    total = WorkReport()
    stages = preparation_stages(config, paths)
    for stage in stages:
        _run_stage(stage, clock, progress, total, held_out_names(config))
    copy_test_images(config, paths)
    later = training_stages(config, paths) + evaluation_stages(config, paths)
    if ensure_networks(progress) is not None:
        later += held_stages(config, paths)
    else:
        progress.info("Prior-held networks are left out: the networks that see people are not there.")
    for stage in later:
        _run_stage(stage, clock, progress, total, held_out_names(config))
    summary = write_report(config, paths, clock.record, [s.line for s in stages + later])
    for name in held_out_names(config):
        source = paths.jiff / f"{name}.glb"
        if source.is_file():
            shutil.copyfile(source, paths.root / f"{name}.glb")
            total.outputs.append(str(paths.root / f"{name}.glb"))
    for line in summary:
        progress.info(line)
    total.outputs += [str(paths.metrics), str(paths.report)]
    return total
