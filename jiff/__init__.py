"""jiff: from 3D scans to a trained JIFF network, and from one photo to a coloured mesh with a good face."""

from __future__ import annotations

__version__ = "0.1.0"
