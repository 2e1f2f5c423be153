"""Meshes made finer, heads held in masks, depth aligned, checkpoints halved, face points found again."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from held_people import person

from jiff.base.errors import CheckpointError, UsageError
from jiff.body.anny_body import load_anny_body
from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.geometry.refine import refined_inside
from jiff.geometry.simplify import is_watertight
from jiff.metrics.alignment import aligned, depth_aligned
from jiff.models.checkpoint import build_network, load_published, save_network
from jiff.models.presets import person_preset
from jiff.photo.view_inputs import with_head
from jiff.pipelines.convert import convert_checkpoint

OCTAHEDRON = Mesh(
    np.array([[1, 0, 0], [-1, 0, 0], [0, 1, 0], [0, -1, 0], [0, 0, 1], [0, 0, -1]], dtype=np.float64),
    np.array([[0, 2, 4], [2, 1, 4], [1, 3, 4], [3, 0, 4], [2, 0, 5], [1, 2, 5], [3, 1, 5], [0, 3, 5]]),
)


def volume(mesh: Mesh) -> float:
    a, b, c = (mesh.vertices[mesh.faces[:, k]] for k in range(3))
    return float(np.einsum("ij,ij->i", a, np.cross(b, c)).sum() / 6)


@pytest.mark.parametrize(
    ("box", "faces"),
    [
        # Everything: each triangle becomes four.
        ([[-2, -2, -2], [2, 2, 2]], 32),
        # The four edges that meet at the upper corner: the four triangles around it have two halved edges, three parts.
        ([[-2, -2, 0.1], [2, 2, 2]], 16),
        # One edge: the two triangles beside it are halved.
        ([[0.1, 0.1, -0.1], [2, 2, 0.1]], 10),
        ([[5, 5, 5], [6, 6, 6]], 8),
    ],
)
def test_edges_in_a_box_are_halved_and_the_mesh_stays_closed(box: list[list[float]], faces: int) -> None:
    finer = refined_inside(OCTAHEDRON, np.array(box, dtype=np.float64), 0.1)
    assert len(finer.faces) == faces and is_watertight(finer)
    assert volume(finer) == pytest.approx(volume(OCTAHEDRON)) and volume(finer) > 0


def test_short_edges_stay() -> None:
    everywhere = np.array([[-2.0, -2, -2], [2, 2, 2]])
    assert refined_inside(OCTAHEDRON, everywhere, 1.5) is OCTAHEDRON
    assert len(refined_inside(OCTAHEDRON, everywhere, 1.4).faces) == 32


def test_a_mask_gets_the_head_of_a_body_that_carries_the_photos_face() -> None:
    empty = np.zeros((256, 256), np.uint8)
    placed = person()
    assert with_head(empty, placed) is empty
    from dataclasses import replace

    carrying = replace(placed, extra_index=np.array([0]), extra_offsets=np.zeros((1, 3)))
    mask = with_head(empty, carrying)
    body = load_anny_body()
    head = Camera(size=256).world_to_pixel(
        placed.vertices_world(body)[body.region_vertices("head")].mean(axis=0)
    )
    assert mask[int(head[1]), int(head[0])] == 255
    rows = np.flatnonzero(mask.any(axis=1))
    # A head is about an eighth of a person, and nothing else was added.
    assert 10 < rows[-1] - rows[0] < 40 and (mask > 0).mean() < 0.03
    full = np.full((256, 256), 255, np.uint8)
    assert (with_head(full, carrying) == full).all()


def test_depth_alignment_moves_along_the_line_of_sight_only() -> None:
    moved = OCTAHEDRON.transformed(np.eye(3), np.array([0.0, 0.0, 7.5]))
    back = depth_aligned(moved, OCTAHEDRON)
    np.testing.assert_allclose(back.vertices, OCTAHEDRON.vertices, atol=1e-4)
    aside = OCTAHEDRON.transformed(np.eye(3), np.array([0.3, 0.0, -2.0]))
    found = aligned(aside, OCTAHEDRON, "depth")
    np.testing.assert_allclose(found.vertices[:, :2], aside.vertices[:, :2])
    assert abs(found.vertices[:, 2].mean()) < 0.2
    far = OCTAHEDRON.transformed(np.eye(3), np.array([30.0, 0.0, 0.0]))
    assert depth_aligned(far, OCTAHEDRON) is far


def test_a_checkpoint_of_half_the_size_answers_as_the_whole_one(tmp_path: Path) -> None:
    torch.manual_seed(0)
    network = build_network("person", person_preset("tiny"))
    whole, half = tmp_path / "whole.safetensors", tmp_path / "half.safetensors"
    save_network(whole, network)
    report = convert_checkpoint(whole, half, half=True)
    assert report.kind == "person" and half.stat().st_size < 0.6 * whole.stat().st_size
    loaded = load_published(half, "person")
    for name, value in network.state_dict().items():
        other = loaded.state_dict()[name]
        assert other.dtype == torch.float32
        torch.testing.assert_close(other, value, rtol=1e-3, atol=1e-4)
    with pytest.raises(CheckpointError, match="no published script reads"):
        convert_checkpoint(whole, tmp_path / "net.pth")
    with pytest.raises(UsageError, match="--half writes safetensors"):
        convert_checkpoint(whole, tmp_path / "net.pth", half=True)
