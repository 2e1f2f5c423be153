"""``--config FILE.yaml`` and ``--preset NAME``: fill the defaults of a command before its other options are read.

What counts, from weakest to strongest: the defaults of the configuration, the preset, the file, the command line.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from jiff.base.config import canonical, read_config_file
from jiff.base.errors import ConfigError

if TYPE_CHECKING:
    from jiff_cli.spec.from_dataclass import Blueprint

_CHECKED, _FILE, _PRESET = "jiff.checked", "jiff.file", "jiff.preset"


@dataclass(frozen=True)
class Presets:
    """Named sets of option values.

    Attributes:
        names: of all sets.
        values: name -> option values, as a configuration file would give them.
    """

    names: tuple[str, ...]
    values: Callable[[str], dict[str, Any]]


def _take_flag(mapping: dict[str, Any], name: str, kind: type, where: str, wanted: str) -> Any:
    """Remove the key ``name``, however it is spelled, and return its value, None where it is absent."""
    for key in [key for key in mapping if canonical(key) == name]:
        value = mapping.pop(key)
        if not isinstance(value, kind):
            raise ConfigError(f"{where}: '{key}' must be {wanted}, not {value!r}; correct the value.")
        return value
    return None


def _fill(context: typer.Context) -> None:
    """Set the defaults of the running command from the preset and the file seen so far."""
    blueprint: Blueprint | None = getattr(context.command, "blueprint", None)
    presets: Presets | None = getattr(context.command, "presets", None)
    if blueprint is None:
        return
    path = context.meta.get(_FILE)
    mapping = read_config_file(path) if path is not None else {}
    defaults: dict[str, Any] = {}
    for name in ("debug", "quiet"):
        flag = _take_flag(mapping, name, bool, str(path), "true or false")
        if flag is not None:
            defaults[name] = flag
    chosen = context.meta.get(_PRESET)
    checked: dict[str, Any] = {}
    if presets is not None:
        in_file = _take_flag(mapping, "preset", str, str(path), "one of " + ", ".join(presets.names))
        chosen = chosen or in_file
        if chosen is not None:
            spoken, checked = blueprint.read_values(presets.values(chosen), f"preset {chosen}")
            defaults.update(spoken)
    spoken, from_file = blueprint.read_values(mapping, str(path))
    context.default_map = {**defaults, **spoken}
    context.meta[_CHECKED] = {**checked, **from_file}


def apply_config_file(context: typer.Context, value: Path | None) -> Path | None:
    """Typer callback of ``--config``.

    Raises:
        InputError: the file is missing or not YAML.
        ConfigError: unknown key or wrong value.
    """
    if value is not None:
        context.meta[_FILE] = value
        _fill(context)
    return value


def apply_preset(context: typer.Context, value: str | None) -> str | None:
    """Typer callback of ``--preset``.

    Raises:
        ConfigError: unknown preset.
    """
    if value is not None:
        context.meta[_PRESET] = value
        _fill(context)
    return value


def values_of_file(context: typer.Context, blueprint: Blueprint) -> dict[str, Any]:
    """Return the checked values of preset and file, without those that the command line replaces."""
    options = {spec.name for spec in blueprint.options}
    kept = {}
    for name, value in context.meta.get(_CHECKED, {}).items():
        source = context.get_parameter_source(name) if name in options else None
        if source is None or source.name != "COMMANDLINE":
            kept[name] = value
    return kept
