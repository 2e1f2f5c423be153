"""The protocol through which the core reports progress; the CLI draws it, tests ignore it."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from contextlib import AbstractContextManager

    Figures = Mapping[str, Mapping[str, str]]
    """Rows of figures: title of a row -> name of a figure -> its text."""


class Task(Protocol):
    """One bar of progress."""

    def advance(self, steps: float = 1) -> None:
        """Move on by ``steps``."""

    def describe(self, text: str) -> None:
        """Replace the short text beside the bar (losses, current item)."""

    def show(self, figures: Figures) -> None:
        """Replace the table of figures under the bar, where the display has room for one."""


class Progress(Protocol):
    """Where a pipeline reports what it is doing."""

    def task(self, name: str, total: float | None = None) -> AbstractContextManager[Task]:
        """Open a bar of ``total`` steps (None: unknown) for the length of a ``with`` block."""

    def info(self, text: str) -> None:
        """Say one line that the user should see."""

    def warn(self, text: str) -> None:
        """Say one line about something that went wrong but did not stop the work."""


class _NullTask:
    def advance(self, steps: float = 1) -> None:
        return None

    def describe(self, text: str) -> None:
        return None

    def show(self, figures: Figures) -> None:
        return None


class NullProgress:
    """Progress that nobody watches; keeps infos and warnings for whoever asks afterwards."""

    def __init__(self) -> None:
        self.infos: list[str] = []
        self.warnings: list[str] = []

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Task]:
        yield _NullTask()

    def info(self, text: str) -> None:
        self.infos.append(text)

    def warn(self, text: str) -> None:
        self.warnings.append(text)
