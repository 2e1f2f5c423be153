"""Cases that a face fit must refuse: a detector that lies, about people whose face is elsewhere, turned away or missing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from benchmarks.face_people import KnownPerson
from jiff.face.detect.detector import Detection
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh

KINDS = ("another person's box", "face turned away", "box on a hand", "no face", "mirrored landmarks")
_EXCHANGED = [1, 0, 2, 4, 3]


class ToldDetector:
    """Says what it is told, of a whole picture of 512 pixels (which is shown to detectors at 1024)."""

    name = "told"

    def __init__(self, five_px: NDArray[np.float64]) -> None:
        self.five_px = five_px

    def detect(self, image_rgb: NDArray[np.uint8]) -> list[Detection]:
        """Return the lie when the whole picture is shown, nothing for close-ups."""
        if image_rgb.shape[0] != 1024:
            return []
        points = 2.0 * self.five_px
        low, high = points.min(0), points.max(0)
        grow = 0.6 * (high - low)
        return [Detection(np.concatenate([low - grow, high + grow]), points, 0.95, "yunet")]


@dataclass(frozen=True, eq=False)
class Sabotage:
    """One case: what ``data face`` would be given, and the lying detector."""

    kind: str
    mesh: Mesh
    picture: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    detector: ToldDetector


def sabotage(kind: str, person: KnownPerson, other: KnownPerson, seed: int) -> Sabotage:
    """Return a case of ``kind`` (see ``KINDS``) made from two people.

    Raises:
        ValueError: unknown kind.
    """
    rng = np.random.default_rng([seed, KINDS.index(kind)])
    camera = Camera()
    five = camera.world_to_pixel(person.five_world)
    mesh, picture, mask = person.mesh, person.pictures[0], person.masks[0]
    if kind == "another person's box":
        # The other stands beside, sometimes so close that the box touches this person.
        shift = int(rng.uniform(25, 110)) * (1 if rng.random() < 0.5 else -1)
        behind = np.roll(other.pictures[0], shift, axis=1)
        picture = np.where(mask[..., None] >= 128, picture, behind)
        five = camera.world_to_pixel(other.five_world) + [shift, 0]
    elif kind == "face turned away":
        mesh = person.turned(180.0).mesh
        picture, mask = person.pictures[180], person.masks[180]
        five = (five * [-1, 1] + [512, 0])[_EXCHANGED] + rng.normal(0, 1.5, 2)
    elif kind == "box on a hand":
        vertices = mesh.vertices
        low = vertices[(vertices[:, 1] > 45) & (vertices[:, 1] < 120)]
        side = 1 if rng.random() < 0.5 else -1
        tip = low[np.argmax(side * low[:, 0])]
        hand = low[np.linalg.norm(low - tip, axis=1) < 9].mean(0)
        size = rng.uniform(0.5, 1.1)
        five = size * (five - five.mean(0)) + camera.world_to_pixel(hand)
    elif kind == "no face":
        chin = float(person.five_world[3:, 1].mean()) - 6.0
        keep = (mesh.vertices[:, 1] < chin)[mesh.faces].all(1)
        mesh = Mesh(mesh.vertices, mesh.faces[keep])
        row = int(camera.world_to_pixel([0.0, chin, 0.0])[1])
        picture, mask = picture.copy(), mask.copy()
        picture[:row], mask[:row] = 0, 0
        # On the chest, or on the stump of the neck.
        five = five + [rng.normal(0, 2), 75.0 if rng.random() < 0.5 else 38.0]
    elif kind == "mirrored landmarks":
        five = five[_EXCHANGED]
    else:
        raise ValueError(f"no sabotage called {kind!r}")
    return Sabotage(kind, mesh, picture, mask, ToldDetector(five))
