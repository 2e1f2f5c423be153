"""Photos and masks as people have them: honoured, or named in one sentence; the others go on."""

from __future__ import annotations

import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageCms

from jiff.base.errors import ImageError, InputError
from jiff.face.detect.detector import HaarDetector
from jiff.photo.images import IMAGE_SUFFIXES, photo_suffixes, read_image
from jiff.photo.masks import mask_file, read_mask
from jiff.pipelines.frame_photos import FramingTools, find_photos, frame_photo, is_framed

PERSON = np.zeros((60, 40), bool)
PERSON[10:50, 12:28] = True
SKIN = np.full((60, 40, 3), (200, 140, 110), np.uint8)


def _save(path: Path, values: np.ndarray, mode: str | None = None, **options: object) -> Path:
    Image.fromarray(values.astype(np.uint8), mode).save(path, **options)  # type: ignore[arg-type]
    return path


def _names(folder: Path) -> tuple[list[str], dict[str, str]]:
    found = find_photos(folder, folder / "out")
    return [photo.source.name for photo in found.photos], found.not_taken


@pytest.mark.parametrize("name", ["a_mask.png", "a_mask.jpg", "a_MASK.PNG", "A_mask.webp", "a_mask.JPEG"])
def test_masks_of_any_format_and_letter_case_are_found(tmp_path: Path, name: str) -> None:
    photo = _save(tmp_path / "a.jpg", SKIN)
    assert mask_file(photo) is None
    _save(tmp_path / name, PERSON * 255)
    assert mask_file(photo) == tmp_path / name and _names(tmp_path)[0] == ["a.jpg"]


def test_a_png_of_that_very_name_comes_first(tmp_path: Path) -> None:
    photo = _save(tmp_path / "a.jpg", SKIN)
    for name in ("a_Mask.bmp", "a_mask.png", "a_mask.jpg"):
        _save(tmp_path / name, PERSON * 255)
    assert mask_file(photo) == tmp_path / "a_mask.png"


@pytest.mark.parametrize("value", [1, 2, 15, 114, 127, 128, 255])
def test_one_value_is_the_person_whatever_it_is(tmp_path: Path, value: int) -> None:
    mask = read_mask(_save(tmp_path / "m.png", PERSON * value))
    assert ((mask >= 128) == PERSON).all()
    assert value == 128 or mask.max() == 255


def test_faint_soft_masks_are_stretched(tmp_path: Path) -> None:
    soft = cv2.GaussianBlur((PERSON * 114).astype(np.uint8), (0, 0), 3)
    mask = read_mask(_save(tmp_path / "m.png", soft))
    assert mask.max() == 255 and len(np.unique(mask)) > 10


def test_palette_and_class_numbers(tmp_path: Path) -> None:
    image = Image.fromarray((PERSON * 15).astype(np.uint8), "P")
    image.putpalette([0, 0, 0] + [10, 20, 30] * 14 + [192, 128, 128] + [0, 0, 0] * 240)
    image.save(tmp_path / "voc.png")
    assert ((read_mask(tmp_path / "voc.png") == 255) == PERSON).all()
    gray = Image.fromarray((PERSON * 255).astype(np.uint8)).quantize(2)
    gray.save(tmp_path / "gray.png")
    assert ((read_mask(tmp_path / "gray.png") == 255) == PERSON).all()
    several = PERSON * 15
    several[:5] = 7
    with pytest.raises(ImageError, match=r"holds class numbers \(7, 15\)"):
        read_mask(_save(tmp_path / "several.png", several))


def test_inverted_masks_are_named_and_full_ones_are_not(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match="the mask is inverted, white outside the person; turn it over"):
        read_mask(_save(tmp_path / "m.png", ~PERSON * 255))
    assert read_mask(_save(tmp_path / "full.png", np.full((60, 40), 255))).min() == 255


