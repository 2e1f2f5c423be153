"""Reading of photos and masks: every colour model and depth, orientation, hostile files."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jiff.base.errors import ImageError, InputError
from jiff.photo.images import read_image, resize_image
from jiff.photo.masks import read_mask
from jiff.photo.test_folder import PersonImage, list_people, read_person


def _picture(rng: np.random.Generator, height: int = 6, width: int = 9) -> np.ndarray:
    return rng.integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_give_one_image(tmp_path: Path, rng: np.random.Generator, orientation: int) -> None:
    upright = _picture(rng)
    undo = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, 1),
        7: lambda a: a[::-1, ::-1].transpose(1, 0, 2),
        8: lambda a: np.rot90(a, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    path = tmp_path / "photo.png"
    Image.fromarray(np.ascontiguousarray(undo(upright))).save(path, exif=exif)
    np.testing.assert_array_equal(read_image(path), upright)


def test_sixteen_bit_gray_and_colour(tmp_path: Path, rng: np.random.Generator) -> None:
    import cv2

    eight = _picture(rng)
    deep = eight.astype(np.uint16) * 257
    cv2.imwrite(str(tmp_path / "deep.tif"), np.ascontiguousarray(deep[..., ::-1]))
    cv2.imwrite(str(tmp_path / "deep.png"), np.ascontiguousarray(deep[..., ::-1]))
    cv2.imwrite(str(tmp_path / "gray.png"), deep[..., 0])
    np.testing.assert_array_equal(read_image(tmp_path / "deep.tif"), eight)
    np.testing.assert_array_equal(read_image(tmp_path / "deep.png"), eight)
    np.testing.assert_array_equal(read_image(tmp_path / "gray.png"), np.repeat(eight[..., :1], 3, axis=2))


def test_palette_gray_alpha_and_cmyk(tmp_path: Path, rng: np.random.Generator) -> None:
    gray = _picture(rng)[..., 0]
    Image.fromarray(gray).save(tmp_path / "l.png")
    np.testing.assert_array_equal(read_image(tmp_path / "l.png"), np.repeat(gray[..., None], 3, axis=2))
    rgba = np.concatenate([_picture(rng), gray[..., None]], axis=2)
    Image.fromarray(rgba).save(tmp_path / "rgba.png")
    np.testing.assert_array_equal(read_image(tmp_path / "rgba.png"), rgba)
    flat = np.full((4, 4, 3), (10, 200, 60), np.uint8)
    Image.fromarray(flat).convert("P", palette=Image.Palette.ADAPTIVE).save(tmp_path / "p.png")
    np.testing.assert_array_equal(read_image(tmp_path / "p.png"), flat)
    Image.fromarray(np.full((16, 16, 3), (10, 200, 60), np.uint8)).convert("CMYK").save(
        tmp_path / "c.jpg", quality=100
    )
    assert np.abs(read_image(tmp_path / "c.jpg").astype(int) - (10, 200, 60)).max() <= 6


def test_names_with_spaces_and_other_scripts(tmp_path: Path, rng: np.random.Generator) -> None:
    picture = _picture(rng)
    path = tmp_path / "größe 写真 1.tif"
    Image.fromarray(picture).save(path)
    np.testing.assert_array_equal(read_image(path), picture)


def _bomb(path: Path) -> None:
    header = struct.pack(">IIBBBBB", 60000, 60000, 8, 2, 0, 0, 0)
    blob = b"\x89PNG\r\n\x1a\n"
    for kind, data in ((b"IHDR", header), (b"IDAT", zlib.compress(b"\0" * 1000)), (b"IEND", b"")):
        blob += struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
    path.write_bytes(blob)


def _hostile(tmp_path: Path, kind: str, rng: np.random.Generator) -> Path:
    path = tmp_path / f"{kind}.png"
    picture = Image.fromarray(rng.integers(0, 256, (64, 64, 3), dtype=np.uint8))
    if kind == "truncated":
        picture.save(path)
        path.write_bytes(path.read_bytes()[:2000])
    elif kind == "text":
        path.write_text("not an image")
    elif kind == "empty":
        path.touch()
    elif kind == "bomb":
        _bomb(path)
    elif kind == "animated":
        path = path.with_suffix(".webp")
        picture.save(path, save_all=True, append_images=[picture.rotate(90)])
    elif kind == "tiff":
        path = path.with_suffix(".tif")
        path.write_bytes(b"II*\0\x08\0\0\0")
    return path


@pytest.mark.parametrize(
    "kind, phrase",
    [
        ("missing", "no such image"),
        ("truncated", "damaged"),
        ("text", "not an image"),
        ("empty", "empty file"),
        ("bomb", "pixels"),
        ("animated", "2 frames"),
        ("tiff", "not an image"),
    ],
)
def test_hostile_files_give_one_sentence(
    tmp_path: Path, rng: np.random.Generator, kind: str, phrase: str
) -> None:
    path = _hostile(tmp_path, kind, rng)
    with pytest.raises(ImageError, match=phrase) as caught:
        read_image(path)
    message = str(caught.value)
    assert message.startswith(str(path))
    assert "\n" not in message
    assert message.endswith(".")


def test_masks_of_zero_and_one_and_of_alpha(tmp_path: Path) -> None:
    inside = np.zeros((8, 8), np.uint8)
    inside[2:5, 3:6] = 1
    Image.fromarray(inside).save(tmp_path / "ones.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "ones.png", (8, 8)), inside * 255)
    rgba = np.full((8, 8, 4), 77, np.uint8)
    rgba[..., 3] = inside * 255
    Image.fromarray(rgba).save(tmp_path / "alpha.png")
    np.testing.assert_array_equal(read_mask(tmp_path / "alpha.png"), inside * 255)


def test_bad_masks(tmp_path: Path) -> None:
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(tmp_path / "black.png")
    with pytest.raises(ImageError, match="is empty"):
        read_mask(tmp_path / "black.png", (8, 8))
    Image.fromarray(np.full((8, 6), 255, np.uint8)).save(tmp_path / "small.png")
    with pytest.raises(ImageError, match="6 x 8 pixels but its image is 9 x 8"):
        read_mask(tmp_path / "small.png", (8, 9))


def test_resize_keeps_the_mean() -> None:
    ramp = np.repeat(np.arange(0, 256, 4, dtype=np.uint8)[None], 64, axis=0)
    assert abs(resize_image(ramp, (16, 16)).mean() - ramp.mean()) < 0.6
    assert resize_image(ramp, (128, 128)).shape == (128, 128)


def test_folder_lists_people_once(tmp_path: Path, rng: np.random.Generator) -> None:
    with pytest.raises(InputError, match="no such folder"):
        list_people(tmp_path / "absent")
    with pytest.raises(InputError, match="holds no images"):
        list_people(tmp_path)
    for name in ("b.png", "b_mask.png", "a b.jpg", "notes.txt"):
        Image.fromarray(_picture(rng)).save(tmp_path / name) if name != "notes.txt" else (
            tmp_path / name
        ).touch()
    assert [p.name for p in list_people(tmp_path)] == ["a b", "b"]
    assert list_people(tmp_path)[1].mask.name == "b_mask.png"
    Image.fromarray(_picture(rng)).save(tmp_path / "b.jpg")
    with pytest.raises(InputError, match="another image named"):
        list_people(tmp_path)


def test_person_needs_a_square_image_and_a_mask(tmp_path: Path, rng: np.random.Generator) -> None:
    Image.fromarray(_picture(rng, 8, 8)).save(tmp_path / "a.png")
    person = list_people(tmp_path)[0]
    with pytest.raises(ImageError, match="mask is missing"):
        read_person(person)
    Image.fromarray(np.full((8, 8), 255, np.uint8)).save(person.mask)
    assert read_person(person).rgb.shape == (8, 8, 3)
    Image.fromarray(_picture(rng, 8, 9)).save(tmp_path / "a.png")
    with pytest.raises(ImageError, match="9 x 8"):
        read_person(person)


def test_network_input_is_zero_outside_the_mask() -> None:
    rgb = np.full((8, 8, 3), 255, np.uint8)
    mask = np.zeros((8, 8), np.uint8)
    mask[:, 4:] = 255
    values = PersonImage(rgb, mask).network_input(8)
    assert values.shape == (3, 8, 8)
    assert (values[:, :, 4:] == 1).all()
    assert (values[:, :, :4] == 0).all()
