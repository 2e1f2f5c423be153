"""One framed photo and the body fitted to it to one textured mesh, by a prior-held network."""

from __future__ import annotations

import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from jiff.base.errors import MeshError, ReconstructionError
from jiff.geometry.camera import Camera
from jiff.geometry.components import keep_body
from jiff.geometry.isosurface import Seeds, SurfaceOptions, extract_surface_with_stats
from jiff.geometry.refine import refined_inside
from jiff.geometry.simplify import decimate, is_watertight
from jiff.geometry.smooth import taubin_smoothed, without_specks
from jiff.inference.detail import DetailedFront, photo_normals
from jiff.inference.filling import Filling
from jiff.inference.held_field import CHUNK, HeldField
from jiff.inference.held_texture import color_held, texture_held
from jiff.inference.outline import Outline
from jiff.inference.own_hands import HandChoice, OwnHands
from jiff.inference.person import canonical_bounds
from jiff.options.mesh_output import MeshOutput
from jiff.photo.view_inputs import view_inputs, with_head
from jiff.render.photo_projection import ramp

if TYPE_CHECKING:
    from jiff.body.placed import PlacedBody
    from jiff.geometry.mesh import Mesh
    from jiff.models.normals.network import NormalNetwork
    from jiff.models.person.network import PersonNetwork
    from jiff.photo.test_folder import PersonImage

_RESOLUTION = 256
_DEPTH_MARGIN = 25.0
"""World units that clothes may stand off the body in depth."""
_FINE_PART, _FINE_EDGE, _HALVINGS, _MOVES = 0.7, 0.35, 2, 2
"""Of the close-up's half width; world units; how often edges are halved and their ends moved onto the surface."""
_BODY_SHARE = 0.6
"""Of the triangles that are wanted, so many are there before those of the head are halved."""
_CAREFUL, _FARTHEST = 0.7, 0.3
_HEAD_STEPS, _SPECKS, _SOFT_RIM = 8, (0.05, 0.1), 1.0
"""Moves that take folds and specks off the head, what they move by how much (world units), and over how much they begin."""
_GUESSED_STEPS, _SOFT, _SEEN = 20, 6.0, (0.05, 0.45)
"""Moves that take the ridges out of what was filled, where cells of the surface meet its border, out of sides and back; world units
over which that begins; cosines between normal and viewing direction from which a point is not of a side, and of the front."""
_NAMES = {".L": "left", ".R": "right"}
_DRAFT = 128
"""Resolution at which is found out what the surface leaves out."""


@dataclass(frozen=True)
class HeldOptions:
    """How to reconstruct.

    Attributes:
        resolution: cells over the 204.8 world units of the view; None takes 256.
        raw: keep floating pieces, and what lies outside of the person's outline.
        memory_budget_bytes: what the network's working memory may take.
        output: triangles to keep, colours per vertex or as a texture.
    """

    resolution: int | None = None
    raw: bool = False
    memory_budget_bytes: int = 4 << 30
    output: MeshOutput = MeshOutput()


@dataclass(frozen=True)
class HeldPerson:
    """What came out.

    Attributes:
        mesh: world units in the camera's frame, y up, z towards the camera.
        notes: things the user should know, one sentence each.
        numbers: points, seconds and pieces.
    """

    mesh: Mesh
    notes: list[str]
    numbers: dict[str, Any]


