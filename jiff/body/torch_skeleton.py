"""Joints to bones on torch: the twin of ``skeleton.bone_rotations``, and rotations as vectors and as six numbers."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from jiff.body.skeleton import FINGER_SPREAD, JOINTS, SIDEWAYS, bone_shares


def rotation_matrix(vectors: Tensor) -> Tensor:
    """Return [..., 3, 3] rotations of rotation vectors [..., 3], radians; smooth at zero."""
    squared = (vectors**2).sum(-1)[..., None, None]
    small = squared < 1e-8
    angle = torch.where(small, torch.ones_like(squared), squared).sqrt()
    sine = torch.where(small, 1 - squared / 6, torch.sin(angle) / angle)
    cosine = torch.where(small, 0.5 - squared / 24, (1 - torch.cos(angle)) / angle**2)
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    cross = torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], dim=-1).unflatten(-1, (3, 3))
    return torch.eye(3, dtype=vectors.dtype, device=vectors.device) + sine * cross + cosine * (cross @ cross)


def rotation_from_six(six: Tensor) -> Tensor:
    """Return [..., 3, 3] rotations of the first two columns [..., 6], orthogonalised (Zhou et al. 2019, eq. 16)."""
    a, b = six[..., :3], six[..., 3:]
    x = torch.nn.functional.normalize(a, dim=-1)
    y = torch.nn.functional.normalize(b - (x * b).sum(-1, keepdim=True) * x, dim=-1)
    return torch.stack([x, y, torch.linalg.cross(x, y)], dim=-1)


def six_of_rotation(rotations: Tensor) -> Tensor:
    """Return [..., 6], the first two columns of rotations [..., 3, 3]."""
    return torch.cat([rotations[..., 0], rotations[..., 1]], dim=-1)


def vee(matrix: Tensor) -> Tensor:
    """Return [..., 3] of the antisymmetric part of [..., 3, 3], twice the sine of the angle times the axis."""
    return torch.stack(
        [
            matrix[..., 2, 1] - matrix[..., 1, 2],
            matrix[..., 0, 2] - matrix[..., 2, 0],
            matrix[..., 1, 0] - matrix[..., 0, 1],
        ],
        dim=-1,
    )


def twist_angle(turns: Tensor, axis: Tensor) -> Tensor:
    """Return [...] how far rotations [..., 3, 3] turn about unit axes [..., 3], radians within half a circle."""
    along = (vee(turns) * axis).sum(-1)
    angle = 2 * torch.atan2(along, 1 + torch.diagonal(turns, dim1=-2, dim2=-1).sum(-1))
    # As a rotation vector of at most half a circle, as the plain twin has it.
    return torch.remainder(angle + torch.pi, 2 * torch.pi) - torch.pi


class JointsToBones:
    """Turns joint rotations into those of anny's bones; axes and shares as in ``skeleton.bone_shares``."""

    def __init__(
        self,
        bone_labels: tuple[str, ...],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        shares = bone_shares()
        index = {name: k for k, name in enumerate(bone_labels)}
        self.count = len(bone_labels)

        def tensor(values: object) -> Tensor:
            array = np.asarray(values)
            return torch.as_tensor(array, dtype=dtype if array.dtype.kind == "f" else None, device=device)

        bones = np.array([index[name] for name in shares.bones])
        self._plain, self._swing, self._roll, self._finger = (
            np.flatnonzero(shares.kind == k) for k in range(4)
        )
        order = np.concatenate([self._plain, self._swing, self._roll, self._finger])
        self._bones = tensor(bones[order])
        self._share = tensor(shares.share)
        self._joint = tensor(shares.joint)
        self._axis, self._spread = tensor(shares.axis), tensor(shares.spread_axis)
        self._hand, self._curl = tensor(shares.hand), tensor(shares.curl)
        self._of_finger, self._part = tensor(shares.finger), tensor(shares.part)
        self._side = tensor(shares.side_axis)

    def _twists(self, rows: np.ndarray, matrices: Tensor) -> tuple[Tensor, Tensor]:
        """Return joint rotations of rows and the rotation vectors of the shares of their twists."""
        whole = matrices[:, self._joint[rows]]
        axis = self._axis[rows]
        return whole, (twist_angle(whole, axis) * self._share[rows])[..., None] * axis

    def __call__(
        self, turns: Tensor, hands: Tensor, root: Tensor | None = None, fingers: Tensor | None = None
    ) -> Tensor:
        """Return [B, bones, 3, 3].

        Args:
            turns: [B, 21, 3] rotation vectors of ``JOINTS``, radians.
            hands: [B, 2, 3], see ``JointPose``.
            root: [B, 3, 3] instead of the first of ``turns``, where it is known as a matrix.
            fingers: [B, 2, 5, 3], see ``JointPose``; none are bent by themselves where None.
        """
        matrices = rotation_matrix(turns)
        if root is not None:
            matrices = torch.cat([root[:, None], matrices[:, 1:]], dim=1)
        plain = rotation_matrix(turns[:, self._joint[self._plain]] * self._share[self._plain, None])
        if root is not None:
            first = (self._joint[self._plain] == JOINTS.index("root"))[:, None, None]
            plain = torch.where(first, root[:, None], plain)
        whole, part = self._twists(self._swing, matrices)
        swing = whole @ rotation_matrix(-part)
        _, part = self._twists(self._roll, matrices)
        rows = self._finger
        angle = hands[:, self._hand[rows], self._curl[rows]]
        spread = hands[:, self._hand[rows], FINGER_SPREAD][..., None] * self._spread[rows]
        if fingers is not None:
            own = fingers[:, self._hand[rows], self._of_finger[rows]]
            angle = angle + own.gather(2, self._part[rows].expand(len(own), -1)[..., None])[..., 0]
            spread = spread + own[..., SIDEWAYS, None] * self._side[rows]
        bend = angle[..., None] * self._axis[rows]
        bent = rotation_matrix(spread) @ rotation_matrix(bend)
        made = torch.cat([plain, swing, rotation_matrix(part), bent], dim=1)
        result = torch.eye(3, dtype=turns.dtype, device=turns.device).expand(len(turns), self.count, 3, 3)
        return result.index_copy(1, self._bones, made)
