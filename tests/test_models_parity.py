"""Every recorded answer of the published networks (see ``published_answers.py``)."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import numpy as np
import published_answers
import pytest
import reference_adapter as adapter


def _shapes(listed: np.ndarray) -> dict[str, tuple[int, ...]]:
    pairs = (str(line).split(" ") for line in listed)
    return {key: tuple(int(word) for word in shape.split("x") if word) for key, shape in pairs}


@pytest.fixture(scope="module")
def reference() -> SimpleNamespace:
    """Inputs, recorded arrays, and the state dicts they were computed with."""
    with np.load(published_answers.FILE) as arrays:
        answers = {key: arrays[key] for key in arrays.files}
    shapes = {kind: _shapes(answers.pop(f"keys_{kind}")) for kind in published_answers.KINDS}
    weights = {kind: published_answers.state_of(found) for kind, found in shapes.items()}
    return SimpleNamespace(weights=weights, shapes=shapes, **published_answers.inputs(), **answers)


SHAPE, COLOR = 2e-5, 1e-4
"""Of the largest value. Reached: 8e-6 for occupancy, features and grids, 3.4e-5 for colours, whose networks are deeper
(AVX2, AVX-512, 1 and 2 threads)."""


def agree(answer: Any, expected: Any, tolerance: float = SHAPE) -> None:
    """Equal to what float32 leaves when sums are taken in another order."""
    assert np.shape(answer) == np.shape(expected)
    np.testing.assert_allclose(answer, expected, rtol=0, atol=tolerance * max(1.0, np.abs(expected).max()))


def test_keys_and_shapes_are_exactly_the_published_ones(reference: SimpleNamespace) -> None:
    builders = {
        "shape": adapter.shape_network,
        "color_coarse": adapter.coarse_network,
        "color_fine": adapter.fine_network,
    }
    for kind, build in builders.items():
        ours = {key: tuple(value.shape) for key, value in build(reference.weights[kind]).state_dict().items()}
        assert ours == reference.shapes[kind]


def test_image_features(reference: SimpleNamespace) -> None:
    features = adapter.image_features(reference.weights["shape"], reference.image)
    assert len(features) == 4
    for index, feature in enumerate(features):
        agree(feature, getattr(reference, f"shape_feat{index}"))
    agree(
        adapter.coarse_features(reference.weights["color_coarse"], reference.image), reference.coarse_feat_own
    )
    agree(adapter.fine_features(reference.weights["color_fine"], reference.image_hi), reference.fine_feat)


def test_face_grids(reference: SimpleNamespace) -> None:
    z, y, x = reference.grid_index_zyx.T
    grid = adapter.face_grid(reference.weights["shape"], reference.face_vertices_unit)
    assert grid.shape == (1, 128, 64, 64, 64)
    agree(grid[0][:, z, y, x], reference.shape_grid_at)
    agree([grid.mean(), grid.std()], reference.shape_grid_mean_std)
    fine = adapter.fine_face_grid(
        reference.weights["color_fine"], reference.face_vertices_unit, reference.face_colors
    )
    agree(fine[0][:, z, y, x], reference.fine_grid_at)


@pytest.mark.parametrize("view", [0, 30])
def test_shape_training(reference: SimpleNamespace, view: int) -> None:
    answer = adapter.shape_query(
        reference.weights["shape"],
        reference.image,
        reference.face_vertices,
        reference.face_region,
        reference.calib,
        reference.points,
        view_degrees=view,
        training=True,
        labels=reference.labels,
    )
    for name in ("body", "face", "loss"):
        agree(answer[name], getattr(reference, f"shape_train_{name}_v{view}"))


def test_shape_evaluation(reference: SimpleNamespace) -> None:
    answer = adapter.shape_query(
        reference.weights["shape"],
        reference.image,
        reference.face_vertices,
        reference.face_region,
        reference.calib,
        reference.points,
        face_sdf=reference.face_sdf,
    )
    for name in ("body", "face", "fused"):
        agree(answer[name], getattr(reference, f"shape_eval_{name}"))


@pytest.mark.parametrize("training", [False, True])
def test_color(reference: SimpleNamespace, training: bool) -> None:
    answer = adapter.color_query(
        reference.weights["shape"],
        reference.weights["color_coarse"],
        reference.weights["color_fine"],
        reference.image,
        reference.image_hi,
        reference.face_vertices,
        reference.face_colors,
        reference.face_region,
        reference.calib,
        reference.points,
        training=training,
        labels=reference.rgb,
    )
    agree(answer["coarse_rgb"], reference.coarse_rgb)
    agree(answer["phi"], reference.coarse_phi)
    agree(answer["fine_rgb"], reference.fine_eval_rgb, COLOR)
    if training:
        agree(answer["fine_body"], reference.fine_train_body, COLOR)
        agree(answer["fine_face"], reference.fine_train_face, COLOR)
        agree(answer["loss"], reference.fine_train_loss, COLOR)
    else:
        assert "fine_face" not in answer
