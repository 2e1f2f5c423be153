"""The check stage: verdicts on raw scans, and every fault of a processed set found and named."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from render_scans import egg, write_scan

from jiff.base.errors import DatasetError
from jiff.base.progress import NullProgress
from jiff.check.scan import check_scan, open_edge_share, welded_faces
from jiff.data.layout import ProcessedSet
from jiff.data.param_io import read_param, write_param
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera, rotation_y
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.orientation import facing_yaw, up_axis
from jiff.options.check import CheckConfig
from jiff.options.render import RenderConfig
from jiff.pipelines.check import run_check
from jiff.pipelines.render import run_render


def check(root: Path, **kwargs) -> tuple[dict, dict[str, str], list[str]]:
    progress = NullProgress()
    report = run_check(CheckConfig(root=root, jobs=1, **kwargs), progress)
    assert not report.details, report.details
    return report.results, report.failures, progress.infos


def add_face(dataset: ProcessedSet, subject: str) -> None:
    """Use the head of the egg as its own face mesh."""
    mesh = egg()
    head = mesh.faces[
        (mesh.vertices[mesh.faces][..., 1] > 150).all(1) & (mesh.vertices[mesh.faces][..., 2] > 0).all(1)
    ]
    used, faces = np.unique(head, return_inverse=True)
    vertices = mesh.vertices[used]
    save_mesh(
        Mesh(vertices, faces.reshape(-1, 3), colors=np.full((len(used), 3), 0.5)), dataset.face_mesh(subject)
    )
    (x0, y0, z0), (x1, y1, z1) = vertices.min(0) - 2, vertices.max(0) + 2
    camera = Camera.from_param(read_param(dataset.param(subject, "0_0_00")))
    FaceBox(x0, x1, y0, y1, z0, z1).to_region_file(dataset.face_region(subject), camera)
    dataset.file_number(subject).parent.mkdir(parents=True)
    dataset.file_number(subject).write_text("0\n90\n")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("check")
    for name in ("a", "b"):
        write_scan(root / "scans", name)
    run_render(
        RenderConfig(
            input=root / "scans", out=root / "set", yaws=(0, 90, 180), size=128, high_size=0, jobs=1
        ),
        NullProgress(),
    )
    for name in ("a", "b"):
        add_face(ProcessedSet(root / "set"), name)
    return root


@pytest.fixture
def processed(finished: Path, tmp_path: Path) -> ProcessedSet:
    shutil.copytree(finished / "set", tmp_path / "set")
    return ProcessedSet(tmp_path / "set")


def test_a_sound_set_passes(processed: ProcessedSet, tmp_path: Path) -> None:
    results, failures, infos = check(
        processed.root, json=tmp_path / "r.json", contact_sheet=tmp_path / "s.png"
    )
    assert failures == {} and infos[-1] == "2 pass"
    facts = results["a"].facts
    assert facts["views"] == 3 and facts["silhouette_iou"] == 1.0 and facts["usable_yaws"] == 2
    assert facts["face_distance"]["p90"] < 0.01
    stored = json.loads((tmp_path / "r.json").read_text())
    assert stored["kind"] == "processed set" and stored["ok"] and stored["items"]["b"]["verdict"] == "pass"
    sheet = cv2.imread(str(tmp_path / "s.png"))
    assert sheet.shape[1] > 4 * 224 and sheet.std() > 10


def _shifted_mask(p: ProcessedSet) -> None:
    for view in p.views("a"):
        mask = cv2.imread(str(p.mask("a", view)), -1)
        cv2.imwrite(str(p.mask("a", view)), np.roll(mask, 3, axis=1))


def _moved_scan(p: ProcessedSet) -> None:
    text = p.geometry("a").read_text().splitlines()
    moved = [
        "v " + " ".join(str(float(w) * 0.9) for w in ln.split()[1:]) if ln.startswith("v ") else ln
        for ln in text
    ]
    p.geometry("a").write_text("\n".join(moved))


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-40])


def _wrong_rotation(p: ProcessedSet) -> None:
    record = read_param(p.param("a", "90_0_00"))
    write_param(p.param("a", "90_0_00"), {**record, "R": rotation_y(0.3)})


def _moved_face(p: ProcessedSet, offset: float) -> None:
    text = p.face_mesh("a").read_text().splitlines()
    moved = []
    for line in text:
        words = line.split()
        if line.startswith("v "):
            words[3] = str(float(words[3]) + offset)
        moved.append(" ".join(words))
    p.face_mesh("a").write_text("\n".join(moved))


FAULTS = {
    "a view's mask is missing": (lambda p: p.mask("a", "90_0_00").unlink(), "MASK lacks 1 of 3 views (90_0_00)"),
    "the UV map is missing": (lambda p: p.uv_pos("a").unlink(), "UV_POS"),
    "an image is cut off": (lambda p: _cut(p.render("a", "180_0_00")), "1 images are cut off (RENDER/180_0_00)"),
    "a mask is cut off": (lambda p: _cut(p.mask("a", "0_0_00")), "cut off (MASK/0_0_00)"),
    "masks do not fit the mesh": (_shifted_mask, "silhouette meets the mask with IoU"),
    "the scan was changed": (_moved_scan, "silhouette meets the mask with IoU"),
    "PARAM is damaged": (lambda p: p.param("a", "0_0_00").write_bytes(b"no"), "not a PARAM record"),
    "PARAM has another rotation": (_wrong_rotation, "does not fit the name of 1 views (90_0_00)"),
    "the scan cannot be read": (lambda p: p.geometry("a").write_text("nothing"), "holds no triangles"),
    "the region is missing": (lambda p: p.face_region("a").unlink(), "FACE_REGION"),
    "the region is damaged": (lambda p: p.face_region("a").write_text("1, two\n"), "0_0_00.txt"),
    "the face is off the scan": (lambda p: _moved_face(p, 3.0), "units from the scan"),
    "the face is elsewhere": (lambda p: _moved_face(p, 300.0), "nowhere near"),
    "an unknown yaw is usable": (lambda p: p.file_number("a").write_text("0\n77\n"), "1 yaws that were not rendered"),
    "no views": (lambda p: [shutil.rmtree(p.root / f / "a") for f in ("RENDER", "MASK", "PARAM", "UV_RENDER")], "no views"),
}  # fmt: skip


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_in_its_subject_alone(processed: ProcessedSet, fault: str) -> None:
    damage, words = FAULTS[fault]
    damage(processed)
    results, failures, _ = check(processed.root)
    assert set(failures) == {"a"} and words in failures["a"] and "\n" not in failures["a"]
    assert results["b"].verdict == "pass"


def test_faults_are_drawn_not_hidden(processed: ProcessedSet, tmp_path: Path) -> None:
    for fault in ("masks do not fit the mesh", "the face is off the scan", "the region is missing"):
        FAULTS[fault][0](processed)
    processed.mask("b", "0_0_00").write_bytes(b"x")
    _, failures, _ = check(processed.root, contact_sheet=tmp_path / "s.png", json=tmp_path / "r.json")
    assert set(failures) == {"a", "b"} and (tmp_path / "s.png").is_file()
    assert json.loads((tmp_path / "r.json").read_text())["counts"]["reject"] == 2


def test_validation_list(processed: ProcessedSet) -> None:
    for text, words in [("zoe\n", "names zoe"), ("a\nb\n", "holds out every subject")]:
        processed.val_list.write_text(text)
        assert words in check(processed.root)[1]["val.txt"]
    processed.val_list.unlink()
    assert "no such file" in check(processed.root)[1]["val.txt"]


def test_face_files_are_demanded_when_asked(processed: ProcessedSet) -> None:
    for folder in ("FACE_3DMM", "FACE_REGION", "FILE_NUMBER"):
        shutil.rmtree(processed.root / folder)
    assert check(processed.root)[1] == {}
    assert set(check(processed.root, face=True)[1]) == {"a", "b"}


def test_empty_folders(tmp_path: Path) -> None:
    (tmp_path / "RENDER").mkdir()
    for root in (tmp_path, tmp_path / "none"):
        with pytest.raises(DatasetError):
            check(root)


def write(root: Path, name: str, mesh: Mesh) -> None:
    save_mesh(mesh, root / name / f"{name}.obj")


def test_verdicts_on_scans(tmp_path: Path) -> None:
    mesh = egg()
    z_up = np.array([[1.0, 0, 0], [0, 0, -1], [0, 1, 0]])
    write(tmp_path, "ready", mesh)
    write(tmp_path, "metres", mesh.transformed(np.eye(3) / 100))
    write(tmp_path, "millimetres", mesh.transformed(np.eye(3) * 10))
    write(tmp_path, "zup", mesh.transformed(z_up))
    write(tmp_path, "inward", replace(mesh, faces=mesh.faces[:, ::-1], faces_uv=mesh.faces_uv[:, ::-1]))
    write(tmp_path, "holes", replace(mesh, faces=mesh.faces[::2], faces_uv=mesh.faces_uv[::2]))
    write(tmp_path, "plain", replace(mesh, uv=None, faces_uv=None, texture=None))
    write(
        tmp_path,
        "coloured",
        replace(mesh, uv=None, faces_uv=None, texture=None, colors=mesh.vertices / 200 + 0.2),
    )
    write(tmp_path, "coarse", egg(12, 6))
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken/broken.obj").write_text("v 1 2 nan\nf 1 1 1\n")
    results, failures, infos = check(tmp_path, contact_sheet=tmp_path / "sheet.png", json=tmp_path / "r.json")
    verdicts = {
        name: item["verdict"] for name, item in json.loads((tmp_path / "r.json").read_text())["items"].items()
    }
    assert verdicts == {
        "ready": "pass", "metres": "fix", "millimetres": "fix", "zup": "fix", "coloured": "fix",
        "inward": "reject", "holes": "reject", "plain": "reject", "coarse": "reject", "broken": "reject",
    }  # fmt: skip
    assert set(failures) == {name for name, verdict in verdicts.items() if verdict == "reject"}
    assert set(results) == set(verdicts) - set(failures)
    assert (
        results["metres"].facts["units"] == "metres"
        and results["millimetres"].facts["units"] == "millimetres"
    )
    assert results["zup"].facts["up"] == "z" and results["ready"].facts["watertight"]
    assert results["coloured"].facts["vertex_colors"] and "not finite" in failures["broken"]
    assert any(info.startswith("metres: ") and "jiff data rescale" in info for info in infos)
    assert infos[-1] == "1 pass, 4 fix, 5 reject"


def test_pieces_and_open_edges(tmp_path: Path) -> None:
    mesh = egg()
    assert open_edge_share(welded_faces(mesh)) == 0.0
    split, _ = mesh.split_at_seams()
    assert open_edge_share(split.faces) > 0 and open_edge_share(welded_faces(split)) == 0.0
    two = replace(
        mesh, vertices=np.concatenate([mesh.vertices, mesh.vertices * 0.2 + [90, 0, 0]]),
        faces=np.concatenate([mesh.faces, mesh.faces + len(mesh.vertices)]), uv=None, faces_uv=None, normals=None,
    )  # fmt: skip
    save_mesh(two, tmp_path / "two.obj")
    facts = check_scan("two", tmp_path / "two.obj").facts
    assert facts["pieces"] == 2 and facts["largest_piece"] == 0.5 and facts["watertight"]
    assert up_axis(two) == "y"


@pytest.mark.parametrize("yaw", [0, 35, -120, 180])
def test_facing_is_where_the_feet_point(shared: Path, yaw: float) -> None:
    from jiff.geometry.io.mesh_io import load_mesh

    mesh = load_mesh(shared / "reference/render/scan_0001/0001.obj", texture=False)
    turned = mesh.vertices @ rotation_y(np.radians(yaw)).T
    assert facing_yaw(turned) is not None
    assert (facing_yaw(turned) - yaw + 180) % 360 - 180 == pytest.approx(0, abs=6)


def test_facing_of_a_round_body_is_unknown() -> None:
    assert facing_yaw(egg().vertices) is None


def test_reference_scan_passes(shared: Path) -> None:
    item = check_scan("0001", shared / "reference/render/scan_0001/0001.obj")
    assert item.verdict == "pass" and item.facts["pieces"] == 4 and item.facts["texture"] == [512, 512]
