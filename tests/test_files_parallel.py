"""Atomic writes keep what was there; a batch goes on past bad items."""

from __future__ import annotations

from pathlib import Path

import pytest

from jiff.base.errors import InputError, OutputError
from jiff.base.files import (
    atomic_folder,
    atomic_path,
    read_json,
    read_yaml,
    write_json,
    write_text,
    write_yaml,
)
from jiff.base.progress import NullProgress
from jiff.run.parallel import run_items


def test_failed_write_keeps_the_old_file_and_leaves_nothing_behind(tmp_path: Path) -> None:
    target = tmp_path / "a.txt"
    write_text(target, "old")
    with pytest.raises(ZeroDivisionError), atomic_path(target) as temporary:
        temporary.write_text("half")
        raise ZeroDivisionError
    assert target.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["a.txt"]


def test_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputError, match=r"a file stands where a folder is needed; choose another"):
        write_text(tmp_path / "file" / "below.txt", "x")


def test_folder_is_replaced_whole(tmp_path: Path) -> None:
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "one").write_text("1")
    with atomic_folder(tmp_path / "out") as folder:
        (folder / "two").write_text("2")
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["two"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_plain_values_round_trip(tmp_path: Path) -> None:
    value = {"name": "Zoë", "numbers": [1, 2.5], "nothing": None}
    write_yaml(tmp_path / "v.yaml", value)
    write_json(tmp_path / "v.json", value)
    assert read_yaml(tmp_path / "v.yaml") == read_json(tmp_path / "v.json") == value


def test_yaml_admits_no_python_objects(tmp_path: Path) -> None:
    write_text(tmp_path / "bad.yaml", "!!python/object/apply:os.system ['true']")
    with pytest.raises(InputError, match="not valid YAML"):
        read_yaml(tmp_path / "bad.yaml")


def _work(item: int) -> int:
    if item == 2:
        raise InputError("two.obj: is bad; mend it.")
    if item == 3:
        raise RuntimeError("bug")
    return item * item


@pytest.mark.parametrize("jobs", [1, 2])
def test_one_bad_item_never_stops_the_batch(jobs: int) -> None:
    progress = NullProgress()
    items = [(str(k), k) for k in range(6)]
    report = run_items(
        _work, items, jobs=jobs, progress=progress, title="Working", is_complete=lambda item: item == 5
    )
    assert report.results == {"0": 0, "1": 1, "4": 16}
    assert report.skipped == ["5"]
    assert report.failures == {"2": "two.obj: is bad; mend it.", "3": "RuntimeError: bug"}
    assert "Traceback" in report.details["3"] and "2" not in report.details
    assert not report.ok and len(progress.warnings) == 2
