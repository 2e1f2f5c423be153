"""Face head of JIFF: a 2D branch, a 3D branch and a joint branch on their penultimate features (paper, Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from jiff.models.mlp import Layer, input_products, run_layers


class JointHead(nn.Module):
    """Multi-branch face MLP (without its last activation).

    Args:
        channels_2d: of the branch on pixel features.
        channels_3d: of the branch on grid features.
        channels_joint: of the joint branch; the first entry is ignored, it is what the two branches give.
        branch_3d: False keeps only the 2D branch (ablation).
        joint: False keeps the 2D and the 3D branch, whose mean is the answer (ablation).
        single: keep only the joint branch, on the concatenated input features (ablation).
    """

    def __init__(
        self,
        channels_2d: Sequence[int],
        channels_3d: Sequence[int],
        channels_joint: Sequence[int],
        branch_3d: bool = True,
        joint: bool = True,
        single: bool = False,
    ) -> None:
        super().__init__()
        self.channels_2d, self.channels_3d = tuple(channels_2d), tuple(channels_3d)
        self.branch_3d, self.joint, self.single = branch_3d, joint and branch_3d, single and branch_3d
        skip = channels_2d[0] + channels_3d[0]
        fused = 0 if single else channels_2d[-2] + channels_3d[-2]
        self.channels_joint = (fused, *channels_joint[1:])
        self.skip_dim = skip
        if not self.single:
            self._add("2d", self.channels_2d, self.channels_2d[0])
        if branch_3d and not self.single:
            self._add("3d", self.channels_3d, self.channels_3d[0])
        if self.joint:
            for index in range(len(self.channels_joint) - 1):
                inputs = self.channels_joint[index] + skip
                self.add_module(
                    f"features_joint_conv{index}", nn.Conv1d(inputs, self.channels_joint[index + 1], 1)
                )

    def _add(self, name: str, channels: Sequence[int], skip: int) -> None:
        for index in range(len(channels) - 1):
            inputs = channels[index] + (skip if index else 0)
            self.add_module(f"features_{name}_conv{index}", nn.Conv1d(inputs, channels[index + 1], 1))

    @property
    def branches(self) -> tuple[str, ...]:
        """Names of the predictions of a face point in training, in their order: 2D, 3D and joint as published."""
        if self.single:
            return ("joint",)
        return ("2d", *(("3d",) if self.branch_3d else ()), *(("joint",) if self.joint else ()))

    def layers(self, name: str) -> list[Layer]:
        """Return the weights of branch ``name`` ("2d", "3d" or "joint"), split into hidden and input parts."""
        channels = {"2d": self.channels_2d, "3d": self.channels_3d, "joint": self.channels_joint}[name]
        hidden = list(channels[:-1])
        if name != "joint":
            hidden[0] = 0
        return [
            Layer(self.get_submodule(f"features_{name}_conv{i}"), width) for i, width in enumerate(hidden)
        ]

    def forward(self, feature_2d: Tensor, feature_3d: Tensor | None) -> list[Tensor]:
        """Evaluate the branches.

        Args:
            feature_2d: pixel features of face points, [V, F, C_2d].
            feature_3d: grid features of the same points, [F, C_3d]; None without a 3D branch.

        Returns:
            Values [F, C_out] of the branches there are in training (2D, 3D, joint); in evaluation of the joint or
            the only branch, or the mean of the 2D and the 3D branch where there is no joint one.
        """
        grid = feature_3d if feature_3d is not None else feature_2d.new_zeros(feature_2d.shape[1], 0)

        def joint(hidden: Tensor | None) -> Tensor:
            layers = self.layers("joint")
            skip = torch.cat((feature_2d.mean(dim=0), grid), dim=-1)
            return run_layers(layers, input_products(layers, skip), initial=hidden)[-1]

        return self.combine(lambda: self._branch("2d", feature_2d), lambda: self._branch("3d", grid), joint)

    def combine(
        self,
        branch_2d: Callable[[], list[Tensor]],
        branch_3d: Callable[[], list[Tensor]],
        joint: Callable[[Tensor | None], Tensor],
    ) -> list[Tensor]:
        """Put the branches' answers together; the one place for training and for every way of evaluating.

        Args:
            branch_2d: gives the hidden activation under a joint branch and, in training or without one, the own values.
            branch_3d: the same of the 3D branch.
            joint: takes the two hidden activations [F, C], or None where there is a joint branch only.

        Returns:
            As ``forward``.
        """
        if self.single:
            return [joint(None)]
        two = branch_2d()
        if not self.branch_3d:
            return two[-1:]
        three = branch_3d()
        if not self.joint:
            both = [two[-1], three[-1]]
            return both if self.training else [(both[0] + both[1]) / 2]
        return [*two[1:], *three[1:], joint(torch.cat((two[0], three[0]), dim=-1))]

    def _branch(self, name: str, feature: Tensor) -> list[Tensor]:
        # Under a joint branch the own prediction is a training signal only; evaluation skips its last layer.
        layers = self.layers(name)
        depth = len(layers)
        whole = self.training or not self.joint
        used = layers if whole else layers[:-1]
        pool = depth // 2 if name == "2d" else None
        outputs = run_layers(used, input_products(used, feature), pool_after=pool, activate_last=not whole)
        return outputs[-2:] if whole else outputs[-1:]
