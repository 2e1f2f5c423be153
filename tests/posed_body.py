"""A body in a photo-like pose with a coat around it: one arm raised, knees bent, fingers curled, head turned."""

from __future__ import annotations

import numpy as np
import trimesh
from scipy import ndimage

from jiff.body.anny_body import AnnyBody
from jiff.body.placed import PlacedBody
from jiff.body.rig import skin_triangles
from jiff.body.skeleton import JOINTS, JointPose
from jiff.geometry.inside import inside_mesh
from jiff.geometry.marching import CORNERS, marching_cubes
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene

TURNS = {
    "upperarm.L": (0.0, 0.0, 1.3), "lowerarm.L": (-0.3, -0.6, 0.0), "upperarm.R": (0.2, 0.0, 0.45),
    "lowerarm.R": (-0.5, 0.3, 0.0), "upperleg.L": (-0.6, 0.0, 0.0), "lowerleg.L": (0.9, 0.0, 0.0),
    "upperleg.R": (-0.2, 0.0, 0.0), "lowerleg.R": (0.4, 0.0, 0.0), "head": (0.1, 0.4, 0.0), "chest": (0.1, 0.2, 0.05),
    "root": (0.0, 0.3, 0.0),
}  # fmt: skip


def placed_body() -> PlacedBody:
    """Return the body; about 180 units tall."""
    turns = np.zeros((len(JOINTS), 3))
    for name, turn in TURNS.items():
        turns[JOINTS.index(name)] = turn
    pose = JointPose(turns, np.array([[0.25, 0.2, 0.0], [0.3, 0.2, 0.1]]))
    return PlacedBody({}, pose, 96.0, np.array([2.0, 78.0, 3.0]))


def coat(body: AnnyBody, placed: PlacedBody, finer: int = 1, offset: float = 1.0) -> Mesh:
    """Return the skin, cut ``finer`` times and moved out by ``offset`` units, in colours that run over it."""
    faces = skin_triangles(body)
    vertices = placed.vertices_world(body)[: faces.max() + 1]
    for _ in range(finer):
        vertices, faces = trimesh.remesh.subdivide(vertices, faces)
    vertices = np.asarray(vertices) + Mesh(np.asarray(vertices), np.asarray(faces)).vertex_normals() * offset
    low, high = vertices.min(axis=0), vertices.max(axis=0)
    return Mesh(vertices, np.asarray(faces, np.int64), colors=(vertices - low) / (high - low))


def run_together(body: AnnyBody, placed: PlacedBody, cell: float = 1.5) -> Mesh:
    """Return one closed surface around a body, about 1 unit off it, in which what lies near each other is one."""
    skin = placed.vertices_world(body)
    scene = RayScene(skin, skin_triangles(body))
    low, high = skin.min(axis=0) - 6, skin.max(axis=0) + 6
    size = np.ceil((high - low) / cell).astype(int)
    grid = np.stack(np.meshgrid(*[np.arange(n) for n in size], indexing="ij"), axis=-1).reshape(-1, 3)
    inside = inside_mesh(scene, low + grid * cell).reshape(size).astype(np.float32)
    field = ndimage.gaussian_filter(inside, 1.2).ravel()
    steps = np.array([size[1] * size[2], size[2], 1])
    cells = (
        np.stack(np.meshgrid(*[np.arange(n - 1) for n in size], indexing="ij"), axis=-1).reshape(-1, 3)
        @ steps
    )
    values = np.stack([field[cells + corner @ steps] for corner in CORNERS], axis=1)
    active = (values > 0.2).any(axis=1) & (values <= 0.2).any(axis=1)
    base, axis, share, faces = marching_cubes(cells[active], values[active], steps, 0.2)
    places = np.stack(np.unravel_index(base, size), axis=1).astype(float)
    places[np.arange(len(places)), axis] += share
    return Mesh(low + places * cell, faces, colors=np.full((len(places), 3), 0.5))
