"""``jiff reconstruct --rig``: a GLB with bones where the photo has a body, the plain one and a reason where not."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import gltf_rules
import numpy as np
import pytest
import tiny_person
from PIL import Image

from jiff.base.errors import UsageError
from jiff.base.progress import NullProgress, Progress
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JointPose
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.body import BodyConfig
from jiff.options.reconstruct import ReconstructConfig
from jiff.pipelines import rig
from jiff.pipelines.reconstruct import run_reconstruct
from jiff.pipelines.rig import body_file
from jiff.run.parallel import WorkReport


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tiny_person.train_networks(tmp_path_factory.mktemp("run"), steps=40)


@pytest.fixture(scope="module")
def photo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    person = tiny_person.photo(256)
    path = tmp_path_factory.mktemp("photos") / "a.png"
    Image.fromarray(np.concatenate([person.rgb, person.mask[..., None]], axis=2)).save(path)
    return path


def config(run: Path, photo: Path, out: Path) -> ReconstructConfig:
    return ReconstructConfig(
        photo, out, checkpoint=run, resolution=48, format=("glb", "ply"), no_face=True, device="cpu", rig=True
    )


def standing(offset: float = 0.0) -> PlacedBody:
    """A body of the figure's size with hanging arms."""
    pose = JointPose.rest()
    pose.turns[6], pose.turns[10] = (0, 0, -0.6), (0, 0, 0.6)
    return PlacedBody({}, pose, 98.0, np.array([offset, 81.0, 4.0]))


def test_bones_where_there_is_a_body(
    run: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Path] = []

    def found(path: Path) -> PlacedBody:
        asked.append(path)
        return standing()

    monkeypatch.setattr(rig, "photo_body", found)

    def fitted(config: BodyConfig, progress: Progress) -> WorkReport:
        asked.append(config.input / config.names[0])
        return WorkReport()

    monkeypatch.setattr(rig, "run_body", fitted)
    wanted = config(run, photo, tmp_path)
    report = run_reconstruct(wanted, NullProgress())
    assert report.ok, report.failures
    assert asked == [tmp_path / "crops" / "a", body_file(tmp_path / "crops", "a")]
    glb = gltf_rules.Glb((tmp_path / "a.glb").read_bytes())
    gltf_rules.check(glb)
    assert [clip["name"] for clip in glb.tree["animations"]] == ["photo"]
    assert len(glb.tree["skins"][0]["joints"]) == 65
    record = json.loads((tmp_path / "a.json").read_text())
    assert record["rig"] == {"bones": 65, "names": "mixamo", "walk": False}
    # The surface is the reconstruction's in another pose; arms are cut off a trunk that they ran together with.
    counts = [len(load_mesh(tmp_path / name).faces) for name in ("a.glb", "a.ply")]
    assert counts[0] == pytest.approx(counts[1], rel=0.05)
    assert run_reconstruct(wanted, NullProgress()).skipped == ["a"]
    again = run_reconstruct(replace(wanted, walk=True, bone_names="vrm"), NullProgress())
    assert list(again.results) == ["a"]
    glb = gltf_rules.Glb((tmp_path / "a.glb").read_bytes())
    assert [clip["name"] for clip in glb.tree["animations"]] == ["photo", "walk"]
    assert "VRMC_vrm" in glb.tree["extensions"]
    # Another body, another rig; and without --rig the plain mesh again.
    body_file(tmp_path / "crops", "a").write_text("{}")
    assert list(run_reconstruct(replace(wanted, walk=True, bone_names="vrm"), NullProgress()).results) == [
        "a"
    ]
    assert list(run_reconstruct(replace(wanted, rig=False), NullProgress()).results) == ["a"]
    assert "skins" not in gltf_rules.Glb((tmp_path / "a.glb").read_bytes()).tree


@pytest.mark.parametrize(
    ("body", "reason"), [(None, "networks that see people"), (standing(90.0), "cm off the surface")]
)
def test_without_a_body_that_fits_the_plain_mesh_stays_and_the_photo_is_reported(
    run: Path,
    photo: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    body: PlacedBody | None,
    reason: str,
) -> None:
    if body is not None:
        monkeypatch.setattr(rig, "photo_body", lambda path: body)
        monkeypatch.setattr(rig, "run_body", lambda config, progress: WorkReport())
    for _ in range(2):
        # What is complete from before is reported again.
        report = run_reconstruct(config(run, photo, tmp_path), NullProgress())
        assert report.failures["a"].startswith("Reconstructed without bones, because ")
        assert reason in report.failures["a"]
    assert report.skipped == ["a"]
    tree = gltf_rules.Glb((tmp_path / "a.glb").read_bytes()).tree
    assert "skins" not in tree and len(tree["nodes"]) == 1
    people = json.loads((tmp_path / "summary.json").read_text())["people"]
    assert people["a"]["status"] == "done with a fallback" and people["a"]["step"] == "rig"
    assert people["a"]["instead"] == "the GLB is the plain mesh"


def test_options_that_do_nothing_are_refused(photo: Path) -> None:
    with pytest.raises(UsageError, match="add --rig"):
        ReconstructConfig(photo, walk=True)
    with pytest.raises(UsageError, match="add glb to --format"):
        ReconstructConfig(photo, rig=True, format=("obj",))
    assert ReconstructConfig(photo, rig=True, format=("obj,glb",)).rig


def test_command_line(run: Path, photo: Path, tmp_path: Path) -> None:
    words = [
        sys.executable,
        "-m",
        "jiff_cli",
        "reconstruct",
        str(photo),
        "-o",
        str(tmp_path),
        "--device",
        "cpu",
    ]
    words += ["--checkpoint", str(run), "--resolution", "32", "--no-face", "--bone-names", "vrm"]
    refused = subprocess.run(words, capture_output=True, text=True, timeout=100)
    assert refused.returncode == 2 and "add --rig" in refused.stderr
    done = subprocess.run([*words, "--rig", "--walk"], capture_output=True, text=True, timeout=100)
    # No body was fitted here: the photo is a failure that left the plain mesh.
    assert done.returncode == 1 and "without bones" in done.stdout + done.stderr
    assert (tmp_path / "a.glb").is_file()
