"""Training items: aligned, seeded per item, the right light, robust against damaged files."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_set import damage, make_set
from torch.utils.data import DataLoader
from training_items import CONFIG, POOL, dataset_fixture, same, stage_config  # noqa: F401

from jiff.base.errors import DatasetError, ImageError, TrainingError
from jiff.data.augment import AugmentConfig
from jiff.data.data_config import usable_views
from jiff.data.dataset import TrainingSet
from jiff.data.image_store import ImageStore, decode_view
from jiff.data.sample import collate
from jiff.data.samplers import BatchOrder


@pytest.mark.parametrize("stage", ["shape", "color_coarse", "color_fine"])
def test_item_shapes(dataset, stage):
    items = TrainingSet(dataset, ["s0", "s1"], stage_config(stage))
    assert len(items) == 6
    batch = collate([items[(0, 0)], items[(0, 4)]])
    points = 240 if stage == "shape" else 190
    assert batch.images.shape == (2, 1, 3, 64, 64)
    assert batch.calibs.shape == (2, 1, 4, 4)
    assert batch.points_world.shape == (2, points, 3)
    assert batch.targets.shape == ((2, points) if stage == "shape" else (2, points, 3))
    assert (batch.images_hi is not None) == (stage == "color_fine")
    assert len(batch.face) == 2 and batch.face.colors is not None
    assert batch.face.view_degrees.tolist() == [0.0, 20.0]


def test_image_calib_points_and_face_stay_aligned(dataset):
    items = TrainingSet(dataset, ["s0", "s1", "s2"], stage_config("shape", num_sample_inout=2000))
    checked = 0
    for epoch in range(4):
        for index in range(len(items)):
            sample = items[(epoch, index)]
            calib = sample.calibs[0].numpy()
            # The background is exactly 0, the subject is not.
            seen = (sample.images[0].abs().sum(0) > 0.02).numpy()

            def pixels(points, calib=calib):
                ndc = points @ calib[:3, :3].T + calib[:3, 3]
                return np.floor((ndc[:, :2] + 1) * 32).astype(int)

            inside = pixels(sample.points_world.numpy()[sample.targets.numpy() > 0.5])
            inside = inside[((inside >= 0) & (inside < 64)).all(axis=1)]
            assert seen[inside[:, 1], inside[:, 0]].mean() > 0.97
            face = pixels(sample.face.vertices_world)
            assert seen[face[:, 1].clip(0, 63), face[:, 0].clip(0, 63)].mean() > 0.85
            box = sample.face.box_world
            points = sample.points_world.numpy()[-40:]
            assert (points[:, 0] >= box[0]).all() and (points[:, 0] <= box[1]).all()
            assert (points[:, 1] >= box[2]).all() and (points[:, 1] <= box[3]).all()
            checked += 1
    assert checked == 36


def test_high_resolution_image_shows_the_same_view(dataset):
    items = TrainingSet(dataset, ["s0"], stage_config("color_fine"))
    sample = items[(3, 1)]
    assert sample.images_hi is not None
    small = torch.nn.functional.interpolate(sample.images_hi, size=(64, 64), mode="area")
    assert (small - sample.images).abs().mean() < 0.02


def test_colors_take_the_light_of_their_own_view(dataset):
    items = TrainingSet(dataset, ["s1"], stage_config("color_coarse", augment=AugmentConfig(), sigma=0.0))
    means = {}
    for index in range(3):
        sample = items[(0, index)]
        shown = sample.images[0][:, 30:34, 30:34].mean(dim=(1, 2))
        assert torch.allclose(sample.targets.mean(dim=0), shown, atol=0.03)
        means[sample.view] = float(shown[0])
    # The fixture lights every view by its own yaw; 20 and 340 share one light.
    assert means["0_0_00"] > means["20_0_00"] + 0.05


def test_color_points_leave_the_surface_along_the_normal(dataset):
    flat = TrainingSet(dataset, ["s0"], stage_config("color_coarse", sigma=0.0)).colors["s0"]
    on, _ = flat.sample(np.random.default_rng(0), "0_0_00", 300, 50, 0.0)
    off, _ = flat.sample(np.random.default_rng(0), "0_0_00", 300, 50, 2.0)
    radii = np.array([22.0, 85.0, 14.0])
    np.testing.assert_allclose(np.linalg.norm((on - [0, 90, 0]) / radii, axis=1), 1, atol=2e-3)
    moved = np.linalg.norm(off - on, axis=1)
    assert moved.std() == pytest.approx(2.0 * np.sqrt(1 - 2 / np.pi), rel=0.2)
    direction = (off - on) / np.maximum(moved[:, None], 1e-9)
    normal = (on - [0, 90, 0]) / radii**2
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    assert np.abs(np.einsum("ij,ij->i", direction, normal)).min() > 0.99
    box = flat.texels.face
    assert box > 10


def test_same_pair_same_item_other_epoch_another(dataset):
    items = TrainingSet(dataset, ["s0", "s1"], CONFIG)
    again = TrainingSet(dataset, ["s0", "s1"], CONFIG)
    assert same(collate([items[(2, 3)]]), collate([again[(2, 3)]]))
    assert not same(collate([items[(2, 3)]]), collate([items[(3, 3)]]))
    other = TrainingSet(dataset, ["s0", "s1"], dataclasses.replace(CONFIG, seed=1))
    assert not same(collate([items[(2, 3)]]), collate([other[(2, 3)]]))


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine with one core
def test_batches_do_not_depend_on_workers(dataset):
    items = TrainingSet(dataset, ["s0", "s1"], CONFIG)
    order = BatchOrder(length=len(items), batch_size=2, seed=0, first_step=1, last_step=6)
    direct = [collate([items[pair] for pair in pairs]) for pairs in order]
    loader = DataLoader(
        items, batch_sampler=order, num_workers=2, collate_fn=collate, multiprocessing_context="fork"
    )
    loaded = list(loader)
    assert len(loaded) == len(direct) == 5
    assert all(same(a, b) for a, b in zip(direct, loaded))


def test_cached_and_decoded_images_are_equal(dataset):
    views = dataset.views("s0")
    cached, direct = (ImageStore(dataset, "s0", views, 64, cache) for cache in (True, False))
    for view in views:
        np.testing.assert_array_equal(cached.get(view), direct.get(view))


def test_order_visits_every_item_once_per_epoch_and_resumes():
    order = BatchOrder(length=7, batch_size=3, seed=4, first_step=0, last_step=7)
    pairs = [pair for batch in order for pair in batch]
    assert len(pairs) == 21
    for epoch in range(3):
        assert sorted(index for e, index in pairs if e == epoch) == list(range(7))
    assert [i for e, i in pairs if e == 0] != [i for e, i in pairs if e == 1]
    rest = dataclasses.replace(order, first_step=4)
    assert [pair for batch in rest for pair in batch] == pairs[12:]
    serial = dataclasses.replace(order, serial=True)
    assert [index for batch in serial for _, index in batch] == [i % 7 for i in range(21)]


def test_processes_share_a_batch():
    whole = BatchOrder(length=10, batch_size=4, seed=0, first_step=0, last_step=5)
    parts = [dataclasses.replace(whole, rank=rank, world=2) for rank in range(2)]
    for step in range(5):
        merged = sorted(parts[0].pairs(step) + parts[1].pairs(step))
        assert merged == sorted(whole.pairs(step))


def test_damaged_image_is_passed_over_and_told(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=2, held_out=0)
    items = TrainingSet(dataset, ["s0", "s1"], dataclasses.replace(CONFIG, cache=False))
    broken = dataset.render("s0", items.name_of(1)[1])
    damage(broken)
    sample = items[(0, 1)]
    assert (sample.subject, sample.view) != ("s0", items.name_of(1)[1])
    assert len(sample.failures) == 1 and str(broken) in sample.failures[0]
    assert same(collate([sample]), collate([items[(0, 1)]]))
    assert collate([items[(0, 0)], sample]).failures == sample.failures


def test_damaged_image_is_found_behind_the_cache_too(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=1, held_out=0)
    damage(dataset.render("s0", "20_0_00"))
    items = TrainingSet(dataset, ["s0"], CONFIG)
    index = [items.name_of(i) for i in range(len(items))].index(("s0", "20_0_00"))
    assert "20_0_00.jpg" in items[(0, index)].failures[0]


def test_all_images_damaged_ends_training(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=1, held_out=0)
    for view in dataset.views("s0"):
        damage(dataset.render("s0", view))
    items = TrainingSet(dataset, ["s0"], CONFIG)
    with pytest.raises(TrainingError, match="items in a row cannot be read"):
        items[(0, 0)]


def test_bad_masks_are_named(tmp_path: Path):
    import cv2

    dataset = make_set(tmp_path, subjects=1, held_out=0)
    path = dataset.mask("s0", "0_0_00")
    cv2.imwrite(str(path), np.zeros((128, 128), np.uint8))
    with pytest.raises(ImageError, match="mask is empty"):
        decode_view(dataset, "s0", "0_0_00", 64)
    cv2.imwrite(str(path), np.full((64, 64), 255, np.uint8))
    with pytest.raises(ImageError, match="64 x 64 pixels where its image is 128 x 128"):
        decode_view(dataset, "s0", "0_0_00", 64)


def test_only_listed_yaws_are_used(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=2, held_out=0)
    dataset.file_number("s0").write_text("340\n0\n")
    assert usable_views(dataset, "s0") == ["0_0_00", "340_0_00"]
    dataset.file_number("s0").write_text("")
    with pytest.raises(DatasetError, match="lists no yaw"):
        usable_views(dataset, "s0")
    dataset.file_number("s0").unlink()
    with pytest.raises(DatasetError, match="is missing or damaged"):
        usable_views(dataset, "s0")


def test_subjects_without_a_face_join_a_batch(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=2, held_out=0)
    dataset.face_region("s1").unlink()
    with pytest.raises(DatasetError, match="though its partner is there"):
        TrainingSet(dataset, ["s1"], CONFIG)
    dataset.face_mesh("s1").unlink()
    items = TrainingSet(dataset, ["s0", "s1"], CONFIG)
    batch = collate([items[(0, 0)], items[(0, 3)]])
    assert batch.points_world.shape == (2, 240, 3)
    assert batch.face.vertices_world[1].shape == (0, 3)
    assert not batch.face.mask(batch.points_world)[1].any()
    # The filled-up points repeat the item's own.
    assert torch.equal(batch.points_world[1, 200:], batch.points_world[1, :40])


def test_training_keeps_some_face_vertices_and_evaluation_all(dataset):
    items = TrainingSet(dataset, ["s0"], stage_config("shape", num_face_vertices=50))
    whole = items.faces["s0"].read()
    kept = items[(0, 0)].face
    assert kept.vertices_world.shape == kept.colors.shape == (50, 3)
    known = {tuple(vertex) for vertex in whole.vertices_world.tolist()}
    assert {tuple(vertex) for vertex in kept.vertices_world.tolist()} <= known
    assert len(items.without_augmentation()[(0, 0)].face.vertices_world) == len(whole.vertices_world) > 50


@pytest.mark.parametrize("random_views", [False, True])
def test_several_views_of_one_subject(dataset, random_views):
    items = TrainingSet(dataset, ["s0"], stage_config("shape", num_views=3, random_multiview=random_views))
    sample = items[(0, 1)]
    assert sample.images.shape == (3, 3, 64, 64) and sample.calibs.shape == (3, 4, 4)
    assert len({tuple(calib.flatten().tolist()) for calib in sample.calibs}) == 3


@pytest.mark.parametrize("random_views", [False, True])
def test_several_views_where_only_one_is_usable(tmp_path: Path, random_views: bool) -> None:
    dataset = make_set(tmp_path, subjects=1, yaws=(0,), held_out=0)
    items = TrainingSet(dataset, ["s0"], stage_config("shape", num_views=3, random_multiview=random_views))
    assert items[(0, 0)].images.shape == (3, 3, 64, 64)


def test_an_item_costs_little(tmp_path: Path):
    dataset = make_set(tmp_path, subjects=1, held_out=0)
    items = TrainingSet(dataset, ["s0"], dataclasses.replace(CONFIG, load_size=512, num_sample_inout=5000))
    items[(0, 0)]
    started = time.process_time()
    for epoch in range(10):
        items[(epoch, epoch % 3)]
    # The target is 15 ms on a quiet core; the bound leaves room for slow machines.
    assert (time.process_time() - started) / 10 < 0.08
