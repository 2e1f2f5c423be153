"""What a mask lacks or has too much: settled by where the picture has its edges, and by colours."""

from __future__ import annotations

import numpy as np

from jiff.perception.mask_parts import with_jutting_parts, without_ground

SIZE = 128


def _person() -> np.ndarray:
    on = np.zeros((SIZE, SIZE), bool)
    on[10:70, 50:80] = True
    on[70:120, 50:60] = on[70:120, 70:80] = True
    return on


def _photo(person: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    rgb = np.where(person[..., None], [150, 40, 20], [190, 180, 170]) + rng.integers(-6, 7, (SIZE, SIZE, 3))
    return np.clip(rgb, 0, 255).astype(np.uint8)


def _rectangle(top: int, bottom: int, left: int, right: int) -> np.ndarray:
    on = np.zeros((SIZE, SIZE), bool)
    on[top:bottom, left:right] = True
    return on


def test_a_leg_that_the_mask_lacks_is_taken(rng: np.random.Generator) -> None:
    person, leg = _person(), _rectangle(60, 74, 14, 50)
    rgb = _photo(person | leg, rng)
    share, everybody = person.astype(np.float32), (person | leg).astype(np.float32)
    found = with_jutting_parts(rgb, share, everybody)
    assert (found[leg] == 1).mean() > 0.97
    np.testing.assert_array_equal(found[~leg], share[~leg])
    np.testing.assert_array_equal(with_jutting_parts(rgb, share, everybody), found)
    # Of which the segmentation is not sure is not taken.
    np.testing.assert_array_equal(with_jutting_parts(rgb, share, np.where(leg, 0.8, everybody)), share)


def test_ground_shadows_and_other_people_are_not_taken(rng: np.random.Generator) -> None:
    person = _person()
    share = person.astype(np.float32)
    web, shadow = _rectangle(70, 112, 60, 70), _rectangle(60, 74, 14, 50)
    # Ground between the legs, and what has no edge where it ends.
    for more in (web, shadow):
        rgb = _photo(person, rng)
        found = with_jutting_parts(rgb, share, (person | more).astype(np.float32))
        np.testing.assert_array_equal(found, share)
    # Even cloth of the person's colour is not theirs between legs: there the mask of landmarks is right.
    rgb = _photo(person | web, rng)
    np.testing.assert_array_equal(with_jutting_parts(rgb, share, (person | web).astype(np.float32)), share)
    # A thing that the background has elsewhere, with an edge around it.
    rgb = _photo(person, rng)
    rgb[shadow] = rgb[:, 90:] = [60, 90, 60]
    np.testing.assert_array_equal(with_jutting_parts(rgb, share, (person | shadow).astype(np.float32)), share)
    # A shadow in which the wall is nearly as dark as the person.
    dark = np.full((SIZE, SIZE, 1), 90)
    dark[shadow], dark[person] = 72, 66
    rgb = (dark + rng.integers(-3, 4, (SIZE, SIZE, 3))).astype(np.uint8)
    np.testing.assert_array_equal(with_jutting_parts(rgb, share, (person | shadow).astype(np.float32)), share)
    # A third is of the person's colour.
    rgb = _photo(person | shadow, rng)
    rgb[shadow & _rectangle(0, SIZE, 0, 38)] = rgb[:, 90:] = [60, 90, 60]
    np.testing.assert_array_equal(with_jutting_parts(rgb, share, (person | shadow).astype(np.float32)), share)
    # Where much more than the person is seen, somebody else is there.
    leg, other = _rectangle(60, 74, 14, 50), _rectangle(10, 120, 100, 124)
    rgb = _photo(person | leg | other, rng)
    everybody = (person | leg | other).astype(np.float32)
    np.testing.assert_array_equal(with_jutting_parts(rgb, share, everybody), share)
    assert (with_jutting_parts(rgb, share, (person | leg).astype(np.float32))[leg] == 1).mean() > 0.9


LEGS = [np.array([[55.0, 70.0], [55.0, 118.0]]), np.array([[75.0, 70.0], [75.0, 118.0]])]


def test_ground_that_the_network_is_sure_of_goes(rng: np.random.Generator) -> None:
    person, web = _person(), _rectangle(70, 79, 60, 70)
    rgb = _photo(person, rng)
    share = (person | web).astype(np.float32)
    found = without_ground(rgb, share, LEGS)
    assert (found[web] == 0).mean() > 0.97
    np.testing.assert_array_equal(found[person], share[person])
    np.testing.assert_array_equal(without_ground(rgb, share, LEGS), found)


def test_clothes_and_limbs_like_the_background_stay(rng: np.random.Generator) -> None:
    person, web = _person(), _rectangle(70, 79, 60, 70)
    share = (person | web).astype(np.float32)
    # Something between the legs that the background does not have.
    rgb = _photo(person, rng)
    rgb[web] = [120, 150, 60]
    np.testing.assert_array_equal(without_ground(rgb, share, LEGS), share)
    # Something that the background has, elsewhere.
    rgb[:, 100:] = [120, 150, 60]
    np.testing.assert_array_equal(without_ground(rgb, share, LEGS), share)
    # A bone: it is a limb in the background's colour.
    rgb = _photo(person, rng)
    across = [*LEGS, np.array([[65.0, 70.0], [65.0, 78.0]])]
    np.testing.assert_array_equal(without_ground(rgb, share, across), share)
    # Clothes nearly of the background's colour.
    rgb = np.where(person[..., None], [182, 172, 162], [190, 180, 170]) + rng.integers(-6, 7, (SIZE, SIZE, 3))
    rgb = rgb.clip(0, 255).astype(np.uint8)
    np.testing.assert_array_equal(without_ground(rgb, share, LEGS), share)
    full = np.ones_like(share)
    np.testing.assert_array_equal(without_ground(rgb, full, LEGS), full)
