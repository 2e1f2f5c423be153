"""Folders of photos: killed and restarted runs, hostile files, several bodies; what the summary says of each."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_person
import torch
from PIL import Image
from test_images import _bomb

from jiff.base.errors import ReconstructionError
from jiff.base.progress import NullProgress
from jiff.geometry import components
from jiff.geometry.io.mesh_io import load_mesh
from jiff.models.checkpoint import load_network, save_network
from jiff.options.reconstruct import ReconstructConfig
from jiff.pipelines.reconstruct import run_reconstruct


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_person.train_networks(tmp_path_factory.mktemp("run"), steps=40)


def _config(run: Path, source: Path, out: Path) -> ReconstructConfig:
    return ReconstructConfig(
        source, out, checkpoint=run, resolution=48, format=("obj",), no_face=True, device="cpu"
    )


def _rgba(shift: int = 0) -> np.ndarray:
    person = tiny_person.photo(256)
    return np.roll(np.concatenate([person.rgb, person.mask[..., None]], axis=2), shift, axis=1)


def _people(out: Path) -> dict[str, dict[str, object]]:
    return json.loads((out / "summary.json").read_text(encoding="utf-8"))["people"]


_SCRIPT = """
import sys
from pathlib import Path
from jiff.pipelines.reconstruct import ReconstructConfig, run_reconstruct
from jiff.base.progress import NullProgress
run, source, out = map(Path, sys.argv[1:])
run_reconstruct(ReconstructConfig(source, out, checkpoint=run, resolution=48, format=("obj",), no_face=True,
                device="cpu"), NullProgress())
