"""The person networks: windows, masks, people, what is cut off; and the files they come from."""

from __future__ import annotations

import dataclasses
import hashlib
import math
import os
import subprocess
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from jiff.assets import wheel as wheel_module
from jiff.assets.fetch import fetch_asset
from jiff.assets.registry import Asset, get_asset, verify
from jiff.assets.wheel import Member, Wheel
from jiff.base.errors import AssetError, ImageError, OutputError
from jiff.base.progress import NullProgress
from jiff.perception import files
from jiff.perception.crop import Crop
from jiff.perception.files import ensure_networks
from jiff.perception.landmarks import FACE_FIVE, Pose, face_crop, head_crop
from jiff.perception.mask import guided_filter, person_mask
from jiff.perception.networks import PersonNetworks
from jiff.perception.people import find_people, person_in, see_face
from jiff.photo.cut_off import missing_part, not_upright_deg
from jiff.photo.framing import frame_person
from jiff.photo.images import read_image
from jiff.photo.masks import read_mask
from jiff.photo.seen import read_seen_face, see_person


@pytest.fixture
def photo(shared: Path) -> np.ndarray:
    return np.ascontiguousarray(read_image(shared / "photos" / "sample.jpg")[..., :3])


def test_points_come_back_from_a_turned_window(rng: np.random.Generator) -> None:
    crop = Crop((130.0, 71.5), 83.0, 0.7)
    points = rng.uniform(0, 192, (20, 2))
    matrix = crop.photo_to_crop(192)
    np.testing.assert_allclose(crop.to_photo(points, 192) @ matrix[:, :2].T + matrix[:, 2], points, atol=1e-9)
    # The middle of the window is its centre, its side its size.
    np.testing.assert_allclose(matrix[:, :2] @ crop.center_px + matrix[:, 2], [96, 96])
    assert np.linalg.norm(matrix[0, :2]) == pytest.approx(192 / 83)


@pytest.mark.parametrize("angle", [0.0, 0.5, -2.0])
@pytest.mark.parametrize("side", [60.0, 160.0, 500.0])
def test_window_shows_what_lies_at_its_places(angle: float, side: float) -> None:
    y, x = np.mgrid[0:240, 0:320]
    image = np.zeros((240, 320, 3), np.uint8)
    spot = np.exp(-((x + 0.5 - 171) ** 2 + (y + 0.5 - 118) ** 2) / (2 * 3.0**2))
    image[..., 0] = np.rint(255 * spot)
    crop = Crop((160.0, 120.0), side, angle)
    window = crop.take(image, 128)[..., 0].astype(float)
    rows, columns = np.mgrid[0:128, 0:128] + 0.5
    seen = np.array([(window * columns).sum(), (window * rows).sum()]) / window.sum()
    matrix = crop.photo_to_crop(128)
    np.testing.assert_allclose(seen, matrix[:, :2] @ [171, 118] + matrix[:, 2], atol=0.35)
    placed = crop.paste(window, (240, 320))
    back = np.array([(placed * (x + 0.5)).sum(), (placed * (y + 0.5)).sum()]) / placed.sum()
    np.testing.assert_allclose(back, [171, 118], atol=0.8)


def test_window_beside_the_photo_is_black() -> None:
    assert not Crop((900.0, 20.0), 50.0).take(np.full((40, 40, 3), 200, np.uint8), 64).any()


def test_guided_filter_solves_the_published_equations(rng: np.random.Generator) -> None:
    guide = rng.uniform(0, 1, (24, 30, 3)).astype(np.float32)
    values = rng.uniform(0, 1, (24, 30)).astype(np.float32)

    def mean(a: np.ndarray) -> np.ndarray:
        return cv2.blur(a, (7, 7), borderType=cv2.BORDER_REFLECT)

    slope, offset = np.zeros_like(guide), np.zeros_like(values)
    products = np.einsum("hwi,hwj->hwij", guide, guide)
    second = np.stack([[mean(products[..., i, j]) for j in range(3)] for i in range(3)])
    mg, mv = mean(guide), mean(values)
    cross = mean(guide * values[..., None]) - mg * mv[..., None]
    for r in range(24):
        for c in range(30):
            cov = second[:, :, r, c] - np.outer(mg[r, c], mg[r, c]) + 1e-2 * np.eye(3)
            slope[r, c] = np.linalg.solve(cov, cross[r, c])
            offset[r, c] = mv[r, c] - slope[r, c] @ mg[r, c]
    expected = (mean(slope) * guide).sum(-1) + mean(offset)
    np.testing.assert_allclose(guided_filter(guide, values, 3, 1e-2), expected, atol=2e-4)


