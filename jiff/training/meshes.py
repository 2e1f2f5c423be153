"""Meshes of a few items as the shape network in training sees them."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from jiff.base.errors import ReconstructionError
from jiff.data.labels import BOX_MAX_WORLD, BOX_MIN_WORLD
from jiff.data.sample import collate
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.isosurface import SurfaceOptions, extract_surface
from jiff.models.shape import ShapeNetwork
from jiff.models.shape_query import ShapeQuery
from jiff.training.validation import spread_items

if TYPE_CHECKING:
    from numpy.typing import ArrayLike

    from jiff.base.progress import Progress
    from jiff.data.dataset import TrainingSet
    from jiff.data.sample import Batch
    from jiff.geometry.mesh import Mesh


@torch.no_grad()
def predicted_mesh(
    network: ShapeNetwork,
    batch: Batch,
    bounds_world: ArrayLike,
    resolution: int,
    *,
    face: bool = True,
    coarse_resolution: int = 64,
) -> Mesh:
    """Return the surface that a shape network in evaluation mode predicts within a box.

    Args:
        network: in evaluation mode, where the batch is.
        batch: one item.
        bounds_world: [2, 3] corners of the box.
        resolution: cells along its longest side.
        face: False asks the body branch alone, everywhere.
        coarse_resolution: cells of the first, dense level; parts thinner than its cells may be missed.

    Raises:
        ReconstructionError: the network has no surface there (early in training).
    """
    device = batch.images.device
    features = network.encode(batch.images, batch.face if face else None)
    options = SurfaceOptions(resolution=resolution, coarse_resolution=coarse_resolution)

    query = ShapeQuery(network, features, batch.calibs[0, 0]) if features.views == 1 else None

    def field(points_world: Tensor) -> Tensor:
        if query is not None:
            return query(points_world.to(device)).float().cpu()
        answer = network.query(features, points_world[None].to(device), batch.calibs)
        return answer.fused()[0].float().cpu()

    return extract_surface(field, bounds_world, options)


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
    bounds = np.stack([BOX_MIN_WORLD, BOX_MAX_WORLD])
    for index in spread_items(count, len(items)):
        batch = collate([items[(0, index)]]).to(device)
        try:
            mesh = predicted_mesh(network, batch, bounds, resolution)
        except ReconstructionError as error:
            progress.warn(f"{batch.subjects[0]} {batch.views[0]}: no preview mesh yet ({error})")
            continue
        path = folder / f"{batch.subjects[0]}_{batch.views[0]}.obj"
        save_mesh(mesh, path)
        written.append(path)
    network.train(training)
    return written
