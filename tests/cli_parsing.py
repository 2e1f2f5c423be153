"""Parse command lines as ``jiff`` does, without running them."""

from __future__ import annotations

from typing import Any

import typer

from jiff_cli.registry import find
from jiff_cli.spec.command import JiffCommand
from jiff_cli.spec.config_file import values_of_file
from jiff_cli.spec.lazy import LazyCommand

_COMMON = ("config", "debug", "quiet", "preset")


def command_of(words: list[str]) -> tuple[JiffCommand, list[str]]:
    """Return the command that ``words`` (after ``jiff``) name, and its own words."""
    found = find(words)
    if found is None:
        raise LookupError(f"no such command: jiff {' '.join(words)}")
    entry, rest = found
    command = LazyCommand(entry).load()
    assert isinstance(command, JiffCommand)
    return command, rest


def parse(words: list[str]) -> Any:
    """Return the configuration that ``jiff WORDS`` would run with.

    Raises:
        typer.Exit, typer.BadParameter and relatives: as the command line itself.
    """
    command, rest = command_of(words)
    context = command.make_context("jiff", list(rest))
    given = {name: value for name, value in context.params.items() if name not in _COMMON}
    return command.blueprint.build(given, values_of_file(context, command.blueprint))


def only_names(words: list[str]) -> None:
    """Check the names of command and options, but neither values nor completeness."""
    command, rest = command_of(words)
    context = typer.Context(command, info_name="jiff")
    command.make_parser(context).parse_args(command.speller.rewrite(rest))