def _pose(points: np.ndarray) -> Pose:
    crop = Crop((100.0, 100.0), 250.0)
    ones = np.ones(33)
    mask = np.zeros((256, 256), np.float32)
    return Pose(points, np.zeros(33), ones, ones, np.zeros((33, 3)), 1.0, crop, mask, crop)


def _standing(top: float = 20.0, feet: float = 180.0) -> np.ndarray:
    """A stick person between two rows: eyes, mouth, shoulders, hips, ankles, feet."""
    points = np.zeros((33, 2))
    share = np.full(33, 0.5)
    share[:9], share[9:11], share[11:13], share[13:23] = 0.06, 0.1, 0.2, 0.45
    share[23:25], share[25:27], share[27:29], share[29:] = 0.52, 0.75, 0.96, 1.0
    points[:, 1] = top + share * (feet - top)
    points[:, 0] = 100 + np.where(np.arange(33) % 2, 8, -8)
    points[0, 0] = 100
    return points


def test_landmarks_tell_what_is_cut_off() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[:, 80:120] = 255
    assert missing_part(_pose(_standing()), mask) is None
    assert "feet" in (missing_part(_pose(_standing(feet=215)), mask) or "")
    assert "head" in (missing_part(_pose(_standing(top=-30)), mask) or "")
    # Landmarks outside where the mask does not reach the border are the network's guesses.
    mask[-3:] = 0
    assert missing_part(_pose(_standing(feet=215)), mask) is None


def test_turned_people_are_told_from_bending_ones() -> None:
    points = _standing()
    assert not_upright_deg(_pose(points)) is None
    upside_down = points.copy()
    upside_down[:, 1] = 200 - points[:, 1]
    assert abs(not_upright_deg(_pose(upside_down)) or 0) == pytest.approx(180, abs=10)
    lying = points[:, ::-1].copy()
    assert abs(not_upright_deg(_pose(lying)) or 0) == pytest.approx(90, abs=10)
    bending = points.copy()
    # The trunk is level, the legs stand.
    bending[:13] = [[170.0 - 3 * k % 9, 100.0] for k in range(13)]
    assert not_upright_deg(_pose(bending)) is None


def test_partial_people_are_framed_as_large_as_they_are() -> None:
    mask = np.zeros((200, 200), np.uint8)
    mask[20:, 80:120] = 255
    pose = _pose(_standing(feet=280))
    with pytest.raises(ImageError, match="--partial"):
        frame_person(mask, "a.jpg", pose=pose)
    framing = frame_person(mask, "a.jpg", pose=pose, partial=True, size=512)
    whole = frame_person(np.pad(mask, ((0, 80), (0, 0)), mode="edge"), "a.jpg", pose=pose, size=512)
    assert framing.scale == pytest.approx(whole.scale, rel=0.03)
    assert any("outside" in note for note in framing.notes)


def test_a_real_person_is_seen(networks: PersonNetworks, photo: np.ndarray, shared: Path) -> None:
    seen = see_person(networks, photo, "sample.jpg", None)
    truth = read_mask(shared / "photos" / "sample_mask.png") >= 128
    inside = seen.mask >= 128
    assert (inside & truth).sum() / (inside | truth).sum() > 0.95
    assert seen.face is not None and seen.face.score > 0.9 and abs(seen.face.yaw_deg) < 15
    # Eyes above the mouth, the subject's right eye on the left of the picture, feet below hips.
    five = seen.face.five_px
    assert five[0, 0] < five[1, 0] and five[3, 1] > five[2, 1] > five[0, 1]
    assert seen.pose.points_px[27, 1] > seen.pose.points_px[23, 1] > seen.pose.points_px[11, 1]
    assert seen.pose.points_m[27, 1] > 0.5 and abs(seen.pose.tilt_deg) < 10
    # Deterministic, and the same person through the mask.
    again = see_person(networks, photo, "sample.jpg", None)
    np.testing.assert_array_equal(again.mask, seen.mask)
    masked = person_in(networks, photo, seen.mask)
    assert masked is not None
    assert np.abs(masked.pose.points_px - seen.pose.points_px)[:25].max() < 12


def test_the_photo_size_does_not_matter(networks: PersonNetworks, photo: np.ndarray) -> None:
    large = cv2.resize(photo, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC)
    small, grown = find_people(networks, photo)[0], find_people(networks, large)[0]
    assert np.abs(small.pose.points_px - grown.pose.points_px / 4).max() < 8
    face, other = see_face(networks, photo, small.pose), see_face(networks, large, grown.pose)
    assert face is not None and other is not None
    assert np.abs(face.points_px - other.points_px / 4)[:, :2].mean() < 1.0


