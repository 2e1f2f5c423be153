"""``jiff reconstruct`` with a prior-held network: from a photo and a fitted body to textured files."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gltf_rules
import numpy as np
import pytest
import tiny_person
import torch
from PIL import Image

import jiff
from jiff.base.errors import CheckpointError, UsageError
from jiff.base.progress import NullProgress
from jiff.body.prior import BodyPrior
from jiff.geometry.closest import MeshBvh
from jiff.geometry.io.mesh_io import load_mesh
from jiff.inference import networks as networks_module
from jiff.inference.networks import NetworkFiles, default_network, find_normals, find_person_network
from jiff.models.checkpoint import save_network
from jiff.models.person.network import PersonNetwork
from jiff.models.presets import person_preset
from jiff.options.evaluate import EvalJiffConfig
from jiff.options.reconstruct import ReconstructConfig
from jiff.pipelines.held import run_eval
from jiff.pipelines.reconstruct import _evaluation, run_reconstruct
from jiff.pipelines.rig import photo_body
from tests.known_person import silhouette, standing_body, write_framed

BODY = standing_body(upperarm_R=(0.0, 0.0, -0.6))
"""The one that ``write_framed`` knows the landmarks of."""


def save_person(folder: Path, seed: int = 0, **changes: object) -> Path:
    """Write a run's folder with a network that has not been trained, whose surface is the body's."""
    torch.manual_seed(seed)
    save_network(folder / "person" / "latest.safetensors", PersonNetwork(person_preset("tiny", **changes)))
    return folder


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return save_person(tmp_path_factory.mktemp("run"))


def write_photo(path: Path) -> None:
    """A red person on green, cut out by alpha."""
    mask = silhouette(BODY)
    rgb = np.where(mask[..., None] >= 128, (200, 60, 50), (30, 160, 40)).astype(np.uint8)
    Image.fromarray(np.concatenate([rgb, mask[..., None]], axis=2)).save(path)


def write_landmarks(crops: Path, name: str, scratch: Path) -> None:
    """Write what the networks that see people would have left: exact landmarks in pixels of the photo."""
    write_framed(scratch, name)
    record = json.loads((scratch / f"{name}_person.json").read_text())
    # Those of a photo twice as large and shifted.
    pixels = (np.array(record["pose"]["points_px"]) - [30.0, 10.0]) / 2
    record["pose"]["points_px"] = pixels.tolist()
    record["pose"]["depth_px"] = (np.array(record["pose"]["depth_px"]) / 2).tolist()
    (crops / f"{name}_person.json").write_text(json.dumps(record))


def config(run: Path | None, photo: Path, out: Path, **changes: object) -> ReconstructConfig:
    values = {
        "checkpoint": run, "resolution": 64, "format": ("obj", "glb"), "no_face": True, "device": "cpu", "decimate": 3000,
        "texture_size": 128,
    }  # fmt: skip
    return ReconstructConfig(photo, out, **{**values, **changes})  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def done(run: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A photo, and the folder that real processes reconstructed it into: without landmarks, then with them."""
    folder = tmp_path_factory.mktemp("held")
    photo, out = folder / "a.png", folder / "out"
    write_photo(photo)
    words = [
        "reconstruct",
        str(photo),
        "-o",
        str(out),
        "--checkpoint",
        str(run),
        "--device",
        "cpu",
        "--no-face",
    ]
    words += ["--resolution", "64", "--format", "obj,glb", "--decimate", "3000", "--texture-size", "128"]
    bare = jiff_cli(*words)
    assert bare.returncode == 1 and "networks that see people" in bare.stdout + bare.stderr
    summary = json.loads((out / "summary.json").read_text())["people"]["a"]
    assert (summary["status"], summary["step"]) == ("failed", "body") and not (out / "a.obj").exists()
    (folder / "scratch").mkdir()
    write_landmarks(out / "crops", "a", folder / "scratch")
    said = jiff_cli(*words)
    assert said.returncode == 0, said.stdout + said.stderr
    return photo, out


