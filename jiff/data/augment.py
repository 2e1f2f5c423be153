"""Random changes of a training image: geometric ones go through the camera, so that everything else stays aligned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ConfigError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.camera import Camera

_ZOOM_RANGE = (0.9, 1.1)
# Published: the image is padded by a tenth on each side, zoomed, and cut at most a tenth of what overhangs off centre.
_PADDED = 1.2
_SHIFT_PART = 0.1
# Principal components of natural image colours and their scales (AlexNet, Krizhevsky et al. 2012, Sec. 4.1).
_PCA_SCALE = np.array([0.2175, 0.0188, 0.0045])
_PCA_AXES = np.array([[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]])


@dataclass(frozen=True)
class AugmentConfig:
    """Strength of each change; the names are the published options.

    Attributes:
        random_flip: mirror half of the images.
        random_scale: magnify by 0.9 to 1.1.
        random_trans: shift by up to a tenth of the overhang of the padded image (about 2 %).
        aug_bri, aug_con, aug_sat: brightness, contrast and saturation factors are drawn from 1 +- value.
        aug_hue: hue shift in turns is drawn from +- value (at most 0.5).
        aug_blur: standard deviation of a Gaussian blur is drawn from 0 to value, pixels.
        aug_alstd: standard deviation of the principal-component lighting change.
    """

    random_flip: bool = False
    random_scale: bool = False
    random_trans: bool = False
    aug_bri: float = 0.0
    aug_con: float = 0.0
    aug_sat: float = 0.0
    aug_hue: float = 0.0
    aug_blur: float = 0.0
    aug_alstd: float = 0.0

    def __post_init__(self) -> None:
        for name in ("aug_bri", "aug_con", "aug_sat", "aug_hue", "aug_blur", "aug_alstd"):
            if not getattr(self, name) >= 0:
                raise ConfigError(f"{name} must not be negative; got {getattr(self, name)}.")
        if self.aug_hue > 0.5:
            raise ConfigError(f"aug_hue is in turns of the colour wheel, at most 0.5; got {self.aug_hue}.")

    @property
    def changes_colors(self) -> bool:
        """Whether any change of colour or sharpness is on."""
        return any((self.aug_bri, self.aug_con, self.aug_sat, self.aug_hue, self.aug_blur, self.aug_alstd))


def draw_camera(config: AugmentConfig, camera: Camera, rng: np.random.Generator) -> Camera:
    """Return the camera of a randomly flipped, zoomed and shifted image."""
    flip = bool(config.random_flip and rng.random() < 0.5)
    zoom = float(rng.uniform(*_ZOOM_RANGE)) if config.random_scale else 1.0
    shift = (0.0, 0.0)
    if config.random_trans:
        reach = max(_PADDED * zoom - 1.0, 0.0) * _SHIFT_PART * 2.0
        x, y = rng.uniform(-reach, reach, 2)
        shift = (float(x), float(y))
    return camera.augmented(flip=flip, zoom=zoom, shift_ndc=shift)


def warp_image(
    image: NDArray[np.uint8],  # [S, S, C]
    camera: Camera,
) -> NDArray[np.uint8]:
    """Return what ``camera`` sees, given what its unflipped, unzoomed, unshifted twin sees; black outside.

    Args:
        image: [S, S, C] uint8 of the plain camera, S = ``camera.size``.
        camera: the augmented camera.
    """
    if not camera.flip and camera.zoom == 1.0 and tuple(camera.shift_ndc) == (0.0, 0.0):
        return image
    import cv2

    affine = camera.image_affine.copy()
    # The camera measures from the image's corner, OpenCV from the centre of the first pixel.
    affine[:, 2] += affine[:, :2] @ (0.5, 0.5) - 0.5
    warped = cv2.warpAffine(
        image,
        affine,
        (camera.size, camera.size),
        flags=cv2.INTER_LINEAR,
        borderMode=cv2.BORDER_CONSTANT,
    )
    return np.asarray(warped, dtype=np.uint8)


def jitter_colors(
    rgb: NDArray[np.uint8],  # [H, W, 3]
    config: AugmentConfig,
    rng: np.random.Generator,
    blur_scale: float = 1.0,
) -> NDArray[np.uint8]:
    """Return the image with random brightness, contrast, saturation, hue, lighting and blur, in random order.

    The factors mean what torchvision's ``ColorJitter`` means by them, which the published code uses. ``blur_scale``
    is the image's size over the one that ``aug_blur`` counts pixels of.
    """
    if not config.changes_colors:
        return rgb
    import cv2

    image = rgb.astype(np.float32) / 255.0

    def factor(width: float) -> np.float32:
        return np.float32(rng.uniform(max(0.0, 1.0 - width), 1.0 + width))

    def gray(of: NDArray[np.float32]) -> NDArray[np.float32]:
        return np.asarray(of @ np.array([0.299, 0.587, 0.114], dtype=np.float32))

    for step in rng.permutation(4):
        if step == 0 and config.aug_bri:
            image = image * factor(config.aug_bri)
        elif step == 1 and config.aug_con:
            mean, weight = np.float32(gray(image).mean()), factor(config.aug_con)
            image = weight * image + (1 - weight) * mean
        elif step == 2 and config.aug_sat:
            weight = factor(config.aug_sat)
            image = weight * image + (1 - weight) * gray(image)[..., None]
        elif step == 3 and config.aug_hue:
            turn = rng.uniform(-config.aug_hue, config.aug_hue)
            hsv = cv2.cvtColor(np.clip(image, 0, 1), cv2.COLOR_RGB2HSV)
            hsv[..., 0] = (hsv[..., 0] + np.float32(360 * turn)) % 360
            image = np.asarray(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB), dtype=np.float32)
        image = np.clip(image, 0.0, 1.0)
    if config.aug_alstd:
        alpha = rng.normal(scale=config.aug_alstd, size=3)
        image = image + (_PCA_AXES @ (alpha * _PCA_SCALE)).astype(np.float32)
    if config.aug_blur:
        sigma = float(rng.uniform(0.0, config.aug_blur)) * blur_scale
        if sigma > 1e-3:
            image = np.asarray(cv2.GaussianBlur(image, (0, 0), sigma), dtype=np.float32)
    return np.rint(np.clip(image, 0.0, 1.0) * 255).astype(np.uint8)


def network_image(rgb: NDArray[np.uint8], mask: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return an image as networks take it: [3, S, S] in [-1, 1], times the mask, so that the background is 0.

    Args:
        rgb: [S, S, 3].
        mask: [S, S], 0 to 255.
    """
    weight = mask.astype(np.float32) * np.float32(1 / 255)
    image = np.empty((3, *mask.shape), dtype=np.float32)
    # Plane by plane: numpy is slow along an axis of three.
    for channel, plane in enumerate(image):
        np.multiply(rgb[..., channel], np.float32(2 / 255), out=plane, dtype=np.float32)
        plane -= 1
        plane *= weight
    return image
