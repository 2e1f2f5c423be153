"""The page of ``jiff view`` in a real browser: both meshes are seen in their colours, textures, normals, edges, faces."""

from __future__ import annotations

import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import posed_body
import pytest
import tiny_person

from jiff.base.progress import NullProgress
from jiff.body.anny_body import load_anny_body
from jiff.body.rig import rig_mesh
from jiff.body.rig_file import skinned_mesh
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.io.skinned_glb import skinned_glb_bytes
from jiff.geometry.mesh import Mesh
from jiff.options.view import ViewConfig
from jiff.photo.images import read_image
from jiff.pipelines.view import run_view

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "chrome")
WIDTH, HEIGHT, BAR = 800, 560, 44


@pytest.fixture(scope="module")
def browser() -> str:
    for name in BROWSERS:
        path = shutil.which(name)
        if path is not None:
            return path
    pytest.skip(f"no browser ({', '.join(BROWSERS)}) is on the path")


def _textured(mesh: Mesh) -> Mesh:
    """The figure with a texture that is green above and yellow below, unwrapped by height; no vertex colours."""
    low, high = mesh.bounds
    height = (mesh.vertices[:, 1] - low[1]) / (high[1] - low[1])
    texture = np.zeros((64, 16, 3), np.uint8)
    texture[:32], texture[32:] = (0, 200, 40), (230, 220, 0)
    uv = np.stack([np.full_like(height, 0.5), height], axis=1)
    return replace(mesh, colors=None, uv=uv, faces_uv=mesh.faces, texture=texture)


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("view ü")
    figure = tiny_person.figure(64)
    save_mesh(replace(figure, vertices=figure.vertices / 100), folder / "colours.ply")
    save_mesh(_textured(figure), folder / "texture.glb")
    run_view(
        ViewConfig((folder / "colours.ply", folder / "texture.glb"), folder / "page.html"), NullProgress()
    )
    return folder / "page.html"


