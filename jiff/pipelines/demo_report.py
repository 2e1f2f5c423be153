"""What the demo shows in the end: ``metrics.json`` and a page with pictures, numbers, curves and times."""

from __future__ import annotations

import csv
import html
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from jiff.base.errors import JiffError
from jiff.base.files import read_json, write_json, write_text
from jiff.base.progress import NullProgress
from jiff.data.layout import ProcessedSet
from jiff.geometry.camera import Camera
from jiff.geometry.io.mesh_io import load_mesh
from jiff.metrics.registry import METRICS
from jiff.options.view import ViewConfig
from jiff.photo.images import read_image
from jiff.pipelines.view import run_view
from jiff.render.preview import render_preview
from jiff.report.page import card, image_tag, page, strip, table
from jiff.report.svg import Series, line_chart

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from jiff.geometry.mesh import Mesh
    from jiff.options.demo import DemoConfig
    from jiff.pipelines.demo_config import DemoPaths

METHODS = {"pifu": "PIFu", "jiff": "JIFF", "held": "held, trained here", "installed": "held, installed"}
_COMPARED = ("pifu", "jiff")
"""Methods that differ in the face prior only."""
_TRAIN_TITLES = {"shape": "Shape", "color_coarse": "Coarse colour", "color_fine": "Fine colour"}
_PERSON_TITLE = "Prior-held network"
_HELD_OUT = {
    "val_iou": "IoU",
    "val_precision": "precision",
    "val_recall": "recall",
    "val_face_iou": "face IoU",
    "val_color_l1": "colour error",
    "val_face_color_l1": "face colour error",
    "val_color": "colour error",
}
_VIEW_PX = 300


def _views(mesh: Mesh, face_center: NDArray[np.float64] | None) -> NDArray[np.uint8]:
    """Return [H, 4H, 3]: front, side, back, and a close-up of the face."""
    pictures = [render_preview(mesh, Camera.at_yaw(yaw, size=_VIEW_PX)) for yaw in (0, 90, 180)]
    if face_center is not None:
        near = Camera.at_yaw(20, center_world=face_center, half_width_world=17.0, size=_VIEW_PX)
        pictures.append(render_preview(mesh, near))
    return np.concatenate(pictures, axis=1)


def _face_center(paths: DemoPaths, name: str) -> NDArray[np.float64] | None:
    path = ProcessedSet(paths.data).face_mesh(name)
    if not path.is_file():
        return None
    low, high = load_mesh(path, texture=False).bounds
    return np.asarray((low + high) / 2)


def folder_of(paths: DemoPaths, method: str) -> Path:
    """Return the folder of a method's meshes."""
    folders = {"pifu": paths.pifu, "jiff": paths.jiff, "held": paths.held, "installed": paths.installed}
    return folders[method]


def _write_viewer(paths: DemoPaths, name: str) -> str:
    """Write the page that shows a person's meshes side by side; return its path relative to the report."""
    shown = [(label, folder_of(paths, key) / f"{name}.obj") for key, label in METHODS.items()]
    shown.append(("Scan", ProcessedSet(paths.data).geometry(name)))
    shown = [(label, path) for label, path in shown if path.is_file()]
    target = paths.root / "view" / f"{name}.html"
    settings = ViewConfig(
        mesh=tuple(path for _, path in shown), label=tuple(label for label, _ in shown), out=target
    )
    run_view(settings, NullProgress())
    return f"view/{name}.html"


