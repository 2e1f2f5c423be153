"""Folds of the front: slopes become depth, steps between limbs stay, backs, heads and hands are left alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jiff.geometry.camera import Camera
from jiff.geometry.mesh import Mesh
from jiff.inference import detail
from jiff.inference.detail import DetailedFront, photo_normals
from jiff.inference.held import HeldOptions, HeldPerson, reconstruct_held
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import person_preset
from jiff.options.mesh_output import MeshOutput
from jiff.photo.test_folder import PersonImage
from jiff.render.gbuffer import render_gbuffer
from tests.held_people import person, prior, snapshot

SIZE = 128
UNIT = 204.8 / SIZE


def normals_of(depth: NDArray[np.float64]) -> NDArray[np.float64]:
    """Normals of a depth [S, S] over the picture."""
    down, right = np.gradient(depth, UNIT)
    normals = np.stack([-right, down, np.ones_like(depth)], axis=-1)
    return normals / np.linalg.norm(normals, axis=-1, keepdims=True)


def waves(height: float, length: float, size: int = SIZE) -> NDArray[np.float64]:
    """Depth that rises and falls aslant over the picture, world units."""
    x = (np.arange(size) + 0.5) * 204.8 / size
    return height * np.sin(2 * np.pi * (x + 0.5 * x[:, None]) / length)


def solved(
    start: NDArray[np.float64],
    wanted: NDArray[np.float64],
    held: float = 0.0,
    loose: float = 0.0,
    limbs: bool = False,
) -> NDArray[np.float64]:
    everywhere = np.ones(start.shape, bool)
    hold = detail._hold(np.full(start.shape, held), np.full(start.shape, loose), UNIT)
    return detail._integrated(start, hold, normals_of(wanted), everywhere, np.full(start.shape, limbs), UNIT)


def test_slopes_become_depth_and_what_is_wide_stays_with_the_surface() -> None:
    flat = np.full((SIZE, SIZE), 7.0)
    narrow, wide = waves(0.7, 9.0), waves(6.0, 150.0)
    inner = (slice(20, -20), slice(20, -20))
    found = solved(flat, narrow)[inner] - 7.0
    assert np.corrcoef(found.ravel(), narrow[inner].ravel())[0, 1] > 0.98
    assert 0.7 < found.std() / narrow[inner].std() < 1.05
    tight, loose = ((solved(flat, wide, loose=share)[inner] - 7.0).std() for share in (0.0, 1.0))
    assert tight < 0.3 * wide[inner].std() and loose > 1.5 * tight
    np.testing.assert_allclose(solved(flat, narrow, held=1.0)[inner], 7.0, atol=0.15)


def test_steps_stay_between_limbs_and_close_in_cloth() -> None:
    step = np.zeros((SIZE, SIZE))
    step[:, SIZE // 2 :] = 25.0
    level = np.zeros_like(step)
    middle = SIZE // 2
    limbs, cloth = (solved(step, level, loose=1.0, limbs=limbs) for limbs in (True, False))
    assert (limbs[:, middle] - limbs[:, middle - 1]).min() > 20
    assert abs(cloth[:, middle] - cloth[:, middle - 1]).max() < 5


def front(normals: NDArray[np.float64], mesh: Mesh | None = None) -> DetailedFront:
    body = prior()
    mask = render_gbuffer(body.mesh, Camera(size=len(normals))).coverage()
    return DetailedFront(mesh or body.mesh, normals, mask, body)


def test_the_new_front_is_where_the_field_ends_and_the_back_is_not_touched() -> None:
    level = np.zeros((SIZE, SIZE, 3))
    level[..., 2] = 1.0
    new, body = front(level), prior()
    # A point of the chest, 40 % up the trunk, and the way from before it to behind it.
    chest = np.array([0.0, 0.62 * body.mesh.bounds[1, 1]])
    way = np.linspace(30, -40, 281)
    points = np.column_stack([np.tile(chest, (len(way), 1)), way]).astype(np.float32)
    old = body.at(points).distance
    found = new.distance(points, old)
    row, column = np.floor(new.camera.world_to_pixel(points[0])[::-1]).astype(int)
    outermost = way[np.argmax(found > 0)]
    assert outermost == pytest.approx(float(new.depth[row, column]), abs=0.6)
    behind = way < new.depth[row, column] - detail._BEHIND[1]
    np.testing.assert_array_equal(found[behind], old[behind])
    near = np.abs(way - new.depth[row, column]) < 0.9
    np.testing.assert_allclose(found[near], (new.depth[row, column] - way)[near], atol=0.3)
    # A surface that is rough before and behind the front gets it all the same.
    rng = np.random.default_rng(0)
    rough = (old + rng.uniform(-1.5, 1.5, len(old))).astype(np.float32)
    assert way[np.argmax(new.distance(points, rough) > 0)] == pytest.approx(outermost, abs=0.3)


def test_what_a_draft_lacks_far_before_the_front_stays() -> None:
    level = np.zeros((SIZE, SIZE, 3))
    level[..., 2] = 1.0
    new = front(level)
    chest = np.array([0.0, 0.62 * prior().mesh.bounds[1, 1]])
    row, column = np.floor(new.camera.world_to_pixel(np.append(chest, 0.0)[None])[0, ::-1]).astype(int)
    way = new.depth[row, column] + np.array([2.0, detail._MOST[0] + 4.0])
    points = np.column_stack([np.tile(chest, (2, 1)), way]).astype(np.float32)
    near, far = new.distance(points, np.ones(2, np.float32))
    assert near < 0 < far


def test_normals_that_are_no_numbers_leave_the_front() -> None:
    broken = np.full((SIZE, SIZE, 3), np.nan)
    new = front(broken)
    points = prior().mesh.vertices[:500].astype(np.float32)
    old = prior().at(points).distance
    np.testing.assert_allclose(new.distance(points, old), old, atol=0.05)


def test_heads_and_hands_are_left_alone() -> None:
    tilted = np.zeros((SIZE, SIZE, 3))
    tilted[..., 0], tilted[..., 2] = 0.6, 0.8
    body = prior()
    new = front(tilted)
    head = body.mesh.vertices[body.mesh.vertices[:, 1] > body.mesh.bounds[1, 1] - 15]
    trunk = body.mesh.vertices[np.abs(body.mesh.vertices[:, 1] - 110) < 8]

    def change(points: NDArray[np.float64]) -> float:
        points = points.astype(np.float32)
        old = body.at(points).distance
        return float(np.abs(new.distance(points, old) - old).mean())

    assert change(head) < 0.05 * change(trunk) + 1e-6
    hands = body.of_hands(body.mesh.vertices)
    assert hands.any() and change(body.mesh.vertices[hands]) < 0.2 * change(trunk)


class Rippled(nn.Module):
    """Answers with waves whatever it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))
        self.seen: Tensor | None = None

    def forward(self, picture: Tensor) -> Tensor:
        self.seen = picture
        size = picture.shape[-1]
        x = (torch.arange(size) + 0.5) * 204.8 / size
        slope = 0.8 * torch.cos(2 * np.pi * x / 12.0).expand(size, size)
        normals = torch.stack([-slope, torch.zeros_like(slope), torch.ones_like(slope)])
        return nn.functional.normalize(normals, dim=0)[None]


