"""Which implementation of an operation runs: the plain torch/SciPy twin or an accelerator that is importable."""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
from types import ModuleType

from jiff.base.errors import ConfigError

ENVIRONMENT_VARIABLE = "JIFF_OPS"
"""Set to ``torch`` to force the twins everywhere, or to an accelerator's name to insist on it."""

ACCELERATORS = {
    "torch_scatter": ("scatter_mean", "scatter_max"),
    "pytorch3d": ("knn", "farthest_point_sample", "ball_query"),
    "kaolin": ("point_to_mesh_distance",),
}
"""Accelerator package -> operations it can take over."""

_FOR_CUDA = ("torch_scatter", "kaolin")
"""Those that gain nothing on the CPU, as measured in docs/architecture.md, or do not run there."""


@functools.cache
def _import(name: str) -> ModuleType | None:
    if importlib.util.find_spec(name) is None:
        return None
    try:
        return importlib.import_module(name)
    except (ImportError, OSError):
        # A wheel built for another torch or CUDA is found but does not load; the twin serves.
        return None


def forced() -> str | None:
    """Return the choice made by ``JIFF_OPS``, or None for automatic.

    Raises:
        ConfigError: the variable names nothing known.
    """
    choice = os.environ.get(ENVIRONMENT_VARIABLE, "").strip().lower().replace("-", "_")
    if choice in ("", "auto"):
        return None
    if choice != "torch" and choice not in ACCELERATORS:
        raise ConfigError(
            f"{ENVIRONMENT_VARIABLE} is {choice!r}; set it to auto, torch, {', '.join(ACCELERATORS)} or unset it."
        )
    return choice


def accelerator(operation: str, cuda: bool) -> ModuleType | None:
    """Return the module that takes over ``operation``, or None when its twin is to run.

    Args:
        operation: a name listed in ``ACCELERATORS``.
        cuda: whether the tensors lie on a CUDA device; elsewhere those that serve CUDA are chosen only when
            ``JIFF_OPS`` names them.

    Raises:
        ConfigError: ``JIFF_OPS`` insists on an accelerator that cannot be imported.
    """
    choice = forced()
    if choice == "torch":
        return None
    for name, operations in ACCELERATORS.items():
        if operation not in operations:
            continue
        module = _import(name)
        if choice == name and module is None:
            raise ConfigError(
                f"{ENVIRONMENT_VARIABLE} is {name}, which cannot be imported; install it or unset it."
            )
        if choice not in (None, name):
            return None
        if name in _FOR_CUDA and not cuda and choice != name:
            return None
        return module
    return None


def available() -> dict[str, bool]:
    """Return accelerator name -> whether it can be imported (for ``jiff doctor``)."""
    return {name: _import(name) is not None for name in ACCELERATORS}
