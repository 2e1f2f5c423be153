"""Pictures of a run: what TensorBoard holds, and that tiles show what their captions say."""

from __future__ import annotations

import io
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_set import make_set

from jiff.base.progress import NullProgress
from jiff.data.mesh_cache import cached_mesh
from jiff.options.presets import preset_config
from jiff.photo.images import read_image
from jiff.pipelines.train import train_stage
from jiff.training.data import open_sets
from jiff.training.previews import draw_previews, preview_items
from jiff.training.stages import build_stage


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    return make_set(tmp_path_factory.mktemp("set"), subjects=4, yaws=(0, 30, 330), held_out=2)


def _config(dataset, folder: Path, stage: str = "shape", **changes):
    values = {
        "dataroot": dataset.root, "checkpoints_path": folder, "results_path": folder / "results", "name": "run",
        "device": "cpu", "precision": "32", "jobs": 1, "torch_threads": 1, "freq_save_ply": 2,
    }  # fmt: skip
    return preset_config("tiny", stage, **{**values, **changes})


def _events(folder: Path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        events = EventAccumulator(str(folder), size_guidance={"images": 0, "scalars": 0})
        events.Reload()
    return events


def test_the_event_file_holds_curves_and_pictures(dataset, tmp_path):
    for stage, columns in (("shape", 4), ("color_coarse", 2), ("color_fine", 2)):
        report = train_stage(_config(dataset, tmp_path, stage), NullProgress())
        events = _events(report.folder / "tb")
        tags = events.Tags()
        assert sorted(tags["images"]) == ["face", "mesh", "samples"]
        assert {"loss", "loss_body", "learning_rate", "data_share", "seconds_per_step"} <= set(
            tags["scalars"]
        )
        assert ("loss_face_joint" in tags["scalars"]) == (stage != "color_coarse")
        assert [event.step for event in events.Scalars("loss")] == [1, 2, 3, 4]
        assert events.Scalars("loss")[2].value == pytest.approx(report.history[2]["loss"])
        for tag, width in (("samples", 3), ("mesh", 4), ("face", columns)):
            drawn = events.Images(tag)
            assert [event.step for event in drawn] == [2, 4]
            picture = np.asarray(Image.open(io.BytesIO(drawn[-1].encoded_image_string)))
            assert picture.shape[1] == width * 262 + 6 and picture.shape[0] > 2 * 256
            file = tmp_path / "results" / "run" / f"preview_{stage}_{tag}.png"
            np.testing.assert_array_equal(read_image(file), picture)


def test_tiles_show_what_their_captions_say(dataset, tmp_path, monkeypatch):
    config = _config(dataset, tmp_path)
    module = build_stage(config)
    _, held_out, _ = open_sets(config, module.network.config, NullProgress())  # type: ignore[arg-type]
    assert held_out is not None
    meshes = {}

    def scan(network, batch, bounds, resolution, **options):
        meshes[batch.subjects[0]] = cached_mesh(dataset, batch.subjects[0])
        return meshes[batch.subjects[0]]

    monkeypatch.setattr("jiff.training.previews.predicted_mesh", scan)
    trained = module.network.train()
    sheets = draw_previews(module, held_out, 2, torch.device("cpu"))
    assert trained.training and sorted(meshes) == ["s2", "s3"]

    def tile(sheet: str, row: int, column: int) -> np.ndarray:
        cell = sheets[sheet].shape[0] // 2
        top = 6 + row * cell
        return sheets[sheet][top : top + 256, 6 + column * 262 : 6 + column * 262 + 256].astype(int)

    for row in range(2):
        # A perfect prediction looks like the scan, in the whole and in the close-up.
        np.testing.assert_array_equal(tile("mesh", row, 1), tile("mesh", row, 3))
        np.testing.assert_array_equal(tile("face", row, 1), tile("face", row, 3))
        assert np.abs(tile("mesh", row, 2) - tile("mesh", row, 1)).max() > 50
        # Photo and mesh cover the same pixels: the cameras agree, also that of the close-up.
        # One pixel of the small image is 4 of the whole tile and about 25 of the close-up.
        for sheet, overlap, offset in (("mesh", 0.9, 1.5), ("face", 0.8, 8.0)):
            photo, mesh = (tile(sheet, row, column).min(axis=2) < 235 for column in (0, 3))
            assert mesh.mean() > 0.05 and (photo & mesh).sum() / (photo | mesh).sum() > overlap
            middles = [np.argwhere(covered).mean(axis=0) for covered in (photo, mesh)]
            np.testing.assert_allclose(*middles, atol=offset)
        true = tile("samples", row, 1)
        red = (true[..., 0] > 200) & (true[..., 2] < 90)
        blue = (true[..., 2] > 200) & (true[..., 0] < 90)
        body = tile("mesh", row, 3).min(axis=2) < 235
        assert red.sum() > 100 and body[red].mean() > 0.97
        assert blue.sum() > 100 and body[blue].mean() < 0.8


def test_items_of_different_subjects_near_the_front(dataset, tmp_path):
    config = _config(dataset, tmp_path)
    items, _, _ = open_sets(config, build_stage(config).network.config, NullProgress())  # type: ignore[arg-type]
    assert [items.name_of(i) for i in preview_items(items, 2)] == [("s0", "0_0_00"), ("s1", "30_0_00")]
    assert [items.name_of(i) for i in preview_items(items, 1)] == [("s0", "0_0_00")]
    assert len(preview_items(items, 9)) == 2


def test_no_previews_when_switched_off(dataset, tmp_path):
    report = train_stage(_config(dataset, tmp_path, freq_save_ply=0, max_steps=1), NullProgress())
    assert _events(report.folder / "tb").Tags()["images"] == []
    assert not (tmp_path / "results").exists()


def test_looking_at_a_run_does_not_change_it(dataset, tmp_path):
    saved = []
    for every in (0, 1):
        config = _config(
            dataset, tmp_path / str(every), freq_save_ply=every, max_steps=2, norm="batch", ema=0.0
        )
        saved.append(train_stage(config, NullProgress()).latest.read_bytes())
    assert saved[0] == saved[1]
