"""Random changes of a person's photo and of the colours that are true of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

_GRAY = np.array([0.299, 0.587, 0.114])


@dataclass(frozen=True, eq=False)
class Tones:
    """A change of every colour: gain per channel, saturation, contrast, brightness, gamma.

    Attributes:
        matrix: [3, 3].
        offset: a number.
        gamma: a number.
    """

    matrix: NDArray[np.float64]
    offset: float
    gamma: float

    @classmethod
    def draw(cls, rng: np.random.Generator, strength: float) -> Tones:
        """Draw a change; strength 0 gives none."""
        gain = np.exp(rng.normal(0, 0.1 * strength, 3)) * np.exp(rng.normal(0, 0.18 * strength))
        saturation = float(np.exp(rng.normal(0, 0.2 * strength)))
        mixing = saturation * np.eye(3) + (1 - saturation) * np.broadcast_to(_GRAY, (3, 3))
        contrast = float(np.exp(rng.normal(0, 0.15 * strength)))
        offset = 0.45 * (1 - contrast) + float(rng.normal(0, 0.04 * strength))
        return cls(contrast * gain[:, None] * mixing, offset, float(np.exp(rng.normal(0, 0.2 * strength))))

    def __call__(self, rgb: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return changed colours [..., 3] of [0, 1]."""
        changed = np.clip(rgb @ self.matrix.T + self.offset, 1e-4, 1.0) ** self.gamma
        return np.asarray(changed, dtype=np.float32)


@dataclass(frozen=True, eq=False)
class Print:
    """A pattern laid over a person along the line of sight: front and back alike.

    Attributes:
        field: [S, S, 3] added to colours.
        half_width_world, center_y_world: of the view that it covers.
    """

    field: NDArray[np.float32]
    half_width_world: float = 102.4
    center_y_world: float = 90.0

    @classmethod
    def draw(cls, rng: np.random.Generator, size: int = 256) -> Print:
        """Draw stripes, checks or noise with the spectrum of photographs, in one or several colours."""
        strength = rng.uniform(0.03, 0.14)
        colors = rng.normal(0, 1, (2, 3))
        colors /= np.abs(colors).max(axis=1, keepdims=True)
        y, x = np.mgrid[0:size, 0:size] / size
        kind = rng.random()
        if kind < 0.4:
            angle, count = rng.uniform(0, np.pi), rng.uniform(6, 60)
            phase = 2 * np.pi * count * (x * np.cos(angle) + y * np.sin(angle))
            wave = np.tanh(rng.uniform(1, 6) * np.sin(phase))
            other = np.tanh(3 * np.sin(2 * np.pi * count * (y * np.cos(angle) - x * np.sin(angle))))
            field = wave[..., None] * colors[0] + (kind < 0.15) * other[..., None] * colors[1]
        else:
            frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
            frequency[0, 0] = np.inf
            noise = rng.normal(size=(2, size, size))
            shaped = np.fft.irfft2(np.fft.rfft2(noise) / frequency ** rng.uniform(0.8, 1.8), (size, size))
            shaped /= np.maximum(shaped.std(axis=(1, 2), keepdims=True), 1e-9)
            field = np.clip(shaped[0, ..., None] * colors[0] + shaped[1, ..., None] * colors[1], -2, 2)
        return cls((strength * field).astype(np.float32))

    def at(self, x: NDArray[np.floating], y: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return the pattern at world places, [..., 3]."""
        size = self.field.shape[0]
        column = (x / self.half_width_world + 1) / 2 * size
        row = (1 - (y - self.center_y_world) / self.half_width_world) / 2 * size
        return self.field[
            np.clip(row.astype(np.int64), 0, size - 1), np.clip(column.astype(np.int64), 0, size - 1)
        ]


def coarser(rgb: NDArray[np.float32], rng: np.random.Generator, strength: float) -> NDArray[np.float32]:
    """Return a picture as worse cameras take it: blurred, noisy."""
    import cv2

    if rng.random() < 0.3 * strength:
        rgb = np.asarray(cv2.GaussianBlur(rgb, (0, 0), float(rng.uniform(0.4, 1.5))), np.float32)
    noise = float(rng.uniform(0, 0.03)) * strength
    return np.clip(rgb + rng.normal(0, 1, rgb.shape).astype(np.float32) * noise, 0, 1)
