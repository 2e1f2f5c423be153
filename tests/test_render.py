"""The render stage: shading in closed form, the published pictures, and batches that survive anything."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pyexr
import pytest
from render_scans import egg, unoccluded, write_scan

from jiff.base.errors import JiffError, UsageError
from jiff.base.progress import NullProgress
from jiff.data.layout import ProcessedSet
from jiff.data.param_io import read_param
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh, save_mesh
from jiff.options.render import RenderConfig
from jiff.pipelines.render import choose_validation, run_render, view_names
from jiff.pipelines.render_subject import RenderTask, view_light
from jiff.render.environments import generate_environments, irradiance
from jiff.render.prt_io import write_prt
from jiff.render.shading import ShadedScan


def config(scans: Path, out: Path, **kwargs) -> RenderConfig:
    defaults = {"yaws": (0, 90), "size": 64, "high_size": 128, "jobs": 1, "environments": 4, "seed": 3}
    return RenderConfig(input=scans, out=out, **{**defaults, **kwargs})


def tree(root: Path) -> dict[str, bytes]:
    return {str(p.relative_to(root)): p.read_bytes() for p in sorted(root.rglob("*")) if p.is_file()}


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("scans")
    for name in ("anna", "Jürg B"):
        write_scan(root, name)
    return root


@pytest.fixture(scope="module")
def rendered(scans: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("set") / "out"
    report = run_render(config(scans, out), NullProgress())
    assert report.ok, report.failures
    return out


def test_shading_of_an_unoccluded_body_is_irradiance() -> None:
    mesh = egg(96, 64)
    white = replace(mesh, texture=None, colors=np.ones_like(mesh.vertices))
    scan, camera = ShadedScan(white, unoccluded(mesh)), Camera.at_yaw(30, size=128)
    env = generate_environments(1, 5)[0] * 0.3
    frame = scan.render(camera, env)
    seen = scan.cast(camera)
    normals = seen.interpolate(mesh.normals, mesh.faces) @ camera.rotation.T.astype(np.float32)
    normals /= np.linalg.norm(normals, axis=1, keepdims=True)
    wanted = np.clip(irradiance(env, normals), 0, None) ** (1 / 2.2)
    got = frame.image.reshape(-1, 3)[seen.pixel] / 255
    assert np.abs(got - np.clip(wanted, 0, 1)).max() < 0.02
    assert not frame.image[frame.mask == 0].any()


def test_light_turns_with_the_camera() -> None:
    """Turning body and light together changes nothing: the environment is fixed to the camera."""
    mesh = egg()
    env = generate_environments(1, 1)[0]
    camera = Camera.at_yaw(50, size=96, center_world=np.array([0.0, 90.0, 0.0]))
    turned = replace(mesh.transformed(camera.rotation, [0, 90, 0] - camera.rotation @ [0, 90, 0]))
    one = ShadedScan(mesh, unoccluded(mesh)).render(camera, env)
    two = ShadedScan(turned, unoccluded(turned)).render(Camera(size=96), env)
    same = one.mask == two.mask
    assert same.mean() > 0.999
    assert np.abs(one.image.astype(int) - two.image)[same].mean() < 0.3


def test_layout_is_complete_and_consistent(rendered: Path) -> None:
    dataset = ProcessedSet(rendered)
    assert dataset.subjects() == ["Jürg B", "anna"]
    for subject in dataset.subjects():
        assert dataset.views(subject) == ["0_0_00", "90_0_00"]
        for view in dataset.views(subject):
            image = cv2.imdecode(np.fromfile(dataset.render(subject, view), np.uint8), cv2.IMREAD_COLOR)
            mask = cv2.imdecode(np.fromfile(dataset.mask(subject, view), np.uint8), -1)
            assert image.shape == (64, 64, 3) and mask.shape == (64, 64)
            assert set(np.unique(mask)) == {0, 255}
            assert image[mask > 0].mean() > 40 and image[mask == 0].mean() < 12
            high = cv2.imdecode(np.fromfile(dataset.render_hi(subject, view), np.uint8), cv2.IMREAD_COLOR)
            assert high.shape == (128, 128, 3)
            assert cv2.imdecode(np.fromfile(dataset.mask_hi(subject, view), np.uint8), -1).shape == (128, 128)
            param = read_param(dataset.param(subject, view))
            assert param["sh"].shape == (9, 3) and param["ortho_ratio"] == pytest.approx(0.4 * 8)
            camera = Camera.from_param(param)
            assert camera.yaw_deg == pytest.approx(int(view.split("_")[0]))
            assert camera.half_width_world == pytest.approx(102.4)
            assert dataset.uv_render(subject, view).is_file()
        assert dataset.geometry(subject).read_bytes() == dataset.geometry(subject).read_bytes()
        assert pyexr.read(str(dataset.uv_pos(subject))).shape == (64, 64, 3)
        assert dataset.uv_normal(subject).is_file() and dataset.uv_mask(subject).is_file()
    assert dataset.validation_subjects() and set(dataset.validation_subjects()) < set(dataset.subjects())


def test_a_second_run_does_nothing(rendered: Path, scans: Path) -> None:
    before = tree(rendered)
    report = run_render(config(scans, rendered), NullProgress())
    assert sorted(report.skipped) == ["Jürg B", "anna"] and not report.results
    assert tree(rendered) == before


def test_missing_files_come_back_with_the_same_bytes(rendered: Path, scans: Path, tmp_path: Path) -> None:
    out = tmp_path / "copy"
    shutil.copytree(rendered, out)
    before = tree(out)
    dataset = ProcessedSet(out)
    dataset.param("anna", "90_0_00").unlink()
    dataset.uv_pos("Jürg B").unlink()
    (out / "val.txt").unlink()
    (dataset.render("anna", "0_0_00").parent / ".90_0_00.deadbeef.part.jpg").write_bytes(b"half")
    report = run_render(config(scans, out), NullProgress())
    assert report.results == {"anna": 1, "Jürg B": 0}
    assert tree(out) == before


def test_two_processes_make_the_same_bytes(rendered: Path, scans: Path, tmp_path: Path) -> None:
    report = run_render(config(scans, tmp_path / "out", jobs=2), NullProgress())
    assert report.ok
    assert tree(tmp_path / "out") == tree(rendered)


def test_a_subject_does_not_depend_on_its_company(rendered: Path, scans: Path, tmp_path: Path) -> None:
    alone = tmp_path / "scans"
    shutil.copytree(scans / "anna", alone / "anna")
    run_render(config(alone, tmp_path / "out", jobs=4), NullProgress())
    one, two = tree(tmp_path / "out"), tree(rendered)
    files = [name for name in one if "/anna/" in name and not name.startswith("STAMPS")]
    assert len(files) > 10 and all(one[name] == two[name] for name in files)


def test_killed_run_ends_with_the_same_bytes(scans: Path, tmp_path: Path) -> None:
    options = {"yaws": tuple(range(0, 360, 12)), "size": 256, "high_size": 0}
    run_render(config(scans, tmp_path / "whole", **options), NullProgress())
    out = tmp_path / "killed"
    code = (
        "import sys; from pathlib import Path; from jiff.pipelines.render import *;"
        "from jiff.base.progress import NullProgress;"
        f"run_render(RenderConfig(input=Path({str(scans)!r}), out=Path({str(out)!r}), yaws={options['yaws']},"
        " size=256, high_size=0, jobs=1, environments=4, seed=3), NullProgress())"
    )
    process = subprocess.Popen([sys.executable, "-c", code], env={**os.environ, "OMP_NUM_THREADS": "1"})
    deadline = time.monotonic() + 60
    while len(list(out.glob("RENDER/*/*.jpg"))) < 5 and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (out / "val.txt").exists()
    run_render(config(scans, out, **options), NullProgress())
    assert tree(out) == tree(tmp_path / "whole")


def test_bad_scans_are_named_and_the_others_go_on(scans: Path, tmp_path: Path) -> None:
    root = tmp_path / "scans"
    shutil.copytree(scans, root)
    for name in ("plain", "small", "noprt", "broken", "notexture"):
        shutil.copytree(root / "anna", root / name)
        (root / name / "anna.obj").rename(root / name / f"{name}.obj")
    text = (root / "plain" / "plain.obj").read_text()
    lines = [line for line in text.splitlines() if not line.startswith("vt")]
    (root / "plain/plain.obj").write_text(
        "\n".join(" ".join(w.split("/")[0] for w in ln.split()) for ln in lines)
    )
    shutil.rmtree(root / "noprt/bounce")
    (root / "broken/broken.obj").write_text(text[: len(text) // 2] + "\nf 1 2 999999\n")
    (root / "notexture/material0.mtl").unlink()
    (root / "notexture/material0.jpeg").unlink()
    small = [
        "v " + " ".join(str(float(w) / 100) for w in ln.split()[1:]) if ln.startswith("v ") else ln
        for ln in text.splitlines()
    ]
    (root / "small/small.obj").write_text("\n".join(small))
    report = run_render(config(root, tmp_path / "out"), NullProgress())
    assert set(report.results) == {"anna", "Jürg B"} and not report.details
    words = {
        "plain": "no texture coordinates", "small": "run `jiff data rescale`", "noprt": "jiff data prt",
        "broken": "export it again", "notexture": "neither texture nor vertex colours",
    }  # fmt: skip
    assert set(report.failures) == set(words)
    for name, phrase in words.items():
        assert phrase in report.failures[name] and "\n" not in report.failures[name]
    assert not list((tmp_path / "out").glob("**/*.part*"))
    assert not (tmp_path / "out/RENDER/broken").exists()


def test_inputs_are_untouched(scans: Path, tmp_path: Path) -> None:
    before = tree(scans)
    run_render(config(scans, tmp_path / "out"), NullProgress())
    assert tree(scans) == before


@pytest.mark.parametrize("change", [{"size": 32}, {"samples": 4}, {"seed": 8}, {"light_rotation": 0.0}])
def test_changed_settings_are_drawn_again(
    rendered: Path, scans: Path, tmp_path: Path, change: dict[str, Any]
) -> None:
    """The set ends as if it had been drawn so at once, views that were not asked for this time included."""
    out = tmp_path / "copy"
    shutil.copytree(rendered, out)
    progress = NullProgress()
    name = next(iter(change)).replace("_", " ")
    report = run_render(config(scans, out, yaws=(0,), **change), progress)
    assert report.results == {"anna": 1, "Jürg B": 1}
    assert sum(f"{name} was" in text for text in progress.infos) >= 1
    run_render(config(scans, tmp_path / "fresh", yaws=(0,), **change), NullProgress())
    # Subjects that were held out once stay so.
    assert {**tree(out), "val.txt": b""} == {**tree(tmp_path / "fresh"), "val.txt": b""}


def test_bad_options(scans: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="nobody"):
        run_render(config(scans, tmp_path, val_subjects=("nobody",)), NullProgress())
    with pytest.raises(UsageError, match="0 to 359"):
        run_render(config(scans, tmp_path, yaws=(360,)), NullProgress())
    with pytest.raises(JiffError, match="no such folder"):
        run_render(config(tmp_path / "none", tmp_path), NullProgress())


def test_view_names() -> None:
    base = RenderConfig(input=Path("i"), out=Path("o"))
    assert len(view_names(base)) == 360 and view_names(base)[1] == "1_0_00"
    several = view_names(replace(base, yaw_step=90, pitches=(0, -10), lights=2))
    assert len(several) == 16 and "270_-10_01" in several


def test_held_out_subjects() -> None:
    names = [f"s{k:03d}" for k in range(100)]
    chosen = choose_validation(names, 0.1, seed=0)
    assert len(chosen) == 10 and chosen == choose_validation(reversed(names), 0.1, seed=0)
    assert chosen != choose_validation(names, 0.1, seed=1)
    grown = choose_validation([*names, *(f"t{k}" for k in range(100))], 0.1, 0, kept=chosen)
    assert len(grown) == 20 and set(chosen) < set(grown)
    odd = [name for name in names if name not in chosen][:3]
    assert set(odd) < set(choose_validation(names, 0.1, 0, kept=[*odd, "gone"])) < set(names)
    assert choose_validation(["a", "b"], 0.01, 0) != [] and choose_validation(["a"], 0.5, 0) == []
    assert choose_validation(names, 0.0, 0) == []
    assert len(choose_validation(["a", "b"], 1.0, 0)) == 1


def psnr(a: np.ndarray, b: np.ndarray) -> float:
    return 10 * np.log10(255**2 / np.mean((a.astype(float) - b) ** 2))


def test_published_pictures_are_met(shared: Path, tmp_path: Path) -> None:
    reference = shared / "reference/render"
    expected = ProcessedSet(reference / "expected")
    shutil.copytree(reference / "scan_0001", tmp_path / "scans/0001")
    (tmp_path / "scans/0001").chmod(0o755)
    run_render(
        RenderConfig(
            input=tmp_path / "scans", out=tmp_path / "out", yaws=(0, 36, 180, 288), high_size=0, jobs=1,
            env_sh=reference / "env_sh_single.npy", light_rotation=0.0,
        ),
        NullProgress(),
    )  # fmt: skip
    ours = ProcessedSet(tmp_path / "out")

    def read(path: Path) -> np.ndarray:
        return cv2.imread(str(path), cv2.IMREAD_UNCHANGED)

    uv_mask = read(ours.uv_mask("0001")) > 0
    uv_wanted = read(expected.uv_mask("0001")) > 0
    common = uv_mask & uv_wanted
    assert common.sum() / (uv_mask | uv_wanted).sum() >= 0.99
    for view in ("0_0_00", "36_0_00", "180_0_00", "288_0_00"):
        one, two = read_param(ours.param("0001", view)), read_param(expected.param("0001", view))
        assert one.keys() == two.keys()
        assert all(np.allclose(one[k], two[k], rtol=0, atol=1e-9) for k in two)
        mask, wanted = read(ours.mask("0001", view)) > 0, read(expected.mask("0001", view)) > 0
        assert (mask & wanted).sum() / (mask | wanted).sum() >= 0.999
        assert (
            psnr(read(ours.render("0001", view))[wanted], read(expected.render("0001", view))[wanted]) >= 42
        )
        colours = read(ours.uv_render("0001", view)), read(expected.uv_render("0001", view))
        inner = (
            cv2.erode(common.astype(np.uint8), np.ones((17, 17))) > 0
        )  # JPEG blocks mix in what lies outside
        assert psnr(colours[0][inner], colours[1][inner]) >= 42
    distance = np.abs(pyexr.read(str(ours.uv_pos("0001"))) - pyexr.read(str(expected.uv_pos("0001"))))[common]
    assert distance.max() <= 0.05

    def normals(path: Path) -> np.ndarray:
        vectors = read(path)[common][:, ::-1] / 127.5 - 1
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)

    cosine = (normals(ours.uv_normal("0001")) * normals(expected.uv_normal("0001"))).sum(1)
    assert np.degrees(np.arccos(np.median(np.clip(cosine, -1, 1)))) <= 2


def test_light_depends_on_seed_subject_and_view_alone(tmp_path: Path) -> None:
    environments = generate_environments(16, 0)

    def light(subject: str = "a", view: str = "0_0_00", **kwargs) -> np.ndarray:
        options = config(tmp_path, tmp_path, **kwargs)
        return view_light(RenderTask(subject, tmp_path, tmp_path, (view,), options, environments), view)

    assert np.array_equal(light(), light())
    others = [light("b"), light(view="1_0_00"), light(view="0_0_01"), light(view="0_5_00"), light(seed=4)]
    assert all(np.abs(other - light()).max() > 1e-3 for other in others)
    still = light(light_rotation=0.0)
    assert min(np.abs(environments - still).max((1, 2))) == 0
    # A turn about y leaves the mean and the vertical of the light alone.
    turned = light(light_rotation=90.0)
    assert np.allclose(turned[[0, 1]], still[[0, 1]]) and not np.allclose(turned, still)
    many = np.stack([light(view=f"{yaw}_0_00") for yaw in range(100)])
    assert len(np.unique(many[:, 0, 0].round(9))) > 10


def test_scans_in_other_formats_and_unusual_names(tmp_path: Path) -> None:
    mesh = egg()
    scan = tmp_path / "scans" / "wide name ü" / "wide name ü.glb"
    save_mesh(mesh, scan)
    split = load_mesh(scan)
    prt = unoccluded(split)
    write_prt(scan.parent / "bounce", prt.coefficients, prt.faces)
    report = run_render(config(tmp_path / "scans", tmp_path / "out", yaws=(0,)), NullProgress())
    assert report.ok, report.failures
    dataset = ProcessedSet(tmp_path / "out")
    stored = load_mesh(dataset.geometry("wide name ü"))
    assert stored.texture is not None and np.allclose(stored.bounds, mesh.bounds, atol=1e-3)