def _person(paths: DemoPaths, name: str, per_person: dict[str, Any]) -> str:
    center = _face_center(paths, name)
    parts = []
    for key in METHODS:
        path = folder_of(paths, key) / f"{name}.obj"
        if not path.is_file():
            # Prior-held networks are left out where what they need is not there.
            if key not in _COMPARED and not folder_of(paths, key).is_dir():
                continue
            parts.append(f"<p>{METHODS[key]}: no mesh; see the command's messages.</p>")
            continue
        numbers = per_person.get(key, {}).get(name)
        caption = METHODS[key]
        if numbers:
            caption += (
                f": body {numbers['body']['chamfer_cm']:.2f} cm Chamfer, IoU {numbers['body']['iou']:.2f}"
            )
            if "face" in numbers:
                caption += f"; face {numbers['face']['chamfer_cm']:.2f} cm, {numbers['face']['normal_deg']:.1f} degrees"
        parts.append(strip(_views(load_mesh(path), center), caption))
    truth = load_mesh(ProcessedSet(paths.data).geometry(name))
    parts.append(strip(_views(truth, center), "Scan (ground truth)"))
    photo = read_image(paths.test / f"{name}.jpg")[..., :3]
    turn = f'<p><a href="{_write_viewer(paths, name)}">Turn the meshes in 3D</a></p>'
    left = f"<div><h3>{html.escape(name)}</h3>{image_tag(photo, f'input image of {name}')}{turn}</div>"
    return card(f'<div class="person">{left}<div>{"".join(parts)}</div></div>')


def _history(path: Path) -> dict[str, tuple[list[float], list[float]]]:
    """Return column -> (steps, values) of a training log."""
    if not path.is_file():
        return {}
    columns: dict[str, tuple[list[float], list[float]]] = {}
    with open(path, newline="", encoding="utf-8") as handle:
        for row in csv.DictReader(handle):
            for name, value in row.items():
                if name and value and name != "step":
                    steps, values = columns.setdefault(name, ([], []))
                    steps.append(float(row["step"]))
                    values.append(float(value))
    return columns


def _smooth(values: list[float]) -> list[float]:
    """Running mean that forgets over about a twentieth of the run: single steps are noise."""
    rate, result, state = max(0.02, 20 / max(len(values), 1)), [], None
    for value in values:
        state = value if state is None else state + min(rate, 1.0) * (value - state)
        result.append(state)
    return result


def _charts(paths: DemoPaths) -> str:
    charts = []
    runs = [(paths.run / stage, title) for stage, title in _TRAIN_TITLES.items()]
    runs.append((paths.person_run / "person", _PERSON_TITLE))
    for folder, title in runs:
        columns = _history(folder / "log.csv")
        if not columns:
            continue
        losses = [
            Series(name.replace("loss_", ""), steps, _smooth(values))
            for name, (steps, values) in columns.items()
            if name.startswith("loss")
        ]
        charts.append(line_chart(losses, title=f"{title}: training loss", x_label="step"))
        held_out = [Series(label, *columns[name]) for name, label in _HELD_OUT.items() if name in columns]
        charts.append(line_chart(held_out, title=f"{title}: held-out people", x_label="step"))
    return f'<div class="charts">{"".join(card(c) for c in charts)}</div>'


