"""Framing of people, refusals, mask finding."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import tiny_person
from PIL import Image

from jiff.base.errors import ImageError
from jiff.face.detect.detector import Detection, make_detector
from jiff.geometry.camera import Camera
from jiff.photo.framing import BODY_SHARE, choose_person, frame_person, people_of
from jiff.photo.matting import find_faces, given_matte, grabcut_matte, is_wide, refuse_joined_people
from jiff.pipelines.frame_photos import FramingTools, Photo, frame_photo, is_framed


def _mask(
    height: int = 400, width: int = 300, top: int = 40, bottom: int = 360, left: int = 100, right: int = 180
) -> np.ndarray:
    mask = np.zeros((height, width), np.uint8)
    mask[top:bottom, left:right] = 255
    return mask


@pytest.mark.parametrize("size", [512, 1024, None])
@pytest.mark.parametrize("factor", [1, 5])
def test_person_stands_where_the_camera_expects(size: int | None, factor: int) -> None:
    mask = np.kron(_mask(), np.ones((factor, factor), np.uint8))
    framing = frame_person(mask, "a.jpg", size=size)
    assert framing.size == (size or (512 if factor == 1 else 1024))
    framed = framing.apply(mask)
    rows, columns = np.flatnonzero((framed >= 128).any(1)), np.flatnonzero((framed >= 128).any(0))
    camera = Camera(size=framing.size)
    top, feet = camera.world_to_pixel([[0, 180, 0], [0, 0, 0]])[:, 1]
    assert rows[0] == pytest.approx(top, abs=1.5)
    assert rows[-1] + 1 == pytest.approx(feet, abs=1.5)
    assert (columns[0] + columns[-1] + 1) / 2 == pytest.approx(framing.size / 2, abs=1)
    assert (rows[-1] + 1 - rows[0]) == pytest.approx(BODY_SHARE * framing.size, abs=2)


def test_pixels_map_back_to_the_photo(rng: np.random.Generator) -> None:
    framing = frame_person(_mask(), "a.jpg")
    points = rng.uniform(0, 400, (10, 2))
    forward, back = framing.photo_to_frame, framing.frame_to_photo
    there = points @ forward[:, :2].T + forward[:, 2]
    np.testing.assert_allclose(there @ back[:, :2].T + back[:, 2], points)
    np.testing.assert_allclose(forward[:, :2] @ [140, 200] + forward[:, 2], [256, 256])


@pytest.mark.parametrize("size", [512, 2048])
@pytest.mark.parametrize("factor", [1, 4])
def test_pixels_land_where_the_map_says(size: int, factor: int) -> None:
    mask = np.kron(_mask(), np.ones((factor, factor), np.uint8))
    spot = np.zeros_like(mask)
    spot[100 * factor : 104 * factor, 120 * factor : 126 * factor] = 255
    framing = frame_person(mask, "a.jpg", size=size)
    weight = framing.apply(spot).astype(float)
    rows, columns = np.mgrid[:size, :size] + 0.5
    found = np.array([(columns * weight).sum(), (rows * weight).sum()]) / weight.sum()
    forward = framing.photo_to_frame
    np.testing.assert_allclose(found, forward[:, :2] @ [123 * factor, 102 * factor] + forward[:, 2], atol=0.1)


def test_framing_a_framed_picture_changes_nothing(rng: np.random.Generator) -> None:
    mask = np.zeros((512, 512), np.uint8)
    mask[31:481, 200:312] = 255
    picture = rng.integers(0, 256, (512, 512, 3), dtype=np.uint8)
    framing = frame_person(mask, "a.jpg")
    assert framing.scale == 1.0
    np.testing.assert_array_equal(framing.apply(picture), picture)


@pytest.mark.parametrize(
    "mask, reason",
    [
        (np.zeros((200, 200), np.uint8), "no person"),
        (np.full((200, 200), 255, np.uint8), "covers the whole picture"),
        (_mask(top=150, bottom=200), "only 50 pixels high"),
        (_mask(top=0), "the head is cut off"),
        (_mask(bottom=400), "the feet are outside"),
        (_mask(top=200, bottom=300, left=10, right=290), "wider than high"),
    ],
)
def test_refusals_name_the_reason(mask: np.ndarray, reason: str) -> None:
    with pytest.raises(ImageError, match=reason) as caught:
        frame_person(mask, "a b.jpg")
    assert str(caught.value).startswith("a b.jpg: ")


def test_tightly_cut_people_are_not_refused() -> None:
    mask = np.zeros((300, 120), np.uint8)
    mask[:, 50:60] = 255
    mask[20:270, 30:80] = 255
    assert frame_person(mask, "a.png").notes == ()


def test_several_people_need_a_choice() -> None:
    mask = _mask() | _mask(left=220, right=280)
    mask[5:8, 5:8] = 255
    assert len(people_of(mask)) == 2
    with pytest.raises(ImageError, match="2 people are in the picture"):
        choose_person(mask, None, "a.jpg")
    with pytest.raises(ImageError, match="not a number 3"):
        choose_person(mask, 3, "a.jpg")
    np.testing.assert_array_equal(choose_person(mask, 2, "a.jpg"), _mask(left=220, right=280))
    np.testing.assert_array_equal(
        choose_person(mask, None if len(people_of(mask)) == 1 else 1, "a.jpg"), _mask()
    )


class _Faces:
    name = "given"

    def __init__(self, *boxes: tuple[float, float, float, float]) -> None:
        self.boxes = boxes

    def detect(self, image_rgb: np.ndarray) -> list[Detection]:
        return [Detection(np.array(box), np.zeros((5, 2)), 1.0, "yunet") for box in self.boxes]


def _scene(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, tuple[float, float, float, float]]:
    """The figure before a noisy green wall, with its mask and face."""
    person = tiny_person.photo(256)
    photo = rng.integers(90, 140, (300, 360, 3)).astype(np.uint8)
    photo[..., 1] += 60
    mask = np.zeros((300, 360), np.uint8)
    mask[20:276, 60:316] = person.mask
    photo[mask > 0] = person.rgb[person.mask > 0]
    x, y = Camera(size=256).world_to_pixel(tiny_person.HEAD_WORLD)
    return photo, mask, (x + 60 - 11, y + 20 - 12, x + 60 + 11, y + 20 + 14)


def test_grabcut_finds_the_body_below_the_face(rng: np.random.Generator) -> None:
    photo, mask, face = _scene(rng)
    matte = grabcut_matte(photo, _Faces(face), "a.jpg")
    inside, truth = matte.mask >= 128, mask > 0
    assert (inside & truth).sum() / (inside | truth).sum() > 0.9
    assert matte.source == "GrabCut"
    np.testing.assert_array_equal(grabcut_matte(photo, _Faces(face), "a.jpg").mask, matte.mask)


def test_grabcut_refuses_without_one_face(rng: np.random.Generator) -> None:
    photo, _, face = _scene(rng)
    with pytest.raises(ImageError, match=r"no person was found; give a_mask\.png"):
        grabcut_matte(photo, _Faces(), "a.jpg")
    with pytest.raises(ImageError, match="2 people"):
        grabcut_matte(photo, _Faces(face, (5, 5, 30, 30)), "a.jpg")
    with pytest.raises(ImageError, match="not a number 4"):
        grabcut_matte(photo, _Faces(face, (5, 5, 30, 30)), "a.jpg", person=4)


def _faces(*boxes: tuple[float, float, float, float], evidence: str = "yunet") -> list[Detection]:
    return [Detection(np.array(box), np.zeros((5, 2)), 0.9, evidence) for box in boxes]


def test_masks_that_join_people_are_refused() -> None:
    mask = _mask(left=60, right=240)
    first, second = (85.0, 50.0, 115.0, 90.0), (185.0, 55.0, 213.0, 92.0)
    with pytest.raises(ImageError, match=r"a\.jpg: the mask joins 2 people .* insist with --person 1"):
        refuse_joined_people(mask, _faces(first, second), "a.jpg")
    for single in (
        _faces(first),
        # Twice the same face; a print on the shirt; a small face far behind; a face beside the mask; a mere guess.
        _faces(first, (87.0, 52.0, 118.0, 93.0)),
        _faces(first, (185.0, 255.0, 213.0, 292.0)),
        _faces(first, (185.0, 55.0, 197.0, 70.0)),
        _faces(first, (245.0, 55.0, 273.0, 92.0)),
        _faces(first) + _faces(second, evidence="haar"),
    ):
        refuse_joined_people(mask, single, "a.jpg")
    assert is_wide(mask) and not is_wide(_mask(left=100, right=180)) and not is_wide(_mask() * np.uint8(0))


def test_joined_people_are_refused_unless_one_is_insisted_on(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    rgb = rng.integers(0, 255, (400, 300, 3), dtype=np.uint8)
    Image.fromarray(rgb).save(tmp_path / "a.png")
    Image.fromarray(_mask(left=60, right=240)).save(tmp_path / "a_mask.png")
    photo = Photo(tmp_path / "a.png", tmp_path / "crops")
    detector = _Faces((85, 50, 115, 90), (185, 55, 213, 92))
    with pytest.raises(ImageError, match="joins 2 people"):
        frame_photo(photo, FramingTools(detector))
    assert not (tmp_path / "crops").exists()
    photo, other = replace(photo, person_number=1), photo
    tools = FramingTools(detector)
    record = frame_photo(photo, tools)
    assert is_framed(photo, tools) and not is_framed(other, tools)
    corners = np.array([[-102.4, 192.4, 7, 1], [102.4, -12.4, -9, 1]]) @ np.array(record["world_to_photo"]).T
    back = np.array(record["frame_to_photo"])
    np.testing.assert_allclose(corners, [back[:, 2], back[:, :2] @ [512, 512] + back[:, 2]], atol=1e-9)
    photo.record.write_text("damaged")
    assert not is_framed(photo, tools)


def test_another_photo_of_the_name_does_not_inherit_the_face(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    Image.fromarray(rng.integers(0, 255, (400, 300, 3), dtype=np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(_mask()).save(tmp_path / "a_mask.png")
    photo = Photo(tmp_path / "a.png", tmp_path / "crops")
    tools = FramingTools(_Faces())
    frame_photo(photo, tools)
    person = photo.person
    written = (person.region, person.face_mesh, person.unaligned_face_mesh, person.fit)
    for path in written:
        path.touch()
    assert person.has_face and is_framed(photo, tools)
    other = _Faces()
    other.name = "another"
    assert not is_framed(photo, FramingTools(other))
    Image.fromarray(_mask(left=120, right=200)).save(tmp_path / "a_mask.png")
    assert not is_framed(photo, tools)
    frame_photo(photo, tools)
    assert is_framed(photo, tools) and not any(path.exists() for path in written)


def test_faces_are_given_in_pixels_of_the_photo() -> None:
    class Half:
        name = "half"

        def detect(self, image_rgb: np.ndarray) -> list[Detection]:
            height, width = image_rgb.shape[:2]
            return _faces((0.25 * width, 0.5 * height, 0.5 * width, 0.75 * height))

    for size in ((300, 200), (3000, 2000)):
        box = find_faces(np.zeros((*size, 3), np.uint8), Half())[0].box_px
        np.testing.assert_allclose(box, np.array([50, 150, 100, 225]) * size[0] / 300, rtol=0.01)


def test_mask_file_comes_before_alpha(tmp_path: Path) -> None:
    rgba = np.zeros((40, 30, 4), np.uint8)
    rgba[10:20, 5:9, 3] = 255
    path = tmp_path / "a.png"
    Image.fromarray(rgba).save(path)
    matte = given_matte(path, rgba)
    assert matte is not None and matte.source == "alpha"
    np.testing.assert_array_equal(matte.mask, rgba[..., 3])
    Image.fromarray(np.full((40, 30), 255, np.uint8)).save(tmp_path / "a_mask.png")
    matte = given_matte(path, rgba)
    assert matte is not None and matte.source == "mask file" and (matte.mask == 255).all()
    assert given_matte(tmp_path / "b.png", rgba[..., :3]) is None
    with pytest.raises(ImageError, match="fully transparent"):
        given_matte(tmp_path / "b.png", rgba * np.uint8(0))


def test_real_photos_are_found_and_framed(shared: Path) -> None:
    from jiff.photo.images import read_image
    from jiff.photo.masks import read_mask

    for name in ("ryota.png", "sample.jpg"):
        photo = np.ascontiguousarray(read_image(shared / "photos" / name)[..., :3])
        mask = read_mask(shared / "photos" / f"{name[:-4]}_mask.png")
        framing = frame_person(choose_person(mask, None, name), name)
        assert 0.95 < framing.scale < 1.1
        # The backgrounds are black and so are some clothes: only the placement can be asked of a guess here.
        guess = frame_person(grabcut_matte(photo + np.uint8(0), make_detector(None), name).mask, name)
        assert abs(guess.center_px[0] - framing.center_px[0]) < 40
