"""Configurations: plain values there and back, types, ranges, messages."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiff.base.config import (
    canonical,
    field_specs,
    from_plain,
    option,
    read_config_file,
    save_resolved,
    to_plain,
)
from jiff.base.errors import ConfigError, InputError


@dataclass(frozen=True, kw_only=True)
class Shared:
    depth: int = option(2, help="Depth.", min=1, max=5)
    norm: Literal["group", "batch"] = option("group", help="Norm.")


@dataclass(frozen=True)
class Outer(Shared):
    input: Path = option(help="Input.", flags=("-i",), aliases=("--input-dir",))
    rate: float = option(0.5, help="Rate.", min=0, max=1)
    flip: bool = option(False, help="Flip.")
    schedule: tuple[int, ...] = option((60, 80), help="Epochs.")
    corner: tuple[float, float] = option((0.0, 1.0), help="Corner.")
    extra: Path | None = option(None, help="Extra.")
    views: tuple[str, ...] = option((), help="Views.")
    hidden: int = 3


def test_plain_values_make_the_round_trip() -> None:
    config = Outer(
        Path("a b/ü"), 0.25, True, (3,), (1.5, 2.0), Path("x"), ("0:a.png",), 7, depth=4, norm="batch"
    )
    assert from_plain(Outer, to_plain(config)) == config


def test_resolved_file_makes_the_round_trip_and_serves_as_config_file(tmp_path: Path) -> None:
    config = Outer(Path("in"), depth=3)
    save_resolved(config, tmp_path / "run.yaml", versions={"torch": "2"})
    values = read_config_file(tmp_path / "run.yaml")
    assert from_plain(Outer, values) == config and values["depth"] == 3


@given(
    st.floats(0, 1),
    st.booleans(),
    st.lists(st.integers(-(10**12), 10**12)),
    st.integers(1, 5),
    st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1),
)
def test_any_value_makes_the_round_trip(
    rate: float, flip: bool, schedule: list[int], depth: int, view: str
) -> None:
    config = Outer(Path("p"), rate, flip, tuple(schedule), views=(view,), depth=depth)
    assert from_plain(Outer, to_plain(config)) == config


def test_keys_may_be_spelled_with_dashes_and_capitals() -> None:
    assert from_plain(Outer, {"Input": "x", "HID-DEN": 9}).hidden == 9
    assert from_plain(Outer, {"input-dir": "x"}).input == Path("x"), "aliases are keys too"
    assert canonical("--load_netG-Path") == canonical("loadNetgPath")


@pytest.mark.parametrize(
    ("annotation_value", "expected"),
    [
        ({"rate": "1e-4"}, 1e-4),
        ({"rate": 1}, 1.0),
        ({"rate": "0.5"}, 0.5),
    ],
)
def test_numbers_may_be_text(annotation_value: dict[str, Any], expected: float) -> None:
    rate = from_plain(Outer, {"input": "x", **annotation_value}).rate
    assert rate == expected
    assert isinstance(rate, float)


def test_lists_may_be_text_with_commas_or_spaces_or_one_number() -> None:
    assert from_plain(Outer, {"input": "x", "schedule": "4, 5 6"}).schedule == (4, 5, 6)
    assert from_plain(Outer, {"input": "x", "schedule": 4}).schedule == (4,)
    assert from_plain(Outer, {"input": "x", "schedule": ""}).schedule == ()
    assert from_plain(Outer, {"input": "x", "views": "a, b"}).views == ("a", "b")
    assert from_plain(Outer, {"input": "x", "views": ["a, b"]}).views == ("a, b",)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"inptu": "x"}, ["inptu", "did you mean 'input'"]),
        ({"zzzz": 1}, ["zzzz", "--help"]),
        ({}, ["'input' is missing"]),
        ({"input": "x", "rate": 2}, ["rate", "between 0 and 1", "2"]),
        ({"input": "x", "rate": "fast"}, ["rate", "a number", "fast"]),
        ({"input": "x", "rate": True}, ["rate", "a number"]),
        ({"input": "x", "rate": float("nan")}, ["rate", "between 0 and 1"]),
        ({"input": "x", "flip": 1}, ["flip", "true or false"]),
        ({"input": "x", "hidden": 1.5}, ["hidden", "whole number"]),
        ({"input": "x", "hidden": None}, ["hidden", "given"]),
        ({"input": "x", "schedule": {"a": 1}}, ["schedule", "list"]),
        ({"input": "x", "schedule": [1, "b"]}, ["schedule", "whole number", "b"]),
        ({"input": "x", "corner": [1]}, ["corner", "2 values"]),
        ({"input": 3}, ["input", "path"]),
        ({"input": ""}, ["input", "path"]),
        ({"input": "x", "depth": 9}, ["depth", "between 1 and 5"]),
        ({"input": "x", "norm": "layer"}, ["norm", "group, batch", "layer"]),
        ({"input": "x", "dept": 1}, ["dept", "did you mean 'depth'"]),
    ],
)
def test_wrong_values_are_one_sentence_with_file_key_and_remedy(
    values: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(ConfigError) as caught:
        from_plain(Outer, values, where="some.yaml")
    message = str(caught.value)
    assert message.startswith("some.yaml")
    assert "\n" not in message
    for word in words:
        assert word in message


def test_whole_numbers_stay_exact() -> None:
    assert from_plain(Outer, {"input": "x", "hidden": "9007199254740993"}).hidden == 9007199254740993


def test_specs_are_in_order_and_those_of_a_base_come_last() -> None:
    assert [spec.name for spec in field_specs(Outer)][-3:] == ["hidden", "depth", "norm"]
    assert [spec.default for spec in field_specs(Outer)][-2:] == [2, "group"]


@pytest.mark.parametrize(("text", "word"), [("- 1\n- 2\n", "mapping"), ("a: [", "YAML"), ("3", "mapping")])
def test_unusable_files_are_one_sentence(tmp_path: Path, text: str, word: str) -> None:
    (tmp_path / "c.yaml").write_text(text)
    with pytest.raises((ConfigError, InputError), match=word):
        read_config_file(tmp_path / "c.yaml")


def test_empty_file_holds_no_values(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("# nothing\n")
    assert read_config_file(tmp_path / "c.yaml") == {}


def test_yaml_objects_are_refused(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("a: !!python/object/apply:os.getcwd []\n")
    with pytest.raises(InputError, match="YAML"):
        read_config_file(tmp_path / "c.yaml")
