"""reconstruct: photos of any kind to meshes in one run, with refusals, fallbacks and restarts."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_person
from PIL import Image

from jiff.base.errors import AssetError, InputError, UsageError
from jiff.base.progress import NullProgress
from jiff.data.face_record import FitRecord
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.face import FaceConfig
from jiff.options.reconstruct import ReconstructConfig
from jiff.photo.images import read_image
from jiff.pipelines.evaluate import run_eval_jiff, run_eval_pifu
from jiff.pipelines.face import run_face
from jiff.pipelines.face_photos import person_complete
from jiff.pipelines.frame_photos import Photo, find_photos
from jiff.pipelines.reconstruct import run_reconstruct


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_person.train_networks(tmp_path_factory.mktemp("run"), steps=40)


def _photo(path: Path, orientation: int | None = None) -> None:
    """The figure, larger and off-centre on a gray wall, with alpha; stored turned where asked."""
    person = tiny_person.photo(256)
    canvas = np.full((330, 290, 4), (120, 125, 118, 0), np.uint8)
    canvas[40:296, 30:286, :3] = np.where(person.mask[..., None] > 0, person.rgb, canvas[40:296, 30:286, :3])
    canvas[40:296, 30:286, 3] = person.mask
    exif = Image.Exif()
    stored = canvas
    if orientation is not None:
        exif[0x0112] = orientation
        turned = canvas.transpose(1, 0, 2)
        stored = [
            canvas, canvas[:, ::-1], canvas[::-1, ::-1], canvas[::-1],
            turned, turned[::-1], turned[::-1, ::-1], turned[:, ::-1],
        ][orientation - 1]  # fmt: skip
    Image.fromarray(np.ascontiguousarray(stored)).save(path, exif=exif)


def _config(run: Path, source: Path, out: Path) -> ReconstructConfig:
    return ReconstructConfig(
        source, out, checkpoint=run, resolution=48, format=("obj",), no_face=True, device="cpu"
    )


def test_orientations_give_identical_meshes(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    for orientation in (None, *range(1, 9)):
        _photo(folder / f"ö {orientation}.png", orientation)
    stored = {(folder / f"ö {k}.png").read_bytes() for k in range(1, 9)}
    assert len(stored) == 8
    report = run_reconstruct(_config(run, folder, tmp_path / "out"), NullProgress())
    assert report.ok and len(report.results) == 9
    files = {(tmp_path / "out" / f"ö {k}.obj").read_bytes() for k in (None, *range(1, 9))}
    assert len(files) == 1
    bounds = load_mesh(tmp_path / "out" / "ö None.obj").bounds
    assert 120 < bounds[1, 1] - bounds[0, 1] < 204
    summary = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))
    framing = summary["people"]["ö 6"]["framing"]
    assert framing["mask"] == "alpha" and framing["photo_size"] == [330, 290]
    back = np.array(framing["frame_to_photo"])
    np.testing.assert_allclose(back[:, :2] @ [256, 256] + back[:, 2], [158, 168], atol=4)


def test_results_map_back_to_the_photo(run: Path, tmp_path: Path) -> None:
    _photo(tmp_path / "a.png")
    assert run_reconstruct(_config(run, tmp_path / "a.png", tmp_path / "out"), NullProgress()).ok
    sidecar = json.loads((tmp_path / "out" / "a.json").read_text())
    assert sidecar["photo"]["photo"] == "a.png" and sidecar["photo"]["photo_size"] == [330, 290]
    matrix = np.array(sidecar["photo"]["world_to_photo"])
    vertices = load_mesh(tmp_path / "out" / "a.obj").vertices
    pixels = vertices @ matrix[:, :3].T + matrix[:, 3]
    person = np.zeros((330, 290), bool)
    person[40:296, 30:286] = tiny_person.photo(256).mask > 0
    rows, columns = np.flatnonzero(person.any(1)), np.flatnonzero(person.any(0))
    # The tiny network's mesh is the figure up to a few centimetres, 1.25 pixels each.
    np.testing.assert_allclose(pixels.min(0), [columns[0], rows[0]], atol=15)
    np.testing.assert_allclose(pixels.max(0), [columns[-1] + 1, rows[-1] + 1], atol=15)
    inside = person[pixels[:, 1].astype(int).clip(0, 329), pixels[:, 0].astype(int).clip(0, 289)]
    assert inside.mean() > 0.8
    drawn = read_image(tmp_path / "out" / "in_photo" / "a.jpg").astype(int)
    assert drawn.shape == (330, 580, 3)
    with Image.open(tmp_path / "a.png") as photo:
        plain = np.array(photo.convert("RGB")).astype(int)
    changed = np.abs(drawn[:, 290:] - plain).max(axis=2) > 12
    assert (changed & person).sum() > 0.5 * person.sum()
    assert (changed & ~person).sum() < 0.25 * person.sum()
    magenta = np.abs(drawn[:, :290] - (255, 0, 160)).max(axis=2) < 60
    assert 200 < magenta.sum() < 5000


def test_refused_photos_do_not_stop_the_rest_and_a_restart_goes_on(run: Path, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    _photo(folder / "good.png")
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff\xe0 nothing")
    Image.fromarray(np.full((1, 1, 3), 9, np.uint8)).save(folder / "dot.png")
    Image.fromarray(np.full((300, 200, 3), 128, np.uint8)).save(folder / "wall.png")
    cut = np.full((300, 200, 4), 90, np.uint8)
    cut[..., 3] = 0
    cut[20:300, 60:140, 3] = 255
    Image.fromarray(cut).save(folder / "cut.png")
    config = _config(run, folder, tmp_path / "out")
    report = run_reconstruct(config, NullProgress())
    assert list(report.results) == ["good"]
    assert set(report.failures) == {"broken", "dot", "wall", "cut"}
    assert "the feet are outside" in report.failures["cut"]
    assert "no person was found" in report.failures["wall"]
    assert not report.details
    assert all(str(folder) in text for text in report.failures.values())
    first = (tmp_path / "out" / "good.obj").stat().st_mtime_ns
    shutil.copy(folder / "good.png", folder / "later.png")
    (folder / "wall.png").unlink()
    again = run_reconstruct(config, NullProgress())
    assert again.skipped == ["good"] and list(again.results) == ["later"]
    assert (tmp_path / "out" / "good.obj").stat().st_mtime_ns == first
    people = json.loads((tmp_path / "out" / "summary.json").read_text())["people"]
    assert people["good"]["status"] == "complete before" and people["cut"]["status"] == "failed"
    (tmp_path / "out" / "later.json").unlink()
    assert list(run_reconstruct(config, NullProgress()).results) == ["later"]


def test_face_without_features_falls_back_and_says_so(run: Path, tmp_path: Path) -> None:
    _photo(tmp_path / "a.png")
    config = replace(_config(run, tmp_path / "a.png", tmp_path / "out"), no_face=False)
    report = run_reconstruct(config, NullProgress())
    assert (tmp_path / "out" / "a.obj").is_file()
    assert report.failures["a"].startswith("Reconstructed without the face prior (plain PIFu), because ")
    people = json.loads((tmp_path / "out" / "summary.json").read_text())["people"]
    assert people["a"]["status"] == "done with a fallback"
    assert people["a"]["step"] == "face" and people["a"]["instead"] == "plain PIFu without the face prior"
    plain = run_reconstruct(_config(run, tmp_path / "a.png", tmp_path / "plain"), NullProgress())
    assert plain.ok
    np.testing.assert_array_equal(
        load_mesh(tmp_path / "out" / "a.obj").vertices, load_mesh(tmp_path / "plain" / "a.obj").vertices
    )


def test_real_photo_goes_through_all_steps(
    run: Path, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from jiff.models.hourglass import HourglassFilter

    encoded = []
    forward = HourglassFilter.forward
    monkeypatch.setattr(
        HourglassFilter, "forward", lambda self, images: encoded.append(len(images)) or forward(self, images)
    )
    folder = tmp_path / "photos"
    folder.mkdir()
    for name in ("ryota.png", "ryota_mask.png"):
        shutil.copy(shared / "photos" / name, folder / name)
    config = replace(_config(run, folder, tmp_path / "out"), no_face=False)
    progress = NullProgress()
    report = run_reconstruct(config, progress)
    assert list(report.results) == ["ryota"], report.failures
    assert encoded == [1], "coarse and fine run share the encoded image"
    crops = tmp_path / "out" / "crops"
    assert {p.name for p in crops.glob("ryota_*")} >= {"ryota_mask.png", "ryota_mesh.obj", "ryota_region.txt"}
    face = load_mesh(crops / "ryota_mesh.obj").bounds
    assert 130 < face[0, 1] < face[1, 1] < 185
    assert load_mesh(tmp_path / "out" / "coarse" / "ryota.obj").colors is None
    again = run_reconstruct(config, NullProgress())
    assert again.skipped == ["ryota"] and again.ok == report.ok and encoded == [1]
    # The same step by its own command, which encodes the image itself.
    method = json.loads((tmp_path / "out" / "ryota.json").read_text())["stamp"]["settings"]["method"]
    single = {"jiff": run_eval_jiff, "pifu": run_eval_pifu}[method]
    step = config.evaluation(out=tmp_path / "single")
    assert list(single(step, NullProgress()).results) == ["ryota"] and encoded == [1, 1]
    written = [(tmp_path / folder / "ryota.obj").read_bytes() for folder in ("out", "single")]
    assert written[0] == written[1]


def test_faces_of_another_model_are_fitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those too that a version without stamps fitted; a user's own mesh stays, and so do all where a model is missing."""
    crops = tmp_path / "crops"
    crops.mkdir()
    people = {}
    for name in ("anny", "flame", "external"):
        _photo(crops / f"{name}.png")
        people[name] = Photo(crops / f"{name}.png", crops).person
        for path in (people[name].region, people[name].face_mesh):
            path.touch()
        FitRecord(name, "landmarks", None, {}).save(people[name].fit)
    monkeypatch.setenv("JIFF_BFM", str(tmp_path / "none"))
    with pytest.raises(AssetError):
        run_face(FaceConfig(input=crops, model="bfm", jobs=1), NullProgress())
    assert all(person.has_face for person in people.values())
    verdicts = {name: person_complete((person, FaceConfig(input=crops))) for name, person in people.items()}
    assert {name: bool(verdict) for name, verdict in verdicts.items()} == {
        "anny": True, "flame": False, "external": True
    }  # fmt: skip
    assert verdicts["flame"].reason == "model was flame and is anny"


def test_bad_calls(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("jiff.inference.networks.default_network", lambda: tmp_path / "not installed")
    with pytest.raises(InputError, match="no such file or folder"):
        find_photos(tmp_path / "x", tmp_path)
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no photos"):
        find_photos(tmp_path / "empty", tmp_path)
    _photo(tmp_path / "empty" / "a.png")
    with pytest.raises(UsageError, match="No checkpoint is given"):
        run_reconstruct(ReconstructConfig(tmp_path / "empty", tmp_path / "out"), NullProgress())
    with pytest.raises(UsageError, match="which previews would replace"):
        run_reconstruct(_config(run, tmp_path / "empty" / "a.png", tmp_path / "empty"), NullProgress())
    crops = tmp_path / "out" / "crops"
    crops.mkdir(parents=True)
    _photo(crops / "a.png")
    with pytest.raises(UsageError, match="choose another --out"):
        run_reconstruct(_config(run, crops, tmp_path / "out"), NullProgress())
