"""Is a raw scan fit for the pipeline? Units, axes, closedness, pieces, colours, and a verdict."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import InputError
from jiff.check.item import CheckItem
from jiff.geometry.camera import BODY_HEIGHT_WORLD, CANONICAL_HALF_WIDTH
from jiff.geometry.io.mesh_io import load_mesh, mesh_with_texture, read_surface
from jiff.geometry.orientation import facing_yaw, feet_are_up, lies, up_axis
from jiff.render.preview import orbit_views

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh

_UNITS = (("metres", 1.0), ("centimetres", 100.0), ("millimetres", 1000.0))
_PERSON_M = (0.9, 2.6)
_MIN_TRIANGLES = 1000
_MAX_OPEN_SHARE = (0.02, 0.10)
"""Share of edges that bound a hole: above the first a note, above the second no use."""
_MAX_TURN_DEG = 20.0


def welded(mesh: Mesh) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return points [V', 3], in millionths of the extent, and faces [F', 3] of a mesh.

    Vertices of equal position are made one (exports split them at seams), flat faces dropped.
    """
    extent = float(np.ptp(mesh.vertices, axis=0).max())
    keys = np.round(mesh.vertices / max(extent, 1e-30) * 1e6).astype(np.int64)
    points, first = np.unique(keys, axis=0, return_inverse=True)
    faces = first.ravel()[mesh.faces]
    solid = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 2] != faces[:, 0])
    return points, faces[solid]


def welded_faces(mesh: Mesh) -> NDArray[np.int64]:
    """Return the faces of ``welded``."""
    return welded(mesh)[1]


def open_edge_share(faces: NDArray[np.int64]) -> float:
    """Return the share of edges that do not join exactly two faces."""
    edges = np.sort(faces[:, [0, 1, 1, 2, 2, 0]].reshape(-1, 2), axis=1)
    _, count = np.unique(edges[:, 0] * (int(faces.max()) + 1) + edges[:, 1], return_counts=True)
    return float((count != 2).mean())


def _size_facts(item: CheckItem, mesh: Mesh) -> NDArray[np.float64]:
    axis = up_axis(mesh)
    vertices = mesh.vertices if axis == "y" else mesh.vertices[:, [0, 2, 1]] * [1, 1, -1]
    height = float(np.ptp(vertices[:, 1]))
    if lies(vertices):
        item.reject(
            "It lies along another axis than y or z, or is not one standing person; give `--up x` (or another axis)."
        )
    elif feet_are_up(replace(mesh, vertices=vertices)):
        item.fix(f"Its feet are up, as its legs show; run `jiff data rescale --up {axis}-down`.")
    reach = np.linalg.norm(vertices[:, [0, 2]] - vertices[:, [0, 2]].mean(axis=0), axis=1).max() / max(
        height, 1e-30
    )
    if not lies(vertices) and reach * BODY_HEIGHT_WORLD > CANONICAL_HALF_WIDTH:
        item.fix("It is wider than the camera sees; arms held out will be cut off in pictures.")
    rescaled = abs(height - 180) < 1 and abs(float(vertices[:, 1].min())) < 1
    units = [name for name, per_metre in _UNITS if _PERSON_M[0] <= height / per_metre <= _PERSON_M[1]]
    item.facts.update(
        height=round(height, 4),
        up=axis,
        units="jiff" if rescaled else (units or ["unknown"])[0],
        rescaled=rescaled,
    )
    if not rescaled or axis == "z":
        item.fix(f"It is {height:.4g} units high with {axis} up, not 180 with y up; run `jiff data rescale`.")
    if not rescaled and not units:
        item.fix(
            "Its height is not a person's in metres, centimetres or millimetres; see that it is one standing person."
        )
    return vertices


def _body_is_closed(points: NDArray[np.int64], faces: NDArray[np.int64], labels: NDArray[np.int32]) -> bool:
    """Return whether the piece with the most surface is closed well enough; ``labels`` [F'] number the pieces."""
    a, b, c = (points[faces[:, k]].astype(np.float64) for k in range(3))
    areas = np.bincount(labels, weights=np.linalg.norm(np.cross(b - a, c - a), axis=1))
    body = labels == areas.argmax()
    return open_edge_share(faces[body]) <= _MAX_OPEN_SHARE[1]


