"""Opening, naming, renaming: what happens to the files themselves."""

from __future__ import annotations

import gc
import gzip
import io
import os
import random
import stat
import subprocess
import sys
import textwrap
import threading
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from inferir.datafiles import FORMATS, format_of, open_rows, open_writer
from inferir.errors import DimensionError, FileAccessError, InvalidInputError
from inferir.formats.spec import ColumnSpec
from tests.patience import PATIENCE_S

COLUMNS = (ColumnSpec("a"), ColumnSpec("b"))
TEXT_FORMATS = ["csv", "json", "jsonl"]


def write(path: Path | str, columns: dict[str, Any], **options: Any) -> None:
    with open_writer(path, list(columns), **options) as writer:
        writer.write(columns)


def read_all(path: Path) -> list[Any]:
    with open_rows(path, COLUMNS) as reader:
        return list(reader)


class StandardStream:
    def __init__(self, content: bytes = b"") -> None:
        self.buffer = io.BytesIO(content)


class TestFormats:
    @pytest.mark.parametrize(
        ("path", "expected"),
        [
            ("x.csv", "csv"),
            ("x.TSV", "csv"),
            ("dir.json/x.csv.gz", "csv"),
            ("x.ndjson", "jsonl"),
            ("x.jsonl.gz", "jsonl"),
            ("x.json", "json"),
            ("x.pq", "parquet"),
            ("x.feather", "arrow"),
        ],
    )
    def test_by_suffix(self, path: str, expected: str) -> None:
        assert format_of(path) == expected

    @pytest.mark.parametrize("path", ["x", "x.txt", "x.parquet.gz", "csv", ".gz", "x.csv.zip"])
    def test_unknown_suffix(self, path: str) -> None:
        with pytest.raises(InvalidInputError, match=r"expected a file that ends in \.csv, .*\.ipc, \.csv\.gz"):
            format_of(path)

    def test_asked_for(self) -> None:
        assert format_of("x.data", "json") == "json"
        with pytest.raises(InvalidInputError, match=r"expected a format among csv, .*, got 'xml'"):
            format_of("x.csv", "xml")
        with pytest.raises(InvalidInputError, match="standard input and output have no suffix"):
            format_of("-")


