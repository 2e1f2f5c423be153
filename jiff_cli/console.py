"""What the user sees: results on stdout; progress, warnings and errors on stderr."""

from __future__ import annotations

import os
import shlex
import sys
import traceback
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jiff.base.errors import JiffError, StoppedElsewhereError, os_sentence
from jiff_cli.progress import LineProgress, RichProgress

if TYPE_CHECKING:
    from jiff.base.progress import Progress
    from jiff.run.parallel import WorkReport

_MAX_FAILURES = 50


def _singular(noun: str) -> str:
    return noun[:-2] if noun.endswith(("ches", "shes")) else noun.removesuffix("s")


def _is_further_process() -> bool:
    """Return whether a launcher started this process beside a first one, which does the talking."""
    ranks = (os.environ.get(name, "") for name in ("RANK", "LOCAL_RANK", "NODE_RANK"))
    return any(rank not in ("", "0") for rank in ranks)


class Console:
    """Where a command shows things.

    Args:
        quiet: show warnings and errors only.
        debug: show tracebacks.
    """

    def __init__(self, *, quiet: bool = False, debug: bool = False) -> None:
        self.quiet = quiet or _is_further_process()
        self.debug = debug
        self._progress: Progress | None = None

    @property
    def progress(self) -> Progress:
        """The progress display: bars on a terminal, now and then a line elsewhere."""
        if self._progress is None:
            bars = sys.stderr.isatty() and not self.quiet
            self._progress = RichProgress() if bars else LineProgress(sys.stderr, quiet=self.quiet)
        return self._progress

    def say(self, text: str) -> None:
        """Print one line of result to stdout unless quiet."""
        if not self.quiet:
            typer.echo(text)

    def out(self, text: str) -> None:
        """Print ``text`` to stdout even when quiet: what the command was asked for."""
        typer.echo(text)

    def error(self, text: str) -> None:
        """Print one line to stderr, whatever the settings."""
        typer.echo(text, err=True)

    def table(self, rows: Sequence[Sequence[Any]], header: Sequence[str] = ()) -> None:
        """Print aligned columns to stdout, without control characters."""
        cells = [[str(cell) for cell in row] for row in ([header] if header else []) + list(rows)]
        widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]) if cells else 0)]
        for row in cells:
            self.out("  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip())

    def finish(
        self,
        report: WorkReport | None = None,
        *,
        wrote: Iterable[object] = (),
        next_command: Sequence[object] | None = None,
        what: str = "items",
    ) -> None:
        """Close a command: counts, failures, what was written, the next command.

        Args:
            report: of the items, if there were any.
            wrote: paths to name.
            next_command: words of the command that usually follows.
            what: noun for the items.

        Raises:
            typer.Exit: status 1, when items failed.
        """
        if report is not None:
            number = len(report.results)
            counts = [f"{number} {_singular(what) if number == 1 else what} done"]
            if report.skipped:
                counts.append(f"{len(report.skipped)} complete before")
            if report.failures:
                counts.append(f"{len(report.failures)} failed")
            self.say(", ".join(counts) + ".")
        nothing = report is not None and not report.results and not report.skipped
        named = list(dict.fromkeys(str(path) for path in [*wrote, *(report.outputs if report else [])]))
        if nothing:
            # The folder may not even exist; a list of findings does.
            named = [path for path in named if Path(path).is_file()]
        for path in named:
            self.say(f"Wrote {path}")
        if report is not None and report.failures:
            self._failures(report)
            raise typer.Exit(1)
        if next_command:
            self.say(f"Next: {shlex.join(str(word) for word in next_command)}")

    def _failures(self, report: WorkReport) -> None:
        self.error(f"Failed ({len(report.failures)}):")
        for name, reason in list(report.failures.items())[:_MAX_FAILURES]:
            self.error(f"  {name}: {reason}")
            if self.debug and name in report.details:
                self.error(report.details[name])
        hidden = len(report.failures) - _MAX_FAILURES
        if hidden > 0:
            self.error(f"  ... and {hidden} more.")
        if report.details and not self.debug:
            self.error("Run again with --debug for the tracebacks.")


def console_of(context: Any) -> Console:
    """Return the console that the global options made, or a new one where there is none."""
    root = context.find_root() if context is not None else None
    if root is not None and isinstance(root.obj, Console):
        return root.obj
    console = Console()
    if root is not None:
        root.obj = console
    return console


def sentence(error: BaseException) -> tuple[str, int]:
    """Return one sentence for ``error`` and the exit status."""
    if isinstance(error, JiffError):
        return str(error), error.exit_status
    if isinstance(error, KeyboardInterrupt):
        return "interrupted; the same command goes on from what is complete.", 130
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return "out of memory; use fewer -j, a smaller batch or a lower --resolution.", 1
    if isinstance(error, OSError):
        return os_sentence(error), 1
    name = type(error).__name__
    first = str(error).strip().splitlines()
    return (
        f"unexpected {name}: {first[0] if first else 'no message'}; run again with --debug for the traceback.",
        1,
    )


def show_error(error: BaseException, console: Console) -> int:
    """Print ``error`` as one sentence (after its traceback with --debug) and return the exit status."""
    text, status = sentence(error)
    if isinstance(error, StoppedElsewhereError) and not console.debug:
        return status
    if console.debug:
        console.error("".join(traceback.format_exception(error)).rstrip())
    console.error(f"Error: {text}")
    return status
