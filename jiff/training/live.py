"""What the user sees while a run goes on: the bar's note and the figures under it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

from jiff.training.memory import children, memory_bytes

if TYPE_CHECKING:
    from collections.abc import Mapping

    import torch

    from jiff.base.progress import Task

_MEMORY_EVERY_S = 5.0
_GIGA = 1e9
# Names of measures as people read them; the rest is shown only in the logs.
_MEASURES = {
    "iou": "IoU",
    "precision": "precision",
    "recall": "recall",
    "face_iou": "face IoU",
    "face_iou_body_branch": "face IoU, body branch",
    "color_l1": "colour error",
    "face_color_l1": "face colour error",
    "angle": "degrees",
}


def duration(seconds: float) -> str:
    """Return ``seconds`` as ``4 s``, ``2 min 05 s``, ``3 h 07 min`` or ``2 d 03 h``."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    if whole < 86400:
        return f"{whole // 3600} h {whole % 3600 // 60:02d} min"
    return f"{whole // 86400} d {whole % 86400 // 3600:02d} h"


def note(row: Mapping[str, float], metrics: Mapping[str, float]) -> str:
    """Return the short text beside the bar; it serves logs and pipes, which have no room for the figures."""
    words = []
    if "loss" in row:
        words.append(f"loss {row['loss']:.4f}")
        words += [f"{key[5:]} {row[key]:.4f}" for key in ("loss_body", "loss_face") if key in row]
        words.append(f"data {100 * row['data_share']:.0f}%")
    words += [
        f"{_MEASURES[key]} {metrics[key]:.3f}"
        for key in ("iou", "face_iou", "color_l1", "angle")
        if key in metrics
    ]
    return " ".join(words)


@dataclass(frozen=True)
class LiveState:
    """What is shown of a run after a step.

    Attributes:
        step: optimiser steps done.
        row: means since the last row of the log, and the learning rate.
        metrics, best: of the last and of the best validation, empty before the first.
        skipped: items passed over because of damaged files.
    """

    step: int
    row: Mapping[str, float]
    metrics: Mapping[str, float]
    best: Mapping[str, float]
    skipped: int


class LiveView:
    """Keeps the bar's note and the figures under it up to date.

    Args:
        task: the bar.
        steps_per_epoch, total_steps: lengths of an epoch and of the run.
        batch_size: items of a step, over all devices and accumulated parts.
        device: whose memory is shown, where it is a GPU.
    """

    def __init__(
        self, task: Task, steps_per_epoch: int, total_steps: int, batch_size: int, device: torch.device
    ) -> None:
        self.task, self.device = task, device
        self.steps_per_epoch, self.total_steps, self.batch_size = steps_per_epoch, total_steps, batch_size
        self._memory: dict[str, str] = {}
        self._memory_read = float("-inf")

    def advance(self) -> None:
        """Move on by one step."""
        self.task.advance()

    def say(self, text: str) -> None:
        """Show what is being done beside the bar."""
        self.task.describe(text)

    def update(self, state: LiveState) -> None:
        """Show a state."""
        self.task.describe(note(state.row, state.metrics))
        self.task.show(self.figures(state))

    def figures(self, state: LiveState) -> dict[str, dict[str, str]]:
        """Return the figures under the bar."""
        step, row, metrics = state.step, state.row, state.metrics
        losses = {"all": f"{row['loss']:.4f}"}
        for key, value in row.items():
            if key.startswith("loss_"):
                losses[key[5:].replace("_", " ")] = f"{value:.4f}"
        shown = {"Loss": losses}
        if metrics:
            shown["Validation"] = {
                name: f"{metrics[key]:.3f}" + (f" (best {state.best[key]:.3f})" if key in state.best else "")
                for key, name in _MEASURES.items()
                if key in metrics
            }
        seconds, share = row["seconds_per_step"], 100 * row["data_share"]
        shown["Time"] = {
            "step": f"{seconds:.2f} s",
            "data": f"{share:.0f} %",
            "compute": f"{100 - share:.0f} %",
            "items": f"{self.batch_size / max(seconds, 1e-9):.1f}/s",
            "left": duration(seconds * (self.total_steps - step)),
        }
        shown["Run"] = {
            "epoch": f"{step // self.steps_per_epoch + 1}, {100 * (step % self.steps_per_epoch) / self.steps_per_epoch:.0f} %",
            "an epoch takes": duration(seconds * self.steps_per_epoch),
            "learning rate": f"{row['learning_rate']:.2e}",
        }
        memory = self.memory()
        if memory:
            shown["Memory"] = memory
        if state.skipped:
            shown["Skipped"] = {"items": str(state.skipped)}
        return shown

    def memory(self) -> dict[str, str]:
        """Return the memory of this process, its data loaders and its GPU, read every few seconds."""
        now = time.monotonic()
        if now - self._memory_read >= _MEMORY_EVERY_S:
            self._memory_read = now
            own = memory_bytes()
            self._memory = {} if own is None else {"process": f"{own / _GIGA:.2f} GB"}
            loaders = [size for size in map(memory_bytes, children()) if size is not None]
            if loaders:
                self._memory["loaders"] = f"{sum(loaders) / _GIGA:.2f} GB in {len(loaders)}"
            if self.device.type == "cuda":
                import torch

                used = torch.cuda.max_memory_allocated(self.device)
                total = torch.cuda.get_device_properties(self.device).total_memory
                self._memory["GPU peak"] = f"{used / _GIGA:.1f} of {total / _GIGA:.0f} GB"
        return self._memory
