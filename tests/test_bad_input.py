"""Bad input to every command: one sentence, status 1 or 2, nothing half-written, the other items done."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from bad_input import Caller, Damage, copy_people, cut, empty_mask, leftovers, photos, smaller, text_instead
from bad_runs import SMALL, VIEW, jiff_fixture, run_fixture  # noqa: F401
from tiny_set import make_set
from walk import PEOPLE, Walk

from jiff.geometry.io.mesh_io import load_mesh

GOOD, BAD = PEOPLE[0], PEOPLE[1]
TRAIN = ("--preset", "tiny", "--gpu-ids", "-1", "--jobs", "1", "--max-steps", "2", "--no-tensorboard")


@pytest.fixture(scope="module")
def tiny_data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A processed set of ellipsoids."""
    return make_set(tmp_path_factory.mktemp("tiny") / "set").root


def two(source: Path, target: Path) -> Path:
    """Copy two scans."""
    for name in (GOOD, BAD):
        shutil.copytree(source / name, target / name)
    return target


def remove_texture(folder: Path) -> None:
    """Leave the OBJ alone."""
    for path in folder.iterdir():
        if path.is_file() and path.suffix != ".obj":
            path.unlink()


SCAN_DAMAGES: dict[str, tuple[Damage, str]] = {
    "no texture": (remove_texture, "neither texture nor vertex colours"),
    "lost texture": (lambda p: (p / "material0.jpeg").unlink(), "material0.jpeg is not there"),
    "cut texture": (
        lambda p: cut(p / "material0.jpeg"),
        "material0.jpeg: is not an image that can be decoded",
    ),
    "text as texture": (lambda p: text_instead(p / "material0.jpeg"), "material0.jpeg: is not an image;"),
    "text as mesh": (lambda p: text_instead(p / f"{BAD}.obj"), f"{BAD}.obj: holds no triangles"),
}


@pytest.mark.parametrize("case", SCAN_DAMAGES)
def test_rescale(jiff: Caller, walk: Walk, tmp_path: Path, case: str) -> None:
    damage, cause = SCAN_DAMAGES[case]
    damage(two(walk.scans, tmp_path / "in") / BAD)
    said = jiff("data", "rescale", "-i", "in", "-o", "out", "-j", "1")
    assert list(said.failures) == [BAD]
    assert cause in said.failures[BAD]
    assert [path.name for path in (tmp_path / "out").iterdir()] == [GOOD]
    assert load_mesh(tmp_path / "out" / GOOD / f"{GOOD}.obj").texture is not None


def test_rescale_in_worker_processes(walk: Walk, tmp_path: Path) -> None:
    remove_texture(two(walk.scans, tmp_path / "in") / BAD)
    done = walk.jiff("data", "rescale", "-i", tmp_path / "in", "-o", tmp_path / "out", "-j", "2", status=1)
    assert done.stdout.startswith("1 scan done, 1 failed.")
    assert done.stderr.splitlines()[-1].startswith(f"  {BAD}: ")
    assert [path.name for path in (tmp_path / "out").iterdir()] == [GOOD]


@pytest.mark.parametrize("case", SCAN_DAMAGES)
def test_check_of_scans(jiff: Caller, walk: Walk, tmp_path: Path, case: str) -> None:
    damage, cause = SCAN_DAMAGES[case]
    damage(two(walk.scans, tmp_path / "in") / BAD)
    said = jiff("data", "check", "in", "-j", "1", "--json", "found.json")
    assert list(said.failures) == [BAD]
    assert cause.split(": ")[-1].split(" nor ")[0] in said.failures[BAD] or "texture" in said.failures[BAD]
    assert GOOD in (tmp_path / "found.json").read_text()


