"""The ``jiff`` command: global options and the groups of the registry."""

from __future__ import annotations

import contextlib
import io
import os
import sys
from typing import Annotated

import typer

from jiff import __version__
from jiff_cli.console import Console
from jiff_cli.registry import ROOT
from jiff_cli.spec.lazy import lazy_group
from jiff_cli.spec.options import Debug, Quiet

app = typer.Typer(
    name="jiff",
    cls=lazy_group(ROOT),
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Begin with 'jiff demo'. Every command takes --config FILE.yaml; --num_stack and --num-stack are the same.",
)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"jiff {__version__}")
        raise typer.Exit


@app.callback()
def root(
    context: typer.Context,
    version: Annotated[
        bool,
        typer.Option(
            "--version", metavar="", callback=_version, is_eager=True, help="Print the version and leave."
        ),
    ] = False,
    debug: Debug = False,
    quiet: Quiet = False,
) -> None:
    """From 3D scans to a trained JIFF network, and from one photo to a coloured mesh with a good face."""
    context.obj = Console(quiet=quiet, debug=debug)


def main() -> None:
    """Entry point of the ``jiff`` script."""
    # OpenCV would print lines of its own about damaged images; jiff says it in a sentence.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a file's name must not stop the work.
        if isinstance(stream, io.TextIOWrapper):
            with contextlib.suppress(ValueError):
                stream.reconfigure(errors="backslashreplace")
    app()
