"""Conversion of checkpoints between the published ``.pth`` format and own safetensors files."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from jiff.base.errors import CheckpointError, UsageError
from jiff.models.checkpoint import (
    is_safetensors,
    load_network,
    load_published,
    read_own,
    read_pth,
    write_pth,
    write_state,
)
from jiff.models.published import IGNORED_PREFIX, infer_kind, normalize_keys


@dataclass(frozen=True)
class ConversionReport:
    """What a conversion wrote: the file, the network's kind and its number of parameters."""

    target: Path
    kind: str
    parameters: int


def convert_checkpoint(
    source: Path | str, target: Path | str, kind: str | None = None, *, half: bool = False
) -> ConversionReport:
    """Convert a checkpoint; the direction follows from what ``source`` is.

    Args:
        source: a published ``.pth`` file or one of the network of normals, or an own safetensors file.
        target: written atomically; safetensors for the former, ``.pth`` for the latter.
        kind: "shape", "color_coarse", "color_fine" or "normals"; read from the tensors when not given. A fine colour network
            without face branch looks like a coarse one and needs it.
        half: write safetensors of 16-bit floats, half as large; reading makes them 32-bit ones again.

    Raises:
        CheckpointError: the source is missing, damaged, or not a network.
        UsageError: the target of an own checkpoint is a ``.pth`` file though ``half`` is asked for.
        OutputError: the target cannot be written.
    """
    source, target = Path(source), Path(target)
    if is_safetensors(source):
        found, own, state = read_own(source)
        load_network(source)
        if half:
            if target.suffix == ".pth":
                raise UsageError(f"{target}: --half writes safetensors; choose such a name.")
            write_state(target, _halved(state), found, own)
            return ConversionReport(target, found, _parameters(state))
        if found in ("person", "normals"):
            raise CheckpointError(
                f"{source}: holds a {found} network, which no published script reads; use --half."
            )
        write_pth(target, with_unused_encoder(state) if found == "shape" else state)
        return ConversionReport(target, found, _parameters(state))
    state = normalize_keys(read_pth(source))
    found = kind or infer_kind(state) or ""
    if not found:
        raise CheckpointError(f"{source}: holds no network of JIFF or PIFu; give a netG or netC checkpoint.")
    config = load_published(source, found).config
    write_state(target, _halved(state) if half else state, found, config)
    return ConversionReport(target, found, _parameters(state))


def with_unused_encoder(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Add the encoder that the published code demands of a shape checkpoint and never runs, filled with zeros."""
    encoder = {key: value for key, value in state.items() if key.startswith("tdmm_filter.")}
    extra = {
        key.replace("tdmm_filter.", IGNORED_PREFIX, 1): torch.zeros_like(value)
        for key, value in encoder.items()
    }
    return {**state, **extra}


def _halved(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def _parameters(state: dict[str, Tensor]) -> int:
    return sum(value.numel() for value in state.values() if value.is_floating_point())