def jiff_cli(*words: str) -> subprocess.CompletedProcess[str]:
    env = {**os.environ, "TERMINAL_WIDTH": "200", "JIFF_PERCEPTION": "off"}
    found = subprocess.run(
        [sys.executable, "-m", "jiff_cli", *words], capture_output=True, text=True, timeout=200, env=env
    )
    assert "Traceback" not in found.stdout + found.stderr, found.stderr
    return found


def test_textured_files_of_the_person_in_the_photo(run: Path, done: tuple[Path, Path]) -> None:
    _, out = done
    assert {"a.obj", "a.glb", "a.png", "a.json", "a_texture.png", "a_texture.mtl", "in_photo", "crops"} <= {
        path.name for path in out.iterdir()
    }
    mesh = load_mesh(out / "a.obj")
    assert mesh.uv is not None and mesh.texture is not None and 1000 < len(mesh.faces) <= 3000
    assert mesh.texture.shape[:2] == (128, 128)
    # An untrained network answers with the fitted body, here without error.
    skin = BodyPrior(photo_body(out / "crops" / "a_body.json")).mesh
    gap = MeshBvh(skin.vertices, skin.faces).closest(mesh.vertices).distance
    assert np.median(gap) < 2 and np.quantile(gap, 0.95) < 5
    # Red, front and back, in the texture itself.
    picture = mesh.texture[..., :3].reshape(-1, 3).astype(float)
    painted = picture[picture.sum(axis=1) > 60]
    assert (painted[:, 0] > painted[:, 1] + 60).mean() > 0.9
    glb = gltf_rules.Glb((out / "a.glb").read_bytes())
    assert len(glb.tree["images"]) == 1 and "skins" not in glb.tree
    record = json.loads((out / "a.json").read_text())
    assert record["stamp"]["settings"]["method"] == "held"
    assert record["provenance"]["checkpoints"]["person"]["file"] == str(run / "person" / "latest.safetensors")
    assert record["quality"]["face_prior"] is False and record["numbers"]["silhouette_iou"] > 0.85
    assert set(record["stamp"]["inputs"]) == {"photo", "mask", "body"}


def test_what_is_complete_is_skipped_until_something_changes(
    run: Path, done: tuple[Path, Path], tmp_path: Path
) -> None:
    photo, out = done
    out = shutil.copytree(out, tmp_path / "out")
    first = (out / "a.obj").stat().st_mtime_ns
    wanted = config(run, photo, out)
    again = run_reconstruct(wanted, NullProgress())
    assert again.ok and again.skipped == ["a"] and (out / "a.obj").stat().st_mtime_ns == first
    people = json.loads((out / "summary.json").read_text())["people"]
    assert people["a"]["status"] == "complete before"
    other = save_person(tmp_path / "other", seed=1)
    progress = NullProgress()
    assert list(run_reconstruct(replace(wanted, checkpoint=other), progress).results) == ["a"]
    wanted = replace(wanted, checkpoint=other)
    body = out / "crops" / "a_body.json"
    kept = body.read_text()
    body.write_text(json.dumps({**json.loads(kept), "notes": ["a note"]}))
    told = run_reconstruct(wanted, NullProgress())
    assert list(told.results) == ["a"] and "a note" in told.results["a"]["notes"]


def test_vertex_colours_where_they_are_wanted_or_nothing_else_fits(
    run: Path, done: tuple[Path, Path], tmp_path: Path
) -> None:
    photo, out = done
    folder = tmp_path / "out"
    shutil.copytree(out, folder)
    report = run_reconstruct(config(run, photo, folder, texture="vertex"), NullProgress())
    assert report.ok, report.failures
    mesh = load_mesh(folder / "a.obj")
    assert mesh.texture is None and mesh.colors is not None
    assert (mesh.colors[:, 0] > mesh.colors[:, 1] + 0.2).mean() > 0.85
    report = run_reconstruct(config(run, photo, folder, format=("ply",), decimate=None), NullProgress())
    assert list(report.results) == ["a"] and load_mesh(folder / "a.ply").colors is not None


