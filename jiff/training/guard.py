"""Watching a run: loss that is no number or explodes, loss that never beats a constant, and Ctrl-C."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

from torch import Tensor

_SMOOTHING = 0.98
_EXPLODED = 4.0
_FIRST_STEPS = 50


def constant_baseline(targets: Tensor) -> float:
    """Return the loss of the best constant answer: variance of labels [B, N], mean L1 to the mean colour [B, N, 3]."""
    if targets.ndim == 2:
        return float(targets.float().var(unbiased=False))
    flat = targets.float().flatten(0, 1)
    return float((flat - flat.median(dim=0).values).abs().mean())


class LossGuard:
    """Smoothed loss and what it tells."""

    def __init__(self, check_step: int = 200) -> None:
        self.check_step = check_step
        self.smooth: float | None = None
        self.reference: float | None = None
        self.baseline = 0.0
        self.recent = 0.0
        self._counted = 0

    def exploded(self, step: int, loss: float) -> bool:
        """Take in a loss; tell whether the smoothed loss is four times what it was at the start."""
        self.smooth = loss if self.smooth is None else _SMOOTHING * self.smooth + (1 - _SMOOTHING) * loss
        if step == _FIRST_STEPS or (self.reference is None and step > _FIRST_STEPS):
            self.reference = self.smooth
        return self.reference is not None and self.smooth > _EXPLODED * max(self.reference, 1e-3)

    def warning(self, step: int, body_loss: float, targets: Tensor) -> str | None:
        """Take in a step's body loss and targets; at ``check_step`` return a warning when a constant does as well."""
        if step < self.check_step * 3 // 4 or step >= self.check_step:
            return None
        self.baseline += constant_baseline(targets)
        self.recent += body_loss
        self._counted += 1
        if step != self.check_step - 1:
            return None
        if self.recent < 0.97 * self.baseline:
            return None
        return (
            f"After {self.check_step} steps the loss ({self.recent / self._counted:.4f}) is no better than that of a "
            f"constant answer ({self.baseline / self._counted:.4f}): likely causes are images and scans that do not "
            "match (look with `jiff train check`), a learning rate too high or too low, or scans with inverted faces."
        )


class InterruptGuard:
    """Turns the first Ctrl-C into a flag, so that a step is finished and saved; the second one interrupts at once."""

    def __init__(self) -> None:
        self.requested = False
        self._previous: Any = None

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested:
            raise KeyboardInterrupt
        self.requested = True

    def __enter__(self) -> InterruptGuard:
        if threading.current_thread() is threading.main_thread():
            self._previous = signal.signal(signal.SIGINT, self._handle)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._previous is not None:
            signal.signal(signal.SIGINT, self._previous)
