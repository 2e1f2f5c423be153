"""Labelled points of a scan, computed once: a training item is a random gather from this pool.

The published code reads the scan and tests 21,000 points by ray casting for every item; here the same distribution
is drawn beforehand and mapped into memory, shared by all workers.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import ConfigError, DatasetError
from jiff.base.files import atomic_folder, write_json
from jiff.data.cache_clean import drop_superseded
from jiff.data.face_data import face_box_corners
from jiff.data.mapped import MappedArray
from jiff.data.mesh_cache import cached_mesh, fingerprint
from jiff.geometry.inside import inside_mesh
from jiff.geometry.raycast import RayScene
from jiff.geometry.surface_points import points_on_surface

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.data.layout import ProcessedSet
    from jiff.geometry.mesh import Mesh

_VERSION = 2
BOX_MIN_WORLD = np.array([-128.0, -28.0, -128.0])
"""Lower corner of the box of uniform points (published B_MIN)."""
BOX_MAX_WORLD = np.array([128.0, 228.0, 128.0])
"""Upper corner of the box of uniform points (published B_MAX)."""
CATEGORIES = ("near", "fine", "uniform", "volume", "face")
"""Near the surface at ``sigma``; nearer at ``fine_sigma``; uniform in the published box; uniform in the scan's own
bounding box (for volumetric measures); uniform in the face box."""
_VOLUME_MARGIN_WORLD = 5.0


@dataclass(frozen=True)
class LabelPoolConfig:
    """What a pool holds.

    Attributes:
        sigma: standard deviation of the published near-surface offset, world units per axis.
        fine_sigma: the same of the additional points close to the surface.
        near, fine, uniform, volume, face: points of each category.
        seed: together with the subject's name it decides the points.
    """

    sigma: float = 5.0
    fine_sigma: float = 1.0
    near: int = 160_000
    fine: int = 60_000
    uniform: int = 40_000
    volume: int = 60_000
    face: int = 60_000
    seed: int = 0

    def __post_init__(self) -> None:
        if self.sigma <= 0 or self.fine_sigma <= 0:
            raise ConfigError(f"sigma must be positive; got {self.sigma} and {self.fine_sigma}.")
        for name in CATEGORIES:
            if getattr(self, name) < 1:
                raise ConfigError(
                    f"the number of {name} points must be at least 1; got {getattr(self, name)}."
                )


@dataclass(frozen=True)
class LabelPool:
    """Points sorted by category, within a category inside before outside.

    Attributes:
        points_world: [P, 3] float32, usually memory-mapped.
        inside: number of inside points of each category, in the order of ``CATEGORIES``.
        total: number of points of each category; 0 for faces where the scan has no face box.
    """

    points_world: NDArray[np.float32] | MappedArray
    inside: tuple[int, ...]
    total: tuple[int, ...]

    def _range(self, category: str, inside: bool) -> tuple[int, int]:
        index = CATEGORIES.index(category)
        start = sum(self.total[:index])
        middle, stop = start + self.inside[index], start + self.total[index]
        return (start, middle) if inside else (middle, stop)

    def share_inside(self, category: str) -> float:
        """Return which part of a category lies inside the scan."""
        index = CATEGORIES.index(category)
        return self.inside[index] / max(self.total[index], 1)

    def sample(
        self,
        rng: np.random.Generator,
        count: int,
        *,
        inside: float = 0.5,
        fine: float = 0.0,
        volume: float = 0.0,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw ``count`` points in the published mixture: 16 near-surface points to one uniform point.

        The points are thinned to equal halves inside and outside, as published. Where the answer is uncertain, that
        makes the inside likelier than it is (a third of the points around a body lie inside), and bodies come out
        fat; ``inside`` changes the inner part. ``fine`` and ``volume`` give parts of the mixture (before thinning)
        to these categories.

        Returns:
            points_world [count, 3] and labels [count] (1 inside), inside points first.
        """
        rest = 1.0 - fine - volume
        mixture = {"near": rest * 16 / 17, "uniform": rest / 17, "fine": fine, "volume": volume}
        chosen = []
        half = int(count * inside)
        for within, number in ((True, half), (False, count - half)):
            weights = np.array(
                [
                    part * (self.share_inside(name) if within else 1.0 - self.share_inside(name))
                    for name, part in mixture.items()
                ]
            )
            numbers = rng.multinomial(number, weights / weights.sum())
            for name, drawn in zip(mixture, numbers):
                if drawn:
                    chosen.append(rng.integers(*self._range(name, within), size=drawn))
        labels = np.zeros(count, dtype=np.float32)
        labels[:half] = 1.0
        return self.points_world[np.concatenate(chosen)], labels

    def sample_face(
        self, rng: np.random.Generator, count: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Draw ``count`` points uniformly in the face box (none where there is no box); returns points and labels."""
        start, middle = self._range("face", True)
        stop = self._range("face", False)[1]
        if stop == start:
            return np.zeros((0, 3), dtype=np.float32), np.zeros(0, dtype=np.float32)
        index = rng.integers(start, stop, size=count)
        return self.points_world[index], (index < middle).astype(np.float32)

    def category(
        self, name: str, count: int, seed: int = 0
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Return ``count`` (or all, when fewer) points of one category in a seeded order, and their labels."""
        start, middle = self._range(name, True)
        stop = self._range(name, False)[1]
        index = start + np.random.default_rng(seed).permutation(stop - start)[:count]
        return self.points_world[index], (index < middle).astype(np.float32)


def build_pool(
    mesh: Mesh,
    config: LabelPoolConfig,
    rng: np.random.Generator,
    face_box: NDArray[np.float64] | None,
    name: str,
) -> LabelPool:
    """Draw and label the points of one scan.

    Args:
        mesh: world units, triangles facing outward.
        config: what to draw.
        rng: where the points come from.
        face_box: [2, 3] lower and upper corner in world units, or None for no face points.
        name: what errors call the scan.

    Raises:
        DatasetError: no point near the surface lies inside (inverted or open scan).
    """
    low, high = mesh.bounds
    margin = _VOLUME_MARGIN_WORLD
    points = {
        "near": points_on_surface(mesh, rng.random(config.near), rng)[0]
        + rng.normal(scale=config.sigma, size=(config.near, 3)),
        "fine": points_on_surface(mesh, rng.random(config.fine), rng)[0]
        + rng.normal(scale=config.fine_sigma, size=(config.fine, 3)),
        "uniform": rng.uniform(BOX_MIN_WORLD, BOX_MAX_WORLD, (config.uniform, 3)),
        "volume": rng.uniform(low - margin, high + margin, (config.volume, 3)),
        "face": np.zeros((0, 3))
        if face_box is None
        else rng.uniform(face_box[0], face_box[1], (config.face, 3)),
    }
    scene = RayScene(mesh.vertices, mesh.faces)
    parts, inside_counts = [], []
    for category in CATEGORIES:
        drawn = points[category].astype(np.float32)
        inside = inside_mesh(scene, drawn)
        parts += [drawn[inside], drawn[~inside]]
        inside_counts.append(int(inside.sum()))
    total = tuple(len(points[category]) for category in CATEGORIES)
    if inside_counts[0] < 0.01 * total[0]:
        raise DatasetError(
            f"{name}: hardly a point lies inside this scan ({inside_counts[0]} of {total[0]} near its surface); its "
            "triangles face inward or it is wide open: repair it or remove the subject."
        )
    return LabelPool(np.concatenate(parts), tuple(inside_counts), total)


def subject_seed(seed: int, subject: str) -> np.random.SeedSequence:
    """Return a seed that depends on the run's seed and the subject's name only."""
    return np.random.SeedSequence([seed, *subject.encode()])


def _pool_folder(dataset: ProcessedSet, subject: str, config: LabelPoolConfig) -> Path:
    files = [dataset.geometry(subject), dataset.face_region(subject)]
    key = fingerprint(files, _VERSION, sorted(asdict(config).items()))
    return dataset.cache(subject) / f"labels_{key}"


def label_pool(dataset: ProcessedSet, subject: str, config: LabelPoolConfig) -> LabelPool:
    """Open a subject's pool, memory-mapped; draws and stores it first when it is missing or the scan changed.

    Raises:
        DatasetError: the scan is missing or has no inside.
    """
    folder = _pool_folder(dataset, subject, config)
    if not (folder / "pool.json").is_file():
        pool = build_pool(
            cached_mesh(dataset, subject),
            config,
            np.random.default_rng(subject_seed(config.seed, subject)),
            face_box_corners(dataset, subject),
            str(dataset.geometry(subject)),
        )
        with atomic_folder(folder) as temporary:
            np.save(temporary / "points.npy", np.asarray(pool.points_world), allow_pickle=False)
            write_json(temporary / "pool.json", {"inside": list(pool.inside), "total": list(pool.total)})
        drop_superseded(dataset, folder)
    try:
        counts = json.loads((folder / "pool.json").read_text(encoding="utf-8"))
        return LabelPool(MappedArray(folder / "points.npy"), tuple(counts["inside"]), tuple(counts["total"]))
    except (OSError, ValueError, KeyError) as error:
        raise DatasetError(
            f"{folder}: the cached points are damaged ({error}); delete this folder."
        ) from error
