"""Command groups whose commands are imported only when they are used."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperCommand, TyperGroup

from jiff_cli.console import console_of, show_error
from jiff_cli.spec.options import plain_help

if TYPE_CHECKING:
    from jiff_cli.registry import Entry


class LazyCommand(TyperCommand):
    """Stands for a command in the help; loads its module when it is called."""

    def __init__(self, entry: Entry) -> None:
        super().__init__(entry.name, help=entry.help, short_help=entry.help, rich_help_panel=entry.panel)
        self.entry = entry

    def load(self) -> TyperCommand:
        """Return the real command of the module's ``command``."""
        real: TyperCommand = importlib.import_module(self.entry.module).command
        real.name = self.entry.name
        return real

    def make_context(self, info_name: str | None, args: list[str], parent: Any = None, **extra: Any) -> Any:
        try:
            real = self.load()
        except Exception as error:
            console = console_of(parent)
            console.debug = console.debug or "--debug" in args
            raise typer.Exit(show_error(error, console)) from error
        return real.make_context(info_name, args, parent=parent, **extra)


def lazy_group(entries: tuple[Entry, ...]) -> type[TyperGroup]:
    """Return a group class that offers ``entries``, groups within it included."""

    class LazyGroup(TyperGroup):
        def __init__(self, **settings: Any) -> None:
            super().__init__(**settings)
            for entry in entries:
                if entry.module:
                    self.add_command(LazyCommand(entry))
                else:
                    group = lazy_group(entry.commands)(
                        name=entry.name,
                        help=entry.help,
                        short_help=entry.help,
                        rich_help_panel=entry.panel,
                        no_args_is_help=True,
                    )
                    self.add_command(group)

        def get_help_option(self, ctx: Any) -> Any:
            return plain_help(super().get_help_option(ctx))

    return LazyGroup
