"""The prior-held network: where it starts, what it looks at, where close-ups count, what it learns from."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from jiff.geometry.camera import Camera
from jiff.inference.held_field import pictures_of
from jiff.models.person.network import (
    PersonAnswer,
    PersonNetwork,
    PersonPictures,
    color_loss,
    network_picture,
    person_loss,
)
from jiff.models.presets import person_preset
from tests.held_people import inputs, prior

CPU = torch.device("cpu")


def network(seed: int = 0, spread: float = 0.0, **changes: Any) -> PersonNetwork:
    """A tiny network; ``spread`` moves the last layers, which are zero at first."""
    torch.manual_seed(seed)
    made = PersonNetwork(person_preset("tiny", **changes))
    with torch.no_grad():
        for name, value in made.named_parameters():
            if spread and ".".join(name.split(".")[1:2]) in ("distance", "color") and not value.any():
                value.normal_(0, spread)
    return made.eval()


def pictures() -> PersonPictures:
    return pictures_of(inputs(), CPU)


def asked(count: int = 300, seed: int = 0, sigma: float = 4.0) -> tuple[Tensor, Tensor]:
    """Points around person 0, [1, N, 3], and what its body says of them."""
    rng = np.random.default_rng(seed)
    mesh = prior().mesh
    points = mesh.vertices[rng.choice(len(mesh.vertices), count)] + rng.normal(0, sigma, (count, 3))
    points = points.astype(np.float32)
    return torch.from_numpy(points)[None], torch.from_numpy(prior().at(points).stacked())[None]


@torch.no_grad()
def answer_of(
    made: PersonNetwork, points: Tensor, says: Tensor, look: PersonPictures | None = None
) -> PersonAnswer:
    return made.query(made.encode(look or pictures()), points, says, colors=True)


def test_it_starts_with_the_body_and_the_pixels() -> None:
    points, says = asked()
    far = torch.tensor([[[0.0, 90.0, 90.0], [95.0, 10.0, 0.0]]])
    wild = torch.from_numpy(prior().at(far[0].numpy()).stacked())[None]
    wild[..., 0] = torch.tensor([-55.0, 33.0])
    points, says = torch.cat([points, far], 1), torch.cat([says, wild], 1)
    found = answer_of(network(), points, says)
    assert torch.equal(found.distance, says[..., 0].clamp(-20, 20))
    assert torch.equal(found.view_distance, found.distance)
    seen = inputs()
    column, row = Camera(size=256).world_to_pixel(points[0].double().numpy()).T.astype(int)
    there = np.ones(len(column), bool)
    # Pixels whose neighbours are of the person too, in a picture without steps.
    for dx in (-1, 0, 1):
        for dy in (-1, 0, 1):
            there &= seen.mask[(row + dy).clip(0, 255), (column + dx).clip(0, 255)] == 255
    assert there.sum() > 50 and found.view_rgb is not None
    near = np.stack([seen.rgb[row + dy, column + dx] for dx in (-1, 0, 1) for dy in (-1, 0, 1)]) / 255
    shown = found.view_rgb[0].numpy()
    assert (shown <= near.max(axis=0) + 1e-5)[there].all() and (shown >= near.min(axis=0) - 1e-5)[there].all()


def test_at_a_pixel_s_middle_colour_and_close_up_are_exact() -> None:
    """Which holds the places of both pictures: nothing is shifted by half a pixel, nothing upside down."""
    seen, window = inputs(), inputs().head_window.astype(float)
    for row, column in ((100, 120), (60, 130), (200, 110)):
        assert seen.mask[row, column] == 255
        x, y = Camera(size=256).pixel_to_world(np.array([column + 0.5, row + 0.5]))[:2]
        points = torch.tensor([[[x, y, 3.0]]], dtype=torch.float32)
        found = answer_of(network(), points, torch.zeros(1, 1, 8)).view_rgb
        assert found is not None
        np.testing.assert_allclose(found[0, 0].numpy() * 255, seen.rgb[row, column], atol=0.05)
    for row, column in ((128, 128), (150, 100), (200, 140)):
        assert seen.head_mask[row, column] == 255
        x = window[0] + ((column + 0.5) / 128 - 1) * window[3]
        y = window[1] - ((row + 0.5) / 128 - 1) * window[3]
        found = answer_of(
            network(), torch.tensor([[[x, y, window[2]]]], dtype=torch.float32), torch.zeros(1, 1, 8)
        ).head_rgb
        assert found is not None
        np.testing.assert_allclose(found[0, 0].numpy() * 255, seen.head_rgb[row, column], atol=0.05)


def test_a_mirrored_person_gives_finite_answers_of_the_same_body() -> None:
    points, says = asked()
    look = pictures()
    turned = PersonPictures(
        look.view.flip(-1), look.head.flip(-1), look.head_window * torch.tensor([-1.0, 1, 1, 1])
    )
    made = network(spread=0.3)
    mirror = torch.tensor([-1.0, 1.0, 1.0])
    flipped = says.clone()
    flipped[..., [1, 4]] *= -1
    found = answer_of(made, points * mirror, flipped, turned)
    plain = answer_of(made, points, says)
    for name in ("distance", "rgb", "head_distance", "head_rgb"):
        assert torch.isfinite(getattr(found, name)).all()
    torch.testing.assert_close(found.head_weight, plain.head_weight, atol=1e-4, rtol=0)


def test_close_ups_count_within_their_window_and_fade_at_its_border() -> None:
    window = inputs().head_window
    steps = torch.linspace(0, 1.6, 641)
    weights = []
    for axis in range(3):
        points = torch.from_numpy(window[:3]).repeat(len(steps), 1)
        points[:, axis] += steps * float(window[3])
        says = torch.from_numpy(prior().at(points.numpy()).stacked())[None]
        found = answer_of(network(spread=0.5), points[None], says)
        weight = found.head_weight[0]
        weights.append(weight)
        assert torch.equal(weight[steps >= 0.951], torch.zeros_like(weight[steps >= 0.951]))
        assert (weight[steps < 0.74] == 1).all()
        assert (weight.diff() <= 1e-6).all() and float(weight.diff().abs().max()) < 0.03
        outside = weight == 0
        assert found.head_distance is not None and found.rgb is not None and found.view_rgb is not None
        assert torch.equal(found.distance[0, outside], found.view_distance[0, outside])
        assert torch.equal(found.rgb[0, outside], found.view_rgb[0, outside])
        torch.testing.assert_close(found.distance[0, weight == 1], found.head_distance[0, weight == 1])
        differs = (found.head_distance - found.view_distance).abs()
        assert float(differs[0, weight > 0].max()) > 0.1
        # From full weight to none the answer passes over without a step.
        assert float(found.distance[0].diff().abs().max()) < 0.05 * float(differs[0, weight > 0].max()) + 0.4
    torch.testing.assert_close(weights[0], weights[2], atol=1e-4, rtol=0)


def losses(made: PersonNetwork, look: PersonPictures, points: Tensor, says: Tensor) -> Tensor:
    found = made.query(made.encode(look), points, says, colors=True)
    of_head = (found.head_weight > 0.5).float()
    shape, _ = person_loss(made, found, says[..., 0] + 1.5, of_head)
    color, _ = color_loss(found, torch.rand(*points.shape))
    return shape + color


@pytest.mark.parametrize(
    "changes", [{}, {"body": False}, {"head_channels": ()}, {"body": False, "head_channels": []}]
)
def test_gradients_reach_every_parameter_with_and_without_parts(changes: dict[str, Any]) -> None:
    made = network(spread=0.2, **changes).train()
    head, head_says = asked(300)
    losses(made, pictures(), head, head_says).backward()
    for name, value in made.named_parameters():
        assert value.grad is not None and torch.isfinite(value.grad).all(), name
        assert value.grad.abs().max() > 0, name
    close_up = any(name.startswith("head_") for name, _ in made.named_parameters())
    assert close_up == ("head_channels" not in changes) == made.config.close_up


def test_without_the_body_nothing_of_it_is_used() -> None:
    made = network(spread=0.3, body=False)
    points, says = asked()
    look = pictures()
    blank = PersonPictures(look.view.clone(), look.head.clone(), look.head_window)
    for picture in (blank.view, blank.head):
        picture[:, 5:] = 0.7
    plain, other = answer_of(made, points, says), answer_of(made, points, torch.rand_like(says), blank)
    assert torch.equal(plain.distance, other.distance) and torch.equal(plain.rgb, other.rgb)
    assert not torch.equal(answer_of(made, points + 3.0, says).distance, plain.distance)
    # At first it knows nothing at all.
    assert not answer_of(network(body=False), points, says).distance.any()


def test_without_a_close_up_the_view_answers() -> None:
    made = network(spread=0.3, head_channels=())
    points, says = asked()
    found = answer_of(made, points, says)
    assert found.head_distance is None and found.head_rgb is None and not found.head_weight.any()
    assert torch.equal(found.distance, found.view_distance) and found.rgb is found.view_rgb
    assert made.encode(pictures()).head is None


def test_colours_alone_are_those_beside_distances() -> None:
    made = network(spread=0.3)
    points, says = asked()
    features = made.encode(pictures())
    both = made.query(features, points, says, colors=True)
    alone = made.query(features, points, says, distances=False, colors=True)
    assert torch.equal(alone.rgb, both.rgb) and torch.equal(alone.distance, says[..., 0].clamp(-20, 20))
    assert made.query(features, points, says).rgb is None


def test_points_far_from_every_head_need_no_close_up() -> None:
    made = network(spread=0.3)
    points = torch.tensor([[[0.0, 40.0, 0.0], [10.0, 60.0, 0.0]]])
    says = torch.from_numpy(prior().at(points[0].numpy()).stacked())[None]
    found = answer_of(made, points, says)
    assert torch.equal(found.distance, found.view_distance) and torch.equal(found.rgb, found.view_rgb)


def test_people_of_a_batch_do_not_see_each_other() -> None:
    made = network(spread=0.3)
    first, second = pictures(), pictures_of(inputs(1), CPU)
    both = PersonPictures(
        torch.cat([first.view, second.view]),
        torch.cat([first.head, second.head]),
        torch.cat([first.head_window, second.head_window]),
    )
    points, says = asked()
    together = answer_of(made, points.repeat(2, 1, 1), says.repeat(2, 1, 1), both)
    for row, look in enumerate((first, second)):
        alone = answer_of(made, points, says, look)
        torch.testing.assert_close(together.distance[row], alone.distance[0], atol=1e-4, rtol=1e-4)
        torch.testing.assert_close(together.rgb[row], alone.rgb[0], atol=1e-4, rtol=1e-4)


def test_pictures_are_gray_beside_the_person_and_maps_end_with_the_body() -> None:
    rgb, mask = torch.rand(1, 3, 4, 4), torch.zeros(1, 1, 4, 4)
    mask[..., :2] = 1
    maps = torch.zeros(1, 6, 4, 4, dtype=torch.uint8)
    maps[:, :5, 1], maps[:, 5, 1] = torch.tensor([[1, 128, 255, 64, 192]])[..., None].to(torch.uint8), 255
    found = network_picture(rgb, mask, mask - 0.5, maps)
    assert found.shape == (1, 11, 4, 4) and found.abs().max() <= 1
    torch.testing.assert_close(found[:, :3, :, :2], rgb[..., :2] * 2 - 1)
    assert not found[:, :3, :, 2:].any()
    assert torch.equal(found[:, 3], mask[:, 0] * 2 - 1) and torch.equal(found[:, 4], mask[:, 0] - 0.5)
    np.testing.assert_allclose(found[0, 5:, 1, 0], [-1, 0, 1, -64 / 127, 64 / 127, 1], atol=1e-6)
    assert not found[:, 5:, [0, 2, 3]].any()


def test_the_loss_is_least_at_the_truth_and_inner_surfaces_are_forgiven() -> None:
    made = network()
    true = torch.tensor([[-4.0, -1.0, 0.5, 3.0]])

    def loss(found: Tensor) -> float:
        nothing = PersonAnswer(found, found, None, torch.zeros_like(found))
        return float(person_loss(made, nothing, true, torch.zeros_like(true))[0])

    at_truth = loss(true)
    for row in range(4):
        for step in (-1.0, 1.0):
            off = true.clone()
            off[0, row] += step
            # Deeper inside than known is no error.
            assert (loss(off) > at_truth) != (row >= 2 and step > 0), (row, step)
    assert math.isfinite(loss(torch.tensor([[-900.0, 900.0, -900.0, 900.0]])))
    no_colors = PersonAnswer(true, true, None, true)
    with pytest.raises(ValueError, match="no colours"):
        color_loss(no_colors, torch.zeros(1, 4, 3))


def test_occupancy_is_one_half_at_the_surface() -> None:
    made = network(sharpness=2.0)
    found = made.occupancy(torch.tensor([0.0, 2.0, -2.0]))
    np.testing.assert_allclose(found, [0.5, 0.7311, 0.2689], atol=1e-4)
