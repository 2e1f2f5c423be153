"""Whether a fitted body may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

MOST_LANDMARKS, MOST_OUTSIDE, MOST_FOLDED = 0.04, 0.25, 0.01
"""Median distance of landmarks as a share of the height, share of skin outside of the mask, share of skin in other parts."""


def refusal(landmark_error: NDArray[np.float64], outside_share: float, folded_share: float) -> str | None:
    """Return why a body must not be used, None where it may; arguments as of ``BodyFit``."""
    landmarks = float(np.median(landmark_error))
    if not np.isfinite(landmarks) or landmarks > MOST_LANDMARKS:
        return f"the body lies {landmarks:.0%} of the height off the landmarks (most: {MOST_LANDMARKS:.0%})"
    if outside_share > MOST_OUTSIDE:
        return f"{outside_share:.0%} of the body lies outside of the mask; look at the mask"
    if folded_share > MOST_FOLDED:
        return f"{folded_share:.1%} of the body would lie inside itself"
    return None
