"""Charts and pages: round ticks, escaped text, nothing fetched from elsewhere."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from jiff.report.page import card, image_tag, page, strip, table
from jiff.report.svg import Series, line_chart, nice_ticks


@given(low=st.floats(-1e5, 1e5), span=st.floats(1e-3, 1e5))
def test_ticks_lie_inside_and_are_evenly_spaced(low: float, span: float) -> None:
    ticks = nice_ticks(low, low + span)
    assert all(low - 1e-6 * span <= t <= low + span * (1 + 1e-6) for t in ticks)
    assert 2 <= len(ticks) <= 7
    gaps = np.diff(ticks)
    np.testing.assert_allclose(gaps, gaps[0], rtol=1e-3)


def test_points_land_where_the_axes_say() -> None:
    svg = line_chart([Series("loss", [0, 10], [1.0, 0.0])], title="t", x_label="step", width=460, height=260)
    (first, last) = re.search(r'polyline points="([^"]+)"', svg)[1].split(" ")
    assert first.startswith("48.0,") and last.startswith("448.0,")
    assert float(first.split(",")[1]) < float(last.split(",")[1])


def test_not_finite_values_are_left_out_and_empty_charts_say_so() -> None:
    svg = line_chart([Series("a", [0, 1, 2], [1.0, float("nan"), 2.0])], title="t", x_label="x")
    assert len(re.search(r'polyline points="([^"]+)"', svg)[1].split(" ")) == 2
    assert "nothing recorded" in line_chart([], title="t", x_label="x")


class _Balance(HTMLParser):
    VOID = {"meta", "img", "line", "circle", "polyline"}  # noqa: RUF012

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


def test_page_is_balanced_escaped_and_self_contained() -> None:
    image = np.zeros((4, 4, 3), np.uint8)
    body = card(
        table(["person", "cm"], [["<b>", "1.0"]], best=[(0, 1)]),
        strip(image, 'front "&" back'),
        line_chart([Series("a<b", [0, 1], [0, 1])], title="x", x_label="y"),
    )
    text = page("jiff & demo", body)
    parser = _Balance()
    parser.feed(text)
    assert parser.open == []
    assert "&lt;b&gt;" in text and '<td class="best">1.0</td>' in text
    assert not re.search(r'(src|href)="(?!data:)', text)


def test_image_survives_the_round_trip() -> None:
    import base64

    import cv2

    image = np.full((8, 8, 3), (200, 30, 60), np.uint8)
    data = base64.b64decode(re.search(r"base64,([^\"]+)", image_tag(image, "x"))[1])
    back = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)[..., ::-1]
    assert back.astype(int) - image == pytest.approx(0, abs=8)
