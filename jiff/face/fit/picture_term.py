"""How well a model's colours explain a picture, as equations of the fit: features find their place in the image.

Every seen vertex predicts its pixel as smooth shading (second-order spherical harmonics of the normal) plus the model's
texture with free strengths; the image gradient says which way the vertex should move. Direct alignment in the manner of
Lucas and Kanade (IJCAI 1981) and Blanz and Vetter (SIGGRAPH 1999), on a pyramid.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.render.sh import sh_basis

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.model import MorphableModel
    from jiff.geometry.camera import Camera

_DARK = 0.2
"""Brightness below which a colour says little, red plus green."""


def _opponent(rgb: NDArray[Any]) -> NDArray[Any]:
    """Return [..., 2] brightness and red against green of [..., 3] RGB in [0, 1].

    Lips and skin differ little in the one and much in the other, whatever the light's strength.
    """
    red, green = rgb[..., 0], rgb[..., 1]
    return np.stack([rgb.mean(-1), (red - green) / (red + green + _DARK)], axis=-1)


@dataclass(frozen=True)
class PictureConfig:
    """How a picture counts in a fit.

    Attributes:
        blur_world: standard deviation of the smoothing of picture and texture, per level, world units.
        noise: expected deviation of brightness and of red-green, of 1.
        vertices: about how many vertices are compared.
        textures: how many texture directions may vary.
        least_facing: cosine between normal and line of sight below which a vertex is not compared.
        least_trust: ``fit_weight`` below which a vertex is not compared.
    """

    blur_world: tuple[float, ...] = (0.9, 0.6, 0.4)
    noise: tuple[float, float] = (0.05, 0.02)
    vertices: int = 1500
    textures: int = 10
    least_facing: float = 0.3
    least_trust: float = 0.5


@dataclass(frozen=True, eq=False)
class _Level:
    """A smoothed picture with its gradients, and the model's smoothed colours.

    Attributes:
        stack: [h, w, 7] float32: two opponent channels, their x gradients, their y gradients, the mask.
        shrink: pixels of ``stack`` per pixel of the camera.
        texture: [N, 2, 1 + T] opponent colours of the compared vertices: mean and directions.
    """

    stack: NDArray[np.float32]
    shrink: float
    texture: NDArray[np.float64]


class PictureTerm:
    """A picture ready to be compared with posed faces."""

    def __init__(
        self,
        model: MorphableModel,
        camera: Camera,
        image_rgb: NDArray[np.uint8],
        mask: NDArray[np.uint8],
        config: PictureConfig | None = None,
    ) -> None:
        """Smooth picture and texture.

        Args:
            model: its texture is compared.
            camera: of the picture.
            image_rgb: [S, S, 3].
            mask: [S, S], the person at least 128.
            config: see there.
        """
        self.config = config or PictureConfig()
        self.camera = camera.with_size(image_rgb.shape[0])
        trusted = np.flatnonzero(model.fit_weight >= self.config.least_trust)
        self.index = trusted[:: max(1, len(trusted) // self.config.vertices)]
        self._core = model.core[self.index]
        x, y = (model.mean[self.index, :2].astype(np.float64) / 10.0).T
        self._slow = np.stack([x, y, x * x, x * y, y * y, x * x * y, y**3], axis=1)
        # [2, 3] pixels per world unit.
        origin = self.camera.world_to_pixel(np.zeros(3))
        self._pixels_per_world = (self.camera.world_to_pixel(np.eye(3)) - origin).T
        self._toward = -self.camera.forward_world
        self._levels = [self._level(model, image_rgb, mask, blur) for blur in self.config.blur_world]

    @property
    def levels(self) -> int:
        """Number of levels, the smoothest first."""
        return len(self._levels)

    def _level(
        self, model: MorphableModel, image_rgb: NDArray[np.uint8], mask: NDArray[np.uint8], blur: float
    ) -> _Level:
        import cv2

        per_world = float(np.linalg.norm(self._pixels_per_world, axis=1).mean())
        size = image_rgb.shape[0]
        # Two and a half pixels per deviation sample a smoothed picture well enough.
        small = int(np.clip(round(size * 2.5 / (blur * per_world)), 16, size))
        channels = np.concatenate([image_rgb, mask[..., None]], axis=2)
        if small < size:
            channels = cv2.resize(channels, (small, small), interpolation=cv2.INTER_AREA)
        values = channels.astype(np.float32) / 255.0
        opponent = _opponent(values[..., :3])
        inside = values[..., 3:]
        sigma = blur * per_world * small / size
        # Smoothing stays inside the person: the background's colour is an accident.
        weighted = cv2.GaussianBlur(np.concatenate([opponent * inside, inside], axis=2), (0, 0), sigma)
        smooth = weighted[..., :2] / np.maximum(weighted[..., 2:], 1e-3)
        gy, gx = np.gradient(smooth, axis=(0, 1))
        stack = np.concatenate([smooth, gx, gy, inside], axis=2).astype(np.float32)
        return _Level(stack, small / size, self._smooth_texture(model, blur))

    def _smooth_texture(self, model: MorphableModel, blur: float) -> NDArray[np.float64]:
        from scipy.spatial import cKDTree

        count = min(self.config.textures, len(model.texture_basis))
        mean = model.texture_mean.astype(np.float64)
        flat = _opponent(mean)
        colors = np.stack([flat, *(_opponent(mean + step) - flat for step in model.texture_basis[:count])])
        points = model.mean.astype(np.float64)
        tree = cKDTree(points)
        pairs = tree.sparse_distance_matrix(cKDTree(points[self.index]), 2.5 * blur, output_type="coo_matrix")
        weight = pairs.tocsr()
        weight.data = np.exp(-0.5 * (weight.data / blur) ** 2)
        weight = weight.T.tocsr()
        total = np.asarray(weight.sum(1)).ravel()
        mixed = weight @ colors.transpose(1, 0, 2).reshape(len(points), -1) / np.maximum(total, 1e-9)[:, None]
        smooth = mixed.reshape(len(self.index), 1 + count, 2)
        return np.ascontiguousarray(smooth.transpose(0, 2, 1))

    def compare(
        self, vertices: NDArray[np.float64], normals: NDArray[np.float64], level: int
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return what the picture asks of a posed face, one equation per vertex and channel.

        Args:
            vertices: [V, 3] world.
            normals: [V, 3] unit.
            level: 0 is the smoothest.

        Returns:
            ``(index [N], direction [N, 3], residual [N], weight [N])``: moving vertex ``index`` by d changes its pixel by
            ``direction . d``, and should change it by ``residual``; ``weight`` is 1 / noise^2 of a trusted equation.
        """
        row, vertex, facing, sampled = self._sample(vertices, normals, level)
        scene = self._levels[level]
        trust = (sampled[:, 6] > 0.95) * facing
        shading = self._shading(normals[vertex])
        gradients = np.stack([sampled[:, 2:4], sampled[:, 4:6]], axis=2) * scene.shrink
        parts = []
        for channel, noise in enumerate(self.config.noise):
            seen = sampled[:, channel]
            predicted, weight = _explain(seen, shading, scene.texture[row, channel], trust, noise)
            direction = gradients[:, channel] @ self._pixels_per_world
            parts.append((vertex, direction, predicted - seen, weight / noise**2))
        index, direction, residual, weight = (np.concatenate(part) for part in zip(*parts))
        keep = weight > 0
        return index[keep], direction[keep], residual[keep], weight[keep]

    def agreement(
        self, vertices: NDArray[np.float64], normals: NDArray[np.float64], level: int = -1
    ) -> float:
        """Return how well the features of the model's core are found in the picture, in [-1, 1].

        The correlation of brightness and of red against green with the texture's, averaged; shading and slow changes
        across the face are removed from both, lest hair above a neck pass for brows above a mouth.
        What neither shading nor texture explains (hair over an eye, a microphone) is left out, and lowers the answer by
        its share. Folds of cloth, hands and hair score about 0.

        Args:
            vertices: [V, 3] world.
            normals: [V, 3] unit.
            level: 0 is the smoothest.
        """
        row, vertex, facing, sampled = self._sample(vertices, normals, level)
        trust = (sampled[:, 6] > 0.5) * facing * self._core[row]
        if not trust.any():
            return 0.0
        shading = np.concatenate([self._shading(normals[vertex]), self._slow[row]], axis=1)
        scores = []
        for channel, noise in enumerate(self.config.noise):
            if channel == 1 and float(np.abs(self._levels[level].stack[..., 1]).max()) < 0.5 * noise:
                # A gray picture has no colours to compare.
                continue
            texture = self._levels[level].texture[row, channel]
            seen = sampled[:, channel]
            _, weight = _explain(seen, shading, texture, trust, noise)
            root = np.sqrt(weight)[:, None]
            known = shading * root
            pair = np.stack([seen, texture[:, 0]], axis=1) * root
            gram = known.T @ known + 1e-4 * np.eye(known.shape[1])
            left, model = (pair - known @ np.linalg.solve(gram, known.T @ pair)).T
            size = float(np.linalg.norm(left) * np.linalg.norm(model))
            kept = float(weight.sum() / (facing * self._core[row]).sum())
            scores.append(kept * float(left @ model) / max(size, 1e-9))
        return float(np.mean(scores)) if scores else 0.0

    def _shading(self, normals: NDArray[np.float64]) -> NDArray[np.float64]:
        return sh_basis(normals @ np.asarray(self.camera.rotation).T)

    def _sample(
        self, vertices: NDArray[np.float64], normals: NDArray[np.float64], level: int
    ) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]]:
        """Return of the compared vertices that face the camera: row, vertex, cosine [N], values of the stack [N, 7]."""
        import cv2

        facing = normals[self.index] @ self._toward
        row = np.flatnonzero(facing > self.config.least_facing)
        vertex = self.index[row]
        scene = self._levels[level]
        where = (self.camera.world_to_pixel(vertices[vertex]) * scene.shrink - 0.5).astype(np.float32)
        sampled = cv2.remap(
            scene.stack, where[:, 0].reshape(-1, 1), where[:, 1].reshape(-1, 1), cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_CONSTANT,
        )  # fmt: skip
        return row, vertex, facing[row], np.asarray(sampled, dtype=np.float64).reshape(len(row), -1)


