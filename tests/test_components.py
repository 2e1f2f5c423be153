"""Pieces of a mesh, choice of the body, holes."""

from __future__ import annotations

import numpy as np
import pytest
import trimesh

from jiff.base.errors import ReconstructionError
from jiff.geometry.camera import Camera
from jiff.geometry.components import boundary_loops, components, fill_holes, keep_body, submesh
from jiff.geometry.mesh import Mesh


def _ball(center: tuple[float, float, float], radius: float, *, inverted: bool = False) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=2, radius=radius)
    faces = np.asarray(sphere.faces, dtype=np.int64)
    return Mesh(np.asarray(sphere.vertices) + center, faces[:, ::-1] if inverted else faces)


def _joined(*meshes: Mesh) -> Mesh:
    offsets = np.cumsum([0] + [len(m.vertices) for m in meshes[:-1]])
    return Mesh(
        np.concatenate([m.vertices for m in meshes]),
        np.concatenate([m.faces + o for m, o in zip(meshes, offsets, strict=True)]),
    )


def test_pieces_are_sorted_by_volume_and_measured() -> None:
    mesh = _joined(
        _ball((50, 90, 0), 5),
        _ball((0, 90, 0), 20),
        _ball((0, 90, 0), 8, inverted=True),
        _ball((-60, 30, 0), 10),
    )
    pieces = components(mesh)
    expected = [_ball((0, 0, 0), r).volume for r in (20, 10, 5)]
    np.testing.assert_allclose([p.volume for p in pieces[:3]], expected)
    assert pieces[3].volume == pytest.approx(-_ball((0, 0, 0), 8).volume)
    assert sum(p.area for p in pieces) == pytest.approx(np.linalg.norm(mesh.face_cross(), axis=1).sum() / 2)
    assert sorted(np.concatenate([p.faces for p in pieces]).tolist()) == list(range(len(mesh.faces)))


def test_body_is_the_largest_piece_in_the_silhouette() -> None:
    camera = Camera(size=128)
    world = camera.pixel_to_world(np.stack(np.meshgrid(np.arange(128) + 0.5, np.arange(128) + 0.5), axis=-1))
    silhouette = np.hypot(world[..., 0] + 60, world[..., 1] - 30) < 12
    mesh = _joined(_ball((0, 90, 0), 20), _ball((-60, 30, 0), 10), _ball((-60, 30, 0), 4, inverted=True))
    body = keep_body(mesh, silhouette, camera)
    assert body.pieces == 3
    assert body.other_bodies == 0
    assert body.mesh.volume == pytest.approx(_ball((0, 0, 0), 10).volume)
    assert body.mesh.vertices[:, 0].max() < -49
    assert keep_body(mesh).mesh.volume == pytest.approx(_ball((0, 0, 0), 20).volume)
    with pytest.raises(ReconstructionError, match="None of the 3 pieces"):
        keep_body(mesh, np.zeros_like(silhouette), camera)


def test_second_body_is_counted() -> None:
    assert keep_body(_joined(_ball((0, 90, 0), 20), _ball((60, 90, 0), 15))).other_bodies == 1


def test_submesh_keeps_attributes(rng: np.random.Generator) -> None:
    ball = _ball((0, 0, 0), 1)
    colors = rng.random((len(ball.vertices), 3))
    mesh = Mesh(
        ball.vertices, ball.faces, colors=colors, uv=rng.random((len(ball.vertices), 2)), faces_uv=ball.faces
    )
    part = submesh(mesh, np.arange(10, 30))
    assert part.uv is not None and part.faces_uv is not None and part.colors is not None
    np.testing.assert_array_equal(part.triangles, mesh.triangles[10:30])
    np.testing.assert_array_equal(part.colors[part.faces], colors[mesh.faces[10:30]])
    np.testing.assert_array_equal(part.uv[part.faces_uv], mesh.uv[mesh.faces_uv[10:30]])
    assert part.faces.max() == len(part.vertices) - 1


def test_holes_are_closed_in_the_right_direction() -> None:
    ball = _ball((3, 4, 5), 2)
    gone = np.isin(ball.faces, [0, 7]).any(axis=1)
    torn = Mesh(ball.vertices, ball.faces[~gone], colors=np.full((len(ball.vertices), 3), 0.25))
    assert len(boundary_loops(torn)) == 2
    whole = fill_holes(torn)
    assert boundary_loops(whole) == []
    assert whole.volume == pytest.approx(ball.volume, rel=0.03)
    assert whole.colors is not None and (whole.colors == 0.25).all()
    assert len(fill_holes(torn, max_edges=3).faces) == len(torn.faces)
    assert fill_holes(ball) is ball