def reconstruct_held(
    network: PersonNetwork,
    person: PersonImage,
    placed: PlacedBody,
    options: HeldOptions | None = None,
    device: torch.device | None = None,
    normals: NormalNetwork | None = None,
    hands: HandChoice | None = None,
) -> HeldPerson:
    """Reconstruct one person.

    Args:
        network: in evaluation mode, on ``device``.
        person: image and mask, framed (canonical camera).
        placed: the body fitted to it.
        options: resolution and so on.
        device: the processor without it.
        normals: network of normals, in evaluation mode, that gives the front its folds and hems; None leaves it smooth.
        hands: which of the fitted body's hands become the person's; None, like no side of it, leaves them to the network.

    Raises:
        ReconstructionError: no surface, no body in the silhouette, or not enough memory.
    """
    options, device = options or HeldOptions(), device or torch.device("cpu")
    begin = time.perf_counter()
    try:
        # The photo's own mask tells the person from the wall; the surface has one that holds the fitted face.
        photo, person = person, replace(person, mask=with_head(person.mask, placed))
        inputs = view_inputs(person.rgb, person.mask, placed)
        outline = None if options.raw else Outline(person.mask)
        hands = hands or HandChoice()
        own = OwnHands(placed, hands)
        field = HeldField(network, inputs, outline, device, face=len(placed.extra_index) > 0, shape=own.shape)
        encoded = time.perf_counter()
        mesh, counts = _surface(field, person, options, normals, own)
        extracted = time.perf_counter()
        output, extra, notes = options.output, dict[str, Any](), list[str]()
        most = (
            None if output.triangles is None else max(output.triangles - own.triangles, output.triangles // 2)
        )
        if most is not None and len(mesh.faces) > most:
            extra["faces_extracted"] = len(mesh.faces)
            mesh = decimate(mesh, round(_BODY_SHARE * most))
        mesh = _finer_head(mesh, field)
        if most is not None and len(mesh.faces) > most:
            mesh = decimate(mesh, most)
        if own.meshes:
            mesh = own.joined(mesh)
            if not options.raw:
                mesh = keep_body(mesh, person.mask >= 128, Camera()).mesh
            lost = own.missing_in(mesh)
            extra["hands"] = [side.removeprefix(".") for side in hands.own if side not in lost]
            notes += [f"The {_NAMES[side]} hand is left out: the arm does not reach it." for side in lost]
            if output.triangles is not None and len(mesh.faces) > output.triangles:
                mesh = decimate(mesh, output.triangles)
        if hands.hidden:
            extra["hidden_hands"] = [side.removeprefix(".") for side in hands.hidden]
        colored = time.perf_counter()
        if output.texture == "uv":
            mesh, baked = texture_held(
                mesh, field, output.texture_size, photo if output.project_photo else None
            )
            extra.update(baked)
        else:
            mesh = color_held(mesh, field)
    except MeshError as error:
        raise ReconstructionError(str(error)) from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ReconstructionError(
            f"Memory ran out ({error}); lower --resolution or --memory-budget."
        ) from error
    numbers = {
        "resolution": options.resolution or _RESOLUTION,
        "precision": "float32",
        **counts,
        "views": 1,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": is_watertight(mesh),
        **extra,
        "encode_seconds": round(encoded - begin, 3),
        "surface_seconds": round(extracted - encoded, 3),
        "color_seconds": round(time.perf_counter() - colored, 3),
    }
    if numbers["other_bodies"]:
        kept = "kept" if options.raw else "dropped; --raw keeps them"
        notes.append(f"{numbers['other_bodies']} further large pieces were {kept}.")
    return HeldPerson(mesh, notes, numbers)


def _finer_head(mesh: Mesh, field: HeldField) -> Mesh:
    """Return the mesh with smaller triangles around the head, moved onto the surface and smoothed."""
    window = field.inputs.head_window.astype(np.float64)
    box = np.stack([window[:3] - _FINE_PART * window[3], window[:3] + _FINE_PART * window[3]])
    for _ in range(_HALVINGS):
        mesh = refined_inside(mesh, box, _FINE_EDGE)
        inside = np.flatnonzero(((mesh.vertices > box[0]) & (mesh.vertices < box[1])).all(axis=1))
        vertices = mesh.vertices.copy()
        for _ in range(_MOVES):
            normals = replace(mesh, vertices=vertices).vertex_normals()[inside]
            distance = field.distance(vertices[inside].astype(np.float32)).astype(np.float64)
            # The normal part of the way only, and none of the jumps that a rough field asks for.
            vertices[inside] += np.clip(_CAREFUL * distance, -_FARTHEST, _FARTHEST)[:, None] * normals
        mesh = replace(mesh, vertices=vertices)
    # Lids and lips fold the field within less than a triangle.
    depth = (window[3] * _FINE_PART - np.abs(mesh.vertices - window[:3]).max(axis=1)) / _SOFT_RIM
    return without_specks(mesh, np.clip(depth, 0, 1), _HEAD_STEPS, _SPECKS)


def _surface(
    field: HeldField,
    person: PersonImage,
    options: HeldOptions,
    normals: NormalNetwork | None,
    own: OwnHands,
) -> tuple[Mesh, dict[str, Any]]:
    """Return the surface, and how many points were asked, of how many pieces it was, what it left out."""
    bounds = canonical_bounds()
    depth = field.inputs.prior.mesh.bounds[:, 2]
    bounds[:, 2] = depth[0] - _DEPTH_MARGIN, depth[1] + _DEPTH_MARGIN
    window = field.inputs.head_window.astype(np.float64)
    head = np.stack([window[:3] - 0.6 * window[3], window[:3] + 0.6 * window[3]])
    silhouette = person.mask >= 128
    points = 0

    def surface(resolution: int) -> Mesh:
        nonlocal points
        mesh, stats = extract_surface_with_stats(
            field,
            bounds,
            SurfaceOptions(
                resolution=resolution,
                max_chunk=4 * CHUNK,
                memory_budget_bytes=options.memory_budget_bytes,
            ),
            Seeds(silhouette, Camera(), (head,)),
        )
        points += stats.points
        return mesh

    resolution, numbers = options.resolution or _RESOLUTION, dict[str, Any]()
    if field.outline is not None:

        def draft() -> Mesh:
            return own.joined(keep_body(surface(min(_DRAFT, resolution)), silhouette, Camera()).mesh)

        first = draft()
        filling = Filling(first, field.outline, field.inputs.prior, own)
        numbers["missing_share"] = round(filling.missing, 4)
        field.filling = filling if filling.needed else None
        if normals is not None:
            field.front = DetailedFront(
                draft() if filling.needed else first,
                *photo_normals(normals, person.rgb, person.mask),
                field.inputs.prior,
                legs_joined=field.legs_joined,
            )
    mesh = surface(resolution)
    body = keep_body(mesh, silhouette, Camera())
    kept = mesh if options.raw else body.mesh
    if not options.raw:
        guessed = np.maximum(field.filled(kept.vertices), 1 - ramp(kept.vertex_normals()[:, 2], _SEEN))
        rings = round(_SOFT * resolution / (2 * Camera().half_width_world))
        kept = taubin_smoothed(kept, guessed, _GUESSED_STEPS, rings)
    return kept, {
        "field_points": points,
        "pieces": body.pieces,
        "other_bodies": body.other_bodies,
        **numbers,
    }
