"""The network of normals that is installed with jiff."""

from __future__ import annotations

from importlib import resources
from pathlib import Path

import torch

from jiff.base.errors import CheckpointError
from jiff.models.checkpoint import load_published
from jiff.models.normals.network import NormalNetwork

NORMALS = "normals"
"""The network's kind, and its place in a run's folder."""


def default_normals() -> Path:
    """Return the file of the installed network: 16-bit floats, which loading makes 32-bit ones."""
    return Path(str(resources.files("jiff.models.normals"))) / "default.safetensors"


def load_normals(path: Path | None = None, device: torch.device | str = "cpu") -> NormalNetwork:
    """Return a network of normals in evaluation mode.

    Args:
        path: an own checkpoint, or a ``.pth`` of tensors alone; the installed one without it.
        device: where to put it.

    Raises:
        CheckpointError: the file is missing, damaged, or holds another network.
    """
    path = path or default_normals()
    network = load_published(path, NORMALS, device=device)
    if not isinstance(network, NormalNetwork):
        raise CheckpointError(
            f"{path}: holds no network of normals; give a checkpoint of `jiff train normals`."
        )
    network.requires_grad_(False)
    return network
