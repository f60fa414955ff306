"""What compares us with others: turns, agreement, the file of figures, and the tables that are made of it."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.page.parts import PAGE, between
from benchmarks.rivals import agreement, figures, measure, process, record, report
from benchmarks.rivals.cases import CASES, THREAD_CASES
from benchmarks.rivals.environments import ENVIRONMENTS
from benchmarks.rivals.peers import OURS, PEERS, READING, WORKERS, reading
from benchmarks.rivals.process import SideBySide
from benchmarks.rivals.subject import Subject

ROOT = Path(__file__).resolve().parents[1]


class Sleeper:
    """A peer whose calls take that long."""

    def __init__(self, call_s: float) -> None:
        self.call_s, self.asked = call_s, 0

    def turn(self, rows: int, calls: int) -> float:
        self.asked += 1
        time.sleep(0)
        return self.call_s * calls


def test_turns_find_what_a_call_takes() -> None:
    found = measure.turns({"quick": Sleeper(1e-6), "slow": Sleeper(3e-4)}, 1, 0.0)
    assert found["quick"].median_s == pytest.approx(1e-6)
    assert found["slow"].fastest_s == pytest.approx(3e-4)
    assert found["quick"].calls == pytest.approx(measure.TURN_S / 1e-6, rel=0.01)
    assert found["quick"].turns >= 5


def test_a_hopeless_peer_has_one_turn() -> None:
    slow, quick = Sleeper(2.0), Sleeper(0.2)
    found = measure.turns({"slow": slow, "quick": quick}, 1, 0.0)
    assert found["slow"].turns == 1
    assert found["quick"].turns >= 5


def test_every_peer_has_a_file_and_an_environment() -> None:
    folder = ROOT / "benchmarks" / "rivals" / "peers"
    assert {worker.module for worker in WORKERS.values()} == {path.stem for path in folder.glob("[!_]*.py")}
    assert {peer.environment for peer in PEERS.values()} == {"", *ENVIRONMENTS}
    assert set(THREAD_CASES) <= set(CASES)


def test_a_wrong_answer_is_seen() -> None:
    case = CASES["xgboost_100x6"]
    ours = np.linspace(0, 1, 2000, dtype=np.float32).reshape(1000, 2)
    agreement.agree(case, ours, ours + 1e-6, "xgboost")
    wrong = ours.copy()
    wrong[7, 0] += 0.01
    with pytest.raises(AssertionError, match=r"0\.10% of the rows are not what xgboost answers"):
        agreement.agree(case, ours, wrong, "xgboost")
    assert agreement.agree(case, ours, wrong, "onnxruntime") == pytest.approx(0.001)


def test_not_a_number_is_not_agreement() -> None:
    case = CASES["lightgbm_200x31"]
    ours = np.full((1000, 2), 0.5)
    with pytest.raises(AssertionError):
        agreement.agree(case, ours, np.full((1000, 2), np.nan), "lightgbm")


def test_one_number_for_two_classes() -> None:
    second = np.linspace(0, 1, 1000)
    agreement.agree(CASES["lightgbm_200x31"], np.stack([1 - second, second], axis=1), second, "lightgbm")


def test_labels_are_compared_one_by_one() -> None:
    ours = np.arange(1000) % 3
    with pytest.raises(AssertionError):
        agreement.agree(CASES["knn_10000"], ours, (ours + 1) % 3, "scikit-learn")


def cell(case: str, rows: int, ours_s: float, **others_s: float) -> dict[str, Any]:
    peers = {
        name: {"median_s": s, "fastest_s": s, "turns": 5, "calls": 1} for name, s in {OURS: ours_s, **others_s}.items()
    }
    return {"part": "rivals", "case": case, "rows": rows, "threads": 1, "clock": "wall", "load": 0.5, "peers": peers}


@pytest.fixture
def kept(tmp_path: Path) -> record.Record:
    found = record.Record(tmp_path / "measured.json")
    facts = record.environment()
    found.put(cell("xgboost_100x6", 1, 2e-6, xgboost=8e-6, onnxruntime=6e-6), facts)
    found.put(cell("xgboost_100x6", 100, 2e-6, xgboost=54e-6), facts)
    found.put(cell("linear_28", 1, 3e-6, faiss=2e-6), facts)
    return found


def test_a_cell_is_replaced_by_a_newer_one(kept: record.Record, tmp_path: Path) -> None:
    kept.put(cell("linear_28", 1, 1e-6, faiss=2e-6), kept.environments[0] | {"when": "later"})
    again = record.Record(tmp_path / "measured.json")
    assert [c["when"] for c in again.cells if c["case"] == "linear_28"] == ["later"]
    assert len(again.cells) == 3
    assert len(again.environments) == 2
    assert again.has("rivals", "linear_28", 1, 1)
    assert not again.has("rivals", "linear_28", 100, 1)


def test_ratios_are_of_the_best_peer(kept: record.Record) -> None:
    first, second, third = figures.cells(kept)
    assert first.ratio == pytest.approx(3)
    assert first.others_s[0][1] == "onnxruntime"
    assert figures.geometric_mean([first.ratio, second.ratio]) == pytest.approx(9)
    made = report.page(kept)["rivals"]
    assert "2.0 | 3.0 onnxruntime" in made
    assert f"behind the best peer: {third.case.label}, 1 rows (0.67 faiss)" in made


def test_threads_beside_processes_side_by_side(kept: record.Record) -> None:
    def of(threads: int, median_s: float, **more: Any) -> dict[str, Any]:
        return cell("pca_100", 10_000, median_s) | {"part": "threads", "threads": threads} | more

    kept.put(of(1, 1e-3), kept.environments[0])
    kept.put(of(2, 8e-4, apart={"median_s": 5e-4}), kept.environments[0])
    assert report.page(kept)["threads"].splitlines()[-1] == f"| {CASES['pca_100'].label} | 1,000 | 1.25 | 2.00 |"


def test_processes_side_by_side_take_as_long_as_the_slowest() -> None:
    asked: list[tuple[int, int]] = []

    class Timed:
        def __init__(self, seconds: float) -> None:
            self._seconds = seconds

        def turn(self, rows: int, calls: int) -> float:
            asked.append((rows, calls))
            return self._seconds

    assert SideBySide([Timed(0.1), Timed(0.3)]).turn(1_000, 7) == 0.3
    assert asked == [(500, 7), (500, 7)]


def test_reading_is_a_limit_and_no_peer(kept: record.Record) -> None:
    assert report.page(kept)["reading"] == ""
    figure = {"reading": {"median_s": 2e-3, "fastest_s": 2e-3, "turns": 5, "calls": 1}}
    kept.put(cell("linear_28", 10_000, 3e-3, faiss=4e-3) | figure, kept.environments[0])
    kept.put(cell("linear_28", 100, 3e-5, faiss=4e-5) | figure, kept.environments[0])
    kept.put(cell("pca_100", 10_000, 3e-3, faiss=4e-3), kept.environments[0])
    head, _, *lines = report.page(kept)["reading"].splitlines()
    assert head == "| model | 10,000 rows: reading, us | ours / reading |"
    assert lines == [f"| {CASES['linear_28'].label} | 2,000 | 1.5 |"]
    assert READING not in PEERS
    assert READING not in report.page(kept)["rivals"]


@pytest.mark.parametrize("threads", [1, 3])
def test_reading_reads_every_row(threads: int) -> None:
    call, *_ = reading.prepare(Subject("any", threads))
    rows = np.zeros((100, 7))
    rows[[5, 40, 99], 6] = 1, 2, 3
    assert call(rows).tolist() == ([3] if threads == 1 else [1, 2, 3])
    assert call(rows[:0]).max() == -np.inf


def test_the_committed_page_is_made_of_the_committed_figures() -> None:
    text = PAGE.read_text(encoding="utf-8")
    for name, made in report.page(record.Record(record.RECORD)).items():
        assert between(text, name, made, report.REPORT) == text, f"run: python -m {report.REPORT}"


def test_a_process_that_dies_says_why() -> None:
    dying = process.Process(OURS, "no-such-case", 1)
    with pytest.raises(process.PeerError, match="no-such-case"):
        dying.ready()
    dying.close()


def test_a_worker_answers_in_lines(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The whole protocol, with a peer that needs no library: ours, on a linear model."""
    import inferir
    from benchmarks.specs import MODELS, make

    spec = make(MODELS[0])
    folder = tmp_path / "build" / "rivals" / "cases" / "tiny"
    folder.mkdir(parents=True)
    model = inferir.Model(spec)
    model.save(folder / "model.apr")
    rows = np.random.default_rng(0).standard_normal((50, len(model.columns)))
    np.save(folder / "rows.npy", rows)
    (folder / "facts.json").write_text(json.dumps({"ask": "prediction", "library": "none"}))
    program = (
        "import sys, pathlib; from benchmarks.rivals import subject; "
        f"subject.FOLDER = pathlib.Path({str(tmp_path / 'build' / 'rivals')!r}); "
        "from benchmarks.rivals import worker; sys.argv = ['w', 'inferir', 'tiny', '1']; worker.main()"
    )
    requests = [{}, {"answer": 20, "file": str(tmp_path / "answer.npy")}, {"rows": 10, "calls": 3}]
    done = subprocess.run(
        [sys.executable, "-c", program],
        input="".join(json.dumps(request) + "\n" for request in requests),
        capture_output=True,
        text=True,
        cwd=ROOT,
        timeout=60,
        check=True,
    )
    ready, answered, timed = map(json.loads, done.stdout.splitlines())
    assert ready["ready"]
    assert answered == {}
    assert 0 < timed["wall"] < 30
    np.testing.assert_array_equal(np.load(tmp_path / "answer.npy"), model.predict(rows[:20]))
