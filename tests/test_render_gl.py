"""``--egl``: the GL G-buffer equals the ray-cast one, and its absence is said aloud."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest
from render_scans import egg, write_scan

from jiff.base.errors import AssetError
from jiff.base.progress import NullProgress
from jiff.geometry.camera import Camera
from jiff.options.render import RenderConfig
from jiff.pipelines.render import run_render
from jiff.render import gl
from jiff.render.gbuffer import render_gbuffer


@pytest.fixture(scope="module")
def caster() -> gl.GlCaster:
    pytest.importorskip("pyrender", reason="the extra jiff[gl] is not installed")
    try:
        return gl.GlCaster(egg(96, 60))
    except AssetError as error:
        pytest.skip(f"no GL context here: {error}")


@pytest.mark.parametrize(
    "camera",
    [
        Camera.at_yaw(36, size=256),
        Camera.at_yaw(200, 15, size=300),
        Camera.at_yaw(20, size=256).augmented(flip=True, zoom=1.2, shift_ndc=(0.1, 0.05)),
    ],
)
@pytest.mark.parametrize("samples", [1, 4])
def test_gl_sees_what_rays_see(caster: gl.GlCaster, camera: Camera, samples: int) -> None:
    mesh = egg(96, 60)
    one, two = caster(camera, samples), render_gbuffer(mesh, camera, samples)
    mask, wanted = one.mask() > 0, two.mask() > 0
    assert (mask & wanted).sum() / (mask | wanted).sum() > 0.999
    both = mask & wanted
    assert (one.face_image() == two.face_image())[both].mean() > 0.99
    assert np.nanpercentile(np.abs(one.depth_image() - two.depth_image())[both], 99) < 1e-3
    assert one.front.mean() > 0.99 and np.allclose(one.weights.sum(1), 1, atol=1e-5)


def test_without_pyrender_rays_are_used_and_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == "pyrender"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "pyrender", None)
    with pytest.raises(AssetError, match=r"pip install 'jiff\[gl\]'"):
        gl.require_gl()
    write_scan(tmp_path / "scans", "a")
    progress = NullProgress()
    options = {"input": tmp_path / "scans", "yaws": (0,), "size": 32, "high_size": 0, "jobs": 1}
    assert run_render(RenderConfig(out=tmp_path / "gl", egl=True, **options), progress).ok
    assert (
        len(progress.warnings) == 1
        and "pyrender" in progress.warnings[0]
        and "ray casting" in progress.warnings[0]
    )
    run_render(RenderConfig(out=tmp_path / "rays", **options), NullProgress())
    for path in (tmp_path / "rays").rglob("*.*"):
        assert (tmp_path / "gl" / path.relative_to(tmp_path / "rays")).read_bytes() == path.read_bytes()
