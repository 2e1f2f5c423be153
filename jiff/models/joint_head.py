"""Face head of JIFF: a 2D branch, a 3D branch and a joint branch on their penultimate features (paper, Sec. 3.3)."""

from __future__ import annotations

from collections.abc import Sequence

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
        if not self.branch_3d or feature_3d is None:
            layers = self.layers("2d")
            return [run_layers(layers, input_products(layers, feature_2d), pool_after=(len(layers)) // 2)[-1]]
        if not self.joint:
            both = [self._branch("2d", feature_2d)[-1], self._branch("3d", feature_3d)[-1]]
            return both if self.training else [(both[0] + both[1]) / 2]
        skip = torch.cat((feature_2d.mean(dim=0), feature_3d), dim=-1)
        joint = self.layers("joint")
        if self.single:
            return [run_layers(joint, input_products(joint, skip))[-1]]
        hidden_2d = self._branch("2d", feature_2d)
        hidden_3d = self._branch("3d", feature_3d)
        fused = torch.cat((hidden_2d[0], hidden_3d[0]), dim=-1)
        value = run_layers(joint, input_products(joint, skip), initial=fused)[-1]
        return [*hidden_2d[1:], *hidden_3d[1:], value]

    def _branch(self, name: str, feature: Tensor) -> list[Tensor]:
        # Under a joint branch the own prediction is a training signal only; evaluation skips its last layer.
        layers = self.layers(name)
        depth = len(layers)
        whole = self.training or not self.joint
        used = layers if whole else layers[:-1]
        pool = depth // 2 if name == "2d" else None
        outputs = run_layers(used, input_products(used, feature), pool_after=pool, activate_last=not whole)
        return outputs[-2:] if whole else outputs[-1:]
