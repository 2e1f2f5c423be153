"""Train one stage: from a set to checkpoints (``jiff train shape``, ``color-coarse``, ``color-fine``, ``person``, ``normals``)."""

from __future__ import annotations

import logging
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy
import torch
from lightning_fabric import Fabric

from jiff.base.config import save_resolved
from jiff.base.errors import UsageError
from jiff.base.files import make_folder, remove_leftovers
from jiff.base.progress import NullProgress
from jiff.data.cache_lease import CacheLease
from jiff.data.layout import ProcessedSet
from jiff.options.device import parse_device
from jiff.options.train import TrainConfig
from jiff.options.train_normals import NormalsTrainConfig
from jiff.options.train_person import PersonTrainConfig
from jiff.training.data import open_sets
from jiff.training.loop import Trainer
from jiff.training.normals_stage import build_normals, open_normals
from jiff.training.person_stage import build_person, open_people
from jiff.training.processes import leave_at_exit
from jiff.training.run_state import BEST_NAME, LATEST_NAME, STATE_NAME, remove_run
from jiff.training.stages import build_stage

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.data.dataset import TrainingSet
    from jiff.data.people_set import PeopleSet
    from jiff.options.training_run import TrainingRun
    from jiff.training.own_stage import OwnModule
    from jiff.training.stages import StageModule

__all__ = ["TrainConfig", "TrainReport", "train_stage"]


@dataclass(frozen=True)
class TrainReport:
    """What a training run gave.

    Attributes:
        folder: checkpoints and logs of the stage.
        latest, best: network files; ``best`` is the latest where nothing was validated.
        steps: optimiser steps done, earlier parts of a resumed run included.
        seconds: time spent in them.
        history: rows of the log.
        metrics, best_metrics: of the last and of the best validation.
        failures: sentences about subjects that were left out and files that were skipped.
        skipped: items that were passed over because of damaged files.
        interrupted: whether Ctrl-C ended the run before its time.
    """

    folder: Path
    latest: Path
    best: Path
    steps: int
    seconds: float
    history: list[dict[str, Any]] = field(default_factory=list)
    metrics: dict[str, float] = field(default_factory=dict)
    best_metrics: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    skipped: int = 0
    interrupted: bool = False


def bfloat16_is_fast() -> bool:
    """Return whether this processor multiplies bfloat16 in hardware."""
    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(bool(getattr(torch.cpu, name, lambda: False)()) for name in checks)


