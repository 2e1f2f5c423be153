"""A configuration's command line names just what differs from the defaults."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from jiff.base.config import option
from jiff.pipelines.command_line import command_line


@dataclass(frozen=True)
class _Config:
    photo: Path = option(help="a photo", positional=True)
    out: Path = option(Path("out"), help="folder", flags=("-o",))
    num_stack: int = option(4, help="stacks")
    yaws: tuple[int, ...] = option((), help="yaws")
    rate: float = option(1e-3, help="rate")
    color: bool = option(True, help="colour")
    raw: bool = option(False, help="raw")
    internal: int = 7


def test_defaults_and_plain_fields_are_left_out() -> None:
    assert command_line("data render", _Config(Path("a.png"), internal=8)) == "jiff data render a.png"


def test_every_kind_of_option_is_spelled() -> None:
    config = _Config(Path("my photo.png"), Path("x"), 2, (0, 90), 5e-4, False, True)
    assert command_line("reconstruct", config) == (
        "jiff reconstruct 'my photo.png' -o x --num-stack 2 --yaws 0,90 --rate 0.0005 --no-color --raw"
    )
