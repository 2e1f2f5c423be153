"""OpenCV's own lines on the terminal, switched off where jiff says the same in a sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def silent_opencv() -> Iterator[None]:
    """Keep OpenCV from printing for the length of a ``with`` block."""
    import cv2

    # Since OpenCV 4.13; the command line sets OPENCV_LOG_LEVEL for those before.
    logging: Any = getattr(getattr(cv2, "utils", None), "logging", None)
    if logging is None:
        yield
        return
    level = logging.setLogLevel(logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        logging.setLogLevel(level)
