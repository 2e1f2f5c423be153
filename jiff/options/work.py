"""Options of every stage that works subject by subject."""

from __future__ import annotations

import re
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, TypeVar

from jiff.base.config import option
from jiff.base.errors import UsageError

B = TypeVar("B", bound="WorkOptions")


_PANEL = "Where it runs"


def parse_shard(text: str) -> tuple[int, int]:
    """Return (i, n) of ``"i/n"``, 1 <= i <= n.

    Raises:
        UsageError: the text is not of that form.
    """
    found = re.fullmatch(r"\s*(\d{1,9})\s*/\s*(\d{1,9})\s*", text)
    if found is None or not 1 <= int(found[1]) <= int(found[2]):
        raise UsageError(
            f"--shard {text}: is not a part i/n with i from 1 to n; write for example --shard 2/8."
        )
    return int(found[1]), int(found[2])


@dataclass(frozen=True, kw_only=True)
class WorkOptions:
    """Options of every stage that works subject by subject."""

    jobs: int = option(
        0, help="Processes; 0 means one per core, fewer where memory is short.", flags=("-j",), min=0, panel=_PANEL
    )  # fmt: skip
    shard: str | None = option(
        None, help="Do only part I of N of the subjects, for job arrays on one shared file system.", metavar="I/N",
        panel=_PANEL,
    )  # fmt: skip
    scheduler: str | None = option(
        None, help="Run on the dask.distributed cluster of this address or scheduler file (pip install 'jiff[cluster]').",
        metavar="ADDRESS", panel=_PANEL,
    )  # fmt: skip

    def __post_init__(self) -> None:
        if self.shard is not None:
            parse_shard(self.shard)

    def located(self: B) -> B:
        """Return the options as workers elsewhere can use them: with absolute paths when a cluster runs the tasks."""
        if self.scheduler is None:
            return self
        values = {item.name: getattr(self, item.name) for item in fields(self) if item.init}
        paths = {name: value.absolute() for name, value in values.items() if isinstance(value, Path)}
        changes: dict[str, Any] = paths
        return replace(self, **changes)