def test_bones_hold_the_textured_mesh(run: Path, done: tuple[Path, Path], tmp_path: Path) -> None:
    photo, out = done
    out = shutil.copytree(out, tmp_path / "out")
    report = run_reconstruct(config(run, photo, out, rig=True, format=("glb",)), NullProgress())
    assert report.ok, report.failures
    glb = gltf_rules.Glb((out / "a.glb").read_bytes())
    gltf_rules.check(glb)
    assert len(glb.tree["skins"][0]["joints"]) == 65 and len(glb.tree["images"]) == 1
    assert json.loads((out / "a.json").read_text())["rig"]["bones"] == 65


def test_a_photo_without_a_face_is_done_and_says_so(
    run: Path, done: tuple[Path, Path], tmp_path: Path
) -> None:
    photo, out = done
    out = shutil.copytree(out, tmp_path / "out")
    (out / "a.json").unlink()
    report = run_reconstruct(config(run, photo, out, no_face=False), NullProgress())
    assert report.ok and list(report.results) == ["a"]
    record = json.loads((out / "a.json").read_text())
    assert any(note.startswith("No face was fitted, because ") for note in record["notes"])
    assert record["quality"]["face_prior"] is False


def run_file(run: Path) -> Path:
    return run / "person" / "latest.safetensors"


def test_several_views_are_refused(run: Path, done: tuple[Path, Path], tmp_path: Path) -> None:
    photo, _ = done
    refused = jiff_cli(
        "reconstruct", str(photo), "-o", str(tmp_path), "--checkpoint", str(run), "--view", f"180:{photo}"
    )
    assert refused.returncode == 2 and "look at one photo" in refused.stderr
    refused = jiff_cli(
        "reconstruct",
        str(photo),
        "-o",
        str(tmp_path),
        "--checkpoint",
        str(run),
        "--texture",
        "vertex",
        "--project-photo",
    )
    assert refused.returncode == 2 and "--texture vertex" in refused.stderr
    assert not any(tmp_path.rglob("*.obj"))


def test_the_library_gives_textures_and_says_why_not(
    run: Path, done: tuple[Path, Path], tmp_path: Path
) -> None:
    photo, out = done
    found = jiff.reconstruct(
        photo,
        checkpoint=run,
        out=out,
        resolution=64,
        decimate=3000,
        texture_size=128,
        no_face=True,
        device="cpu",
    )
    assert found.texture is not None and found.texture.shape == (128, 128, 3) and found.body is not None
    with pytest.raises(Exception, match="networks that see people"):
        jiff.reconstruct(photo, checkpoint=run, out=tmp_path, no_face=True, device="cpu")


def test_which_network_is_taken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert find_person_network(tmp_path) is None and find_person_network(tmp_path / "none") is None
    folder = tmp_path / "person"
    folder.mkdir()
    (folder / "latest.safetensors").touch()
    assert find_person_network(tmp_path) == folder / "latest.safetensors"
    (folder / "best.safetensors").touch()
    assert find_person_network(tmp_path) == folder / "best.safetensors"
    installed = default_network()
    assert (
        installed.name == "default.safetensors"
        and installed.parent == Path(networks_module.__file__).parents[1] / "models" / "person"
    )
    assert find_person_network(None) == (installed if installed.is_file() else None)
    monkeypatch.setattr(networks_module, "default_network", lambda: folder / "best.safetensors")
    assert find_person_network(None) == folder / "best.safetensors"
    monkeypatch.setattr(networks_module, "default_network", lambda: folder / "none")
    assert find_person_network(None) is None