def _explain(
    seen: NDArray[np.float64],
    shading: NDArray[np.float64],
    texture: NDArray[np.float64],
    trust: NDArray[np.float64],
    noise: float,
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the best prediction [N] of the seen values by shading and texture, and the robust weight [N] of each.

    Three rounds of weighted least squares with Tukey's weights. The texture's mean keeps about its own strength and its
    directions stay within some deviations, else a misplaced face would explain its features away.

    Args:
        seen: [N].
        shading: [N, S] what varies slowly.
        texture: [N, 1 + T] mean and directions.
        trust: [N] >= 0.
        noise: expected deviation.
    """
    flat = texture[:, 0] - np.average(texture[:, 0], weights=trust + 1e-9)
    columns = np.concatenate([shading, flat[:, None], texture[:, 1:]], axis=1)
    count = shading.shape[1]
    mean = np.zeros(columns.shape[1])
    mean[count] = 1.0
    ridge = np.full(columns.shape[1], 1e-4)
    # One equation per some pixels is independent, so that a coefficient's prior counts like that many equations.
    share = 0.02 * len(seen)
    ridge[count] = share * noise**2 / 0.3**2
    ridge[count + 1 :] = share * noise**2
    weight = trust
    predicted = seen
    for _ in range(3):
        weighted = columns * weight[:, None]
        matrix = columns.T @ weighted + np.diag(ridge)
        solution = np.linalg.solve(matrix, weighted.T @ seen + ridge * mean)
        predicted = columns @ solution
        error = (predicted - seen) / (4 * max(noise, _spread(predicted - seen, trust)))
        weight = trust * np.where(np.abs(error) < 1, (1 - error**2) ** 2, 0.0)
    return predicted, weight


def _spread(error: NDArray[np.float64], trust: NDArray[np.float64]) -> float:
    chosen = error[trust > 0]
    return float(1.48 * np.median(np.abs(chosen))) if len(chosen) else 0.0


def shows_features(model: MorphableModel) -> bool:
    """Return whether a model's texture tells eyes, brows and lips from skin."""
    core = _opponent(model.texture_mean[model.core].astype(np.float64))[:, 0]
    return len(core) > 0 and float(core.std()) > 0.03
