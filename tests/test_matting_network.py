"""Masks by ONNX networks through OpenCV: pictures as U2-Net and ISNet want them, files of the wrong kind."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import tiny_person
from PIL import Image

from jiff.base.errors import AssetError, ImageError, UsageError
from jiff.base.progress import NullProgress
from jiff.options.reconstruct import ReconstructConfig
from jiff.photo.onnx_matting import KINDS, MattingNetwork, network_picture
from jiff.pipelines.reconstruct import run_reconstruct


def _number(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def _field(number: int, value: int | bytes | str) -> bytes:
    """One protobuf field: a number, or bytes with their length."""
    if isinstance(value, int):
        return _number(number << 3) + _number(value)
    blob = value.encode() if isinstance(value, str) else value
    return _number(number << 3 | 2) + _number(len(blob)) + blob


def _floats(name: str, values: np.ndarray) -> bytes:
    dims = b"".join(_field(1, int(size)) for size in values.shape)
    return dims + _field(2, 1) + _field(8, name) + _field(9, values.astype("<f4").tobytes())


def _value(name: str, shape: tuple[int | str, ...]) -> bytes:
    dims = b"".join(
        _field(1, _field(1, size) if isinstance(size, int) else _field(2, size)) for size in shape
    )
    return _field(1, name) + _field(2, _field(1, _field(1, 1) + _field(2, dims)))


def _node(kind: str, inputs: tuple[str, ...], outputs: tuple[str, ...]) -> bytes:
    return (
        b"".join(_field(1, name) for name in inputs)
        + b"".join(_field(2, name) for name in outputs)
        + _field(4, kind)
    )


def write_onnx(
    path: Path,
    size: int | str,
    weight: tuple[float, ...] = (9.0, -6.0, -6.0),
    bias: float = 0.0,
    *,
    weights_as_inputs: bool = False,
    outputs: int = 2,
    node: str = "Sigmoid",
) -> Path:
    """Write a network sigmoid(w . x + b) per pixel; its second output is constant, as the side outputs of U2-Net differ."""
    kernel = np.array(weight, np.float32).reshape(1, -1, 1, 1)
    shape = (1, kernel.shape[1], size, size)
    graph = _field(1, _node("Conv", ("picture", "w", "b"), ("logit",)))
    graph += _field(1, _node(node, ("logit",), ("first",)))
    if outputs > 1:
        graph += _field(1, _node("Mul", ("logit", "zero"), ("flat",)))
        graph += _field(1, _node("Sigmoid", ("flat",), ("another",)))
    graph += _field(2, "matting")
    for name, values in (("w", kernel), ("b", np.array([bias])), ("zero", np.zeros(1))):
        graph += _field(5, _floats(name, values))
    if weights_as_inputs:
        graph += _field(11, _value("w", kernel.shape)) + _field(11, _value("b", (1,)))
    graph += _field(11, _value("picture", shape))
    names = ("first", "another")[:outputs]
    graph += b"".join(_field(12, _value(name, (1, 1, size, size))) for name in names)
    path.write_bytes(
        _field(1, 8) + _field(2, "test") + _field(7, graph) + _field(8, _field(1, "") + _field(2, 13))
    )
    return path


def _scene(height: int = 400, width: int = 300) -> tuple[np.ndarray, np.ndarray]:
    """The figure, warm colours only, on a green wall; its mask."""
    person = tiny_person.photo(256)
    rgb = np.full((height, width, 3), (40, 160, 60), np.uint8)
    mask = np.zeros((height, width), np.uint8)
    top, left = (height - 256) // 2, (width - 256) // 2
    mask[top : top + 256, left : left + 256] = person.mask
    rgb[mask > 0] = (230, 120, 90)
    return rgb, mask


@pytest.mark.parametrize("name, size", [("u2net", 320), ("isnet", 1024)])
def test_network_gets_the_picture_it_was_trained_on(tmp_path: Path, name: str, size: int) -> None:
    rgb, _ = _scene()
    # White, so that the largest value is the same whatever the resizing does.
    rgb[-40:, -40:] = 255
    network = MattingNetwork(write_onnx(tmp_path / "größe 1.onnx", size), name)
    assert network.kind is KINDS[name]
    picture = network_picture(rgb, KINDS[name])
    assert picture.shape == (1, 3, size, size)
    # Where the wall is: (value / largest value of the picture - mean) / deviation, in the order R, G, B.
    mean, std = (
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)) if name == "u2net" else ((0.5,) * 3, (1.0,) * 3)
    )
    wall = (np.array([40, 160, 60]) / 255 - mean) / std
    np.testing.assert_allclose(picture[0, :, 2, 2], wall, atol=1e-5)
    logit = np.tensordot([9.0, -6.0, -6.0], picture[0], axes=1)
    np.testing.assert_allclose(network.probability(rgb), 1 / (1 + np.exp(-logit)), atol=1e-5)


def test_mask_is_that_of_the_person(tmp_path: Path) -> None:
    rgb, truth = _scene()
    mask = MattingNetwork(write_onnx(tmp_path / "a.onnx", 320), "u2net").mask(rgb, "a.jpg")
    assert mask.shape == truth.shape and mask.dtype == np.uint8
    inside, expected = mask >= 128, truth > 0
    assert (inside & expected).sum() / (inside | expected).sum() > 0.97
    with pytest.raises(ImageError, match=r"photo\.jpg: no person was found by a\.onnx; give photo_mask\.png"):
        MattingNetwork(tmp_path / "a.onnx", "u2net").mask(np.full_like(rgb, (40, 160, 60)), "photo.jpg")


def test_files_that_do_not_serve(tmp_path: Path) -> None:
    with pytest.raises(AssetError, match=r"none\.onnx: cannot be read"):
        MattingNetwork(tmp_path / "none.onnx", "u2net")
    (tmp_path / "text.onnx").write_text("this is no such file")
    whole = write_onnx(tmp_path / "a.onnx", 320)
    (tmp_path / "cut.onnx").write_bytes(whole.read_bytes()[:120])
    (tmp_path / "empty.onnx").write_bytes(b"")
    for name in ("text", "cut", "empty"):
        with pytest.raises(AssetError, match="OpenCV cannot run this network") as caught:
            MattingNetwork(tmp_path / f"{name}.onnx", "u2net").probability(_scene()[0])
        assert "\n" not in str(caught.value)
    for name, changes in {"odd": {"node": "NoSuchLayer"}, "gray": {"weight": (1.0,)}}.items():
        with pytest.raises(AssetError, match=r"OpenCV cannot run this network|is needed"):
            path = write_onnx(tmp_path / f"{name}.onnx", 320, **changes)  # type: ignore[arg-type]
            MattingNetwork(path, "u2net").probability(_scene()[0])
    free = write_onnx(tmp_path / "free.onnx", "size")
    assert MattingNetwork(free, "isnet").probability(_scene()[0]).shape == (1024, 1024)
    assert MattingNetwork(free, "u2net").probability(_scene()[0]).shape == (320, 320)


def test_the_kind_must_be_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"needs --matting-kind u2net \(320 pixels\) or isnet"):
        ReconstructConfig(tmp_path, tmp_path / "o", matting_model=tmp_path / "m.onnx")


def test_another_network_or_kind_frames_photos_again(tmp_path: Path) -> None:
    path = write_onnx(tmp_path / "free.onnx", "size")
    settings = [MattingNetwork(path, kind).settings for kind in ("u2net", "isnet", "u2net")]
    assert settings[0] == settings[2] != settings[1]
    write_onnx(path, "size", bias=1.0)
    assert MattingNetwork(path, "u2net").settings != settings[0]


def test_reconstruct_uses_the_network_and_shows_its_mask(tmp_path: Path) -> None:
    run = tiny_person.train_networks(tmp_path / "run", steps=40)
    folder = tmp_path / "photos"
    folder.mkdir()
    rgb, _ = _scene()
    Image.fromarray(rgb).save(folder / "a b.jpg", quality=95)
    # Its feet are outside: refused, and the mask that was found can be looked at.
    Image.fromarray(rgb[:250]).save(folder / "cut.jpg", quality=95)
    config = ReconstructConfig(
        folder, tmp_path / "out", checkpoint=run, resolution=48, format=("obj",), no_face=True, device="cpu",
        matting_model=write_onnx(tmp_path / "m.onnx", 320), matting_kind="u2net",
    )  # fmt: skip
    progress = NullProgress()
    report = run_reconstruct(config, progress)
    assert list(report.results) == ["a b"], report.failures
    previews = tmp_path / "out" / "crops" / "previews"
    assert (
        "the feet are outside" in report.failures["cut"]
        and str(previews / "cut.png") in report.failures["cut"]
    )
    assert {path.name for path in previews.iterdir()} == {"a b.png", "cut.png"}
    assert any("m.onnx found one, see" in text for text in progress.warnings)
    people = json.loads((tmp_path / "out" / "summary.json").read_text(encoding="utf-8"))["people"]
    assert people["a b"]["framing"]["mask"] == "m.onnx"
    assert people["cut"]["step"] == "framing" and people["cut"]["status"] == "failed"
    with pytest.raises(AssetError, match="cannot be read"):
        run_reconstruct(
            ReconstructConfig(
                folder,
                tmp_path / "o",
                checkpoint=run,
                matting_model=tmp_path / "x.onnx",
                matting_kind="isnet",
            ),
            progress,
        )
