"""`data face`, `data icp` and `eval align` on folders."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from face_people import distance_to_truth, model, person, write_subject

from jiff.base.errors import DatasetError, InputError
from jiff.base.progress import NullProgress
from jiff.data.face_data import face_data
from jiff.data.layout import ProcessedSet
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera, rotation_y
from jiff.geometry.io.mesh_io import load_mesh, save_image, save_mesh
from jiff.geometry.mesh import Mesh
from jiff.options.align import AlignConfig
from jiff.options.face import FaceConfig
from jiff.options.icp import IcpConfig
from jiff.photo.test_folder import list_people
from jiff.pipelines.align import run_align
from jiff.pipelines.face import run_face
from jiff.pipelines.icp import run_icp


@pytest.fixture(scope="module")
def fitted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A processed set: "front" has a face, "back" looks away from the camera."""
    root = tmp_path_factory.mktemp("set")
    write_subject(root, "front", person().mesh)
    write_subject(root, "back", person().mesh.transformed(rotation_y(np.pi)), yaws=(0,))
    report = run_face(FaceConfig(input=root, jobs=1), NullProgress())
    assert list(report.results) == ["front"] and list(report.failures) == ["back"]
    assert not report.details, "a refusal is a sentence, not a crash"
    return root


def test_processed_set_gets_all_its_files(fitted: Path):
    dataset = ProcessedSet(fitted)
    mesh = load_mesh(dataset.face_mesh("front"))
    assert len(mesh.vertices) == len(model().mean)
    error = distance_to_truth(mesh.vertices[model().core], person().face)
    assert np.median(error) < 0.1 and np.percentile(error, 90) < 0.25
    assert mesh.colors is not None and mesh.colors.min() >= 0 and mesh.colors.max() <= 1
    box = FaceBox.from_region_file(dataset.face_region("front"), Camera())
    assert box.contains(mesh.vertices).all()
    assert box.zmin < mesh.vertices[:, 2].min() and mesh.vertices[:, 2].max() < box.zmax
    # Four yaws were rendered; the person looks along +z within some degrees.
    yaws = [int(v) for v in dataset.file_number("front").read_text().split()]
    assert 0 in yaws and 180 not in yaws
    record = json.loads(dataset.face_report("front").read_text())
    assert record["accepted"] and record["evidence"].startswith("haar")
    assert dataset.face_report("front").with_name("overlay.png").is_file()
    assert face_data(dataset, "front").present


def test_colours_are_the_persons(fitted: Path):
    mesh = load_mesh(ProcessedSet(fitted).face_mesh("front"))
    cheek = model().core & (np.abs(model().mean[:, 0]) > 2.5) & (np.abs(model().mean[:, 1]) < 1.5)
    pixels = Camera().world_to_pixel(mesh.vertices[cheek]).astype(int)
    seen = person().picture[pixels[:, 1], pixels[:, 0]] / 255.0
    assert np.abs(np.median(mesh.colors[cheek], axis=0) - np.median(seen, axis=0)).max() < 0.05


def test_refused_subject_leaves_no_face_but_a_reason(fitted: Path):
    dataset = ProcessedSet(fitted)
    for path in (dataset.face_region("back"), dataset.face_mesh("back"), dataset.file_number("back")):
        assert not path.exists()
    record = json.loads(dataset.face_report("back").read_text())
    assert not record["accepted"] and record["refused"]
    assert "refused" in dataset.dataset_file.read_text()


def test_a_refusal_names_the_subject_once_and_leaves_no_picture_of_an_earlier_fit(
    fitted: Path, tmp_path: Path
):
    root = tmp_path / "set"
    shutil.copytree(fitted, root)
    dataset, progress = ProcessedSet(root), NullProgress()
    folder = dataset.face_report("back").parent
    (folder / "overlay.png").touch()
    (folder / "icp.pending").mkdir()
    reason = run_face(FaceConfig(input=root, jobs=1), progress).failures["back"]
    assert [path.name for path in folder.iterdir()] == ["fit.json"]
    assert progress.warnings == [f"back: {reason}"] and not reason.startswith("back")
    assert json.loads(dataset.face_report("back").read_text())["refused"] == reason


