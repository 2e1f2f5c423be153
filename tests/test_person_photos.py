"""``jiff data photos`` with the networks that see people: what it leaves behind, and a photo through all steps after it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from jiff.base.errors import AssetError
from jiff.base.progress import NullProgress
from jiff.data.people_set import held_out_people, list_views
from jiff.data.person_set import PersonSet, PersonSetConfig
from jiff.data.person_view import PersonView, read_view
from jiff.geometry.io.mesh_io import load_mesh
from jiff.options.photos import PhotosConfig
from jiff.options.reconstruct import ReconstructConfig
from jiff.perception.files import find_networks
from jiff.perception.networks import PersonNetworks
from jiff.pipelines import photos
from jiff.pipelines.people import person_name
from jiff.pipelines.photos import run_photos
from jiff.pipelines.reconstruct import run_reconstruct
from tests.test_held_run import save_person


def config(out: Path, **changes: Any) -> PhotosConfig:
    values = {"people": 2, "views": 1, "held_out": 2, "texture_size": 256, "jobs": 1, "seed": 7}
    return PhotosConfig(**{"out": out, **values, **changes})


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two people, photographed once each by the real command."""
    env = {name: value for name, value in os.environ.items() if name != "JIFF_PERCEPTION"}
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("JIFF_PERCEPTION")
        if find_networks() is None:
            pytest.skip("the person networks are not there (`jiff assets fetch perception`)")
    out = tmp_path_factory.mktemp("made") / "photos"
    words = [
        "data",
        "photos",
        "-o",
        str(out),
        "-n",
        "2",
        "--views",
        "1",
        "--held-out",
        "2",
        "--texture-size",
        "256",
    ]
    said = subprocess.run(
        [sys.executable, "-m", "jiff_cli", *words, "--jobs", "1", "--seed", "7"],
        capture_output=True, text=True, timeout=300, env={**env, "TERMINAL_WIDTH": "200"},
    )  # fmt: skip
    assert said.returncode == 0, said.stdout + said.stderr
    assert f"jiff train person -i {out}" in " ".join((said.stdout + said.stderr).split())
    return out


def test_people_are_photographed_labelled_and_listed(made: Path) -> None:
    assert {path.name for path in made.iterdir()} == {"person_00000", "person_00001", "val.txt"}
    assert list(list_views(made)) == [person_name(0), person_name(1)]
    assert held_out_people(made) == [person_name(1)]
    record = json.loads((made / person_name(0) / "person.json").read_text())
    assert record["views"] == 1 and record["stamp"]["settings"]["seed"] == 7
    for name in (person_name(0), person_name(1)):
        view = read_view(made / name / "view_0.npz")
        assert view.rgb.shape == (256, 256, 3) and view.head_rgb.shape == (256, 256, 3)
        assert (view.mask >= 128).mean() > 0.05 and len(view.points) > 12_000 and len(view.surface) >= 5000
        # The fitted body stands near the person, and as often inside as out.
        skin = view.surface_prior[:, 0].astype(float)
        assert np.median(np.abs(skin)) < 6
        assert 0.2 < (view.distance > 0).mean() < 0.8
        held = (view.prior[:, 0] > 0) == (view.distance > 0)
        assert held.mean() > 0.7
    assert len(PersonSet(made, [person_name(0)], PersonSetConfig())[(0, 0)].tensors["targets"]) == 3700


def test_what_is_complete_stays_and_other_settings_are_made_again(
    made: Path, tmp_path: Path, networks: PersonNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = shutil.copytree(made, tmp_path / "photos")
    asked: list[str] = []

    def make(job: Any) -> dict[str, Any]:
        asked.append(job.folder.name)
        return {"views": 1}

    monkeypatch.setattr(photos, "make_person", make)
    monkeypatch.setattr(photos, "warm_up", lambda *_: None)
    assert sorted(run_photos(config(out), NullProgress()).skipped) == [person_name(0), person_name(1)]
    assert asked == []
    # As the sentence about a damaged photo says: delete it and run the command again.
    (out / person_name(1) / "view_0.npz").unlink()
    run_photos(config(out), NullProgress())
    assert asked == [person_name(1)]
    asked.clear()
    shutil.copy(made / person_name(1) / "view_0.npz", out / person_name(1))
    run_photos(config(out, people=3, held_out=0), NullProgress())
    assert asked == [person_name(2)] and held_out_people(out) == []
    asked.clear()
    # Seeds are counted on: what was person 1 of one seed is person 0 of the next, but another folder.
    run_photos(config(out, seed=8), NullProgress())
    assert asked == [person_name(0), person_name(1)]
    asked.clear()
    run_photos(config(out, overwrite=True), NullProgress())
    assert asked == [person_name(0), person_name(1)]


def test_one_seed_gives_one_person_wherever_it_is_counted(
    made: Path, tmp_path: Path, networks: PersonNetworks
) -> None:
    report = run_photos(config(tmp_path, seed=8, people=1), NullProgress())
    assert report.ok, report.failures
    first = read_view(made / person_name(1) / "view_0.npz")
    second = read_view(tmp_path / person_name(0) / "view_0.npz")
    for name in vars(first):
        np.testing.assert_array_equal(getattr(first, name), getattr(second, name), err_msg=name)


def test_people_of_whom_no_photo_can_be_used_are_told(
    tmp_path: Path, networks: PersonNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[PersonView | None] = []
    monkeypatch.setattr(photos, "make_view", lambda sitter, rng: tried.append(None))
    report = run_photos(config(tmp_path, people=1, views=2), NullProgress())
    assert "in none of 8 photos" in report.failures[person_name(0)] and len(tried) == 8
    assert not list(tmp_path.glob("**/*.npz"))


def test_a_smaller_call_leaves_those_held_out_who_were(
    tmp_path: Path, networks: PersonNetworks, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(photos, "make_person", lambda job: {})
    for number in range(4):
        (tmp_path / person_name(number)).mkdir()
    run_photos(config(tmp_path, people=2, held_out=2), NullProgress())
    assert (tmp_path / "val.txt").read_text().split() == [person_name(1), person_name(3)]


def test_without_networks_the_command_to_fetch_them_is_named(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match="jiff assets fetch perception"):
        run_photos(config(tmp_path), NullProgress())


def test_a_real_photo_goes_through_all_steps(shared: Path, tmp_path: Path, networks: PersonNetworks) -> None:
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(shared / "photos" / "sample.jpg", folder / "sample.jpg")
    run = save_person(tmp_path / "run")
    wanted = ReconstructConfig(
        folder, tmp_path / "out", checkpoint=run, resolution=64, format=("glb",), device="cpu", decimate=3000,
        texture_size=128,
    )  # fmt: skip
    report = run_reconstruct(wanted, NullProgress())
    assert report.ok, report.failures
    record = json.loads((tmp_path / "out" / "sample.json").read_text())
    assert record["quality"]["face_prior"] is True and record["quality"]["face_fit"]["model"] == "anny"
    assert record["numbers"]["silhouette_iou"] > 0.75
    body = json.loads((tmp_path / "out" / "crops" / "sample_body.json").read_text())
    assert body["carries_face"] is True
    assert load_mesh(tmp_path / "out" / "sample.glb").texture is not None
    assert run_reconstruct(wanted, NullProgress()).skipped == ["sample"]