@pytest.mark.parametrize("case", ["text as mesh"])
def test_prt(jiff: Caller, walk: Walk, tmp_path: Path, case: str) -> None:
    damage, cause = SCAN_DAMAGES[case]
    folder = two(walk.lit, tmp_path / "in")
    for name in (GOOD, BAD):
        shutil.rmtree(folder / name / "bounce")
    damage(folder / BAD)
    said = jiff("data", "prt", "-i", "in", "-n", "8", "-j", "1")
    assert list(said.failures) == [BAD]
    assert cause in said.failures[BAD]
    assert not (folder / BAD / "bounce").exists()
    assert (folder / GOOD / "bounce" / "bounce0.txt").is_file()


RENDER_DAMAGES: dict[str, tuple[Damage, str]] = {
    **SCAN_DAMAGES,
    "no PRT": (lambda p: shutil.rmtree(p / "bounce"), "run `jiff data prt`"),
    "cut PRT": (lambda p: cut(p / "bounce" / "face.npy"), "run `jiff data prt --overwrite`"),
}


@pytest.mark.parametrize("case", RENDER_DAMAGES)
def test_render(jiff: Caller, walk: Walk, tmp_path: Path, case: str) -> None:
    damage, cause = RENDER_DAMAGES[case]
    damage(two(walk.lit, tmp_path / "in") / BAD)
    said = jiff("data", "render", "-i", "in", "-o", "out", *VIEW)
    assert list(said.failures) == [BAD]
    assert cause in said.failures[BAD]
    assert [path for path in (tmp_path / "out").rglob("*") if BAD in path.name] == []
    assert (tmp_path / "out" / "RENDER" / GOOD / "0_0_00.jpg").is_file()
    assert leftovers(tmp_path) == []


def test_render_wants_rescaled_scans(jiff: Caller, walk: Walk, tmp_path: Path) -> None:
    folder = two(walk.lit, tmp_path / "in")
    shutil.copy(walk.scans / BAD / f"{BAD}.obj", folder / BAD / f"{BAD}.obj")
    said = jiff("data", "render", "-i", "in", "-o", "out", *VIEW)
    assert "run `jiff data rescale` first" in said.failures[BAD]


SET_DAMAGES: dict[str, tuple[str, Damage, str, str]] = {
    "cut image": (f"RENDER/{BAD}/0_0_00.jpg", cut, "0_0_00.jpg: is damaged", "images are cut off (RENDER/0_0_00)"),
    "text as image": (f"RENDER/{BAD}/0_0_00.jpg", text_instead, "0_0_00.jpg: is not an image", "RENDER/0_0_00"),
    "cut mask": (f"MASK/{BAD}/0_0_00.png", cut, "0_0_00.png: is damaged", "images are cut off (MASK/0_0_00)"),
    "smaller mask": (f"MASK/{BAD}/0_0_00.png", smaller, "256 x 256", f"MASK/{BAD}/0_0_00.png is 256 x 256 pixels"),
    "empty mask": (f"MASK/{BAD}/0_0_00.png", empty_mask, "the mask is empty", f"MASK/{BAD}/0_0_00.png is empty"),
    "cut camera": (f"PARAM/{BAD}/0_0_00.npy", cut, "0_0_00.npy: is not a PARAM", "0_0_00.npy: is not a PARAM"),
    "no scan": (f"GEO/OBJ/{BAD}/{BAD}.obj", Path.unlink, f"{BAD}.obj: no such file", f"{BAD}.obj is missing"),
}  # fmt: skip


def drop_faces(root: Path) -> None:
    """Bring a processed set to the state before the face step."""
    for folder in ("FACE_3DMM", "FACE_REGION", "FILE_NUMBER"):
        shutil.rmtree(root / folder)


@pytest.mark.parametrize("case", SET_DAMAGES)
def test_face(jiff: Caller, walk: Walk, tmp_path: Path, case: str) -> None:
    file, damage, cause, _ = SET_DAMAGES[case]
    high = {"cut image", "text as image", "cut mask", "smaller mask", "empty mask"}
    root = copy_people(walk.data, tmp_path / "set", (GOOD, BAD))
    drop_faces(root)
    if case in high:
        for folder in ("RENDER_1024", "MASK_1024"):
            shutil.rmtree(root / folder)
    if case == "no scan":
        shutil.rmtree(root / "CACHE" / BAD)
    damage(root / file)
    said = jiff("data", "face", "-i", "set", "-j", "1")
    assert list(said.failures) == [BAD]
    assert cause in said.failures[BAD]
    made = [path for path in root.rglob("*") if path.is_file() and BAD in str(path) and "FACE" in str(path)]
    assert made == []
    assert (root / "FACE_3DMM" / GOOD / "0_0_00_mesh.obj").is_file()


