"""``jiff.render_views`` and ``jiff.radiance_transfer``: pictures and light of any mesh, on the processor."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Union

import numpy as np

from jiff.api.shown import Shown
from jiff.base.errors import UsageError
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.mesh import Mesh, check_mesh
from jiff.geometry.raycast import RayScene
from jiff.render.environments import generate_environments
from jiff.render.gbuffer import GBuffer, render_gbuffer
from jiff.render.preview import CLAY, fit_camera, preview_colors
from jiff.render.prt import PrtSampling, compute_prt
from jiff.render.prt_io import Prt
from jiff.render.sh import SH_COUNT
from jiff.render.shading import ShadedScan
from jiff.render.texture import texture_of
from jiff.run.plan import default_jobs

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import ArrayLike, NDArray

MeshLike = str | Path | Mesh
"""A mesh, or a file of a format that ``jiff.load_mesh`` reads."""
Light = Union[Literal["studio", "flat"], int, "ArrayLike"]
"""Soft studio light, plain colours, the number of a generated environment, or an environment [9, 3]."""


@dataclass(frozen=True, eq=False, repr=False)
class Views(Shown):
    """Pictures of one mesh from N sides, S x S pixels each.

    Attributes:
        rgb: [N, S, S, 3] uint8.
        mask: [N, S, S] uint8, 255 where at least half of the pixel is covered, else 0.
        normals: [N, S, S, 3] float32 unit normals in each camera's frame (x right, y up, z to the viewer), 0 outside.
        cameras: the N cameras; ``cameras[n].world_to_pixel`` maps the mesh's points [..., 3] into picture n.
    """

    rgb: NDArray[np.uint8]
    mask: NDArray[np.uint8]
    normals: NDArray[np.float32]
    cameras: tuple[Camera, ...]

    @property
    def rgba(self) -> NDArray[np.uint8]:
        """[N, S, S, 4] uint8, the mask as alpha."""
        return np.concatenate([self.rgb, self.mask[..., None]], axis=-1)

    def __len__(self) -> int:
        """Number of views."""
        return len(self.cameras)


def _mesh(source: MeshLike) -> Mesh:
    return check_mesh(source, "mesh") if isinstance(source, Mesh) else load_mesh(source)


def _environment(light: Light) -> NDArray[np.float64] | None:
    """Return [9, 3] an environment, None for light that needs none.

    Raises:
        UsageError: no light.
    """
    if isinstance(light, str):
        if light in ("studio", "flat"):
            return None
        raise UsageError(f"light={light!r} is unknown; give 'studio', 'flat', a number, or an array [9, 3].")
    if isinstance(light, (int, np.integer)):
        if light < 0:
            raise UsageError(f"light={light} is no number of an environment; give 0 or more.")
        return generate_environments(int(light) + 1)[int(light)]
    environment = np.asarray(light, dtype=np.float64)
    if environment.shape != (SH_COUNT, 3) or not np.isfinite(environment).all():
        raise UsageError(
            f"light is an array of shape {environment.shape}; give nine finite SH coefficients per colour, [9, 3]."
        )
    return environment


def render_views(
    mesh: MeshLike,
    yaws: Sequence[float] = (0.0, 90.0, 180.0, 270.0),
    *,
    size: int = 512,
    light: Light = "studio",
    pitch_deg: float = 0.0,
    box_world: ArrayLike | None = None,
    canonical: bool = False,
    background: ArrayLike = (1.0, 1.0, 1.0),
    samples: int = 4,
    prt: Prt | None = None,
) -> Views:
    """Draw a mesh from several sides, orthographically, by ray casting: no GL, no display, no GPU.

    Example::

        views = jiff.render_views("person.glb", yaws=(0, 45, 180), size=512)
        views.rgb.shape  # (3, 512, 512, 3)

    Args:
        mesh: file, or mesh in any unit; texture, vertex colours, or clay.
        yaws: turns of the subject about y, degrees: 0 shows the side towards +z, 90 its right side, 180 the back.
        size: width and height, pixels.
        light: ``"studio"`` (soft, for looking), ``"flat"`` (the plain colours), the number of a generated environment
            (those of ``jiff data render``), or an environment [9, 3] in the camera's frame; the last two with shadows, by radiance transfer.
        pitch_deg: tilt of the subject towards the viewer, degrees.
        box_world: [2, 3] corners of a region to show, in the mesh's units; the whole mesh without it.
        canonical: the camera of training (204.8 x 204.8 units around (0, 90, 0)) instead of one that fits the mesh.
        background: RGB in [0, 1].
        samples: rays per pixel.
        prt: transfer of the mesh where it is known (``radiance_transfer``); else it is computed for lights that need it.

    Returns:
        The views, in the order of ``yaws``.

    Raises:
        MeshError: the mesh cannot be read or has no triangles.
        UsageError: no yaws, a size or number of samples below 1, or a light of another form.
    """
    if len(yaws) == 0 or size < 1 or samples < 1:
        raise UsageError(
            f"{len(yaws)} yaws, size={size}, samples={samples}: each must be at least 1; ask for a view."
        )
    environment = _environment(light)
    mesh = _mesh(mesh)
    mesh = replace(mesh, normals=mesh.vertex_normals())
    scene = RayScene(mesh.vertices, mesh.faces)
    texture = texture_of(mesh)
    scan = None
    if environment is not None:
        prt = prt or _transfer(mesh, scene, PrtSampling(), None)
        if len(prt.faces) != len(mesh.faces):
            raise UsageError(
                f"prt is of a mesh of {len(prt.faces)} triangles, but this one has {len(mesh.faces)};"
                " compute it from this mesh."
            )
        if texture is None and mesh.colors is None:
            mesh = replace(mesh, colors=np.tile(CLAY, (len(mesh.vertices), 1)))
        scan = ShadedScan(mesh, prt, scene=scene)
    target = mesh.bounds if box_world is None else np.asarray(box_world, dtype=np.float64)
    cameras, images, masks, normals = [], [], [], []
    for yaw in map(float, yaws):
        camera = (
            Camera.at_yaw(yaw, pitch_deg, size=size)
            if canonical
            else fit_camera(target, yaw, pitch_deg, size=size)
        )
        view = render_gbuffer(mesh, camera, samples, scene=scene)
        if scan is not None and environment is not None:
            colors = scan.colors(view, camera, environment)
        else:
            colors = preview_colors(mesh, camera, view, shading=light == "studio", texture=texture)
        cameras.append(camera)
        images.append(np.rint(np.clip(view.resolve(colors, background), 0, 1) * 255).astype(np.uint8))
        masks.append(view.mask())
        normals.append(_normals(mesh, camera, view))
    return Views(np.stack(images), np.stack(masks), np.stack(normals), tuple(cameras))


def _normals(mesh: Mesh, camera: Camera, view: GBuffer) -> NDArray[np.float32]:
    """Return [S, S, 3] unit normals in the camera's frame, 0 where the mask is."""
    found = view.interpolate(mesh.vertex_normals(), mesh.faces) @ np.asarray(camera.rotation, np.float32).T
    image = view.resolve(found.astype(np.float32))
    length = np.linalg.norm(image, axis=-1, keepdims=True)
    seen = (view.mask() > 0)[..., None] & (length > 1e-6)
    return np.where(seen, image / np.maximum(length, 1e-6), np.float32(0)).astype(np.float32)


