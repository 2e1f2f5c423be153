"""Fit a morphable model to a surface: trimmed point-to-plane ICP that solves pose, size, identity and expression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from jiff.face.fit.equations import Marks, add_marks, parameter_rows
from jiff.face.fit.face_pose import FacePose
from jiff.face.landmarks import similarity
from jiff.geometry.normals import area_weighted_normals

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.fit.picture_term import PictureTerm
    from jiff.face.model import MorphableModel
    from jiff.face.surface import FaceSurface


@dataclass(frozen=True)
class FitConfig:
    """How a fit proceeds; lengths in world units (about cm).

    Attributes:
        reach: largest distance of a correspondence, per round.
        iterations: steps per round.
        prior: weight of one squared coefficient against one squared noise deviation, per round.
        noise: expected deviation of the surface from the model, per round.
        landmark_noise: expected error of a landmark, per round; infinite switches landmarks off.
        least_cosine: of the angle between the normals of a correspondence.
        coarse_vertices: about how many model vertices all rounds but the last use.
        fine_vertices: about how many the last round uses.
        data_scale: number of independent measurements that all correspondences together count for.
        largest_coefficient: coefficients beyond are clamped.
        landmark_axes: factor of ``landmark_noise`` along x, y and z (a photo's landmarks say little about z).
        turn_deviation: expected turn away from the start, radians; infinite where the start is a mere guess.
        scale_deviation: expected change of size against the start, natural logarithm.
        picture: number of independent measurements that a picture counts for, per round; 0 switches it off.
        picture_level: how far a picture is smoothed, per round, see ``PictureTerm``.
    """

    reach: tuple[float, ...] = (3.0, 1.8, 1.0, 0.6, 0.4)
    iterations: tuple[int, ...] = (4, 5, 5, 6, 6)
    prior: tuple[float, ...] = (1e5, 5000.0, 500.0, 30.0, 4.0)
    noise: tuple[float, ...] = (0.6, 0.4, 0.2, 0.12, 0.08)
    landmark_noise: tuple[float, ...] = (0.4, 0.6, 1.0, 3.0, 10.0)
    least_cosine: float = 0.6
    coarse_vertices: int = 2000
    fine_vertices: int = 4000
    data_scale: float = 1500.0
    largest_coefficient: float = 3.5
    landmark_axes: tuple[float, float, float] = (1.0, 1.0, 1.0)
    turn_deviation: float = float("inf")
    scale_deviation: float = float("inf")
    picture: tuple[float, ...] = ()
    picture_level: tuple[int, ...] = ()


@dataclass(frozen=True)
class _Round:
    """The settings of one round, see ``FitConfig``; ``picture`` is (measurements, level)."""

    reach: float
    prior: float
    noise: float
    landmark_noise: float
    picture: tuple[float, int] = (0.0, 0)


def start_from_landmarks(
    model: MorphableModel, five_world: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> FacePose:
    """Return the mean face placed so that its five landmarks lie best at ``five_world`` [5, 3]."""
    five = model.five_landmarks(model.mean.astype(np.float64))
    scale, rotation, offset = similarity(five, five_world, weights)
    return FacePose(scale, rotation, offset, np.zeros(len(model.identity)), np.zeros(len(model.expression)))


def _rotation_of(vector: NDArray[np.float64]) -> NDArray[np.float64]:
    from scipy.spatial.transform import Rotation

    return np.asarray(Rotation.from_rotvec(vector).as_matrix())


class FaceFitter:
    """A model prepared for fitting; keep one per process."""

    def __init__(self, model: MorphableModel, config: FitConfig | None = None) -> None:
        self.model = model
        self.config = config or FitConfig()
        # Facial actions have a direction (a jaw opens, it does not close past the teeth); PCA expressions have none.
        self.least_expression = -0.3 if model.expression_names else -np.inf
        basis = np.concatenate([model.identity, model.expression]).astype(np.float32)
        # [3, V, C]: a row of the linear system is a sum of three contiguous products.
        self._basis = np.ascontiguousarray(basis.transpose(2, 1, 0))
        trusted = np.flatnonzero(model.fit_weight > 0)
        self._coarse = trusted[:: max(1, len(trusted) // self.config.coarse_vertices)]
        self._fine = trusted[:: max(1, len(trusted) // self.config.fine_vertices)]

    def fit(
        self,
        surface: FaceSurface | None,
        start: FacePose,
        five_world: NDArray[np.float64] | None = None,
        five_weight: NDArray[np.float64] | None = None,
        *,
        rounds: slice = slice(None),
        picture: PictureTerm | None = None,
        marks: Marks | None = None,
        expected: FacePose | None = None,
    ) -> FacePose:
        """Return the pose and coefficients that bring the model onto the surface.

        Deterministic. Each step pairs vertices with the nearest surface point whose normal agrees, weights the pairs by
        Tukey's function of their plane distance, and solves one linear system for everything.

        Args:
            surface: what is seen of the scan; None where only a picture is known, then the depth stays.
            start: from ``start_from_landmarks`` or an earlier fit.
            five_world: [5, 3] landmarks on the surface, or None.
            five_weight: [5] trust in each, 1 where measured.
            rounds: which rounds of the configuration to run.
            picture: a photo of the face, whose features find their place in it.
            marks: further points whose places are known.
            expected: whose coefficients are the likeliest; those of the mean face unless something is known.
        """
        c = self.config
        pose = start
        likely = None if expected is None else np.concatenate([expected.identity, expected.expression])
        pictures = list(zip(c.picture, c.picture_level)) or [(0.0, 0)] * len(c.reach)
        schedule = list(zip(c.reach, c.prior, c.noise, c.landmark_noise, pictures, c.iterations))
        chosen = schedule[rounds]
        for number, (*round_settings, iterations) in enumerate(chosen):
            subset = self._fine if number == len(chosen) - 1 else self._coarse
            settings = _Round(*round_settings)
            for _ in range(iterations):
                pose = self._step(
                    pose, start, surface, subset, settings, five_world, five_weight, picture, marks, likely
                )
        return pose

    def polish(
        self, surface: FaceSurface, start: FacePose, *, tolerance: float = 1e-3, most_steps: int = 30
    ) -> FacePose:
        """Repeat the last round, without landmarks, until no vertex moves by more than ``tolerance`` per step."""
        c = self.config
        last = _Round(c.reach[-1], c.prior[-1], c.noise[-1], float("inf"))
        pose, vertices = start, start.vertices(self.model)
        for _ in range(most_steps):
            pose = self._step(pose, start, surface, self._fine, last, None, None)
            moved = pose.vertices(self.model)
            if float(np.abs(moved - vertices).max()) < tolerance:
                break
            vertices = moved
        return pose

    def _step(
        self,
        pose: FacePose,
        start: FacePose,
        surface: FaceSurface | None,
        subset: NDArray[np.int64],
        settings: _Round,
        five_world: NDArray[np.float64] | None,
        five_weight: NDArray[np.float64] | None,
        picture: PictureTerm | None = None,
        marks: Marks | None = None,
        likely: NDArray[np.float64] | None = None,
    ) -> FacePose:
        model = self.model
        vertices = pose.vertices(model)
        normals = area_weighted_normals(vertices, model.triangles)
        count = 7 + self._basis.shape[2]
        normal_matrix, right = np.zeros((count, count)), np.zeros(count)
        prior, mark_noise = settings.prior, settings.landmark_noise
        if surface is not None:
            index, plane, residual, weight = self._correspondences(
                vertices, normals, surface, subset, settings
            )
            if len(index) == 0:
                return pose
            self._add(pose, vertices, index, plane, residual, weight, normal_matrix, right)
        if picture is not None and settings.picture[0] > 0:
            index, direction, residual, weight = picture.compare(vertices, normals, settings.picture[1])
            weight = weight * (settings.picture[0] / max(len(weight), 1))
            self._add(pose, vertices, index, direction, residual, weight, normal_matrix, right)
            if surface is None:
                # Nothing is known of the depth: it stays.
                ahead = picture.camera.forward_world
                normal_matrix[3:6, 3:6] += 1e3 * np.trace(normal_matrix[3:6, 3:6]) * np.outer(ahead, ahead)
        if five_world is not None and np.isfinite(mark_noise):
            five = self._five_marks(mark_noise, five_world, five_weight)
            add_marks(self._basis, pose, vertices, five, normal_matrix, right)
        if marks is not None:
            add_marks(self._basis, pose, vertices, marks, normal_matrix, right)
        coefficients = np.concatenate([pose.identity, pose.expression])
        diagonal = np.arange(7, len(right))
        normal_matrix[diagonal, diagonal] += prior
        right[7:] -= prior * (coefficients if likely is None else coefficients - likely)
        self._add_pose_prior(pose, start, normal_matrix, right)
        # A whisper of damping keeps the system solvable where few points are seen.
        normal_matrix[np.arange(7), np.arange(7)] += 1e-6 * np.trace(normal_matrix[:7, :7])
        change = np.linalg.solve(normal_matrix, right)
        turn = _rotation_of(change[:3])
        count = len(pose.identity)
        coefficients = coefficients + change[7:]
        limit = self.config.largest_coefficient
        coefficients = np.clip(coefficients, -limit, limit)
        coefficients[count:] = np.maximum(coefficients[count:], self.least_expression)
        return FacePose(
            scale=pose.scale * float(np.exp(np.clip(change[6], -0.2, 0.2))),
            rotation=turn @ pose.rotation,
            offset=pose.offset + change[3:6],
            identity=coefficients[:count],
            expression=coefficients[count:],
        )

    def _correspondences(
        self,
        vertices: NDArray[np.float64],
        normals: NDArray[np.float64],
        surface: FaceSurface,
        subset: NDArray[np.int64],
        settings: _Round,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Return vertices [N], surface normals [N, 3], distances along them [N] and weights [N] of the pairs that count."""
        points, reach = vertices[subset], settings.reach
        distance, index = surface.tree.query(points, distance_upper_bound=reach)
        found = np.isfinite(distance)
        index = np.where(found, index, 0)
        target, plane = surface.points_world[index], surface.normals_world[index]
        residual = np.einsum("ij,ij->i", target - points, plane)
        agree = np.einsum("ij,ij->i", normals[subset], plane) > self.config.least_cosine
        good = found & agree & (np.abs(residual) < reach)
        trust = self.model.fit_weight[subset].astype(np.float64)
        weight = trust * np.where(good, (1 - (residual / reach) ** 2) ** 2, 0.0)
        total = float(weight.sum())
        keep = weight > 0
        factor = self.config.data_scale / max(total, 0.35 * float(trust.sum()), 1e-9) / settings.noise**2
        return subset[keep], plane[keep], residual[keep], weight[keep] * factor

    def _add(
        self,
        pose: FacePose,
        vertices: NDArray[np.float64],
        index: NDArray[np.int64],
        directions: NDArray[np.float64],
        residual: NDArray[np.float64],
        weight: NDArray[np.float64],
        normal_matrix: NDArray[np.float64],
        right: NDArray[np.float64],
    ) -> None:
        """Add the equations "moving vertex ``index`` along ``directions`` should give ``residual``", in place."""
        rows = parameter_rows(self._basis, pose, index, vertices[index] - pose.offset, directions)
        weighted = rows * weight.astype(np.float32)[:, None]
        normal_matrix += weighted.T @ rows
        right += weighted.T @ residual.astype(np.float32)

    def _add_pose_prior(
        self, pose: FacePose, start: FacePose, normal_matrix: NDArray[np.float64], right: NDArray[np.float64]
    ) -> None:
        """Pull turn and scale towards the start's, in place, as strongly as their deviations say."""
        from scipy.spatial.transform import Rotation

        c = self.config
        if np.isfinite(c.turn_deviation):
            weight = 0.1 * c.data_scale / c.turn_deviation**2
            away = Rotation.from_matrix(pose.rotation @ start.rotation.T).as_rotvec()
            normal_matrix[np.arange(3), np.arange(3)] += weight
            right[:3] -= weight * away
        if np.isfinite(c.scale_deviation):
            weight = 0.1 * c.data_scale / c.scale_deviation**2
            normal_matrix[6, 6] += weight
            right[6] -= weight * float(np.log(pose.scale / start.scale))

    def _five_marks(
        self, mark_noise: float, five_world: NDArray[np.float64], five_weight: NDArray[np.float64] | None
    ) -> Marks:
        """Return the five landmarks [5, 3] as marks."""
        index, share = self.model.five
        trust = np.ones(5) if five_weight is None else five_weight
        # Counted like correspondences: five landmarks weigh as 5 % of all of them.
        deviation = mark_noise * np.array(self.config.landmark_axes)
        weight = trust[:, None] * (0.01 * self.config.data_scale / deviation**2)
        return Marks(index, share, five_world, weight)
