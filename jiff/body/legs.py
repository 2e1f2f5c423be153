"""How long legs are, beside the trunk: the one proportion that fits to photos free.

Anny's phenotypes hardly change it (3 %), people's legs differ by as much as a tenth, and a camera that looks down takes
another tenth off. A body whose legs are too long for a picture can only lean or stride along the line of sight.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

LEGS = ("upperlegs-height-incr", "lowerlegs-height-incr")
"""Local changes of anny, in [-1, 1]; -1 shortens by 15 %, 1 lengthens by 21 %."""
_Value = TypeVar("_Value", float, "Tensor")


def leg_changes(value: _Value) -> dict[str, _Value]:
    """Return the local changes of legs that are longer by ``value`` in [-1, 1]."""
    return dict.fromkeys(LEGS, value)


def leg_value(local_changes: Mapping[str, float]) -> float:
    """Return the ``value`` that local changes hold, 0 where none."""
    return float(local_changes.get(LEGS[0], 0.0))
