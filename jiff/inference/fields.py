"""The networks as functions of world points: occupancy (fused with the face) and colour."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.base.errors import UsageError
from jiff.base.threads import ThreadGovernor
from jiff.geometry.camera import Camera
from jiff.inference.views import MultiViewQuery, View, first_view
from jiff.models.color_query import ColorQuery
from jiff.models.face_input import FaceInput
from jiff.models.shape_query import ShapeQuery
from jiff.ops.mesh_distance import MeshDistanceQuery

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.inference.networks import Networks
    from jiff.models.color_coarse import ColorCoarseFeatures
    from jiff.models.color_fine import ColorFineFeatures
    from jiff.models.shape import ShapeFeatures, ShapeNetwork
    from jiff.photo.test_folder import PersonImage

_FLOAT_BYTES = 4
_CPU_CHUNK, _CPU_CHUNK_EXACT = 8192, 4096
"""So many points' activations stay in a processor's cache, as drafts and with the last level's float32 parts."""
_GPU_CHUNK = 131_072
_COLOR_CHUNK = 4096
_WIDE = 512
"""Narrower layers gain nothing from half precision and lose accuracy."""

_PRECISIONS = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def choose_dtype(precision: str, device: torch.device, width: int) -> torch.dtype:
    """Return the type of the hidden products: the named one, or for "auto" a half one where the device gains by it.

    Args:
        precision: "auto", "float32", "bfloat16" or "float16".
        device: where the network is.
        width: of the widest layer.

    Raises:
        UsageError: an unknown name.
    """
    if precision in _PRECISIONS:
        return _PRECISIONS[precision]
    if precision != "auto":
        raise UsageError(f"--precision {precision}: choose auto, {', '.join(_PRECISIONS)}.")
    if width < _WIDE:
        return torch.float32
    if device.type == "cuda":
        return torch.float16
    supported = getattr(torch.cpu, "_is_avx512_bf16_supported", None)
    gains = device.type == "cpu" and supported is not None and bool(supported())
    return torch.bfloat16 if gains else torch.float32


@dataclass(frozen=True)
class FacePrior:
    """The aligned face model of one photo, in the camera's world frame.

    Attributes:
        mesh: with vertex colours in [0, 1].
        box_world: xmin, xmax, ymin, ymax.
    """

    mesh: Mesh
    box_world: tuple[float, float, float, float]

    def network_input(self, device: torch.device) -> FaceInput:
        """Return the prior as a batch of one."""
        vertices = torch.from_numpy(self.mesh.vertices.astype(np.float32))
        colors = np.full_like(self.mesh.vertices, 0.5) if self.mesh.colors is None else self.mesh.colors
        return FaceInput(
            [vertices],
            torch.tensor([self.box_world], dtype=torch.float32),
            torch.zeros(1),
            [torch.from_numpy(colors.astype(np.float32))],
        ).to(device)


