"""Commands for optional files."""

from __future__ import annotations
