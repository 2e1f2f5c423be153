"""Synthetic scans: same seed same bytes, closed and outward surfaces, metres, true faces, textures that fit."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial import cKDTree

from jiff.base.errors import UsageError
from jiff.base.progress import NullProgress
from jiff.body.anny_body import load_anny_body
from jiff.geometry.inside import inside_mesh
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene
from jiff.options.synth import SynthConfig
from jiff.pipelines.synth import run_synth, subject_name
from jiff.synthetic import atlas
from jiff.synthetic.person import build_person
from jiff.synthetic.scan_files import template_triangles
from jiff.synthetic.template import load_template
from jiff.synthetic.truth import LANDMARKS
from jiff.synthetic.wardrobe import sample_person

SMALL = {"triangles": 40_000, "texture_size": 256}
COUNT = 3


def _digest(folder: Path) -> dict[str, str]:
    return {
        str(p.relative_to(folder)): hashlib.sha256(p.read_bytes()).hexdigest()
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }


def _config(out: Path, **changes: object) -> SynthConfig:
    return SynthConfig(
        **{"out": out, "count": COUNT, "seed": 7, "jobs": 1, "poses": "standing", **SMALL, **changes}
    )  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def scans(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three small people."""
    root = tmp_path_factory.mktemp("scans")
    report = run_synth(_config(root), NullProgress())
    assert report.failures == {}
    assert list(report.results) == [subject_name(i) for i in range(COUNT)]
    return root


@pytest.fixture(scope="module")
def meshes(scans: Path) -> list[Mesh]:
    return [load_mesh(scans / subject_name(i) / f"{subject_name(i)}.obj") for i in range(COUNT)]


def _edges_are_paired(faces: np.ndarray, count: int) -> bool:
    directed = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).astype(np.int64)
    forward = np.sort(directed[:, 0] * count + directed[:, 1])
    backward = np.sort(directed[:, 1] * count + directed[:, 0])
    return bool(np.array_equal(forward, backward))


def test_layout_is_that_of_thuman(scans: Path) -> None:
    for i in range(COUNT):
        name = subject_name(i)
        files = {p.name for p in (scans / name).iterdir()}
        wanted = {f"{name}.obj", "material0.mtl", "material0.jpeg", f"{name}_truth.npz", f"{name}_truth.json"}
        assert files == wanted
        assert "map_Kd material0.jpeg" in (scans / name / "material0.mtl").read_text()
    assert {p.name for p in scans.iterdir()} == {subject_name(i) for i in range(COUNT)}


def test_surface_is_closed_and_faces_outward(meshes: list[Mesh]) -> None:
    for mesh in meshes:
        assert _edges_are_paired(mesh.faces, len(mesh.vertices))
        assert 0.04 < mesh.volume < 0.2


def test_size_count_and_uv(meshes: list[Mesh]) -> None:
    for mesh in meshes:
        assert 36_000 < len(mesh.faces) < 65_000
        assert 1.45 < np.ptp(mesh.vertices[:, 1]) < 2.05
        assert mesh.uv is not None and mesh.uv.min() >= 0 and mesh.uv.max() <= 1
        assert mesh.texture is not None and mesh.texture.shape == (256, 256, 3)
    centers = np.array([(m.bounds[0] + m.bounds[1]) / 2 for m in meshes])
    assert np.linalg.norm(centers - centers.mean(axis=0), axis=1).min() > 0.02


def test_inside_test_knows_body_from_air(scans: Path, meshes: list[Mesh]) -> None:
    for i, mesh in enumerate(meshes):
        truth = np.load(scans / subject_name(i) / f"{subject_name(i)}_truth.npz")
        scene = RayScene(mesh.vertices, mesh.faces)
        face = truth["face_vertices"]
        normals = Mesh(face, truth["face_triangles"].astype(np.int64)).vertex_normals()
        calm = truth["face_visible"] & (normals[:, 2] > 0.5)
        assert inside_mesh(scene, face[calm] - 0.004 * normals[calm]).mean() > 0.97
        assert inside_mesh(scene, face[calm] + 0.02 * normals[calm]).mean() < 0.02
        assert inside_mesh(scene, truth["eye_centers"]).all()
        low, high = mesh.bounds
        corners = np.array(
            [[x, y, z] for x in (low[0], high[0]) for y in (low[1], high[1]) for z in (low[2], high[2])]
        )
        assert not inside_mesh(scene, corners).any()


