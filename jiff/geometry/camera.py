"""The orthographic camera: the one owner of world <-> NDC <-> pixel, crop, flip, scale and image size.

Conventions. World: y up, right-handed, 1 unit = 1/180 of the body height. The camera looks down -z
of its own frame; a yaw turns the subject by Ry(yaw) about ``center_world``. NDC is in [-1, 1] with y down and z
scaled like x (larger z is nearer to the camera). Pixel centres lie at +0.5: NDC -1 is the left edge of the image.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

CANONICAL_HALF_WIDTH = 102.4
"""Half the width of the view in world units: 512 pixels of 0.4 unit."""
CANONICAL_CENTER_WORLD = (0.0, 90.0, 0.0)
BODY_HEIGHT_WORLD = 180.0


def rotation_y(angle_rad: float) -> NDArray[np.float64]:
    """Return Ry(angle), [3, 3]: turns +z towards +x."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[c, 0.0, s], [0.0, 1.0, 0.0], [-s, 0.0, c]])


def rotation_x(angle_rad: float) -> NDArray[np.float64]:
    """Return Rx(angle), [3, 3]: turns +y towards +z."""
    c, s = math.cos(angle_rad), math.sin(angle_rad)
    return np.array([[1.0, 0.0, 0.0], [0.0, c, -s], [0.0, s, c]])


def _identity() -> NDArray[np.float64]:
    return np.eye(3)


def _canonical_center() -> NDArray[np.float64]:
    return np.array(CANONICAL_CENTER_WORLD)


