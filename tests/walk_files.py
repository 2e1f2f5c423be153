"""Reading what the walk of all commands has written."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import trimesh
from PIL import Image

from jiff.geometry.io.mesh_io import load_mesh

MEASURES = {"chamfer_cm", "p2s_cm", "normal_deg", "iou"}


def read(path: Path) -> trimesh.Trimesh:
    """Read a mesh with a reader that is not ours."""
    loaded = trimesh.load(path, process=False)
    if isinstance(loaded, trimesh.Scene):
        parts = loaded.dump()
        assert len(parts) == 1
        return parts[0]
    return loaded


def pixels(path: Path) -> np.ndarray:
    """Read an image."""
    with Image.open(path) as image:
        return np.asarray(image)


def check_person(path: Path, low: float, high: float) -> trimesh.Trimesh:
    """Check that a file holds an upright coloured body between ``low`` and ``high`` tall."""
    mesh = read(path)
    width, height, depth = mesh.extents
    assert low < height < high
    assert height > 1.5 * max(width, depth)
    assert len(mesh.faces) > 500
    assert mesh.is_winding_consistent
    # trimesh drops the vertex colours of a GLB beside its material.
    colors = load_mesh(path).colors
    assert colors is not None and len(colors) == len(mesh.vertices)
    assert colors.std(axis=0).max() > 4 / 255
    return mesh


def outside_references(page: str) -> list[str]:
    """Return what a page would load from elsewhere."""
    found = [text for text in re.findall(r"https?://[^\s\"'<)]+", page) if "www.w3.org" not in text]
    found += [
        text for text in re.findall(r"\bsrc\s*=\s*[\"']([^\"']*)", page) if not text.startswith("data:")
    ]
    return found + re.findall(r"<link[^>]*>|@import[^;]*", page)
