"""``jiff doctor``: complete, machine-readable, and honest about what is missing."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jiff import __version__
from jiff_cli import inspection
from jiff_cli.app import app

runner = CliRunner()


def test_json_holds_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = tmp_path / "cache ü"
    (cache / "deep").mkdir(parents=True)
    (cache / "deep" / "file").write_bytes(b"0" * 3 * 2**20)
    monkeypatch.setenv("JIFF_CACHE", str(cache))
    monkeypatch.setenv("JIFF_ASSETS", str(tmp_path / "not there"))
    result = runner.invoke(app, ["doctor", "--json"])
    assert result.exit_code == 0, result.output
    found = json.loads(result.stdout)
    assert found["versions"]["jiff"] == __version__
    assert found["versions"]["torch"].startswith("2.")
    assert found["devices"]["cores"] >= 1
    folders = {item["name"]: item for item in found["folders"]}
    assert (folders["cache"]["size_mb"], folders["cache"]["writable"]) == (3.0, True)
    assert (folders["assets"]["exists"], folders["assets"]["size_mb"]) == (False, None)
    assert folders["assets"]["writable"] is True
    assert {part["name"] for part in found["optional"]} >= {
        "pyrender",
        "torch-scatter",
        "kaolin",
        "pytorch3d",
    }
    assert found["problems"] == []
    assert not any(asset["found"] for asset in found["assets"])
    assert sorted(path.name for path in cache.iterdir()) == ["deep"]


def test_text_names_costs_and_the_next_command() -> None:
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 0
    for words in (
        "Versions",
        "Devices",
        "Optional parts",
        "Optional files",
        "yunet",
        "Folders",
        "cores",
        "Next: jiff demo",
    ):
        assert words in result.stdout
    for part in inspection.optional_parts():
        assert part["found"] or part["without"] in result.stdout


def test_cache_that_cannot_be_written_is_an_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").write_text("a file, no folder")
    monkeypatch.setenv("JIFF_CACHE", str(tmp_path / "file" / "cache"))
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "JIFF_CACHE" in result.stderr
    assert "Next" not in result.stdout


def test_missing_package_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inspection, "_PACKAGES", ("torch", "no-such-package-of-jiff"))
    result = runner.invoke(app, ["doctor"])
    assert result.exit_code == 1
    assert "no-such-package-of-jiff is not installed" in result.stderr


def test_part_that_is_installed_but_broken_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "kaolin.py").write_text("raise ImportError('undefined symbol: foo\\nmore')\n")
    monkeypatch.syspath_prepend(tmp_path)
    found = {part["name"]: part for part in inspection.optional_parts()}["kaolin"]
    assert found["found"] is False
    assert found["without"] == "installed but does not load (undefined symbol: foo)"
