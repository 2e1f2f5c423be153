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
from jiff.geometry.simplify import decimate, is_watertight
from jiff.inference.coloring import texture_mesh
from jiff.inference.outline import Outline
from jiff.inference.person import canonical_bounds
from jiff.models.person.network import PersonPictures, network_picture
from jiff.options.mesh_output import MeshOutput
from jiff.photo.view_inputs import ViewInputs, mask_distance, view_inputs

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from torch import Tensor

    from jiff.body.placed import PlacedBody
    from jiff.geometry.mesh import Mesh
    from jiff.models.person.network import PersonFeatures, PersonNetwork
    from jiff.photo.test_folder import PersonImage

_RESOLUTION = 256
_CHUNK = 16_384
_DEPTH_MARGIN = 25.0
"""World units that clothes may stand off the body in depth."""
_SPAN = 40.0


class HeldField:
    """The surface as a field that grows inward: one half at the surface, linear in the distance to it.

    Attributes:
        bytes_per_point: rough memory of one point.
        fixed_bytes: of what is kept from call to call.
    """

    fixed_bytes = 0

    def __init__(
        self, network: PersonNetwork, inputs: ViewInputs, outline: Outline | None, device: torch.device
    ) -> None:
        """Encode the pictures.

        Args:
            network: in evaluation mode.
            inputs: photo and body.
            outline: of the person in the photo, by which the surface is bounded; None leaves it free.
            device: where the network is.
        """
        self.network, self.inputs, self.outline, self.device = network, inputs, outline, device
        self.bytes_per_point = 4 * 4 * sum(network.config.hidden) + 2000
        with torch.inference_mode():
            self.features: PersonFeatures = network.encode(pictures_of(inputs, device))

    def distance(self, points_world: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return [N] signed distances to the surface, positive inside, world units."""
        prior = self.inputs.prior.at(points_world).stacked()
        with torch.inference_mode():
            answer = self.network.query(
                self.features,
                torch.from_numpy(points_world).to(self.device)[None],
                torch.from_numpy(prior).to(self.device)[None],
            )
        distance = answer.distance[0].float().cpu().numpy()
        return distance if self.outline is None else np.minimum(distance, self.outline.distance(points_world))

    def __call__(self, points_world: Tensor) -> Tensor:
        """Return [N] values at [N, 3] points."""
        points = np.ascontiguousarray(points_world.cpu().numpy(), dtype=np.float32)
        parts = [self.distance(points[low : low + _CHUNK]) for low in range(0, len(points), _CHUNK)]
        distance = np.concatenate(parts) if parts else np.zeros(0, np.float32)
        return torch.from_numpy(np.clip(0.5 + distance / _SPAN, 0.0, 1.0).astype(np.float32))

    def color(self, points_world: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return [N, 3] RGB in [0, 1] of surface points."""
        points = np.ascontiguousarray(points_world, dtype=np.float32)
        result = np.zeros((len(points), 3))
        for low in range(0, len(points), _CHUNK):
            part = points[low : low + _CHUNK]
            prior = self.inputs.prior.at(part).stacked()
            with torch.inference_mode():
                answer = self.network.query(
                    self.features,
                    torch.from_numpy(part).to(self.device)[None],
                    torch.from_numpy(prior).to(self.device)[None],
                    colors=True,
                )
            if answer.rgb is not None:
                result[low : low + len(part)] = answer.rgb[0].double().cpu().numpy()
        return np.clip(result, 0.0, 1.0)


def pictures_of(inputs: ViewInputs, device: torch.device) -> PersonPictures:
    """Return what a network looks at, as a batch of one."""

    def picture(rgb: NDArray[np.uint8], mask: NDArray[np.uint8], maps: NDArray[np.uint8]) -> Tensor:
        channels = (rgb, mask[..., None], mask_distance(mask)[..., None], maps)
        first, second, border, third = (
            torch.from_numpy(np.ascontiguousarray(part.transpose(2, 0, 1)))[None].to(device)
            for part in channels
        )
        return network_picture(first.float() / 255, second.float() / 255, border, third)

    return PersonPictures(
        picture(inputs.rgb, inputs.mask, inputs.maps),
        picture(inputs.head_rgb, inputs.head_mask, inputs.head_maps),
        torch.from_numpy(inputs.head_window)[None].to(device),
    )


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
) -> HeldPerson:
    """Reconstruct one person.

    Args:
        network: in evaluation mode, on ``device``.
        person: image and mask, framed (canonical camera).
        placed: the body fitted to it.
        options: resolution and so on.
        device: the processor without it.

    Raises:
        ReconstructionError: no surface, no body in the silhouette, or not enough memory.
    """
    options, device = options or HeldOptions(), device or torch.device("cpu")
    begin = time.perf_counter()
    try:
        inputs = view_inputs(person.rgb, person.mask, placed)
        outline = None if options.raw else Outline(person.mask)
        field = HeldField(network, inputs, outline, device)
        encoded = time.perf_counter()
        mesh, stats, pieces = _surface(field, person, options)
        extracted = time.perf_counter()
        output, extra = options.output, dict[str, Any]()
        if output.triangles is not None and len(mesh.faces) > output.triangles:
            extra["faces_extracted"] = len(mesh.faces)
            mesh = decimate(mesh, output.triangles)
        colored = time.perf_counter()
        if output.texture == "uv":
            photo = (person, Camera()) if output.project_photo else None
            mesh, baked = texture_mesh(mesh, field.color, output.texture_size, photo)
            extra.update(baked)
        else:
            mesh = replace(mesh, colors=field.color(mesh.vertices))
    except MeshError as error:
        raise ReconstructionError(str(error)) from error
    except (MemoryError, torch.OutOfMemoryError) as error:
        raise ReconstructionError(
            f"Memory ran out ({error}); lower --resolution or --memory-budget."
        ) from error
    numbers = {
        "resolution": options.resolution or _RESOLUTION,
        "precision": "float32",
        "field_points": stats,
        "pieces": pieces,
        "other_bodies": 0,
        "views": 1,
        "vertices": len(mesh.vertices),
        "faces": len(mesh.faces),
        "watertight": is_watertight(mesh),
        **extra,
        "encode_seconds": round(encoded - begin, 3),
        "surface_seconds": round(extracted - encoded, 3),
        "color_seconds": round(time.perf_counter() - colored, 3),
    }
    return HeldPerson(mesh, [], numbers)


def _surface(field: HeldField, person: PersonImage, options: HeldOptions) -> tuple[Mesh, int, int]:
    """Return the surface, how many points were asked, and of how many pieces it was."""
    bounds = canonical_bounds()
    depth = field.inputs.prior.mesh.bounds[:, 2]
    bounds[:, 2] = depth[0] - _DEPTH_MARGIN, depth[1] + _DEPTH_MARGIN
    window = field.inputs.head_window.astype(np.float64)
    head = np.stack([window[:3] - 0.6 * window[3], window[:3] + 0.6 * window[3]])
    silhouette = person.mask >= 128
    mesh, stats = extract_surface_with_stats(
        field,
        bounds,
        SurfaceOptions(
            resolution=options.resolution or _RESOLUTION,
            max_chunk=4 * _CHUNK,
            memory_budget_bytes=options.memory_budget_bytes,
        ),
        Seeds(silhouette, Camera(), (head,)),
    )
    body = keep_body(mesh, silhouette, Camera())
    return (mesh if options.raw else body.mesh), stats.points, body.pieces
