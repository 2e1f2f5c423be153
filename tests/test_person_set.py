"""Training items of photographed people: draws, mirrors, changes, batches, damage."""

from __future__ import annotations

import pickle
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from jiff.base.errors import DatasetError, TrainingError
from jiff.base.progress import NullProgress
from jiff.body.prior import BodyPrior
from jiff.data.people_set import PersonBatch, collate_people, held_out_people, list_views
from jiff.data.person_augment import Print, Tones, coarser
from jiff.data.person_set import PersonSet, PersonSetConfig, cut_off, mirrored
from jiff.data.samplers import BatchOrder
from jiff.geometry.camera import Camera
from jiff.training import loading
from jiff.training.loading import PipedBatch, batch_bytes, open_batches
from tests.held_people import inputs, people_fixture, person, view, write_people  # noqa: F401 - a fixture
from tests.test_body_prior import mirrored_body

NAMES = ["person_00000", "person_00001", "person_00002"]
SMALL = PersonSetConfig(num_points=60, num_head_points=40, num_colors=30, num_head_colors=20)
PLAIN = replace(SMALL, random_flip=False, tones=0.0, prints=0.0, cuts=0.0)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return set(first) == set(second) and all(torch.equal(first[name], second[name]) for name in first)


def test_an_item_depends_on_epoch_and_number_alone(people: Path) -> None:
    items = PersonSet(people, NAMES, SMALL)
    first = items[(3, 1)].tensors
    torch.manual_seed(9)
    items[(0, 0)]
    assert same(first, PersonSet(people, NAMES, SMALL)[(3, 1)].tensors)
    assert not same(first, items[(4, 1)].tensors) and not same(first, items[(3, 2)].tensors)
    assert not same(first, PersonSet(people, NAMES, replace(SMALL, seed=1))[(3, 1)].tensors)
    plain = items.without_augmentation()
    assert same(plain[(0, 1)].tensors, plain[(5, 1)].tensors) and items.train and not plain.train
    assert same(plain[(0, 1)].tensors, PersonSet(people, NAMES, SMALL, train=False)[(0, 1)].tensors)


def test_shapes_and_what_the_tensors_hold(people: Path) -> None:
    items = PersonSet(people, NAMES, PLAIN)
    assert len(items) == 6 and items.subjects == NAMES and items.cache_entries() == []
    item = items[(0, 2)]
    assert (item.subject, item.view, item.failures) == ("person_00001", "view_0", ())
    shapes = {name: tuple(tensor.shape) for name, tensor in item.tensors.items()}
    assert shapes == {
        "images": (11, 256, 256), "head_images": (11, 256, 256), "head_window": (4,), "points_world": (100, 3),
        "prior": (100, 8), "targets": (100,), "of_head": (100,), "surface_world": (50, 3), "surface_prior": (50, 8),
        "colors": (50, 3),
    }  # fmt: skip
    assert all(tensor.dtype == torch.float32 for tensor in item.tensors.values())
    assert item.tensors["of_head"].tolist() == [0.0] * 60 + [1.0] * 40
    picture, seen = item.tensors["images"], inputs(1)
    on = torch.from_numpy(seen.mask == 255)
    np.testing.assert_allclose(picture[:3, on].numpy(), seen.rgb[seen.mask == 255].T / 127.5 - 1, atol=0.03)
    assert not picture[:3, torch.from_numpy(seen.mask == 0)].any()
    assert (picture[10].numpy() == (seen.maps[..., 5] > 0)).all()
    # Every labelled point is one of the file's, with its own label and prior.
    stored = view(1)
    for row in range(0, 100, 7):
        at = np.flatnonzero((stored.points == item.tensors["points_world"][row].numpy()).all(axis=1))[0]
        assert stored.distance[at] == item.tensors["targets"][row]
        np.testing.assert_array_equal(stored.prior[at], item.tensors["prior"][row].numpy())
    for row in range(0, 50, 7):
        at = np.flatnonzero((stored.surface == item.tensors["surface_world"][row].numpy()).all(axis=1))[0]
        np.testing.assert_allclose(stored.color[at] / 255, item.tensors["colors"][row], atol=1e-4)


def test_mirrored_twice_is_the_same(people: Path) -> None:
    parts = PersonSet(people, NAMES, SMALL)[(0, 0)].tensors
    before = {name: tensor.clone() for name, tensor in parts.items()}
    once = mirrored(parts)
    assert same(parts, before) and not same(once, parts)
    assert same(mirrored(once), parts)