"""


def test_a_killed_run_goes_on_and_ends_with_the_same_bytes(run: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos"
    source.mkdir()
    names = [f"{k} é" for k in range(10)]
    for k, name in enumerate(names):
        Image.fromarray(_rgba(k)).save(source / f"{name}.png")
    out = tmp_path / "out"
    process = subprocess.Popen([sys.executable, "-c", _SCRIPT, str(run), str(source), str(out)])
    deadline = time.monotonic() + 120
    while len(list(out.glob("[!.]*.json"))) < 2 and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    finished = sorted(path.stem for path in out.glob("[!.]*.json"))
    assert 2 <= len(finished) < len(names)
    stamps = {name: (out / f"{name}.obj").stat().st_mtime_ns for name in finished}
    report = run_reconstruct(_config(run, source, out), NullProgress())
    assert report.ok and sorted(report.skipped) == finished
    assert sorted(report.results) == sorted(set(names) - set(finished))
    assert {name: (out / f"{name}.obj").stat().st_mtime_ns for name in finished} == stamps
    assert {entry["status"] for entry in _people(out).values()} == {"done", "complete before"}
    straight = tmp_path / "straight"
    run_reconstruct(_config(run, source, straight), NullProgress())
    for name in names:
        assert (out / f"{name}.obj").read_bytes() == (straight / f"{name}.obj").read_bytes(), name
        assert (out / f"{name}.png").read_bytes() == (straight / f"{name}.png").read_bytes(), name


def _animated(path: Path) -> None:
    frame = Image.fromarray(_rgba()[..., :3])
    frame.save(path, save_all=True, append_images=[frame.rotate(90)], duration=50)


def test_hostile_photos_get_one_sentence_each_and_the_good_one_a_mesh(run: Path, tmp_path: Path) -> None:
    source = tmp_path / "photos 写"
    source.mkdir()
    Image.fromarray(_rgba()).save(source / "gut ß.png")
    buffer = io.BytesIO()
    Image.fromarray(_rgba()[..., :3]).save(buffer, "JPEG")
    (source / "truncated.jpg").write_bytes(buffer.getvalue()[:2500])
    _bomb(source / "bomb.png")
    for suffix in ("png", "webp", "tiff"):
        _animated(source / f"animated {suffix}.{suffix}")
    Image.fromarray(np.full((1, 1, 4), 9, np.uint8)).save(source / "dot.png")
    Image.fromarray(np.full((90, 60, 4), 100, np.uint8)).save(source / "veil.png")
    Image.fromarray(np.full((300, 200), 30_000, np.uint16)).save(source / "deep.png")
    Image.new("CMYK", (200, 300), (10, 20, 30, 0)).save(source / "cmyk.jpg")
    (source / "empty.jpg").touch()
    report = run_reconstruct(_config(run, source, tmp_path / "out"), NullProgress())
    assert list(report.results) == ["gut ß"]
    expected = {
        "truncated": "damaged",
        "bomb": "pixels",
        "animated png": "2 frames",
        "animated webp": "2 frames",
        "animated tiff": "2 frames",
        "dot": "fully transparent",
        "veil": "fully transparent",
        "deep": "no person was found",
        "cmyk": "no person was found",
        "empty": "empty file",
    }
    assert set(report.failures) == set(expected) and not report.details
    for name, phrase in expected.items():
        text = report.failures[name]
        assert phrase in text and str(source) in text and "\n" not in text and text.endswith("."), text
    people = _people(tmp_path / "out")
    assert {people[name]["step"] for name in expected} == {"framing"}
    assert {people[name]["instead"] for name in expected} == {"nothing was written"}
    assert (tmp_path / "out" / "gut ß.obj").is_file()
    gif = tmp_path / "a.gif"
    _animated(gif)
    single = run_reconstruct(_config(run, gif, tmp_path / "gif"), NullProgress())
    assert "holds 2 frames" in single.failures["a"]


def test_sixteen_bit_and_cmyk_people_are_reconstructed(run: Path, tmp_path: Path) -> None:
    import cv2

    source = tmp_path / "photos"
    source.mkdir()
    rgba = _rgba()
    cv2.imwrite(str(source / "deep.png"), np.ascontiguousarray(rgba[..., [2, 1, 0]].astype(np.uint16) * 257))
    Image.fromarray(rgba[..., :3]).save(source / "plain.png")
    Image.fromarray(rgba[..., :3]).convert("CMYK").save(source / "cmyk.jpg", quality=100)
    for name in ("deep", "plain", "cmyk"):
        Image.fromarray(rgba[..., 3]).save(source / f"{name}_mask.png")
    report = run_reconstruct(_config(run, source, tmp_path / "out"), NullProgress())
    assert report.ok and len(report.results) == 3
    meshes = {name: load_mesh(tmp_path / "out" / f"{name}.obj") for name in ("deep", "plain", "cmyk")}
    np.testing.assert_array_equal(meshes["deep"].vertices, meshes["plain"].vertices)
    assert meshes["cmyk"].volume == pytest.approx(meshes["plain"].volume, rel=0.05)


def test_field_without_a_surface_is_told_with_its_step(run: Path, tmp_path: Path) -> None:
    network = load_network(run / "shape" / "latest.safetensors")
    last = max(i for i in range(9) if hasattr(network.surface_classifier, f"conv{i}"))
    with torch.no_grad():
        getattr(network.surface_classifier, f"conv{last}").bias.sub_(1000.0)
    save_network(tmp_path / "run" / "shape" / "latest.safetensors", network)
    Image.fromarray(_rgba()).save(tmp_path / "a.png")
    config = replace(_config(tmp_path / "run", tmp_path / "a.png", tmp_path / "out"), no_face=False)
    report = run_reconstruct(config, NullProgress())
    assert not report.ok and not report.results
    assert "the field never crosses 0.5" in report.failures["a"]
    person = _people(tmp_path / "out")["a"]
    assert (person["status"], person["step"], person["instead"]) == (
        "failed",
        "reconstruction",
        "nothing was written",
    )


@pytest.mark.parametrize("raw", [False, True])
def test_several_bodies_are_told_and_change_the_exit_status(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bool
) -> None:
    original = components.keep_body
    monkeypatch.setattr(
        "jiff.inference.person.keep_body", lambda *args: replace(original(*args), other_bodies=1)
    )
    Image.fromarray(_rgba()).save(tmp_path / "a.png")
    config = replace(_config(run, tmp_path / "a.png", tmp_path / "out"), raw=raw)
    report = run_reconstruct(config, NullProgress())
    assert list(report.results) == ["a"] and (tmp_path / "out" / "a.obj").is_file()
    assert report.failures["a"].startswith("Reconstructed, but the surface has 2 large pieces")
    person = _people(tmp_path / "out")["a"]
    assert person["status"] == "done with a fallback" and person["step"] == "reconstruction"
    assert ("all were kept" in str(person["instead"])) == raw
    said = "kept" if raw else "dropped; --raw keeps them"
    assert person["notes"] == [f"1 further large pieces were {said}."]
    again = run_reconstruct(config, NullProgress())
    assert again.skipped == ["a"] and again.failures == report.failures


@pytest.mark.parametrize("raw", [False, True])
def test_raw_keeps_a_surface_that_misses_the_silhouette(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, raw: bool
) -> None:
    def no_body(*_: object) -> None:
        raise ReconstructionError("None of the pieces lies in the silhouette.")

    monkeypatch.setattr("jiff.inference.person.keep_body", no_body)
    Image.fromarray(_rgba()).save(tmp_path / "a.png")
    config = replace(_config(run, tmp_path / "a.png", tmp_path / "out"), raw=raw)
    report = run_reconstruct(config, NullProgress())
    assert report.ok == raw == (tmp_path / "out" / "a.obj").is_file()
    if raw:
        assert "all were kept" in _people(tmp_path / "out")["a"]["notes"][0]  # type: ignore[index]
