"""The picture to look at before a long run, and its refusal of images that do not fit their scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_set import damage, make_set

from jiff.base.errors import DatasetError
from jiff.base.progress import NullProgress
from jiff.geometry.io.mesh_io import save_image
from jiff.options.train_check import TrainCheckConfig
from jiff.photo.images import read_image
from jiff.pipelines.train_check import run_train_check, silhouette_overlap


def _config(root: Path, out: Path) -> TrainCheckConfig:
    return TrainCheckConfig(dataroot=root, out=out, items=6, size=128)


def test_a_good_set_passes_and_is_drawn(tmp_path: Path):
    dataset = make_set(tmp_path / "set", subjects=3)
    report = run_train_check(_config(dataset.root, tmp_path / "check.png"), NullProgress())
    # Two subjects of three yaws each: every item is another one.
    assert report.ok and len(report.results) == 6
    assert min(report.results.values()) > 0.97
    picture = read_image(tmp_path / "check.png")
    assert picture.shape[1] >= 4 * 128
    for color in ((255, 0, 255), (240, 60, 60), (60, 140, 255), (60, 220, 90)):
        assert (picture[..., :3] == color).all(axis=-1).sum() > 20


def test_masks_of_another_scan_fail(tmp_path: Path):
    dataset = make_set(tmp_path / "set", subjects=2)
    for view in dataset.views("s0"):
        mask = read_image(dataset.mask("s0", view))[..., 0]
        save_image(dataset.mask("s0", view), np.roll(mask, 12, axis=1))
    progress = NullProgress()
    report = run_train_check(_config(dataset.root, tmp_path / "check.png"), progress)
    assert not report.ok
    assert all("do not belong together" in text for text in report.failures.values())
    assert (tmp_path / "check.png").is_file()


def test_missing_faces_and_nobody_held_out_are_told(tmp_path: Path):
    dataset = make_set(tmp_path / "set", subjects=2, held_out=0)
    dataset.face_mesh("s1").unlink()
    dataset.face_region("s1").unlink()
    progress = NullProgress()
    run_train_check(_config(dataset.root, tmp_path / "check.png"), progress)
    assert any("1 of 2 training subjects have no face mesh (s1" in text for text in progress.warnings)
    assert any("holds nobody out" in text for text in progress.warnings)


def test_damaged_subjects_and_images_fail_alone(tmp_path: Path):
    dataset = make_set(tmp_path / "set", subjects=4)
    dataset.geometry("s0").write_text("f 9 9 9\n")
    for view in dataset.views("s1"):
        damage(dataset.render("s1", view))
    report = run_train_check(_config(dataset.root, tmp_path / "check.png"), NullProgress())
    assert {name.split()[0] for name in report.failures} == {"s0", "s1"}
    assert {name.split()[0] for name in report.results} == {"s2"}
    assert (tmp_path / "check.png").is_file()
    dataset.geometry("s2").unlink()
    with pytest.raises(DatasetError, match=r"s\d"):
        run_train_check(_config(dataset.root, tmp_path / "check.png"), NullProgress())


def test_a_missing_set_is_one_sentence(tmp_path: Path):
    with pytest.raises(DatasetError, match="holds no RENDER folder"):
        run_train_check(_config(tmp_path, tmp_path / "check.png"), NullProgress())


def test_overlap_of_masks():
    a, b = np.zeros((4, 4), np.uint8), np.zeros((4, 4), np.uint8)
    assert silhouette_overlap(a, b) == 0.0
    a[:2], b[1:3] = 255, 255
    assert silhouette_overlap(a, b) == pytest.approx(1 / 3)
