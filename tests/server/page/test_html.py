"""HTML that is made of text: whatever the text is, it stays text."""

from __future__ import annotations

from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.server.page.html import element, join, page, table
from inferir.server.page.live import quantile


class _Seen(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


@given(st.text(st.characters(exclude_categories=["Cs", "Cc"])))
def test_text_stays_text(text: str) -> None:
    seen = _Seen()
    seen.feed(element("p", text, title=text))
    seen.close()
    assert seen.tags == [("p", [("title", text)])]
    assert seen.text == text


def test_elements() -> None:
    assert element("a", "x", element("b", "<"), href="?a&b", class_="c", data_model="m", hidden=True, id=None) == (
        '<a href="?a&amp;b" class="c" data-model="m" hidden>x<b>&lt;</b></a>'
    )
    assert element("input", name="key") == '<input name="key">'
    assert join("<", element("br")) == "&lt;<br></br>"
    assert table(["a"], [[1]]).count("<td>") == 1
    assert page("T", "x", scripts=("page.js",)).startswith('<!doctype html><html lang="en"><head>')


@given(
    st.lists(st.floats(0.001, 9), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.95, 0.99]),
)
def test_quantiles_are_within_their_bucket(values: list[float], share: float) -> None:
    bounds = [0.01, 0.1, 1.0, 2.0, 5.0, 10.0]
    buckets = np.bincount(np.searchsorted(bounds, values), minlength=len(bounds) + 1).tolist()
    found = quantile(share, bounds, buckets)
    exact = float(np.quantile(values, share, method="inverted_cdf"))
    upper = int(np.searchsorted(bounds, exact))
    low = bounds[upper - 1] if upper else 0.0
    assert found is not None
    assert low <= found <= bounds[upper]


def test_quantiles_of_nothing_and_of_what_took_too_long() -> None:
    assert quantile(0.5, [1.0], [0, 0]) is None
    assert quantile(0.5, [1.0], [0, 3]) == 1.0
    assert quantile(0.5, [1.0, 3.0], [0, 4, 0]) == pytest.approx(2.0)