def test_a_run_of_normals_alone_details_what_the_installed_network_makes(tmp_path: Path) -> None:
    assert find_normals(tmp_path) == find_normals(None)
    (tmp_path / "normals").mkdir()
    own = tmp_path / "normals" / "best.safetensors"
    own.touch()
    assert find_normals(tmp_path) == own and find_person_network(tmp_path) == find_person_network(None)
    # Published networks of the same run are what its folder is for.
    (tmp_path / "shape").mkdir()
    assert find_person_network(tmp_path) is None


def test_published_networks_go_before_where_they_are_named(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(networks_module, "default_network", lambda: run_file(run))
    published = tiny_person.train_networks(tmp_path / "published", steps=1)
    write_photo(tmp_path / "a.png")
    named = config(None, tmp_path / "a.png", tmp_path / "out", format=("obj",))
    shape = published / "shape" / "latest.safetensors"
    for wanted, method in (
        (replace(named, shape_checkpoint=shape), "pifu"),
        (replace(named, checkpoint=published), "pifu"),
        (replace(named, checkpoint=published, no_face=False), "jiff"),
        (named, "held"),
        (replace(named, checkpoint=run), "held"),
    ):
        found = _evaluation(wanted, NullProgress())
        assert found.method == method
        assert ("person" in found.fingerprints) == (method == "held")
        assert found.output.texture == ("uv" if method == "held" else "vertex")


def test_networks_of_another_kind_are_refused(run: Path, done: tuple[Path, Path], tmp_path: Path) -> None:
    photo, _ = done
    published = tiny_person.train_networks(tmp_path / "published", steps=1)
    wrong = tmp_path / "wrong" / "person"
    wrong.mkdir(parents=True)
    (wrong / "latest.safetensors").write_bytes((published / "shape" / "latest.safetensors").read_bytes())
    with pytest.raises(CheckpointError, match="holds a shape network, not person"):
        run_reconstruct(config(tmp_path / "wrong", photo, tmp_path / "out"), NullProgress())
    assert not (tmp_path / "out").exists() or not any((tmp_path / "out").rglob("*.obj"))
    (wrong / "latest.safetensors").write_bytes(run_file(run).read_bytes()[:900])
    with pytest.raises(CheckpointError, match="truncated or damaged"):
        run_reconstruct(config(tmp_path / "wrong", photo, tmp_path / "out"), NullProgress())
    missing = NetworkFiles(person=tmp_path / "nowhere.safetensors")
    with pytest.raises(CheckpointError, match=r"nowhere\.safetensors"):
        missing.fingerprints()
    with pytest.raises(UsageError, match="no such device"):
        run_reconstruct(config(run, photo, tmp_path / "out", device="cuda:7"), NullProgress())


def test_a_test_folder_is_evaluated_by_its_bodies(run: Path, done: tuple[Path, Path], tmp_path: Path) -> None:
    """``jiff eval jiff`` with a prior-held network reads what ``jiff data body`` fitted."""
    _, out = done
    folder = tmp_path / "test"
    folder.mkdir()
    for path in (out / "crops").glob("a*"):
        shutil.copy(path, folder / path.name)
    for name in ("a.png", "a_mask.png"):
        shutil.copy(out / "crops" / name, folder / name.replace("a", "b", 1))
    wanted = EvalJiffConfig(
        input=folder, out=tmp_path / "out", checkpoint=run, resolution=48, format=("obj",), device="cpu",
        texture="vertex",
    )  # fmt: skip
    report = run_eval(wanted, NullProgress())
    assert list(report.results) == ["a"]
    assert "no body was fitted to this photo" in report.failures["b"]
    assert load_mesh(tmp_path / "out" / "a.obj").colors is not None
    assert run_eval(wanted, NullProgress()).skipped == ["a"]
    published = tiny_person.train_networks(tmp_path / "published", steps=1)
    shape = published / "shape" / "latest.safetensors"
    for other in (replace(wanted, checkpoint=published), replace(wanted, shape_checkpoint=shape)):
        report = run_eval(replace(other, overwrite=True), NullProgress())
        assert "jiff data face" in report.failures["a"]
