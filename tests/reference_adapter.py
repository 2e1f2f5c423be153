"""The networks behind the plain functions that the reference answers were recorded with: NumPy in, NumPy out."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from jiff.models.checkpoint import fill_network, infer_config
from jiff.models.color_coarse import ColorCoarseNetwork
from jiff.models.color_fine import ColorFineNetwork
from jiff.models.face_input import FaceInput
from jiff.models.published import normalize_keys
from jiff.models.shape import ShapeNetwork
from jiff.models.unit_cube import rotate_y

Array = NDArray[Any]
StateDict = Mapping[str, Array]


def _network(sd: StateDict, kind: str) -> nn.Module:
    state = normalize_keys({key: torch.from_numpy(np.array(value)) for key, value in sd.items()})
    return fill_network(kind, infer_config(kind, kind, state), state)


def shape_network(sd: StateDict) -> ShapeNetwork:
    """Return the shape network filled with ``sd``, in evaluation mode."""
    network = _network(sd, "shape")
    assert isinstance(network, ShapeNetwork)
    return network


def coarse_network(sd: StateDict) -> ColorCoarseNetwork:
    """Return the coarse colour network filled with ``sd``, in evaluation mode."""
    network = _network(sd, "color_coarse")
    assert isinstance(network, ColorCoarseNetwork)
    return network


def fine_network(sd: StateDict) -> ColorFineNetwork:
    """Return the fine colour network filled with ``sd``, in evaluation mode."""
    network = _network(sd, "color_fine")
    assert isinstance(network, ColorFineNetwork)
    return network


def _tensor(array: Array) -> Tensor:
    return torch.from_numpy(np.array(array, dtype=np.float32))


def _rows(array: Array) -> Tensor:
    return _tensor(array).reshape(-1, np.shape(array)[-1])


def published_box(face_region: Array) -> Tensor:
    """Return the face box [1, 4] that the published formula makes of (top, bottom, left, right) in 512-px pixels."""
    top, bottom, left, right = np.asarray(face_region, np.float64).reshape(-1)[:4]
    values = [left / 2 - 128, right / 2 - 128, (1 - bottom / 256) * 90 + 100, (1 - top / 256) * 90 + 100]
    return torch.tensor([values], dtype=torch.float32)


def published_face(
    vertices: Array, region: Array, view_degrees: float, colors: Array | None = None
) -> FaceInput:
    """Return priors whose vertices are already turned to the view, as the published loader hands them over."""
    view = torch.tensor([float(view_degrees)])
    frontal = rotate_y(_rows(vertices), -view)
    return FaceInput([frontal], published_box(region), view, None if colors is None else [_rows(colors)])


def keep_running_statistics(network: nn.Module) -> None:
    """Put batch normalisation into evaluation mode within a network in training mode."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            module.eval()


def _channels_first(rows: Tensor) -> Array:
    return rows.transpose(-1, -2).numpy()


@torch.no_grad()
def image_features(sd: StateDict, image: Array) -> list[Array]:
    """Return the stack outputs of training mode, 4 arrays [1, 256, H/4, W/4]."""
    features, _ = shape_network(sd).train().image_filter(_tensor(image))
    return [feature.numpy() for feature in features]


@torch.no_grad()
def coarse_features(sd: StateDict, image: Array) -> Array:
    """Return the coarse colour encoder's feature, [1, 256, H/4, W/4]."""
    return coarse_network(sd).image_filter(_tensor(image)).numpy()


@torch.no_grad()
def fine_features(sd: StateDict, image: Array) -> Array:
    """Return the fine colour encoder's feature, [1, 256, H/4, W/4]."""
    return fine_network(sd).image_filter(_tensor(image)).numpy()


@torch.no_grad()
def face_grid(sd: StateDict, vertices_unit: Array) -> Array:
    """Return the face grid of unit-cube vertices [M, 3]: [1, 128, 64, 64, 64], index order z, y, x."""
    encoder = shape_network(sd).tdmm_filter
    assert encoder is not None
    vertices = _rows(vertices_unit)
    return encoder(vertices, torch.zeros(len(vertices), dtype=torch.int64), 1).dense().numpy()


@torch.no_grad()
def fine_face_grid(sd: StateDict, vertices_unit: Array, colors: Array) -> Array:
    """Return the fine colour network's face grid; farthest-point sampling starts at index 0."""
    encoder = fine_network(sd).tdmm_filter
    assert encoder is not None
    vertices = _rows(vertices_unit)
    return encoder(vertices, _rows(colors), [len(vertices)]).dense().numpy()


@torch.no_grad()
def shape_query(
    sd: StateDict,
    image: Array,
    face_vertices: Array,
    face_region: Array,
    calib: Array,
    points: Array,
    *,
    view_degrees: float = 0,
    training: bool = False,
    face_sdf: Array | None = None,
    labels: Array | None = None,
) -> dict[str, Array]:
    """Return "body" [S, 1, N], "face" [K, 1, F], "fused" [1, 1, N] given ``face_sdf``, "loss" given ``labels``."""
    network = shape_network(sd).train(training)
    features = network.encode(_tensor(image)[None], published_face(face_vertices, face_region, view_degrees))
    prediction = network.query(features, _rows(points)[None], _tensor(calib).reshape(1, 1, 4, 4))
    answer: dict[str, Array] = {
        "body": prediction.body.numpy(),
        "face": prediction.face_values[:, None].numpy(),
    }
    if face_sdf is not None:
        # The stored value is the distance over sqrt(3).
        distance = _tensor(face_sdf).reshape(1, -1) * 3.0**0.5
        answer["fused"] = prediction.fused(distance)[None].numpy()
    if labels is not None:
        answer["loss"] = network.loss(prediction, _tensor(labels).reshape(1, -1))[0].numpy()
    return answer


@torch.no_grad()
def color_query(
    sd_shape: StateDict,
    sd_coarse: StateDict,
    sd_fine: StateDict,
    image: Array,
    image_hi: Array,
    face_vertices: Array,
    face_colors: Array,
    face_region: Array,
    calib: Array,
    points: Array,
    *,
    training: bool = False,
    labels: Array | None = None,
) -> dict[str, Array]:
    """Return "coarse_rgb", "phi", "fine_rgb"; in training also "fine_body", "fine_face" and, given labels, "loss"."""
    shape, coarse, fine = (
        shape_network(sd_shape),
        coarse_network(sd_coarse),
        fine_network(sd_fine).train(training),
    )
    keep_running_statistics(fine)
    face = published_face(face_vertices, face_region, 0.0, face_colors)
    where = _rows(points)[None], _tensor(calib).reshape(1, 1, 4, 4)
    shape_features = shape.encode(_tensor(image)[None], None)
    first = coarse.query(coarse.encode(_tensor(image)[None], shape_features), *where)
    second = fine.query(fine.encode(_tensor(image_hi)[None], face), *where, first.phi)
    answer = {
        "coarse_rgb": _channels_first(first.rgb),
        "phi": _channels_first(first.phi),
        "fine_rgb": _channels_first(second.rgb),
    }
    if training:
        answer["fine_body"] = _channels_first(second.body)
        answer["fine_face"] = _channels_first(second.face_values)
        if labels is not None:
            target = _tensor(labels).reshape(1, 3, -1).transpose(1, 2)
            answer["loss"] = fine.loss(second, target)[0].numpy()
    return answer
