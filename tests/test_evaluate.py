"""eval pifu and eval jiff on a figure that tiny networks have learned: geometry, colours, files, resume, bad input."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_person
import torch
import trimesh
from PIL import Image

from jiff.base.errors import CheckpointError, InputError, ReconstructionError, UsageError
from jiff.base.progress import NullProgress
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.raycast import RayScene
from jiff.inference.fields import FacePrior, choose_dtype, encode_person
from jiff.inference.networks import NetworkFiles, find_checkpoints, load_networks, pick_device
from jiff.inference.person import PersonOptions, canonical_bounds, reconstruct_person
from jiff.options.evaluate import EvalJiffConfig, EvalPifuConfig
from jiff.photo.images import read_image
from jiff.pipelines.evaluate import run_eval_jiff, run_eval_pifu


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_person.train_networks(tmp_path_factory.mktemp("run"))


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("people with space")
    tiny_person.write_photo(folder, "Zoë 1", face=True)
    return folder


def _prior() -> FacePrior:
    return FacePrior(tiny_person.face_mesh(), tiny_person.FACE_BOX)


def _silhouette(mesh_path: Path, size: int = 128) -> np.ndarray:
    mesh = load_mesh(mesh_path)
    pixels = np.stack(np.meshgrid(np.arange(size) + 0.5, np.arange(size) + 0.5), axis=-1)
    origins, direction = Camera(size=size).pixel_rays(pixels.reshape(-1, 2))
    return RayScene(mesh.vertices, mesh.faces).intersect(origins, direction).hit.reshape(size, size)


def test_pifu_gives_the_figure_in_every_format(run: Path, people: Path, tmp_path: Path) -> None:
    config = EvalPifuConfig(
        people,
        tmp_path,
        checkpoint=run,
        resolution=96,
        format=("obj", "glb,ply"),
        height_cm=200.0,
        device="cpu",
    )
    report = run_eval_pifu(config, NullProgress())
    assert report.ok and list(report.results) == ["Zoë 1"]
    mask = tiny_person.photo().mask > 0
    seen = _silhouette(tmp_path / "Zoë 1.obj")
    assert (seen & mask).sum() / (seen | mask).sum() > 0.85
    mesh = load_mesh(tmp_path / "Zoë 1.obj")
    assert mesh.volume == pytest.approx(tiny_person.figure().volume, rel=0.25)
    assert mesh.colors is not None
    error = np.abs(mesh.colors - tiny_person.figure_colors(mesh.vertices)).mean()
    assert error < 0.25
    glb = trimesh.load(tmp_path / "Zoë 1.glb", process=False).to_mesh()
    np.testing.assert_allclose(glb.vertices, mesh.vertices * 2.0 / 180.0, atol=1e-5)
    assert glb.is_watertight and glb.volume > 0
    # trimesh drops vertex colours beside a material; test_glb reads the stored ones.
    again = load_mesh(tmp_path / "Zoë 1.glb")
    assert again.colors is not None and np.abs(again.colors - mesh.colors).max() < 0.01
    ply = load_mesh(tmp_path / "Zoë 1.ply")
    np.testing.assert_allclose(ply.vertices, mesh.vertices, atol=1e-4)
    assert read_image(tmp_path / "Zoë 1.png").shape[1] > 1500
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["people"]["Zoë 1"]["status"] == "done"
    stored = json.loads((tmp_path / "Zoë 1.json").read_text(encoding="utf-8"))["numbers"]
    assert stored["silhouette_iou"] == pytest.approx((seen & mask).sum() / (seen | mask).sum(), abs=0.02)
    assert 0 < stored["color_difference"] < 64
    assert stored.items() <= summary["people"]["Zoë 1"].items()
    assert not list(tmp_path.glob(".*"))


def test_finished_people_are_skipped_until_something_changes(run: Path, people: Path, tmp_path: Path) -> None:
    config = EvalPifuConfig(people, tmp_path, checkpoint=run, resolution=48, format=("obj",), device="cpu")
    run_eval_pifu(config, NullProgress())
    first = (tmp_path / "Zoë 1.obj").stat().st_mtime_ns
    assert run_eval_pifu(config, NullProgress()).skipped == ["Zoë 1"]
    assert (tmp_path / "Zoë 1.obj").stat().st_mtime_ns == first
    summary = json.loads((tmp_path / "summary.json").read_text(encoding="utf-8"))
    assert summary["people"]["Zoë 1"]["status"] == "complete before"
    assert run_eval_pifu(replace(config, resolution=40), NullProgress()).skipped == []
    (tmp_path / "Zoë 1.png").unlink()
    assert run_eval_pifu(replace(config, resolution=40), NullProgress()).skipped == []
    assert run_eval_pifu(replace(config, resolution=40, overwrite=True), NullProgress()).skipped == []
    folder = tmp_path / "in"
    tiny_person.write_photo(folder, "b")
    config = replace(config, input=folder)
    assert list(run_eval_pifu(config, NullProgress()).results) == ["b"]
    Image.fromarray(np.roll(tiny_person.photo().mask, 1, axis=1)).save(folder / "b_mask.png")
    os.utime(folder / "b_mask.png", ns=(1, 1))
    assert list(run_eval_pifu(config, NullProgress()).results) == ["b"]


def test_bad_people_do_not_stop_the_rest(run: Path, people: Path, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    for name in ("a", "b", "c", "d", "summary"):
        tiny_person.write_photo(folder, name)
    Image.fromarray(np.zeros((128, 128), np.uint8)).save(folder / "a_mask.png")
    Image.fromarray(np.full((64, 64), 255, np.uint8)).save(folder / "b_mask.png")
    (folder / "c.png").write_bytes((folder / "c.png").read_bytes()[:300])
    progress = NullProgress()
    config = EvalPifuConfig(
        folder, tmp_path / "out", checkpoint=run, resolution=48, format=("obj",), device="cpu"
    )
    report = run_eval_pifu(config, progress)
    assert list(report.results) == ["d"]
    assert "a_mask.png: the mask is empty" in report.failures["a"]
    assert "b_mask.png: the mask is 64 x 64 pixels but its image is 128 x 128" in report.failures["b"]
    assert "c.png: is damaged" in report.failures["c"]
    assert "replaced by the run's summary.json; rename the image" in report.failures["summary"]
    assert not report.details
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == [
        "d.json",
        "d.obj",
        "d.png",
        "summary.json",
    ]
    summary = json.loads((tmp_path / "out" / "summary.json").read_text())
    assert summary["people"]["a"]["status"] == "failed"


def test_checkpoints_that_do_not_serve(run: Path, people: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="No checkpoint is given"):
        run_eval_pifu(EvalPifuConfig(people, tmp_path), NullProgress())
    with pytest.raises(CheckpointError, match="no such folder"):
        run_eval_pifu(EvalPifuConfig(people, tmp_path, checkpoint=tmp_path / "x"), NullProgress())
    with pytest.raises(CheckpointError, match=r"holds no shape/latest\.safetensors"):
        find_checkpoints(people)
    with pytest.raises(CheckpointError, match="holds a color_coarse network"):
        wrong = EvalPifuConfig(
            people,
            tmp_path,
            shape_checkpoint=run / "color_coarse" / "latest.safetensors",
            device="cpu",
        )
        run_eval_pifu(wrong, NullProgress())
    with pytest.raises(InputError, match="no such folder"):
        run_eval_pifu(EvalPifuConfig(people / "x", tmp_path, checkpoint=run), NullProgress())
    with pytest.raises(UsageError, match="choose among obj, glb, ply"):
        run_eval_pifu(EvalPifuConfig(people, tmp_path, checkpoint=run, format=("fbx",)), NullProgress())
    with pytest.raises(UsageError, match="must be auto, cpu"):
        pick_device("tpu")
    for name in ("cpu:x", "cuda:first", "cpu:"):
        with pytest.raises(UsageError, match="must be auto, cpu"):
            pick_device(name)
    with pytest.raises(UsageError, match="no such device"):
        pick_device("cuda:4095")


def test_best_checkpoint_is_preferred_and_single_files_win(run: Path, tmp_path: Path) -> None:
    for name in ("latest", "best"):
        (tmp_path / "shape").mkdir(exist_ok=True)
        (tmp_path / "shape" / f"{name}.safetensors").write_bytes(b"x")
    assert find_checkpoints(tmp_path) == NetworkFiles(tmp_path / "shape" / "best.safetensors")
    other = run / "shape" / "latest.safetensors"
    assert find_checkpoints(tmp_path, shape=other).shape == other


def test_networks_of_different_sizes_are_refused(run: Path, tmp_path: Path) -> None:
    from jiff.models.checkpoint import save_network
    from jiff.models.color_coarse import ColorCoarseNetwork
    from jiff.models.presets import color_preset

    save_network(tmp_path / "c.safetensors", ColorCoarseNetwork(color_preset("tiny", shape_feature_dim=24)))
    files = NetworkFiles(run / "shape" / "latest.safetensors", tmp_path / "c.safetensors")
    with pytest.raises(CheckpointError, match="expects 24 shape channels"):
        load_networks(files, torch.device("cpu"))


def test_jiff_uses_the_face_and_needs_it(run: Path, people: Path, tmp_path: Path) -> None:
    config = EvalJiffConfig(people, tmp_path, checkpoint=run, resolution=96, format=("obj",), device="cpu")
    assert run_eval_jiff(config, NullProgress()).ok
    mesh = load_mesh(tmp_path / "Zoë 1.obj")
    head = tiny_person.figure_distance(torch.from_numpy(mesh.vertices[mesh.vertices[:, 1] > 155]).float())
    assert float(head.abs().mean()) < 3.5
    folder = tmp_path / "in"
    tiny_person.write_photo(folder, "a")
    report = run_eval_jiff(replace(config, input=folder, out=tmp_path / "out"), NullProgress())
    assert "a_region.txt: no such file; run `jiff data face" in report.failures["a"]


def test_fields_equal_the_networks(run: Path) -> None:
    """Column-wise occupancy with prepared distances against the plain query, and fine colours in the face box."""
    from jiff.ops.mesh_distance import MeshDistanceQuery

    networks = load_networks(find_checkpoints(run), torch.device("cpu"))
    person, prior = tiny_person.photo(), _prior()
    fields = encode_person(networks, person, prior)
    assert fields.color is not None and networks.color_fine is not None
    low, high = torch.from_numpy(canonical_bounds().astype(np.float32))
    points = low + (high - low) * torch.rand(4000, 3)
    points[:1500] = torch.tensor([0.0, 165.0, 5.0]) + torch.randn(1500, 3) * 8
    calib = torch.from_numpy(Camera().calib.astype(np.float32))[None, None]
    image = torch.from_numpy(person.network_input(64))[None, None]
    face = prior.network_input(torch.device("cpu"))
    with torch.no_grad():
        features = networks.shape.encode(image, face)
        prediction = networks.shape.query(features, points[None], calib)
        vertices = torch.from_numpy(prior.mesh.vertices).float()
        distance = MeshDistanceQuery(vertices, torch.from_numpy(prior.mesh.faces))(points).distance
        expected = prediction.fused(distance[None])[0]
        plain = prediction.body[-1, 0]
    torch.testing.assert_close(fields.occupancy(points), expected, atol=2e-5, rtol=1e-4)
    assert float((expected - plain).abs().max()) > 0.05
    body_only = encode_person(networks, person)
    torch.testing.assert_close(body_only.occupancy(points), plain, atol=2e-5, rtol=1e-4)
    inside = face.mask(points[None])[0].numpy()
    assert body_only.color is not None
    difference = np.abs(fields.color(points.numpy()) - body_only.color(points.numpy())).max(axis=1)
    assert inside.sum() > 300 and (difference[inside] > 1e-4).mean() > 0.9
    assert fields.color(np.zeros((0, 3))).shape == (0, 3)


def test_half_precision_changes_no_mesh(run: Path) -> None:
    networks = load_networks(find_checkpoints(run), torch.device("cpu"))
    person = tiny_person.photo()
    meshes = [
        reconstruct_person(networks, person, _prior(), PersonOptions(resolution=64, precision=precision)).mesh
        for precision in ("float32", "bfloat16")
    ]
    np.testing.assert_array_equal(meshes[0].faces, meshes[1].faces)
    np.testing.assert_allclose(meshes[0].vertices, meshes[1].vertices, atol=1e-4)
    assert choose_dtype("auto", torch.device("cpu"), 64) == torch.float32
    assert choose_dtype("auto", torch.device("cuda"), 1024) == torch.float16
    with pytest.raises(UsageError, match="choose auto, float32"):
        choose_dtype("int8", torch.device("cpu"), 64)


def test_no_surface_names_the_photo(run: Path, people: Path, tmp_path: Path) -> None:
    from jiff.models.checkpoint import load_network, save_network

    network = load_network(run / "shape" / "latest.safetensors")
    last = max(i for i in range(9) if hasattr(network.surface_classifier, f"conv{i}"))
    with torch.no_grad():
        getattr(network.surface_classifier, f"conv{last}").bias.sub_(1000.0)
    save_network(tmp_path / "shape" / "latest.safetensors", network)
    config = EvalPifuConfig(people, tmp_path / "out", checkpoint=tmp_path, resolution=32, device="cpu")
    progress = NullProgress()
    report = run_eval_pifu(config, progress)
    assert "Zoë 1.png: the field never crosses 0.5 (values from 0 to 0" in report.failures["Zoë 1"]
    assert any("no colour" in text.lower() for text in progress.warnings)


def test_mask_elsewhere_is_refused(run: Path) -> None:
    networks = load_networks(find_checkpoints(run), torch.device("cpu"))
    person = tiny_person.photo()
    corner = np.zeros_like(person.mask)
    corner[:4, :4] = 255
    options = PersonOptions(resolution=48)
    with torch.no_grad():
        for parameter in networks.shape.image_filter.parameters():
            parameter.zero_()
    with pytest.raises(ReconstructionError, match=r"silhouette|never crosses"):
        reconstruct_person(networks, replace(person, mask=corner), None, options)
