"""Where a scan faces: by its face and its feet, said aloud; refused when neither tells."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from render_scans import egg

from jiff.base.errors import MeshError
from jiff.base.progress import NullProgress
from jiff.face.detect import facing
from jiff.face.detect.detector import Detection, load_detector
from jiff.face.detect.facing import (
    FaceDirection,
    Facing,
    difference_deg,
    face_direction,
    find_facing,
)
from jiff.geometry.camera import rotation_y
from jiff.geometry.io.mesh_io import load_mesh, save_mesh
from jiff.geometry.orientation import facing_yaw
from jiff.options.rescale import RescaleConfig
from jiff.pipelines.rescale import run_rescale


@pytest.mark.parametrize("yaw", [0, 135])
def test_a_turned_scan_faces_where_its_face_looks(shared: Path, yaw: float) -> None:
    mesh = load_mesh(shared / "reference" / "render" / "scan_0001" / "0001.obj")
    turned = mesh.transformed(rotation_y(np.radians(yaw)))
    face = face_direction(turned, load_detector(None))
    assert face is not None and face.views >= 2
    assert difference_deg(face.yaw_deg, yaw) == pytest.approx(0, abs=15)
    feet = facing_yaw(turned.vertices)
    assert feet is not None and difference_deg(feet, yaw) == pytest.approx(0, abs=6)


@dataclass
class Script:
    """A detector that sees a face, or none, whatever it is shown."""

    found: bool
    name: str = "script"
    sizes: list[int] = field(default_factory=list)

    def detect(self, image_rgb: np.ndarray) -> list[Detection]:
        self.sizes.append(image_rgb.shape[0])
        points = np.array([[140, 140], [180, 140], [160, 160], [145, 180], [175, 180]], float)
        return [Detection(np.array([110.0, 110, 210, 210]), points, 1.0, "haar")] if self.found else []


def test_an_egg_faces_nowhere() -> None:
    with pytest.raises(MeshError, match="neither a face nor its feet"):
        find_facing(egg(), Script(False))


def _decided(monkeypatch: pytest.MonkeyPatch, face: FaceDirection | None, feet: float | None) -> Facing:
    monkeypatch.setattr(facing, "face_direction", lambda mesh, detector: face)
    monkeypatch.setattr(facing, "facing_yaw", lambda vertices: feet)
    return find_facing(egg(), Script(False))


def test_what_decides(monkeypatch: pytest.MonkeyPatch) -> None:
    sure, guess = FaceDirection(170.0, 3, "yunet", 3.0), FaceDirection(170.0, 1, "haar", 0.3)
    both = _decided(monkeypatch, sure, -175.0)
    assert (
        both.yaw_deg == -175.0 and both.doubt is None and "its feet, as its face (yunet, in 3" in both.reason
    )
    apart = _decided(monkeypatch, sure, 20.0)
    assert apart.yaw_deg == 170.0 and apart.doubt is not None and "feet point -150 degrees" in apart.doubt
    weak = _decided(monkeypatch, guess, 20.0)
    assert weak.yaw_deg == 20.0 and weak.doubt is not None and "its face (haar, in 1 of 12" in weak.doubt
    alone = _decided(monkeypatch, guess, None)
    assert alone.yaw_deg == 170.0 and "alone" in alone.reason
    assert _decided(monkeypatch, None, 20.0).reason == "its feet (no face was found)"


def test_frontal_by_the_face_turns_and_reports(tmp_path: Path, shared: Path) -> None:
    mesh = load_mesh(shared / "reference" / "render" / "scan_0001" / "0001.obj")
    save_mesh(mesh.transformed(rotation_y(np.radians(120)) / 100), tmp_path / "in" / "a" / "a.obj")
    save_mesh(egg(), tmp_path / "in" / "egg" / "egg.obj")
    progress = NullProgress()
    report = run_rescale(RescaleConfig(tmp_path / "in", tmp_path / "out", frontal=True, jobs=1), progress)
    assert report.failures == {"egg": report.failures["egg"]} and "--yaw instead" in report.failures["egg"]
    back = load_mesh(tmp_path / "out" / "a" / "a.obj").vertices
    assert np.abs(back - mesh.vertices).max() < 15
    lines = [line for line in progress.infos if line.startswith("a: faced")]
    assert len(lines) == 1 and "by its feet, as its face (haar" in lines[0] and "turned by -1" in lines[0]
