"""The pages in a real browser: Chromium, without a window."""

from __future__ import annotations

import json
import os
import re
import shutil
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest

from tests.patience import PATIENCE_S
from tests.server.clients.conftest import Served

playwright = pytest.importorskip("playwright.sync_api", reason="needs playwright: pip install inferir[clients]")

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = pytest.mark.skipif(not CHROMIUM, reason="needs Chromium: apt-get install chromium, or CHROMIUM=path")


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as started:
        # A container's /dev/shm may be too small for Chromium, and its users may make no namespaces.
        made = started.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-dev-shm-usage"], timeout=1000 * PATIENCE_S
        )
        playwright.expect.set_options(timeout=1000 * PATIENCE_S)
        yield made
        made.close()


@pytest.fixture
def tab(browser: Any, served: Served) -> Iterator[Any]:
    """A page that must ask nobody else for anything, and must not fail."""
    made = browser.new_page()
    made.set_default_timeout(1000 * PATIENCE_S)
    problems: list[str] = []
    made.on("pageerror", lambda error: problems.append(str(error)))
    made.on("console", lambda message: problems.append(message.text) if _is_error(message) else None)
    made.on(
        "request",
        lambda request: None if request.url.startswith((served.url, "data:")) else problems.append(request.url),
    )
    yield made
    made.close()
    assert problems == []


def _is_error(message: Any) -> bool:
    """An answer of 4xx is logged by the browser itself."""
    return bool(message.type == "error" and "Failed to load resource" not in message.text)


def test_a_prediction_with_the_form(tab: Any, served: Served) -> None:
    tab.goto(served.url)
    form = tab.locator("form.try[data-model='penguins@1']")
    form.locator("[name=species]").select_option("Adelie")
    form.locator("[name=island]").select_option("Dream")
    row: list[Any] = ["Adelie", "Dream"]
    for name, value in {"bill_length_mm": 39.1, "bill_depth_mm": 18.7, "body_mass_g": 3750}.items():
        form.locator(f"[name={name}]").fill(str(value))
    row += [39.1, 18.7, None, 3750]
    form.locator("button").click()
    output = form.locator("output")
    playwright.expect(output).to_contain_text("probabilities")
    model = served.models["penguins"]
    assert output.inner_text().startswith(json.dumps(model.predict([row])[0]))
    shown = [float(text) for text in re.findall(r"0\.\d+", output.inner_text().partition("(")[0])]
    assert shown == pytest.approx(sorted(model.predict_proba([row])[0].tolist(), reverse=True), rel=1e-3)
    assert f"probabilities {model.predict([row])[0]} {max(shown)}" in output.inner_text()


def test_an_error_of_the_form_is_shown(tab: Any, served: Served) -> None:
    tab.goto(served.url)
    tab.evaluate("document.querySelector('form.try').dataset.model = 'lions'")
    tab.locator("form.try").first.locator("button").click()
    playwright.expect(tab.locator("output.error").first).to_contain_text("E011: unknown model 'lions'")


def test_plots_move(tab: Any, served: Served) -> None:
    tab.goto(served.url)
    playwright.expect(tab.locator("#live")).to_be_visible()
    body = json.dumps({"model_id": "penguins", "features": [None] * 6}).encode()
    for _ in range(20):
        with urllib.request.urlopen(urllib.request.Request(f"{served.url}/predict", data=body)) as answer:
            assert answer.status == 200
    playwright.expect(tab.locator("#plots canvas")).to_have_count(2)
    playwright.expect(tab.locator("#now")).to_contain_text("requests per second")
    for plot in ("rate", "time"):  # from the first point on: uPlot alone would show years
        seconds = tab.evaluate(f"plots.{plot}.scales.x.max - plots.{plot}.scales.x.min")
        assert 59 < seconds < 121


def test_it_reads_without_javascript(browser: Any, served: Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    context.set_default_timeout(1000 * PATIENCE_S)
    page = context.new_page()
    page.goto(served.url)
    table = page.locator("#models table").first
    assert "penguins" in table.inner_text()
    assert "LogisticRegression" in table.inner_text()
    page.locator("details summary").first.click()
    assert "Adelie, Chinstrap, Gentoo" in page.locator("details").first.inner_text()
    page.goto(f"{served.url}/docs")
    assert "/v2/models/{name}/infer" in page.inner_text("main")
    context.close()


def test_the_api_page_opens(tab: Any, served: Served) -> None:
    tab.goto(f"{served.url}/docs")
    tab.locator("#post_predict summary").click()
    assert "features:" in tab.locator("#post_predict").inner_text()


def test_headers_keep_others_out(served: Served) -> None:
    with urllib.request.urlopen(served.url) as answer:
        policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
