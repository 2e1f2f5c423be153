"""Means, confidence intervals and tables (JSON, CSV, Markdown, LaTeX) of per-person metrics."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from jiff.base.files import write_json, write_text
from jiff.metrics.registry import METRICS

REGIONS = ("body", "face")


def keys() -> list[str]:
    """Return the keys of all metrics."""
    return [metric.key for metric in METRICS]


def labels() -> list[str]:
    """Return the labels of all metrics."""
    return [metric.label for metric in METRICS]


@dataclass(frozen=True)
class Summary:
    """Metrics of all people.

    Attributes:
        subjects: name -> region -> measure -> number (and ``notes``).
        mean: region -> measure -> mean.
        ci95: region -> measure -> half width of the 95 % interval, None for one person.
        counts: region -> number of people.
    """

    subjects: dict[str, dict[str, Any]]
    mean: dict[str, dict[str, float]]
    ci95: dict[str, dict[str, float | None]]
    counts: dict[str, int]

    def cell(self, region: str, measure: str) -> str:
        """Return mean and interval as text."""
        if measure not in self.mean[region]:
            return "-"
        width = self.ci95[region][measure]
        text = f"{self.mean[region][measure]:.3f}"
        return text if width is None else f"{text} ± {width:.3f}"

    def lines(self) -> list[str]:
        """Return one line per region for the terminal."""
        return [
            f"{region} ({self.counts[region]} people): "
            + ", ".join(
                f"{metric.label} {self.cell(region, metric.key)}"
                for metric in METRICS
                if region in metric.regions
            )
            for region in self.mean
        ]


def summarise(subjects: dict[str, dict[str, Any]]) -> Summary:
    """Return means and intervals; people without a region or a number are left out of its mean."""
    from scipy.stats import t

    mean: dict[str, dict[str, float]] = {}
    ci95: dict[str, dict[str, float | None]] = {}
    counts: dict[str, int] = {}
    for region in REGIONS:
        rows = [numbers[region] for numbers in subjects.values() if region in numbers]
        if not rows:
            continue
        counts[region] = len(rows)
        mean[region], ci95[region] = {}, {}
        for key in keys():
            values = np.array([row[key] for row in rows if key in row])
            if len(values) == 0:
                continue
            mean[region][key] = float(values.mean())
            half = None
            if len(values) > 1:
                half = float(t.ppf(0.975, len(values) - 1) * values.std(ddof=1) / np.sqrt(len(values)))
            ci95[region][key] = half
    return Summary(subjects, mean, ci95, counts)


def _rows(summary: Summary) -> list[list[str]]:
    rows = []
    for name, numbers in sorted(summary.subjects.items()):
        for region in REGIONS:
            if region in numbers:
                values = numbers[region]
                rows.append(
                    [name, region, *(f"{values[key]:.6g}" if key in values else "" for key in keys())]
                )
    return rows


def _markdown(summary: Summary, protocol: str) -> str:
    lines = [
        "| person | region | " + " | ".join(labels()) + " |",
        "|---|---|" + "---|" * len(METRICS),
    ]
    for region in summary.mean:
        cells = [summary.cell(region, key) for key in keys()]
        lines.append(f"| **mean of {summary.counts[region]}** | {region} | " + " | ".join(cells) + " |")
    lines += [
        "| " + " | ".join([*row[:2], *(f"{float(v):.3f}" if v else "-" for v in row[2:])]) + " |"
        for row in _rows(summary)
    ]
    return "\n".join(lines) + f"\n\n{protocol}\n"


def _latex(summary: Summary) -> str:
    header = " & ".join(["Region", *(label.replace("%", r"\%") for label in labels())])
    rows = [
        " & ".join([region, *(summary.cell(region, key).replace("±", r"$\pm$") for key in keys())]) + r" \\"
        for region in summary.mean
    ]
    columns = "l" + "r" * len(METRICS)
    return "\n".join(
        [
            rf"\begin{{tabular}}{{{columns}}}",
            r"\hline",
            header + r" \\",
            r"\hline",
            *rows,
            r"\hline",
            r"\end{tabular}",
        ]
    )


def write_tables(folder: Path, summary: Summary, protocol: str, options: dict[str, Any]) -> list[str]:
    """Write the four files and return their paths."""
    record = {
        "mean": summary.mean,
        "ci95": summary.ci95,
        "people": summary.counts,
        "subjects": dict(sorted(summary.subjects.items())),
        "protocol": protocol,
        "options": options,
    }
    write_json(folder / "metrics.json", record)
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["person", "region", *keys()])
    writer.writerows(_rows(summary))
    write_text(folder / "metrics.csv", buffer.getvalue())
    write_text(folder / "metrics.md", _markdown(summary, protocol))
    write_text(folder / "metrics.tex", _latex(summary) + "\n")
    return [str(folder / f"metrics.{suffix}") for suffix in ("json", "csv", "md", "tex")]
