"""Surfaces held by a body: bounded by the outline, filled where the photo shows more, coloured by photo and network."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from jiff.base.errors import ReconstructionError
from jiff.geometry.camera import Camera
from jiff.geometry.closest import MeshBvh
from jiff.geometry.mesh import Mesh
from jiff.inference.filling import Filling
from jiff.inference.held import HeldOptions, HeldPerson, reconstruct_held
from jiff.inference.held_field import HeldField
from jiff.inference.outline import Outline
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import person_preset
from jiff.options.mesh_output import MeshOutput
from jiff.photo.test_folder import PersonImage
from jiff.render.gbuffer import render_gbuffer
from tests.held_people import inputs, person, prior, snapshot

VERTEX = HeldOptions(resolution=64, output=MeshOutput(texture="vertex", decimate=3000))


def network(**changes: object) -> PersonNetwork:
    """One that has not been trained: the surface is the body's, colours are the pixels'."""
    torch.manual_seed(0)
    return PersonNetwork(person_preset("tiny", **changes)).eval()


def held(mask: np.ndarray, options: HeldOptions = VERTEX) -> HeldPerson:
    return reconstruct_held(network(head_channels=()), PersonImage(snapshot().rgb, mask), person(), options)


def test_an_untrained_network_gives_the_body_within_the_outline() -> None:
    found = reconstruct_held(network(), PersonImage(snapshot().rgb, snapshot().mask), person(), VERTEX)
    skin = inputs().prior.mesh
    gap = MeshBvh(skin.vertices, skin.faces).closest(found.mesh.vertices).distance
    assert np.quantile(gap, 0.95) < 2.5
    np.testing.assert_allclose(found.mesh.bounds, skin.bounds, atol=8)
    assert found.numbers["watertight"] and found.numbers["faces"] == len(found.mesh.faces) <= 3000
    assert found.mesh.colors is not None and found.mesh.colors.shape == found.mesh.vertices.shape


def test_half_of_a_mask_bounds_the_surface_unless_it_is_raw() -> None:
    half = snapshot().mask.copy()
    half[:, 128:] = 0
    options = replace(VERTEX, resolution=48)
    cut, raw = held(half, options), held(half, replace(options, raw=True))
    assert cut.mesh.bounds[1, 0] < 4.0 < 20.0 < raw.mesh.bounds[1, 0]
    np.testing.assert_allclose(raw.mesh.bounds[0, 0], cut.mesh.bounds[0, 0], atol=2)
    assert "missing_share" in cut.numbers and "missing_share" not in raw.numbers


def test_what_the_outline_shows_and_the_body_lacks_is_added() -> None:
    """A bag beside the shin: as deep as what it hangs on, no thicker than some centimetres."""
    mask = snapshot().mask.copy()
    camera = Camera(size=256)
    left, top = camera.world_to_pixel(np.array([16.0, 58.0, 0.0])).astype(int)[:2]
    mask[top : top + 30, left : left + 30] = 255
    found = held(mask)
    assert 0.02 < found.numbers["missing_share"] < 0.3
    drawn = render_gbuffer(found.mesh, camera, 1).mask() > 0
    assert drawn[top : top + 30, left + 4 : left + 30].mean() > 0.75
    assert not drawn[top : top + 30, left + 33 :].any() and not drawn[top + 33 :, left + 20 :].any()
    x, y = camera.pixel_to_world(np.array([left + 15.0, top + 15.0]))[:2]
    bag = found.mesh.vertices[(np.abs(found.mesh.vertices[:, :2] - [x, y]) < 8).all(axis=1)]
    leg = prior().mesh.vertices
    leg = leg[(np.abs(leg[:, 1] - y) < 8) & (leg[:, 0] > 5)]
    assert len(bag) > 10 and 1.0 < np.ptp(bag[:, 2]) <= 13.0
    assert abs(bag[:, 2].mean() - leg[:, 2].mean()) < 4
    plain = held(snapshot().mask)
    assert plain.numbers["missing_share"] < found.numbers["missing_share"] - 0.03


def test_slivers_along_the_outline_are_not_added() -> None:
    outline = Outline(snapshot().mask)
    mesh = prior().mesh
    # The photo shows a coat of one unit; a surface half a unit within it lacks nothing that could be seen.
    near = Mesh(mesh.vertices + 0.5 * mesh.vertex_normals(), mesh.faces)
    assert not Filling(near, outline, prior()).needed
    without_arm = Mesh(mesh.vertices, mesh.faces[(mesh.vertices[mesh.faces, 0] < 18).all(axis=1)])
    filling = Filling(without_arm, outline, prior())
    assert filling.needed and 0.03 < filling.missing < 0.3
    arm = mesh.vertices[(mesh.vertices[:, 0] > 22) & (mesh.vertices[:, 1] > 100)]
    depths = np.linspace(-30, 45, 76)
    along = np.column_stack([np.repeat(arm[:, :2], len(depths), axis=0), np.tile(depths, len(arm))])
    border = outline.distance(along)
    said = filling.distance(along, border)
    # Never beyond the outline; within it, somewhere along the line of sight (the cut surface is open, and thin there).
    assert (said <= border + 1e-5).all()
    grid = np.random.default_rng(0).uniform([-60, 0, -30], [60, 190, 45], (20_000, 3))
    beside = outline.distance(grid)
    assert (filling.distance(grid, beside) <= beside + 1e-5).all()
    deep = border[:: len(depths)] > 1.5
    assert deep.sum() > 300 and (said.reshape(len(arm), -1).max(axis=1) > 0)[deep].mean() > 0.4


def test_outline_measures_in_world_units_from_the_border() -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[64:192, 64:192] = 255
    outline = Outline(mask)
    unit = 2 * 102.4 / 256
    points = np.array([[0.0, 90.0, 50.0], [10.0, 90.0, 0.0], [64 * unit, 90.0, 0.0], [80 * unit, 90.0, -7.0]])
    np.testing.assert_allclose(
        outline.distance(points), [64 * unit, 64 * unit - 10, 0, -16 * unit], atol=0.02 * 64 * unit
    )
    # Small holes are the mask's, large ones the person's.
    mask[100:103, 100:103] = 0
    assert Outline(mask).distance(Camera(size=256).pixel_to_world(np.array([[101.5, 101.5]]))[:, :3])[0] > 5
    mask[100:130, 100:130] = 0
    assert Outline(mask).distance(Camera(size=256).pixel_to_world(np.array([[115.0, 115.0]]))[:, :3])[0] < -5
    assert outline.inside(64)[32, 32] and not outline.inside(64)[2, 2]
    assert outline.inside(64).sum() == pytest.approx(32 * 32, rel=0.1)


def test_the_field_is_one_half_at_the_surface_and_grows_inward() -> None:
    seen = inputs()
    field = HeldField(network(), seen, None, torch.device("cpu"))
    points = prior().mesh.vertices[::211].astype(np.float32)
    normals = prior().mesh.vertex_normals()[::211].astype(np.float32)
    at, within, out = (field(torch.from_numpy(points + step * normals)).numpy() for step in (0.0, -1.0, 1.0))
    np.testing.assert_allclose(at, 0.5, atol=1e-3)
    assert np.median(within) > 0.5 > np.median(out)
    assert len(field(torch.zeros(0, 3))) == 0 and field.color(np.zeros((0, 3))).shape == (0, 3)
    bounded = HeldField(network(), seen, Outline(snapshot().mask), torch.device("cpu"))
    grid = np.random.default_rng(0).uniform([-60, 0, -30], [60, 190, 40], (500, 3)).astype(np.float32)
    free, tied = field.distance(grid), bounded.distance(grid)
    assert (tied <= free + 1e-6).all() and (tied < free - 1).any()


def test_textures_show_the_photo_in_front() -> None:
    """Colours are the network's alone without the photo; an untrained one gives the pixels' own there, too."""
    photo = PersonImage(snapshot().rgb, snapshot().mask)
    made = {}
    for project in (True, False):
        output = MeshOutput(texture="uv", texture_size=128, decimate=3000, project_photo=project)
        made[project] = reconstruct_held(network(), photo, person(), replace(VERTEX, output=output))
    mesh = made[True].mesh
    assert mesh.texture is not None and mesh.texture.shape == (128, 128, 3)
    assert 0.1 < made[True].numbers["photo_share"] < 0.6 and made[False].numbers["photo_share"] == 0
    assert made[True].numbers["texels_asked"] < made[False].numbers["texels_asked"]
    camera = Camera(size=256)
    assert mesh.colors is not None
    front = mesh.vertices[:, 2] > np.median(mesh.vertices[:, 2]) + 4
    column, row = camera.world_to_pixel(mesh.vertices[front]).astype(int).clip(0, 255).T[:2]
    inside = cv2.erode(photo.mask, np.ones((9, 9), np.uint8))[row, column] == 255
    gap = np.abs(mesh.colors[front] - photo.rgb[row, column] / 255)[inside]
    assert inside.sum() > 100 and np.median(gap) < 0.05


def test_nobody_in_the_mask_is_one_sentence() -> None:
    empty = np.zeros_like(snapshot().mask)
    empty[3:6, 3:6] = 255
    with pytest.raises(ReconstructionError):
        held(empty, replace(VERTEX, resolution=32))
