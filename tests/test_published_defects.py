"""Defects of the published code that must not come back, where no other test guards them (docs/published-differences.md)."""

from __future__ import annotations

import math
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from networks import random_subjects
from render_scans import egg

from jiff.base.errors import CheckpointError, FitError
from jiff.base.progress import NullProgress
from jiff.data.data_config import DataConfig
from jiff.data.dataset import TrainingSet
from jiff.data.face_data import face_data
from jiff.data.image_store import decode_view
from jiff.data.labels import LabelPoolConfig
from jiff.data.layout import ProcessedSet
from jiff.face.box import FaceBox
from jiff.face.detect.detector import HaarDetector
from jiff.face.detect.locate import locate_face
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh, save_image, save_mesh
from jiff.inference.fields import ColorField
from jiff.inference.networks import Networks
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.presets import color_preset, shape_preset
from jiff.models.shape import ShapeNetwork
from jiff.options.rescale import RescaleConfig
from jiff.photo.test_folder import list_people
from jiff.pipelines.evaluate import read_prior
from jiff.pipelines.rescale import run_rescale
from jiff.training.run_state import load_state


def test_rescale_writes_to_its_output_and_moves_the_scan(tmp_path: Path) -> None:
    """Published: ``-o`` is ignored and the translation is lost in a product of the wrong order."""
    mesh = egg().transformed(0.01 * np.eye(3), np.array([3.0, -2.0, 5.0]))
    save_mesh(mesh, tmp_path / "in/a/a.obj")
    before = {path.name: path.read_bytes() for path in (tmp_path / "in/a").iterdir()}
    report = run_rescale(RescaleConfig(tmp_path / "in", tmp_path / "out", jobs=1), NullProgress())
    assert report.ok
    assert {path.name: path.read_bytes() for path in (tmp_path / "in/a").iterdir()} == before
    low, high = load_mesh(tmp_path / "out/a/a.obj").bounds
    assert (low[1], high[1]) == (pytest.approx(0, abs=1e-3), pytest.approx(180, abs=1e-3))
    assert np.abs((low + high)[[0, 2]]).max() < 5.0


@pytest.mark.parametrize("fine", [False, True])
@pytest.mark.parametrize("count", [1, 99, 100, 101])
def test_every_vertex_gets_its_colour(count: int, fine: bool) -> None:
    """Published: the last vertex of the last chunk stays black, and all of them where there is no whole chunk."""
    subject = random_subjects(count=count).item(0)
    networks = Networks(
        ShapeNetwork(shape_preset("tiny")).eval(),
        ColorCoarseNetwork(color_preset("tiny")).eval(),
        ColorFineNetwork(color_preset("tiny")).eval() if fine else None,
        torch.device("cpu"),
    )
    assert networks.color_coarse is not None
    with torch.inference_mode():
        coarse = networks.color_coarse.encode(subject.images, networks.shape.encode(subject.images, None))
        features = None
        if networks.color_fine is not None:
            features = networks.color_fine.encode(subject.images_hi, subject.face)
    points = subject.points[0].numpy()
    whole = ColorField(networks, coarse, features, subject.calibs, max_chunk=1000)(points)
    parts = ColorField(networks, coarse, features, subject.calibs, max_chunk=50)(points)
    assert whole.shape == (count, 3) and (whole > 0).all()
    np.testing.assert_allclose(parts, whole, atol=1e-5)


def _write_face(mesh_path: Path, region_path: Path, factor: float) -> np.ndarray:
    """Write a face with a ramp of colours times ``factor``; returns the colours in [0, 1]."""
    mesh_path.parent.mkdir(parents=True, exist_ok=True)
    region_path.parent.mkdir(parents=True, exist_ok=True)
    ramp = np.linspace(0.2, 0.9, 30)
    angle = np.arange(30) * 0.7
    lines = [
        f"v {9 * math.sin(a):.4f} {150 + k:.4f} {9 * math.cos(a):.4f} {c * factor:.6f} {c * factor / 2:.6f} 0"
        for k, (a, c) in enumerate(zip(angle, ramp))
    ]
    lines += [f"f {k} {k + 1} {k + 2}" for k in range(1, 29)]
    mesh_path.write_text("\n".join(lines) + "\n")
    FaceBox(-10, 10, 149, 181, -12, 12).to_region_file(region_path, Camera())
    return np.stack([ramp, ramp / 2, np.zeros(30)], axis=1)


