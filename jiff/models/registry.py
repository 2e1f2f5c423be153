"""The kinds of networks: what each is called in files, its class, its configuration and its named sizes."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from jiff.base.errors import ConfigError
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.config import ColorConfig, ShapeConfig
from jiff.models.normals.config import NormalConfig
from jiff.models.normals.network import NormalNetwork
from jiff.models.person.config import PersonConfig
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import color_preset, normals_preset, person_preset, shape_preset
from jiff.models.shape import ShapeNetwork

Network = ShapeNetwork | ColorCoarseNetwork | ColorFineNetwork | PersonNetwork | NormalNetwork
NetworkConfig = ShapeConfig | ColorConfig | PersonConfig | NormalConfig


@dataclass(frozen=True)
class NetworkKind:
    """One kind.

    Attributes:
        name: in checkpoints and folders of runs.
        network: its class.
        config: class of its configuration.
        preset: named size and changes -> configuration.
    """

    name: str
    network: type[Any]
    config: type[Any]
    preset: Callable[..., Any]


NETWORKS: tuple[NetworkKind, ...] = (
    NetworkKind("shape", ShapeNetwork, ShapeConfig, shape_preset),
    NetworkKind("color_coarse", ColorCoarseNetwork, ColorConfig, color_preset),
    NetworkKind("color_fine", ColorFineNetwork, ColorConfig, color_preset),
    NetworkKind("person", PersonNetwork, PersonConfig, person_preset),
    NetworkKind("normals", NormalNetwork, NormalConfig, normals_preset),
)
KINDS = tuple(kind.name for kind in NETWORKS)


def network_kind(name: str) -> NetworkKind:
    """Return the kind called ``name``.

    Raises:
        ConfigError: there is none.
    """
    for kind in NETWORKS:
        if kind.name == name:
            return kind
    raise ConfigError(f"no network is called {name}; kinds are {', '.join(KINDS)}.")
