"""What is kept of the server's figures, and the tables that are made of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.page.parts import PAGE, between
from benchmarks.serving import record, report
from benchmarks.serving.figures import LATENCIES, stands
from benchmarks.serving.load import Result

WHERE = {
    "when": "2026-01-01 00:00 UTC", "cpu": "One", "cores": 2, "load": 0.1, "nice": -15, "system": "Linux 6",
    "python": "3.11.7", "versions": {"uvloop": "0.2", "aiohttp": "3.1"},
}  # fmt: skip


def figures(rate: float, **more: Any) -> dict[str, Any]:
    return {"requests_per_s": rate, "p50_ms": 0.5, "p99_ms": 1.25, "p99.9_ms": 2.0, "max_ms": 3.0, **more}


@pytest.fixture
def kept(tmp_path: Path) -> Path:
    path = tmp_path / "measured.json"
    closed = {
        "inferir": figures(12_000.0, version="0.1", cpu_us_per_request=80.4),
        "bentoml": figures(400.0, version="1.4"),
    }
    record.put(path, "closed", closed, WHERE)
    record.put(path, "swap", {"with": figures(2000.0)}, WHERE)
    record.put(path, "telemetry", {"part": 0.031, "error": 0.004}, WHERE)
    record.put(path, "kernel", {"kernel_part": 0.541}, WHERE)
    return path


def test_a_scenario_that_is_measured_again_is_replaced(kept: Path) -> None:
    record.put(kept, "telemetry", {"part": 0.02}, WHERE)
    found = record.read(kept)
    assert list(found) == ["closed", "swap", "telemetry", "kernel"]
    assert stands(found, "telemetry.part") == 0.02
    assert json.loads(kept.read_text()) == found


def test_nothing_is_kept_at_first(tmp_path: Path) -> None:
    assert record.read(tmp_path / "no.json") == {}


def test_tables(kept: Path) -> None:
    where, closed, due, parts = report.page(record.read(kept))["serving"].split("\n\n")
    assert where.splitlines() == [
        "- 2026-01-01 00:00 UTC: One, 2 cores, load before 0.1 to 0.1; Linux 6, Python 3.11.7",
        "- aiohttp 3.1, uvloop 0.2",
    ]
    assert closed.splitlines()[2:] == [
        "| **ours 0.1** | 12,000 |  | 0.50 | 1.25 | 80 |",
        "| BentoML + XGBoost; 1.4 | 400 | 30.0 | 0.50 | 1.25 |  |",
    ]
    assert due.splitlines()[2:] == [f"| {LATENCIES['swap.with']} | 0.50 | 1.25 | 2.00 | 3.00 |"]
    assert [line.split("|")[2:] for line in parts.splitlines()[2:]] == [
        [" 54 % ", " at least 50 % ", ""],
        [" 3.1 ± 0.4 % ", " at most 5 % ", ""],
    ]


def test_figures_of_two_machines_say_which_are_whose(kept: Path) -> None:
    record.put(kept, "kernel", {"kernel_part": 0.5}, WHERE | {"cpu": "Other", "load": 0.3})
    lines = report.page(record.read(kept))["serving"].splitlines()
    assert lines[0].startswith("- 2026-01-01 00:00 UTC (closed, swap, telemetry): One, 2 cores, load before 0.1")
    assert lines[2].startswith("- 2026-01-01 00:00 UTC (kernel): Other, 2 cores, load before 0.3")


def test_quantiles_are_those_of_numpy() -> None:
    seconds = np.random.default_rng(0).exponential(size=20_000)
    plain = Result(seconds=list(seconds), wall_s=1.0).plain()  # type: ignore[arg-type]
    nines = 1 - 10.0 ** -(np.arange(17) / 4)
    assert plain["nines_ms"] == pytest.approx(np.quantile(seconds, nines, method="higher") * 1e3, rel=2e-3, abs=1e-3)
    assert (plain["nines_ms"][8], plain["nines_ms"][12]) == (plain["p99_ms"], plain["p99.9_ms"])


def test_a_page_keeps_what_is_around_the_marks() -> None:
    marks = "<!-- x: made by python -m some.report -->", "<!-- /x -->"
    text = between(f"before\n{marks[0]}\nold\n{marks[1]}\nafter", "x", "new", "some.report")
    assert text == f"before\n{marks[0]}\n\nnew\n\n{marks[1]}\nafter"
    for other in ("no marks", text.replace("some", "other")):
        with pytest.raises(SystemExit):
            between(other, "x", "new", "some.report")


def test_the_committed_page_is_made_of_the_committed_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, made in report.page(record.read()).items():
        assert between(text, name, made, report.REPORT) == text, f"run: python -m {report.REPORT}"