def _shot(browser: str, page: Path, show: str, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Return the left and the right half of a screenshot below the buttons, above the labels."""
    picture = folder / f"shot_{show}.png".replace("&", "_")
    command = [
        browser, "--headless", "--no-sandbox", "--disable-gpu", "--enable-unsafe-swiftshader", "--hide-scrollbars",
        f"--user-data-dir={folder / 'profile'}", "--virtual-time-budget=3000", f"--screenshot={picture}",
        f"--window-size={WIDTH},{HEIGHT}", f"{page.as_uri()}#{show}",
    ]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert picture.is_file(), done.stderr[-2000:]
    rgb = read_image(picture)[BAR + 4 : HEIGHT - 50, :, :3].astype(int)
    return rgb[:, : WIDTH // 2], rgb[:, WIDTH // 2 :]


def _share(image: np.ndarray, color: tuple[int, int, int], tolerance: int = 75) -> float:
    """Share of the pixels that have about this colour."""
    return float((np.abs(image - color).max(axis=2) < tolerance).mean())


def _background(image: np.ndarray) -> np.ndarray:
    """Where the page's plain background is."""
    return np.abs(image - image[2, 2]).max(axis=2) < 8


def test_both_meshes_are_seen_in_their_colours(browser: str, page: Path, tmp_path: Path) -> None:
    left, right = _shot(browser, page, "mode=0", tmp_path)
    # Vertex colours of the figure: red shirt, blue legs, skin.
    assert _share(left, (190, 35, 25)) > 0.03 and _share(left, (35, 45, 165)) > 0.03
    assert _share(left, (215, 165, 140), 50) > 0.004
    # The texture's halves, and none of the other mesh's colours.
    assert _share(right, (0, 190, 40)) > 0.05 and _share(right, (215, 205, 0)) > 0.03
    assert _share(right, (35, 45, 165)) < 0.001 and _share(left, (0, 190, 40)) < 0.001
    for half in (left, right):
        seen = ~_background(half)
        assert 0.08 < seen.mean() < 0.6
        rows, columns = np.flatnonzero(seen.any(1)), np.flatnonzero(seen.any(0))
        assert abs((columns[0] + columns[-1]) / 2 - half.shape[1] / 2) < 15
        assert 0.75 < (rows[-1] - rows[0]) / half.shape[0] < 1.0
    # Blue legs stand below the red shirt: the texture is not upside down, nor is the mesh.
    blue = np.flatnonzero((np.abs(left - (35, 45, 165)).max(axis=2) < 75).any(1)).mean()
    red = np.flatnonzero((np.abs(left - (190, 35, 25)).max(axis=2) < 75).any(1)).mean()
    green = np.flatnonzero((np.abs(right - (0, 190, 40)).max(axis=2) < 75).any(1)).mean()
    yellow = np.flatnonzero((np.abs(right - (215, 205, 0)).max(axis=2) < 75).any(1)).mean()
    assert red + 80 < blue and green + 80 < yellow


def test_normals_and_wireframe(browser: str, page: Path, tmp_path: Path) -> None:
    left, right = _shot(browser, page, "mode=2", tmp_path)
    for half in (left, right):
        # Facing the camera n = (0, 0, 1) is coded as (128, 128, 255); what faces left lacks red.
        assert _share(half, (128, 128, 250), 45) > 0.03
        body = ~_background(half)
        columns = np.flatnonzero(body.any(0))
        red = np.where(body, half[..., 0], 0).sum(0)[columns] / body.sum(0)[columns]
        assert np.median(red[: len(red) // 10]) + 60 < np.median(red[-len(red) // 10 :])
    assert np.abs(left - right).max(axis=2).mean() < 12, "the same figure, with and without a texture"
    edges = _shot(browser, page, "mode=1&wire=1", tmp_path)
    for half in edges:
        assert _share(half, (26, 26, 30), 40) > 0.02


def test_face_zoom_and_turn(browser: str, page: Path, tmp_path: Path) -> None:
    left, right = _shot(browser, page, "mode=0&look=face", tmp_path)
    # The head alone: skin fills much of the picture, no legs are left in it.
    assert _share(left, (215, 165, 140), 60) > 0.25 and _share(left, (35, 45, 165)) < 0.001
    assert _share(right, (0, 190, 40)) > 0.25
    front, side = (~_background(_shot(browser, page, f"mode=1&yaw={yaw}", tmp_path)[0]) for yaw in (0, 90))
    widths = [int(seen.any(0).sum()) for seen in (front, side)]
    assert widths[1] < 0.6 * widths[0]


@pytest.fixture(scope="module")
def moving(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain mesh in the photo's pose beside the same on bones."""
    folder = tmp_path_factory.mktemp("moving")
    body, placed = load_anny_body(), posed_body.placed_body()
    coat = posed_body.coat(body, placed, finer=0)
    save_mesh(replace(coat, vertices=coat.vertices / 100), folder / "plain.glb")
    rig = skinned_mesh(rig_mesh(coat, placed, body), 0.01, name="rig", walk=True)
    (folder / "rig.glb").write_bytes(skinned_glb_bytes(rig, name="rig"))
    run_view(ViewConfig((folder / "plain.glb", folder / "rig.glb"), folder / "page.html"), NullProgress())
    return folder / "page.html"


def test_movements_are_played(browser: str, moving: Path, tmp_path: Path) -> None:
    plain, photo = (
        ~_background(half) for half in _shot(browser, moving, "mode=0&clip=photo&time=0.5", tmp_path)
    )
    still = ~_background(_shot(browser, moving, "mode=0&clip=&time=0", tmp_path)[1])
    # The photo's pose is the plain mesh's, at the height of the T-pose; the T-pose is much wider.
    rows, columns = (np.flatnonzero(photo.any(axis=k)) for k in (1, 0))
    like = np.flatnonzero(plain.any(axis=1)), np.flatnonzero(plain.any(axis=0))
    shape = np.ptp(columns) / np.ptp(rows)
    assert shape == pytest.approx(np.ptp(like[1]) / np.ptp(like[0]), rel=0.04)
    assert np.ptp(np.flatnonzero(still.any(axis=0))) > 1.3 * np.ptp(columns)
    # Walking: seen from the side, feet apart at the touch of the heel and together half a step later.
    wide = []
    for time in (0.01, 0.27):
        half = ~_background(_shot(browser, moving, f"mode=0&clip=walk&time={time}&yaw=90", tmp_path)[1])
        low = half[int(np.flatnonzero(half.any(axis=1))[-1]) - 40 :]
        wide.append(int(np.ptp(np.flatnonzero(low.any(axis=0)))))
    assert wide[0] > 1.4 * wide[1]
