"""Time the published renderer on a scan, where its repository is at hand: ``python published_renderer.py CHECKOUT SCANS SUBJECT STEP``.

Prints the seconds of all views and the seconds of loading. It needs PyOpenGL and a driver with EGL (Mesa's software one will do).
"""

from __future__ import annotations

import os
import sys
import tempfile
import time

if __name__ == "__main__":
    checkout, scans, subject, step = sys.argv[1:5]
    os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    os.environ.setdefault("EGL_PLATFORM", "surfaceless")
    sys.path.insert(0, checkout)
    os.chdir(checkout)

    import types

    import numpy as np

    # Their progress bar is not needed to time them.
    sys.modules.setdefault("tqdm", types.ModuleType("tqdm"))
    sys.modules["tqdm"].tqdm = iter  # type: ignore[attr-defined]
    from lib.renderer.gl.init_gl import initialize_GL_context

    initialize_GL_context(width=512, height=512, egl=True)
    from apps import render_data
    from lib.renderer.gl.prt_render import PRTRender

    class Picture(np.ndarray):  # type: ignore[type-arg]
        """An array with the method that NumPy dropped."""

        def tostring(self) -> bytes:
            return self.tobytes()

    put = PRTRender.set_albedo
    PRTRender.set_albedo = lambda self, image, *more: put(self, image.view(Picture), *more)
    np.fromstring = np.frombuffer
    marks: list[float] = []

    def timed(items: object) -> object:
        """Stand in for the progress bar around the views: what comes before it is loading."""
        marks.append(time.perf_counter())
        return items

    render_data.tqdm = timed
    shs = np.load("env_sh.npy") if os.path.isfile("env_sh.npy") else np.ones((1, 9, 3))  # noqa: PTH113
    renderers = [
        PRTRender(width=512, height=512, egl=True),
        PRTRender(width=512, height=512, uv_mode=True, egl=True),
    ]
    with tempfile.TemporaryDirectory() as out:
        begin = time.perf_counter()
        render_data.render_prt_ortho(out, scans, subject, shs, *renderers, 512, int(step), 1, pitch=[0])
        end = time.perf_counter()
    sys.stdout.write(f"\npublished: {end - marks[0]:.3f} {marks[0] - begin:.3f}\n")
