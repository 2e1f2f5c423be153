"""``jiff eval metrics``: numbers of many reconstructions against their scans, with the protocol beside them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.config import to_plain
from jiff.base.errors import DatasetError, InputError
from jiff.data.face_data import face_box_corners
from jiff.data.layout import ProcessedSet
from jiff.face.box import FaceBox
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh
from jiff.metrics.alignment import aligned
from jiff.metrics.measure import MetricOptions, measure
from jiff.metrics.registry import METRICS
from jiff.metrics.tables import summarise, write_tables
from jiff.options.metrics import MetricsConfig
from jiff.render.normal_maps import NORMAL_MAP_SIZE
from jiff.run.parallel import WorkReport, run_items

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.base.progress import Progress

_PRED_SUFFIXES = (".obj", ".ply", ".glb")
_LEAST_SCAN_HEIGHT, _MOST_SCAN_HEIGHT = 20.0, 400.0
"""World units, which are centimetres for a person of 180: what a scan of a person, or of a part of one, measures."""


@dataclass(frozen=True)
class _Pair:
    """One comparison, small enough to send to another process."""

    name: str
    pred: Path
    truth: Path
    face_box: NDArray[np.float64] | None
    align: str
    options: MetricOptions


def _meshes(folder: Path) -> dict[str, Path]:
    """Return name -> mesh of a folder, OBJ before PLY before GLB."""
    found: dict[str, Path] = {}
    for suffix in _PRED_SUFFIXES:
        for path in sorted(folder.glob(f"*{suffix}")):
            if not path.name.startswith("."):
                found.setdefault(path.stem, path)
    return found


def _predictions(path: Path) -> dict[str, Path]:
    if path.is_file():
        return {path.stem: path}
    if not path.is_dir():
        raise InputError(f"{path}: no such file or folder; give a reconstructed mesh or the folder of them.")
    found = _meshes(path)
    if not found:
        raise InputError(f"{path}: holds no meshes; run `jiff eval pifu` or `jiff eval jiff` first.")
    return found


def _find_truth(config: MetricsConfig, name: str, single: bool) -> tuple[Path, NDArray[np.float64] | None]:
    """Return the scan and the face box of a person.

    Raises:
        DatasetError: there is no scan of that name.
    """
    box = None
    if config.face_regions is not None:
        box = _box_of_file(config.face_regions / f"{name}_region.txt")
    if config.gt.is_file():
        if not single:
            raise DatasetError(f"{config.gt}: is one scan, but there are several predictions; give a folder.")
        return config.gt, box
    dataset = ProcessedSet(config.gt)
    if dataset.geometry(name).is_file():
        return dataset.geometry(name), box if box is not None else face_box_corners(dataset, name)
    candidates = [config.gt / f"{name}{suffix}" for suffix in _PRED_SUFFIXES]
    candidates += [config.gt / name / f"{name}{suffix}" for suffix in _PRED_SUFFIXES]
    for path in candidates:
        if path.is_file():
            return path, box
    raise DatasetError(
        f"{config.gt}: holds no scan of {name} (GEO/OBJ/{name}/{name}.obj, {name}.obj or {name}/{name}.obj);"
        " give the folder whose names match the predictions."
    )


def _box_of_file(path: Path) -> NDArray[np.float64]:
    return FaceBox.from_region_file(path, Camera()).corners


def _measure_pair(pair: _Pair) -> dict[str, Any]:
    pred, truth = load_mesh(pair.pred, texture=False), load_mesh(pair.truth, texture=False)
    heights = [float(np.ptp(mesh.bounds[:, 1])) for mesh in (pred, truth)]
    if not _LEAST_SCAN_HEIGHT < heights[1] < _MOST_SCAN_HEIGHT:
        raise InputError(
            f"{pair.truth}: is {heights[1]:.4g} units high, so its units are no centimetres; scale scans with"
            " `jiff data rescale` first."
        )
    if pair.align == "none" and not 1 / 3 < heights[0] / max(heights[1], 1e-12) < 3:
        raise InputError(
            f"{pair.pred}: is {heights[0]:.4g} units high but its scan {heights[1]:.4g}, so they are in different"
            " units; compare the OBJ files or use --align scale."
        )
    found = measure(
        aligned(pred, truth, pair.align, seed=pair.options.seed), truth, pair.face_box, pair.options
    )
    result: dict[str, Any] = {"notes": []}
    for region, numbers in found.items():
        if math.isnan(numbers["chamfer_cm"]) or math.isnan(numbers["iou"]):
            result["notes"].append(f"no reconstructed surface near the {region}")
        else:
            result[region] = {key: value for key, value in numbers.items() if not math.isnan(value)}
            if math.isnan(numbers["normal_map_deg"]):
                result["notes"].append(f"no normal maps of the {region}: no camera sees it on both meshes")
    if pair.face_box is None:
        result["notes"].append("no face box, so no face numbers")
    return result


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def protocol(config: MetricsConfig) -> str:
    """Return the sentences that say how the numbers were made."""
    visible = (
        "hidden surface included" if config.all_surfaces else "surface that can be seen from outside only"
    )
    clauses = "; ".join(metric.text for metric in METRICS)
    return (
        f"Units: centimetres for a person of 180 cm (the scans are scaled to 180 units). Alignment: {config.align}."
        f" Distances are exact point-to-triangle distances of {config.samples} area-uniform samples per surface"
        f" ({config.face_samples} around the face), {visible}, seed {config.seed}. Volumes are compared on one random point per"
        f" cell of {config.volume_spacing_cm:g} cm (0.5 cm in the face box). Normal maps are ray-cast from front, back, left and"
        f" right ({NORMAL_MAP_SIZE} x {NORMAL_MAP_SIZE} pixels over 204.8 cm, interpolated vertex normals). {_first_upper(clauses)}."
        " Face: scan surface inside the face box, reconstructed surface whose closest scan point lies"
        " there, and pixels that show a point of the box. Intervals are 95 % of Student's t over people."
    )


def _metric_options(config: MetricsConfig) -> MetricOptions:
    return MetricOptions(
        samples=config.samples,
        face_samples=config.face_samples,
        volume_spacing_cm=config.volume_spacing_cm,
        outer_only=not config.all_surfaces,
        seed=config.seed,
    )


def run_metrics(config: MetricsConfig, progress: Progress) -> WorkReport:
    """Measure every prediction and write ``metrics.json``, ``.csv``, ``.md`` and ``.tex``.

    ``metrics.json`` holds ``mean``, ``ci95`` (half widths) and ``subjects``, each ``{"body": {...}, "face": {...}}``.

    Raises:
        InputError: no predictions.
    """
    predictions = _predictions(config.pred)
    if not config.gt.exists():
        raise InputError(f"{config.gt}: no such file or folder; give the scans or the processed set.")
    out = config.out or (config.pred if config.pred.is_dir() else config.pred.parent)
    items: list[tuple[str, _Pair]] = []
    missing: dict[str, str] = {}
    for name, path in predictions.items():
        try:
            truth, box = _find_truth(config, name, len(predictions) == 1)
        except (DatasetError, InputError) as error:
            missing[name] = str(error)
            progress.warn(f"{name}: {error}")
            continue
        items.append((name, _Pair(name, path, truth, box, config.align, _metric_options(config))))
    report = run_items(_measure_pair, items, jobs=config.jobs, progress=progress, title="Measuring")
    report.failures.update(missing)
    if report.results:
        for name, result in report.results.items():
            for note in result["notes"]:
                progress.warn(f"{name}: {note}")
        summary = summarise(report.results)
        text = protocol(config)
        report.outputs = write_tables(out, summary, text, to_plain(config))
        for line in summary.lines():
            progress.info(line)
    return report