def test_a_mirrored_item_is_that_of_the_mirrored_body(people: Path) -> None:
    parts = PersonSet(people, NAMES, PLAIN)[(0, 0)].tensors
    turned = mirrored(parts)
    says = BodyPrior(mirrored_body(person())).at(turned["points_world"].numpy()).stacked()
    gap = np.abs(says - turned["prior"].numpy())
    assert (np.quantile(gap, 0.9, axis=0) < [0.05, 0.1, 0.1, 0.1, 0.01, 0.01, 0.01, 0.5]).all()
    maps = BodyPrior(mirrored_body(person())).maps(Camera(size=256))
    there = (maps[..., 5] > 0) & (turned["images"][10].numpy() > 0)
    assert there.sum() > 0.97 * (maps[..., 5] > 0).sum()
    drawn = (maps[..., :3].astype(float) - 128) / 127
    off = np.abs(drawn - turned["images"][5:8].permute(1, 2, 0).numpy())[there]
    assert np.quantile(off, 0.9) < 0.1
    np.testing.assert_allclose(turned["head_window"][0], -parts["head_window"][0])


def test_half_of_the_items_are_mirrored(people: Path) -> None:
    items = PersonSet(people, NAMES, replace(PLAIN, random_flip=True))
    plain = items.without_augmentation()[(0, 2)].tensors["images"]
    gaps = [float((items[(epoch, 2)].tensors["images"][0] - plain[0]).abs().max()) for epoch in range(24)]
    flips = [gap > 0.01 for gap in gaps]
    assert 6 <= sum(flips) <= 18
    once = items[(flips.index(True), 2)].tensors["images"][0]
    np.testing.assert_allclose(once, plain[0].flip(-1), atol=1e-3)


def test_without_a_head_in_the_window_others_take_its_place(tmp_path: Path) -> None:
    items = PersonSet(write_people(tmp_path, 1, 1, 0), NAMES[:1], PLAIN)
    bare = replace(view(), in_head=np.zeros_like(view().in_head))
    tensors = items._tensors(bare, np.random.default_rng(0))
    assert len(tensors["points_world"]) == 100 and not tensors["of_head"].any()
    full = replace(view(), in_head=np.ones_like(view().in_head))
    assert items._tensors(full, np.random.default_rng(0))["of_head"].all()


def test_damaged_files_are_passed_over_and_told(people: Path, tmp_path: Path) -> None:
    root = tmp_path / "set"
    shutil.copytree(people, root)
    hit = root / NAMES[0] / "view_0.npz"
    hit.write_bytes(hit.read_bytes()[:4000])
    items = PersonSet(root, NAMES, SMALL)
    found = items[(0, 0)]
    assert len(found.failures) == 1 and str(hit) in found.failures[0]
    assert f"{found.subject}/{found.view}" != f"{NAMES[0]}/view_0"
    assert same(found.tensors, PersonSet(root, NAMES, SMALL)[(0, 0)].tensors)
    batch = collate_people([found, items[(0, 1)]])
    assert batch.failures == found.failures
    for path in root.glob("*/view_*.npz"):
        path.write_bytes(b"")
    with pytest.raises(TrainingError, match=r"20 items in a row cannot be read.*view_"):
        items[(0, 0)]


def test_folders_without_photos_are_refused(people: Path, tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"holds no photos of people.*jiff data photos"):
        list_views(tmp_path / "none")
    # Half-written people have no record yet.
    shutil.copytree(people / NAMES[0], tmp_path / "half")
    (tmp_path / "half" / "person.json").unlink()
    with pytest.raises(DatasetError):
        list_views(tmp_path)
    with pytest.raises(DatasetError, match="holds no photos of x, y"):
        PersonSet(people, ["x", "y"], SMALL)
    assert PersonSet(people, ["x", NAMES[1]], SMALL).subjects == [NAMES[1]]
    assert held_out_people(people) == [NAMES[2]] and held_out_people(tmp_path) == []


def test_fingerprint_knows_photos(people: Path, tmp_path: Path) -> None:
    first = PersonSet(people, NAMES, SMALL).data_fingerprint()
    assert first == PersonSet(people, NAMES, PLAIN).data_fingerprint() and len(first) == 16
    assert first != PersonSet(people, NAMES[:2], SMALL).data_fingerprint()
    shutil.copytree(people, tmp_path / "moved")
    assert first == PersonSet(tmp_path / "moved", NAMES, SMALL).data_fingerprint()


def test_batches_stack_move_and_travel(people: Path) -> None:
    items = PersonSet(people, NAMES, SMALL)
    pair = [items[(0, 0)], items[(0, 3)]]
    batch = items.collate(pair)
    assert batch.subjects == [NAMES[0], NAMES[1]] and batch.views == ["view_0", "view_1"]
    assert torch.equal(batch.targets[1], pair[1].tensors["targets"])
    assert batch.pictures.view is batch.images and batch.pictures.head_window.shape == (2, 4)
    with pytest.raises(AttributeError, match="calibs"):
        batch.calibs  # noqa: B018 - what is not there
    assert not hasattr(batch, "face")
    size = sum(tensor.numel() * 4 for tensor in batch.tensors.values())
    assert batch_bytes(batch) == size
    for other in (
        batch.to(torch.device("cpu")),
        PipedBatch(batch).unpack(),
        pickle.loads(pickle.dumps(PipedBatch(batch))).unpack(),  # noqa: S301 - our own
        pickle.loads(pickle.dumps(batch)),  # noqa: S301 - our own
    ):
        assert isinstance(other, PersonBatch) and same(other.tensors, batch.tensors)
        assert (other.subjects, other.views, other.failures) == (batch.subjects, batch.views, batch.failures)
        assert same(other.to(torch.device("cpu")).tensors, batch.tensors)


