"""``data check`` on test folders: what was seen becomes named findings, and the page shows the pictures."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from jiff.base.errors import UsageError
from jiff.base.progress import NullProgress
from jiff.check.photo import fitted_tile, is_test_folder, outside_share
from jiff.options.check import CheckConfig
from jiff.pipelines.check import run_check

SIZE = 64


def add(root: Path, name: str, *, people: int = 1, face: bool = True, notes: tuple[str, ...] = ()) -> None:
    """One framed photo: a standing person in the middle of the mask, photo pixels twice as many as framed ones."""
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:60, 20:44] = 255
    (root / "previews").mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(root / f"{name}.png"), np.full((SIZE, SIZE, 3), 120, np.uint8))
    cv2.imwrite(str(root / f"{name}_mask.png"), mask)
    cv2.imwrite(str(root / "previews" / f"{name}.png"), np.full((SIZE, SIZE, 3), (0, 0, 255), np.uint8))
    framing = {"size": SIZE, "frame_to_photo": [[2, 0, 10], [0, 2, 0]], "notes": list(notes), "mask": "x"}
    (root / f"{name}_framing.json").write_text(json.dumps(framing))
    points = np.stack([np.full(33, 32.0), np.linspace(8, 56, 33)], axis=1) * 2 + [10, 0]
    pose = {"points_px": points.tolist(), "visibility": [1.0] * 33}
    seen = {"people": people, "pose": pose, "face": {"score": 1} if face else None}
    (root / f"{name}_person.json").write_text(json.dumps(seen))


def test_findings_are_named_and_shown(tmp_path: Path) -> None:
    root = tmp_path / "test"
    add(root, "good")
    add(root, "two", people=2)
    add(root, "back", face=False)
    add(root, "cut", notes=("The feet are outside the lower border; what is outside is missing.",))
    add(root, "gap")
    mask = np.zeros((SIZE, SIZE), np.uint8)
    mask[4:30, 20:44] = 255
    cv2.imwrite(str(root / "gap_mask.png"), mask)
    add(root, "lone")
    (root / "lone_mask.png").unlink()
    cv2.imwrite(str(root / "previews" / "refused.png"), np.zeros((40, 80, 3), np.uint8))
    add(root, "broken")
    (root / "broken_person.json").write_text('{"people": 1}')
    config = CheckConfig(root, json=tmp_path / "c.json", html=tmp_path / "c.html", contact_sheet=tmp_path / "c.png", jobs=1)  # fmt: skip
    report = run_check(config, NullProgress())
    assert not report.details
    found = json.loads((tmp_path / "c.json").read_text())
    assert found["kind"] == "test folder" and not found["ok"]
    verdicts = {name: (item["verdict"], item["findings"]) for name, item in found["items"].items()}
    assert verdicts == {
        "good": ("pass", []),
        "two": ("fix", ["several people"]),
        "back": ("fix", ["face not seen"]),
        "cut": ("fix", ["person cut off"]),
        "gap": ("fix", ["mask leaves out landmarks"]),
        "lone": ("reject", []),
        "refused": ("reject", ["photo refused"]),
        "broken": ("reject", []),
    }
    assert found["items"]["gap"]["landmarks_outside_mask"] > 0.4
    assert set(report.failures) == {"lone", "refused", "broken"}
    page = (tmp_path / "c.html").read_text()
    assert page.count("<img") == 8 and page.index("refused: reject") < page.index("good: pass")
    assert "several people" in page.lower() and "http" not in page
    assert (tmp_path / "c.png").is_file()
    with pytest.raises(UsageError, match="photos"):
        run_check(CheckConfig(root, clean=True, jobs=1), NullProgress())


def test_a_refused_face_is_told(tmp_path: Path) -> None:
    add(tmp_path, "anna")
    (tmp_path / "anna_fit.json").write_text(json.dumps({"refused": "Only 3 % of the face lies on it."}))
    report = run_check(CheckConfig(tmp_path, jobs=1), NullProgress())
    assert report.results["anna"].facts["findings"] == ["face refused"]


def test_only_visible_landmarks_in_the_picture_count() -> None:
    mask = np.zeros((100, 100), np.uint8)
    mask[:, :50] = 255
    points = np.array([[25.0, 50.0], [75.0, 50.0], [75.0, 60.0], [-20.0, 5.0]])
    still = np.array([[1.0, 0, 0], [0, 1, 0]])
    assert outside_share(points, np.array([1.0, 1, 0, 1]), still, mask) == 0.5
    assert outside_share(points, np.zeros(4), still, mask) == 0.0
    # A toe on the border is no gap.
    assert outside_share(np.array([[50.5, 50.0]]), np.ones(1), still, mask) == 0.0


def test_folders_of_scans_are_no_test_folders(tmp_path: Path) -> None:
    (tmp_path / "anna").mkdir()
    assert not is_test_folder(tmp_path) and not is_test_folder(tmp_path / "absent")
    assert fitted_tile(tmp_path / "absent.png", 8).shape == (8, 8, 3)
