"""Results that show themselves in one short line, as a notebook prints what a cell ends with."""

from __future__ import annotations

from dataclasses import fields
from typing import Any

import numpy as np

from jiff.geometry.mesh import Mesh

_LONGEST = 80


class Shown:
    """Base of results: arrays are shown by their shapes, meshes by their sizes."""

    def __repr__(self) -> str:
        parts = [f"{item.name}={_short(getattr(self, item.name))}" for item in fields(self)]  # type: ignore[arg-type]
        return f"{type(self).__name__}({', '.join(parts)})"


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return f"{value.dtype}[{', '.join(map(str, value.shape))}]"
    if isinstance(value, Mesh):
        return f"<{len(value.vertices)} vertices, {len(value.faces)} faces>"
    if isinstance(value, Shown):
        return f"<{type(value).__name__}>"
    text = repr(value)
    return text if len(text) <= _LONGEST else f"<{type(value).__name__}>"
