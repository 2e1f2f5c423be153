"""Detection on photos and on a synthetic person; refusals."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from face_people import person

from jiff.base.errors import AssetError, FitError
from jiff.face.detect.detector import (
    Detection,
    HaarDetector,
    YuNetDetector,
    find_detector_model,
    make_detector,
    overlap,
)
from jiff.face.detect.locate import crop, head_window, locate_face, sensible
from jiff.photo.images import read_image
from jiff.photo.masks import read_mask

# Right eye, left eye, mouth as seen in the pictures, in pixels.
SEEN = {
    "sample.jpg": ((245.5, 63.5), (262.5, 64), (253, 81)),
    "ryota.png": ((239, 62.5), (257, 62.5), (247.5, 83)),
}


def detectors(shared: Path) -> list:
    return [HaarDetector(), YuNetDetector(next((shared / "assets").glob("face_detection_yunet*.onnx")))]


@pytest.mark.parametrize("name", sorted(SEEN))
@pytest.mark.parametrize("which", [0, 1])
def test_faces_of_the_photos(shared: Path, name: str, which: int):
    detector = detectors(shared)[which]
    image = read_image(shared / "photos" / name)[..., :3]
    mask = read_mask(shared / "photos" / f"{Path(name).stem}_mask.png")
    found = locate_face(image, mask, detector)
    right_eye, left_eye, mouth = (np.array(p) for p in SEEN[name])
    limit = 3.5
    assert np.linalg.norm(found.points_px[0] - right_eye) < limit
    assert np.linalg.norm(found.points_px[1] - left_eye) < limit
    assert np.linalg.norm(found.points_px[3:].mean(0) - mouth) < limit
    assert found.measured


def test_the_other_person_is_never_taken(shared: Path):
    """Two people in one picture: each mask gets its own face, a mask of neither gets none."""
    left = read_image(shared / "photos" / "sample.jpg")[..., :3]
    right = read_image(shared / "photos" / "ryota.png")[..., :3]
    masks = [read_mask(shared / "photos" / f"{n}_mask.png") for n in ("sample", "ryota")]
    both = np.concatenate([left[:, 128:384], right[:, 128:384]], axis=1)
    for number in range(2):
        mask = np.zeros((512, 512), np.uint8)
        mask[:, 256 * number : 256 * number + 256] = masks[number][:, 128:384]
        for detector in detectors(shared):
            found = locate_face(both, mask, detector)
            assert 256 * number <= found.points_px[2, 0] < 256 * number + 256
    body_only = masks[0].copy()
    body_only[:110] = 0
    for detector in detectors(shared):
        with pytest.raises(FitError):
            locate_face(left, body_only, detector)


def test_no_face_says_so():
    detector = HaarDetector()
    picture = np.full((256, 256, 3), 120, np.uint8)
    with pytest.raises(FitError, match="no face was found by haar"):
        locate_face(picture, np.full((256, 256), 255, np.uint8), detector)


def test_synthetic_people_are_found_without_any_file():
    found = locate_face(person().picture, person().mask, HaarDetector())
    assert sensible(found, person().mask) is None


def test_crop_and_back_agree():
    image = np.zeros((100, 100, 3), np.uint8)
    image[40:44, 60:64] = 255
    window = crop(image, 50.0, 30.0, 25.0, 200)
    rows, columns = np.nonzero(window[..., 0] > 127)
    # The white square spans 60..64 and 40..44: its middle is (62, 42).
    middle = np.array([columns.mean(), rows.mean()]) + 0.5
    found = Detection(np.zeros(4), np.tile(middle, (5, 1)), 1.0, "given").mapped(200 / 25, (50.0, 30.0))
    np.testing.assert_allclose(found.points_px[0], [62, 42], atol=0.1)


def test_head_window_ignores_a_raised_arm():
    mask = np.zeros((512, 512), np.uint8)
    mask[60:480, 230:282] = 255
    mask[20:200, 340:350] = 255
    left, top, side = head_window(mask)
    assert abs(left + side / 2 - 256) < 20 and top < 60 < top + side


def test_box_overlap():
    a = np.array([0.0, 0, 2, 2])
    assert overlap(a, a) == 1
    assert overlap(a, a + [1, 0, 1, 0]) == pytest.approx(1 / 3)
    assert overlap(a, a + 5) == 0


def test_detector_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("JIFF_ASSETS", str(tmp_path))
    assert find_detector_model() is None
    assert make_detector().name == "haar"
    with pytest.raises(AssetError, match="no such detector"):
        make_detector(tmp_path / "absent.onnx")
    broken = tmp_path / "face_detection_yunet_2030jan.onnx"
    broken.write_bytes(b"not a network")
    assert find_detector_model() == broken
    with pytest.raises(AssetError, match="yunet_2030jan"):
        make_detector()