def test_yaws_can_be_left_to_the_detector(fitted: Path, tmp_path: Path):
    """Geometry lists what shows the face; with detection the yaws count whose image a detector reads."""
    root = tmp_path / "set"
    shutil.copytree(fitted, root)
    dataset = ProcessedSet(root)
    by_geometry = dataset.file_number("front").read_text().split()
    save_image(dataset.render("front", "0_0_00"), np.full((512, 512, 3), 60, np.uint8))
    report = run_face(FaceConfig(input=root, jobs=1, overwrite=True, detect_yaws=True), NullProgress())
    # The picture is blank: the face is found on the clay, the yaw is not listed.
    assert "clay" in report.results["front"]["evidence"]
    assert "0" in by_geometry and "0" not in dataset.file_number("front").read_text().split()


def test_damaged_copies_of_faces_are_made_again(fitted: Path, tmp_path: Path):
    root = tmp_path / "set"
    shutil.copytree(fitted, root)
    dataset = ProcessedSet(root)
    before = face_data(dataset, "front")
    (copy,) = dataset.cache("front").glob("face_*/vertices.npy")
    for damage in (b"", b"\x93NUMPY cut", copy.read_bytes()[:-200], None):
        # The message about a damaged file asks to delete it.
        copy.unlink() if damage is None else copy.write_bytes(damage)
        again = face_data(dataset, "front")
        np.testing.assert_array_equal(again.vertices_world, before.vertices_world)
        np.testing.assert_array_equal(again.box_world, before.box_world)
    mesh = dataset.face_mesh("front")
    mesh.write_text(mesh.read_text() + "# touched\n")
    face_data(dataset, "front")
    (other,) = dataset.cache("front").glob("face_*")
    assert other.name != copy.parent.name


def test_second_run_skips_what_is_complete(fitted: Path):
    stamp = ProcessedSet(fitted).face_mesh("front").stat().st_mtime_ns
    report = run_face(FaceConfig(input=fitted, jobs=1), NullProgress())
    assert report.skipped == ["front"]
    assert ProcessedSet(fitted).face_mesh("front").stat().st_mtime_ns == stamp


def test_icp_is_idempotent_and_keeps_colours(fitted: Path, tmp_path: Path):
    root = tmp_path / "set"
    shutil.copytree(fitted, root)
    path = ProcessedSet(root).face_mesh("front")
    colors = load_mesh(path).colors
    first = run_icp(IcpConfig(input=root, jobs=1), NullProgress())
    assert list(first.results) == ["front"], first.failures
    before = load_mesh(path)
    np.testing.assert_allclose(before.colors, colors, atol=1e-6)
    assert run_icp(IcpConfig(input=root, jobs=1), NullProgress()).skipped == ["front"]
    run_icp(IcpConfig(input=root, jobs=1, overwrite=True), NullProgress())
    assert np.abs(load_mesh(path).vertices - before.vertices).max() < 0.01


def test_icp_brings_back_a_foreign_mesh(fitted: Path, tmp_path: Path):
    """A mesh without a record (published data) that is off by a little comes back, rigidly."""
    root = tmp_path / "set"
    shutil.copytree(fitted, root)
    dataset = ProcessedSet(root)
    path = dataset.face_mesh("front")
    right = load_mesh(path)
    off = right.vertices.mean(0)
    moved = (right.vertices - off) @ rotation_y(0.04).T * 1.01 + off + [0.3, 0.2, 0.5]
    save_mesh(replace(right, vertices=moved), path)
    dataset.face_report("front").unlink()
    report = run_icp(IcpConfig(input=root, jobs=1), NullProgress())
    assert not report.failures
    core = model().core
    before = np.linalg.norm(moved - right.vertices, axis=1)[core]
    after = np.linalg.norm(load_mesh(path).vertices - right.vertices, axis=1)[core]
    assert np.median(after) < 0.15 < 0.5 < np.median(before)


