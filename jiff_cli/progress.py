"""The progress protocol drawn with Rich on a terminal, and as plain lines everywhere else."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import ConsoleOptions, RenderableType
    from rich.progress import Progress as Bars

    from jiff.base.progress import Figures, Task

LINE_EVERY_S = 10.0


def duration(seconds: float) -> str:
    """Return ``seconds`` as ``4 s``, ``2 min 05 s`` or ``3 h 07 min``."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def rate_text(rate: float) -> str:
    """Return a rate with the unit that keeps the number readable: ``12.3/s`` or ``40 s each``."""
    if rate <= 0:
        return ""
    return f"{rate:.1f}/s" if rate >= 0.1 else f"{duration(1 / rate)} each"


class _RichTask:
    def __init__(self, bars: Bars, identity: Any) -> None:
        self._bars, self._identity = bars, identity

    def advance(self, steps: float = 1) -> None:
        self._bars.advance(self._identity, steps)

    def describe(self, text: str) -> None:
        self._bars.update(self._identity, note=text)

    def show(self, figures: Figures) -> None:
        self._bars.update(self._identity, figures=figures)


class RichProgress:
    """Bars with count, rate, time left and a note, on stderr."""

    def __init__(self) -> None:
        self._bars: Bars | None = None
        self._depth = 0

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Task]:
        """Open one bar; the display lives as long as any bar is open."""
        if self._bars is None:
            self._bars = _new_bars()
            self._bars.start()
        bars = self._bars
        self._depth += 1
        identity = bars.add_task(name, total=total, note="", figures={})
        try:
            yield _RichTask(bars, identity)
        finally:
            self._depth -= 1
            bars.update(identity, note="", figures={})
            bars.stop_task(identity)
            if self._depth == 0:
                bars.stop()
                self._bars = None

    def info(self, text: str) -> None:
        """Print one line above the bars."""
        self._line(text, None)

    def warn(self, text: str) -> None:
        """Print one highlighted line above the bars."""
        self._line(f"Warning: {text}", "yellow")

    def _line(self, text: str, style: str | None) -> None:
        from rich.console import Console as RichConsole

        console = self._bars.console if self._bars is not None else RichConsole(stderr=True)
        console.print(text, style=style, markup=False, highlight=False, soft_wrap=True)


def _new_bars() -> Bars:
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, ProgressColumn, TextColumn, TimeRemainingColumn
    from rich.table import Column
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Any) -> Text:
            speed = task.finished_speed or task.speed
            return Text(rate_text(speed) if speed else "", style="progress.data.speed")

    class Count(ProgressColumn):
        def render(self, task: Any) -> Text:
            total = "?" if task.total is None else f"{task.total:g}"
            return Text(f"{task.completed:g}/{total}", style="progress.download")

    class BarsAndFigures(Progress):
        def get_renderables(self) -> Iterator[RenderableType]:
            yield self.make_tasks_table(self.tasks)
            for task in self.tasks:
                if task.fields["figures"]:
                    yield _FigureTable(task.fields["figures"])

    return BarsAndFigures(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        Count(),
        Rate(),
        TimeRemainingColumn(compact=True, elapsed_when_finished=True),
        TextColumn(
            "{task.fields[note]}",
            markup=False,
            table_column=Column(no_wrap=True, overflow="ellipsis", ratio=1),
        ),
        console=RichConsole(stderr=True),
        expand=True,
        refresh_per_second=8,
    )


class _FigureTable:
    """Rows of named figures; a row too long for the terminal goes on below, broken between figures only."""

    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def __rich_console__(self, console: RichConsole, options: ConsoleOptions) -> Iterator[RenderableType]:
        from rich.text import Text

        indent = max(map(len, self._figures)) + 4
        for title, row in self._figures.items():
            line = Text(f"  {title}", style="bold", no_wrap=True, overflow="ellipsis")
            line.pad_right(indent - len(line))
            empty = True
            for name, value in row.items():
                if not empty and len(line) + 3 + len(name) + 1 + len(value) > options.max_width:
                    yield line
                    line, empty = Text(" " * indent, no_wrap=True, overflow="ellipsis"), True
                line.append("" if empty else "   ").append(f"{name} ", style="not bold dim")
                line.append(value, style="not bold cyan")
                empty = False
            yield line


class _LineTask:
    def __init__(self, show: Callable[[str], None], name: str, total: float | None) -> None:
        self._show, self._name, self._total = show, name, total
        self._done = 0.0
        self._note = ""
        self._begin = self._last = time.monotonic()

    def advance(self, steps: float = 1) -> None:
        self._done += steps
        now = time.monotonic()
        if now - self._last >= LINE_EVERY_S:
            self._last = now
            self._show(self._text(now))

    def describe(self, text: str) -> None:
        self._note = text

    def show(self, figures: Figures) -> None:
        return None

    def _text(self, now: float) -> str:
        elapsed = max(now - self._begin, 1e-6)
        rate = self._done / elapsed
        parts = [
            f"{self._done:g}" if self._total is None else f"{self._done:g}/{self._total:g}",
            rate_text(rate),
        ]
        if self._total is not None and rate > 0 and self._done < self._total:
            parts.append(f"{duration((self._total - self._done) / rate)} left")
        if self._note:
            parts.append(self._note)
        return f"{self._name}: " + ", ".join(part for part in parts if part)

    def close(self, *, failed: bool) -> None:
        now = time.monotonic()
        self._note = ""
        if failed:
            self._show(f"{self._text(now)} (stopped)")
        elif self._done:
            self._show(f"{self._name}: {self._done:g} in {duration(now - self._begin)}")


class LineProgress:
    """Plain lines for logs and pipes: one every ten seconds, one at the end of each task.

    Args:
        stream: where lines go.
        quiet: write warnings only.
    """

    def __init__(self, stream: TextIO, *, quiet: bool = False) -> None:
        self._stream = stream
        self._quiet = quiet

    @contextmanager
    def task(self, name: str, total: float | None = None) -> Iterator[Task]:
        """Open one task."""
        task = _LineTask(self.info, name, total)
        try:
            yield task
        except BaseException:
            task.close(failed=True)
            raise
        task.close(failed=False)

    def info(self, text: str) -> None:
        """Write one line unless quiet."""
        if not self._quiet:
            self._write(text)

    def warn(self, text: str) -> None:
        """Write one line, quiet or not."""
        self._write(f"Warning: {text}")

    def _write(self, text: str) -> None:
        self._stream.write(text.replace("\x1b", "") + "\n")
        self._stream.flush()
