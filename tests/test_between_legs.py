"""What hangs round both legs: where it is found, that it is the hull of the legs; and limbs that are no measure of clothes."""

from __future__ import annotations

import atexit
from functools import cache

import numpy as np
from scipy.spatial import ConvexHull

from jiff.body.prior import BodyPrior
from jiff.geometry.camera import Camera
from jiff.inference.between_legs import BetweenLegs, _hull, _runs
from jiff.inference.depth_guess import guess_depth
from jiff.inference.outline import Outline
from jiff.inference.reach import Reach
from tests.held_people import prior
from tests.known_person import SIZE, person_mask_of, standing_body


@cache
def skirt(low: float, high: float) -> tuple[BetweenLegs, Outline]:
    """A person whose mask holds a sheet between the legs, from a height to a height, world units."""
    mask = person_mask_of(prior().mesh)
    camera = Camera(size=SIZE)
    rows = camera.world_to_pixel(np.array([[0, high, 0], [0, low, 0]]))[:, 1].round().astype(int)
    columns = camera.world_to_pixel(np.array([[-14, 0, 0], [14, 0, 0]]))[:, 0].round().astype(int)
    mask[rows[0] : rows[1], columns[0] : columns[1]] = 255
    outline = Outline(mask)
    return BetweenLegs(prior(), outline), outline


# Trees that outlive the interpreter are reported as leaks.
atexit.register(skirt.cache_clear)


def test_a_body_knows_its_arms_and_legs() -> None:
    x, y, _ = np.abs(prior().mesh.vertices).T
    arms = prior().of_arms(prior().mesh.vertices)
    assert arms[(x > 22) & (y > 80)].all() and 0.2 < arms.mean() < 0.5
    assert not arms[((x < 9) & (y > 80)) | (y < 70) | (y > 162)].any()
    left, right = prior().legs()
    legs = prior().mesh.vertices[:, 0]
    assert not (left & right).any() and not ((left | right) & arms).any()
    assert (legs[left] > 0).mean() > 0.99 and (legs[right] < 0).mean() > 0.99
    assert (left | right)[(y > 20) & (y < 75) & ~arms].all()


def said(low: float, high: float, points: np.ndarray) -> np.ndarray:
    found, outline = skirt(low, high)
    assert found.found
    return found.distance(points, outline.distance(points))


def test_bare_legs_are_not_joined() -> None:
    assert not BetweenLegs(prior(), Outline(person_mask_of(prior().mesh))).found
    # Nor by a strap.
    assert not skirt(30.0, 32.0)[0].found


def test_a_skirt_is_found_from_its_hem_up() -> None:
    heights = np.arange(10.0, 75.0, 2.0)
    between = np.column_stack([np.zeros_like(heights), heights, np.full_like(heights, depth_of_legs())])
    inside = said(35.0, 80.0, between) > 0
    assert inside[heights > 38].all() and not inside[heights < 33].any()


def depth_of_legs() -> float:
    left, right = (prior().mesh.vertices[chosen] for chosen in prior().legs())
    return float((left[:, 2].mean() + right[:, 2].mean()) / 2)


def test_it_is_the_hull_of_the_legs() -> None:
    both = np.concatenate([prior().mesh.vertices[chosen] for chosen in prior().legs()])
    middle = both[np.abs(both[:, 1] - 50) < 1.5]
    front, back = middle[:, 2].max(), middle[:, 2].min()
    z = np.linspace(back - 12, front + 12, 200)
    line = np.column_stack([np.zeros_like(z), np.full_like(z, 50.0), z])
    inside = z[said(35.0, 80.0, line) > 0]
    # Cloth stands one unit off.
    assert back - 1.5 < inside.min() and inside.max() < front + 1.5
    assert np.ptp(inside) > 0.5 * (front - back)
    # Beside the legs it adds nothing.
    beside = np.array([[middle[:, 0].max() + 4, 50.0, z.mean()], [middle[:, 0].min() - 4, 50.0, z.mean()]])
    assert (said(35.0, 80.0, beside) < 0).all()


def test_hull_of_points_is_the_convex_hull(rng: np.random.Generator) -> None:
    points = rng.normal(size=(80, 2)) * [4.0, 1.0] + [2.0, 5.0]
    columns = np.linspace(points[:, 0].min(), points[:, 0].max(), 50)
    front, back = _hull(points, columns)
    assert (front >= back).all()
    normals = ConvexHull(points).equations
    for side in (front, back):
        gap = normals[:, :2] @ np.stack([columns, side]) + normals[:, 2:]
        np.testing.assert_allclose(gap.max(axis=0), 0, atol=1e-9)
    np.testing.assert_array_equal(_hull(points, np.array([-99.0]))[0], points[points[:, 0].argmin(), 1])


def test_rows_without_a_gap_follow_what_is_told_below_them() -> None:
    told = np.full(200, np.nan)
    both, area = np.ones(200, bool), np.full(200, 4.0)
    told[80:120] = 1.0
    told[120:] = 0.0
    assert np.flatnonzero(_runs(told, area, both)).tolist() == list(range(120)), "up to the hips"
    both[:40] = False
    assert np.flatnonzero(_runs(told, area, both)).tolist() == list(range(40, 120))
    told[60:80] = 0.0
    assert np.flatnonzero(_runs(told, area, both)).tolist() == list(range(80, 120)), "not above a gap"
    told[:] = np.nan
    assert not _runs(told, area, both).any()
    told[100:110] = 1.0
    assert not _runs(told, np.full(200, 0.3), both).any(), "too little to be cloth"
    area[:] = 8.0
    # Below the last that is told so far only: there are feet.
    assert np.flatnonzero(_runs(told, area, both)).tolist() == list(range(40, 135))


def test_a_limb_along_the_line_of_sight_is_no_measure_of_clothes() -> None:
    kicks = BodyPrior(standing_body(upperleg_L=(-1.45, 0.0, 0.0)))
    camera = Camera(size=256)
    column, row = camera.world_to_pixel(np.array([12.4, 98.4, 0.0]))[:2].astype(int)
    thick = guess_depth(kicks.mesh, camera, kicks).half[row, column]
    # Half as thick as it is long, and no farther than beside a trunk that is seen from its side.
    assert thick > 20 and abs(Reach(kicks)._room[row, column] - 13) < 0.1
    assert Reach(prior())._room[row, column] > 13.5
