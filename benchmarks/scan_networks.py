"""Networks of the published size, made so that they reconstruct a given scan: every layer runs, no training is needed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import torch
from torch import Tensor

from benchmarks.bench_surface import craft_body, craft_joint, feature_map
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import save_image
from jiff.geometry.mesh import Mesh
from jiff.geometry.raycast import RayScene
from jiff.inference.networks import Networks
from jiff.models.checkpoint import save_network
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.face_input import FaceInput
from jiff.models.presets import color_preset, shape_preset
from jiff.models.shape import ShapeFeatures, ShapeNetwork
from jiff.render.gbuffer import render_gbuffer
from jiff.render.preview import render_preview

STAGES = ("shape", "color_coarse", "color_fine")
_STEEPNESS = 0.5
_FAR = 400.0


def depth_maps(mesh: Mesh, size: int) -> tuple[Tensor, Tensor]:
    """Return [size, size] half the thickness of a frontal scan (negative beside it, at least -8) and its middle's depth."""
    camera = Camera(size=512)
    scene = RayScene(mesh.vertices, mesh.faces)
    ends = np.linspace(-1, 1, size)
    x, y = np.meshgrid(ends, ends)
    front = camera.ndc_to_world(np.stack([x, y, np.zeros_like(x)], axis=-1).reshape(-1, 3))
    hits, back_hits = [
        scene.intersect(front + (0, 0, sign * _FAR), np.array([0.0, 0.0, -sign])) for sign in (1.0, -1.0)
    ]
    seen = hits.hit & back_hits.hit
    near, far = _FAR - hits.distance, back_hits.distance - _FAR
    half = np.where(seen, (near - far) / 2, 0).reshape(size, size)
    outside = cv2.distanceTransform((~seen).astype(np.uint8).reshape(size, size), cv2.DIST_L2, 5)
    half -= np.minimum(outside * 204.8 / size, 8.0)
    middle = np.where(seen, (near + far) / 2, 0).reshape(size, size).astype(np.float32)
    return torch.from_numpy(half.astype(np.float32)), torch.from_numpy(cv2.blur(middle, (3, 3)))


class ScanShapeNetwork(ShapeNetwork):
    """The shape network; after its encoder has run, the map that describes the scan takes the place of its answer."""

    scan_map: Tensor

    def encode(self, images: Tensor, face: FaceInput | None) -> ShapeFeatures:
        """See ``ShapeNetwork.encode``."""
        return replace(super().encode(images, face), images=[self.scan_map])


def write_networks(folder: Path) -> None:
    """Write the three networks of the published size to a run's folder."""
    torch.manual_seed(0)
    shape = ShapeNetwork(shape_preset("paper"))
    craft_body(shape, _STEEPNESS)
    craft_joint(shape, _STEEPNESS)
    colors = [ColorCoarseNetwork(color_preset("paper")), ColorFineNetwork(color_preset("paper"))]
    for stage, network in zip(STAGES, (shape, *colors)):
        if network is not shape:
            lively(network)
        save_network(folder / stage / "best.safetensors", network)


def lively(network: torch.nn.Module) -> None:
    """Scale the MLPs of a fresh colour network so that its colours vary over the body."""
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if "conv" in name and "filter" not in name and parameter.ndim == 3:
                parameter.normal_(0, (2.0 / parameter.shape[1]) ** 0.5)


def with_scan(networks: Networks, mesh: Mesh) -> Networks:
    """Return loaded networks that reconstruct the scan."""
    shape = networks.shape
    shape.__class__ = ScanShapeNetwork
    shape.scan_map = feature_map(shape, *depth_maps(mesh, 128)).to(networks.device)
    return networks


def write_photos(scan: Mesh, folder: Path, names: list[str]) -> None:
    """Write a scan's frontal picture of 512 px under several names, with masks."""
    camera = Camera(size=512)
    rgb = render_preview(scan, camera, background=(0.5, 0.5, 0.5), samples=8)
    mask = render_gbuffer(scan, camera, 1).mask()
    for name in names:
        save_image(folder / f"{name}.png", rgb)
        save_image(folder / f"{name}_mask.png", mask)