def test_true_face_lies_on_the_scan(scans: Path, meshes: list[Mesh]) -> None:
    for i, mesh in enumerate(meshes):
        truth = np.load(scans / subject_name(i) / f"{subject_name(i)}_truth.npz")
        distance = cKDTree(mesh.vertices).query(truth["face_vertices"][truth["face_visible"]])[0]
        assert distance.max() < 1e-3
        assert truth["face_visible"].mean() > 0.9
        marks = dict(zip(LANDMARKS, truth["landmarks"]))
        assert marks["left_eye"][0] - marks["right_eye"][0] == pytest.approx(0.065, abs=0.02)
        assert marks["nose_tip"][2] > marks["left_eye"][2] + 0.01
        assert marks["left_eye"][1] > marks["nose_tip"][1] > marks["upper_lip"][1] > marks["chin"][1]
        assert cKDTree(mesh.vertices).query(np.stack([marks["nose_tip"], marks["chin"]]))[0].max() < 1e-3


def test_truth_names_what_was_drawn(scans: Path, meshes: list[Mesh]) -> None:
    for i, mesh in enumerate(meshes):
        truth = json.loads((scans / subject_name(i) / f"{subject_name(i)}_truth.json").read_text())
        assert truth["height_m"] == pytest.approx(np.ptp(mesh.vertices[:, 1]), abs=2e-6)
        assert truth["landmark_names"] == list(LANDMARKS)
        assert truth["recipe"]["index"] == i
        assert 1.5 <= truth["person"]["height_m"] <= 1.95


def test_feet_are_on_one_ground(meshes: list[Mesh]) -> None:
    for mesh in meshes:
        x, y, _ = mesh.vertices.T
        low = y < y.min() + 0.35
        split = np.median(x[low])
        gap = abs(y[low & (x < split)].min() - y[low & (x >= split)].min())
        assert gap < 0.03


def test_garments_cover_the_trunk_and_leave_the_face_free() -> None:
    body = load_anny_body()
    rng = np.random.default_rng([7, 0])
    person = build_person(sample_person(rng, body.local_change_labels), rng, template_triangles(40_000))
    template = load_template(template_triangles(40_000))
    normals = Mesh(person.skin, template.faces).vertex_normals()
    below = (person.skin - 0.003 * normals)[~person.shown]
    scene = RayScene(person.vertices, person.faces)
    assert inside_mesh(scene, below).mean() > 0.985


def test_same_seed_same_bytes_whatever_the_count_and_the_processes(scans: Path, tmp_path: Path) -> None:
    again = tmp_path / "again"
    run_synth(_config(again, count=2, jobs=2), NullProgress())
    whole = _digest(scans)
    assert _digest(again) == {k: v for k, v in whole.items() if not k.startswith(subject_name(2))}


def test_another_seed_is_another_person(scans: Path, tmp_path: Path) -> None:
    run_synth(_config(tmp_path, count=1, seed=8), NullProgress())
    name = subject_name(0)
    ours, other = (np.load(root / name / f"{name}_truth.npz")["face_vertices"] for root in (scans, tmp_path))
    assert np.abs((ours - ours.mean(axis=0)) - (other - other.mean(axis=0))).max() > 2e-3


def test_complete_scans_are_kept_and_damaged_ones_made_again(scans: Path) -> None:
    name = subject_name(1)
    before = _digest(scans)
    stamps = {p: p.stat().st_mtime_ns for p in scans.rglob("*.obj")}
    (scans / name / "material0.jpeg").unlink()
    report = run_synth(_config(scans), NullProgress())
    assert report.skipped == [subject_name(0), subject_name(2)]
    assert list(report.results) == [name]
    assert _digest(scans) == before
    assert {p for p, s in stamps.items() if p.stat().st_mtime_ns == s} == {
        p for p in stamps if p.parent.name != name
    }


def test_other_settings_replace_what_is_there(tmp_path: Path) -> None:
    run_synth(_config(tmp_path, count=1), NullProgress())
    report = run_synth(_config(tmp_path, count=1, seed=9), NullProgress())
    assert report.skipped == [] and list(report.results) == [subject_name(0)]


@pytest.mark.parametrize(
    "bad", [{"count": 0}, {"seed": -1}, {"triangles": 1000}, {"texture_size": 300}, {"texture_size": 128}]
)
def test_bad_settings_are_refused_in_one_sentence(tmp_path: Path, bad: dict[str, int]) -> None:
    with pytest.raises(UsageError) as caught:
        _config(tmp_path, **bad)
    assert str(next(iter(bad.values()))) in str(caught.value)


def test_charts_overlap_neither_each_other_nor_the_body() -> None:
    charts = [
        atlas.SKIRT,
        atlas.HAIR,
        *atlas.EYES,
        atlas.MOUTH,
        atlas.SHOES,
        atlas.HAT,
        atlas.BAG,
        *(atlas.swatch(k) for k in range(16)),
    ]
    for i, a in enumerate(charts):
        for b in charts[:i]:
            wide = min(a.right, b.right) - max(a.left, b.left)
            high = min(a.top, b.top) - max(a.bottom, b.bottom)
            assert wide < 1e-9 or high < 1e-9
    u, v = load_template(template_triangles(40_000)).uv.T
    for chart in charts:
        assert not ((u > chart.left) & (u < chart.right) & (v > chart.bottom) & (v < chart.top)).any()