@dataclass(frozen=True)
class Camera:
    """An orthographic view of the world.

    Attributes:
        rotation: [3, 3] world to camera axes (the subject's turn).
        center_world: [3] the world point seen at the image centre.
        half_width_world: half the width of the square view, world units.
        size: width and height of the image in pixels.
        flip: whether the image is mirrored left to right.
        zoom: magnification of the image about its centre, after the flip.
        shift_ndc: (x, y) shift of the image content in NDC, after flip and zoom.
    """

    rotation: NDArray[np.float64] = field(default_factory=_identity)
    center_world: NDArray[np.float64] = field(default_factory=_canonical_center)
    half_width_world: float = CANONICAL_HALF_WIDTH
    size: int = 512
    flip: bool = False
    zoom: float = 1.0
    shift_ndc: tuple[float, float] = (0.0, 0.0)

    @classmethod
    def at_yaw(cls, yaw_deg: float, pitch_deg: float = 0.0, **kwargs: Any) -> Camera:
        """Return the canonical camera with the subject turned by Rx(pitch) Ry(yaw), degrees."""
        rotation = rotation_x(math.radians(pitch_deg)) @ rotation_y(math.radians(yaw_deg))
        return cls(rotation=rotation, **kwargs)

    @classmethod
    def from_param(cls, param: dict[str, Any], size: int = 512) -> Camera:
        """Return the camera of a published PARAM record (``ortho_ratio`` per 512-px pixel, ``scale``, ``center``, ``R``).

        ``ortho_ratio`` is 0.4 * 512 / size of the stored image, so half the width is ortho_ratio / scale * size / 2.
        """
        try:
            stored_size = round(0.4 * 512 / float(param["ortho_ratio"]))
            half = float(param["ortho_ratio"]) * stored_size / 2 / float(param["scale"])
            rotation = np.asarray(param["R"], dtype=np.float64).reshape(3, 3)
            center = np.asarray(param["center"], dtype=np.float64).reshape(3)
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise InputError(
                f"PARAM record: lacks a valid ortho_ratio, scale, center or R ({error})."
            ) from error
        return cls(rotation=rotation, center_world=center, half_width_world=half, size=size)

    def to_param(self) -> dict[str, Any]:
        """Return the published PARAM fields of an unflipped, uncropped camera (without ``sh``)."""
        return {
            "ortho_ratio": 0.4 * 512 / self.size,
            "scale": CANONICAL_HALF_WIDTH / self.half_width_world,
            "center": np.asarray(self.center_world, dtype=np.float64),
            "R": np.asarray(self.rotation, dtype=np.float64),
        }

    @property
    def calib(self) -> NDArray[np.float64]:
        """[4, 4] homogeneous world -> NDC."""
        scale = self.zoom / self.half_width_world
        linear = np.diag([-scale if self.flip else scale, -scale, scale]) @ self.rotation
        matrix = np.eye(4)
        matrix[:3, :3] = linear
        matrix[:3, 3] = -linear @ np.asarray(self.center_world)
        matrix[:2, 3] += self.shift_ndc
        return matrix

    def world_to_ndc(self, points_world: ArrayLike) -> NDArray[np.float64]:
        """Map world points [..., 3] to NDC [..., 3] (x right, y down, z towards the camera)."""
        matrix = self.calib
        return np.asarray(points_world, dtype=np.float64) @ matrix[:3, :3].T + matrix[:3, 3]

    def ndc_to_world(self, points_ndc: ArrayLike) -> NDArray[np.float64]:
        """Invert ``world_to_ndc``, [..., 3] -> [..., 3]."""
        matrix = self.calib
        return (np.asarray(points_ndc, dtype=np.float64) - matrix[:3, 3]) @ np.linalg.inv(matrix[:3, :3]).T

    def ndc_to_pixel(self, points_ndc: ArrayLike) -> NDArray[np.float64]:
        """Map NDC xy [..., 2+] to continuous pixels [..., 2]; the first pixel's centre is (0.5, 0.5)."""
        return (np.asarray(points_ndc, dtype=np.float64)[..., :2] + 1.0) * (self.size / 2)

    def pixel_to_ndc(self, pixels: ArrayLike) -> NDArray[np.float64]:
        """Map continuous pixels [..., 2] to NDC xy [..., 2]."""
        return np.asarray(pixels, dtype=np.float64)[..., :2] / (self.size / 2) - 1.0

    def world_to_pixel(self, points_world: ArrayLike) -> NDArray[np.float64]:
        """Map world points [..., 3] to continuous pixels [..., 2]."""
        return self.ndc_to_pixel(self.world_to_ndc(points_world))

    def pixel_to_world(self, pixels: ArrayLike, z_ndc: ArrayLike = 0.0) -> NDArray[np.float64]:
        """Map continuous pixels [..., 2] at depth ``z_ndc`` to world points [..., 3]."""
        xy = self.pixel_to_ndc(pixels)
        z = np.broadcast_to(np.asarray(z_ndc, dtype=np.float64), xy.shape[:-1])
        return self.ndc_to_world(np.concatenate([xy, z[..., None]], axis=-1))

    @property
    def forward_world(self) -> NDArray[np.float64]:
        """[3] unit direction in which rays leave the camera, world frame."""
        return -np.asarray(self.rotation)[2]

    def pixel_rays(
        self, pixels: ArrayLike, start_world: float = 400.0
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return ray origins [..., 3] ``start_world`` units before the centre plane, and their direction [3]."""
        origins = self.pixel_to_world(pixels) - start_world * self.forward_world
        return origins, self.forward_world

    def with_size(self, size: int) -> Camera:
        """Return the same view at another image size (e.g. the 1024-px variant)."""
        return replace(self, size=size)

    def augmented(
        self, *, flip: bool = False, zoom: float = 1.0, shift_ndc: tuple[float, float] = (0.0, 0.0)
    ) -> Camera:
        """Return the camera of the image after a flip, then a zoom about the centre, then a shift (NDC)."""
        x, y = self.shift_ndc
        sign = -1.0 if flip else 1.0
        return replace(
            self,
            flip=self.flip != flip,
            zoom=self.zoom * zoom,
            shift_ndc=(sign * x * zoom + shift_ndc[0], y * zoom + shift_ndc[1]),
        )

    @property
    def image_affine(self) -> NDArray[np.float64]:
        """[2, 3] map from pixels of the plain (unflipped, unzoomed, unshifted) image to pixels of this one."""
        half = self.size / 2
        sx = -self.zoom if self.flip else self.zoom
        return np.array(
            [
                [sx, 0.0, half * (1 - sx + self.shift_ndc[0])],
                [0.0, self.zoom, half * (1 - self.zoom + self.shift_ndc[1])],
            ]
        )

    @property
    def yaw_deg(self) -> float:
        """The yaw of the subject's turn, degrees in [0, 360), when the pitch is zero."""
        r = np.asarray(self.rotation)
        return math.degrees(math.atan2(r[0, 2], r[2, 2])) % 360.0