def test_people_are_counted_from_the_left(networks: PersonNetworks, shared: Path) -> None:
    left = np.ascontiguousarray(read_image(shared / "photos" / "sample.jpg")[..., :3])
    right = np.ascontiguousarray(read_image(shared / "people" / "person_18.png")[..., :3])
    right = np.asarray(cv2.resize(right, (512, 512), interpolation=cv2.INTER_AREA), np.uint8)
    both = np.concatenate([left, right], axis=1)
    with pytest.raises(
        ImageError, match=r"2 people are in the picture; choose one from the left with --person N"
    ):
        see_person(networks, both, "two.jpg", None)
    first, second = (see_person(networks, both, "two.jpg", n) for n in (1, 2))
    assert first.pose.points_px[:, 0].max() < 512 < second.pose.points_px[:, 0].min()
    assert not (first.mask[:, 520:] > 0).any() and not (second.mask[:, :500] > 0).any()
    with pytest.raises(ImageError, match="has 2 people, not a number 3"):
        see_person(networks, both, "two.jpg", 3)


def test_people_who_overlap_are_told_apart(networks: PersonNetworks, shared: Path) -> None:
    canvas = np.full((1024, 1324, 3), 150, np.uint8)
    for name, left in (("person_20.png", 0), ("person_18.png", 190)):
        rgb = np.ascontiguousarray(read_image(shared / "people" / name)[..., :3])
        alpha = see_person(networks, rgb, name, None).mask[..., None] / 255.0
        part = canvas[:, left : left + 1024]
        part[:] = np.rint(part * (1 - alpha) + rgb * alpha)
    with pytest.raises(ImageError, match="2 people"):
        see_person(networks, canvas, "hug.png", None)
    behind, front = (see_person(networks, canvas, "hug.png", n) for n in (1, 2))
    both = (behind.mask >= 128) & (front.mask >= 128)
    assert both.sum() < 0.05 * (front.mask >= 128).sum()
    assert behind.face is not None and front.pose.points_px[0, 0] - behind.pose.points_px[0, 0] > 80


@pytest.mark.parametrize(
    ("kind", "sentence"),
    [
        ("noise", "no person"),
        ("black", "no person"),
        ("tiny", "pixels"),
        ("upside down", "turn the photo"),
        ("lying", "turn the photo"),
        ("head", "person"),
    ],
)
def test_pictures_without_an_upright_person(
    networks: PersonNetworks, photo: np.ndarray, kind: str, sentence: str
) -> None:
    pictures = {
        "noise": np.random.default_rng(0).integers(0, 256, (300, 200, 3), dtype=np.uint8),
        "black": np.zeros((256, 256, 3), np.uint8),
        "tiny": np.full((1, 1, 3), 128, np.uint8),
        "upside down": np.ascontiguousarray(photo[::-1, ::-1]),
        "lying": np.ascontiguousarray(photo.transpose(1, 0, 2)[:, ::-1]),
        "head": np.asarray(cv2.resize(photo[44:104, 222:282], (600, 600), interpolation=cv2.INTER_CUBIC)),
    }
    with pytest.raises(ImageError, match=sentence):
        seen = see_person(networks, pictures[kind], "a.jpg", None)
        frame_person(seen.mask, "a.jpg", pose=seen.pose)


def test_from_behind_there_is_no_face(networks: PersonNetworks, photo: np.ndarray) -> None:
    seen = see_person(networks, photo, "a.jpg", None)
    five = seen.face.five_px
    covered = photo.copy()
    low, high = seen.face.box_px[:2].astype(int) - 4, seen.face.box_px[2:].astype(int) + 4
    hair = photo[low[1] - 2, int(five[2, 0])]
    covered[low[1] : high[1], low[0] : high[0]] = hair
    behind = see_person(networks, covered, "a.jpg", None)
    assert behind.face is None and behind.mask is not None


def test_windows_of_faces_follow_the_eyes(networks: PersonNetworks, photo: np.ndarray) -> None:
    seen = see_person(networks, photo, "a.jpg", None)
    center = np.array(face_crop(seen.face).center_px)
    assert np.linalg.norm(center - head_crop(seen.pose).center_px) < 0.25 * face_crop(seen.face).side_px
    assert math.degrees(face_crop(seen.face).angle_rad) == pytest.approx(0, abs=10)
    assert max(max(marks) for marks in FACE_FIVE) < 468


