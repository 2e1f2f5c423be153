"""Configuration of prior-held person networks."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar

from jiff.base.errors import ConfigError


@dataclass(frozen=True)
class PersonConfig:
    """A prior-held person network.

    Attributes:
        view_channels: of the whole view's encoder, per level; the first is at half the picture's size.
        head_channels: of the close-up's encoder; empty leaves close-ups out (ablation).
        feature_dim: channels of the whole view's feature.
        head_feature_dim: channels of the close-up's feature.
        hidden: of the MLPs.
        body: whether what the fitted body says is an input; False leaves the picture alone (ablation).
        load_size: side of the pictures, pixels.
        sharpness: world units over which occupancy goes from one half to 0.73.
    """

    view_channels: tuple[int, ...] = (24, 48, 96, 128, 160)
    head_channels: tuple[int, ...] = (24, 48, 72, 96)
    feature_dim: int = 48
    head_feature_dim: int = 32
    hidden: tuple[int, ...] = (192, 192, 96)
    body: bool = True
    load_size: int = 256
    sharpness: float = 0.8

    _SEQUENCES: ClassVar[tuple[str, ...]] = ("view_channels", "head_channels", "hidden")

    def __post_init__(self) -> None:
        for name in self._SEQUENCES:
            object.__setattr__(self, name, tuple(int(value) for value in getattr(self, name)))
        if not self.view_channels or not self.hidden:
            raise ConfigError("view_channels and hidden must hold at least one size.")
        sizes = (
            *self.view_channels,
            *self.head_channels,
            *self.hidden,
            self.feature_dim,
            self.head_feature_dim,
        )
        if min(sizes) < 1:
            raise ConfigError("channels, hidden and feature sizes must be positive.")
        deepest = 2 ** max(len(self.view_channels), len(self.head_channels))
        if self.load_size % deepest or self.load_size <= 0:
            raise ConfigError(f"load_size must be a multiple of {deepest}; got {self.load_size}.")
        if not self.sharpness > 0:
            raise ConfigError(f"sharpness must be positive; got {self.sharpness}.")

    @property
    def close_up(self) -> bool:
        """Whether the head is looked at in a close-up."""
        return bool(self.head_channels)

    def to_dict(self) -> dict[str, Any]:
        """Return plain values (lists, numbers, strings) for YAML or JSON."""
        return {
            key: list(value) if isinstance(value, tuple) else value for key, value in asdict(self).items()
        }

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> PersonConfig:
        """Return the configuration that ``values`` describe; keys that are left out take the defaults.

        Raises:
            ConfigError: an unknown key, or a value of the wrong kind or range.
        """
        unknown = sorted(set(values) - {item.name for item in fields(cls)})
        if unknown:
            raise ConfigError(f"PersonConfig has no option {', '.join(unknown)}.")
        try:
            return cls(**values)
        except (TypeError, ValueError) as error:
            raise ConfigError(f"PersonConfig: a value is of the wrong kind ({error}).") from error
