"""Options of ``jiff train normals``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option
from jiff.options.training_run import TrainingRun, with_default

_DATA, _NET, _AUG, _RUN = "Data", "Network", "Augmentation", "Run"


@dataclass(frozen=True)
class NormalsTrainConfig(TrainingRun):
    """One training run of a network of normals."""

    dataroot: Path = option(
        Path("normals"), help="Folder that `jiff data normals` wrote.", flags=("-i",), panel=_DATA
    )
    start: Path | None = option(
        None, help="Network of normals to start from; its channels count.", panel=_RUN
    )
    channels: tuple[int, ...] = option(
        (24, 48, 64, 96, 128), help="Channels of the network, per level.", panel=_NET
    )

    crop_size: int = option(
        256, help="Side of the crops in pixels: a multiple of 32, or of 2 to the power of the levels of other --channels.", min=8, max=512, panel=_AUG
    )  # fmt: skip
    random_flip: bool = option(True, help="Mirror half of the items.", panel=_AUG)
    lamps: float = option(
        0.85, help="Part of the items under a further lamp, valleys in the shade.", min=0, max=1, panel=_AUG
    )
    patterns: float = option(
        0.35, help="Part of the items over which a random pattern is laid.", min=0, max=1, panel=_AUG
    )
    shadows: float = option(
        0.5, help="Part of the items with shadows cast over them.", min=0, max=1, panel=_AUG
    )
    rough_masks: float = option(
        0.5, help="Part of the items whose mask is as rough as found ones.", min=0, max=1, panel=_AUG
    )
    tones: float = option(
        1.0, help="Strength of random changes of contrast, exposure, hue, blur and noise; 0 leaves photos as they are.",
        min=0, max=2, panel=_AUG,
    )  # fmt: skip

    max_steps: int = with_default("max_steps", 8000)
    batch_size: int = with_default("batch_size", 4)
    learning_rate: float = with_default("learning_rate", 2e-3)
    optimizer: Literal["auto", "rmsprop", "adam", "adamw"] = with_default("optimizer", "adamw")
    weight_decay: float = with_default("weight_decay", 1e-4)
    lr_schedule: Literal["step", "cosine"] = with_default("lr_schedule", "cosine")
    warmup_steps: int = with_default("warmup_steps", 100)
    grad_clip: float = with_default("grad_clip", 1.0)
    ema: float = with_default("ema", 0.998)
    val_every: int = with_default("val_every", 1000)
    val_items: int = with_default("val_items", 60)
    freq_plot: int = with_default("freq_plot", 20)
    freq_save: int = with_default("freq_save", 200)
    channels_last: bool = with_default("channels_last", True)

    @property
    def stage(self) -> str:
        """The kind of network."""
        return "normals"
