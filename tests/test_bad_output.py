"""Outputs that cannot be written: a full disk, a read-only disk, a file where a folder is needed."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import tiny_person
from bad_input import Caller, Said, copy_people, largest_file, leftovers
from tiny_set import make_set
from walk import HELD_OUT, PEOPLE, Walk, digests

from jiff.data.layout import ProcessedSet
from jiff.geometry.io.mesh_io import save_mesh

GOOD = PEOPLE[0]
TRAIN = ("--preset", "tiny", "--gpu-ids", "-1", "--jobs", "1", "--max-steps", "2", "--no-tensorboard")
SMALL = ("--resolution", "32", "--device", "cpu")


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A trained run."""
    return tiny_person.train_networks(tmp_path_factory.mktemp("run"), steps=40)


@pytest.fixture
def place(
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    walk: Walk,
    tmp_path: Path,
    run: Path,
) -> Caller:
    """The command line in a folder with inputs of every command, each named after what it is."""
    for name in ("JIFF_CACHE", "JIFF_ASSETS"):
        monkeypatch.setenv(name, walk.env[name])
    monkeypatch.chdir(tmp_path)
    shutil.copytree(walk.scans / GOOD, tmp_path / "scans" / GOOD)
    shutil.copytree(walk.lit / GOOD, tmp_path / "lit" / GOOD)
    tiny_person.write_photo(tmp_path / "photos", "good", face=True)
    save_mesh(tiny_person.figure(48), tmp_path / "mesh.obj")
    (tmp_path / "run").symlink_to(run)
    (tmp_path / "file").write_text("")
    return Caller(capfd)


def with_set(walk: Walk, tmp_path: Path, *, faces: bool) -> None:
    """Add a processed set of one person."""
    copy_people(walk.data, tmp_path / "set", (GOOD,))
    if not faces:
        for folder in ("FACE_3DMM", "FACE_REGION", "FILE_NUMBER"):
            shutil.rmtree(tmp_path / "set" / folder)


def only_sentence(said: Said) -> str:
    """Return the one sentence of a command that ended, or whose one item failed."""
    if "Failed (" in said.err:
        (sentence,) = said.failures.values()
        return sentence
    return said.error


COMMANDS = {
    "synth": "data synth -o {}/s -n 1 --triangles 40000 --texture-size 512 -j 1",
    "rescale": "data rescale -i scans -o {}/r -j 1",
    "render": "data render -i lit -o {}/p --yaws 0 --size 128 --high-size 0 -j 1",
    "check": "data check scans -j 1 --json {}/c.json",
    "sheet": "data check scans -j 1 --contact-sheet {}/c.png",
    "pifu": "eval pifu -i photos -o {}/e --checkpoint run --resolution 32 --device cpu",
    "jiff": "eval jiff -i photos -o {}/e --checkpoint run --resolution 32 --device cpu",
    "reconstruct": "reconstruct photos/good.png -o {}/e --checkpoint run --no-face --resolution 32 --device cpu",
    "metrics": "eval metrics mesh.obj mesh.obj -o {}/m --samples 500 -j 1",
    "view": "view mesh.obj -o {}/v.html --no-open",
    "convert": "assets convert run/shape/latest.safetensors {}/n.pth",
}
# Every command's smallest file passes, its largest does not; the check's report is small.
LIMITS = {"check": 200, "metrics": 200, "render": 60_000, "rescale": 300_000}


@pytest.mark.parametrize("command", COMMANDS)
def test_a_file_where_a_folder_is_needed(place: Caller, tmp_path: Path, command: str) -> None:
    before = digests(tmp_path)
    said = place(*COMMANDS[command].format("file").split())
    assert "a file stands where a folder is needed; choose another folder" in only_sentence(said)
    assert digests(tmp_path) == before


@pytest.mark.parametrize("command", COMMANDS)
def test_full_disk(place: Caller, tmp_path: Path, command: str) -> None:
    before = set(digests(tmp_path))
    with largest_file(LIMITS.get(command, 20_000)):
        said = place(*COMMANDS[command].format("out").split())
    sentence = only_sentence(said)
    assert "cannot be written because" in sentence
    assert "; " in sentence
    assert leftovers(tmp_path) == []
    made = {Path(name).name for name in set(digests(tmp_path)) - before}
    if command == "render":
        # Whole views; the subject counts as incomplete until its maps and its scan are there.
        assert not {"00.exr", f"{GOOD}.obj"} & made
    elif command == "check":
        assert made == set()
    else:
        assert made <= {"summary.json"}
    if command in ("synth", "rescale", "render"):
        assert place(*COMMANDS[command].format("out").split()).out.startswith("1 scan done.")