def test_icp_refuses_a_mesh_far_from_the_scan(fitted: Path, tmp_path: Path):
    root = tmp_path / "set"
    shutil.copytree(fitted, root)
    path = ProcessedSet(root).face_mesh("front")
    mesh = load_mesh(path)
    save_mesh(replace(mesh, vertices=mesh.vertices + [60, 0, 0]), path)
    text = path.read_bytes()
    report = run_icp(IcpConfig(input=root, jobs=1), NullProgress())
    assert "front" in report.failures and path.read_bytes() == text


def test_external_face_mesh_as_prior(fitted: Path, tmp_path: Path):
    """Somebody's own face, in metres about its own centre, is placed on the scan."""
    root, faces = tmp_path / "set", tmp_path / "faces"
    write_subject(root, "front", person().mesh, yaws=(0,))
    m = model()
    fit = load_mesh(ProcessedSet(fitted).face_mesh("front"))
    local = fit.vertices - fit.vertices.mean(0)
    save_mesh(Mesh(local / 100, m.triangles, colors=fit.colors), faces / "front.ply")
    report = run_face(FaceConfig(input=root, face_mesh=faces, jobs=1), NullProgress())
    assert not report.failures
    placed = load_mesh(ProcessedSet(root).face_mesh("front")).vertices
    assert np.median(np.linalg.norm(placed - fit.vertices, axis=1)[m.core]) < 0.3
    (faces / "front.ply").unlink()
    report = run_face(FaceConfig(input=root, face_mesh=faces, jobs=1, overwrite=True), NullProgress())
    assert "no such face mesh" in report.failures["front"]


def test_missing_folders_and_missing_faces(tmp_path: Path):
    with pytest.raises(DatasetError, match="no such folder"):
        run_face(FaceConfig(input=tmp_path / "absent"), NullProgress())
    write_subject(tmp_path / "set", "a", person().mesh, yaws=(0,))
    with pytest.raises(DatasetError, match="data face"):
        run_icp(IcpConfig(input=tmp_path / "set"), NullProgress())


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "test"
    save_image(folder / "p.png", person().picture)
    save_image(folder / "p_mask.png", person().mask)
    return folder


def blurred(mesh: Mesh, amplitude: float = 1.0) -> Mesh:
    """A reconstruction: the scan with smooth errors of about ``amplitude``."""
    rng = np.random.default_rng(4)
    shift = np.zeros(len(mesh.vertices))
    for _ in range(30):
        wave = rng.normal(size=3)
        wave *= 2 * np.pi / rng.uniform(6, 20) / np.linalg.norm(wave)
        shift += np.sin(mesh.vertices @ wave + rng.uniform(0, 6.3))
    shift *= amplitude / np.sqrt(15)
    return Mesh(mesh.vertices + mesh.vertex_normals() * shift[:, None], mesh.faces)


def test_photo_then_alignment(photos: Path, tmp_path: Path):
    report = run_face(FaceConfig(input=photos, jobs=1), NullProgress())
    assert not report.failures
    (p,) = list_people(photos)
    assert p.has_face
    m, unaligned = model(), load_mesh(p.face_mesh)
    assert unaligned.colors.min() >= 0 and unaligned.colors.max() <= 1
    save_mesh(blurred(person().mesh), tmp_path / "pifu" / "p.obj")
    config = AlignConfig(pifu=tmp_path / "pifu", test=photos, jobs=1)
    report = run_align(config, NullProgress())
    assert not report.failures, report.failures
    assert report.results["p"]["method"] == "surface"
    kept = load_mesh(photos / "p_mesh_unaligned.obj")
    np.testing.assert_allclose(kept.vertices, unaligned.vertices, atol=1e-6)
    aligned = load_mesh(p.face_mesh)
    np.testing.assert_allclose(aligned.colors, unaligned.colors, atol=1e-6)
    before = np.median(distance_to_truth(unaligned.vertices[m.core], person().face))
    after = np.median(distance_to_truth(aligned.vertices[m.core], person().face))
    assert after < 0.6 < before
    box = FaceBox.from_region_file(p.region, Camera())
    assert box.contains(aligned.vertices).all() and box.zmax > aligned.vertices[:, 2].max()
    assert run_align(config, NullProgress()).skipped == ["p"]
    run_align(replace(config, overwrite=True), NullProgress())
    np.testing.assert_allclose(load_mesh(p.face_mesh).vertices, aligned.vertices, atol=1e-5)
    np.testing.assert_allclose(load_mesh(photos / "p_mesh_unaligned.obj").vertices, kept.vertices, atol=1e-6)


