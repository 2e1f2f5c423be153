"""Turn the annotated fields of a configuration into Typer parameters, and parameters into the configuration."""

from __future__ import annotations

import dataclasses
import inspect
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer
from rich.markup import escape

from jiff.base.config import (
    FieldSpec,
    canonical,
    convert,
    field_specs,
    from_plain,
    items_of,
    nearest,
    to_plain,
    without_none,
)
from jiff.base.errors import ConfigError
from jiff_cli.spec.spelling import Known

MISSING = dataclasses.MISSING
_METAVARS: dict[Any, str] = {bool: "", int: "INT", float: "FLOAT", str: "TEXT", Path: "PATH"}


def _tuple_item(annotation: Any) -> Any:
    """Return the item type of a tuple annotation, None for anything else."""
    inner, _ = without_none(annotation)
    return typing.get_args(inner)[0] if typing.get_origin(inner) is tuple else None


def is_number_list(annotation: Any) -> bool:
    """Return whether the field is a tuple of numbers: one option whose value is ``1,2,3``."""
    return _tuple_item(annotation) in (int, float)


def is_repeated(annotation: Any) -> bool:
    """Return whether the field is a tuple of texts or paths: an option that may be given several times."""
    return _tuple_item(annotation) is not None and not is_number_list(annotation)


def _spoken(value: Any, annotation: Any) -> Any:
    """Return ``value`` as the command line would give it."""
    if value is None or isinstance(value, bool):
        return value
    if is_number_list(annotation):
        return ",".join(str(item) for item in value)
    if is_repeated(annotation):
        return [str(item) for item in value]
    return str(value) if isinstance(value, Path) else value


def _declarations(spec: FieldSpec) -> list[str]:
    name = spec.name.replace("_", "-")
    flags = [*spec.note.flags, *spec.note.aliases] if spec.note else []
    inner, _ = without_none(spec.annotation)
    if inner is bool:
        positive = name[3:] if name.startswith("no-") else name
        first, second = (
            (f"--no-{positive}", f"--{positive}") if name != positive else (f"--{name}", f"--no-{name}")
        )
        return [f"{first}/{second}", *flags]
    return [f"--{name}", *flags]


def _shown_type(spec: FieldSpec) -> tuple[Any, dict[str, Any]]:
    """Return the annotation for Typer and keyword arguments of its Option."""
    inner, _ = without_none(spec.annotation)
    extra: dict[str, Any] = {}
    note = spec.note
    if note is not None and note.metavar:
        extra["metavar"] = note.metavar
    elif inner in _METAVARS and not (note is not None and note.positional):
        # Shorter than Typer's words, so that long option names keep their place.
        extra["metavar"] = _METAVARS[inner]
    if is_number_list(inner):
        items = typing.get_args(inner)
        fixed = Ellipsis not in items
        extra.setdefault("metavar", ",".join("N" * len(items)) if fixed else "N,N,...")
        return str, extra
    if is_repeated(inner):
        item = _tuple_item(inner)
        if typing.get_origin(item) is Literal:
            extra.setdefault("metavar", "|".join(map(str, typing.get_args(item))) + ",...")
        elif note is not None and not note.positional:
            extra.setdefault(
                "metavar", f"{_METAVARS[item]}..." if item is Path or not note.split else "TEXT,..."
            )
        return (list[Path] if item is Path else list[str]), extra
    if inner in (int, float) and note is not None:
        extra["min"], extra["max"] = note.minimum, note.maximum
        if inner is int:
            extra["min"] = None if note.minimum is None else int(note.minimum)
            extra["max"] = None if note.maximum is None else int(note.maximum)
    return inner, extra


def _parameter(spec: FieldSpec) -> inspect.Parameter:
    note = spec.note
    if note is None:
        raise TypeError(f"field {spec.name} is no option")
    annotation, extra = _shown_type(spec)
    settings = {"help": escape(note.help), "rich_help_panel": note.panel, "hidden": note.hidden, **extra}
    shown: Any
    if note.positional:
        shown = typer.Argument(**settings)
    else:
        shown = typer.Option(*_declarations(spec), **settings)
    if spec.default is MISSING:
        value: Any = inspect.Parameter.empty
    else:
        value = _spoken(spec.default, spec.annotation)
        if value is None or (value == "" and is_number_list(spec.annotation)) or value == []:
            annotation, value = annotation | None, None
    return inspect.Parameter(
        spec.name,
        inspect.Parameter.KEYWORD_ONLY,
        default=value,
        annotation=Annotated[annotation, shown],
    )