def _surface_facts(item: CheckItem, mesh: Mesh) -> None:
    from scipy.sparse import coo_matrix
    from scipy.sparse.csgraph import connected_components

    points, faces = welded(mesh)
    if len(faces) == 0:
        item.reject("All its triangles are flat; export it again.")
        return
    # Welding joins layers that touch, and not welding opens seams: the better of the two is the surface's own.
    share = min(open_edge_share(faces), open_edge_share(mesh.faces))
    count = int(faces.max()) + 1
    links = coo_matrix(
        (np.ones(2 * len(faces), bool), (faces[:, [0, 1]].ravel(), faces[:, [1, 2]].ravel())), (count, count)
    )
    labels = connected_components(links, directed=False)[1][faces[:, 0]]
    sizes = np.bincount(labels)
    sizes = sizes[sizes > 0]
    volume = mesh.volume
    item.facts.update(
        watertight=share == 0.0,
        open_edges=round(share, 5),
        pieces=len(sizes),
        largest_piece=round(float(sizes.max() / len(faces)), 4),
        outward=volume > 0,
    )
    if volume <= 0:
        item.reject(
            "Its triangles face inward, so that inside and outside are swapped; turn the faces over and export again."
        )
    if share > _MAX_OPEN_SHARE[1] and _body_is_closed(points, faces, labels):
        item.fix(
            f"{share:.0%} of its edges are open, those of sheets (hair or lash cards) around a closed body; they get no"
            " inside, so remove them if they should not be learnt."
        )
    elif share > _MAX_OPEN_SHARE[1]:
        item.reject(f"{share:.0%} of its edges are open; close the surface, inside tests would be wrong.")
    elif share > _MAX_OPEN_SHARE[0]:
        item.fix(f"{share:.1%} of its edges are open; close its holes if labels turn out noisy.")


def _texture_names(path: Path) -> set[str]:
    names: set[str] = set()
    for library in sorted(path.parent.glob("*.mtl")) if path.suffix.lower() == ".obj" else ():
        for line in library.read_text(encoding="utf-8", errors="replace").splitlines():
            words = line.split(maxsplit=1)
            if len(words) == 2 and words[0].lower() == "map_kd":
                names.add(words[1].strip())
    return names


def _colour_facts(item: CheckItem, mesh: Mesh, path: Path) -> None:
    texture = None if mesh.texture is None else list(mesh.texture.shape[1::-1])
    item.facts.update(texture=texture, textures=len(_texture_names(path)) or int(texture is not None))
    item.facts.update(uv=mesh.uv is not None, vertex_colors=mesh.colors is not None)
    if mesh.texture is None and mesh.colors is None:
        item.reject("It has neither texture nor vertex colours; put its MTL and texture back beside it.")
    elif mesh.uv is None:
        item.fix("It has no texture coordinates; `jiff data rescale` adds them.")


def check_scan(name: str, path: Path) -> CheckItem:
    """Examine one raw or rescaled scan; an unreadable file is a verdict, not an error."""
    item = CheckItem(name)
    item.facts["file"] = str(path)
    try:
        surface = read_surface(path)
    except InputError as error:
        item.reject(str(error))
        return item
    mesh = mesh_with_texture(surface)
    for note in surface.notes:
        item.fix(f"{note[:1].upper()}{note[1:]}.")
    item.facts.update(triangles=len(mesh.faces), vertices=len(mesh.vertices))
    if len(mesh.faces) < _MIN_TRIANGLES:
        item.reject(
            f"It has {len(mesh.faces)} triangles only; a scan of a person has {_MIN_TRIANGLES} or more."
        )
    upright = _size_facts(item, mesh)
    _surface_facts(item, mesh)
    _colour_facts(item, mesh, path)
    yaw = facing_yaw(upright)
    item.facts["facing_yaw_deg"] = None if yaw is None else round(yaw, 1)
    if yaw is not None and abs(yaw) > _MAX_TURN_DEG:
        item.fix(f"It faces {yaw:.0f} degrees from +z; run `jiff data rescale --frontal` (or --yaw).")
    bounce = path.parent / "bounce" / "bounce0.txt"
    item.facts["prt"] = bounce.is_file()
    return item


def scan_tiles(path: Path, size: int) -> list[Any]:
    """Return front, side, back and head pictures [size, size, 3] of a scan."""
    mesh = load_mesh(path)
    if up_axis(mesh) == "z":
        mesh = mesh.transformed([[1, 0, 0], [0, 0, 1], [0, -1, 0]])
    low, high = mesh.bounds
    height = high[1] - low[1]
    top = mesh.vertices[mesh.vertices[:, 1] > high[1] - 0.12 * height]
    middle = np.array([np.median(top[:, 0]), high[1] - 0.07 * height, np.median(top[:, 2])])
    head = [middle - 0.08 * height, middle + 0.08 * height]
    return [*orbit_views(mesh, (0, 90, 180), size=size), *orbit_views(mesh, (0,), size=size, box_world=head)]
