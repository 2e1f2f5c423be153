"""Where networks run: one spelling for all commands, the published GPU numbers included."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from jiff.base.config import option
from jiff.base.errors import UsageError

KINDS = ("auto", "cpu", "cuda", "mps")


@dataclass(frozen=True)
class DeviceChoice:
    """A device, or several.

    Attributes:
        kind: one of ``KINDS``; auto takes what is there.
        numbers: of CUDA devices, empty for the first.
    """

    kind: str
    numbers: tuple[int, ...] = ()


def device_option(panel: str | None = None, several: bool = False) -> Any:
    """Return the field of a configuration that chooses the device."""
    more = "; cuda:0,1,2 trains on several" if several else ""
    return option(
        "auto",
        help=f"auto, cpu, cuda, cuda:1 or mps{more}. GPU numbers alone work too, -1 is the processor.",
        aliases=("--gpu-ids",),
        panel=panel,
    )


def parse_device(text: str) -> DeviceChoice:
    """Return what ``--device`` (or ``--gpu-ids``) asks for.

    Raises:
        UsageError: no device of any kind.
    """
    kind, colon, rest = text.strip().lower().partition(":")
    if kind in KINDS and not colon:
        return DeviceChoice(kind)
    words = (rest if colon else text).replace(",", " ").split()
    try:
        numbers = tuple(int(word) for word in words)
    except ValueError:
        numbers = ()
    if not colon and numbers == (-1,):
        return DeviceChoice("cpu")
    if not numbers or min(numbers) < 0 or len(set(numbers)) != len(numbers) or (colon and kind != "cuda"):
        raise UsageError(
            f"--device {text!r} must be auto, cpu, cuda, mps, or numbers of GPUs that differ, like cuda:0 or 0,1,2."
        )
    return DeviceChoice("cuda", numbers)
