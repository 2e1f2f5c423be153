"""``--compile``: which parts of a stage are compiled, and what to say where that cannot work."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import torch

from jiff.errors import TrainingError

if TYPE_CHECKING:
    from jiff.training.stages import StageModule

BACKEND = "inductor"


def compile_stage(module: StageModule) -> None:
    """Compile the image encoders of a stage, the frozen ones too, in place; names of parameters stay as they are.

    They take nearly all of a step and see images of one shape. What follows works on lists of face points, whose
    length differs in every batch, and would be compiled again and again.
    """
    for network in (module.network, module.shape, module.coarse):
        if network is not None:
            network.image_filter.compile(backend=BACKEND)  # type: ignore[union-attr, operator]


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