def read_measurements(paths: DemoPaths) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return (method -> mean numbers, method -> person -> numbers); a method that was not measured is left out.

    Raises:
        JiffError: a measurement is damaged.
    """
    means: dict[str, Any] = {}
    people: dict[str, Any] = {}
    for method in METHODS:
        if not (paths.measured(method) / "metrics.json").is_file():
            continue
        record = read_json(paths.measured(method) / "metrics.json")
        try:
            means[method], people[method] = record["mean"], record["subjects"]
        except (KeyError, TypeError) as error:
            raise JiffError(
                f"{paths.measured(method)}: its metrics.json lacks {error}; delete the folder and run the demo again."
            ) from error
    return means, people


def verdict(means: dict[str, Any]) -> str:
    """Return one honest sentence on whether the face prior helped the face."""
    if not all("face" in means.get(m, {}) for m in _COMPARED):
        return "No face was measured, so this run says nothing about the face prior."
    old, new = means["pifu"]["face"]["chamfer_cm"], means["jiff"]["face"]["chamfer_cm"]
    old_deg, new_deg = means["pifu"]["face"]["normal_deg"], means["jiff"]["face"]["normal_deg"]
    change = f"{old:.2f} to {new:.2f} cm Chamfer, {old_deg:.1f} to {new_deg:.1f} degrees"
    if new < old and new_deg < old_deg:
        return f"The face prior made the held-out faces better: {change}."
    if new < old or new_deg < old_deg:
        return f"The face prior helped the held-out faces in one measure only: {change}; this budget is too small to settle it."
    return f"At this budget the face prior did not help the held-out faces: {change}; train longer to see its effect."


def _metric_table(means: dict[str, Any]) -> str:
    rows: list[list[str]] = []
    best: list[tuple[int, int]] = []
    for region in ("body", "face"):
        for metric in METRICS:
            key = metric.key
            values = [float(means[m][region][key]) for m in means if key in means[m].get(region, {})]
            if len(values) < len(means) or not values or not metric.headline:
                continue
            winner = int(np.argmin(values) if metric.better == "lower" else np.argmax(values))
            if len(set(values)) > 1:
                best.append((len(rows), winner + 1))
            rows.append([f"{region}: {metric.label}", *(f"{v:.3f}" for v in values)])
    return table(["held-out people, mean", *(METHODS[m] for m in means)], rows, best)


def _minutes(seconds: float) -> str:
    return f"{int(seconds) // 60} min {seconds % 60:04.1f} s" if seconds >= 60 else f"{seconds:.1f} s"


def write_report(config: DemoConfig, paths: DemoPaths, record: dict[str, Any], lines: list[str]) -> list[str]:
    """Write ``metrics.json`` and ``report.html``.

    Args:
        config: of the demo.
        paths: of the demo.
        record: seconds and memory of the stages.
        lines: every command line, in order.

    Returns:
        What to tell the user, a line each.
    """
    means, people = read_measurements(paths)
    write_json(paths.metrics, means)
    names = sorted(path.stem for path in paths.test.glob("*.jpg"))
    total = sum(entry["seconds"] for entry in record["stages"].values())
    peak = record.get("peak_memory_mib")
    summary = [
        verdict(means),
        *(
            f"{METHODS[m]}: body IoU {means[m]['body']['iou']:.3f}, body Chamfer {means[m]['body']['chamfer_cm']:.2f} cm"
            + (f", face Chamfer {means[m]['face']['chamfer_cm']:.2f} cm" if "face" in means[m] else "")
            for m in means
        ),
        f"All stages took {_minutes(total)}"
        + (f"; peak memory at most {peak / 1024:.1f} GiB." if peak else "."),
    ]
    stage_rows = [
        [entry["title"], _minutes(entry["seconds"]), str(len(entry["failures"]) or "-")]
        for entry in record["stages"].values()
    ]
    failures = "".join(
        f"<li>{html.escape(entry['title'])}, {html.escape(name)}: {html.escape(reason)}</li>"
        for entry in record["stages"].values()
        for name, reason in entry["failures"].items()
    )
    trained = config.people - config.held_out
    body = [
        "<h1>jiff demo</h1>",
        f'<p class="soft">{trained} synthetic people to train on, {config.held_out} held out and reconstructed from one'
        " frontal image each. PIFu and JIFF come from one trained network: PIFu is its body branch alone, JIFF adds the"
        " branch that sees the fitted face model; their colours are predicted too. The prior-held networks clothe a body"
        " fitted to the image, and are measured after they were moved in depth onto the scan: one trained here for minutes,"
        " one as installed.</p>",
        f'<p class="verdict">{html.escape(summary[0])}</p>',
        card(_metric_table(means)),
        "<h2>Held-out people</h2>",
        *(_person(paths, name, people) for name in names),
        "<h2>Training</h2>",
        _charts(paths),
        "<h2>Time</h2>",
        card(
            table(["stage", "time", "failed items"], [*stage_rows, ["all", _minutes(total), ""]]),
            f'<p class="soft">{html.escape(summary[-1])}</p>',
        ),
        *(["<h2>What failed</h2>", card(f"<ul>{failures}</ul>")] if failures else []),
        "<h2>Repeat it</h2>",
        f"<pre>{html.escape(chr(10).join(lines))}</pre>",
    ]
    write_text(paths.report, page("jiff demo", "".join(body)))
    return summary