class TestInput:
    def test_missing(self, tmp_path: Path) -> None:
        with pytest.raises(FileAccessError, match=r"no\.csv: No such file"):
            open_rows(tmp_path / "no.csv", COLUMNS)

    def test_directory(self, tmp_path: Path) -> None:
        (tmp_path / "x.csv").mkdir()
        for path in (tmp_path, tmp_path / "x.csv"):
            with pytest.raises(FileAccessError, match="expected a file, got a directory"):
                open_rows(path, COLUMNS)

    @pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may read every file")
    def test_no_right_to_read(self, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        path.write_text("a,b\n1,2\n")
        path.chmod(0)
        with pytest.raises(FileAccessError, match="Permission denied"):
            open_rows(path, COLUMNS)

    @pytest.mark.parametrize("suffix", ["csv", "json", "jsonl", "parquet", "arrow"])
    def test_empty(self, tmp_path: Path, suffix: str) -> None:
        path = tmp_path / f"x.{suffix}"
        path.write_bytes(b"")
        with pytest.raises(InvalidInputError, match="expected rows, got an empty file"):
            open_rows(path, COLUMNS)

    @pytest.mark.parametrize("file_format", TEXT_FORMATS)
    @pytest.mark.parametrize("content", [b"\n\n  \n", b"\xef\xbb\xbf"])
    def test_nothing_but_space(self, tmp_path: Path, file_format: str, content: bytes) -> None:
        path = tmp_path / f"x.{file_format}"
        path.write_bytes(content)
        with pytest.raises(InvalidInputError, match="expected rows, got an empty file"):
            open_rows(path, COLUMNS)

    @pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
    @pytest.mark.parametrize("rows_before", [0, 5, 5000])
    @pytest.mark.parametrize("zipped", [False, True])
    def test_bytes_that_are_not_utf8(self, tmp_path: Path, mark: bytes, rows_before: int, zipped: bool) -> None:
        good = mark + b"a,b\n" + b"1,2\n" * rows_before
        content = good + b"1,\xff\n" + b"1,2\n" * 10
        path = tmp_path / ("x.csv.gz" if zipped else "x.csv")
        path.write_bytes(gzip.compress(content) if zipped else content)
        with pytest.raises(InvalidInputError, match=rf"got the byte 0xff at offset {len(good) + 2}$"):
            read_all(path)

    def test_a_character_that_is_cut_off(self, tmp_path: Path) -> None:
        path = tmp_path / "x.csv"
        path.write_bytes(b"a,b\n1,2\n1,\xe2\x82")
        with pytest.raises(InvalidInputError, match="byte 0xe2 at offset 10"):
            read_all(path)

    @pytest.mark.parametrize(
        "damage", [lambda z: z[:-9], lambda z: z[:30], lambda z: z[:-8] + bytes(8), lambda z: b"a,b\n"]
    )
    def test_damaged_gzip(self, tmp_path: Path, damage: Any) -> None:
        path = tmp_path / "x.csv.gz"
        path.write_bytes(damage(gzip.compress(b"a,b\n" + random.Random(0).randbytes(3000).hex().encode() + b",1\n")))
        with pytest.raises(InvalidInputError, match="expected a complete gzip file"):
            read_all(path)

    def test_standard_input(self, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = StandardStream(b"b,a\n1,2\n3,4\n")
        monkeypatch.setattr(sys, "stdin", stream)
        with open_rows("-", COLUMNS, file_format="csv") as reader:
            (batch,) = reader
            assert reader.bytes_total is None
            assert reader.bytes_done == 12
        np.testing.assert_array_equal(batch["a"], [2, 4])
        del reader
        assert not stream.buffer.closed

    @pytest.mark.parametrize("file_format", TEXT_FORMATS)
    def test_progress(self, tmp_path: Path, file_format: str) -> None:
        path = tmp_path / f"x.{file_format}.gz"
        random = np.random.default_rng(0).random(50_000)  # gzip reads 128 KiB at a time
        write(path, {"a": random, "b": random})
        seen = []
        with open_rows(path, COLUMNS, batch_rows=2000) as reader:
            for number, _ in enumerate(reader):
                assert reader.first_row == 2000 * number
                seen.append(reader.bytes_done)
            assert reader.bytes_done == reader.bytes_total == path.stat().st_size
        assert seen == sorted(seen)
        assert seen[0] < path.stat().st_size / 2

    def test_memory_does_not_grow_with_the_file(self, tmp_path: Path) -> None:
        peaks = []
        for rows in (20_000, 20_000, 100_000):  # the first reading also fills caches
            path = tmp_path / "x.csv"
            path.write_text("a,b\n" + "0.125,3\n" * rows)
            gc.collect()
            tracemalloc.start()
            with open_rows(path, COLUMNS, batch_rows=1000) as reader:
                assert sum(len(batch["a"]) for batch in reader) == rows
            peaks.append(tracemalloc.get_traced_memory()[1])
            tracemalloc.stop()
        assert peaks[2] < 1.2 * peaks[1]

    @pytest.mark.parametrize("file_format", ["csv", "jsonl", "json"])
    def test_an_endless_line(self, tmp_path: Path, file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
        for module in ("delimited", "json_values"):
            monkeypatch.setattr(f"inferir.datafiles.{module}.LONGEST_TEXT", 100_000)
        path = tmp_path / f"x.{file_format}"
        path.write_text("a,b\n" + "1" * 500_000 if file_format == "csv" else '[{"a": "' + "1" * 500_000)
        with pytest.raises(InvalidInputError, match=r"of (less than|at most) 100000 characters"):
            read_all(path)


class TestOutput:
    @pytest.mark.parametrize("file_format", sorted(FORMATS))
    def test_it_appears_when_it_is_complete(self, tmp_path: Path, file_format: str) -> None:
        path = tmp_path / f"x.{file_format}"
        with open_writer(path, ["a"]) as writer:
            writer.write({"a": [1]})
            assert not path.exists()
        assert [entry.name for entry in tmp_path.iterdir()] == [path.name]

    @pytest.mark.parametrize("file_format", [*sorted(FORMATS), "csv.gz"])
    def test_a_failure_leaves_what_was_there(self, tmp_path: Path, file_format: str) -> None:
        path = tmp_path / f"x.{file_format}"
        path.write_bytes(b"before")
        with pytest.raises(RuntimeError, match="stop"), open_writer(path, ["a"]) as writer:  # noqa: PT012
            writer.write({"a": [1]})
            raise RuntimeError("stop")
        assert path.read_bytes() == b"before"
        assert list(tmp_path.iterdir()) == [path]

    def test_a_value_that_cannot_be_written(self, tmp_path: Path) -> None:
        for file_format in TEXT_FORMATS:
            with pytest.raises(InvalidInputError, match=r"column 'a': expected text, a number, .* got list"):
                write(tmp_path / f"x.{file_format}", {"a": [[1]]})
        with pytest.raises(InvalidInputError, match="UTF-8"):
            write(tmp_path / "x.csv", {"a": ["\ud800"]})
        assert not list(tmp_path.iterdir())

    def test_columns_that_do_not_fit(self, tmp_path: Path) -> None:
        with (
            pytest.raises(DimensionError, match=r"expected the columns \['a'\], got \['b'\]"),
            open_writer(tmp_path / "x.csv", ["a"]) as writer,
        ):
            writer.write({"b": [1]})
        with pytest.raises(DimensionError, match="expected columns of one length"):
            write(tmp_path / "x.csv", {"a": [1], "b": [1, 2]})
        with pytest.raises(DimensionError, match="expected one dimension, got 2"):
            write(tmp_path / "x.csv", {"a": np.zeros((1, 2))})

    def test_no_directory(self, tmp_path: Path) -> None:
        with pytest.raises(FileAccessError, match="No such file"):
            open_writer(tmp_path / "no" / "x.csv", ["a"])
        with pytest.raises(FileAccessError, match="directory"):
            open_writer(tmp_path, ["a"])

    @pytest.mark.skipif(sys.platform == "win32", reason="rights of POSIX")
    def test_rights_are_those_of_a_new_file_or_of_the_old_one(self, tmp_path: Path) -> None:
        path, plain = tmp_path / "x.csv", tmp_path / "plain"
        plain.write_text("")
        write(path, {"a": [1]})
        assert path.stat().st_mode == plain.stat().st_mode
        path.chmod(0o640)
        write(path, {"a": [1]})
        assert stat.S_IMODE(path.stat().st_mode) == 0o640

    @pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
    def test_a_link_stays_a_link(self, tmp_path: Path) -> None:
        real, link = tmp_path / "real.csv", tmp_path / "link.csv"
        link.symlink_to(real)
        write(link, {"a": [1]})
        assert link.is_symlink()
        assert real.read_text() == "a\n1\n"

    @pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
    def test_a_pipe_is_written_to(self, tmp_path: Path) -> None:
        path = tmp_path / "pipe.csv"
        os.mkfifo(path)
        read: list[bytes] = []
        thread = threading.Thread(target=lambda: read.append(path.read_bytes()), daemon=True)
        thread.start()
        write(path, {"a": [1]})
        thread.join(PATIENCE_S)
        assert read == [b"a\n1\n"]

    def test_a_full_disk(self, tmp_path: Path) -> None:
        if not os.path.exists("/dev/full"):
            pytest.skip("no device that is always full")
        link = tmp_path / "x.csv"
        link.symlink_to("/dev/full")
        with pytest.raises(FileAccessError, match="No space left"):
            write(link, {"a": list(range(100_000))})

    @pytest.mark.parametrize("file_format", sorted(FORMATS))
    def test_standard_output(self, tmp_path: Path, file_format: str, monkeypatch: pytest.MonkeyPatch) -> None:
        stream = StandardStream()
        monkeypatch.setattr(sys, "stdout", stream)
        write("-", {"a": [1, 2]}, file_format=file_format)
        write(tmp_path / f"x.{file_format}", {"a": [1, 2]})
        assert stream.buffer.getvalue() == (tmp_path / f"x.{file_format}").read_bytes()

    def test_gzip_is_the_same_every_time(self, tmp_path: Path) -> None:
        write(tmp_path / "x.csv.gz", {"a": [1]})
        write(tmp_path / "y.csv.gz", {"a": [1]})
        assert (tmp_path / "x.csv.gz").read_bytes() == (tmp_path / "y.csv.gz").read_bytes()
        assert gzip.decompress((tmp_path / "x.csv.gz").read_bytes()) == b"a\n1\n"


def test_without_pyarrow(tmp_path: Path) -> None:
    code = f"""
    import sys
    sys.modules["pyarrow"] = None
    from inferir.datafiles import open_rows, open_writer
    from inferir.errors import BackendError
    from inferir.formats.spec import ColumnSpec

    with open_writer({str(tmp_path / "x.csv")!r}, ["a"]) as writer:
        writer.write({{"a": [1]}})
    open({str(tmp_path / "x.parquet")!r}, "wb").write(b"PAR1")
    for call in (lambda: open_rows({str(tmp_path / "x.parquet")!r}, [ColumnSpec("a")]),
                 lambda: open_writer({str(tmp_path / "y.arrow")!r}, ["a"])):
        try:
            call()
        except BackendError as error:
            assert 'pip install "inferir[data]"' in str(error), error
        else:
            raise AssertionError("no error")
    """
    completed = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )
    assert completed.returncode == 0, completed.stderr
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["x.csv", "x.parquet"]