@pytest.mark.parametrize("brightest", [1.0, 255.0])
def test_face_colours_are_the_same_in_training_and_evaluation(tmp_path: Path, brightest: float) -> None:
    """Published: 0-1 in training, 0-255 in evaluation."""
    dataset = ProcessedSet(tmp_path / "set")
    expected = _write_face(dataset.face_mesh("a"), dataset.face_region("a"), brightest)
    folder = tmp_path / "test"
    _write_face(folder / "a_mesh.obj", folder / "a_region.txt", brightest)
    save_image(folder / "a.png", np.full((64, 64, 3), 90, np.uint8))
    save_image(folder / "a_mask.png", np.full((64, 64), 255, np.uint8))
    training = face_data(dataset, "a")
    evaluation = read_prior(list_people(folder)[0]).network_input(torch.device("cpu"))
    assert evaluation.colors is not None
    np.testing.assert_allclose(training.colors, expected, atol=1e-3)
    np.testing.assert_array_equal(training.colors, evaluation.colors[0].numpy())
    np.testing.assert_array_equal(training.vertices_world, evaluation.vertices_world[0].numpy())
    np.testing.assert_allclose(training.box_world, evaluation.box_world[0].numpy(), atol=1e-4)


def test_region_file_is_replaced_not_appended_to(tmp_path: Path) -> None:
    path = tmp_path / "a_region.txt"
    for width in (10.0, 7.0):
        FaceBox(-width, width, 150, 175, -5, 12).to_region_file(path, Camera())
    assert len(path.read_text().splitlines()) == 1
    assert FaceBox.from_region_file(path, Camera()).xmax == pytest.approx(7.0, abs=1e-3)


def test_face_box_is_as_wide_as_the_camera_sees_it(tmp_path: Path) -> None:
    """Published: x = p / 2 - 128, 0.5 units per pixel where the camera has 0.4."""
    path = tmp_path / "region.txt"
    path.write_text("40, 100, 226, 286, -5, 12\n")
    box = FaceBox.from_region_file(path, Camera(size=1024))
    assert (box.xmin, box.xmax) == (pytest.approx(-12.0), pytest.approx(12.0))
    assert (box.ymin, box.ymax) == (pytest.approx(192.4 - 40.0), pytest.approx(192.4 - 16.0))
    published_width = (286 - 226) / 2
    assert published_width / (box.xmax - box.xmin) == pytest.approx(1.25)


def test_a_face_that_is_not_found_is_an_error() -> None:
    """Published: printed and passed over, so that the missing files are noticed much later or never."""
    mask = np.zeros((256, 256), np.uint8)
    mask[20:240, 90:170] = 255
    with pytest.raises(FitError, match="no face was found"):
        locate_face(np.full((256, 256, 3), 128, np.uint8), mask, HaarDetector())


def test_the_state_of_a_run_is_read_without_executing_it(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return Path.touch, (tmp_path / "executed",)

    path = tmp_path / "state.ckpt"
    path.write_bytes(pickle.dumps({"version": 1, "step": Trap()}, protocol=2))
    with pytest.raises(CheckpointError, match=r"state\.ckpt"):
        load_state(path)
    torch.save({"version": 1, "step": Trap()}, path)
    with pytest.raises(CheckpointError, match=r"state\.ckpt"):
        load_state(path)
    assert not (tmp_path / "executed").exists()


def test_the_high_resolution_image_is_rendered_not_enlarged(tmp_path: Path) -> None:
    """Published: the fine network's 1024-px image is the 512-px one, enlarged."""
    dataset, view = ProcessedSet(tmp_path), "0_0_00"
    for size, level, image, mask in (
        (512, 60, dataset.render("a", view), dataset.mask("a", view)),
        (1024, 200, dataset.render_hi("a", view), dataset.mask_hi("a", view)),
    ):
        save_image(image, np.full((size, size, 3), level, np.uint8))
        save_image(mask, np.full((size, size), 255, np.uint8))
    assert decode_view(dataset, "a", view, 1024)[..., :3].mean() == pytest.approx(200, abs=2)
    assert decode_view(dataset, "a", view, 512)[..., :3].mean() == pytest.approx(60, abs=2)


def test_further_views_are_usable_ones_too(tmp_path: Path) -> None:
    """Published: random further views come from all 360 yaws, those without a visible face included."""
    from tiny_set import make_set

    dataset = make_set(tmp_path, subjects=1, held_out=0)
    dataset.file_number("s0").write_text("0\n20\n")
    pool = LabelPoolConfig(near=400, fine=100, uniform=100, volume=100, face=100)
    config = DataConfig("shape", load_size=64, num_sample_inout=64, num_sample_face=8, num_views=2)
    config = DataConfig(**{**vars(config), "random_multiview": True, "labels": pool, "cache": False})
    items = TrainingSet(dataset, ["s0"], config)
    rotation = torch.stack([items[(epoch, 0)].calibs[1, :3, :3] for epoch in range(8)]).double()
    yaws = torch.rad2deg(torch.atan2(rotation[:, 0, 2], rotation[:, 2, 2])) % 360
    assert len(items) == 2
    assert torch.allclose(yaws, torch.full((8,), 20.0, dtype=torch.float64), atol=1e-3)
