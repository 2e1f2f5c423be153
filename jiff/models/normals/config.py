"""Configuration of networks of normals."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

from jiff.base.errors import ConfigError


@dataclass(frozen=True)
class NormalConfig:
    """A network of normals.

    Attributes:
        channels: per level; the first is at half the picture's size.
    """

    channels: tuple[int, ...] = (24, 48, 64, 96, 128)

    def __post_init__(self) -> None:
        object.__setattr__(self, "channels", tuple(int(value) for value in self.channels))
        if not self.channels or min(self.channels) < 1:
            raise ConfigError(f"channels must hold at least one size, all positive; got {self.channels}.")

    @property
    def multiple(self) -> int:
        """What the sides of pictures must be multiples of, pixels."""
        return int(2 ** len(self.channels))

    def to_dict(self) -> dict[str, Any]:
        """Return plain values for YAML or JSON."""
        return {"channels": list(self.channels)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> NormalConfig:
        """Return the configuration that ``values`` describe; keys that are left out take the defaults.

        Raises:
            ConfigError: an unknown key, or a value of the wrong kind or range.
        """
        unknown = sorted(set(values) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigError(f"NormalConfig has no option {', '.join(unknown)}.")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"NormalConfig: a value is of the wrong kind ({error}).") from error