@pytest.mark.parametrize("case", SET_DAMAGES)
def test_check_of_a_set(jiff: Caller, walk: Walk, tmp_path: Path, case: str) -> None:
    file, damage, _, cause = SET_DAMAGES[case]
    root = copy_people(walk.data, tmp_path / "set", (GOOD, BAD))
    damage(root / file)
    said = jiff("data", "check", "set", "-j", "1", "--silhouettes", "1")
    assert list(said.failures) == [BAD]
    assert cause in said.failures[BAD]
    assert "FILE_NUMBER" not in said.failures[BAD]
    assert "1 pass, 1 reject" in said.err


@pytest.mark.parametrize("file", ["0_0_00_mesh.obj", "fit.json"])
@pytest.mark.parametrize("again", [True, False])
def test_icp(jiff: Caller, walk: Walk, tmp_path: Path, file: str, again: bool) -> None:
    root = copy_people(walk.data, tmp_path / "set", (GOOD, BAD))
    path = root / "FACE_3DMM" / BAD / file
    text_instead(path)
    before = path.read_bytes()
    said = jiff("data", "icp", "-i", "set", "-j", "1", *(["--overwrite"] if again else []))
    assert list(said.failures) == [BAD]
    assert file in said.failures[BAD]
    assert path.read_bytes() == before
    assert ("1 subject done, 1 failed" if again else "0 subjects done, 1 complete before") in said.out


TRAIN_FILES: dict[str, tuple[str, Damage, str]] = {
    "cut image": ("RENDER/s0/20_0_00.jpg", cut, "20_0_00.jpg: is damaged"),
    "smaller mask": ("MASK/s0/20_0_00.png", smaller, "is 64 x 64 pixels where its image is 128 x 128"),
    "empty mask": ("MASK/s0/20_0_00.png", empty_mask, "the mask is empty"),
    "cut camera": ("PARAM/s0/20_0_00.npy", cut, "is not a PARAM record"),
}


@pytest.mark.parametrize("case", TRAIN_FILES)
def test_training_goes_on_without_a_damaged_item(
    jiff: Caller, tiny_data: Path, tmp_path: Path, case: str
) -> None:
    file, damage, cause = TRAIN_FILES[case]
    root = tmp_path / "set"
    shutil.copytree(tiny_data, root)
    damage(root / file)
    said = jiff("train", "shape", "-i", "set", "--checkpoints-path", "runs", *TRAIN, "--max-steps", "6")
    assert said.status == 0
    assert said.err.splitlines()[-1].strip().startswith(str(Path("set") / file))
    assert cause in said.err
    assert (tmp_path / "runs" / "example" / "shape" / "latest.safetensors").is_file()


@pytest.mark.parametrize("file", ["GEO/OBJ/s0/s0.obj", "FACE_3DMM/s0/0_0_00_mesh.obj", "FACE_REGION/s0/0_0_00.txt"])  # fmt: skip
def test_training_leaves_a_damaged_subject_out_and_refuses_a_damaged_set(
    jiff: Caller, tiny_data: Path, tmp_path: Path, file: str
) -> None:
    root = tmp_path / "set"
    shutil.copytree(tiny_data, root)
    text_instead(root / file)
    train = ["train", "shape", "-i", "set", "--checkpoints-path", "runs", *TRAIN]
    said = jiff(*train)
    assert said.status == 0
    assert said.err.splitlines()[-1].strip().startswith(f"s0: {Path('set') / file}")
    assert (tmp_path / "runs" / "example" / "shape" / "latest.safetensors").is_file()
    for path in root.glob(file.replace("s0", "*")):
        text_instead(path)
    shutil.rmtree(tmp_path / "runs")
    assert Path(file).name.replace("s0", "") in jiff(*train).error
    assert not (tmp_path / "runs").exists()
    assert jiff("train", "check", "-i", "set", "-o", "items.png", "--items", "2").status == 1
    assert not (tmp_path / "items.png").exists()


