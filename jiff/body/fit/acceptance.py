"""Whether a fitted body may be used."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from jiff.body.fit.fitting import BodyFit

MOST_LANDMARKS, MOST_OUTSIDE, MOST_FOLDED = 0.04, 0.25, 0.01
"""Median distance of landmarks as a share of the height, share of skin outside of the mask, share of skin in other parts."""


def refusal(fit: BodyFit) -> str | None:
    """Return why a body must not be used, None where it may."""
    landmarks = float(np.median(fit.landmark_error))
    if not np.isfinite(landmarks) or landmarks > MOST_LANDMARKS:
        return f"the body lies {landmarks:.0%} of the height off the landmarks (most: {MOST_LANDMARKS:.0%})"
    if fit.outside_share > MOST_OUTSIDE:
        return f"{fit.outside_share:.0%} of the body lies outside of the mask; look at the mask"
    if fit.folded_share > MOST_FOLDED:
        return f"{fit.folded_share:.1%} of the body would lie inside itself"
    return None
