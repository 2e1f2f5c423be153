"""Damaged photos, faces, meshes and folders for the commands that evaluate: one sentence, the others done."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import tiny_person
from bad_input import Caller, Damage, as_jpeg, cut, empty_mask, photos, smaller, text_instead
from bad_runs import SMALL, VIEW, jiff_fixture, run_fixture  # noqa: F401
from walk import HELD_OUT, Walk

from jiff.geometry.io.mesh_io import load_mesh, save_mesh

PHOTO_DAMAGES: dict[str, tuple[str, Damage, str]] = {
    "cut image": ("bad.png", cut, "bad.png: is damaged"),
    "cut JPEG": ("bad.png", as_jpeg(cut), "bad.jpg: is damaged"),
    "text as JPEG": ("bad.png", as_jpeg(text_instead), "bad.jpg: is not an image"),
    "cut mask": ("bad_mask.png", cut, "bad_mask.png: is damaged"),
    "smaller mask": ("bad_mask.png", smaller, "bad_mask.png: the mask is 64 x 64 pixels but its image is 128 x 128"),
    "empty mask": ("bad_mask.png", empty_mask, "bad_mask.png: the mask is empty"),
    "no mask": ("bad_mask.png", Path.unlink, "bad_mask.png: the mask is missing"),
}  # fmt: skip


FACE_DAMAGES: dict[str, tuple[str, Damage, str]] = {
    "no region": ("bad_region.txt", Path.unlink, "run `jiff data face"),
    "text as region": ("bad_region.txt", text_instead, "run `jiff data face` again"),
    "no face": ("bad_mesh.obj", Path.unlink, "run `jiff data face"),
    "text as face": ("bad_mesh.obj", text_instead, "holds no triangles"),
}


def check_results(folder: Path) -> None:
    """Check that the good person alone was reconstructed."""
    made = {path.name for path in folder.iterdir() if path.is_file()}
    assert made == {"good.obj", "good.glb", "good.png", "good.json", "summary.json"}
    assert len(load_mesh(folder / "good.obj").faces) > 100


@pytest.mark.parametrize("case", PHOTO_DAMAGES)
def test_eval_pifu(jiff: Caller, run: Path, tmp_path: Path, case: str) -> None:
    file, damage, cause = PHOTO_DAMAGES[case]
    damage(photos(tmp_path / "in") / file)
    said = jiff("eval", "pifu", "-i", "in", "-o", "out", "--checkpoint", run, *SMALL)
    assert list(said.failures) == ["bad"]
    assert cause in said.failures["bad"]
    check_results(tmp_path / "out")


@pytest.mark.parametrize("case", [*FACE_DAMAGES, "cut JPEG", "smaller mask"])
def test_eval_jiff(jiff: Caller, run: Path, tmp_path: Path, case: str) -> None:
    file, damage, cause = {**PHOTO_DAMAGES, **FACE_DAMAGES}[case]
    damage(photos(tmp_path / "in", face=True) / file)
    said = jiff("eval", "jiff", "-i", "in", "-o", "out", "--checkpoint", run, *SMALL)
    assert list(said.failures) == ["bad"]
    assert cause in said.failures["bad"]
    check_results(tmp_path / "out")


@pytest.mark.parametrize("case", [name for name in PHOTO_DAMAGES if name not in ("no mask", "cut image")])
def test_reconstruct(jiff: Caller, run: Path, tmp_path: Path, case: str) -> None:
    file, damage, cause = PHOTO_DAMAGES[case]
    damage(photos(tmp_path / "in") / file)
    said = jiff("reconstruct", "in", "-o", "out", "--checkpoint", run, "--no-face", *SMALL)
    assert list(said.failures) == ["bad"]
    assert cause in said.failures["bad"]
    check_results(tmp_path / "out")
    assert [path for path in (tmp_path / "out" / "crops").iterdir() if path.name.startswith("bad")] == []


def test_damaged_sidecar_is_done_again(jiff: Caller, run: Path, tmp_path: Path) -> None:
    tiny_person.write_photo(tmp_path / "in", "good")
    words = ("eval", "pifu", "-i", "in", "-o", "out", "--checkpoint", run, *SMALL)
    assert jiff(*words).status == 0
    text_instead(tmp_path / "out" / "good.json")
    assert jiff(*words).out.startswith("1 photo done.")
    assert json.loads((tmp_path / "out" / "good.json").read_text())["name"] == "good"


@pytest.fixture
def folder_with_faces(walk: Walk, tmp_path: Path) -> Path:
    """A test folder of two people with fitted faces, and coarse meshes beside it."""
    _ = walk.jiff_results
    for name in ("good", "bad"):
        (tmp_path / "in").mkdir(exist_ok=True)
        (tmp_path / "coarse").mkdir(exist_ok=True)
        for tail in (".jpg", "_mask.png", "_region.txt"):
            shutil.copy(walk.test / f"{HELD_OUT}{tail}", tmp_path / "in" / f"{name}{tail}")
        shutil.copy(walk.test / f"{HELD_OUT}_mesh_unaligned.obj", tmp_path / "in" / f"{name}_mesh.obj")
        shutil.copy(walk.pifu / f"{HELD_OUT}.obj", tmp_path / "coarse" / f"{name}.obj")
    return tmp_path / "in"


ALIGN_DAMAGES: dict[str, tuple[str, Damage, str]] = {
    "no coarse mesh": ("../coarse/bad.obj", Path.unlink, "run `jiff eval pifu`"),
    "text as coarse mesh": ("../coarse/bad.obj", text_instead, "bad.obj: holds no triangles"),
    "text as face": ("bad_mesh.obj", text_instead, "bad_mesh.obj: holds no triangles"),
    "cut image": ("bad.jpg", cut, "bad.jpg: is damaged"),
    "empty mask": ("bad_mask.png", empty_mask, "the mask is empty"),
}


@pytest.mark.parametrize("case", ALIGN_DAMAGES)
def test_align(jiff: Caller, folder_with_faces: Path, case: str) -> None:
    file, damage, cause = ALIGN_DAMAGES[case]
    damage(folder_with_faces / file)
    before = (folder_with_faces / "bad_mesh.obj").read_bytes()
    said = jiff("eval", "align", "--pifu", "coarse", "--test", "in", "--jobs", "1")
    assert list(said.failures) == ["bad"]
    assert cause in said.failures["bad"]
    assert (folder_with_faces / "bad_mesh.obj").read_bytes() == before
    assert not (folder_with_faces / "bad_mesh_unaligned.obj").exists()
    assert (folder_with_faces / "good_mesh_unaligned.obj").is_file()


METRIC_DAMAGES: dict[str, tuple[str, Damage, str]] = {
    "text as mesh": ("pred/bad.obj", text_instead, "pred/bad.obj: holds no triangles"),
    "text as scan": ("gt/bad.obj", text_instead, "gt/bad.obj: holds no triangles"),
    "no scan": ("gt/bad.obj", Path.unlink, "holds no scan of bad"),
}


@pytest.mark.parametrize("case", METRIC_DAMAGES)
def test_metrics(jiff: Caller, tmp_path: Path, case: str) -> None:
    for folder, resolution in (("pred", 32), ("gt", 48)):
        for name in ("good", "bad"):
            save_mesh(tiny_person.figure(resolution), tmp_path / folder / f"{name}.obj")
    file, damage, cause = METRIC_DAMAGES[case]
    damage(tmp_path / file)
    few = ("--samples", "500", "--face-samples", "500", "--volume-spacing-cm", "2", "-j", "1")
    said = jiff("eval", "metrics", "pred", "gt", "-o", "out", *few)
    assert list(said.failures) == ["bad"]
    assert cause in said.failures["bad"]
    table = (tmp_path / "out" / "metrics.csv").read_text()
    assert "good" in table
    assert "bad" not in table


@pytest.mark.parametrize(
    ("damage", "cause"),
    [(text_instead, "holds no triangles"), (lambda p: cut(p, 0.3), "a.glb: it is shorter")],
)
def test_view(jiff: Caller, tmp_path: Path, damage: Damage, cause: str) -> None:
    path = tmp_path / ("a.glb" if "glb" in cause else "a.obj")
    save_mesh(tiny_person.figure(32), path)
    damage(path)
    assert cause in jiff("view", path, "-o", "page.html", "--no-open").error
    assert not (tmp_path / "page.html").exists()
