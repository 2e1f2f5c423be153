"""The face box and its text file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiff.base.errors import DatasetError, InputError
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera

COORDINATE = st.floats(-60, 60)
SIZE = st.floats(0.5, 40)


@given(COORDINATE, COORDINATE, COORDINATE, SIZE, SIZE, SIZE)
def test_region_file_round_trip(tmp_path_factory, x, y, z, w, h, d):
    path = tmp_path_factory.getbasetemp() / "region.txt"
    box = FaceBox(x, x + w, y + 90, y + 90 + h, z, z + d)
    camera = Camera(center_world=np.array([1.0, 92.0, -3.0]), half_width_world=95.0, size=1024)
    box.to_region_file(path, camera)
    again = FaceBox.from_region_file(path, camera.with_size(512))
    np.testing.assert_allclose(again.corners, box.corners, atol=1e-3)


def test_pixels_are_those_of_the_512_image(tmp_path: Path):
    # Pixel 0.4 unit, centre (256, 256) at (0, 90): the closed form of the canonical camera.
    FaceBox(-8, 8, 150, 170, -1, 9).to_region_file(tmp_path / "r.txt", Camera(size=1024))
    numbers = [float(v) for v in (tmp_path / "r.txt").read_text().split(",")]
    np.testing.assert_allclose(numbers, [256 - 80 / 0.4, 256 - 60 / 0.4, 236, 276, -1, 9], atol=1e-4)


def test_published_file_is_read_by_the_camera_not_by_the_published_approximation(tmp_path: Path):
    (tmp_path / "r.txt").write_text("40\n100\n226\n286\n")
    box = FaceBox.from_region_file(tmp_path / "r.txt", Camera())
    assert box.xmax - box.xmin == pytest.approx(60 * 0.4)
    assert (box.ymin, box.ymax) == pytest.approx((90 + 156 * 0.4, 90 + 216 * 0.4))
    assert box.zmin < -50 < 50 < box.zmax


@pytest.mark.parametrize("text", ["", "1 2 3", "a b c d", "100,40,226,286", "40,100,286,226", "nan,1,2,3"])
def test_damaged_files_are_named(tmp_path: Path, text: str):
    (tmp_path / "r.txt").write_text(text)
    with pytest.raises(DatasetError, match=r"r\.txt"):
        FaceBox.from_region_file(tmp_path / "r.txt", Camera())


def test_missing_file(tmp_path: Path):
    with pytest.raises(InputError, match=r"r\.txt"):
        FaceBox.from_region_file(tmp_path / "r.txt", Camera())


def test_around_and_contains():
    box = FaceBox.around(np.array([[0, 0, 0], [4, 10, 2]]), margin=0.1)
    np.testing.assert_allclose(box.corners, [[-1, -1, -1], [5, 11, 3]])
    points = np.array([[0, 0, 99], [5.1, 0, 0], [5, 11, -99]])
    assert box.contains(points).tolist() == [True, False, True]
