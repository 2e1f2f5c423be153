"""``--compile`` and ``--channels-last``: which parts of a stage they concern, and what to say where that cannot work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch
from torch import nn

from jiff.base.errors import TrainingError
from jiff.models.normals.network import NormalNetwork
from jiff.models.person.network import PersonNetwork

if TYPE_CHECKING:
    from jiff.training.own_stage import OwnModule
    from jiff.training.stages import StageModule

BACKEND = "inductor"


def _encoders(module: StageModule | OwnModule) -> list[nn.Module]:
    """Return the image encoders of a stage, the frozen ones too: they take nearly all of a step."""
    if isinstance(module.network, PersonNetwork):
        encoders = (module.network.view_encoder, module.network.head_encoder)
        return [encoder for encoder in encoders if encoder is not None]
    if isinstance(module.network, NormalNetwork):
        return [module.network]
    networks = (module.network, module.shape, module.coarse)
    return [network.image_filter for network in networks if network is not None]  # type: ignore[misc, union-attr]


def keep_channels_last(module: StageModule | OwnModule) -> None:
    """Lay out the weights of the image encoders channels-last; their features follow, volumes stay as they are."""
    for encoder in _encoders(module):
        encoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]


def compile_stage(module: StageModule | OwnModule) -> None:
    """Compile the image encoders of a stage in place; names of parameters stay as they are.

    They see images of one shape, but for whole people by which networks of normals are validated. What follows works on lists of face points, whose length differs in every batch, and
    would be compiled again and again.
    """
    for encoder in _encoders(module):
        encoder.compile(backend=BACKEND)


@contextmanager
def compile_errors(compiled: bool) -> Iterator[None]:
    """Turn the compiler's errors of the first step into one sentence.

    Raises:
        TrainingError: the network cannot be compiled on this machine.
    """
    if not compiled:
        yield
        return
    from torch._dynamo.exc import TorchDynamoException

    try:
        yield
    except TorchDynamoException as error:
        cause = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        need = "Triton" if torch.cuda.is_available() else "a C++ compiler such as g++"
        raise TrainingError(
            f"--compile does not work on this machine ({cause}); it needs {need}: install it, or leave the option out."
        ) from error
