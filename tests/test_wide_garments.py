"""Garments some sizes too large and beards: who has them, how they hang, nobody else changed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from jiff.body.anny_body import load_anny_body
from jiff.geometry.mesh import Mesh
from jiff.geometry.simplify import is_watertight
from jiff.synthetic.accessories import BEARD, STREAM, WIDE, with_accessories
from jiff.synthetic.person import PersonMesh, dress_person
from jiff.synthetic.posed import DRESSING
from jiff.synthetic.scan_files import template_triangles
from jiff.synthetic.spec import PersonSpec
from jiff.synthetic.wardrobe import sample_person

COUNT = template_triangles(40_000)
SKIRT, TROUSERS, MAN = 12, 0, 4
"""Of seed 3: a woman in a skirt, a woman in trousers, a man."""


def _drawn(index: int) -> tuple[PersonSpec, np.random.Generator]:
    rng = np.random.default_rng([3, index])
    return sample_person(rng, load_anny_body().local_change_labels), rng


def _volume(person: PersonMesh) -> float:
    a, b, c = (person.vertices - person.vertices.mean(axis=0))[person.faces].transpose(1, 0, 2)
    return float(np.einsum("ij,ij->", a, np.cross(b, c)) / 6)


def _wide(person: PersonSpec, plain: PersonSpec) -> bool:
    """Whether somebody's own garments are some sizes too large; coats take the jacket's place."""
    pairs = ((person.top, plain.top), (person.bottom, plain.bottom))
    return any(now.fold_m > before.fold_m for now, before in pairs)


def _open(person: PersonSpec) -> bool:
    return person.jacket is not None and person.jacket.front is not None


def test_shares_of_people_in_wide_clothes_and_of_men_with_beards() -> None:
    for index, share in ((MAN, BEARD), (TROUSERS, 0.0), (SKIRT, 0.0)):
        plain, _ = _drawn(index)
        assert (plain.phenotypes["gender"] < 0.5) == (index == MAN)
        people = [with_accessories(plain, np.random.default_rng([2, i, STREAM])) for i in range(3000)]
        # Three standard deviations of 3000 draws are 0.025.
        assert abs(np.mean([_wide(person, plain) for person in people]) - WIDE) < 0.025
        beards = [person.beard for person in people if person.beard is not None]
        assert abs(len(beards) / len(people) - share) < (0.025 if share else 1e-9)
        assert {beard.kind for beard in beards} == ({"full", "goatee", "moustache"} if share else set())
        assert all(0 < b.density < 1 and 0.001 < b.length_m < 0.031 and min(b.color) >= 0 for b in beards)


@pytest.mark.parametrize("index", [MAN, TROUSERS])
def test_who_wears_none_is_the_very_same_person(index: int) -> None:
    spec, _ = _drawn(index)
    kept = 0
    for seed in range(60):
        other = with_accessories(spec, np.random.default_rng(seed))
        if _open(other):
            continue
        assert spec == replace(
            other, worn=None, beard=None, looks=spec.looks, top=spec.top, bottom=spec.bottom, jacket=spec.jacket
        )  # fmt: skip
        # Beards take the place of stubble, coats that of the jacket and the end of the top.
        stubble = spec.looks.stubble if other.beard is None else 0.0
        assert other.looks == replace(spec.looks, stubble=stubble)
        wide, coat = _wide(other, spec), other.jacket is not None and other.jacket.length_m > 0
        if not wide:
            assert other.bottom == spec.bottom and (coat or other.jacket == spec.jacket)
            assert replace(other.top, hem_y=spec.top.hem_y) == spec.top
        none = other.worn is None and other.beard is None and not wide and not coat
        assert (other is spec) == none
        kept += none
    assert 6 < kept < 35


def test_wide_clothes_hang_off_by_more_and_skirts_widen_downward() -> None:
    for index in (MAN, TROUSERS, SKIRT):
        plain, _ = _drawn(index)
        people = [with_accessories(plain, np.random.default_rng(i)) for i in range(300)]
        # An open jacket that comes on top of all else has a measure of its own.
        wide = [person for person in people if _wide(person, plain) and not _open(person)]
        coats = 0
        for person in wide:
            top, bottom, jacket = person.top, person.bottom, person.jacket
            above, below = top.offset_m - plain.top.offset_m, bottom.offset_m - plain.bottom.offset_m
            falls = bottom.fold_m > plain.bottom.fold_m
            assert (0.002 < above < 0.051) == (top.fold_m > plain.top.fold_m) and above >= 0
            if bottom.kind == "skirt":
                assert below == 0 and bottom.smoothing == plain.bottom.smoothing
                assert (bottom.flare > plain.bottom.flare + 0.03) == falls
            else:
                assert bottom.flare == plain.bottom.flare and (0.007 < below < 0.051) == falls
            if jacket is not None:
                # A coat that is not wide stands off by 14 mm; what is below it takes less of the room.
                coats += jacket.length_m > 0
                assert jacket.offset_m == pytest.approx(0.014 + 0.7 / 0.3 * above)
        assert len(wide) > 40 and (coats > 3) == (index != SKIRT)
        assert any(p.top == plain.top for p in wide) and any(p.bottom == plain.bottom for p in wide)


@pytest.mark.parametrize("index", [MAN, SKIRT])
def test_wide_clothes_make_a_person_no_smaller(index: int) -> None:
    plain, rng = _drawn(index)
    drawn = (with_accessories(plain, np.random.default_rng(i)) for i in range(400))
    wide = next(
        person for person in drawn
        if person == replace(plain, top=person.top, bottom=person.bottom)
        and person.top.offset_m > plain.top.offset_m + 0.02 and person.bottom.fold_m > 1.25 * plain.bottom.fold_m
    )  # fmt: skip
    before = dress_person(replace(plain, pose=DRESSING), rng, COUNT).mesh
    after = dress_person(replace(wide, pose=DRESSING), _drawn(index)[1], COUNT).mesh
    np.testing.assert_array_equal(before.faces, after.faces)
    assert is_watertight(Mesh(after.vertices, after.faces))
    assert _volume(after) > 1.05 * _volume(before)
    assert (np.ptp(after.vertices, axis=0) > np.ptp(before.vertices, axis=0) - 0.002).all()
