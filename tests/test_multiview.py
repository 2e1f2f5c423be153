"""reconstruct with several views: equal to a direct query, whatever the order; refused where the network saw one view."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_person
import torch
from PIL import Image

from jiff.base.errors import InputError, UsageError
from jiff.base.progress import NullProgress
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh
from jiff.inference.fields import FacePrior, encode_person
from jiff.inference.networks import find_checkpoints, load_networks
from jiff.inference.person import canonical_bounds
from jiff.inference.views import View
from jiff.ops.mesh_distance import MeshDistanceQuery
from jiff.options.reconstruct import ReconstructConfig
from jiff.photo.test_folder import PersonImage
from jiff.pipelines.frame_photos import Photo
from jiff.pipelines.photo_views import parse_views
from jiff.pipelines.reconstruct import run_reconstruct

YAWS = (0.0, 90.0, 180.0)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_person.train_networks(tmp_path_factory.mktemp("views"), steps=40, yaws=YAWS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("photos with space")
    for yaw in YAWS:
        person = tiny_person.photo(512, yaw)
        rgba = np.concatenate([person.rgb, person.mask[..., None]], axis=2)
        Image.fromarray(rgba).save(folder / f"{yaw:g} ö.png")
    return folder


def _config(run: Path, folder: Path, out: Path, *yaws: int) -> ReconstructConfig:
    views = tuple(f"{yaw}:{folder}/{yaw % 360} ö.png" for yaw in yaws)
    return ReconstructConfig(
        folder / "0 ö.png",
        out,
        checkpoint=run,
        resolution=48,
        format=("obj",),
        no_face=True,
        device="cpu",
        view=views,
    )


def _points(count: int = 3000) -> torch.Tensor:
    low, high = torch.from_numpy(canonical_bounds().astype(np.float32))
    points = low + (high - low) * torch.rand(count, 3)
    points[: count // 3] = torch.tensor([0.0, 165.0, 5.0]) + torch.randn(count // 3, 3) * 8
    return points


@pytest.mark.parametrize("with_face", [False, True])
def test_fields_of_two_views_equal_a_direct_query(run: Path, with_face: bool) -> None:
    networks = load_networks(find_checkpoints(run), torch.device("cpu"))
    assert networks.color_coarse is not None and networks.color_fine is not None
    people = [tiny_person.photo(yaw=yaw) for yaw in YAWS[:2]]
    prior = FacePrior(tiny_person.face_mesh(), tiny_person.FACE_BOX) if with_face else None
    fields = encode_person(networks, people[0], prior, others=[View.at_yaw(people[1], YAWS[1])])
    points = _points()
    calibs = torch.from_numpy(np.stack([Camera.at_yaw(y).calib for y in YAWS[:2]]).astype(np.float32))[None]
    images = torch.from_numpy(np.stack([person.network_input(64) for person in people]))[None]
    face = tiny_person.face_input() if with_face else None
    with torch.no_grad():
        features = networks.shape.encode(images, face)
        prediction = networks.shape.query(features, points[None], calibs)
        expected = prediction.body[-1, 0]
        if prior is not None:
            vertices = torch.from_numpy(prior.mesh.vertices).float()
            far = MeshDistanceQuery(vertices, torch.from_numpy(prior.mesh.faces))(points).distance
            expected = prediction.fused(far[None])[0]
        coarse = networks.color_coarse.query(
            networks.color_coarse.encode(images, features), points[None], calibs
        )
        rgb = coarse.rgb
        if with_face:
            size = networks.color_fine.config.load_size_fine
            large = torch.from_numpy(np.stack([person.network_input(size) for person in people]))[None]
            fine = networks.color_fine.encode(large, face)
            rgb = networks.color_fine.query(fine, points[None], calibs, coarse.phi).rgb
    torch.testing.assert_close(fields.occupancy(points), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(fields.occupancy.draft(points), expected, atol=1e-6, rtol=1e-5)
    assert fields.color is not None
    np.testing.assert_allclose(fields.color(points.numpy()), rgb[0].numpy() * 0.5 + 0.5, atol=1e-5)
    single = encode_person(networks, people[0], prior).occupancy(points)
    assert float((single - expected).abs().max()) > 0.05


def test_order_of_views_changes_nothing(run: Path, folder: Path, tmp_path: Path) -> None:
    progress = NullProgress()
    for out, yaws in (("a", (90, 180)), ("b", (180, 90)), ("c", (-180, 450)), ("one", ())):
        config = _config(run, folder, tmp_path / out, *yaws)
        config = replace(config, view=tuple(t.replace("450:", "90:") for t in config.view))
        assert run_reconstruct(config, progress).ok, out
    meshes = [(tmp_path / out / "0 ö.obj").read_bytes() for out in ("a", "b", "c", "one")]
    assert meshes[0] == meshes[1] == meshes[2] != meshes[3]
    mesh = load_mesh(tmp_path / "a" / "0 ö.obj")
    assert mesh.volume == pytest.approx(tiny_person.figure().volume, rel=0.3)
    sidecar = json.loads((tmp_path / "a" / "0 ö.json").read_text(encoding="utf-8"))
    assert sidecar["numbers"]["views"] == 3 and {"view at 90", "view at 180"} < set(
        sidecar["stamp"]["inputs"]
    )
    assert any("trained with 3 views and is given 1" in text for text in progress.warnings) is False
    again = run_reconstruct(_config(run, folder, tmp_path / "a", 180, 90), NullProgress())
    assert again.skipped == ["0 ö"]
    fewer = NullProgress()
    assert not run_reconstruct(_config(run, folder, tmp_path / "a", 90), fewer).skipped
    assert any("trained with 3 views and is given 2" in text for text in fewer.warnings)


def test_a_single_view_network_refuses_views_in_one_sentence(folder: Path, tmp_path: Path) -> None:
    single = tiny_person.train_networks(tmp_path / "single", steps=2)
    with pytest.raises(
        UsageError, match=r"was trained with single views; leave --view out or give a checkpoint"
    ) as caught:
        run_reconstruct(_config(single, folder, tmp_path / "out", 90), NullProgress())
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out" / "crops").exists()


def test_colour_of_a_single_view_network_comes_from_the_main_photo(run: Path, tmp_path: Path) -> None:
    single = tiny_person.train_networks(tmp_path / "single", steps=2)
    files = find_checkpoints(run, color_coarse=single / "color_coarse" / "latest.safetensors")
    networks = replace(load_networks(files, torch.device("cpu")), color_fine=None)
    people = [tiny_person.photo(yaw=yaw) for yaw in YAWS[:2]]
    points = _points(200).numpy()
    two = encode_person(networks, people[0], others=[View.at_yaw(people[1], 90.0)])
    one = encode_person(networks, people[0])
    black = PersonImage(people[1].rgb * 0, people[1].mask)
    assert two.color is not None and one.color is not None
    np.testing.assert_allclose(two.color(points), one.color(points), atol=1e-6)
    changed = encode_person(networks, people[0], others=[View.at_yaw(black, 90.0)])
    assert float((changed.occupancy(_points()) - two.occupancy(_points())).abs().max()) > 1e-3


def _pair(left: Path, right: Path, target: Path) -> None:
    """Write a picture of two people who stand side by side."""
    people = [np.asarray(Image.open(path)) for path in (left, right)]
    Image.fromarray(np.concatenate(people, axis=1)).save(target)


def test_each_view_names_its_own_person(run: Path, folder: Path, tmp_path: Path) -> None:
    # In the photo she stands on the right; from behind, on the left.
    _pair(folder / "180 ö.png", folder / "0 ö.png", tmp_path / "front.png")
    _pair(folder / "180 ö.png", folder / "90 ö.png", tmp_path / "back.png")
    alone = _config(run, folder, tmp_path / "alone", 180)
    assert run_reconstruct(alone, NullProgress()).ok
    group = replace(alone, input=tmp_path / "front.png", person=2)
    for out, view in (("both", tmp_path / "back.png:1"), ("one", folder / "180 ö.png")):
        report = run_reconstruct(replace(group, out=tmp_path / out, view=(f"180:{view}",)), NullProgress())
        assert report.ok, report.failures
        for expected, got in (
            ("0 ö.png", "front.png"),
            ("views/0 ö/180/180 ö.png", f"views/front/180/{view.name.removesuffix(':1')}"),
        ):
            pictures = [
                np.asarray(Image.open(path)).astype(int)
                for path in (tmp_path / "alone" / "crops" / expected, tmp_path / out / "crops" / got)
            ]
            assert np.abs(pictures[0] - pictures[1]).mean() < 0.5, got
    for number, reason in (
        ("", r"2 people are .* left with --view 180:.*back\.png:N, or crop"),
        (":3", "not a number 3; correct --view"),
    ):
        config = replace(group, out=tmp_path / "none", view=(f"180:{tmp_path}/back.png{number}",))
        (failure,) = run_reconstruct(config, NullProgress()).failures.values()
        assert re.search(reason, failure), failure


def test_a_file_may_end_like_a_choice_of_person(folder: Path, tmp_path: Path) -> None:
    if os.name == "nt":
        pytest.skip("file names hold no colons here")
    main = Photo(folder / "0 ö.png", tmp_path)
    odd = tmp_path / "at 12:30"
    odd.write_bytes((folder / "90 ö.png").read_bytes())
    whole, chosen = parse_views((f"90:{odd}", f"180:{odd}:2"), main)
    assert (whole.photo.source, whole.photo.person_number) == (odd, None)
    assert (chosen.photo.source, chosen.photo.person_number) == (odd, 2)


def test_bad_views_are_one_sentence(run: Path, folder: Path, tmp_path: Path) -> None:
    config = _config(run, folder, tmp_path / "out")
    file = folder / "90 ö.png"
    for views, reason in (
        (("side.png",), "not of the form YAW:FILE"),
        (("left:a.png",), "not of the form YAW:FILE"),
        (("nan:a.png",), "not of the form YAW:FILE"),
        ((f"360:{file}",), "yaw 0 is the photo itself"),
        ((f"90:{file}:0",), "people are counted from 1, from the left"),
        ((f"90:{file}", f"450:{file}"), "another view has this yaw"),
    ):
        with pytest.raises(UsageError, match=reason):
            run_reconstruct(replace(config, view=views), NullProgress())
    with pytest.raises(InputError, match=r"absent\.png: no such file"):
        run_reconstruct(replace(config, view=("90:absent.png",)), NullProgress())
    with pytest.raises(UsageError, match="belongs to one photo"):
        run_reconstruct(replace(config, input=folder, view=(f"90:{file}",)), NullProgress())
    Image.fromarray(np.full((300, 200, 3), 128, np.uint8)).save(tmp_path / "wall.png")
    report = run_reconstruct(replace(config, view=(f"90:{tmp_path / 'wall.png'}",)), NullProgress())
    assert "wall.png: no person was found" in report.failures["0 ö"] and not report.results
