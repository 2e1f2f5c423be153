"""The training loop: steps, logs, validation, checkpoints, resuming."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from torch.utils.data import DataLoader

from jiff.base.errors import CheckpointError, OutputError, TrainingError
from jiff.data.dataset import TrainingSet
from jiff.data.sample import Batch, collate
from jiff.data.samplers import BatchOrder
from jiff.geometry.io.mesh_io import save_image
from jiff.models.checkpoint import save_network
from jiff.models.shape import ShapeNetwork
from jiff.training.compiled import compile_errors, compile_stage, keep_channels_last
from jiff.training.guard import InterruptGuard, LossGuard
from jiff.training.live import LiveState, LiveView
from jiff.training.logs import RunLog
from jiff.training.meshes import write_meshes
from jiff.training.optim import AveragedWeights, learning_rate, make_optimizer
from jiff.training.previews import draw_previews
from jiff.training.run_state import (
    BEST_NAME,
    LATEST_NAME,
    STATE_NAME,
    load_state,
    random_state,
    restore_random_state,
    save_epoch,
    save_state,
    state_to_resume,
)
from jiff.training.samples import write_samples
from jiff.training.validation import score, validate

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from jiff.base.progress import Progress
    from jiff.models.checkpoint import Network
    from jiff.options.train import TrainConfig
    from jiff.training.stages import StageModule

FAILED_BATCH_NAME = "failed_batch.pt"
_PREVIEWS = 2


def _begin_worker(worker: int) -> None:
    import signal

    import cv2

    # Ctrl-C reaches every process of the terminal; the main one decides what it means.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # A loader is one core's worth, like its torch threads.
    cv2.setNumThreads(1)


@dataclass
class _Meters:
    """Sums since the last row of the log."""

    steps: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    data_seconds: float = 0.0
    seconds: float = 0.0

    def add(self, values: dict[str, float], data_seconds: float, seconds: float) -> None:
        self.steps += 1
        self.data_seconds += data_seconds
        self.seconds += seconds
        for key, value in values.items():
            self.sums[key] = self.sums.get(key, 0.0) + value

    def means(self) -> dict[str, float]:
        row = {key: value / self.steps for key, value in self.sums.items()}
        row["seconds_per_step"] = self.seconds / self.steps
        row["data_share"] = self.data_seconds / max(self.seconds, 1e-9)
        return row


class Trainer:
    """One stage's run on the devices of ``fabric``.

    Attributes:
        step: optimiser steps done.
        failures: sentences about subjects left out and files that could not be read, each once; ``skipped`` counts
            the items.
        interrupted: whether Ctrl-C ended the run.
        metrics, best_metrics: of the last and of the best validation.
        seconds: time spent in this and earlier parts of the run.
    """

    def __init__(
        self,
        config: TrainConfig,
        fabric: Fabric,
        module: StageModule,
        items: TrainingSet,
        held_out: TrainingSet | None,
        progress: Progress,
        failures: Sequence[str] = (),
    ) -> None:
        self.config, self.fabric, self.progress = config, fabric, progress
        self.module, self.items, self.held_out = module, items, held_out
        self.folder, self.data_fingerprint = config.folder, items.data_fingerprint()
        self.step, self.skipped, self.seconds = 0, 0, 0.0
        self.failures = list(failures)
        self.interrupted = False
        self.metrics: dict[str, float] = {}
        self.best_metrics: dict[str, float] = {}
        self.steps_per_epoch = -(-len(items) // (config.batch_size * config.accumulate))
        self.total_steps = config.max_steps or config.num_epoch * self.steps_per_epoch
        self.guard = LossGuard()
        module.network.to(fabric.device)
        if config.channels_last:
            keep_channels_last(module)
        module.move_frozen(fabric.device)
        optimizer = make_optimizer(config, module.network.parameters())
        self.average = AveragedWeights(module.network, config.ema) if config.ema else None
        if config.compile:
            compile_stage(module)
        self.wrapped, self.optimizer = fabric.setup(module, optimizer)
        self._resume()

    @property
    def saved_network(self) -> Network:
        """The network that is validated and saved: the averaged one where there is one."""
        return self.average.network if self.average is not None else self.module.network  # type: ignore[return-value]

    def run(self) -> list[dict[str, Any]]:
        """Train until the steps or the minutes are used up, or Ctrl-C; returns the rows of the log."""
        config, main = self.config, self.fabric.is_global_zero
        log = RunLog(self.folder, self.step, config.tensorboard) if main else None
        began, deadline = time.monotonic(), config.max_minutes * 60
        name = config.stage.replace("_", " ")
        with InterruptGuard() as interrupt, self.progress.task(f"Training {name}", self.total_steps) as bar:
            bar.advance(self.step)
            live = LiveView(
                bar,
                self.steps_per_epoch,
                self.total_steps,
                config.batch_size * config.accumulate,
                self.fabric.device,
            )
            batches = iter(self._batches())
            meters = _Meters()
            while self.step < self.total_steps:
                started = time.monotonic()
                waited, values = self._one_step(batches)
                self.step += 1
                spent = time.monotonic() - started
                self.seconds += spent
                meters.add(values, waited, spent)
                live.advance()
                row = {**meters.means(), "learning_rate": self._rate(self.step - 1)}
                live.update(LiveState(self.step, row, self.metrics, self.best_metrics, self.skipped))
                if self.step % config.freq_plot == 0 or self.step == self.total_steps:
                    row = self._over_processes(row)
                    if log is not None:
                        log.add(self.step, row)
                    meters = _Meters()
                epoch_ends = self.step % self.steps_per_epoch == 0
                last = self.step == self.total_steps
                stop = self._agree(
                    interrupt.requested or bool(deadline and time.monotonic() - began > deadline)
                )
                validate_now = self.step % config.val_every == 0 if config.val_every else epoch_ends
                if validate_now or last or stop:
                    self._validate(log, live.say)
                if self.step % config.freq_save == 0 or validate_now or last or stop:
                    self._save(epoch_ends)
                if config.freq_save_ply and (self.step % config.freq_save_ply == 0 or last):
                    self._preview(log, live.say)
                if stop:
                    self.interrupted = interrupt.requested and not last
                    break
        if log is not None:
            log.close()
        return log.rows if log is not None else []

    def _agree(self, stop: bool) -> bool:
        """Stop on all processes when one wants to."""
        if self.fabric.world_size == 1:
            return stop
        wanting: Any = self.fabric.all_reduce(torch.tensor(float(stop)), reduce_op="sum")
        return bool(wanting > 0)

    def _over_processes(self, row: dict[str, float]) -> dict[str, float]:
        """Return the mean of a row over all processes."""
        if self.fabric.world_size == 1:
            return row
        values: Any = self.fabric.all_reduce(torch.tensor(list(row.values())), reduce_op="mean")
        return dict(zip(row, values.tolist()))

    def _rate(self, step: int) -> float:
        return learning_rate(self.config, step, self.steps_per_epoch, self.total_steps)

    def _batches(self) -> Iterator[Batch]:
        config, world = self.config, self.fabric.world_size
        order = BatchOrder(
            length=len(self.items),
            batch_size=config.batch_size,
            seed=config.seed,
            first_step=self.step * config.accumulate,
            last_step=self.total_steps * config.accumulate,
            serial=config.serial_batches,
            rank=self.fabric.global_rank,
            world=world,
        )
        if config.num_threads == 0:
            return (collate([self.items[pair] for pair in pairs]) for pairs in order)
        return iter(
            DataLoader(
                self.items,
                batch_sampler=order,  # type: ignore[arg-type]
                num_workers=config.num_threads,
                collate_fn=collate,
                pin_memory=config.pin_memory,
                worker_init_fn=_begin_worker,
                # Its own generator: the global one must not depend on how the data is loaded.
                generator=torch.Generator().manual_seed(config.seed),
            )
        )

    def _one_step(self, batches: Iterator[Batch]) -> tuple[float, dict[str, float]]:
        """Do one optimiser step; returns the seconds waited for data, and the losses."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        waited, sums = 0.0, dict[str, float]()
        for part in range(config.accumulate):
            started = time.monotonic()
            batch = next(batches)
            self._note_failures(batch.failures)
            batch = batch.to(self.fabric.device)
            waited += time.monotonic() - started
            accumulating = self.fabric.no_backward_sync(self.wrapped, enabled=part < config.accumulate - 1)
            with accumulating, compile_errors(config.compile):
                loss, parts = self.wrapped(batch)
                values = {
                    "loss": float(loss.detach()),
                    **{f"loss_{key}": float(value) for key, value in parts.items()},
                }
                self._watch(values, batch)
                self.fabric.backward(loss / config.accumulate)
            for key, value in values.items():
                sums[key] = sums.get(key, 0.0) + value / config.accumulate
        if config.grad_clip:
            self.fabric.clip_gradients(self.wrapped, self.optimizer, max_norm=config.grad_clip)
        self.optimizer.step()
        if self.average is not None:
            self.average.update(self.module.network, self.step)
        return waited, sums

    def _note_failures(self, failures: tuple[str, ...]) -> None:
        self.skipped += len(failures)
        for text in failures:
            if text not in self.failures:
                self.failures.append(text)
                self.progress.warn(f"Skipped an item: {text}")

    def _watch(self, values: dict[str, float], batch: Batch) -> None:
        """Stop on a loss that is no number or explodes; warn when a constant answer would do as well."""
        loss = values["loss"]
        exploded = (
            loss != loss or loss in (float("inf"), float("-inf")) or self.guard.exploded(self.step, loss)
        )
        if exploded:
            path = self.folder / FAILED_BATCH_NAME
            save_state(
                path,
                {
                    "step": self.step,
                    "subjects": batch.subjects,
                    "views": batch.views,
                    "images": batch.images.cpu(),
                    "calibs": batch.calibs.cpu(),
                    "points_world": batch.points_world.cpu(),
                    "targets": batch.targets.cpu(),
                },
            )
            raise TrainingError(
                f"{path}: holds the batch at which the loss became {loss:.4g} (step {self.step}, "
                f"{', '.join(batch.subjects)}); go on from the last checkpoint with --continue-train and a lower "
                "--learning-rate or with --grad-clip 1."
            )
        warning = self.guard.warning(self.step, values.get("loss_body", loss), batch.targets)
        if warning:
            self.progress.warn(warning)

    def _validate(self, log: RunLog | None, describe: Callable[[str], None]) -> None:
        config = self.config
        if log is None or not config.num_eval:
            return
        trained, self.module.network = self.module.network, self.saved_network
        try:
            measured: dict[str, float] = {}
            if self.held_out is not None and config.val_test_error:
                describe("validating")
                self.metrics = validate(
                    self.module, self.held_out, config.val_items, config.val_points, self.fabric.device
                )
                measured.update({f"val_{key}": value for key, value in self.metrics.items()})
            if config.val_train_error or (self.held_out is None and not self.metrics):
                plain = self.items.without_augmentation()
                found = validate(self.module, plain, config.val_items, config.val_points, self.fabric.device)
                measured.update({f"train_{key}": value for key, value in found.items()})
                if self.held_out is None:
                    self.metrics = found
            self._write_meshes()
        finally:
            self.module.network = trained
        if measured:
            log.add(self.step, measured)

    def _write_meshes(self) -> None:
        config, network = self.config, self.module.network
        if not isinstance(network, ShapeNetwork):
            return
        wanted = [("test", self.held_out if config.gen_test_mesh else None)]
        wanted += [("train", self.items.without_augmentation() if config.gen_train_mesh else None)]
        for name, items in wanted:
            if items is not None:
                folder = config.results_path / config.name / name
                count, resolution = config.num_gen_mesh_test, config.resolution
                write_meshes(network, items, count, resolution, folder, self.fabric.device, self.progress)

    def _save(self, epoch_ends: bool) -> None:
        if self.fabric.is_global_zero:
            network = self.saved_network
            save_network(self.folder / LATEST_NAME, network)
            if self.metrics and score(self.metrics) > score(
                self.best_metrics or {"iou": -1e9, "color_l1": 1e9}
            ):
                self.best_metrics = dict(self.metrics)
                save_network(self.folder / BEST_NAME, network)
            state = self._state()
            save_state(self.folder / STATE_NAME, state)
            if epoch_ends:
                epoch = self.step // self.steps_per_epoch - 1
                save_epoch(self.folder, epoch, network, state, self.config.keep_last)
        self.fabric.barrier()

    def _preview(self, log: RunLog | None, describe: Callable[[str], None]) -> None:
        """Draw a few items as the network sees them: into TensorBoard, as one PNG each, and the samples as a PLY."""
        if log is not None:
            describe("drawing previews")
            trained, self.module.network = self.module.network, self.saved_network
            try:
                items = self.held_out or self.items.without_augmentation()
                for name, picture in draw_previews(self.module, items, _PREVIEWS, self.fabric.device).items():
                    log.add_image(self.step, name, picture)
                    folder = self.config.results_path / self.config.name
                    save_image(folder / f"preview_{self.config.stage}_{name}.png", picture)
                self._write_samples()
            except OutputError as error:
                # Pictures are not worth a run.
                self.progress.warn(f"No preview: {error}")
            finally:
                self.module.network = trained
        self.fabric.barrier()

    @torch.no_grad()
    def _write_samples(self) -> None:
        batch = collate([self.items[(0, 0)]]).to(self.fabric.device)
        network = self.module.network
        training = network.training
        # In training mode batch norm would take in what is only looked at.
        network.eval()
        try:
            answer = self.module.answer(batch, batch.points_world)
        finally:
            network.train(training)
        values = answer.rgb[0] if self.config.stage != "shape" else answer.body[-1][0]
        path = self.config.results_path / self.config.name / f"pred_{self.config.stage}.ply"
        write_samples(path, batch.points_world[0].cpu().numpy(), values.float().cpu().numpy())

    def _state(self) -> dict[str, Any]:
        return {
            "step": self.step,
            "total_steps": self.total_steps,
            "seconds": self.seconds,
            "items": len(self.items),
            "data": self.data_fingerprint,
            "config": self.module.network.config.to_dict(),  # type: ignore[union-attr, operator]
            "network": self.module.network.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.network.state_dict() if self.average is not None else None,
            "random": random_state(self.fabric.device),
            "metrics": self.metrics,
            "best_metrics": self.best_metrics,
            "guard": [self.guard.smooth, self.guard.reference],
            "failures": list(self.failures),
            "skipped": self.skipped,
        }

    def _resume(self) -> None:
        config = self.config
        path = state_to_resume(self.folder, config.resume_epoch) if config.continue_train else None
        if path is None:
            return
        state = load_state(path)
        ours: Any = self.module.network.config
        # Options that came later have their defaults.
        if type(ours).from_dict(state["config"]) != ours:
            raise CheckpointError(
                f"{path}: was trained with another network; give the options of its run.yaml, or another --name."
            )
        if state["items"] != len(self.items):
            self.progress.warn(
                f"{path}: the data set had {state['items']} items and has {len(self.items)} now; the order of items "
                "differs from the first part of this run."
            )
        elif state.get("data", self.data_fingerprint) != self.data_fingerprint:
            self.progress.warn(
                f"{path}: scans or faces of the data set have changed since; going on with them."
            )
        self.module.network.load_state_dict(state["network"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average is not None:
            self.average.network.load_state_dict(state["average"] or state["network"])
        restore_random_state(state["random"], self.fabric.device)
        self.step, self.seconds = int(state["step"]), float(state["seconds"])
        self.metrics, self.best_metrics = dict(state["metrics"]), dict(state["best_metrics"])
        self.guard.smooth, self.guard.reference = state["guard"]
        self.failures = list(dict.fromkeys([*state["failures"], *self.failures]))
        self.skipped = int(state["skipped"])
        self.progress.info(f"Going on with {path.parent} at step {self.step} of {self.total_steps}.")
