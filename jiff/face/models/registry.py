"""Face models by the names of ``jiff.options.face_models``, loaded once per process and only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from jiff.face.fit.photo_reader import PhotoReader
from jiff.face.model import MorphableModel
from jiff.options.face_models import DEFAULT_FACE_MODEL, face_model_entry


def _resolve(place: str) -> Callable[[], Any]:
    module, function = place.split(":")
    found: Callable[[], Any] = getattr(importlib.import_module(module), function)
    return found


@lru_cache(maxsize=4)
def load_face_model(name: str = DEFAULT_FACE_MODEL) -> MorphableModel:
    """Return the face model called ``name``.

    Raises:
        UsageError: unknown name.
        AssetError: its files are missing or damaged.
    """
    model: MorphableModel = _resolve(face_model_entry(name).loader)()
    return model


@lru_cache(maxsize=4)
def load_photo_reader(name: str) -> PhotoReader | None:
    """Return the network that reads a model's coefficients off a photo, None where there is none.

    Raises:
        UsageError: unknown name.
        AssetError: its files are damaged.
    """
    entry = face_model_entry(name)
    reader: PhotoReader | None = _resolve(entry.photo_reader)() if entry.photo_reader else None
    return reader
