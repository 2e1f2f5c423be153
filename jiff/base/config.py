"""Frozen dataclasses as the single source of options: field notes, plain dictionaries, YAML, checks."""

from __future__ import annotations

import dataclasses
import difflib
import types
import typing
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar

from jiff import __version__
from jiff.base.errors import ConfigError
from jiff.base.files import read_yaml, write_yaml

C = TypeVar("C")
_NOTE = "jiff.option"


@dataclass(frozen=True)
class OptionNote:
    """What a configuration field tells the command line about itself.

    Attributes:
        help: one or two sentences for ``--help``, with units.
        panel: heading under which the help lists it.
        flags: short spellings, e.g. ``("-i",)``.
        aliases: further spellings that are accepted and not shown, those of the published scripts.
        minimum: smallest allowed number, inclusive.
        maximum: largest allowed number, inclusive.
        positional: whether it is an argument rather than an option.
        metavar: placeholder of its value in the help.
        hidden: accepted but not listed.
        split: whether a comma separates the items of a list of texts.
    """

    help: str
    panel: str | None = None
    flags: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    minimum: float | None = None
    maximum: float | None = None
    positional: bool = False
    metavar: str | None = None
    hidden: bool = False
    split: bool = True


def option(
    default: Any = dataclasses.MISSING,
    *,
    help: str,
    panel: str | None = None,
    min: float | None = None,
    max: float | None = None,
    flags: tuple[str, ...] = (),
    aliases: tuple[str, ...] = (),
    positional: bool = False,
    metavar: str | None = None,
    hidden: bool = False,
    split: bool = True,
) -> Any:
    """Return a dataclass field that the command line shows as an option; without ``default`` it is required."""
    note = OptionNote(help, panel, tuple(flags), tuple(aliases), min, max, positional, metavar, hidden, split)
    return dataclasses.field(default=default, metadata={_NOTE: note})


@dataclass(frozen=True)
class FieldSpec:
    """One configuration field.

    Attributes:
        name: of the field.
        annotation: resolved type.
        default: its default, ``dataclasses.MISSING`` when required.
        note: the option note; None for fields that are no options.
    """

    name: str
    annotation: Any
    default: Any
    note: OptionNote | None

    def spellings(self) -> set[str]:
        """Return the names under which a file may hold the field, in canonical form."""
        extra = (*self.note.flags, *self.note.aliases) if self.note else ()
        return {canonical(text) for text in extra if text.startswith("--")} | {canonical(self.name)}


def without_none(annotation: Any) -> tuple[Any, bool]:
    """Return ``(T, True)`` for ``T | None`` and ``(annotation, False)`` for everything else."""
    if typing.get_origin(annotation) in (typing.Union, types.UnionType):
        members = [member for member in typing.get_args(annotation) if member is not type(None)]
        if len(members) == 1:
            return members[0], True
    return annotation, False


def field_specs(cls: type) -> list[FieldSpec]:
    """List the fields of a configuration class in order."""
    hints = typing.get_type_hints(cls)
    # Keyword-only fields come from a common base and belong behind a class's own, as in its constructor.
    items = sorted(dataclasses.fields(cls), key=lambda item: item.kw_only is True)
    return [
        FieldSpec(item.name, hints[item.name], _default(item), item.metadata.get(_NOTE))
        for item in items
        if item.init
    ]


def _default(item: dataclasses.Field[Any]) -> Any:
    return item.default if item.default_factory is dataclasses.MISSING else item.default_factory()


def canonical(name: str) -> str:
    """Return ``name`` without dashes, underscores and case: the form in which spellings are compared."""
    return name.replace("-", "").replace("_", "").lower()


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """Return the words ``; did you mean 'x'?`` for the known name closest to ``name``, or a plain remedy."""
    table = {canonical(item): item for item in known}
    found = difflib.get_close_matches(canonical(name), list(table), n=1, cutoff=0.5)
    return f"did you mean '{table[found[0]]}'?" if found else "remove it or see --help for the valid names."


def _bad(where: str, name: str, value: Any, wanted: str) -> ConfigError:
    return ConfigError(f"{where}: '{name}' must be {wanted}, not {value!r}; correct the value.")


def _number(value: Any, kind: type, name: str, where: str) -> Any:
    wanted = "a whole number" if kind is int else "a number"
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        raise _bad(where, name, value, wanted)
    try:
        # YAML 1.1 reads 1e-4 (no dot) as text, so text that spells a number is one.
        if kind is float:
            return float(value)
        if isinstance(value, float) and value != int(value):
            raise ValueError
        return int(value)
    except (ValueError, OverflowError) as error:
        raise _bad(where, name, value, wanted) from error


def _in_range(value: Any, note: OptionNote | None, name: str, where: str) -> None:
    if note is None or isinstance(value, bool) or not isinstance(value, (int, float)):
        return
    low, high = note.minimum, note.maximum
    if (low is None or value >= low) and (high is None or value <= high):
        return
    if low is not None and high is not None:
        wanted = f"between {low:g} and {high:g}"
    else:
        wanted = f"at least {low:g}" if low is not None else f"at most {high:g}"
    raise _bad(where, name, value, wanted)


