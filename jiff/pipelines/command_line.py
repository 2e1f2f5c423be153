"""The command line that stands for a configuration, so that whatever ran can be repeated by hand."""

from __future__ import annotations

import shlex
from typing import Any

from jiff.base.config import field_specs


def command_line(command: str, config: Any) -> str:
    """Return ``jiff COMMAND ...`` with every option of ``config`` that differs from its default.

    Args:
        command: words after ``jiff``, e.g. ``"data render"``.
        config: the frozen dataclass of that command (fields made with ``jiff.base.config.option``).
    """
    words = ["jiff", *command.split()]
    options: list[str] = []
    for spec in field_specs(type(config)):
        value = getattr(config, spec.name)
        if spec.note is None or value == spec.default or value is None:
            continue
        if spec.note.positional:
            values = value if isinstance(value, tuple) else (value,)
            words += [str(v) for v in values]
            continue
        short = next((flag for flag in spec.note.flags if len(flag) == 2), None)
        flag = short or "--" + spec.name.replace("_", "-")
        if isinstance(value, bool):
            options.append(flag if value else "--no-" + spec.name.replace("_", "-"))
        elif isinstance(value, tuple):
            options += [flag, ",".join(str(v) for v in value)]
        else:
            options += [flag, f"{value:g}" if isinstance(value, float) else str(value)]
    return " ".join(shlex.quote(word) for word in words + options)
