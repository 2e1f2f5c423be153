"""The HTML page of ``jiff data check``: verdict, reasons and pictures of every item."""

from __future__ import annotations

import html
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from jiff.report.page import card, image_tag, page, table

if TYPE_CHECKING:
    from jiff.check.item import CheckItem

_ORDER = ("reject", "fix", "pass")


def check_page(title: str, items: Sequence[CheckItem], faults: Sequence[str] = ()) -> str:
    """Return the document; rejected items come first.

    Args:
        title: of the page.
        items: what was checked; their pictures are shown in a row where there are any.
        faults: sentences about the folder as a whole.
    """
    counts = {verdict: sum(item.verdict == verdict for item in items) for verdict in _ORDER}
    body = [f"<h1>{html.escape(title)}</h1>"]
    body.append(table(list(_ORDER), [[str(counts[verdict]) for verdict in _ORDER]]))
    body += [f'<p class="verdict">{html.escape(fault)}</p>' for fault in faults]
    body += [_card(item) for item in sorted(items, key=lambda item: (_ORDER.index(item.verdict), item.name))]
    return page(title, "".join(body))


def _card(item: CheckItem) -> str:
    parts = [f"<h3>{html.escape(item.name)}: {item.verdict}</h3>"]
    parts += [f"<p>{html.escape(problem)}</p>" for problem in item.problems]
    if item.tiles:
        parts.append(image_tag(np.concatenate(item.tiles, axis=1), f"{item.name}, {item.verdict}"))
    return card(*parts)
