"""Options of the networks: their size, and single parts of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from jiff.base.config import option

_NET = "Network"

MODEL_FIELDS = (
    "norm", "num_stack", "num_hourglass", "skip_hourglass", "hg_down", "hourglass_dim", "mlp_dim", "mlp_dim_3d",
    "mlp_dim_joint", "no_residual", "face_branch", "branch_3d", "joint_head", "single_head",
)  # fmt: skip
COLOR_FIELDS = (
    "norm_color", "mlp_dim_color", "mlp_dim_color_fine", "mlp_dim_3d_color", "mlp_dim_joint_color", "use_tanh",
    "color_loss_type", "no_residual", "face_branch", "branch_3d", "joint_head", "single_head",
)  # fmt: skip
"""What of these the shape network and the colour networks have."""


@dataclass(frozen=True, kw_only=True)
class NetworkOptions:
    """Options of a network that is trained; None leaves a part as ``network`` has it."""

    network: Literal["paper", "demo", "tiny"] = option(
        "paper", help="Size of the networks; the options below change single parts of it.", panel=_NET
    )
    face_branch: bool | None = option(
        None, help="Learn from the face prior; without it the networks are plain PIFu.", panel=_NET
    )
    branch_3d: bool | None = option(
        None,
        help="3D branch of the face head (off: the 2D branch answers alone, ablation).",
        aliases=("--face-3d",),
        panel=_NET,
    )
    joint_head: bool | None = option(
        None,
        help="Joint branch of the face head (off: the mean of the 2D and the 3D branch answers, ablation).",
        panel=_NET,
    )
    single_head: bool | None = option(
        None,
        help="One MLP on the concatenated features for the three branches of the face head (ablation).",
        panel=_NET,
    )
    num_stack: int | None = option(None, help="Hourglass stacks.", min=1, panel=_NET)
    num_hourglass: int | None = option(None, help="Depth of a hourglass.", min=1, panel=_NET)
    hourglass_dim: int | None = option(None, help="Channels of the image feature.", min=1, panel=_NET)
    skip_hourglass: bool | None = option(None, help="Hand the stem feature to the pixel feature.", panel=_NET)
    hg_down: Literal["ave_pool", "conv64", "conv128"] | None = option(
        None, help="How the stem halves the image.", panel=_NET
    )
    norm: Literal["batch", "group", "instance"] | None = option(
        None, help="Normalisation of the shape encoder.", panel=_NET
    )
    norm_color: Literal["batch", "group", "instance"] | None = option(
        None, help="Normalisation of the colour encoders.", panel=_NET
    )
    mlp_dim: tuple[int, ...] | None = option(None, help="Channels of the body MLP.", panel=_NET)
    mlp_dim_3d: tuple[int, ...] | None = option(
        None, help="Channels of the face head's 3D branch.", panel=_NET
    )
    mlp_dim_joint: tuple[int, ...] | None = option(None, help="Channels of its joint branch.", panel=_NET)
    mlp_dim_color: tuple[int, ...] | None = option(
        None, help="Channels of the coarse colour MLP.", panel=_NET
    )
    mlp_dim_color_fine: tuple[int, ...] | None = option(
        None, help="Channels of the fine colour MLP.", panel=_NET
    )
    mlp_dim_3d_color: tuple[int, ...] | None = option(
        None, help="Channels of the fine face head's 3D branch.", panel=_NET
    )
    mlp_dim_joint_color: tuple[int, ...] | None = option(
        None, help="Channels of its joint branch.", panel=_NET
    )
    use_tanh: bool | None = option(None, help="tanh after the colour encoders.", panel=_NET)
    no_residual: bool | None = option(
        None, help="Body MLPs do not see their input again before every layer.", panel=_NET
    )
    color_loss_type: Literal["l1", "mse"] | None = option(None, help="Loss of the colour stages.", panel=_NET)

    def model_overrides(self, stage: str) -> dict[str, Any]:
        """Return the single network options that were given."""
        names = MODEL_FIELDS if stage == "shape" else COLOR_FIELDS
        return {name: getattr(self, name) for name in names if getattr(self, name) is not None}
