"""Named sets of training options, one YAML file each: ``common`` values, and those of single stages."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

from jiff.base.config import from_plain
from jiff.base.errors import ConfigError
from jiff.options.train import TrainConfig
from jiff.options.train_person import PersonTrainConfig

STAGES = ("shape", "color_coarse", "color_fine")
PERSON = "person"
"""The stage that shares no options of networks and sampling with the published ones: it takes no ``common`` values."""


def _content(name: str) -> dict[str, Any]:
    content = yaml.safe_load((resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8"))
    return dict(content)


def preset_names(stage: str = STAGES[0]) -> list[str]:
    """Return the names of the presets that a stage has."""
    folder = resources.files(__name__)
    names = [entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    if stage == PERSON:
        return sorted(name for name in names if PERSON in _content(name))
    return sorted(name for name in names if set(_content(name)) != {PERSON})


def preset_values(name: str, stage: str) -> dict[str, Any]:
    """Return the plain option values of a preset for a stage, as a configuration file would give them.

    Raises:
        ConfigError: unknown preset or stage.
    """
    if stage not in (*STAGES, PERSON):
        raise ConfigError(f"there is no stage {stage!r}; choose one of {', '.join((*STAGES, PERSON))}.")
    names = preset_names(stage)
    if name not in names:
        raise ConfigError(f"there is no training preset {name!r}; choose one of {', '.join(names)}.")
    content = _content(name)
    if stage == PERSON:
        return dict(content[PERSON])
    return {**content.get("common", {}), **(content.get(stage) or {})}


def person_preset_config(preset: str, /, **overrides: Any) -> PersonTrainConfig:
    """Return the configuration of a preset of the person network; ``overrides`` replace single options.

    Raises:
        ConfigError: unknown preset or option.
    """
    return from_plain(
        PersonTrainConfig, {**preset_values(preset, PERSON), **overrides}, where=f"preset {preset}"
    )


def preset_config(preset: str, /, stage: str, **overrides: Any) -> TrainConfig:
    """Return the configuration of a preset; ``overrides`` replace single options.

    Raises:
        ConfigError: unknown preset, stage or option.
    """
    values = {**preset_values(preset, stage), "stage": stage, **overrides}
    return from_plain(TrainConfig, values, where=f"preset {preset}")
