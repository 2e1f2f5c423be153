"""``--config FILE.yaml``: fill the defaults of the running command before its other options are read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jiff.config import canonical, read_config_file
from jiff.errors import ConfigError

if TYPE_CHECKING:
    from jiff_cli.from_dataclass import Blueprint

_CHECKED = "jiff.checked"


def apply_config_file(context: typer.Context, value: Path | None) -> Path | None:
    """Typer callback of ``--config``.

    Raises:
        InputError: the file is missing or not YAML.
        ConfigError: unknown key or wrong value.
    """
    blueprint: Blueprint | None = getattr(context.command, "blueprint", None)
    if value is None or blueprint is None:
        return value
    mapping = read_config_file(value)
    common = {}
    for key in [key for key in mapping if canonical(key) in ("debug", "quiet")]:
        flag = mapping.pop(key)
        if not isinstance(flag, bool):
            raise ConfigError(f"{value}: '{key}' must be true or false, not {flag!r}; correct the value.")
        common[canonical(key)] = flag
    spoken, checked = blueprint.read_values(mapping, str(value))
    context.default_map = {**spoken, **common}
    context.meta[_CHECKED] = checked
    return value


def values_of_file(context: typer.Context, blueprint: Blueprint) -> dict[tuple[str, ...], Any]:
    """Return the checked values of the file, without those that the command line replaces."""
    options = {spec.path: spec.name for spec in blueprint.options}
    kept = {}
    for path, value in context.meta.get(_CHECKED, {}).items():
        source = context.get_parameter_source(options[path]) if path in options else None
        if source is None or source.name != "COMMANDLINE":
            kept[path] = value
    return kept
