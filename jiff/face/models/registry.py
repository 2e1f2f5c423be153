"""Face models by the names of ``jiff.options.face_models``, loaded once per process and only when asked for."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Any

from jiff.assets.folders import assets_dir, cache_dir
from jiff.face.fit.carried_points import carried_points
from jiff.face.fit.photo_reader import PhotoReader
from jiff.face.model import MorphableModel
from jiff.face.points import ModelPoints, anny_points
from jiff.options.face_models import DEFAULT_FACE_MODEL, face_model_entry


def _resolve(place: str) -> Callable[[], Any]:
    module, function = place.split(":")
    found: Callable[[], Any] = getattr(importlib.import_module(module), function)
    return found


@lru_cache(maxsize=8)
def _loaded(place: str, cache: Path, assets: Path) -> Any:
    """Load what a place gives; other folders may hold other files."""
    return _resolve(place)()


def load_face_model(name: str = DEFAULT_FACE_MODEL) -> MorphableModel:
    """Return the face model called ``name``.

    Raises:
        UsageError: unknown name.
        AssetError: its files are missing or damaged.
    """
    model: MorphableModel = _loaded(face_model_entry(name).loader, cache_dir(), assets_dir())
    return model


def load_model_points(model: MorphableModel) -> ModelPoints | None:
    """Return where the face network's points lie on a model, None where it has no landmarks to find out.

    Raises:
        AssetError: the default model cannot be built.
    """
    anny = load_face_model()
    return anny_points(model) if model.name == anny.name else carried_points(model, anny)


def load_photo_reader(name: str) -> PhotoReader | None:
    """Return the network that reads a model's coefficients off a photo, None where there is none.

    Raises:
        UsageError: unknown name.
        AssetError: its files are damaged.
    """
    place = face_model_entry(name).photo_reader
    reader: PhotoReader | None = _loaded(place, cache_dir(), assets_dir()) if place else None
    return reader
