"""One framed photo to one coloured mesh."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import MeshError, ReconstructionError
from jiff.geometry.camera import CANONICAL_CENTER_WORLD, CANONICAL_HALF_WIDTH, Camera
from jiff.geometry.components import Body, components, keep_body
from jiff.geometry.isosurface import Seeds, SurfaceOptions, extract_surface_with_stats
from jiff.geometry.simplify import decimate, is_watertight
from jiff.inference.coloring import texture_mesh
from jiff.inference.fields import encode_person
from jiff.options.mesh_output import MeshOutput

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.inference.fields import FacePrior, PersonFields
    from jiff.inference.networks import Networks
    from jiff.inference.views import View
    from jiff.models.shape import ShapeFeatures
    from jiff.photo.test_folder import PersonImage

HALF_DEPTH_WORLD = 80.0
"""Nobody reaches further forward or back than an arm's length and a bit; deeper samples would be spent on air."""

_DEMO_LOAD_SIZE = 256
_DEMO_RESOLUTION = 256
_FULL_RESOLUTION = 512


@dataclass(frozen=True)
class PersonOptions:
    """How to reconstruct.

    Attributes:
        resolution: cells over the 204.8 world units of the view; None chooses by the network's image size.
        raw: keep floating pieces instead of the body alone.
        memory_budget_bytes: what the networks' working memory may take.
        precision: of the occupancy, see ``jiff.inference.fields.OccupancyField``.
        output: triangles to keep, colours per vertex or as a texture.
    """

    resolution: int | None = None
    raw: bool = False
    memory_budget_bytes: int = 4 << 30
    precision: str = "auto"
    output: MeshOutput = MeshOutput()

    def resolution_for(self, load_size: int) -> int:
        """Return the resolution for a network of that image size."""
        if self.resolution is not None:
            return self.resolution
        return _DEMO_RESOLUTION if load_size <= _DEMO_LOAD_SIZE else _FULL_RESOLUTION


@dataclass(frozen=True)
class Reconstruction:
    """What came out.

    Attributes:
        mesh: world units in the camera's frame, y up, z towards the camera; vertex colours when networks give them.
        fields: the encoded photo, for textures.
        notes: things the user should know, one sentence each.
        numbers: points, seconds and pieces.
    """

    mesh: Mesh
    fields: PersonFields
    notes: list[str] = field(default_factory=list)
    numbers: dict[str, Any] = field(default_factory=dict)


def canonical_bounds() -> NDArray[np.float64]:
    """[2, 3] the box of the canonical view: 204.8 units wide and high, 160 deep."""
    half = np.array([CANONICAL_HALF_WIDTH, CANONICAL_HALF_WIDTH, HALF_DEPTH_WORLD])
    center = np.array(CANONICAL_CENTER_WORLD)
    return np.stack([center - half, center + half])


def reconstruct_person(
    networks: Networks,
    person: PersonImage,
    prior: FacePrior | None = None,
    options: PersonOptions | None = None,
    image_features: ShapeFeatures | None = None,
    others: Sequence[View] = (),
) -> Reconstruction:
    """Reconstruct one person.

    Args:
        networks: shape, and colours if wanted.
        person: image and mask, framed as in training (canonical camera).
        prior: the aligned face; None gives plain PIFu.
        options: resolution and so on.
        image_features: ``fields.image_features`` of an earlier reconstruction of the same image, to be used again.
        others: further views, for networks that were trained with several.

    Raises:
        ReconstructionError: no surface, no body in the silhouette, or not enough memory.
    """
    import torch

    options = options or PersonOptions()
    camera = Camera()
    try:
        begin = time.perf_counter()
        fields = encode_person(
            *(networks, person, prior, camera, options.precision, image_features, others),
            memory_budget_bytes=options.memory_budget_bytes,
        )
        encoded = time.perf_counter()
        silhouette = person.mask >= 128
        boxes = () if prior is None else (_face_box(prior),)
        resolution = options.resolution_for(networks.shape.config.load_size)
        surface_options = SurfaceOptions(
            resolution=resolution,
            max_chunk=fields.occupancy.best_chunk,
            memory_budget_bytes=options.memory_budget_bytes,
        )
        mesh, stats = extract_surface_with_stats(
            fields.occupancy, canonical_bounds(), surface_options, Seeds(silhouette, camera, boxes)
        )
        notes = []
        try:
            body = keep_body(mesh, silhouette, camera)
        except ReconstructionError:
            if not options.raw:
                raise
            body = Body(mesh, len(components(mesh)), 0)
            notes.append("No piece of the surface is a body in the silhouette; all were kept.")
        if body.other_bodies:
            kept = "kept" if options.raw else "dropped; --raw keeps them"
            notes.append(f"{body.other_bodies} further large pieces were {kept}.")
        if not options.raw:
            mesh = body.mesh
        extracted = time.perf_counter()
        output, extra = options.output, dict[str, Any]()
        if output.triangles is not None and len(mesh.faces) > output.triangles:
            extra["faces_extracted"] = len(mesh.faces)
            mesh = decimate(mesh, output.triangles)
            extra["decimate_seconds"] = round(time.perf_counter() - extracted, 3)
        colored = time.perf_counter()
        if fields.color is None and output.texture == "uv":
            notes.append("There is no colour network to bake a texture from; the mesh has no texture.")
        elif fields.color is not None and output.texture == "uv":
            photo = (person, camera) if output.project_photo else None
            mesh, baked = texture_mesh(mesh, fields.color, output.texture_size, photo)
            extra.update(baked)
        elif fields.color is not None:
            mesh = replace(mesh, colors=fields.color(mesh.vertices))
    except MeshError as error:
        raise ReconstructionError(str(error)) from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ReconstructionError(
            f"Memory ran out ({error}); lower --resolution or --memory-budget."
        ) from error
    numbers = {
        "resolution": resolution,
        "precision": str(fields.occupancy.dtype).removeprefix("torch."),
        "field_points": stats.points,
        "pieces": body.pieces,
        "other_bodies": body.other_bodies,
        "views": 1 + len(others),
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": is_watertight(mesh),
        **extra,
        "encode_seconds": round(encoded - begin, 3),
        "surface_seconds": round(extracted - encoded, 3),
        "color_seconds": round(time.perf_counter() - colored, 3),
    }
    return Reconstruction(mesh, fields, notes, numbers)


def _face_box(prior: FacePrior) -> NDArray[np.float64]:
    xmin, xmax, ymin, ymax = prior.box_world
    depth = prior.mesh.bounds[:, 2] + (-3.0, 3.0)
    return np.array([[xmin, ymin, depth[0]], [xmax, ymax, depth[1]]])