def _launched_processes() -> tuple[int, int] | None:
    """Return (processes per machine, machines) where torchrun has started this process, else None."""
    words = [os.environ.get(name, "") for name in ("TORCHELASTIC_RUN_ID", "LOCAL_WORLD_SIZE", "WORLD_SIZE")]
    if not all(words):
        return None
    local, world = int(words[1]), int(words[2])
    return local, max(1, world // local)


def make_fabric(config: TrainingRun) -> Fabric:
    """Return Fabric for the devices and precision that the options ask for.

    Raises:
        UsageError: a device that is not there, or a batch that does not divide by the devices.
    """
    choice, numbers = parse_device(config.device), list(parse_device(config.device).numbers)
    launched = _launched_processes()
    available = torch.cuda.device_count() if torch.cuda.is_available() else 0
    mps = torch.backends.mps.is_available()
    kind = choice.kind
    if kind == "auto":
        kind = "cuda" if available else "mps" if mps else "cpu"
    if (kind == "cuda" and max(numbers, default=0) >= available) or (kind == "mps" and not mps):
        raise UsageError(
            f"--device {config.device}: this machine has {available} CUDA devices; use cpu for the processor."
        )
    precision: Any = config.precision
    devices = list(range(launched[0] if launched else 1))
    if kind == "cuda":
        devices = numbers or devices
        if precision == "auto":
            precision = "bf16-mixed" if torch.cuda.is_bf16_supported() else "32"
    elif kind == "mps":
        devices, precision = [0], "32" if precision == "auto" else precision
    else:
        if precision == "auto":
            precision = "bf16-mixed" if bfloat16_is_fast() else "32"
        if precision == "16-mixed":
            raise UsageError("--precision 16-mixed needs CUDA; use bf16-mixed or 32 on the processor.")
    nodes = launched[1] if launched else config.num_nodes
    world = len(devices) * nodes
    if config.batch_size % world:
        raise UsageError(
            f"--batch-size {config.batch_size} must be a multiple of the {world} devices that share it."
        )
    with _quiet_fabric():
        return Fabric(
            accelerator=kind,
            devices=len(devices) if kind == "cpu" else devices,
            num_nodes=nodes,
            precision=precision,
            strategy="ddp" if world > 1 else "auto",
        )


@contextmanager
def _quiet_fabric() -> Iterator[None]:
    """Keep Fabric from printing the precision, which run.yaml holds, between our progress lines."""
    logger = logging.getLogger("lightning_fabric.utilities.rank_zero")
    level = logger.level
    logger.setLevel(logging.WARNING)
    try:
        yield
    finally:
        logger.setLevel(level)


@contextmanager
def _torch_state(config: TrainingRun) -> Iterator[None]:
    """Seed torch and set its threads for the length of a run, and put both back."""
    threads = torch.get_num_threads()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    with torch.random.fork_rng(devices=devices):
        try:
            if config.torch_threads:
                torch.set_num_threads(config.torch_threads)
            torch.manual_seed(config.seed)
            yield
        finally:
            torch.set_num_threads(threads)


def train_stage(
    config: TrainConfig | PersonTrainConfig | NormalsTrainConfig,
    progress: Progress,
    fabric: Fabric | None = None,
) -> TrainReport:
    """Train one stage, or go on with it.

    Args:
        config: all options.
        progress: receives the preparation, the training bar, warnings about skipped files.
        fabric: an already launched Fabric (tests and own launchers); made from the options otherwise.

    Raises:
        UsageError: a run of this name exists and neither --continue-train nor --overwrite is given.
        DatasetError: the processed set is missing, empty or lacks a stage.
        CheckpointError: an earlier stage is missing, or the run was made with another network.
        TrainingError: the loss is no number or explodes, or no item can be read.
        OutputError: the disk is full; the previous checkpoint survives.
    """
    if (config.folder / STATE_NAME).is_file() and not (config.continue_train or config.overwrite):
        raise UsageError(
            f"{config.folder}: holds a run already; go on with it by --continue-train, begin anew by --overwrite, or "
            "choose another --name."
        )
    # What this run maps stays until it ends, whatever other runs and cleanings do.
    lease_of = CacheLease(ProcessedSet(config.dataroot)) if isinstance(config, TrainConfig) else nullcontext()
    with _torch_state(config), lease_of as lease:
        if fabric is None:
            fabric = make_fabric(config)
            fabric.launch()
            if fabric.world_size > 1:
                leave_at_exit()
        if not fabric.is_global_zero:
            # One process speaks for all.
            progress = NullProgress()
        elif config.overwrite:
            remove_run(config.folder)
        module: StageModule | OwnModule
        items: TrainingSet | PeopleSet
        held_out: TrainingSet | PeopleSet | None
        if isinstance(config, PersonTrainConfig):
            module = build_person(config)
            items, held_out, left_out = open_people(config, progress)
        elif isinstance(config, NormalsTrainConfig):
            module = normals = build_normals(config)
            items, held_out, left_out = open_normals(config, normals.network.config)
        else:
            module = build_stage(config)
            with fabric.rank_zero_first(local=True):
                items, held_out, left_out = open_sets(config, module.network.config, progress)  # type: ignore[arg-type]
        if lease is not None:
            lease.hold(
                entry
                for opened in (items, held_out)
                if opened is not None
                for entry in opened.cache_entries()
            )
        if held_out is None and config.num_eval:
            named = ProcessedSet(config.dataroot).validation_subjects()
            why = "nobody whom val.txt holds out can be used" if named else "val.txt holds nobody out"
            progress.warn(f"{config.dataroot}: {why}, so validation is on training subjects.")
        if fabric.is_global_zero:
            # Half-written checkpoints of a run that was killed are as large as whole ones.
            remove_leftovers(make_folder(config.folder))
            _save_run(config, module.network.config, items, held_out, fabric)
        trainer = Trainer(config, fabric, module, items, held_out, progress, left_out)
        rows = trainer.run()
    return _report(trainer, rows, progress)


def _save_run(config: TrainingRun, architecture: Any, items: Any, held_out: Any, fabric: Fabric) -> None:
    save_resolved(
        config,
        config.folder / "run.yaml",
        network=architecture.to_dict(),
        data={
            "items": len(items),
            "fingerprint": items.data_fingerprint(),
            "subjects": items.subjects,
            "held_out": [] if held_out is None else held_out.subjects,
        },
        machine={
            "python": platform.python_version(),
            "torch": str(torch.__version__),
            "numpy": numpy.__version__,
            "device": str(fabric.device),
            "processes": fabric.world_size,
            "precision": str(fabric._precision.precision),
        },
    )


def _report(trainer: Trainer, rows: list[dict[str, Any]], progress: Progress) -> TrainReport:
    folder = trainer.folder
    best = folder / BEST_NAME
    if trainer.interrupted:
        progress.info(
            f"Stopped and saved at step {trainer.step} of {trainer.total_steps}; the same command with "
            "--continue-train goes on."
        )
    if trainer.skipped:
        progress.warn(f"{trainer.skipped} items were skipped because their files cannot be read.")
    return TrainReport(
        folder=folder,
        latest=folder / LATEST_NAME,
        best=best if best.is_file() else folder / LATEST_NAME,
        steps=trainer.step,
        seconds=trainer.seconds,
        history=rows,
        metrics=trainer.metrics,
        best_metrics=trainer.best_metrics,
        failures=trainer.failures,
        skipped=trainer.skipped,
        interrupted=trainer.interrupted,
    )