def _transfer(mesh: Mesh, scene: RayScene, sampling: PrtSampling, threads: int | None) -> Prt:
    coefficients = compute_prt(mesh, scene, sampling, threads=threads or default_jobs())
    return Prt(coefficients.astype(np.float32), mesh.faces)


def radiance_transfer(
    mesh: MeshLike,
    *,
    directions: int = 40,
    sampling: Literal["cosine", "uniform"] = "cosine",
    seed: int = 0,
    threads: int | None = None,
) -> Prt:
    """Compute the radiance transfer of a mesh: how much light from where reaches each vertex, own shadows included.

    Example::

        prt = jiff.radiance_transfer(mesh)
        irradiance = prt.coefficients @ environment  # [V, 9] @ [9, 3]

    Args:
        mesh: file, or mesh in any unit, triangles facing outward.
        directions: n of n x n directions; the error falls with n.
        sampling: ``"cosine"`` (the better one) or ``"uniform"`` (the published one).
        seed: of the directions.
        threads: one per core without it; the answer does not depend on them.

    Returns:
        The transfer: ``coefficients`` [V, 9] float32, spherical harmonics of bands 0-2 in the mesh's axes, and ``faces``
        [F, 3]. ``jiff.render.prt_io.write_prt`` writes it as ``jiff data prt`` does.

    Raises:
        MeshError: the mesh cannot be read or has no triangles.
        UsageError: an unknown sampling, or fewer than one direction.
    """
    options = PrtSampling(sampling, directions, seed)
    mesh = _mesh(mesh)
    return _transfer(mesh, RayScene(mesh.vertices, mesh.faces), options, threads)
