"""Optional files: found, verified, fetched with resume; never from where the licence forbids."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest
from typer.testing import CliRunner

from jiff.assets import registry as asset_registry
from jiff.assets.fetch import fetch_asset
from jiff.assets.folders import assets_dir, cache_dir, cached_path
from jiff.assets.registry import ASSETS, Asset, get_asset, verify
from jiff.base.errors import AssetError, OutputError, UsageError
from jiff.base.progress import NullProgress
from jiff_cli.app import app

CONTENT = bytes(range(256)) * 2000
runner = CliRunner()


class Server(HTTPServer):
    content = CONTENT
    cut = 0
    ranges: list[str | None]


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        wanted = self.headers.get("Range")
        self.server.ranges.append(wanted)
        begin = int(wanted.split("=")[1].split("-")[0]) if wanted else 0
        body = self.server.content[begin:]
        self.send_response(206 if wanted else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) - self.server.cut])

    def log_message(self, format: str, *args: object) -> None:
        return None


@pytest.fixture
def server() -> Iterator[Server]:
    running = Server(("127.0.0.1", 0), Handler)
    running.ranges = []
    thread = threading.Thread(target=running.serve_forever)
    thread.start()
    yield running
    running.shutdown()
    thread.join()
    running.server_close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("JIFF_ASSETS", str(tmp_path / "assets ü"))
    return tmp_path / "assets ü"


def asset_of(server: Server) -> Asset:
    return dataclasses.replace(
        get_asset("yunet"),
        url=f"http://127.0.0.1:{server.server_port}/face_detection_yunet_test.onnx",
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        size=len(CONTENT),
    )


def test_fetched_file_is_the_published_one_and_fetched_once(server: Server, folder: Path) -> None:
    asset = asset_of(server)
    path, fetched = fetch_asset(asset, NullProgress())
    assert (path, fetched) == (folder / "face_detection_yunet_test.onnx", True)
    assert path.read_bytes() == CONTENT
    assert fetch_asset(asset, NullProgress()) == (path, False)
    assert len(server.ranges) == 1
    assert asset.find() == path
    assert verify(asset, path) == "checksum agrees"


def test_broken_connection_is_resumed(server: Server, folder: Path) -> None:
    asset = asset_of(server)
    server.cut = 100_000
    with pytest.raises(AssetError, match="again to go on"):
        fetch_asset(asset, NullProgress())
    assert not asset.target.exists()
    server.cut = 0
    path, _ = fetch_asset(asset, NullProgress())
    assert path.read_bytes() == CONTENT
    assert server.ranges == [None, f"bytes={len(CONTENT) - 100_000}-"]
    assert [child.name for child in folder.iterdir()] == [path.name]


def test_another_file_is_refused_and_a_good_one_stays(server: Server, folder: Path) -> None:
    asset = asset_of(server)
    path, _ = fetch_asset(asset, NullProgress())
    server.content = CONTENT[:-1] + b"x"
    with pytest.raises(AssetError, match="another file"):
        fetch_asset(asset, NullProgress(), overwrite=True)
    assert path.read_bytes() == CONTENT
    assert [child.name for child in folder.iterdir()] == [path.name]


def test_offline_says_what_to_do(folder: Path) -> None:
    asset = dataclasses.replace(get_asset("yunet"), url="http://127.0.0.1:9/face_detection_yunet_x.onnx")
    with pytest.raises(AssetError, match="check the network") as caught:
        fetch_asset(asset, NullProgress())
    assert str(asset.target) in str(caught.value)


def test_what_the_licence_forbids_is_not_fetched(folder: Path) -> None:
    with pytest.raises(AssetError, match=r"faces\.dmi\.unibas\.ch"):
        fetch_asset(get_asset("bfm2009"), NullProgress())
    assert not folder.exists()


@pytest.mark.parametrize(
    ("content", "words"), [(b"", "is empty"), (CONTENT[:100], "cut off"), (CONTENT[::-1], "another file")]
)
def test_damaged_files_are_named(server: Server, folder: Path, content: bytes, words: str) -> None:
    asset = asset_of(server)
    folder.mkdir()
    asset.target.write_bytes(content)
    with pytest.raises(AssetError, match=words) as caught:
        verify(asset, asset.target)
    assert str(asset.target) in str(caught.value)


def test_registry_is_consistent() -> None:
    assert len({asset.name for asset in ASSETS}) == len(ASSETS)
    for asset in ASSETS:
        assert asset.source.startswith("https://")
        assert asset.purpose
        assert asset.without
        if asset.url:
            assert asset.sha256
            assert asset.size
            assert Path(asset.target.name).match(Path(asset.pattern).name)
    with pytest.raises(UsageError, match="nonsense"):
        get_asset("nonsense")


def test_shared_helper_files_carry_the_registered_checksums(shared: Path) -> None:
    for asset in ASSETS:
        path = shared / "assets" / asset.pattern
        if asset.sha256 and path.is_file():
            assert asset_registry.checksum(path) == asset.sha256, path


def test_commands(folder: Path) -> None:
    assert runner.invoke(app, ["assets", "path"]).stdout.strip() == str(folder)
    assert runner.invoke(app, ["assets", "path", "flame"]).stdout.strip() == str(
        folder / "flame/generic_model.pkl"
    )
    rows = json.loads(runner.invoke(app, ["assets", "list", "--json"]).stdout)
    assert {row["name"] for row in rows} == {asset.name for asset in ASSETS}
    # The networks are also found in the cache folder, as a read-only assets folder needs it.
    assert not any(row["path"] for row in rows if row["name"] != "perception")
    (folder / "flame").mkdir(parents=True)
    (folder / "flame" / "generic_model.pkl").write_bytes(b"x")
    text = runner.invoke(app, ["assets", "list"]).stdout
    assert "flame: found" in text
    assert "yunet: missing" in text
    assert "flame" not in runner.invoke(app, ["assets", "list", "--missing"]).stdout.replace(
        "--model flame", ""
    )
    assert runner.invoke(app, ["assets", "verify"]).exit_code == 0
    result = runner.invoke(app, ["assets", "verify", "flame", "deca"])
    assert (result.exit_code, "deca_model.tar: is missing" in result.stderr) == (1, True)
    result = runner.invoke(app, ["assets", "fetch", "bfm2009"])
    assert (result.exit_code, "bfm2009" in result.stderr) == (1, True)
    assert runner.invoke(app, ["assets", "fetch", "nonsense"]).exit_code == 2


def test_folders_that_cannot_be_read_or_written_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Regression: a home folder without rights was reported as a folder that the user had chosen."""
    closed = tmp_path / "home"
    (closed / ".cache").mkdir(parents=True)

    whole = Path.stat

    def stat(self: Path, **kwargs: object) -> object:
        if closed in self.parents:
            raise PermissionError(13, "Permission denied", str(self))
        return whole(self, **kwargs)

    for name in ("JIFF_CACHE", "JIFF_ASSETS", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(closed))
    monkeypatch.setattr(Path, "home", lambda: closed)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "stat", stat)
        with pytest.raises(AssetError, match=r"jiff: the cache folder cannot be read .*; set JIFF_CACHE to"):
            cache_dir()
        with pytest.raises(AssetError, match="set JIFF_CACHE"):
            assets_dir()
    assert cache_dir() == closed / ".cache" / "jiff"
    (closed / ".cache" / "jiff").write_text("in the way")
    with (
        pytest.raises(OutputError, match=r"cannot be written because .*; set JIFF_CACHE to"),
        cached_path(cache_dir() / "x.bin") as path,
    ):
        path.write_bytes(b"")

    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.setattr(Path, "home", homeless)
    with pytest.raises(AssetError, match="There is no home folder"):
        cache_dir()