class OccupancyField:
    """Occupancy at world points: the body's, blended with the face's near the face model.

    Attributes:
        bytes_per_point: rough memory of one point while the MLPs run.
        fixed_bytes: memory of what is kept from call to call.
        dtype: of ``draft``, and of the products with differences between neighbouring points.
        best_chunk: points per call that suit the device.
        exact_chunk: points at a time within a call of the field itself.
    """

    def __init__(
        self,
        network: ShapeNetwork,
        features: ShapeFeatures,
        calib: Tensor,
        face_mesh: Mesh | None = None,
        precision: str = "auto",
        memory_budget_bytes: float = float("inf"),
    ) -> None:
        """Prepare the evaluation, with products shared by all points of a pixel.

        Args:
            network: in evaluation mode.
            features: of one person; with the encoded face when ``face_mesh`` is given.
            calib: [4, 4], world to NDC, or [V, 4, 4] of all views.
            face_mesh: whose distance weighs the face prediction.
            precision: what ``dtype`` is, see ``choose_dtype``; several views are always evaluated in float32.
            memory_budget_bytes: of which such products may take a half; else they are made anew in each call.
        """
        self._governor = ThreadGovernor(chosen=calib.device.type != "cpu")
        distance = None if face_mesh is None else _face_distance(face_mesh, calib.device)
        self.device = calib.device
        calib = calib.reshape(-1, 4, 4)
        channels = network.config.mlp_channels
        self.dtype = choose_dtype(precision, calib.device, max(channels))
        self.query: Callable[[Tensor], Tensor]
        self.fixed_bytes = 0
        if features.views > 1:
            self.dtype = torch.float32
            self.query = MultiViewQuery(network, features, calib, distance)
        else:
            half = None if self.dtype == torch.float32 else self.dtype
            self.query = ShapeQuery(
                network,
                features,
                calib[0],
                face_distance=distance,
                difference_dtype=half,
                max_kept_bytes=memory_budget_bytes / 4,
            )
            self.fixed_bytes = self.query.fixed_bytes
        self.draft_query = self.query
        if self.dtype != torch.float32:
            self.draft_query = ShapeQuery(
                network,
                features,
                calib[0],
                dtype=self.dtype,
                face_distance=distance,
                max_kept_bytes=memory_budget_bytes / 4,
            )
            self.fixed_bytes += self.draft_query.fixed_bytes
        branches = features.views * (1 if face_mesh is None else 3)
        self.bytes_per_point = _FLOAT_BYTES * branches * (4 * channels[0] + 2 * sum(channels[1:]))
        cpu = calib.device.type == "cpu"
        self.best_chunk = _CPU_CHUNK if cpu else _GPU_CHUNK
        self.exact_chunk = _CPU_CHUNK_EXACT if cpu else _GPU_CHUNK

    def __call__(self, points_world: Tensor) -> Tensor:
        """Return [N] occupancies at [N, 3] points, fastest when points that follow each other are near each other."""
        self._governor.tick()
        parts = points_world.to(self.device).split(self.exact_chunk)
        return torch.cat([self.query(part) for part in parts])

    def draft(self, points_world: Tensor) -> Tensor:
        """Return the occupancies in ``dtype``, for the levels that only steer the refinement."""
        self._governor.tick()
        return self.draft_query(points_world.to(self.device))


def _face_distance(mesh: Mesh, device: torch.device) -> Callable[[Tensor], Tensor]:
    """Return the distance to the surface of a face model as a function of points [P, 3]."""
    vertices = torch.from_numpy(mesh.vertices.astype(np.float32)).to(device)
    faces = torch.from_numpy(np.ascontiguousarray(mesh.faces)).to(device)
    query = MeshDistanceQuery(vertices, faces)
    return lambda points: query(points).distance


