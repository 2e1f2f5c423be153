"""Commands that train networks."""

from __future__ import annotations