def test_other_people_are_no_part_of_a_mask(networks: PersonNetworks, photo: np.ndarray) -> None:
    pose = find_people(networks, photo)[0].pose
    pose = dataclasses.replace(pose, mask=0.9 * pose.mask)
    stronger = dataclasses.replace(pose, mask=np.ones_like(pose.mask))
    assert person_mask(photo, pose).any() and not person_mask(photo, pose, [stronger]).any()


CONTENT = {"pkg/a.tflite": b"network", "pkg-1.dist-info/LICENSE": b"licence"}


def _wheel(folder: Path, content: dict[str, bytes] = CONTENT) -> Wheel:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "pkg-1-cp312-cp312-manylinux_2_28_x86_64.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for name, blob in content.items():
            archive.writestr(zipfile.ZipInfo(name), blob)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    members = tuple(Member(k, hashlib.sha256(v).hexdigest(), len(v)) for k, v in CONTENT.items())
    return Wheel("pkg==1", path.name, digest, members)


def _asset(wheel: Wheel) -> Asset:
    return dataclasses.replace(get_asset("perception"), pattern="pkg-1", wheel=wheel)


def test_files_are_taken_out_of_a_wheel_that_lies_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIFF_ASSETS", str(tmp_path / "assets"))
    asset = _asset(_wheel(tmp_path / "assets"))
    path, fetched = fetch_asset(asset, NullProgress())
    assert fetched and sorted(p.name for p in path.iterdir()) == ["LICENSE", "a.tflite"]
    assert fetch_asset(asset, NullProgress()) == (path, False) and asset.find() == path
    (path / "a.tflite").write_bytes(b"changed")
    with pytest.raises(AssetError, match="another file"):
        verify(asset, path)
    fetch_asset(asset, NullProgress(), overwrite=True)
    assert (path / "a.tflite").read_bytes() == b"network"
    (path / "LICENSE").unlink()
    assert asset.find() is None


def test_other_wheels_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIFF_ASSETS", str(tmp_path))
    good = _wheel(tmp_path)
    _wheel(tmp_path, {**CONTENT, "pkg/a.tflite": b"evil"})
    with pytest.raises(AssetError, match="another wheel"):
        fetch_asset(_asset(good), NullProgress())
    assert not (tmp_path / "pkg-1").exists()


def test_without_network_one_sentence_says_how_to_bring_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("JIFF_ASSETS", str(tmp_path))
    monkeypatch.delenv("JIFF_PERCEPTION")

    def offline(*args: object, **kwargs: object) -> subprocess.CompletedProcess[str]:
        return subprocess.CompletedProcess([], 1, "", "WARNING: x\nERROR: No matching distribution found\n")

    monkeypatch.setattr(wheel_module.subprocess, "run", offline)
    monkeypatch.setenv("JIFF_CACHE", str(tmp_path / "cache"))
    progress = NullProgress()
    assert ensure_networks(progress) is None
    assert len(progress.infos) == 1 and len(progress.warnings) == 1
    assert "No matching distribution" in progress.warnings[0] and "GrabCut" in progress.warnings[0]
    assert get_asset("perception").wheel.file in progress.warnings[0]
    monkeypatch.setenv("JIFF_PERCEPTION", "off")
    assert ensure_networks(progress) is None and len(progress.infos) == 1


def test_files_that_others_share_may_be_read_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("JIFF_ASSETS", str(tmp_path / "shared"))
    monkeypatch.setenv("JIFF_CACHE", str(tmp_path / "own"))
    allowed = os.access
    monkeypatch.setattr(
        wheel_module.os,
        "access",
        lambda p, mode: allowed(p, mode) and not (mode & os.W_OK and "shared" in str(p)),
    )
    (tmp_path / "shared").mkdir()
    asset = _asset(_wheel(tmp_path / "own" / "assets"))
    path, _ = fetch_asset(asset, NullProgress())
    assert path == tmp_path / "own" / "assets" / "pkg-1" and asset.find() == path
    monkeypatch.setattr(wheel_module.os, "access", lambda p, mode: not mode & os.W_OK)
    with pytest.raises(OutputError, match="JIFF_ASSETS"):
        wheel_module.writable_place(tmp_path / "shared")


def test_records_of_other_programs_are_named(tmp_path: Path) -> None:
    path = tmp_path / "a_person.json"
    path.write_text('{"face": {"points_px": [1, 2]}, "head_window": {}}')
    with pytest.raises(Exception, match="frame the photo again"):
        read_seen_face(path)
    assert files.SWITCH == "JIFF_PERCEPTION"
