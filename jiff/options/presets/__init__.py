"""Named sets of training options, one YAML file each: ``common`` values, and those of single stages."""

from __future__ import annotations

from importlib import resources
from typing import Any

import yaml

from jiff.base.config import from_plain
from jiff.base.errors import ConfigError
from jiff.options.train import TrainConfig

STAGES = ("shape", "color_coarse", "color_fine")


def preset_names() -> list[str]:
    """Return the names of all presets."""
    folder = resources.files(__name__)
    return sorted(
        entry.name.removesuffix(".yaml") for entry in folder.iterdir() if entry.name.endswith(".yaml")
    )


def preset_values(name: str, stage: str) -> dict[str, Any]:
    """Return the plain option values of a preset for a stage, as a configuration file would give them.

    Raises:
        ConfigError: unknown preset or stage.
    """
    if name not in preset_names():
        raise ConfigError(f"there is no training preset {name!r}; choose one of {', '.join(preset_names())}.")
    if stage not in STAGES:
        raise ConfigError(f"there is no stage {stage!r}; choose one of {', '.join(STAGES)}.")
    content = yaml.safe_load((resources.files(__name__) / f"{name}.yaml").read_text(encoding="utf-8"))
    return {**content.get("common", {}), **(content.get(stage) or {})}


def preset_config(preset: str, /, stage: str, **overrides: Any) -> TrainConfig:
    """Return the configuration of a preset; ``overrides`` replace single options.

    Raises:
        ConfigError: unknown preset, stage or option.
    """
    values = {**preset_values(preset, stage), "stage": stage, **overrides}
    return from_plain(TrainConfig, values, where=f"preset {preset}")
