"""Meshes of a few items as the shape network in training sees them (``--gen-test-mesh``, ``--gen-train-mesh``)."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.data.dataset import collate
from jiff.data.labels import BOX_MAX_WORLD, BOX_MIN_WORLD
from jiff.errors import ReconstructionError
from jiff.geometry.isosurface import SurfaceOptions, extract_surface
from jiff.geometry.mesh_io import save_mesh
from jiff.models.shape import ShapeNetwork
from jiff.training.validation import spread_items

if TYPE_CHECKING:
    from jiff.data.dataset import TrainingSet
    from jiff.progress import Progress


@torch.no_grad()
def write_meshes(
    network: ShapeNetwork,
    items: TrainingSet,
    count: int,
    resolution: int,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> list[Path]:
    """Extract the fused body of ``count`` spread items as ``folder/<subject>_<view>.obj`` and return the paths.

    A network that has no surface yet (early in training) is a warning, not an error.

    Args:
        network: left in the mode it came in.
        items: from ``TrainingSet(train=False)``.
        count: items at most.
        resolution: cells along the published box of 256 world units.
        folder: where to write.
        device: where the network is.
        progress: receives the warnings.
    """
    training = network.training
    network.eval()
    written = []
    for index in spread_items(count, len(items)):
        batch = collate([items[(0, index)]]).to(device)
        features = network.encode(batch.images, batch.face)

        def field(points_world: Tensor, features=features, batch=batch) -> Tensor:  # type: ignore[no-untyped-def]
            answer = network.query(features, points_world[None].to(device), batch.calibs)
            return answer.fused()[0].float().cpu()

        try:
            bounds = np.stack([BOX_MIN_WORLD, BOX_MAX_WORLD])
            mesh = extract_surface(field, bounds, SurfaceOptions(resolution=resolution))
        except ReconstructionError as error:
            progress.warn(f"{batch.subjects[0]} {batch.views[0]}: no preview mesh yet ({error})")
            continue
        path = folder / f"{batch.subjects[0]}_{batch.views[0]}.obj"
        save_mesh(mesh, path)
        written.append(path)
    network.train(training)
    return written
