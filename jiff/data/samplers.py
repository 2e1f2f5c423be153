"""The order of training items: seeded, endless, resumable, and the same for any number of workers or processes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@lru_cache(maxsize=4)
def epoch_order(seed: int, epoch: int, length: int, serial: bool) -> NDArray[np.int64]:
    """Return the order of ``length`` items in an epoch: 0, 1, 2 ... when ``serial``, else a seeded permutation."""
    if serial:
        return np.arange(length)
    return np.random.default_rng([seed, epoch, 7]).permutation(length)


@dataclass(frozen=True)
class BatchOrder:
    """Yields the (epoch, index) pairs of each batch of one process, from ``first_step`` to ``last_step``.

    The pairs of a step depend on the seed, the step and the total batch only. With several processes, process ``rank``
    takes every ``world``-th pair of the total batch, so that together they see what one process would.

    Attributes:
        length: items of the data set.
        batch_size: items of a batch of all processes together; a multiple of ``world``.
        seed: of the permutations.
        first_step: where to begin (resume).
        last_step: where to end (exclusive).
        serial: items in their own order.
        rank, world: this process, and how many there are.
    """

    length: int
    batch_size: int
    seed: int
    first_step: int
    last_step: int
    serial: bool = False
    rank: int = 0
    world: int = 1

    def pairs(self, step: int) -> list[tuple[int, int]]:
        """Return the (epoch, index) pairs of this process at a step."""
        pairs = []
        for position in range(step * self.batch_size + self.rank, (step + 1) * self.batch_size, self.world):
            epoch, offset = divmod(position, self.length)
            pairs.append((epoch, int(epoch_order(self.seed, epoch, self.length, self.serial)[offset])))
        return pairs

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.first_step, self.last_step):
            yield self.pairs(step)

    def __len__(self) -> int:
        return max(0, self.last_step - self.first_step)
