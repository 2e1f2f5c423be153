"""Optimisers, learning-rate schedules as functions of the step, and averaged weights."""

from __future__ import annotations

import copy
import math
from typing import TYPE_CHECKING

import torch
from torch import nn

if TYPE_CHECKING:
    from collections.abc import Iterable

    from jiff.options.training_run import TrainingRun

PUBLISHED_EPOCH_ITEMS = 360
"""Items of a subject in a published epoch: every yaw, usable or not."""
_COSINE_FLOOR = 0.01
_WARMUP_START = 0.1


def make_optimizer(config: TrainingRun, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
    """Return the optimiser: RMSprop for shape and Adam for colour unless the options say otherwise."""
    kind = config.optimizer
    if kind == "auto":
        kind = "rmsprop" if config.stage == "shape" else "adam"
    parameters = list(parameters)
    if kind == "rmsprop":
        return torch.optim.RMSprop(parameters, lr=config.rate, weight_decay=config.weight_decay)
    cls = torch.optim.AdamW if kind == "adamw" else torch.optim.Adam
    # One kernel for all parameters: on the CPU half the time of a loop over them.
    fused = all(parameter.device.type in ("cpu", "cuda") for parameter in parameters)
    return cls(parameters, lr=config.rate, weight_decay=config.weight_decay, fused=fused)


def learning_rate(config: TrainingRun, step: int, steps_per_published_epoch: int, total_steps: int) -> float:
    """Return the learning rate of a step (from 0).

    ``step``: multiplied by gamma after each epoch of the schedule, counted from 0 and as long as published
    (``PUBLISHED_EPOCH_ITEMS``), so that it falls after the same number of steps on a set of any views.
    ``cosine``: half a cosine from the full rate to a hundredth of it at ``total_steps``.
    """
    rate = config.rate
    if config.warmup_steps and step < config.warmup_steps:
        rate *= _WARMUP_START + (1.0 - _WARMUP_START) * step / config.warmup_steps
    if config.lr_schedule == "cosine":
        start = config.warmup_steps
        part = min(1.0, max(0.0, (step - start) / max(1, total_steps - start)))
        return rate * (_COSINE_FLOOR + (1.0 - _COSINE_FLOOR) * 0.5 * (1.0 + math.cos(math.pi * part)))
    epoch = step // max(1, steps_per_published_epoch)
    return rate * config.gamma ** sum(1 for fall in config.schedule if epoch > fall)


class AveragedWeights:
    """An exponential average of a network's weights; young averages follow faster, so that none begins at random."""

    def __init__(self, network: nn.Module, decay: float) -> None:
        """Start at the network's present weights."""
        self.decay = decay
        self.network = copy.deepcopy(network).eval()
        self.network.requires_grad_(False)

    @torch.no_grad()
    def update(self, network: nn.Module, step: int) -> None:
        """Move towards ``network`` after step number ``step`` (from 0)."""
        decay = min(self.decay, (1 + step) / (10 + step))
        averaged = self.network.state_dict()
        for key, value in network.state_dict().items():
            if value.is_floating_point():
                averaged[key].lerp_(value.to(averaged[key].dtype), 1.0 - decay)
            else:
                averaged[key].copy_(value)