CHECKPOINTS: dict[str, tuple[str, str]] = {
    "cut": ("cut.safetensors", "cut.safetensors: is truncated or damaged"),
    "text": ("text.safetensors", "text.safetensors: is truncated or no checkpoint"),
    "text .pth": ("text.pth", "text.pth: is truncated or no checkpoint"),
    "no state dict": ("other.pth", "other.pth: holds no state dict"),
    "another stage": ("color_fine/latest.safetensors", "holds a color_fine network, not shape"),
    "missing": ("nowhere.pth", "nowhere.pth: cannot be read"),
    "another architecture": ("wide_shape.safetensors", "64"),
}


@pytest.mark.parametrize("case", CHECKPOINTS)
@pytest.mark.parametrize("command", ["pifu", "jiff", "reconstruct", "train"])
def test_checkpoints(
    jiff: Caller, run: Path, tiny_data: Path, tmp_path: Path, case: str, command: str
) -> None:
    name, cause = CHECKPOINTS[case]
    photos(tmp_path / "in", face=True)
    words: tuple[object, ...] = ("eval", command, "-i", "in", "-o", "out", "--checkpoint", run, *SMALL)
    if command == "reconstruct":
        words = ("reconstruct", "in", "-o", "out", "--checkpoint", run, *SMALL)
    if command == "train":
        words = ("train", "color-coarse", "-i", tiny_data, "--checkpoints-path", "out", *TRAIN)
    said = jiff(*words, "--load_netG_checkpoint_path", run / name)
    assert cause in said.error
    assert name in said.error
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_colour_networks_of_another_size(jiff: Caller, run: Path, tiny_data: Path, tmp_path: Path) -> None:
    photos(tmp_path / "in")
    wide = run / "wide_coarse.safetensors"
    pifu = ("eval", "pifu", "-i", "in", "-o", "out", "--checkpoint", run, *SMALL)
    assert (
        "wide_coarse.safetensors: expects 64" in jiff(*pifu, "--load_netC_coarse_checkpoint_path", wide).error
    )
    words = ("train", "color-fine", "-i", tiny_data, "--checkpoints-path", "out", *TRAIN)
    words += ("--load_netG_checkpoint_path", str(run / "shape" / "latest.safetensors"))
    assert "wide_coarse.safetensors: this" in jiff(*words, "--load_netC_coarse_checkpoint_path", wide).error
    assert not (tmp_path / "out").exists()


MISSING = {
    "data rescale": "-i {} -o out",
    "data prt": "-i {}",
    "data render": "-i {} -o out",
    "data face": "-i {}",
    "data icp": "-i {}",
    "data check": "{}",
    "train shape": "-i {} --checkpoints-path out",
    "train check": "-i {} -o out.png",
    "eval pifu": "-i {} -o out --checkpoint RUN",
    "eval jiff": "-i {} -o out --checkpoint RUN",
    "eval align": "--pifu {0} --test {0}",
    "eval metrics": "{0} {0} -o out",
    "reconstruct": "{} -o out --checkpoint RUN",
    "view": "{} -o out.html --no-open",
}


@pytest.mark.parametrize("command", MISSING)
def test_missing_and_empty_folders(jiff: Caller, run: Path, tmp_path: Path, command: str) -> None:
    (tmp_path / "empty").mkdir()
    for name in ("missing", "empty"):
        words = MISSING[command].format(name).replace("RUN", str(run)).split()
        assert jiff(*command.split(), *words).error.startswith(f"{name}: ")
    assert [path.name for path in tmp_path.iterdir()] == ["empty"]
