"""Line charts as inline SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence
from dataclasses import dataclass

PALETTE = ("#2563eb", "#d9480f", "#2b8a3e", "#9c36b5", "#0b7285", "#a61e4d")


@dataclass(frozen=True)
class Series:
    """One line of a chart.

    Attributes:
        label: name in the legend.
        x: positions, ascending.
        y: values; those that are not finite are left out.
        dashed: whether the line is dashed (validation beside training).
    """

    label: str
    x: Sequence[float]
    y: Sequence[float]
    dashed: bool = False


def nice_ticks(low: float, high: float, count: int = 5) -> list[float]:
    """Return about ``count`` round numbers (1, 2 or 5 times a power of ten apart) that lie within [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / max(count, 1)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1.0, 2.0, 5.0, 10.0) if m * power >= raw * (1 - 1e-9))
    first = math.ceil(low / step - 1e-9)
    last = math.floor(high / step + 1e-9)
    return [k * step for k in range(first, last + 1)]


def _label(value: float) -> str:
    if value and abs(value) >= 1000 and float(value / 1000).is_integer():
        return f"{value / 1000:g}k"
    return f"{value:.4g}"


def line_chart(
    series: Sequence[Series], *, title: str, x_label: str, width: int = 460, height: int = 260
) -> str:
    """Return an SVG element with all ``series``, axes, round ticks and a legend.

    Args:
        series: lines; ones without finite points are left out.
        title: above the chart.
        x_label: below the x axis.
        width: of the drawing, CSS pixels.
        height: of the drawing, CSS pixels.
    """
    lines = []
    for s in series:
        points = [(float(x), float(y)) for x, y in zip(s.x, s.y) if math.isfinite(x) and math.isfinite(y)]
        if points:
            lines.append((s, points))
    left, right, top, bottom = 48, 12, 30, 58
    head = f'<svg viewBox="0 0 {width} {height}" role="img" aria-label="{html.escape(title)}" class="chart">'
    name = f'<text x="{left}" y="18" class="chart-title">{html.escape(title)}</text>'
    if not lines:
        return f'{head}{name}<text x="{left}" y="{height / 2}">nothing recorded</text></svg>'
    xs = [x for _, points in lines for x, _ in points]
    ys = [y for _, points in lines for _, y in points]
    x0, x1 = min(xs), max(max(xs), min(xs) + 1e-9)
    y0, y1 = min(ys), max(ys)
    pad = (y1 - y0) * 0.05 or max(abs(y1), 1e-6) * 0.05
    y0, y1 = y0 - pad, y1 + pad

    def place(x: float, y: float) -> tuple[float, float]:
        return (
            left + (x - x0) / (x1 - x0) * (width - left - right),
            top + (y1 - y) / (y1 - y0) * (height - top - bottom),
        )

    parts = [head, name]
    for tick in nice_ticks(y0, y1, 4):
        _, py = place(x0, tick)
        parts.append(f'<line x1="{left}" x2="{width - right}" y1="{py:.1f}" y2="{py:.1f}" class="grid"/>')
        parts.append(
            f'<text x="{left - 6}" y="{py + 4:.1f}" text-anchor="end" class="tick">{_label(tick)}</text>'
        )
    for tick in nice_ticks(x0, x1, 5):
        px, _ = place(tick, y0)
        parts.append(
            f'<text x="{px:.1f}" y="{height - bottom + 15}" text-anchor="middle" class="tick">{_label(tick)}</text>'
        )
    parts.append(
        f'<text x="{width - right}" y="{height - bottom + 29}" text-anchor="end" class="tick">{html.escape(x_label)}</text>'
    )
    cursor = left
    for k, (s, points) in enumerate(lines):
        color = PALETTE[k % len(PALETTE)]
        dash = ' stroke-dasharray="5 4"' if s.dashed else ""
        path = " ".join(f"{px:.1f},{py:.1f}" for px, py in (place(x, y) for x, y in points))
        if len(points) == 1:
            px, py = place(*points[0])
            parts.append(f'<circle cx="{px:.1f}" cy="{py:.1f}" r="3" fill="{color}"/>')
        parts.append(f'<polyline points="{path}" fill="none" stroke="{color}" stroke-width="1.8"{dash}/>')
        parts.append(
            f'<line x1="{cursor}" x2="{cursor + 16}" y1="{height - 12}" y2="{height - 12}" stroke="{color}" stroke-width="3"{dash}/>'
        )
        parts.append(f'<text x="{cursor + 20}" y="{height - 8}" class="tick">{html.escape(s.label)}</text>')
        cursor += 32 + 7 * len(s.label)
    return "".join(parts) + "</svg>"
