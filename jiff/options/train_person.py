"""Options of ``jiff train person``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.options.training_run import TrainingRun

_DATA, _NET, _SAMPLES, _AUG, _RUN = "Data", "Network", "Sampling", "Augmentation", "Run"


@dataclass(frozen=True)
class PersonTrainConfig(TrainingRun):
    """One training run of a prior-held person network."""

    dataroot: Path = option(
        Path("photos"), help="Folder that `jiff data photos` wrote.", flags=("-i",), panel=_DATA
    )
    start: Path | None = option(None, help="Person network to start from.", panel=_RUN)

    view_channels: tuple[int, ...] = option(
        (24, 48, 96, 128, 160), help="Channels of the whole view's encoder, per level.", panel=_NET
    )
    head_channels: tuple[int, ...] = option(
        (24, 48, 72, 96), help="Channels of the close-up's encoder, per level.", panel=_NET
    )
    feature_dim: int = option(48, help="Channels of the whole view's feature.", min=1, panel=_NET)
    head_feature_dim: int = option(32, help="Channels of the close-up's feature.", min=1, panel=_NET)
    hidden: tuple[int, ...] = option((192, 192, 96), help="Widths of the hidden layers.", panel=_NET)
    body: bool = option(
        True, help="Learn from the fitted body (off: the picture alone, ablation).", panel=_NET
    )
    close_up: bool = option(True, help="Look at the head in a close-up (off: ablation).", panel=_NET)

    num_points: int = option(2500, help="Labelled points of an item.", min=1, panel=_SAMPLES)
    num_head_points: int = option(
        1200, help="Further labelled points around the head.", min=0, panel=_SAMPLES
    )
    num_colors: int = option(800, help="Coloured points of an item.", min=1, panel=_SAMPLES)
    num_head_colors: int = option(400, help="Further coloured points of the head.", min=0, panel=_SAMPLES)
    color_weight: float = option(3.0, help="Weight of the colour's error.", min=0, panel=_SAMPLES)

    random_flip: bool = option(True, help="Mirror half of the items.", panel=_AUG)
    tones: float = option(
        1.0, help="Strength of random changes of light, contrast and hue; 0 leaves photos as they are.", min=0, max=2,
        panel=_AUG,
    )  # fmt: skip
    prints: float = option(
        0.35,
        help="Part of the items over whose clothes and skin a random pattern is laid.",
        min=0,
        max=1,
        panel=_AUG,
    )
    cuts: float = option(
        0.08, help="Part of the items of which the photo shows the upper part only.", min=0, max=1, panel=_AUG
    )

    @property
    def stage(self) -> str:
        """The kind of network."""
        return "person"

    def network_values(self) -> dict[str, object]:
        """Return the values of ``PersonConfig`` that the options decide."""
        return {
            "view_channels": self.view_channels,
            "head_channels": self.head_channels if self.close_up else (),
            "feature_dim": self.feature_dim,
            "head_feature_dim": self.head_feature_dim,
            "hidden": self.hidden,
            "body": self.body,
        }
