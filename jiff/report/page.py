"""The HTML page of a report, from plain parts."""

from __future__ import annotations

import base64
import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_STYLE = """
:root{--ink:#1c2024;--soft:#5f6b76;--line:#dfe3e8;--bg:#f7f8fa;--card:#fff;--mark:#2563eb}
@media (prefers-color-scheme:dark){:root{--ink:#e8eaed;--soft:#9aa5b1;--line:#333a42;--bg:#15181c;--card:#1d2126;--mark:#7aa2ff}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:15px/1.55 system-ui,-apple-system,"Segoe UI",sans-serif}
main{max-width:1180px;margin:0 auto;padding:28px 20px 80px}h1{font-size:1.9rem;margin:.2em 0}h2{margin:2em 0 .6em;font-size:1.3rem}
h3{margin:.2em 0 .6em;font-size:1.05rem}p{max-width:75ch}a{color:var(--mark)}.soft{color:var(--soft)}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:16px;margin:14px 0;overflow-x:auto}
table{border-collapse:collapse;font-variant-numeric:tabular-nums}th,td{padding:5px 14px 5px 0;text-align:right;border-bottom:1px solid var(--line)}
th:first-child,td:first-child{text-align:left}td.best{font-weight:650}
.person{display:grid;grid-template-columns:210px 1fr;gap:18px}@media (max-width:760px){.person{grid-template-columns:1fr}}
.person img{width:100%;height:auto;border-radius:6px;display:block}.strip{margin:0 0 10px}.strip figcaption{font-size:.85rem;color:var(--soft)}
figure{margin:0}.charts{display:grid;grid-template-columns:repeat(auto-fit,minmax(340px,1fr));gap:14px}
.chart{width:100%;height:auto}.chart text{fill:var(--soft);font-size:11px}.chart .chart-title{fill:var(--ink);font-size:13px;font-weight:600}
.chart .grid{stroke:var(--line)}pre{background:var(--bg);border:1px solid var(--line);border-radius:6px;padding:10px;overflow-x:auto;font-size:.85rem}
.verdict{border-left:4px solid var(--mark);padding:4px 14px;margin:16px 0;background:var(--card)}
"""


def image_tag(image: NDArray[np.uint8], alt: str, *, quality: int = 88) -> str:
    """Return an ``<img>`` that carries [H, W, 3] RGB uint8 as JPEG inside the page."""
    import cv2

    _, blob = cv2.imencode(".jpg", image[..., ::-1], [cv2.IMWRITE_JPEG_QUALITY, quality])
    data = base64.b64encode(blob.tobytes()).decode()
    return f'<img alt="{html.escape(alt, quote=True)}" src="data:image/jpeg;base64,{data}">'


def table(header: Sequence[str], rows: Sequence[Sequence[str]], best: Sequence[tuple[int, int]] = ()) -> str:
    """Return an HTML table; cells named in ``best`` as (row, column) are set in bold."""
    marked = set(best)
    head = "".join(f"<th>{html.escape(h)}</th>" for h in header)
    body = "".join(
        "<tr>"
        + "".join(
            f'<td class="best">{html.escape(cell)}</td>'
            if (r, c) in marked
            else f"<td>{html.escape(cell)}</td>"
            for c, cell in enumerate(row)
        )
        + "</tr>"
        for r, row in enumerate(rows)
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def card(*parts: str) -> str:
    """Return ``parts`` inside a framed box."""
    return f'<div class="card">{"".join(parts)}</div>'


def strip(image: NDArray[np.uint8], caption: str) -> str:
    """Return a wide picture with a caption above it."""
    return f'<figure class="strip"><figcaption>{html.escape(caption)}</figcaption>{image_tag(image, caption)}</figure>'


def page(title: str, body: str) -> str:
    """Return a whole HTML document without any outside reference."""
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>{body}</main></body></html>\n"
    )
