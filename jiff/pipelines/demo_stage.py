"""One command of the demo."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from jiff.pipelines.command_line import command_line

if TYPE_CHECKING:
    from jiff.base.progress import Progress


@dataclass(frozen=True)
class Stage:
    """One command of the demo.

    Attributes:
        key: name in ``stages.json``.
        title: for people.
        command: words after ``jiff``.
        config: the command's configuration.
        run: the command's function.
        essential: whether the demo stops when nothing of the stage comes through.
    """

    key: str
    title: str
    command: str
    config: Any
    run: Callable[[Any, Progress], Any]
    essential: bool = True

    @property
    def line(self) -> str:
        """The command line that repeats this stage."""
        return command_line(self.command, self.config)