def test_colours_come_in_srgb(tmp_path: Path) -> None:
    """By a profile of another gamma; one that is damaged counts as none."""
    linear = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB"))
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for name, blob in {"none": None, "srgb": srgb, "lab": linear.tobytes(), "bad": b"no profile"}.items():
        path = _save(tmp_path / f"{name}.png", SKIN, **({} if blob is None else {"icc_profile": blob}))
        assert (read_image(path)[..., :3] == SKIN).all(), name


def test_heic_and_avif_of_phones_are_read(tmp_path: Path) -> None:
    pillow_heif = pytest.importorskip("pillow_heif")
    picture = Image.fromarray(np.full((48, 32, 3), (200, 120, 60), np.uint8))
    pillow_heif.register_heif_opener()
    picture.save(tmp_path / "phone.HEIC", quality=95)
    Image.new("L", (32, 48), 255).save(tmp_path / "phone_mask.png")
    assert _names(tmp_path) == (["phone.HEIC"], {})
    image = read_image(tmp_path / "phone.HEIC")
    assert image.shape == (48, 32, 3) and np.abs(image.astype(int) - (200, 120, 60)).max() < 12
    (tmp_path / "cut.heic").write_bytes((tmp_path / "phone.HEIC").read_bytes()[:300])
    with pytest.raises(ImageError, match=re.escape("cut.heic")):
        read_image(tmp_path / "cut.heic")
    if ".avif" in photo_suffixes():
        picture.save(tmp_path / "a.avif", quality=95)
        assert np.abs(read_image(tmp_path / "a.avif").astype(int) - (200, 120, 60)).max() < 12


def test_names_that_collide_and_formats_that_are_not_read_stop_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("jiff.pipelines.frame_photos.photo_suffixes", lambda: IMAGE_SUFFIXES)
    for name in ("twice.jpg", "twice.png", "good.JPG", "nurse_with_mask.jpg"):
        _save(tmp_path / name, SKIN)
    for name in ("good_mask.png", "nurse_with_mask_mask.png", "phone_mask.png"):
        _save(tmp_path / name, PERSON * 255)
    (tmp_path / "phone.HEIC").write_bytes(b"\0\0\0\x18ftypheic")
    names, not_taken = _names(tmp_path)
    assert names == ["good.JPG", "nurse_with_mask.jpg"]
    assert set(not_taken) == {"twice", "phone.HEIC"}
    assert "two photos of one name; rename one" in not_taken["twice"]
    assert "HEIC pictures cannot be read; pip install" in not_taken["phone.HEIC"]
    only = tmp_path / "only"
    only.mkdir()
    (only / "a.heic").write_bytes(b"")
    with pytest.raises(InputError, match="HEIC pictures cannot be read"):
        find_photos(only, only)


CASES = (
    "photo_ref", "photo_mpo", "photo_heic", "photo_twice", "photo_named_mask", "photo_adobergb", "photo_p3", "photo_prophoto",
    "mask_jpg", "mask_upper", "mask_faint", "alpha_faint", "mask_label2", "mask_palette",
)  # fmt: skip


@pytest.mark.parametrize("case", CASES)
def test_cases_of_public_reports(shared: Path, tmp_path: Path, case: str) -> None:
    """The crop shows the person in the right colours, and its mask is white inside."""
    tools = FramingTools(HaarDetector())
    found = find_photos(shared / "cases" / case / "photos", tmp_path)
    assert case == "photo_heic" or bool(found.not_taken) == (case == "photo_twice")
    for photo in found.photos:
        if photo.name == "IMG_2" and case == "photo_heic":
            with pytest.raises(ImageError, match=re.escape("IMG_2.HEIC")):
                frame_photo(photo, tools)
            continue
        frame_photo(photo, tools)
        crop, mask = read_image(photo.person.image), read_mask(photo.person.mask)
        assert np.abs(crop[mask > 200][:, :3].mean(0) - (116.5, 95.8, 89.7)).max() < 1.5
        assert mask.max() == 255 and is_framed(photo, tools)
