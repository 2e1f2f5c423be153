"""Commands that reconstruct and measure."""

from __future__ import annotations
