"""Options that every command shares."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from jiff_cli.spec.config_file import apply_config_file, apply_preset

_PANEL = "Every command"

Config = Annotated[
    Path | None,
    typer.Option(
        "--config",
        metavar="FILE.yaml",
        help="Take option values from this file, e.g. the run.yaml of an earlier run; the command line wins.",
        rich_help_panel=_PANEL,
        show_default=False,
        is_eager=True,
        callback=apply_config_file,
    ),
]
Debug = Annotated[
    bool,
    typer.Option(
        "--debug",
        metavar="",
        help="Show the traceback when something fails.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]
Quiet = Annotated[
    bool,
    typer.Option(
        "--quiet",
        "-q",
        metavar="",
        help="Show warnings and errors only.",
        rich_help_panel=_PANEL,
        show_default=False,
    ),
]


def preset_option(names: tuple[str, ...]) -> Any:
    """Return the annotation of ``--preset`` for these names."""
    return Annotated[
        str | None,
        typer.Option(
            "--preset",
            metavar="|".join(names),
            help="Begin from this named set of values; --config and the command line win.",
            rich_help_panel=_PANEL,
            show_default=False,
            is_eager=True,
            callback=apply_preset,
        ),
    ]


def plain_help(option: Any) -> Any:
    """Return the help option without a placeholder for a value it does not take."""
    if option is not None:
        option.metavar = ""
    return option
