"""Every recorded answer of the published networks."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import reference_adapter as adapter


@pytest.fixture(scope="module")
def reference(shared: Path) -> SimpleNamespace:
    """Recorded arrays, and the state dicts they were computed with."""
    folder = shared / "reference"
    spec = importlib.util.spec_from_file_location(
        "deterministic_weights", folder / "deterministic_weights.py"
    )
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    manifest = json.loads((folder / "state_dict_manifest.json").read_text())
    weights = {kind: module.deterministic_state_dict(keys, seed=0) for kind, keys in manifest.items()}
    with np.load(folder / "networks_seed0_64.npz") as arrays:
        return SimpleNamespace(
            weights=weights, manifest=manifest, **{key: arrays[key] for key in arrays.files}
        )


def agree(answer: Any, expected: Any) -> None:
    assert np.shape(answer) == np.shape(expected)
    np.testing.assert_allclose(answer, expected, rtol=1e-3, atol=1e-4)


def test_manifest_keys_are_exactly_ours(reference: SimpleNamespace) -> None:
    builders = {
        "shape": adapter.shape_network,
        "color_coarse": adapter.coarse_network,
        "color_fine": adapter.fine_network,
    }
    for kind, build in builders.items():
        ours = {key: list(value.shape) for key, value in build(reference.weights[kind]).state_dict().items()}
        theirs = {
            key: shape
            for key, shape in reference.manifest[kind].items()
            if not key.startswith("smpl_filter.")
        }
        assert ours == theirs


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
    agree(answer["fine_rgb"], reference.fine_eval_rgb)
    if training:
        agree(answer["fine_body"], reference.fine_train_body)
        agree(answer["fine_face"], reference.fine_train_face)
        agree(answer["loss"], reference.fine_train_loss)
    else:
        assert "fine_face" not in answer
