"""eval metrics over folders and processed sets: tables, means, people that are missing."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import trimesh

from jiff.base.errors import InputError
from jiff.base.progress import NullProgress
from jiff.data.layout import ProcessedSet
from jiff.geometry.io.mesh_io import save_mesh
from jiff.geometry.mesh import Mesh
from jiff.metrics.tables import summarise
from jiff.options.metrics import MetricsConfig
from jiff.pipelines.metrics import run_metrics

SMALL = {"samples": 2000, "face_samples": 2000, "volume_spacing_cm": 2.0, "jobs": 1}


def _ball(radius: float, center: tuple[float, float, float] = (0.0, 90.0, 0.0)) -> Mesh:
    sphere = trimesh.creation.icosphere(subdivisions=3, radius=radius)
    return Mesh(np.asarray(sphere.vertices) + center, np.asarray(sphere.faces, dtype=np.int64))


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    pred, gt = tmp_path / "pred", tmp_path / "gt"
    for name, radius in (("a", 41.0), ("b b", 43.0)):
        save_mesh(_ball(radius), pred / f"{name}.obj")
        save_mesh(_ball(40.0), gt / name / f"{name}.obj")
    return pred, gt


def test_folder_gives_tables(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pred, gt = folders
    progress = NullProgress()
    report = run_metrics(MetricsConfig(pred, gt, tmp_path / "out", **SMALL), progress)
    assert report.ok
    record = json.loads((tmp_path / "out" / "metrics.json").read_text())
    assert record["subjects"]["a"]["body"]["chamfer_cm"] == pytest.approx(1.0, abs=0.1)
    assert record["subjects"]["b b"]["body"]["p2s_cm"] == pytest.approx(3.0, abs=0.1)
    assert record["mean"]["body"]["chamfer_cm"] == pytest.approx(2.0, abs=0.1)
    assert "face" not in record["mean"]
    assert record["people"] == {"body": 2}
    with open(tmp_path / "out" / "metrics.csv", newline="") as handle:
        rows = list(csv.DictReader(handle))
    assert [row["person"] for row in rows] == ["a", "b b"]
    assert float(rows[0]["chamfer_cm"]) == pytest.approx(
        record["subjects"]["a"]["body"]["chamfer_cm"], rel=1e-5
    )
    text = (tmp_path / "out" / "metrics.md").read_text()
    assert "| **mean of 2** | body |" in text and "Alignment: none" in text
    assert r"\begin{tabular}{lrrrrrrrrrr}" in (tmp_path / "out" / "metrics.tex").read_text()
    assert progress.infos[0].startswith("body (2 people): Chamfer (cm) 1.99")


def test_repeated_runs_are_equal(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pred, gt = folders
    for out in ("one", "two"):
        run_metrics(MetricsConfig(pred, gt, tmp_path / out, **SMALL), NullProgress())
    assert (tmp_path / "one" / "metrics.csv").read_bytes() == (tmp_path / "two" / "metrics.csv").read_bytes()


def test_processed_set_brings_the_face_box(tmp_path: Path) -> None:
    pred = tmp_path / "pred"
    dataset = ProcessedSet(tmp_path / "data")
    save_mesh(_ball(41.0), pred / "a.obj")
    save_mesh(_ball(40.0), dataset.geometry("a"))
    (tmp_path / "data" / "RENDER" / "a").mkdir(parents=True)
    (tmp_path / "data" / "RENDER" / "a" / "0_0_00.jpg").touch()
    from jiff.data.param_io import write_param
    from jiff.face.box import FaceBox
    from jiff.geometry.camera import Camera

    write_param(dataset.param("a", "0_0_00"), {"sh": np.zeros((9, 3)), **Camera().to_param()})
    FaceBox(-12, 12, 78, 102, 30, 42).to_region_file(dataset.face_region("a"), Camera())
    run_metrics(MetricsConfig(pred, tmp_path / "data", tmp_path / "out", **SMALL), NullProgress())
    face = json.loads((tmp_path / "out" / "metrics.json").read_text())["mean"]["face"]
    assert face["p2s_cm"] == pytest.approx(1.0, abs=0.1)
    assert 0.8 < face["iou"] < 1


def test_missing_scans_are_failures_of_their_own(folders: tuple[Path, Path], tmp_path: Path) -> None:
    pred, gt = folders
    save_mesh(_ball(5.0), pred / "c.obj")
    report = run_metrics(MetricsConfig(pred, gt, tmp_path / "out", **SMALL), NullProgress())
    assert list(report.results) == ["a", "b b"]
    assert "holds no scan of c" in report.failures["c"]
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no meshes"):
        run_metrics(MetricsConfig(tmp_path / "empty", gt), NullProgress())
    with pytest.raises(InputError, match="no such file or folder"):
        run_metrics(MetricsConfig(tmp_path / "absent", gt), NullProgress())
    with pytest.raises(InputError, match="no such file or folder"):
        run_metrics(MetricsConfig(pred, tmp_path / "absent"), NullProgress())


def test_files_in_other_units_are_refused_or_scaled(tmp_path: Path) -> None:
    save_mesh(_ball(40.0), tmp_path / "scan.obj")
    small = _ball(40.0)
    save_mesh(Mesh(small.vertices / 100, small.faces), tmp_path / "a.ply")
    config = MetricsConfig(tmp_path / "a.ply", tmp_path / "scan.obj", tmp_path / "out", **SMALL)
    report = run_metrics(config, NullProgress())
    assert "different units" in report.failures["a"]
    scaled = MetricsConfig(tmp_path / "a.ply", tmp_path / "scan.obj", tmp_path / "out", "scale", **SMALL)
    assert run_metrics(scaled, NullProgress()).results["a"]["body"]["chamfer_cm"] < 0.05


def test_interval_is_students() -> None:
    people = {
        name: {"body": {"chamfer_cm": v, "p2s_cm": v, "normal_deg": v, "iou": v}}
        for name, v in zip("abc", (1.0, 2.0, 3.0), strict=True)
    }
    summary = summarise(people)
    assert summary.mean["body"]["iou"] == 2.0
    # t(0.975, 2) = 4.302653, standard error 1 / sqrt(3)
    assert summary.ci95["body"]["iou"] == pytest.approx(4.302653 / np.sqrt(3), rel=1e-5)
    assert summarise({"a": people["a"]}).ci95["body"]["iou"] is None
