"""Make a Typer command of a function that takes one configuration and a console."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperCommand

from jiff.base.errors import JiffError
from jiff.base.threads import prepare_waiting
from jiff_cli.allocator import keep_freed_memory
from jiff_cli.console import Console, console_of, show_error
from jiff_cli.spec.config_file import Presets, values_of_file
from jiff_cli.spec.from_dataclass import Blueprint
from jiff_cli.spec.options import Config, Debug, Quiet, plain_help, preset_option
from jiff_cli.spec.published import RETIRED
from jiff_cli.spec.spelling import Known, Speller

C = TypeVar("C")

_COMMON = [Known(("--config",), True), Known(("--debug",), False), Known(("--quiet", "-q"), False)]
_COMMON += [Known(("--help", "-h"), False)]


class JiffCommand(TyperCommand):
    """A command that understands old spellings, configuration files and typed errors."""

    blueprint: Blueprint
    speller: Speller
    presets: Presets | None = None

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        console = console_of(ctx)
        console.debug = console.debug or "--debug" in args
        try:
            return super().parse_args(ctx, self.speller.rewrite(args))
        except JiffError as error:
            raise typer.Exit(show_error(error, console)) from error

    def format_help(self, ctx: Any, formatter: Any) -> None:
        # "--no-x" of a switch that is off anyway, and further long spellings, are accepted but only fill the help.
        saved = [(item, item.opts, item.secondary_opts) for item in self.params]
        for item, spellings, _ in saved:
            first = next((text for text in spellings if text.startswith("--")), None)
            item.opts = [text for text in spellings if text == first or not text.startswith("--")]
            if item.default is False:
                item.secondary_opts = []
        try:
            super().format_help(ctx, formatter)
        finally:
            for item, spellings, negative in saved:
                item.opts, item.secondary_opts = spellings, negative

    def get_help_option(self, ctx: Any) -> Any:
        return plain_help(super().get_help_option(ctx))

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except (typer.Exit, typer.Abort, typer.BadParameter, BrokenPipeError):
            raise
        except (Exception, KeyboardInterrupt) as error:
            raise typer.Exit(show_error(error, console_of(ctx))) from error


def config_command(
    config_class: type[C],
    *,
    published: str | None = None,
    fixed: Mapping[str, Any] | None = None,
    presets: Presets | None = None,
    epilog: str | None = None,
    runs_networks: bool = False,
) -> Callable[[Callable[[C, Console], None]], JiffCommand]:
    """Return a decorator that makes ``function(config, console)`` a command with the options of ``config_class``.

    Args:
        config_class: frozen dataclass whose ``option`` fields become options.
        published: key of ``RETIRED``: the published script this command replaces.
        fixed: fields that the command itself sets.
        presets: named sets of values, offered as ``--preset``.
        epilog: text at the end of the help.
        runs_networks: whether memory that was freed is kept for the next tensors, and threads sleep while they wait.
    """
    blueprint = Blueprint(config_class, fixed or {})

    def decorate(function: Callable[[C, Console], None]) -> JiffCommand:
        def run(context: typer.Context, debug: bool, quiet: bool, config: Path | None, **given: Any) -> None:
            if presets is not None:
                given.pop("preset", None)
            console = console_of(context)
            console.debug = console.debug or debug
            console.quiet = console.quiet or quiet
            if runs_networks:
                keep_freed_memory()
                prepare_waiting()
            function(blueprint.build(given, values_of_file(context, blueprint)), console)

        shared = [
            inspect.Parameter("config", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Config),
            inspect.Parameter("debug", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Debug),
            inspect.Parameter("quiet", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Quiet),
        ]
        head = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
        if presets is not None:
            annotation = preset_option(presets.names)
            shared.insert(
                0,
                inspect.Parameter(
                    "preset", inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
                ),
            )
        parameters = [head, *blueprint.parameters(), *shared]
        run.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        run.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
        run.__doc__ = function.__doc__
        maker = typer.Typer(add_completion=False, rich_markup_mode="rich", pretty_exceptions_enable=False)
        maker.command(cls=JiffCommand, epilog=epilog)(run)
        command = typer.main.get_command(maker)
        if not isinstance(command, JiffCommand):
            raise TypeError("Typer made another kind of command")
        command.blueprint = blueprint
        command.presets = presets
        known = [*blueprint.known(), *_COMMON, *([Known(("--preset",), True)] if presets is not None else [])]
        command.speller = Speller(known, RETIRED.get(published or "", {}))
        return command

    return decorate
