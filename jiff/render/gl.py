"""G-buffers by OpenGL on a GPU without display (EGL through pyrender), for ``--egl``; same answer as casting rays."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import AssetError
from jiff.render.gbuffer import GBuffer, sample_offsets

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.camera import Camera
    from jiff.geometry.mesh import Mesh

_VERTEX = """#version 330 core
layout(location = 0) in vec3 position;
uniform mat4 to_clip;
void main() { gl_Position = to_clip * vec4(position, 1.0); }
"""
_FRAGMENT = """#version 330 core
layout(location = 0) out uint face;
void main() { face = uint(gl_PrimitiveID) + 1u; }
"""
_REMEDY = "leave out --egl to draw by ray casting, which gives the same pictures"


def _platform() -> Any:
    """Return a current EGL context of pyrender."""
    # PyOpenGL chooses its platform at its first import and offers no other way to say which.
    if "OpenGL" not in sys.modules:
        os.environ.setdefault("PYOPENGL_PLATFORM", "egl")
    try:
        from pyrender.platforms.egl import EGLPlatform, get_device_by_index
    except ImportError as error:
        raise AssetError(
            f"--egl: needs pyrender, which cannot be imported ({error}); run `pip install 'jiff[gl]'`, or {_REMEDY}."
        ) from error
    try:
        device = get_device_by_index(int(os.environ.get("EGL_DEVICE_ID", "0")))
        platform = EGLPlatform(16, 16, device=device)
        platform.init_context()
        platform.make_current()
    except Exception as error:
        detail = " ".join(str(error).split())[:120] or type(error).__name__
        raise AssetError(
            f"--egl: no OpenGL context can be made on EGL device {os.environ.get('EGL_DEVICE_ID', '0')} ({detail}); "
            f"install a driver with EGL, or {_REMEDY}."
        ) from error
    return platform


def require_gl() -> str:
    """Return the name of the renderer that ``--egl`` would use.

    Raises:
        AssetError: pyrender or a driver is missing.
    """
    platform = _platform()
    from OpenGL import GL

    name = GL.glGetString(GL.GL_RENDERER)
    platform.delete_context()
    return name.decode(errors="replace") if isinstance(name, bytes) else str(name)


def _compile(source: str, kind: Any) -> Any:
    from OpenGL import GL

    shader = GL.glCreateShader(kind)
    GL.glShaderSource(shader, source)
    GL.glCompileShader(shader)
    if not GL.glGetShaderiv(shader, GL.GL_COMPILE_STATUS):
        raise AssetError(
            f"--egl: the driver refuses a shader ({GL.glGetShaderInfoLog(shader)!r}); update it, or {_REMEDY}."
        )
    return shader


class GlCaster:
    """A mesh on the GPU that answers which triangle each sample of a view sees. Belongs to the thread that made it."""

    def __init__(self, mesh: Mesh) -> None:
        """Upload ``mesh``.

        Raises:
            AssetError: pyrender or a driver is missing.
        """
        self._gl_platform = _platform()
        from OpenGL import GL

        self._mesh = mesh
        self._size = 0
        self._middle = mesh.bounds.mean(0)
        self._radius = float(np.linalg.norm(mesh.bounds[1] - mesh.bounds[0])) / 2 + 1e-6
        self._program = GL.glCreateProgram()
        for source, kind in ((_VERTEX, GL.GL_VERTEX_SHADER), (_FRAGMENT, GL.GL_FRAGMENT_SHADER)):
            GL.glAttachShader(self._program, _compile(source, kind))
        GL.glLinkProgram(self._program)
        GL.glBindVertexArray(GL.glGenVertexArrays(1))
        positions = np.ascontiguousarray(mesh.vertices - self._middle, np.float32)
        indices = np.ascontiguousarray(mesh.faces, np.uint32)
        GL.glBindBuffer(GL.GL_ARRAY_BUFFER, GL.glGenBuffers(1))
        GL.glBufferData(GL.GL_ARRAY_BUFFER, positions.nbytes, positions, GL.GL_STATIC_DRAW)
        GL.glEnableVertexAttribArray(0)
        GL.glVertexAttribPointer(0, 3, GL.GL_FLOAT, GL.GL_FALSE, 0, ctypes.c_void_p(0))
        GL.glBindBuffer(GL.GL_ELEMENT_ARRAY_BUFFER, GL.glGenBuffers(1))
        GL.glBufferData(GL.GL_ELEMENT_ARRAY_BUFFER, indices.nbytes, indices, GL.GL_STATIC_DRAW)
        self._buffers: tuple[Any, ...] = ()

    def close(self) -> None:
        """Give the GPU's memory back."""
        self._gl_platform.delete_context()

    def _resize(self, size: int) -> None:
        from OpenGL import GL

        if size == self._size:
            return
        if self._buffers:
            GL.glDeleteRenderbuffers(2, np.array(self._buffers[1:], np.uint32))
            GL.glDeleteFramebuffers(1, np.array(self._buffers[:1], np.uint32))
        frame, (color, depth) = GL.glGenFramebuffers(1), GL.glGenRenderbuffers(2)
        GL.glBindFramebuffer(GL.GL_FRAMEBUFFER, frame)
        for buffer, layout, slot in (
            (color, GL.GL_R32UI, GL.GL_COLOR_ATTACHMENT0),
            (depth, GL.GL_DEPTH_COMPONENT32F, GL.GL_DEPTH_ATTACHMENT),
        ):
            GL.glBindRenderbuffer(GL.GL_RENDERBUFFER, buffer)
            GL.glRenderbufferStorage(GL.GL_RENDERBUFFER, layout, size, size)
            GL.glFramebufferRenderbuffer(GL.GL_FRAMEBUFFER, slot, GL.GL_RENDERBUFFER, buffer)
        if GL.glCheckFramebufferStatus(GL.GL_FRAMEBUFFER) != GL.GL_FRAMEBUFFER_COMPLETE:
            raise AssetError(
                f"--egl: the driver offers no {size}-px integer image; choose a smaller size, or {_REMEDY}."
            )
        self._buffers, self._size = (frame, color, depth), size

    def _faces(self, to_clip: NDArray[np.float64], size: int) -> NDArray[np.int64]:
        """Return [size * size] the triangle at each pixel's centre, -1 for none; row 0 is clip y = -1."""
        from OpenGL import GL

        GL.glViewport(0, 0, size, size)
        GL.glEnable(GL.GL_DEPTH_TEST)
        GL.glDisable(GL.GL_CULL_FACE)
        GL.glClearBufferuiv(GL.GL_COLOR, 0, np.zeros(4, np.uint32))
        GL.glClearBufferfv(GL.GL_DEPTH, 0, np.ones(1, np.float32))
        GL.glUseProgram(self._program)
        matrix = np.ascontiguousarray(to_clip.T, np.float32)
        GL.glUniformMatrix4fv(GL.glGetUniformLocation(self._program, "to_clip"), 1, GL.GL_FALSE, matrix)
        GL.glDrawElements(GL.GL_TRIANGLES, self._mesh.faces.size, GL.GL_UNSIGNED_INT, ctypes.c_void_p(0))
        pixels = np.empty(size * size, np.uint32)
        GL.glPixelStorei(GL.GL_PACK_ALIGNMENT, 4)
        GL.glReadPixels(0, 0, size, size, GL.GL_RED_INTEGER, GL.GL_UNSIGNED_INT, pixels)
        return pixels.astype(np.int64) - 1

    def __call__(self, camera: Camera, samples: int = 1) -> GBuffer:
        """Return what each sample of a view sees."""
        self._resize(camera.size)
        size = camera.size
        calib = camera.calib
        # Our NDC y points down, as rows of the read image do; depth is squeezed so that the whole mesh is in range.
        to_clip = calib.copy()
        depth_scale = camera.half_width_world / camera.zoom / self._radius
        to_clip[:3, 3] += calib[:3, :3] @ self._middle
        to_clip[2] = [*(-calib[2, :3] * depth_scale), 0.0]
        # The depth row is affine in the position about the mesh's middle, whose depth is taken as 0.
        parts = []
        for x, y in sample_offsets(samples):
            shifted = to_clip.copy()
            shifted[0, 3] += (0.5 - x) * 2 / size
            shifted[1, 3] += (0.5 - y) * 2 / size
            face = self._faces(shifted, size)
            pixel = np.flatnonzero(face >= 0)
            parts.append(self._sample(camera, pixel, face[pixel], (x, y)))
        pixel, face, weights, front, depth = (np.concatenate(group) for group in zip(*parts))
        return GBuffer(size, samples, pixel, face, weights, front, depth)

    def _sample(
        self, camera: Camera, pixel: NDArray[np.int64], face: NDArray[np.int64], offset: tuple[float, float]
    ) -> tuple[NDArray, ...]:
        """Return pixel, face, weights, front and depth by solving each triangle's projection for the sample."""
        ndc = camera.world_to_ndc(self._mesh.vertices[self._mesh.faces[face]])
        corner = camera.ndc_to_pixel(ndc)
        row, column = np.divmod(pixel, camera.size)
        point = np.stack([column + offset[0], row + offset[1]], axis=1)
        a, b, c = corner[:, 0], corner[:, 1], corner[:, 2]

        def cross(p: NDArray[np.float64], q: NDArray[np.float64]) -> NDArray[np.float64]:
            return p[:, 0] * q[:, 1] - p[:, 1] * q[:, 0]

        area = cross(b - a, c - a)
        safe = np.where(np.abs(area) > 1e-12, area, 1e-12)
        v, w = cross(point - a, c - a) / safe, cross(b - a, point - a) / safe
        weights = np.clip(np.stack([1 - v - w, v, w], axis=1), 0, 1)
        weights /= weights.sum(axis=1, keepdims=True)
        depth = (ndc[..., 2] * weights).sum(axis=1)
        # Pixels have y down, so that a triangle seen from outside turns clockwise; a mirrored view turns it back.
        front = (area < 0) != camera.flip
        return pixel, face, weights.astype(np.float32), front, depth.astype(np.float32)
