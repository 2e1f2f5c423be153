"""Bodies in checks: parts that a mesh lacks are named, and so are bodies that were refused or lie off."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np
import pytest
from face_people import person
from posed_body import coat, placed_body

from jiff.base.errors import InputError
from jiff.base.files import write_json
from jiff.base.progress import NullProgress
from jiff.body.anny_body import AnnyBody, load_anny_body
from jiff.body.files import body_values
from jiff.body.placed import PlacedBody
from jiff.body.skeleton import JOINTS, JointPose
from jiff.check.body import doubtful_body, mesh_doubt, missing_parts, missing_sentence
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image, save_mesh
from jiff.geometry.mesh import Mesh
from jiff.options.align import AlignConfig
from jiff.options.check import CheckConfig
from jiff.pipelines.align import run_align
from jiff.pipelines.check import run_check

FINE = {"landmarks_median_of_height": 0.006, "skin_outside_mask": 0.02}


@pytest.fixture(scope="module")
def body() -> AnnyBody:
    return load_anny_body()


@cache
def dressed() -> Mesh:
    return coat(load_anny_body(), placed_body(), finer=0)


def without(mesh: Mesh, near: np.ndarray, reach: float) -> Mesh:
    """Return a mesh without its triangles within ``reach`` of places [N, 3]."""
    corners = mesh.vertices[mesh.faces]
    gap = np.linalg.norm(corners[:, :, None] - near, axis=3).min(axis=(1, 2))
    return Mesh(mesh.vertices, mesh.faces[gap > reach])


def turned(name: str, turn: tuple[float, float, float]) -> PlacedBody:
    """Return the body with another turn of a joint."""
    placed = placed_body()
    turns = placed.pose.turns.copy()
    turns[JOINTS.index(name)] = turn
    return replace(placed, pose=JointPose(turns, placed.pose.hands))


def test_a_mesh_around_the_body_lacks_nothing_wherever_it_is_in_depth() -> None:
    mesh = dressed()
    assert missing_parts(mesh, placed_body()) == []
    for depth in (-25.0, 12.0):
        moved = Mesh(mesh.vertices + [0.0, 0.0, depth], mesh.faces)
        assert missing_parts(moved, placed_body()) == []


def test_limbs_that_lie_deep_in_a_skirt_are_there() -> None:
    cone = [[x, y, z] for y, r in ((0.0, 75.0), (90.0, 60.0), (190.0, 75.0)) for x, z in ((-r, -r), (r, -r), (r, r), (-r, r))]  # fmt: skip
    import trimesh

    hull = trimesh.convex.convex_hull(np.array(cone))
    assert missing_parts(Mesh(np.asarray(hull.vertices), np.asarray(hull.faces)), placed_body()) == []


def test_missing_parts_are_named(body: AnnyBody) -> None:
    joints = dict(zip(JOINTS, placed_body().joints_world(body)))
    cut = without(dressed(), joints["head"][None], 27.0)
    assert missing_sentence(missing_parts(cut, placed_body())) == "the head"
    cut = without(dressed(), joints["wrist.R"][None], 24.0)
    found = missing_parts(cut, placed_body())
    assert {part.part for part in found} == {"right hand", "right forearm"}
    assert all(part.share > 0.5 for part in found)
    nothing = missing_parts(Mesh(np.zeros((0, 3)), np.zeros((0, 3), np.int64)), placed_body())
    assert len(nothing) == 9


def test_limbs_elsewhere_are_told_apart_by_where() -> None:
    aside = missing_parts(dressed(), turned("upperarm.L", (0.0, 0.0, -0.4)))
    assert {part.part for part in aside} == {"left forearm", "left hand"}
    assert not any(part.in_depth for part in aside)
    behind = missing_parts(dressed(), turned("lowerleg.R", (1.1, 0.0, 0.0)))
    assert {part.part for part in behind} == {"right shin", "right foot"} or [p.part for p in behind] == [
        "right foot"
    ]
    assert behind[-1].in_depth
    assert missing_sentence(behind).endswith("(in depth)")


def test_the_sentence_of_a_mesh(tmp_path: Path, body: AnnyBody) -> None:
    path = tmp_path / "anna_body.json"
    assert mesh_doubt(dressed(), path) == ""
    write_json(path, {"body": body_values(placed_body())})
    assert mesh_doubt(dressed(), path) == ""
    write_json(path, {"body": body_values(turned("upperarm.L", (0.0, 0.0, -0.4)))})
    told = mesh_doubt(dressed(), path)
    assert "near the left hand and the left forearm of the body" in told and "overlays/anna_body.png" in told
    write_json(path, {"refused": "the body lies off"})
    assert mesh_doubt(dressed(), path) == ""


@pytest.mark.parametrize(
    ("content", "finding"),
    [
        ({"residuals": FINE}, None),
        ({"refused": "no landmarks fit the person of the mask"}, "body refused"),
        ({"residuals": {**FINE, "landmarks_median_of_height": 0.03}}, "body off"),
        ({"residuals": {**FINE, "skin_outside_mask": 0.2}}, "body off"),
    ],
)
def test_doubtful_bodies(tmp_path: Path, content: dict[str, object], finding: str | None) -> None:
    write_json(tmp_path / "p_body.json", content)
    found = doubtful_body(tmp_path / "p_body.json")
    assert (found and found[0]) == finding


def test_a_record_of_something_else_is_told(tmp_path: Path) -> None:
    for content in ({"residuals": {}}, [1, 2]):
        write_json(tmp_path / "p_body.json", content)
        with pytest.raises(InputError, match="not a record of `jiff data body`"):
            doubtful_body(tmp_path / "p_body.json")


def test_data_check_names_doubtful_bodies(tmp_path: Path) -> None:
    for name, content in (
        ("good", {"residuals": FINE}), ("off", {"residuals": {**FINE, "skin_outside_mask": 0.3}}),
        ("refused", {"refused": "no landmarks fit the person of the mask"}), ("broken", {"residuals": 3}),
    ):  # fmt: skip
        cv2.imwrite(str(tmp_path / f"{name}.png"), np.full((64, 64, 3), 120, np.uint8))
        cv2.imwrite(str(tmp_path / f"{name}_mask.png"), np.full((64, 64), 255, np.uint8))
        write_json(tmp_path / f"{name}_body.json", content)
    report = run_check(CheckConfig(tmp_path, jobs=1, json=tmp_path / "out" / "c.json"), NullProgress())
    items = json.loads((tmp_path / "out" / "c.json").read_text())["items"]
    assert {name: item["findings"] for name, item in items.items()} == {
        "good": [], "off": ["body off"], "refused": ["body refused"], "broken": [],
    }  # fmt: skip
    assert items["off"]["verdict"] == items["refused"]["verdict"] == "fix"
    assert "30% of it lie outside" in items["off"]["problems"][0]
    assert set(report.failures) == {"broken"}


def test_eval_align_names_the_parts_that_the_reconstruction_lacks(tmp_path: Path, body: AnnyBody) -> None:
    scan = person()
    save_image(tmp_path / "p.png", scan.picture)
    save_image(tmp_path / "p_mask.png", scan.mask)
    save_mesh(Mesh(scan.mesh.vertices, scan.mesh.faces), tmp_path / "pifu" / "p.obj")
    visible = scan.face_visible[scan.face.faces].all(axis=1)
    used, faces = np.unique(scan.face.faces[visible], return_inverse=True)
    face = Mesh(scan.face.vertices[used], faces.reshape(-1, 3), colors=np.full((len(used), 3), 0.5))
    save_mesh(face, tmp_path / "p_mesh.obj")
    low, high = face.bounds
    FaceBox(low[0], high[0], low[1], high[1], low[2], high[2]).to_region_file(
        tmp_path / "p_region.txt", Camera()
    )
    # Arms away from the body: those of the scan hang.
    pose = JointPose(np.zeros((len(JOINTS), 3)), np.zeros((2, 3)))
    placed = PlacedBody({}, pose, 1.0, np.zeros(3))
    skin = placed.vertices_world(body)[:13380]
    scale = 180.0 / float(np.ptp(skin[:, 1]))
    placed = PlacedBody({}, pose, scale, np.array([0.0, -scale * skin[:, 1].min(), 0.0]))
    progress = NullProgress()
    config = AlignConfig(pifu=tmp_path / "pifu", test=tmp_path, jobs=1)
    assert not run_align(config, progress).failures and not progress.warnings
    write_json(tmp_path / "p_body.json", {"body": body_values(placed)})
    assert not run_align(replace(config, overwrite=True), progress).failures
    (warning,) = progress.warnings
    assert warning.startswith("p: ") and "the left hand" in warning and "the head" not in warning
