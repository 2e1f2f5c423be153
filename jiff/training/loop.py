"""The training loop: steps, logs, validation, checkpoints, resuming."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from jiff.base.errors import CheckpointError, OutputError, TrainingError
from jiff.base.threads import ThreadGovernor
from jiff.data.samplers import BatchOrder
from jiff.models.checkpoint import save_network
from jiff.training.compiled import compile_errors, compile_stage, keep_channels_last
from jiff.training.guard import InterruptGuard, LossGuard
from jiff.training.live import LiveState, LiveView
from jiff.training.loading import open_batches
from jiff.training.logs import Meters, RunLog
from jiff.training.observer import Observer
from jiff.training.optim import PUBLISHED_EPOCH_ITEMS, AveragedWeights, learning_rate, make_optimizer
from jiff.training.own_stage import OwnModule
from jiff.training.processes import Processes
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
from jiff.training.validation import score

if TYPE_CHECKING:
    from lightning_fabric import Fabric

    from jiff.base.progress import Progress
    from jiff.data.dataset import TrainingSet
    from jiff.data.people_set import PeopleSet
    from jiff.models.registry import Network
    from jiff.options.training_run import TrainingRun
    from jiff.training.stages import StageModule

FAILED_BATCH_NAME = "failed_batch.pt"
_NEIGHBOUR_SECONDS = 5.0
"""Shorter visits of other processes do not change the number of threads, and so not the last bits of a training."""


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
        config: TrainingRun,
        fabric: Fabric,
        module: StageModule | OwnModule,
        items: TrainingSet | PeopleSet,
        held_out: TrainingSet | PeopleSet | None,
        progress: Progress,
        failures: Sequence[str] = (),
    ) -> None:
        self.config, self.fabric, self.progress = config, fabric, progress
        self.module, self.items, self.held_out = module, items, held_out
        self.folder, self.data_fingerprint = config.folder, items.data_fingerprint()
        self.step, self.skipped, self.seconds = 0, 0, 0.0
        self.failures = list(failures)
        self.interrupted = False
        self.best_metrics: dict[str, float] = {}
        self.steps_per_epoch = -(-len(items) // (config.batch_size * config.accumulate))
        published = PUBLISHED_EPOCH_ITEMS * len(items.subjects)
        self.steps_per_published_epoch = -(-published // (config.batch_size * config.accumulate))
        self.total_steps = config.max_steps or config.num_epoch * self.steps_per_epoch
        self.guard = LossGuard()
        self.processes = Processes(fabric)
        module.network.to(fabric.device)
        if config.channels_last:
            keep_channels_last(module)
        module.move_frozen(fabric.device)
        optimizer = make_optimizer(config, module.network.parameters())
        self.average = AveragedWeights(module.network, config.ema) if config.ema else None
        if config.compile:
            compile_stage(module)
        self.observer = Observer(config, module, items, held_out, fabric.device, progress)
        self.wrapped, self.optimizer = fabric.setup(module, optimizer)
        self._resume()

    @property
    def metrics(self) -> dict[str, float]:
        """Of the last validation."""
        return self.observer.metrics

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
            meters = Meters()
            governor = ThreadGovernor(
                config.torch_threads or self.fabric.device.type != "cpu", _NEIGHBOUR_SECONDS
            )
            while self.step < self.total_steps:
                governor.tick()
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
                    row = self.processes.mean(row)
                    if log is not None:
                        log.add(self.step, row)
                    meters = Meters()
                epoch_ends = self.step % self.steps_per_epoch == 0
                last = self.step == self.total_steps
                stop = self.processes.any(
                    interrupt.requested or bool(deadline and time.monotonic() - began > deadline)
                )
                validate_now = self.step % config.val_every == 0 if config.val_every else epoch_ends
                validate_now = validate_now or last or stop
                preview_now = config.preview_every and (self.step % config.preview_every == 0 or last)
                save_now = self.step % config.freq_save == 0 or validate_now
                if validate_now or preview_now or save_now:
                    error = None
                    try:
                        if log is not None:
                            self._look(log, live.say, validate_now, save_now, bool(preview_now), epoch_ends)
                    except Exception as caught:  # noqa: BLE001 - raised below, once all processes know
                        error = caught
                    self.processes.check(error)
                if stop:
                    self.interrupted = interrupt.requested and not last
                    break
        if log is not None:
            log.close()
        return log.rows if log is not None else []

    def _look(
        self,
        log: RunLog,
        describe: Callable[[str], None],
        validating: bool,
        saving: bool,
        drawing: bool,
        epoch_ends: bool,
    ) -> None:
        """Validate, save and draw, in one process for all."""
        if validating:
            self.observer.validate(self.step, self.saved_network, log, describe)
        if saving:
            self._save(epoch_ends)
        if drawing:
            self.observer.preview(self.step, self.saved_network, log, describe)

    def _rate(self, step: int) -> float:
        return learning_rate(self.config, step, self.steps_per_published_epoch, self.total_steps)

    def _batches(self) -> Iterator[Any]:
        config = self.config
        order = BatchOrder(
            length=len(self.items),
            batch_size=config.batch_size,
            seed=config.seed,
            first_step=self.step * config.accumulate,
            last_step=self.total_steps * config.accumulate,
            serial=config.serial_batches,
            rank=self.fabric.global_rank,
            world=self.fabric.world_size,
        )
        return open_batches(
            self.items, order, config.num_threads, pin_memory=config.pin_memory, progress=self.progress
        )

    def _next_batch(self, batches: Iterator[Any]) -> Any:
        """Return the next batch on the device; where one process has none, all stop."""
        batch = error = None
        try:
            batch = next(batches)
        except Exception as caught:  # noqa: BLE001 - raised below, once all processes know
            error = caught
        self.processes.check(error)
        if batch is None:
            raise TrainingError("The batches of this run ended before its steps did.")
        self._note_failures(batch.failures)
        return batch.to(self.fabric.device)

    def _one_step(self, batches: Iterator[Any]) -> tuple[float, dict[str, float]]:
        """Do one optimiser step; returns the seconds waited for data, and the losses."""
        config = self.config
        for group in self.optimizer.param_groups:
            group["lr"] = self._rate(self.step)
        self.optimizer.zero_grad(set_to_none=True)
        waited, sums = 0.0, dict[str, float]()
        for part in range(config.accumulate):
            started = time.monotonic()
            batch = self._next_batch(batches)
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

    def _watch(self, values: dict[str, float], batch: Any) -> None:
        """Stop on a loss that is no number or explodes; warn when a constant answer would do as well."""
        loss = values["loss"]
        exploded = (
            loss != loss or loss in (float("inf"), float("-inf")) or self.guard.exploded(self.step, loss)
        )
        rank = self.processes.first(exploded)
        if rank is not None:
            self.processes.check(self._bad_batch(loss, batch) if rank == self.fabric.global_rank else None)
        # The targets of our own networks are distances and normals, which no constant answer is compared with.
        warning = None
        if not isinstance(self.module, OwnModule):
            warning = self.guard.warning(self.step, values.get("loss_body", loss), batch.targets)
        if warning:
            self.progress.warn(warning)

    def _bad_batch(self, loss: float, batch: Any) -> Exception:
        """Save the batch that broke the loss and return the error that says so."""
        path = self.folder / FAILED_BATCH_NAME
        tensors = {
            name: getattr(batch, name).cpu()
            for name in ("images", "calibs", "points_world", "targets")
            if hasattr(batch, name)
        }
        try:
            save_state(path, {"step": self.step, "subjects": batch.subjects, "views": batch.views, **tensors})
        except OutputError as error:
            return error
        return TrainingError(
            f"{path}: holds the batch at which the loss became {loss:.4g} (step {self.step}, "
            f"{', '.join(batch.subjects)}); go on from the last checkpoint with --continue-train and a lower "
            "--learning-rate or with --grad-clip 1."
        )

    def _save(self, epoch_ends: bool) -> None:
        network = self.saved_network
        save_network(self.folder / LATEST_NAME, network)
        if self.metrics and score(self.metrics) > score(self.best_metrics or {"iou": -1e9, "color_l1": 1e9}):
            self.best_metrics = dict(self.metrics)
            save_network(self.folder / BEST_NAME, network)
        state = self._state()
        save_state(self.folder / STATE_NAME, state)
        if epoch_ends:
            epoch = self.step // self.steps_per_epoch - 1
            save_epoch(self.folder, epoch, network, state, self.config.keep_last)

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
        self.observer.metrics, self.best_metrics = dict(state["metrics"]), dict(state["best_metrics"])
        self.guard.smooth, self.guard.reference = state["guard"]
        self.failures = list(dict.fromkeys([*state["failures"], *self.failures]))
        self.skipped = int(state["skipped"])
        self.progress.info(f"Going on with {path.parent} at step {self.step} of {self.total_steps}.")
