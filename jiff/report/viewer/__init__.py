"""A self-contained page that shows meshes in the browser."""

from __future__ import annotations