def test_alignment_of_a_foreign_mesh_moves_it_in_depth(photos: Path, tmp_path: Path):
    run_face(FaceConfig(input=photos, jobs=1), NullProgress())
    (p,) = list_people(photos)
    (photos / "p_fit.json").unlink()
    before = load_mesh(p.face_mesh).vertices
    save_mesh(person().mesh, tmp_path / "pifu" / "result_p.obj")
    report = run_align(AlignConfig(pifu=tmp_path / "pifu", test=photos, jobs=1), NullProgress())
    assert not report.failures
    after = load_mesh(p.face_mesh).vertices
    core = model().core
    assert np.median(distance_to_truth(after[core], person().face)) < np.median(
        distance_to_truth(before[core], person().face)
    )


def test_alignment_without_reconstruction_or_head(photos: Path, tmp_path: Path):
    with pytest.raises(InputError, match="eval pifu"):
        run_align(AlignConfig(pifu=tmp_path / "absent", test=photos), NullProgress())
    (tmp_path / "pifu").mkdir()
    with pytest.raises(InputError, match="data face"):
        run_align(AlignConfig(pifu=tmp_path / "pifu", test=photos), NullProgress())
    run_face(FaceConfig(input=photos, jobs=1), NullProgress())
    config = AlignConfig(pifu=tmp_path / "pifu", test=photos, jobs=1)
    assert "no such reconstruction" in run_align(config, NullProgress()).failures["p"]
    body = person().mesh
    low = body.vertices[:, 1] < 140
    save_mesh(Mesh(body.vertices, body.faces[low[body.faces].all(1)]), tmp_path / "pifu" / "p.obj")
    assert "misses the head" in run_align(config, NullProgress()).failures["p"]


def test_given_landmarks_are_used_and_checked(photos: Path):
    run_face(FaceConfig(input=photos, jobs=1), NullProgress())
    five = np.array(json.loads((photos / "p_fit.json").read_text())["landmarks_px"])
    np.savetxt(photos / "p_landmarks.txt", five + [4.0, 0.0])
    report = run_face(FaceConfig(input=photos, jobs=1, overwrite=True), NullProgress())
    assert report.results["p"]["evidence"] == "given"
    again = np.array(json.loads((photos / "p_fit.json").read_text())["landmarks_px"])
    np.testing.assert_allclose(again, five + [4.0, 0.0], atol=1e-3)
    np.savetxt(photos / "p_landmarks.txt", five[[1, 0, 2, 4, 3]])
    report = run_face(FaceConfig(input=photos, jobs=1, overwrite=True), NullProgress())
    assert "exchanged" in report.failures["p"]
    (p,) = list_people(photos)
    assert not p.has_face, "a refused face leaves no files of an earlier one"
    assert not (photos / "overlays" / "p.png").exists()


def test_one_bad_photo_does_not_stop_the_others(photos: Path):
    save_image(photos / "empty.png", np.full((512, 512, 3), 90, np.uint8))
    save_image(photos / "empty_mask.png", np.full((512, 512), 255, np.uint8))
    (photos / "torn.png").write_bytes(b"\x89PNG")
    report = run_face(FaceConfig(input=photos, jobs=1), NullProgress())
    assert list(report.results) == ["p"]
    assert "no face" in report.failures["empty"] and "torn.png" in report.failures["torn"]
    assert not report.details
