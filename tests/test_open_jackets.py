"""Jackets and coats worn open: who has them, where the gap runs, what is seen in it, nobody else changed."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from jiff.base.files import read_json
from jiff.body.anny_body import load_anny_body
from jiff.geometry.raycast import RayScene
from jiff.synthetic.accessories import ADDED, OPEN, STREAM, tails_of, with_accessories
from jiff.synthetic.carry import carry
from jiff.synthetic.layers import build_layers
from jiff.synthetic.open_front import (
    TAILS_Y,
    cut_field,
    edge_lift,
    gap_field,
    gap_shadow,
    lapel_shade,
    tails_sides,
)
from jiff.synthetic.person import Dressed, dress_person
from jiff.synthetic.posed import DRESSING, clear_draw
from jiff.synthetic.scan_files import ScanJob, template_triangles, write_scan
from jiff.synthetic.spec import Cloth, Garment, Opening, PersonSpec
from jiff.synthetic.template import load_template
from jiff.synthetic.texels import load_texels
from jiff.synthetic.texture import paint_person
from jiff.synthetic.wardrobe import sample_person

COUNT = template_triangles(40_000)
SIZE = 256
SKIRT, TROUSERS, MAN = 12, 0, 4
"""Of seed 3: a woman in a skirt, a woman in trousers, a man."""
_BLUE = Cloth("plain", ((0.1, 0.2, 0.8), (0.1, 0.2, 0.8), (0.1, 0.2, 0.8)), 0.2, 1)
_YELLOW = Cloth("stripes", ((0.95, 0.85, 0.1), (0.95, 0.4, 0.1), (0.95, 0.85, 0.1)), 0.06, 1)
_FRONT = Opening(chest_m=0.08, hem_m=0.2, shift_m=0.0, lift_m=0.015)
_JACKET = Garment("jacket", _BLUE, 0.013, 0.006, 60, sleeve=1.9, hem_y=0.15, neck="collar", front=_FRONT)
_COAT = replace(_JACKET, offset_m=0.014, hem_y=0.2, length_m=0.55, flare=0.1)


def _drawn(index: int) -> tuple[PersonSpec, np.random.Generator]:
    rng = np.random.default_rng([3, index])
    return sample_person(rng, load_anny_body().local_change_labels), rng


@cache
def _dressed(coat: bool, opened: bool = True) -> tuple[PersonSpec, Dressed]:
    """Return the woman in trousers in a striped top under a blue jacket or coat."""
    spec, rng = _drawn(TROUSERS)
    jacket = _COAT if coat else _JACKET
    if not opened:
        jacket = replace(jacket, front=None)
    top = replace(spec.top, cloth=_YELLOW, sleeve=1.3, hem_y=jacket.hem_y + 0.055, neck="crew", detail="none")
    spec = replace(spec, pose=DRESSING, jacket=jacket, top=top, worn=None)
    return spec, dress_person(spec, rng, COUNT)


def _open_edges(faces: np.ndarray) -> int:
    ends = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    count = int(ends.max()) + 1
    return len(np.setxor1d(ends @ [count, 1], ends @ [1, count]))


def test_the_gap_is_as_wide_as_asked_and_in_front_only() -> None:
    for garment, low in ((_JACKET, 0.15), (_COAT, TAILS_Y - 0.55)):
        for y, width in ((0.58, 0.08), (low, 0.2), (0.5 * (0.58 + low), 0.14), (low - 0.3, 0.2), (0.7, 0.1)):
            x = np.linspace(-0.2, 0.2, 4001)
            points = np.stack([x, np.full(4001, y), np.full(4001, 0.1)], axis=1)
            inside = x[gap_field(garment, _FRONT, points) < 0]
            # The edges bend by up to 4 mm, both to the same side.
            assert np.ptp(inside) == pytest.approx(width, abs=2.5e-4) and abs(inside.mean()) < 0.0042
        behind = gap_field(garment, _FRONT, points - [0, 0, 0.15])
        assert (behind > 0.5).all()
    np.testing.assert_array_equal(cut_field(_JACKET, _FRONT, points), gap_field(_JACKET, _FRONT, points))
    under_tails = points * [1, 0, 1] + [0, 0.25, 0]
    back = gap_field(_COAT, _FRONT, under_tails) - cut_field(_COAT, _FRONT, under_tails)
    np.testing.assert_allclose(back, 0.025)
    shifted = replace(_FRONT, shift_m=0.01)
    low_points = np.stack([x, np.full(4001, 0.15), np.full(4001, 0.1)], axis=1)
    assert x[gap_field(_JACKET, shifted, low_points) < 0].mean() == pytest.approx(0.01, abs=0.0042)


def test_edges_hang_off_and_lapels_lie_beside_the_gap() -> None:
    x = np.linspace(0.0, 0.2, 2001)
    lapels = replace(_FRONT, lapel_m=0.04, lapel_shade=0.8)

    def row(y: float) -> np.ndarray:
        return np.stack([x, np.full(2001, y), np.full(2001, 0.1)], axis=1)

    at_hem, at_neck = (edge_lift(_JACKET, _FRONT, row(y)) for y in (0.15, 0.69))
    assert at_hem.max() == pytest.approx(0.015) and at_hem[-1] < 0.001 and at_neck.max() == 0
    assert edge_lift(_COAT, _FRONT, row(TAILS_Y)).max() == 0 < edge_lift(_COAT, _FRONT, row(0.45)).max()
    assert (np.diff(at_hem) <= 0).all() and edge_lift(_JACKET, _FRONT, row(0.4)).max() < 0.012
    assert (lapel_shade(_JACKET, _FRONT, row(0.58)) == 1).all()
    shade = lapel_shade(_JACKET, lapels, row(0.58))
    beside = gap_field(_JACKET, lapels, row(0.58))
    np.testing.assert_allclose(shade[(beside > 0) & (beside < 0.02)], 0.8, atol=0.01)
    np.testing.assert_allclose(shade[beside > 0.06], 1, atol=0.01)
    np.testing.assert_allclose(lapel_shade(_JACKET, lapels, row(0.3))[beside > 0.06], 1, atol=0.01)
    shadow = gap_shadow(_JACKET, _FRONT, row(0.3))
    beside = gap_field(_JACKET, _FRONT, row(0.3))
    assert shadow[np.abs(beside) < 1e-3].max() < 0.65 and shadow[beside > 0.05].min() > 0.99
    assert shadow[0] > 0.95 and (gap_shadow(_JACKET, _FRONT, row(0.15)) == 1).all()


def test_shares_of_people_with_open_fronts() -> None:
    labels = load_anny_body().local_change_labels
    everybody = [
        (plain, with_accessories(plain, np.random.default_rng([i, 0, STREAM])))
        for i, plain in ((i, sample_person(np.random.default_rng([i, 0]), labels)) for i in range(1600))
    ]
    opened = [
        (plain, now) for plain, now in everybody if now.jacket is not None and now.jacket.front is not None
    ]
    # Three standard deviations of 1600 draws are 0.033.
    assert abs(len(opened) / len(everybody) - 0.25) < 0.033
    had = [
        now for plain, now in everybody
        if now.jacket is not None and (plain.jacket is not None or now.jacket.length_m > 0)
    ]  # fmt: skip
    # Of 500, 0.067.
    assert abs(np.mean([person.jacket.front is not None for person in had if person.jacket]) - OPEN) < 0.067
    assert (
        abs((len(everybody) - len(had)) * ADDED - (len(opened) - sum(now in had for _, now in opened))) < 45
    )
    kinds = set()
    for plain, now in opened:
        jacket = now.jacket
        assert jacket is not None and jacket.front is not None
        front = jacket.front
        most = 0.3 if jacket.length_m > 0 else 0.22
        assert 0.04 <= front.chest_m <= front.hem_m <= most and 0.004 <= front.lift_m <= 0.022
        assert (front.lapel_m > 0) <= (jacket.neck != "hood") and front.lapel_m < 0.056
        # The shirt ends above the jacket, so that trousers are seen below it in the gap.
        assert now.top.hem_y >= jacket.hem_y + 0.0549
        assert now.bottom == plain.bottom or now.bottom.fold_m > plain.bottom.fold_m
        kinds.add((plain.jacket is None, jacket.length_m > 0, now.bottom.kind))
    assert len(kinds) >= 5
    added = [now for plain, now in opened if plain.jacket is None and now.jacket and now.jacket.length_m == 0]
    assert all(person.jacket and person.jacket.cloth != person.top.cloth for person in added)
    assert max(person.top.offset_m for person in added) <= 0.03


@pytest.mark.parametrize("index", [SKIRT, TROUSERS, MAN])
def test_who_keeps_the_front_closed_is_the_very_same_person(
    index: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec, _ = _drawn(index)
    now = [with_accessories(spec, np.random.default_rng(seed)) for seed in range(120)]
    monkeypatch.setattr("jiff.synthetic.accessories.OPEN", 0.0)
    monkeypatch.setattr("jiff.synthetic.accessories.ADDED", 0.0)
    before = [with_accessories(spec, np.random.default_rng(seed)) for seed in range(120)]
    changed = 0
    for new, old in zip(now, before):
        assert old.jacket is None or old.jacket.front is None
        if new == old:
            continue
        changed += 1
        assert new.jacket is not None and new.jacket.front is not None
        if old.jacket is None:
            assert replace(new, jacket=None, top=old.top) == old
        else:
            assert replace(new, jacket=replace(new.jacket, front=None, detail=old.jacket.detail)) == old
    assert 5 < changed < 60


@pytest.mark.parametrize("coat", [False, True])
def test_the_gap_shows_what_is_below_and_all_else_the_jacket(coat: bool) -> None:
    spec, dressed = _dressed(coat)
    assert spec.jacket is not None
    template, mesh = load_template(COUNT), dressed.mesh
    middle = template.canonical[template.faces].mean(axis=1)
    part = np.array([np.bincount(p).argmax() for p in template.part[template.faces]])
    jacket, top = mesh.layers.index("jacket"), mesh.layers.index("top")
    trunk = np.isin(part, (0, 4, 5)) & (middle[:, 1] > spec.jacket.hem_y + 0.02)
    below_neck = trunk & (middle[:, 1] < 0.66)
    beside = gap_field(spec.jacket, _FRONT, middle)
    shirt = below_neck & (beside < -0.015) & (middle[:, 1] > spec.top.hem_y + 0.02)
    assert shirt.sum() > 100 and (mesh.label[shirt] == top).all()
    low = below_neck & (beside < -0.015) & (middle[:, 1] < spec.top.hem_y - 0.02)
    assert low.sum() > 5 and (mesh.label[low] == mesh.layers.index("trousers")).all()
    # Below the beginning of tails, these are what is seen.
    lowest = TAILS_Y if coat else spec.jacket.hem_y + 0.02
    around = below_neck & (beside > 0.015) & (middle[:, 1] > lowest)
    assert around.sum() > 1000 and (mesh.label[around] == jacket).all()
    limb = template.limb[template.faces].mean(axis=1)
    sleeves = np.isin(part, (2, 3)) & (limb > 0.1) & (limb < 1.8)
    assert (mesh.label[sleeves] == jacket).all()

    texels = load_texels(COUNT, SIZE)
    _, closed = _dressed(coat, opened=False)
    who = replace(spec, jacket=replace(spec.jacket, front=None))
    image, whole = (
        paint_person(person, worn.mesh, texels, np.random.default_rng(1)).reshape(-1, 3)[texels.index] / 255.0
        for person, worn in ((spec, dressed), (who, closed))
    )
    # Where charts of hair and eyes meet the body's at this size, nobody's back is of cloth.
    blue = (image[:, 2] > image[:, 0]) | (whole[:, 2] < whole[:, 0])
    assert (whole[:, 2] > whole[:, 0]).mean() > 0.2
    point, trunk = texels.position, np.isin(texels.part, (0, 4, 5))
    high = (point[:, 1] > spec.jacket.hem_y + 0.02) & (point[:, 1] < 0.66)
    beside = gap_field(spec.jacket, _FRONT, point)
    assert blue[trunk & high & (beside > 0.02) & (point[:, 1] > lowest)].all()
    back = trunk & high & (point[:, 2] < -0.02) & (whole[:, 2] > whole[:, 0])
    assert back.sum() > 1000
    np.testing.assert_array_equal(image[back], whole[back])
    assert blue[np.isin(texels.part, (2, 3)) & (texels.limb > 0.1) & (texels.limb < 1.8)].all()
    seen = trunk & high & (beside < -0.02) & (point[:, 1] > spec.top.hem_y + 0.02)
    assert seen.sum() > 50 and not blue[seen].any()
    # Its stripes go on, and what is next to the edge lies in shadow.
    assert np.ptp(image[seen, 1] / image[seen, 0]) > 0.3
    near = trunk & high & (beside < -0.004) & (beside > -0.01) & (point[:, 1] > spec.top.hem_y + 0.02)
    far = seen & (beside < -0.035)
    near &= ~blue
    assert image[near, 0].mean() < 0.85 * image[far, 0].mean()


def test_edges_stand_off_the_shirt_by_centimetres() -> None:
    spec, dressed = _dressed(False)
    _, closed = _dressed(False, opened=False)
    assert spec.jacket is not None
    layered, template = dressed.layered, load_template(COUNT)
    jacket, top = dressed.mesh.layers.index("jacket"), dressed.mesh.layers.index("top")
    canonical = template.canonical[layered.source]
    chosen = (canonical[:, 1] > 0.22) & (canonical[:, 1] < 0.55) & (canonical[:, 2] > 0.05)
    edge = np.flatnonzero((layered.sheet == jacket) & chosen)
    edge = edge[np.abs(gap_field(spec.jacket, _FRONT, canonical[edge])) < 0.01]
    lower = {int(v): k for k, v in enumerate(layered.source) if layered.sheet[k] == top}
    pairs = np.array([(k, lower[int(layered.source[k])]) for k in edge if int(layered.source[k]) in lower])
    step = np.linalg.norm(np.diff(layered.vertices[pairs], axis=1)[:, 0], axis=1)
    assert len(pairs) > 30 and step.min() > 0.008 and step.max() < 0.05 and 0.012 < np.median(step) < 0.04
    # In the gap the surface lies nearer to the skin than the closed jacket would, and than the edges beside it.
    count = len(template.canonical)
    inner = np.flatnonzero((layered.sheet == top) & chosen)
    inner = inner[gap_field(spec.jacket, _FRONT, canonical[inner]) < -0.02]
    outer = np.full(count, -1)
    own = closed.layered.sheet == jacket
    outer[closed.layered.source[own]] = np.flatnonzero(own)
    both = inner[outer[layered.source[inner]] >= 0]
    skin = dressed.mesh.skin - dressed.origin
    gap = np.linalg.norm(layered.vertices[both] - skin[layered.source[both]], axis=1)
    cover = outer[layered.source[both]]
    over = np.linalg.norm(closed.layered.vertices[cover] - skin[layered.source[both]], axis=1)
    assert len(both) > 30 and np.quantile(over - gap, 0.05) > 0.003
    beside = np.linalg.norm(layered.vertices[edge] - skin[layered.source[edge]], axis=1)
    assert np.median(beside) > np.median(gap) + 0.012


@pytest.mark.parametrize("coat", [False, True])
def test_the_surface_stays_closed_dressed_and_carried(coat: bool) -> None:
    spec, dressed = _dressed(coat)
    assert _open_edges(dressed.mesh.faces) == 0
    found = clear_draw(spec, dressed, np.random.default_rng(14), COUNT)
    mesh = found.mesh
    assert found.refused < 6 and np.isfinite(mesh.vertices).all() and _open_edges(mesh.faces) == 0
    names = {name for name, _, _ in dressed.parts}
    assert any(name.startswith("coat.") for name in names) == coat


def test_without_patches_crossing_hems_would_leave_holes() -> None:
    # A plane in four quarters: the hem of the highest layer crosses that of the middle one.
    side = 17
    x, y = np.meshgrid(np.arange(side), np.arange(side))
    points = np.stack([x.ravel(), y.ravel(), np.zeros(side**2)], axis=1) * 0.01
    corner = (np.arange(side - 1)[:, None] * side + np.arange(side - 1)).ravel()
    faces = np.concatenate(
        [
            np.stack([corner, corner + 1, corner + side + 1], 1),
            np.stack([corner, corner + side + 1, corner + side], 1),
        ]
    )
    center = points[faces].mean(axis=1)
    label = np.where(center[:, 0] > 0.08, 2, np.where(center[:, 1] > 0.08, 1, 0))
    edges = np.unique(
        np.sort(np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]), axis=1), axis=0
    )
    surfaces = [points + [0, 0, 0.01 * layer] for layer in range(3)]
    rim = 4 * (side - 1)
    holes = [
        _open_edges(build_layers(faces, edges, label, surfaces, [0.0, 0.002, 0.004], crossing=crossing).faces)
        for crossing in (0, 2)
    ]
    # Each open edge counts in both directions; where a hem ends at the rim, the rim itself grows.
    assert holes[0] > holes[1] >= 2 * rim


def test_tails_are_open_in_front_and_two_sided() -> None:
    spec, dressed = _dressed(True)
    tails = tails_of(spec)
    assert tails is not None and tails.front == _FRONT
    name, first, last = next(part for part in dressed.parts if part[0].startswith("coat."))
    columns = int(name.partition(".")[2])
    outer, inner = tails_sides(first, last, columns)
    assert np.array_equal(np.sort(np.concatenate([outer, inner])), np.arange(first, last))
    mesh = dressed.mesh
    body = load_anny_body()
    same = carry(dressed, load_template(COUNT), dressed.rotations, body.pose(dressed.rest, dressed.rotations))
    for vertices in (mesh.vertices, same.vertices):
        cloth = np.linalg.norm(vertices[outer] - vertices[inner], axis=1)
        assert cloth.min() > 0.0015 and cloth.max() < 0.005
        rows = vertices[outer].reshape(-1, columns, 3)
        width = rows[:, 0, 0] - rows[:, -1, 0]
        assert 0.1 < abs(width[0]) < 0.2 and 0.16 < abs(width[-1]) < 0.24
        # From the front, one sees legs between the edges, and the coat's inner side between the legs.
        scene = RayScene(vertices, mesh.faces)
        at = np.stack(
            [rows[-4, [0, -1], 0].mean() + np.array([-0.06, 0.06]), rows[-4, :2, 1], [2.0, 2.0]], axis=1
        )
        hits = scene.intersect(at, np.tile([0.0, 0.0, -1.0], (2, 1)))
        front = rows[-4, [0, -1], 2].min()
        assert (2.0 - hits.distance < front - 0.01).all()


def test_records_tell_of_open_fronts_only(tmp_path: Path) -> None:
    labels = load_anny_body().local_change_labels

    def drawn(index: int) -> PersonSpec:
        spec = sample_person(np.random.default_rng([11, index]), labels)
        return with_accessories(spec, np.random.default_rng([11, index, STREAM]))

    people = [drawn(index) for index in range(60)]
    opened = next(i for i, p in enumerate(people) if p.jacket is not None and p.jacket.front is not None)
    folder = tmp_path / "one"
    for poses in ("varied", "standing"):
        write_scan(ScanJob(folder, 11, opened, 40_000, 128, poses))
        record = read_json(folder / "one_truth.json")["person"]
        assert "front" not in record["top"] and "front" not in record["bottom"]
        assert ("front" in (record["jacket"] or {})) == (poses == "varied")