@pytest.mark.parametrize("shared", [True, False], ids=["shared memory", "pipes"])
def test_loading_processes_give_the_same_batches(
    people: Path, monkeypatch: pytest.MonkeyPatch, shared: bool
) -> None:
    monkeypatch.setattr(loading, "_shared_memory_suffices", lambda *_: shared)
    items = PersonSet(people, NAMES, SMALL)

    def order() -> BatchOrder:
        return BatchOrder(length=len(items), batch_size=2, seed=0, first_step=0, last_step=4)

    def batches(workers: int) -> list[PersonBatch]:
        return list(open_batches(items, order(), workers, pin_memory=False, progress=NullProgress()))

    alone, helped = batches(0), batches(1)
    assert len(alone) == len(helped) == 4
    assert all(same(a.tensors, b.tensors) for a, b in zip(alone, helped))


def test_tones_of_no_strength_change_nothing_and_others_do(rng: np.random.Generator) -> None:
    colors = rng.uniform(0.01, 1, (50, 3))
    np.testing.assert_allclose(Tones.draw(rng, 0.0)(colors), colors, atol=1e-6)
    for _ in range(20):
        changed = Tones.draw(rng, 1.0)(colors)
        assert changed.dtype == np.float32 and (changed >= 0).all() and (changed <= 1).all()
        assert np.abs(changed - colors).max() > 0.01


def test_tones_change_pictures_and_colours_alike(people: Path) -> None:
    """A surface point's true colour is that of its pixel after the change, too."""
    items = PersonSet(people, NAMES, replace(PLAIN, tones=1.0, num_colors=400, num_head_colors=0))
    plain = items.without_augmentation()
    for index in (0, 2):
        draws = [items[(epoch, index)].tensors for epoch in range(4)]
        still = plain[(0, index)].tensors
        seen = still["surface_prior"][:, 7] > 0.5
        assert seen.sum() > 50
        for tensors in draws:
            at = tensors["surface_world"][:, :2].numpy()
            column, row = Camera(size=256).world_to_pixel(np.column_stack([at, 0 * at[:, :1]])).T.astype(int)
            pixel = (tensors["images"][:3, row, column].T.numpy() + 1) / 2
            shown = (tensors["surface_prior"][:, 7] > 0.5).numpy() & (
                tensors["images"][3, row, column] > 0.9
            ).numpy()
            assert np.median(np.abs(pixel - tensors["colors"].numpy())[shown]) < 0.06


def test_prints_lie_along_the_line_of_sight(rng: np.random.Generator) -> None:
    for _ in range(12):
        pattern = Print.draw(rng, 64)
        assert pattern.field.shape == (64, 64, 3) and 0 < np.abs(pattern.field).max() <= 0.6
        camera = Camera(size=64)
        grid = np.stack(np.meshgrid(np.arange(64) + 0.5, np.arange(64) + 0.5), axis=-1)
        world = camera.pixel_to_world(grid.reshape(-1, 2))
        np.testing.assert_array_equal(pattern.at(world[:, 0], world[:, 1]).reshape(64, 64, 3), pattern.field)


def test_coarser_of_no_strength_keeps_the_picture(rng: np.random.Generator) -> None:
    picture = rng.uniform(0, 1, (16, 16, 3)).astype(np.float32)
    np.testing.assert_array_equal(coarser(picture, rng, 0.0), picture)
    assert (coarser(picture, rng, 1.0) != picture).any()


def test_cut_photos_end_at_one_height_in_both_pictures(rng: np.random.Generator) -> None:
    mask = np.zeros((256, 256), np.uint8)
    mask[20:220, 100:150] = 255
    head = np.full((256, 256), 255, np.uint8)
    # A close-up that reaches from the top of the photo to below the cut.
    window = np.array([0.0, 90.0, 0.0, 102.4], np.float32)
    for _ in range(20):
        cut, close = cut_off(mask, head, window, rng)
        last = np.flatnonzero(cut.any(axis=1))[-1]
        assert 20 + 0.35 * 199 - 1 <= last <= 219 and (cut[: last + 1] == mask[: last + 1]).all()
        assert abs(int(np.flatnonzero(close.any(axis=1))[-1]) - int(last)) <= 1
    assert mask[219, 120] == 255 and head.all()
    above = np.array([0.0, 180.0, 0.0, 10.0], np.float32)
    assert cut_off(mask, head, above, rng)[1].all(), "the head is above every cut"
    nobody = np.zeros_like(mask)
    assert cut_off(nobody, head, window, rng)[0] is nobody
