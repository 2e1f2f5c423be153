"""Radiance transfer of a 440 k-triangle scan against 40 x 40 uniform directions cast through trimesh and embreex.

The twin casts every direction that a vertex's normal faces, one direction for all vertices after another; it runs on
every n-th vertex, and its time is scaled to all of them. Errors are those of the nine coefficients against a converged
answer (1600 cosine-weighted rays per vertex), on the twin's vertices.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from benchmarks.process import in_worker
from benchmarks.row import Row
from benchmarks.scans import write_scan
from jiff.geometry.io.mesh_io import load_mesh
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene
from jiff.options.prt import PrtConfig
from jiff.pipelines.prt import prepare_prt
from jiff.render.prt import PrtSampling, compute_prt
from jiff.render.prt_io import bounce_folder, read_prt
from jiff.render.sh import sh_basis
from jiff.run.plan import default_jobs

_SIDE = 40


def _plain(mesh: Mesh, points: NDArray[np.float64], normals: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return [N, 9] by the published number of uniform directions through trimesh's ray interface."""
    import trimesh
    from trimesh.ray.ray_pyembree import RayMeshIntersector

    caster = RayMeshIntersector(trimesh.Trimesh(mesh.vertices, mesh.faces, process=False))
    rng = np.random.default_rng(0)
    height, angle = 1 - 2 * rng.random(_SIDE**2), 2 * np.pi * rng.random(_SIDE**2)
    radius = np.sqrt(1 - height**2)
    origins = points + 1e-3 * np.ptp(mesh.vertices, axis=0).min() * normals
    total = np.zeros((len(points), 9))
    for direction in np.stack([radius * np.cos(angle), radius * np.sin(angle), height], axis=1):
        cosine = normals @ direction
        facing = np.flatnonzero(cosine > 0)
        blocked = caster.intersects_any(origins[facing], np.broadcast_to(direction, (len(facing), 3)).copy())
        seen = facing[~blocked]
        total[seen] += cosine[seen, None] * sh_basis(direction)
    return total * 4 * np.pi / _SIDE**2


def run(quick: bool) -> list[Row]:
    """Time both ways on one scan; ``quick`` takes a small one and fewer vertices for the twin."""
    with tempfile.TemporaryDirectory() as folder:
        path = write_scan(Path(folder), quick)
        mesh = load_mesh(path, texture=False)
        stride = max(1, len(mesh.vertices) // (500 if quick else 12_000))
        chosen = np.arange(0, len(mesh.vertices), stride)
        points, normals = mesh.vertices[chosen], mesh.vertex_normals()[chosen]
        begin = time.perf_counter()
        uniform = _plain(mesh, points, normals)
        twin = (time.perf_counter() - begin) * len(mesh.vertices) / len(chosen)
        cores = default_jobs()
        done, stage, peak = in_worker(prepare_prt, path, PrtConfig(path.parents[1]), cores)
        ours = read_prt(bounce_folder(path)).coefficients[chosen]
        few = Mesh(points, mesh.faces[:0], normals=normals)
        converged = compute_prt(
            few, RayScene(mesh.vertices, mesh.faces), PrtSampling("cosine", 160, seed=7), threads=cores
        )
        errors = [float(np.sqrt(((found - converged) ** 2).mean())) for found in (ours, uniform)]
    what = f"PRT of {len(mesh.faces)} triangles, {cores} threads"
    return [
        Row(what, done.seconds, "s", twin, twin / done.seconds, "10 times faster" if not quick else ""),
        Row(f"{what}, reading and writing too", stage, "s", twin, twin / stage),
        Row("its error (RMS of coefficients)", errors[0], "1", errors[1], errors[1] / errors[0], "no larger"),
        Row("memory of the worker", peak, "MiB", target="under 2 GB"),
    ]
