"""``import jiff``: no cost, typed results that agree with the commands, errors in a sentence, the page's snippets."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
import tiny_person
from PIL import Image

import jiff
from jiff.api.photos import Workshop, mask_pixels
from jiff.base.errors import (
    CheckpointError,
    FitError,
    ImageError,
    InputError,
    MeshError,
    OutputError,
    UsageError,
)
from jiff.base.progress import NullProgress
from jiff.body.anny_body import load_anny_body
from jiff.body.files import body_mesh
from jiff.geometry.camera import Camera
from jiff.inference.networks import find_checkpoints
from jiff.options.reconstruct import ReconstructConfig
from jiff.perception.networks import PersonNetworks
from jiff.pipelines.reconstruct import run_reconstruct
from jiff.render.environments import generate_environments
from jiff.render.preview import render_preview
from jiff.render.sh import clamped_cosine_sh

ROOT = Path(__file__).resolve().parents[1]
FAST = {"resolution": 32, "device": "cpu", "no_face": True, "body": False}


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_person.train_networks(tmp_path_factory.mktemp("run"), steps=40)


@pytest.fixture(scope="module")
def real_photo() -> Path:
    path = ROOT.parent / "shared" / "people" / "person_07.jpg"
    if not path.is_file():
        pytest.skip("the folder ../shared with photos is absent")
    return path


def _pixels() -> tuple[np.ndarray, np.ndarray]:
    """The figure on a gray wall [300, 270, 3], and its mask."""
    person = tiny_person.photo(256)
    rgb, mask = np.full((300, 270, 3), 120, np.uint8), np.zeros((300, 270), np.uint8)
    rgb[20:276, 7:263] = np.where(person.mask[..., None] > 0, person.rgb, 120)
    mask[20:276, 7:263] = person.mask
    return rgb, mask


def test_import_costs_nothing() -> None:
    code = (
        "import sys, time; t = time.perf_counter(); import jiff; t = time.perf_counter() - t; names = dir(jiff)\n"
        "print(t < 0.3, [n for n in ('torch', 'numpy', 'cv2', 'yaml') if n in sys.modules], 'reconstruct' in names)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "True [] True"


def test_pictures_and_light_need_no_torch() -> None:
    code = "import sys, jiff; jiff.render_views; jiff.radiance_transfer; jiff.load_mesh; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=True)
    assert done.stdout.strip() == "False"


def test_every_name_is_there_and_documented() -> None:
    for name in set(jiff.__all__) - {"__version__"}:
        value = getattr(jiff, name)
        assert inspect.getdoc(value), name
        if inspect.isfunction(value) and value.__module__.startswith("jiff.api"):
            assert "Example::" in value.__doc__ and "Raises:" in value.__doc__
    assert {"fit_body", "Person", "base"} <= set(dir(jiff)) and "TYPE_CHECKING" not in dir(jiff)
    with pytest.raises(AttributeError, match="no attribute 'reconstrukt'"):
        _ = jiff.reconstrukt  # type: ignore[attr-defined]


def test_a_person_is_that_of_the_command(run: Path, tmp_path: Path) -> None:
    rgb, mask = _pixels()
    Image.fromarray(np.dstack([rgb, mask])).save(tmp_path / "a.png")
    progress = NullProgress()
    options = {"resolution": 32, "device": "cpu", "no_face": True}
    config = ReconstructConfig(
        tmp_path / "a.png", tmp_path / "out", checkpoint=run, format=("obj",), **options
    )
    run_reconstruct(config, progress)
    wanted = jiff.load_mesh(tmp_path / "out" / "a.obj")
    found = jiff.reconstruct(tmp_path / "a.png", checkpoint=str(run), **FAST)
    np.testing.assert_array_equal(found.mesh.vertices, wanted.vertices)
    np.testing.assert_array_equal(found.mesh.faces, wanted.faces)
    assert found.name == "a" and found.photo_size == (300, 270) and found.files == ()
    assert found.body is None and found.face is None and found.texture is None
    said = repr(found)
    assert len(said) < 400 and "name='a'" in said and f"<{len(wanted.vertices)} vertices" in said
    assert "world_to_photo=float64[2, 4]" in said and "flags=" in said
    assert found.mesh.colors is not None and found.mesh.colors.shape == found.mesh.vertices.shape
    stored = json.loads((tmp_path / "out" / "a.json").read_text())["photo"]["world_to_photo"]
    np.testing.assert_array_equal(found.world_to_photo, stored)
    pixels = found.to_photo(found.mesh.vertices)
    assert (pixels.min(0) > 0).all() and (pixels.max(0) < (270, 300)).all()
    for other in (np.dstack([rgb, mask]), rgb):
        same = jiff.reconstruct(other, checkpoint=run, mask=None if other.shape[2] == 4 else mask, **FAST)
        assert same.name == "photo"
        np.testing.assert_array_equal(same.mesh.vertices, wanted.vertices)


def test_texture_files_and_a_second_call(run: Path, tmp_path: Path) -> None:
    rgb, mask = _pixels()
    options = {**FAST, "texture": "uv", "texture_size": 64, "decimate": 400, "format": "glb"}
    begin = sorted(Path(tmp_path).iterdir())
    first = jiff.reconstruct(rgb, mask=mask, checkpoint=run, out=tmp_path / "out", **options)
    assert begin == [] and first.texture is not None and first.texture.shape == (64, 64, 3)
    assert {path.suffix for path in first.files} >= {".obj", ".glb", ".png"}
    assert all(path.is_file() for path in first.files)
    times = {path: path.stat().st_mtime_ns for path in first.files}
    second = jiff.reconstruct(rgb, mask=mask, checkpoint=run, out=tmp_path / "out", **options)
    assert times == {path: path.stat().st_mtime_ns for path in second.files}
    np.testing.assert_array_equal(first.mesh.vertices, second.mesh.vertices)
    first.save(tmp_path / "own.glb", height_cm=90.0)
    low, high = jiff.load_mesh(tmp_path / "own.glb").bounds
    tall = first.mesh.bounds[1, 1] - first.mesh.bounds[0, 1]
    assert high[1] - low[1] == pytest.approx(0.5 * tall / 100, rel=1e-3)
    first.save(tmp_path / "own.obj")
    assert jiff.load_mesh(tmp_path / "own.obj").texture is not None


def test_what_went_wrong_is_a_flag(run: Path) -> None:
    rgb, mask = _pixels()
    progress = NullProgress()
    options = {**FAST, "no_face": False, "body": True}
    found = jiff.reconstruct(rgb, mask=mask, checkpoint=run, progress=progress, **options)
    assert found.face is None and found.body is None and found.quality["face_prior"] is False
    face, body = found.flags[0], found.flags[-1]
    assert face.startswith("Reconstructed without the face prior (plain PIFu), because photo: ")
    assert any(flag.startswith("No body was fitted, because ") for flag in found.flags), body
    assert not any("jiff-" in flag or "/tmp" in flag for flag in found.flags)
    assert progress.warnings


def test_without_weights_the_command_s_own_words(
    run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jiff.inference.networks.default_network", lambda: tmp_path / "not installed")
    rgb, mask = _pixels()
    with pytest.raises(UsageError) as told:
        find_checkpoints(None)
    with pytest.raises(UsageError, match=f"^{re.escape(str(told.value))}$"):
        jiff.reconstruct(rgb, mask=mask)
    with pytest.raises(CheckpointError, match="no such folder"):
        jiff.reconstruct(rgb, mask=mask, checkpoint=run / "nothing")


def test_photos_that_cannot_be_used_are_named(run: Path, tmp_path: Path) -> None:
    rgb, mask = _pixels()
    Image.fromarray(rgb).save(tmp_path / "a.jpg")
    wall = np.full((300, 200, 3), 128, np.uint8)
    cut = mask.copy()
    cut[200:, 60:120] = 255
    with pytest.raises(ImageError, match=r"^photo: no person was found; give mask= \(white on black\)"):
        jiff.reconstruct(wall, checkpoint=run, **FAST)
    with pytest.raises(ImageError, match=r"^photo: .*the feet are outside"):
        jiff.reconstruct(rgb, mask=cut, checkpoint=run, **FAST)
    with pytest.raises(ImageError, match=rf"^{re.escape(str(tmp_path / 'a.jpg'))}: .*the feet are outside"):
        jiff.fit_body(tmp_path / "a.jpg", cut)
    with pytest.raises(ImageError, match=r"^mask: the mask is 9 x 9 pixels but its image is 270 x 300"):
        jiff.fit_face(rgb, np.ones((9, 9), bool))
    with pytest.raises(ImageError, match=r"^photo: is an array of shape \(300, 270\) and type uint8; give"):
        jiff.fit_body(rgb[..., 0])
    with pytest.raises(ImageError, match="type float64"):
        jiff.fit_face(rgb / 255.0)
    with pytest.raises(ImageError, match=r"^mask: is an array of shape"):
        jiff.fit_body(rgb, rgb)
    with pytest.raises(InputError, match="is a folder; give one photo"):
        jiff.reconstruct(tmp_path, checkpoint=run)
    with pytest.raises(InputError, match="no such"):
        jiff.reconstruct(tmp_path / "none.jpg", checkpoint=run)
    with pytest.raises(FitError, match="networks that see people"):
        jiff.fit_body(rgb, mask)
    with pytest.raises(FitError, match=r"^photo: "):
        jiff.fit_face(rgb, mask)
    with pytest.raises(UsageError, match="is not a face model"):
        jiff.fit_face(rgb, mask, model="none")
    with pytest.raises(TypeError, match="resolutoin"):
        jiff.reconstruct(rgb, mask=mask, checkpoint=run, resolutoin=3)


def test_nothing_stays_behind(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    rgb, mask = _pixels()
    given = rgb.copy(), mask.copy()
    jiff.reconstruct(rgb, mask=mask, checkpoint=run, **FAST)
    with pytest.raises(ImageError):
        jiff.fit_body(np.zeros((90, 90, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []
    np.testing.assert_array_equal(rgb, given[0])
    np.testing.assert_array_equal(mask, given[1])
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "none"))
    with pytest.raises(OutputError, match="none: cannot be written because no such file or folder"):
        jiff.fit_face(rgb, mask)


def test_masks_of_any_form() -> None:
    inside = np.zeros((4, 5), bool)
    inside[1:3, 1:3] = True
    for mask in (inside, inside.astype(np.uint8), inside.astype(np.uint8) * np.uint8(255)):
        np.testing.assert_array_equal(mask_pixels(mask), np.where(inside, 255, 0))


def test_sentences_lose_what_is_deleted() -> None:
    folder = Path("/tmp/jiff-x")
    work = Workshop(folder, folder / "photo" / "photo.png", "photo")
    said = f"{folder}/photo/photo.png: no (see {folder}/out/previews/photo.png for the mask that was found)."
    assert work.plain(said) == "photo: no."
    said = f"A mask was found, see {folder}/crops/p.png; a photo_mask.png is better."
    assert work.plain(said) == "A mask was found; a mask= is better."
    work.progress.warn("photo: twice")
    assert work.flags("twice", "", "once") == ("twice", "once")


def test_views_of_a_figure(tmp_path: Path) -> None:
    mesh = tiny_person.figure()
    views = jiff.render_views(mesh, (0.0, 90.0), size=96, canonical=True)
    assert views.rgb.shape == (2, 96, 96, 3) and views.rgba.shape == (2, 96, 96, 4) and len(views) == 2
    for n, yaw in enumerate((0.0, 90.0)):
        np.testing.assert_array_equal(views.rgb[n], render_preview(mesh, Camera.at_yaw(yaw, size=96)))
    inside = views.mask > 0
    length = np.linalg.norm(views.normals, axis=-1)
    np.testing.assert_allclose(length[inside], 1.0, atol=1e-5)
    assert (length[~inside] == 0).all() and views.normals[inside][:, 2].mean() > 0.5
    x, y = views.cameras[0].world_to_pixel(np.array(tiny_person.HEAD_WORLD))
    assert inside[0, int(y), int(x)]
    flat = jiff.render_views(mesh, (0.0,), size=96, light="flat", samples=1, background=(0, 0, 0))
    x, y = flat.cameras[0].world_to_pixel([0.0, 110.0, 0.0])
    np.testing.assert_allclose(flat.rgb[0, int(y), int(x)], np.array((0.8, 0.15, 0.1)) * 255, atol=2)
    assert (flat.rgb[flat.mask == 0] == 0).all()
    jiff.save_mesh(mesh, tmp_path / "m.ply")
    front = jiff.render_views(mesh, (0.0,), size=96), jiff.render_views(tmp_path / "m.ply", (0.0,), size=96)
    np.testing.assert_array_equal(front[0].mask, front[1].mask)


def test_light_and_transfer() -> None:
    mesh = tiny_person.figure(48)
    transfer = jiff.radiance_transfer(mesh, directions=16, threads=1)
    assert (
        transfer.coefficients.shape == (len(mesh.vertices), 9) and transfer.coefficients.dtype == np.float32
    )
    np.testing.assert_array_equal(transfer.faces, mesh.faces)
    top = int(mesh.vertices[:, 1].argmax())
    free = clamped_cosine_sh(mesh.vertex_normals()[top : top + 1])[0]
    np.testing.assert_allclose(transfer.coefficients[top], free, atol=0.02)
    by_number = jiff.render_views(mesh, (0.0,), size=64, light=3, prt=transfer)
    by_array = jiff.render_views(mesh, (0.0,), size=64, light=generate_environments(4)[3], prt=transfer)
    np.testing.assert_array_equal(by_number.rgb, by_array.rgb)
    dark = jiff.render_views(
        mesh, (0.0,), size=64, light=np.zeros((9, 3)), prt=transfer, background=(0, 0, 0)
    )
    assert (dark.rgb == 0).all()
    own = jiff.render_views(mesh, (0.0,), size=64, light=3)
    assert np.abs(own.rgb.astype(int) - by_number.rgb.astype(int)).mean() < 2
    for arguments in ({"light": "sun"}, {"light": np.ones(9)}, {"light": -1}, {"yaws": ()}, {"size": 0}):
        with pytest.raises(UsageError):
            jiff.render_views(mesh, **arguments)
    with pytest.raises(UsageError, match="compute it from this mesh"):
        jiff.render_views(tiny_person.figure(64), light=1, prt=transfer)
    with pytest.raises(MeshError, match="no such file"):
        jiff.radiance_transfer("none.obj")
    with pytest.raises(MeshError, match="holds no triangles"):
        jiff.render_views(jiff.Mesh(np.zeros((3, 3)), np.zeros((0, 3), np.int64)))
    with pytest.raises(UsageError, match="unknown"):
        jiff.radiance_transfer(mesh, sampling="stars")


def test_body_and_face_of_a_real_photo(networks: PersonNetworks, real_photo: Path) -> None:
    body = jiff.fit_body(real_photo)
    assert body.vertices_world.shape == (19158, 3) and body.joints_world.shape == (21, 3)
    assert body.joint_sigma_world.shape == (21, 3) and len(body.joint_names) == 21
    again = body_mesh(body.placed, load_anny_body())
    np.testing.assert_allclose(again.vertices, body.mesh.vertices, atol=0.05)
    assert body.joint("head")[1] > body.joint("root")[1]
    with pytest.raises(KeyError, match="is not a joint"):
        body.joint("tail")
    assert body.residuals["landmarks_median_of_height"] < 0.03 and body.hands_seen == (True, True)
    rgb = np.asarray(Image.open(real_photo).convert("RGB"))
    twin = jiff.fit_body(rgb)
    np.testing.assert_allclose(twin.joints_world, body.joints_world, atol=1e-6)
    face = jiff.fit_face(rgb)
    assert face.pose is not None and face.mesh.colors is not None and face.model == "anny"
    np.testing.assert_allclose(face.world_to_photo, body.world_to_photo, atol=1e-9)
    head = face.world_to_photo @ np.append(body.joint("head"), 1.0)
    middle = face.world_to_photo @ np.append(face.mesh.vertices.mean(0), 1.0)
    assert np.linalg.norm(head - middle) < 40


def test_the_page_s_snippets_run(
    networks: PersonNetworks,
    real_photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photo.jpg").write_bytes(real_photo.read_bytes())
    text = (ROOT / "docs" / "library.md").read_text(encoding="utf-8")
    snippets = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert len(snippets) == 5
    names: dict[str, object] = {}
    for snippet in snippets:
        exec(compile(snippet, "docs/library.md", "exec"), names)
    said = capsys.readouterr().out
    assert "photo: no person was found" in said
    person = names["person"]
    assert isinstance(person, jiff.Person) and person.body is not None
    assert (person.face is not None) == person.quality["face_prior"]
    assert (tmp_path / "person.glb").is_file()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["person.glb", "photo.jpg"]
