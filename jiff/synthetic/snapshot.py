"""Photos of synthetic people: a drawn light, a backdrop with the spectrum of photographs, and what cameras do to pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.geometry.camera import Camera
from jiff.render.environments import generate_environments
from jiff.render.prt_io import Prt
from jiff.render.sh import clamped_cosine_sh
from jiff.render.shading import ShadedScan

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh


def noise_background(size: int, rng: np.random.Generator) -> NDArray[np.float64]:
    """Return [size, size, 3] in [0, 1]: noise with the spectrum of photographs (1/f), with large patches of colour."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size)[None])
    frequency[0, 0] = 1.0
    picture = np.zeros((size, size, 3))
    shared = rng.normal(size=(size, size))
    power = rng.uniform(1.0, 1.5)
    for channel in range(3):
        noise = np.fft.rfft2(shared + 0.3 * rng.normal(size=(size, size))) / frequency**power
        field = np.fft.irfft2(noise, (size, size))
        picture[..., channel] = (field - field.mean()) / field.std()
    contrast = rng.uniform(0.08, 0.25)
    picture = rng.uniform(0.2, 0.75) + rng.normal(0, 0.08, 3) + contrast * picture
    for _ in range(rng.integers(2, 7)):
        x, y = rng.integers(0, size, 2)
        w, h = rng.integers(size // 12, size // 2, 2)
        part = picture[y : y + h, x : x + w]
        part += rng.normal(0, 0.15, 3) + rng.normal(0, 0.03)
    return np.clip(picture, 0, 1)


@dataclass(frozen=True, eq=False)
class Snapshot:
    """One photo of a person.

    Attributes:
        rgb: [S, S, 3] uint8.
        mask: [S, S] uint8, the true one.
        camera: of the photo.
        shaded: the person as drawn.
        env_sh: [9, 3] the light.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    camera: Camera
    shaded: ShadedScan
    env_sh: NDArray[np.float64]


def take_snapshot(mesh: Mesh, rng: np.random.Generator, sizes: tuple[int, ...] = (512, 768)) -> Snapshot:
    """Photograph a person in world units: drawn light and backdrop, blur, noise, and the traces of JPEG.

    Args:
        mesh: with texture.
        rng: of everything.
        sizes: of the picture, one of which is drawn, pixels.
    """
    import cv2

    shaded = ShadedScan(mesh, Prt(clamped_cosine_sh(mesh.vertex_normals()).astype(np.float32), mesh.faces))
    camera = Camera(size=int(rng.choice(sizes)))
    light = generate_environments(1, int(rng.integers(2**31)))[0]
    seen = shaded.cast(camera, samples=2)
    picture = seen.resolve(shaded.colors(seen, camera, light))
    mixed = picture + noise_background(camera.size, rng) * (1 - seen.coverage())[..., None]
    blurred = cv2.GaussianBlur(mixed, (0, 0), rng.uniform(0.4, 1.2))
    noisy = blurred + rng.normal(0, rng.uniform(0.0, 0.02), blurred.shape)
    rgb = np.rint(np.clip(noisy, 0, 1) * 255).astype(np.uint8)
    quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(45, 98))]
    rgb = np.asarray(cv2.imdecode(cv2.imencode(".jpg", rgb, quality)[1], cv2.IMREAD_COLOR), dtype=np.uint8)
    return Snapshot(rgb, seen.mask(), camera, shaded, light)