def items_of(value: Any, item: Any, note: OptionNote | None) -> list[Any] | None:
    """Return the items of a list value, None when it is no list.

    Args:
        value: a list, or text: numbers are separated by commas or spaces, texts by commas, paths not at all.
        item: type of one item.
        note: says whether texts are separated at all.
    """
    if isinstance(value, (list, tuple)):
        return list(value)
    if item is Path or (item is str and note is not None and not note.split):
        return [value] if isinstance(value, (str, Path)) else None
    if isinstance(value, str):
        text = value.replace(",", " ").split() if item in (int, float) else value.split(",")
        return [part.strip() for part in text if part.strip()]
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return [value]
    return None


def convert(
    value: Any, annotation: Any, name: str, where: str = "configuration", note: OptionNote | None = None
) -> Any:
    """Return plain ``value`` as the type ``annotation`` asks for.

    Args:
        value: from YAML, JSON or the command line; text that spells a number or a comma list is accepted.
        annotation: bool, int, float, str, Path, Literal, tuples of those, ``X | None``.
        name: of the field, for the message.
        where: file or part the value comes from, for the message.
        note: range to be held.

    Raises:
        ConfigError: the value does not fit.
    """
    annotation, optional = without_none(annotation)
    if value is None:
        if optional:
            return None
        raise _bad(where, name, value, "given")
    origin = typing.get_origin(annotation)
    result: Any
    if origin is Literal:
        choices = typing.get_args(annotation)
        for choice in choices:
            if value == choice or str(value) == str(choice):
                return choice
        raise _bad(where, name, value, "one of " + ", ".join(map(str, choices)))
    if origin is tuple:
        return _convert_tuple(value, typing.get_args(annotation), name, where, note)
    if annotation is bool:
        words = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
        if isinstance(value, str) and value.lower() in words:
            return words[value.lower()]
        if not isinstance(value, bool):
            raise _bad(where, name, value, "true or false")
        return value
    if annotation in (int, float):
        result = _number(value, annotation, name, where)
        _in_range(result, note, name, where)
        return result
    if annotation is Path:
        if not isinstance(value, (str, Path)) or not str(value):
            raise _bad(where, name, value, "a path")
        return Path(value).expanduser()
    if annotation is str:
        if not isinstance(value, (str, int, float)) or isinstance(value, bool):
            raise _bad(where, name, value, "text")
        return str(value)
    if annotation is Any:
        return value
    raise TypeError(f"configuration field {name} has the unsupported type {annotation}")


def _convert_tuple(value: Any, items: tuple[Any, ...], name: str, where: str, note: OptionNote | None) -> Any:
    open_ended = len(items) == 2 and items[1] is Ellipsis
    parts = items_of(value, items[0], note)
    if parts is None:
        raise _bad(where, name, value, "a list")
    if open_ended:
        return tuple(convert(part, items[0], name, where, note) for part in parts)
    if len(parts) != len(items):
        raise _bad(where, name, value, f"a list of {len(items)} values")
    return tuple(convert(part, item, name, where, note) for part, item in zip(parts, items))


def from_plain(cls: type[C], mapping: Mapping[str, Any], *, where: str = "configuration") -> C:
    """Build the configuration ``cls`` from plain values, checking names, types and ranges.

    Keys may be spelled with dashes or underscores, in any case, and be aliases.

    Args:
        cls: a dataclass.
        mapping: field name -> plain value.
        where: the file or part that messages name.

    Raises:
        ConfigError: unknown or missing key, wrong type, value out of range.
    """
    specs = field_specs(cls)
    known = {key: spec for spec in specs for key in spec.spellings()}
    values: dict[str, Any] = {}
    for key, value in mapping.items():
        spec = known.get(canonical(str(key)))
        if spec is None:
            raise ConfigError(
                f"{where}: unknown key '{key}'; {nearest(str(key), [spec.name for spec in specs])}"
            )
        values[spec.name] = convert(value, spec.annotation, spec.name, where, spec.note)
    for spec in specs:
        if spec.default is dataclasses.MISSING and spec.name not in values:
            raise ConfigError(f"{where}: the key '{spec.name}' is missing; add it.")
    return cls(**values)


def to_plain(value: Any) -> Any:
    """Return a configuration as nested dictionaries, lists, text and numbers, ready for YAML or JSON."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            item.name: to_plain(getattr(value, item.name)) for item in dataclasses.fields(value) if item.init
        }
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (list, tuple)):
        return [to_plain(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"{type(value).__name__} has no plain form")


def save_resolved(config: Any, path: Path | str, **extra: Any) -> None:
    """Write the complete configuration of a run to ``path`` (``run.yaml``), atomically.

    The file can be given to ``--config`` again; ``extra`` sections (versions, data fingerprint) stand beside it.
    """
    write_yaml(
        path, {"jiff": __version__, "config": to_plain(config), **{k: to_plain(v) for k, v in extra.items()}}
    )


def read_config_file(path: Path | str) -> dict[str, Any]:
    """Return the option values of a YAML file: a flat mapping, or the ``config`` part of a ``run.yaml``.

    Raises:
        InputError: missing file or not YAML.
        ConfigError: not a mapping.
    """
    content = read_yaml(path)
    if isinstance(content, Mapping) and isinstance(content.get("config"), Mapping):
        content = content["config"]
    if content is None:
        return {}
    if not isinstance(content, Mapping):
        raise ConfigError(f"{path}: holds no mapping of options; write lines of the form 'name: value'.")
    return {str(key): value for key, value in content.items()}
