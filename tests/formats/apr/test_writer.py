"""Round trips, the place of every tensor, and what is left when writing fails."""

from __future__ import annotations

import array
import ctypes
import errno
import math
import os
import stat
import struct
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import msgpack
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from inferir.errors import FileAccessError, FormatError, InferirError, InvalidInputError, UnsupportedModelError
from inferir.formats.apr import layout, read, to_bytes, write, writer
from inferir.formats.spec import DTYPES, ColumnSpec, ModelSpec, OperatorSpec, TensorSpec

names = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8)
scalars = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False) | st.text(max_size=9)
)
free_values = st.recursive(
    scalars | st.binary(max_size=9),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(names, inner, max_size=3),
    max_leaves=6,
)
free_maps = st.dictionaries(names, free_values, max_size=3)


@st.composite
def tensors(draw: st.DrawFn, name: str) -> TensorSpec:
    dtype = draw(st.sampled_from(list(DTYPES)))
    shape = tuple(
        draw(st.lists(st.integers(0, 5), max_size=layout.RANK_LIMIT).filter(lambda one: math.prod(one) < 600))
    )
    nbytes = math.prod(shape) * DTYPES[dtype]
    return TensorSpec(name, dtype, shape, memoryview(draw(st.binary(min_size=1, max_size=8)) * nbytes)[:nbytes])


@st.composite
def columns(draw: st.DrawFn, name: str) -> ColumnSpec:
    kind = draw(st.sampled_from(["number", "category", "text"]))
    categories = draw(st.lists(st.text(max_size=5), unique=True, max_size=4)) if kind == "category" else None
    return ColumnSpec(name, kind, None if categories is None else tuple(categories))


@st.composite
def specs(draw: st.DrawFn) -> ModelSpec:
    """Any model a file can hold."""
    tensor_names = draw(st.lists(names, unique=True, max_size=6))
    values = ["input"]
    operators = []
    for output in draw(st.lists(names.filter(lambda name: name != "input"), unique=True, max_size=4)):
        inputs = tuple(draw(st.lists(st.sampled_from(values), min_size=1, max_size=3)))
        roles = draw(st.dictionaries(names, st.sampled_from(tensor_names), max_size=3)) if tensor_names else {}
        operators.append(OperatorSpec(draw(names), inputs, output, draw(free_maps), roles))
        values.append(output)
    labels = st.lists(st.text(max_size=5) | st.integers(-(2**63), 2**63 - 1), unique=True, max_size=4).map(tuple)
    return ModelSpec(
        name=draw(st.text(max_size=9)),
        model_version=draw(st.text(max_size=9)),
        model_type=draw(st.sampled_from(list(layout.MODEL_TYPES))),
        task=draw(st.sampled_from(["classification", "regression", "clustering", "transform", "ranking", "anomaly"])),
        columns=tuple(draw(columns(name)) for name in draw(st.lists(names, unique=True, max_size=4))),
        operators=tuple(operators),
        tensors={name: draw(tensors(name)) for name in tensor_names},
        classes=draw(labels | st.lists(labels, min_size=1, max_size=3).map(tuple)),
        framework=draw(st.dictionaries(names, st.text(max_size=9), max_size=3)),
        created=draw(st.sampled_from(["", "2026-01-31T12:00:00Z"])),
        producer=draw(st.text(max_size=9)),
        training=draw(free_maps),
        metrics=draw(free_maps),
        baseline=draw(free_maps),
        card=draw(free_maps),
        extra={f"extra {key}": value for key, value in draw(free_maps).items()},
    )


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(specs())
def test_round_trip(spec: ModelSpec) -> None:
    data = to_bytes(spec)
    got = read(data)
    assert got == spec
    assert list(got.tensors) == list(spec.tensors)
    assert to_bytes(got) == data


@settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(specs())
def test_place_of_every_tensor(spec: ModelSpec) -> None:
    """By the file alone: in the order of the model, at multiples of 64, zeros between them, nothing after the last."""
    data = to_bytes(spec)
    payload_at, payload_nbytes = 32 + int.from_bytes(data[16:24], "little"), int.from_bytes(data[24:32], "little")
    entries = msgpack.unpackb(data[32:payload_at])["tensors"]
    assert [entry["name"] for entry in entries] == list(spec.tensors)
    end = payload_at
    for entry, tensor in zip(entries, spec.tensors.values(), strict=True):
        start = payload_at + entry["offset"]
        assert start % 64 == 0
        assert start - end < 64
        assert data[end:start] == bytes(start - end)
        end = start + entry["nbytes"]
        assert data[start:end] == tensor.data
    assert end == payload_at + payload_nbytes == len(data) - 4


def test_to_bytes_and_write_are_the_same(spec: ModelSpec, file: Path) -> None:
    assert file.read_bytes() == to_bytes(spec)


@pytest.mark.parametrize("length", range(130))
def test_first_offset_for_every_length_of_metadata(spec: ModelSpec, length: int) -> None:
    """The offset is part of the metadata whose length it depends on."""
    named = replace(spec, name="x" * length)
    assert read(to_bytes(named)) == named


def test_offsets_around_each_length_of_an_integer(spec: ModelSpec) -> None:
    """Tensors around each change of length of an integer."""
    sizes = [0, 1, 63, 64, 65, 100, 120, 127, 128]
    for base in (0, 2**7, 2**8, 2**16):
        for count in (1, 2, 5):
            for length in range(0, 70, 3):
                filler = [TensorSpec("f", "u8", (base,), memoryview(bytes(base)))] if base else []
                many = [TensorSpec(f"t{n}", "u8", (sizes[n],), memoryview(bytes(sizes[n]))) for n in range(count)]
                tensors = {one.name: one for one in filler + many}
                model = replace(spec, name="x" * length, operators=(), tensors=tensors)
                assert read(to_bytes(model)) == model


# Tensors from elsewhere


@pytest.mark.parametrize(
    ("dtype", "numpy_dtype"),
    [
        ("u8", "u1"),
        ("u8", "?"),
        ("u16", "u2"),
        ("i32", "i4"),
        ("u32", "u4"),
        ("i64", "i8"),
        ("f32", "f4"),
        ("f64", "f8"),
    ],
)
def test_numpy_arrays(spec: ModelSpec, dtype: str, numpy_dtype: str) -> None:
    values = np.array([[0, 1, 1], [1, 0, 1]], numpy_dtype)
    model = replace(spec, operators=(), tensors={"t": TensorSpec("t", dtype, (2, 3), values.data)})
    got = read(to_bytes(model)).tensors["t"]
    assert np.array_equal(np.frombuffer(got.data, numpy_dtype).reshape(got.shape), values)


@pytest.mark.parametrize(
    "values",
    [
        np.array([1, 2], "i8"),  # of another kind
        np.array([1.0, 2.0, 3.0, 4.0], "f4"),  # of another size, with the right number of bytes
        np.array([1.0, 2.0], ">f8"),  # of another byte order
        np.array([None, None]),  # pointers
        np.array([1.0, 0.0, 2.0, 0.0])[::2],  # scattered
        np.array([1 + 1j]),
    ],
    ids=["int64", "float32", "big-endian", "object", "strided", "complex"],
)
def test_other_arrays_are_refused(spec: ModelSpec, values: Any) -> None:
    model = replace(spec, operators=(), tensors={"t": TensorSpec("t", "f64", (2,), values.data)})
    with pytest.raises(InvalidInputError, match="tensor 't': expected contiguous bytes or f64, got format"):
        to_bytes(model)


def test_empty_arrays_and_scalars(spec: ModelSpec) -> None:
    tensors = {
        "empty": TensorSpec("empty", "f64", (0, 3), np.empty((0, 3)).data),
        "scalar": TensorSpec("scalar", "f64", (), np.array(7.0).data),
        "last": TensorSpec("last", "i64", (3, 0), memoryview(array.array("q"))),
    }
    model = replace(spec, operators=(), tensors=tensors)
    got = read(to_bytes(model)).tensors
    assert {name: one.data.nbytes for name, one in got.items()} == {"empty": 0, "scalar": 8, "last": 0}
    assert struct.unpack("<d", got["scalar"].data) == (7.0,)


