"""What the training commands say at the end."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from jiff.pipelines.train import TrainConfig, TrainReport
    from jiff_cli.console import Console
