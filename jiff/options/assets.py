"""Options of ``jiff assets`` and ``jiff doctor``."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from jiff.base.config import option


@dataclass(frozen=True)
class ConvertConfig:
    """Options of ``jiff assets convert``."""

    source: Path = option(
        help="Published checkpoint (.pth), or own network file (.safetensors).", positional=True
    )
    target: Path = option(
        help="File to write: .safetensors from a .pth and the other way round.", positional=True
    )
    kind: Literal["shape", "color_coarse", "color_fine", "normals"] | None = option(
        None, help="Which network it is; seen from its tensors when left out."
    )
    half: bool = option(False, help="Write safetensors of 16-bit floats: half the size.")
    overwrite: bool = option(False, help="Replace the target when it exists.")


@dataclass(frozen=True)
class FetchConfig:
    """Options of ``jiff assets fetch``."""

    names: tuple[str, ...] = option(
        (), help="Names from 'jiff assets list'; all that may be fetched when left out.", positional=True
    )
    overwrite: bool = option(False, help="Fetch again what is there.")


@dataclass(frozen=True)
class ListConfig:
    """Options of ``jiff assets list``."""

    json: bool = option(False, help="Print everything as JSON.")
    missing: bool = option(False, help="Show the missing files only.")


@dataclass(frozen=True)
class PathConfig:
    """Options of ``jiff assets path``."""

    name: str | None = option(
        None, help="Name from 'jiff assets list'; the whole folder when left out.", positional=True
    )


@dataclass(frozen=True)
class VerifyConfig:
    """Options of ``jiff assets verify``."""

    names: tuple[str, ...] = option(
        (), help="Names from 'jiff assets list'; all that are there when left out.", positional=True
    )


@dataclass(frozen=True)
class DoctorConfig:
    """Options of ``jiff doctor``."""

    json: bool = option(False, help="Print everything as JSON.")