@dataclass
class Blueprint:
    """How one command maps between its options and its configuration.

    Attributes:
        config_class: the frozen dataclass.
        fixed: values that the command itself sets; such fields are no options.
    """

    config_class: type
    fixed: Mapping[str, Any] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.specs = [spec for spec in field_specs(self.config_class) if spec.name not in self.fixed]
        self.options = [spec for spec in self.specs if spec.note is not None]
        keys = [key for spec in self.options for key in spec.spellings()]
        twice = {key for key in keys if keys.count(key) > 1}
        if twice:
            raise TypeError(f"{self.config_class.__name__}: options named twice: {', '.join(sorted(twice))}")

    def parameters(self) -> list[inspect.Parameter]:
        """Return one keyword-only Typer parameter per option: arguments, what must be given, the rest."""
        ordered = sorted(
            self.options,
            key=lambda spec: (not (spec.note and spec.note.positional), spec.default is not MISSING),
        )
        return [_parameter(spec) for spec in ordered]

    def known(self) -> list[Known]:
        """Return the spellings of the options, for the speller."""
        known = []
        for spec in self.options:
            if spec.note is None or spec.note.positional:
                continue
            spellings = [part for text in _declarations(spec) for part in text.split("/")]
            inner, _ = without_none(spec.annotation)
            known.append(Known(tuple(spellings), inner is not bool, is_number_list(inner)))
        return known

    def read_values(self, mapping: Mapping[str, Any], where: str) -> tuple[dict[str, Any], dict[str, Any]]:
        """Check the keys and values of a configuration file.

        Returns:
            ``(spoken, checked)``: option name -> value as the command line would give it, and
            field -> checked value, fields that are no options included.

        Raises:
            ConfigError: unknown key, wrong value, or a value that this command sets otherwise.
        """
        spoken: dict[str, Any] = {}
        checked: dict[str, Any] = {}
        known = {key: spec for spec in self.specs for key in spec.spellings()}
        for key, value in mapping.items():
            wanted = canonical(str(key))
            spec = known.get(wanted)
            if spec is None and isinstance(value, bool) and wanted.startswith("no"):
                # A switch by its other name.
                spec = known.get(wanted[2:])
                spec = spec if spec is not None and spec.annotation is bool else None
                value = not value
            if spec is None:
                self._refuse(str(key), value, where)
                continue
            result = convert(value, spec.annotation, spec.name, where, spec.note)
            checked[spec.name] = result
            if spec.note is not None and result is not None:
                spoken[spec.name] = _spoken(result, spec.annotation)
        return spoken, checked

    def _refuse(self, key: str, value: Any, where: str) -> None:
        for name, set_value in self.fixed.items():
            if canonical(name) == canonical(key):
                if to_plain(set_value) == value:
                    return
                raise ConfigError(
                    f"{where}: '{key}' is {value!r}, but this command means {set_value!r}; remove it."
                )
        names = [spec.name for spec in self.options]
        raise ConfigError(f"{where}: unknown key '{key}'; {nearest(key, names)}")

    def build(self, given: Mapping[str, Any], checked: Mapping[str, Any]) -> Any:
        """Return the configuration.

        Args:
            given: option name -> value from Typer (command line, file or default).
            checked: field -> value from a configuration file, which the command line does not replace.
        """
        plain: dict[str, Any] = {}
        for spec in self.options:
            value = given.get(spec.name)
            if isinstance(value, list):
                item = _tuple_item(spec.annotation)
                value = [part for text in value for part in items_of(text, item, spec.note) or ()]
            if value is not None:
                plain[spec.name] = value
        return from_plain(self.config_class, {**plain, **checked, **self.fixed}, where="command line")