# What the reader would refuse


def other_tensor(**changes: Any) -> Callable[[ModelSpec], ModelSpec]:
    return lambda spec: replace(spec, tensors={**spec.tensors, "w": replace(spec.tensors["w"], **changes)})


@pytest.mark.parametrize(
    ("change", "error"),
    [
        (lambda spec: replace(spec, model_type=0), UnsupportedModelError),
        (lambda spec: replace(spec, model_type=2**16), InvalidInputError),
        (lambda spec: replace(spec, model_type="1"), InvalidInputError),
        (lambda spec: replace(spec, task="generation"), FormatError),
        (lambda spec: replace(spec, name=None), FormatError),
        (lambda spec: replace(spec, created="now"), FormatError),
        (lambda spec: replace(spec, columns=(ColumnSpec("a"), ColumnSpec("a"))), FormatError),
        (lambda spec: replace(spec, classes=(1.5,)), FormatError),
        (lambda spec: replace(spec, classes=(np.int64(1),)), InvalidInputError),
        (lambda spec: replace(spec, operators=spec.operators * 2), FormatError),
        (lambda spec: replace(spec, tensors={}), FormatError),
        (lambda spec: replace(spec, metrics={"a": {1: 2}}), InvalidInputError),
        (lambda spec: replace(spec, metrics={"a": 2**64}), InvalidInputError),
        (lambda spec: replace(spec, metrics={"a": "\ud800"}), InvalidInputError),
        (lambda spec: replace(spec, extra={"name": "b"}), InvalidInputError),
        (lambda spec: replace(spec, extra={"x": object()}), InvalidInputError),
        (other_tensor(name="v"), InvalidInputError),
        (other_tensor(dtype="object"), FormatError),
        (other_tensor(dtype="u64", data=memoryview(bytes(16))), FormatError),
        (other_tensor(shape=(3,)), FormatError),
        (other_tensor(shape=(-2,)), FormatError),
        (other_tensor(shape=(2, *[1] * 8)), FormatError),
        (other_tensor(shape=(np.int64(2),)), InvalidInputError),
    ],
)
def test_refused_before_a_byte_is_written(
    spec: ModelSpec, tmp_path: Path, change: Callable[[ModelSpec], ModelSpec], error: type[InferirError]
) -> None:
    with pytest.raises(error):
        to_bytes(change(spec))
    with pytest.raises(error):
        write(change(spec), tmp_path / "model.apr")
    assert list(tmp_path.iterdir()) == []


# Files


def test_new_file_replaces_the_old_one(spec: ModelSpec, file: Path) -> None:
    newer = replace(spec, model_version="2")
    write(newer, file)
    assert read(file) == newer
    assert list(file.parent.iterdir()) == [file]


def test_mode_is_that_of_any_new_file(file: Path) -> None:
    (plain := file.with_name("plain")).touch()
    assert stat.S_IMODE(file.stat().st_mode) == stat.S_IMODE(plain.stat().st_mode)


def test_link_is_followed(spec: ModelSpec, file: Path, tmp_path: Path) -> None:
    link = tmp_path / "current.apr"
    link.symlink_to(file)
    write(replace(spec, model_version="2"), link)
    assert link.is_symlink()
    assert read(file).model_version == "2"