def test_prt_has_all_its_files_or_none(place: Caller, tmp_path: Path) -> None:
    bounce = tmp_path / "lit" / GOOD / "bounce"
    shutil.rmtree(bounce)
    with largest_file(20_000):
        said = place("data", "prt", "-i", "lit", "-n", "8", "-j", "1")
    assert "bounce: cannot be written because" in only_sentence(said)
    assert not bounce.exists()
    bounce.write_text("in the way")
    said = place("data", "prt", "-i", "lit", "-n", "8", "-j", "1")
    assert "a file stands where a folder is needed" in only_sentence(said)
    assert leftovers(tmp_path) == []


def test_face_of_a_set(place: Caller, walk: Walk, tmp_path: Path) -> None:
    with_set(walk, tmp_path, faces=False)
    with largest_file(40_000):
        said = place("data", "face", "-i", "set", "-j", "1")
    assert "0_0_00_mesh.obj: cannot be written because" in only_sentence(said)
    assert list(tmp_path.rglob("0_0_00_mesh.obj")) == []
    assert leftovers(tmp_path) == []


def test_icp_keeps_the_face_that_was_there(place: Caller, walk: Walk, tmp_path: Path) -> None:
    with_set(walk, tmp_path, faces=True)
    before = digests(tmp_path / "set" / "FACE_3DMM")
    with largest_file(40_000):
        said = place("data", "icp", "-i", "set", "-j", "1", "--overwrite")
    assert "0_0_00_mesh.obj: cannot be written because" in only_sentence(said)
    assert digests(tmp_path / "set" / "FACE_3DMM") == before


def test_faces_of_photos_keep_what_was_there(place: Caller, walk: Walk, tmp_path: Path) -> None:
    _ = walk.jiff_results
    shutil.copytree(walk.test, tmp_path / "test")
    before = digests(tmp_path / "test")
    with largest_file(40_000):
        said = place("data", "face", "-i", "test", "--overwrite", "--jobs", "1")
        assert f"{HELD_OUT}_mesh.obj: cannot be written because" in only_sentence(said)
        said = place("eval", "align", "--pifu", walk.pifu, "--test", "test", "--overwrite", "--jobs", "1")
        assert f"{HELD_OUT}_mesh.obj: cannot be written because" in only_sentence(said)
    assert digests(tmp_path / "test") == before


def test_training_stops_with_its_last_checkpoint_whole(place: Caller, tmp_path: Path) -> None:
    data = make_set(tmp_path / "tiny").root
    words = ("train", "shape", "-i", data, "--checkpoints-path", "runs", *TRAIN)
    assert place(*words, "--max-steps", "1").status == 0
    folder = tmp_path / "runs" / "example" / "shape"
    before = digests(folder)
    with largest_file(100_000):
        said = place(*words, "--continue-train")
    assert "latest.safetensors: cannot be written because" in said.error
    kept = ("latest.safetensors", "best.safetensors", "state.ckpt")
    assert {name: digests(folder)[name] for name in kept} == {name: before[name] for name in kept}
    assert place(*words, "--continue-train").status == 0
    assert digests(folder)["state.ckpt"] != before["state.ckpt"]


def test_training_into_a_file(place: Caller, tmp_path: Path) -> None:
    data = make_set(tmp_path / "tiny").root
    said = place("train", "shape", "-i", data, "--checkpoints-path", "file/runs", *TRAIN)
    assert "a file stands where a folder is needed" in said.error
    said = place("train", "check", "-i", data, "-o", "file/items.png", "--items", "1")
    assert "a file stands where a folder is needed" in said.error
    assert ProcessedSet(data).subjects()


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 600 kB; only root can make one."""
    folder = tmp_path / "disk"
    folder.mkdir()
    if not sys.platform.startswith("linux") or shutil.which("mount") is None:
        pytest.skip("a small disk needs Linux and mount")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=600k", "none", str(folder)], capture_output=True
    )
    if mounted.returncode != 0:
        pytest.skip("only root may mount a small disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, capture_output=True)


def test_a_disk_that_is_really_full_and_then_read_only(walk: Walk, small_disk: Path) -> None:
    out = small_disk / "out"
    done = walk.jiff("data", "rescale", "-i", walk.scans, "-o", out, status=1)
    failed = done.stderr.split("Failed (3):\n")[1].splitlines()
    assert len(failed) == 3
    assert all(line.endswith("the disk is full; free some space and run the same command again.") for line in failed)  # fmt: skip
    assert list(out.iterdir()) == []
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True, capture_output=True)
    done = walk.jiff("data", "synth", "-o", small_disk / "new", "-n", "1", status=1)
    assert done.stderr == (
        f"Error: {small_disk / 'new'}: cannot be written because its disk is read-only; choose a folder you may"
        " write to.\n"
    )
