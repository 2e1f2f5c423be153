"""What the processes of one training tell each other: numbers, wishes and failures."""

from __future__ import annotations

import atexit
from typing import TYPE_CHECKING, Any

import torch

from jiff.base.errors import StoppedElsewhereError

if TYPE_CHECKING:
    from lightning_fabric import Fabric


class Processes:
    """The processes that train together; every method is called by all of them at the same place."""

    def __init__(self, fabric: Fabric) -> None:
        self._fabric = fabric

    @property
    def alone(self) -> bool:
        """Whether this is the only process."""
        return self._fabric.world_size == 1

    def any(self, flag: bool) -> bool:
        """Tell whether one of them says yes."""
        if self.alone:
            return flag
        wanting: Any = self._fabric.all_reduce(torch.tensor(float(flag)), reduce_op="sum")
        return bool(wanting > 0)

    def first(self, flag: bool) -> int | None:
        """Return the number of the first process that says yes, None where none does."""
        if self.alone:
            return 0 if flag else None
        world = self._fabric.world_size
        mine = float(self._fabric.global_rank if flag else world)
        found: Any = self._fabric.all_reduce(torch.tensor(mine), reduce_op="min")
        return None if int(found) == world else int(found)

    def mean(self, row: dict[str, float]) -> dict[str, float]:
        """Return the mean of a row over all of them."""
        if self.alone:
            return row
        values: Any = self._fabric.all_reduce(torch.tensor(list(row.values())), reduce_op="mean")
        return dict(zip(row, values.tolist()))

    def check(self, error: Exception | None) -> None:
        """End all of them when one failed; only the first that did says why.

        Raises:
            Exception: ``error``, in the first process that has one.
            StoppedElsewhereError: in all others.
        """
        rank = self.first(error is not None)
        if rank is None:
            return
        if not self.alone:
            # Whoever starts the processes ends all when one ends: what the first has to write must be written.
            self._fabric.barrier()
        if error is not None and rank == self._fabric.global_rank:
            raise error
        raise StoppedElsewhereError(f"Process {rank} of this training stopped; it says why.")


def leave_at_exit() -> None:
    """Have this process leave its group when it ends, as Fabric does for NCCL: gloo's threads abort those that end in it.

    https://github.com/pytorch/pytorch/pull/179291
    """
    atexit.register(_leave)


def _leave() -> None:
    if torch.distributed.is_initialized() and torch.distributed.get_backend() == "gloo":
        torch.distributed.destroy_process_group()
