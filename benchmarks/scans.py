"""A scan of the size of THuman2.0's for the benchmarks of preparation: a subdivided synthetic person."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from jiff.base.progress import NullProgress
from jiff.geometry.io.mesh_io import load_mesh, save_mesh
from jiff.geometry.mesh import Mesh
from jiff.options.rescale import RescaleConfig
from jiff.options.synth import SynthConfig
from jiff.pipelines.rescale import run_rescale
from jiff.pipelines.synth import run_synth

NAME = "synth_0000"


def _halved(
    rows: NDArray[np.float64], faces: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return rows with the middles of all edges added, and four triangles for each one."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    pairs, middle = np.unique(edges[:, 0] * len(rows) + edges[:, 1], return_inverse=True)
    first, second = np.divmod(pairs, len(rows))
    ab, bc, ca = (middle.reshape(-1, 3) + len(rows)).T
    a, b, c = faces.T
    split = np.stack([a, ab, ca, ab, b, bc, ca, bc, c, ab, bc, ca], axis=1).reshape(-1, 3)
    return np.concatenate([rows, (rows[first] + rows[second]) / 2]), split


def subdivided(mesh: Mesh) -> Mesh:
    """Return the mesh with four times its triangles, texture coordinates included."""
    vertices, faces = _halved(mesh.vertices, mesh.faces)
    if mesh.uv is None or mesh.faces_uv is None:
        return Mesh(vertices, faces, texture=mesh.texture)
    uv, faces_uv = _halved(mesh.uv, mesh.faces_uv)
    return Mesh(vertices, faces, uv=uv, faces_uv=faces_uv, texture=mesh.texture)


def write_raw_scan(folder: Path, quick: bool) -> Path:
    """Write a raw scan (metres) of about 440,000 triangles with a 4096-px texture, ``quick`` of 35,000, as ``folder/NAME/NAME.obj``."""
    config = SynthConfig(
        folder / "made", count=1, jobs=1, triangles=35_000 if quick else 110_000, texture_size=512 if quick else 4096,
        poses="standing",
    )  # fmt: skip
    report = run_synth(config, NullProgress())
    if not report.ok:
        raise RuntimeError(str(report.failures))
    mesh = load_mesh(config.out / NAME / f"{NAME}.obj")
    path = folder / "raw" / NAME / f"{NAME}.obj"
    save_mesh(replace(mesh, normals=None) if quick else subdivided(mesh), path)
    return path


def write_scan(folder: Path, quick: bool) -> Path:
    """Write the same scan rescaled, as ``folder/scans/NAME/NAME.obj``."""
    raw = write_raw_scan(folder, quick)
    report = run_rescale(RescaleConfig(raw.parents[1], folder / "scans", jobs=1), NullProgress())
    if not report.ok:
        raise RuntimeError(str(report.failures))
    return folder / "scans" / NAME / f"{NAME}.obj"
