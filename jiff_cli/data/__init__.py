"""Commands that prepare data."""

from __future__ import annotations