def test_photos_are_shown_as_the_network_learnt_them() -> None:
    network = Rippled()
    photo = snapshot()
    normals, mask = photo_normals(network, photo.rgb, photo.mask)  # type: ignore[arg-type]
    assert normals.shape == (512, 512, 3) and mask.shape == (512, 512) and mask.max() == 1.0
    np.testing.assert_allclose(np.linalg.norm(normals, axis=-1), 1, atol=1e-5)
    assert network.seen is not None and network.seen.shape == (1, 4, 512, 512)
    outside = network.seen[0, :, mask == 0]
    assert (outside[:3] == 0).all() and (outside[3] == -1).all()


def test_a_reconstruction_gets_the_folds_of_its_photo() -> None:
    torch.manual_seed(0)
    network = PersonNetwork(person_preset("tiny", head_channels=())).eval()
    image = PersonImage(snapshot().rgb, snapshot().mask)
    options = HeldOptions(resolution=128, output=MeshOutput(texture="vertex"))

    def side(found: HeldPerson, sign: float) -> NDArray[np.float64]:
        camera = Camera.at_yaw(0.0 if sign > 0 else 180.0, size=SIZE)
        seen = render_gbuffer(found.mesh, camera)
        depth = np.full(SIZE * SIZE, np.nan)
        depth[seen.pixel] = seen.interpolate(found.mesh.vertices, found.mesh.faces)[:, 2]
        # The trunk, between hips and chest.
        return depth.reshape(SIZE, SIZE)[50:62, 58:70]

    plain = reconstruct_held(network, image, person(), options)
    folded = reconstruct_held(network, image, person(), options, normals=Rippled())  # type: ignore[arg-type]
    change = side(folded, 1) - side(plain, 1)
    assert np.isfinite(change).all() and np.ptp(change, axis=1).mean() > 1.0
    back = side(folded, -1) - side(plain, -1)
    assert np.abs(back).mean() < 0.2
    assert folded.numbers["watertight"]
