"""Any face mesh (DECA's, FLAME's, a scan, a published 3DMM) as a model that can be moved, turned and scaled, not bent."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from jiff.base.errors import MeshError
from jiff.face.fit.fitting import FaceFitter, start_from_landmarks
from jiff.face.landmarks import check_five, similarity
from jiff.face.model import MorphableModel
from jiff.face.regions import face_regions
from jiff.face.surface import FaceScene
from jiff.geometry.mesh import Mesh
from jiff.geometry.normals import area_weighted_normals
from jiff.render.preview import fit_camera, render_preview

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.face.detect.detector import FaceDetector

_PICTURE = 512


def _without_bases(
    name: str,
    mean: NDArray[np.float64],
    mesh: Mesh,
    landmarks68: NDArray[np.int64],
    weight: NDArray[np.float32],
    core: NDArray[np.bool_],
) -> MorphableModel:
    count = len(mean)
    colors = np.full((count, 3), 0.6) if mesh.colors is None else mesh.colors
    if float(colors.max(initial=0.0)) > 1.5:
        colors = colors / 255.0
    nothing = np.zeros((0, count, 3), np.float32)
    return MorphableModel(
        name=name,
        mean=mean.astype(np.float32),
        identity=nothing,
        expression=nothing,
        texture_mean=np.clip(colors, 0, 1).astype(np.float32),
        texture_basis=nothing,
        triangles=mesh.faces,
        landmarks68=landmarks68,
        fit_weight=weight,
        core=core,
    )


def model_of_mesh(mesh: Mesh, name: str) -> MorphableModel:
    """Return a model without bases around a mesh that already lies in the world.

    Its frame is the world's, moved to the mesh's centre. Landmarks are unknown: all 68 are vertex 0, so that only fits
    without landmarks make sense.

    Args:
        mesh: frontal world frame.
        name: for reports.
    """
    count = len(mesh.vertices)
    core = mesh.vertex_normals()[:, 2] > 0.3
    return _without_bases(
        name,
        mesh.vertices - mesh.vertices.mean(0),
        mesh,
        np.zeros(68, np.int64),
        np.ones(count, np.float32),
        core if core.any() else np.ones(count, bool),
    )


def transfer_landmarks(
    vertices: NDArray[np.float64],
    triangles: NDArray[np.int64],
    reference: MorphableModel,
    five_world: NDArray[np.float64],
) -> tuple[NDArray[np.int64], float]:
    """Return the vertices [68] nearest to the landmarks of a reference face fitted to a mesh, and that fit's size.

    Args:
        vertices: [V, 3] world units, facing +z.
        triangles: [F, 3].
        reference: a model with landmarks.
        five_world: [5, 3] detector landmarks on the mesh.
    """
    from scipy.spatial import cKDTree

    scene = FaceScene(Mesh(vertices, triangles))
    start = start_from_landmarks(reference, five_world)
    surface = scene.around(start.offset, start.rotation)
    pose = FaceFitter(reference).fit(surface, start, five_world)
    fitted = pose.vertices(reference)
    normals = area_weighted_normals(vertices, triangles)
    front = np.flatnonzero(normals[:, 2] > 0)
    if len(front) == 0:
        raise MeshError("the face mesh has no surface that faces +z; turn it to look along +z, y up.")
    marks = fitted[reference.landmarks68]
    return np.asarray(front[cKDTree(vertices[front]).query(marks)[1]], dtype=np.int64), pose.scale


def model_of_face_mesh(
    mesh: Mesh, name: str, detector: FaceDetector, reference: MorphableModel
) -> MorphableModel:
    """Return a model without bases of a face mesh in any unit, y up, looking along +z.

    Its size is brought to the world's, its landmarks are found: detected in a clay picture of it, refined by fitting the
    reference face to it. Colours are kept.

    Args:
        mesh: face or head of any vertex count.
        name: for reports and messages, e.g. the file.
        detector: see ``make_detector``.
        reference: a model with landmarks (anny).

    Raises:
        MeshError: no face is seen in it from +z.
    """
    low, high = mesh.bounds
    extent = high - low
    diagonal = float(np.linalg.norm(extent))
    if diagonal <= 0:
        raise MeshError(f"{name}: has no extent; export the face again.")
    scene = FaceScene(mesh)
    found = None
    for picture_mesh in (
        Mesh(mesh.vertices, mesh.faces, colors=mesh.colors),
        Mesh(mesh.vertices, mesh.faces),
    ):
        for zoom in (1.3, 1.0):
            camera = fit_camera(mesh, size=_PICTURE, margin=zoom)
            picture = render_preview(picture_mesh, camera, background=(0.5, 0.5, 0.5), samples=1)
            found = next((d for d in detector.detect(picture) if check_five(d.points_px) is None), None)
            if found is not None:
                break
        if found is not None:
            break
    if found is None:
        raise MeshError(f"{name}: no face is seen in this mesh from +z; turn it to look along +z with y up.")
    # Rays start far before the mesh whatever its unit.
    origins, direction = camera.pixel_rays(found.points_px, start_world=2 * diagonal)
    hits = scene.rays.intersect(origins, direction)
    if not hits.hit.all():
        raise MeshError(f"{name}: its eyes, nose and mouth could not all be found; give a complete face.")
    five = origins + hits.distance[:, None] * direction
    scale = similarity(five, reference.five_landmarks(reference.mean.astype(np.float64)))[0]
    center = (five.min(0) + five.max(0)) / 2
    vertices = (mesh.vertices - center) * scale
    marks, size = transfer_landmarks(vertices, mesh.faces, reference, (five - center) * scale)
    # Five landmarks give a rough size; the fit knows better.
    vertices = vertices / size
    weight, core = face_regions(vertices, vertices[marks])
    core &= area_weighted_normals(vertices, mesh.faces)[:, 2] > 0
    if not core.any():
        raise MeshError(f"{name}: holds no vertices between brows and chin; give a finer mesh.")
    return _without_bases(name, vertices, mesh, marks, weight, core)


def find_face_mesh(folder: Path, name: str) -> Path:
    """Return the file ``<name>.obj|ply|glb`` (or ``<name>_mesh.obj``) of a folder.

    Raises:
        MeshError: there is none.
    """
    for candidate in (f"{name}.obj", f"{name}.ply", f"{name}.glb", f"{name}_mesh.obj"):
        if (folder / candidate).is_file():
            return folder / candidate
    raise MeshError(
        f"{folder / name}.obj: no such face mesh (nor .ply, .glb); put one there or leave out --face-mesh."
    )