def test_open_map_keeps_the_old_file(spec: ModelSpec, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(layout, "MAP_ABOVE_BYTES", 0)
    old = read(file)
    write(replace(spec, operators=(), tensors={}), file)
    assert old == spec


def failing(*_: object) -> None:
    raise OSError(errno.EIO, "Input/output error")


@pytest.mark.parametrize("call", ["fsync", "replace"])
def test_failure_leaves_the_old_file_and_nothing_else(
    spec: ModelSpec, file: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = file.read_bytes()
    monkeypatch.setattr(os, call, failing)
    with pytest.raises(FileAccessError, match=r"model\.apr: expected a file to write, got: .*Input/output error"):
        write(replace(spec, model_version="2"), file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_interrupt_leaves_the_old_file_and_nothing_else(
    spec: ModelSpec, file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    before = file.read_bytes()
    monkeypatch.setattr(writer.zlib, "crc32", interrupt)
    with pytest.raises(KeyboardInterrupt):
        write(spec, file)
    assert file.read_bytes() == before
    assert list(file.parent.iterdir()) == [file]


def test_order_of_sync_and_rename(spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """File synced, renamed, directory synced: otherwise a crash may leave a name without its bytes."""
    done = []
    fsync, rename = os.fsync, os.replace

    def sync(descriptor: int) -> None:
        done.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        fsync(descriptor)

    def move(source: str, target: str) -> None:
        assert read(source) == spec
        done.append("rename")
        rename(source, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(os, "replace", move)
    write(spec, tmp_path / "model.apr")
    assert done == ["file", "rename", "directory"]


def test_failed_sync_of_the_directory_is_told(spec: ModelSpec, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            failing()

    monkeypatch.setattr(os, "fsync", sync)
    with pytest.raises(FileAccessError, match="Input/output error"):
        write(spec, file)
    assert list(file.parent.iterdir()) == [file]


def test_directory_that_cannot_be_synced_at_all(spec: ModelSpec, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def sync(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(errno.EINVAL, "Invalid argument")

    monkeypatch.setattr(os, "fsync", sync)
    write(spec, file)
    assert read(file) == spec


@pytest.mark.parametrize("path", ["none/model.apr", ".", "a\0b", "\ud800", "x" * 300])
def test_path_that_cannot_be_written(
    spec: ModelSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileAccessError, match="expected a file to write"):
        write(spec, path)
    assert list(tmp_path.iterdir()) == []


# Time


def test_created_now_is_utc(spec: ModelSpec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH", raising=False)
    before = math.floor(time.time())
    created = writer.created_now()
    moment = datetime.strptime(created, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=timezone.utc)
    assert before <= moment.timestamp() <= time.time()
    assert read(to_bytes(replace(spec, created=created))).created == created


@pytest.mark.parametrize(
    ("epoch", "created"),
    [
        ("0", "1970-01-01T00:00:00Z"),
        ("1709164800", "2024-02-29T00:00:00Z"),
        ("253402300799", "9999-12-31T23:59:59Z"),
    ],
)
def test_source_date_epoch(monkeypatch: pytest.MonkeyPatch, epoch: str, created: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    assert writer.created_now() == created


@pytest.mark.parametrize("epoch", ["-1", "1.5", "now", "\u0661", " 1", "253402300800", "9" * 5000])
def test_source_date_epoch_that_is_no_time(monkeypatch: pytest.MonkeyPatch, epoch: str) -> None:
    monkeypatch.setenv("SOURCE_DATE_EPOCH", epoch)
    with pytest.raises(InvalidInputError, match="SOURCE_DATE_EPOCH: expected seconds since 1970"):
        writer.created_now()


def test_ctypes_bytes(spec: ModelSpec) -> None:
    data = (ctypes.c_double * 2)(1.5, 2.5)
    model = replace(spec, tensors={**spec.tensors, "w": TensorSpec("w", "f64", (2,), memoryview(data).cast("B"))})
    assert to_bytes(model) == to_bytes(spec)


def test_a_pipe_a_device_or_a_directory_is_left_alone(spec: ModelSpec, tmp_path: Path) -> None:
    """A rename would put a file in the place of /dev/null."""
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for target in (pipe, folder):
        with pytest.raises(FileAccessError, match="not a regular file"):
            write(spec, target)
    assert stat.S_ISFIFO(pipe.stat().st_mode)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folder", "pipe"]