class ColorField:
    """Colour at surface points: fine with the face branch where those networks are there, else coarse."""

    def __init__(
        self,
        networks: Networks,
        coarse: ColorCoarseFeatures,
        fine: ColorFineFeatures | None,
        calib: Tensor,
        max_chunk: int = 16384,
    ) -> None:
        """Args: networks: with a coarse network; coarse, fine: features of one item; calib: [1, V, 4, 4]."""
        if networks.color_coarse is None:
            raise ValueError("networks must hold a coarse colour network; got none.")
        self.coarse_network, self.fine_network = networks.color_coarse, networks.color_fine
        self.coarse, self.fine, self.calib, self.max_chunk = coarse, fine, calib, max_chunk
        self._query: ColorQuery | None = None

    def __call__(self, points_world: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return [N, 3] RGB in [0, 1] at [N, 3] points."""
        result = np.empty((len(points_world), 3))
        if ColorQuery.suits(self.coarse, len(points_world)):
            points = torch.from_numpy(np.asarray(points_world, dtype=np.float32)).to(self.calib.device)
            result[:] = self._shared_query()(points).cpu().numpy() * 0.5 + 0.5
            return np.clip(result, 0.0, 1.0)
        with torch.inference_mode():
            for low in range(0, len(points_world), self.max_chunk):
                part = np.asarray(points_world[low : low + self.max_chunk], dtype=np.float32)
                points = torch.from_numpy(part).to(self.calib.device)[None]
                coarse = self.coarse_network.query(self.coarse, points, self.calib)
                rgb = coarse.rgb
                if self.fine_network is not None and self.fine is not None:
                    rgb = self.fine_network.query(self.fine, points, self.calib, coarse.phi).rgb
                result[low : low + len(part)] = rgb[0].double().cpu().numpy() * 0.5 + 0.5
        return np.clip(result, 0.0, 1.0)

    def _shared_query(self) -> ColorQuery:
        """Return the evaluation by products, made when first needed: it takes memory, and does not suit all features."""
        if self._query is None:
            dtype = choose_dtype("auto", self.calib.device, max(self.coarse_network.config.mlp_dim_color))
            self._query = ColorQuery(
                *(self.coarse_network, self.coarse, self.fine_network, self.fine),
                *(self.calib[0, 0], dtype, _COLOR_CHUNK),
            )
        return self._query


@dataclass(frozen=True)
class PersonFields:
    """Everything the networks say about one photo.

    Attributes:
        occupancy: of the body, fused with the face when there is a prior.
        color: None without colour networks.
        image_features: of the shape network's image encoder, without the face.
    """

    occupancy: OccupancyField
    color: ColorField | None
    image_features: ShapeFeatures


def encode_person(
    networks: Networks,
    person: PersonImage,
    prior: FacePrior | None = None,
    camera: Camera | None = None,
    precision: str = "auto",
    image_features: ShapeFeatures | None = None,
    others: Sequence[View] = (),
    memory_budget_bytes: float = float("inf"),
) -> PersonFields:
    """Run the image (and face) encoders once.

    Colour networks that were trained with one view see the first one only.

    Args:
        networks: on their device.
        person: framed image and mask.
        prior: the face model; None gives plain PIFu with coarse colour.
        camera: of the image; canonical when not given.
        precision: of the occupancy, see ``OccupancyField``.
        image_features: of an earlier call for the same person; the image is not encoded again then.
        others: further views, for networks that were trained with several.
        memory_budget_bytes: see ``OccupancyField``.
    """
    device = networks.device
    camera = camera or Camera()
    views = [View(person, camera), *others]
    calib = torch.from_numpy(np.stack([view.camera.calib.astype(np.float32) for view in views])).to(device)
    face = prior.network_input(device) if prior is not None else None
    shape = networks.shape

    def images(size: int, count: int) -> Tensor:
        pictures = [view.person.network_input(size) for view in views[:count]]
        return torch.from_numpy(np.stack(pictures)).to(device)[None]

    with torch.inference_mode():
        plain = image_features or shape.encode(images(shape.config.load_size, len(views)), None)
        features = replace(plain, face=shape.encode_face(face)) if face is not None else plain
        face_mesh = prior.mesh if prior is not None and features.face is not None else None
        occupancy = OccupancyField(shape, features, calib, face_mesh, precision, memory_budget_bytes)
        if networks.color_coarse is None:
            return PersonFields(occupancy, None, plain)
        colors = [network for network in (networks.color_coarse, networks.color_fine) if network is not None]
        count = len(views) if all(network.config.num_views > 1 for network in colors) else 1
        seen = features if count == len(views) else first_view(plain)
        coarse = networks.color_coarse.encode(images(networks.color_coarse.config.load_size, count), seen)
        fine = None
        if networks.color_fine is not None and prior is not None:
            fine = networks.color_fine.encode(images(networks.color_fine.config.load_size_fine, count), face)
    return PersonFields(occupancy, ColorField(networks, coarse, fine, calib[None, :count]), plain)
