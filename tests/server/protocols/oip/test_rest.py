"""Requests and answers of the Open Inference Protocol as bytes: the exact ones, and hostile ones."""

from __future__ import annotations

import json
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import InvalidInputError
from inferir.server.protocols.oip import rest
from inferir.server.protocols.oip.messages import TensorMetadata
from inferir.server.protocols.oip.rest import InferRequest, Wanted, encode
from inferir.server.protocols.oip.tensors import Tensor

TWO_COLUMNS = [TensorMetadata("input", "FP32", [-1, 2])]


def body(*inputs: dict[str, Any], **more: Any) -> bytes:
    return json.dumps({"inputs": inputs, **more}).encode()


def tensor(data: Any, shape: list[Any], datatype: str = "FP64", **parameters: Any) -> dict[str, Any]:
    made = {"name": "x", "shape": shape, "datatype": datatype}
    return made | ({"data": data} if data is not None else {}) | ({"parameters": parameters} if parameters else {})


def binary(size: Any, shape: list[int], datatype: str = "FP32", name: str = "x") -> dict[str, Any]:
    return {"name": name, "shape": shape, "datatype": datatype, "parameters": {"binary_data_size": size}}


def decode(data: bytes | bytearray, length: str | None, inputs: list[TensorMetadata]) -> InferRequest:
    return rest.read(*rest.split(memoryview(data), length, inputs))


def read(head: bytes, tail: bytes = b"", length: str | None = None) -> InferRequest:
    return decode(head + tail, length or (str(len(head)) if tail else None), TWO_COLUMNS)


def only(request: InferRequest) -> Tensor:
    (found,) = request.inputs
    return found


class TestJson:
    @pytest.mark.parametrize("data", [[1, 2.5, 3, 4], [[1, 2.5], [3, 4]]], ids=["flat", "nested"])
    @pytest.mark.parametrize("datatype", ["FP16", "FP32", "FP64"])
    def test_numbers(self, data: Any, datatype: str) -> None:
        found = only(read(body(tensor(data, [2, 2], datatype))))
        np.testing.assert_array_equal(found.data, [[1, 2.5], [3, 4]])
        assert found.data.dtype == f"f{int(datatype[2:]) // 8}"

    @pytest.mark.parametrize(
        ("datatype", "data", "dtype"),
        [
            ("INT8", [-128, 127], "i1"),
            ("UINT8", [0, 255], "u1"),
            ("INT64", [-(2**63), 2**63 - 1], "i8"),
            ("UINT64", [0, 2**64 - 1], "u8"),
            ("BOOL", [True, False], "?"),
        ],
    )
    def test_the_whole_range(self, datatype: str, data: list[Any], dtype: str) -> None:
        found = only(read(body(tensor(data, [2], datatype))))
        assert found.data.dtype == dtype
        assert found.data.tolist() == data

    def test_null_is_missing(self) -> None:
        found = only(read(body(tensor([None, 1], [2]))))
        np.testing.assert_array_equal(found.data, [np.nan, 1])

    @pytest.mark.parametrize("data", [["a", "ü"], [["a"], ["ü"]]])
    def test_strings(self, data: Any) -> None:
        assert only(read(body(tensor(data, [2, 1], "BYTES")))).data == ["a", "ü"]

    def test_data_before_its_datatype(self) -> None:
        text = b'{"inputs":[{"data":[1],"shape":[1],"datatype":"INT8","name":"x"}]}'
        assert only(read(text)).data.dtype == "i1"

    def test_what_others_add_is_left_alone(self) -> None:
        more = {"parameters": {"content_type": "pd", "headers": {"a": [1]}}, "outputs": None, "id": None, "extra": 1}
        assert only(read(body(tensor([1], [1]), **more))).data.tolist() == [1]

    def test_id_and_timeout(self) -> None:
        request = read(body(tensor([1], [1]), id="a b", parameters={"timeout": 2500, "priority": 1}))
        assert (request.id, request.timeout_s) == ("a b", 0.0025)

    @pytest.mark.parametrize(
        ("item", "says"),
        [
            (tensor([1, 2, 3], [2, 2]), "expected 4 elements of shape [2, 2], got 3"),
            (tensor([[1, 2, 3], [4]], [2, 2]), "expected data of shape [2, 2]"),
            (tensor([[1, 2], [3, 4]], [1, 4]), "of shape [2, 2]"),
            (tensor([[[1]]], [1, 1]), "Expected `float | null`"),
            (tensor([1], [-1]), ">= 0"),
            (tensor([1], ["1"]), "Expected `int`"),
            (tensor([1], 1), "Expected `array`"),
            (tensor([1], [10**30]), "shape"),
            (tensor([1] * 9, [1] * 9), "length <= 8"),
            (tensor([256], [1], "UINT8"), "<= 255"),
            (tensor([-129], [1], "INT8"), ">= -128"),
            (tensor([2**64], [1], "UINT64"), "input 'x'"),
            (tensor([-1], [1], "UINT64"), ">= 0"),
            (tensor([1.5], [1], "INT32"), "got `float`"),
            (tensor([1], [1], "BOOL"), "got `int`"),
            (tensor(["a"], [1]), "got `str`"),
            (tensor([1], [1], "BYTES"), "got `int`"),
            (tensor([["a"], ["b", "c"]], [2, 1], "BYTES"), "expected lists of 1 elements in dimension 1, got 2"),
            (tensor([["a", "b"], ["c"]], [2, 1], "BYTES"), "dimension 1, got 2"),
            (tensor([["a"]], [2, 1], "BYTES"), "dimension 0, got 1"),
            (tensor(["a"], [2], "BYTES"), "expected 2 elements, got 1"),
            (tensor([1e300], [1], "FP32"), "too large for FP32"),
            (tensor([70000], [1], "FP16"), "too large for FP16"),
            (tensor([1], [1], "FP8"), "FP8"),
            (tensor(None, [1]), "expected data, or binary_data_size"),
            (tensor({}, [1]), "Expected `array`"),
            (tensor([1], [1], binary_data_size=8), "got both"),
            (binary(8, [2]), "expected the header"),
        ],
    )
    def test_refused_with_what_was_expected(self, item: dict[str, Any], says: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            read(body(item))
        assert says in caught.value.message

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            (b"", "JSON"),
            (b"[]", "Expected `object`"),
            (b"{}", "missing required field `inputs`"),
            (b'{"inputs":[]}', "length >= 1"),
            (b'{"inputs":[1]}', "$.inputs[0]"),
            (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[NaN]}]}', "invalid character"),
            (b'{"inputs":[{"name":"x","shape":[1],"datatype":"FP32","data":[1e999]}]}', "out of range"),
            (b'{"inputs":[{"name":"\xff"}]}', "JSON"),
            (b'{"inputs":' + b"[" * 100_000, "Expected `object`"),
            (b'{"inputs":[{"data":' + b"[" * 100_000, "depth"),
        ],
    )
    def test_what_is_no_request(self, text: bytes, says: str) -> None:
        with pytest.raises(InvalidInputError, match="expected") as caught:
            read(text)
        assert says in caught.value.message

    def test_data_that_are_no_utf_8(self) -> None:
        """They are decoded when their datatype is known, after the rest."""
        text = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "BYTES", "data": ["A\xff"]}]}'
        with pytest.raises(InvalidInputError, match="input 'x': expected data of datatype BYTES: 'utf-8' codec"):
            read(text)

    def test_names_are_there_once(self) -> None:
        with pytest.raises(InvalidInputError, match="every input once, got 'x' twice"):
            read(body(tensor([1], [1]), tensor([1], [1])))
        with pytest.raises(InvalidInputError, match="every output once"):
            read(body(tensor([1], [1]), outputs=[{"name": "a"}, {"name": "a"}]))


class TestBinary:
    def test_tensors_in_the_order_of_inputs(self) -> None:
        first = struct.pack("<2f", 1.5, 2.5)
        second = b"\x03\0\0\0red\x00\0\0\0"
        head = body(binary(8, [2]), tensor([7], [1]) | {"name": "y"}, binary(len(second), [2], "BYTES", "z"))
        request = read(head, first + second)
        assert request.inputs[0].data.tolist() == [1.5, 2.5]
        assert request.inputs[1].data.tolist() == [7]
        assert request.inputs[2].data == ["red", ""]

    def test_no_copy(self) -> None:
        head = body(binary(16, [2, 2]))
        head += b" " * (-len(head) % 8)
        data = bytearray(head + struct.pack("<4f", 1, 2, 3, 4))
        array = only(decode(data, str(len(head)), TWO_COLUMNS)).data
        data[-4:] = struct.pack("<f", 9)
        assert array.tolist() == [[1, 2], [3, 9]]

    @pytest.mark.parametrize(
        ("head", "tail", "says"),
        [
            (body(binary(8, [2])), b"1234", "expected 8 bytes of binary data, 4 are left"),
            (body(binary(8, [2])), b"1" * 9, "expected 8 bytes behind the JSON, as the inputs say, got 9"),
            (body(binary(4, [2])), b"1234", "expected 8 bytes for FP32 of shape [2], got 4"),
            (body(binary(-1, [2])), b"1" * 8, "number of bytes, got -1"),
            (body(binary(True, [1])), b"1", "number of bytes, got True"),
            (body(binary("8", [2])), b"1" * 8, "number of bytes, got '8'"),
            (body(binary(2**62, [2**53, 2**53, 8])), b"1", "are left"),
            (body(binary(0, [2**53], "BYTES")), b"1", "BYTES elements of at least 4 bytes"),
            (body(binary(4, [1], "BYTES")), b"\xff\xff\xff\xff", "ends 4294967295 bytes behind"),
            (body(binary(5, [1], "BYTES")), b"\x01\0\0\0\xff", "expected UTF-8"),
            (body(binary(8, [1], "BYTES")), b"\0\0\0\0\0\0\0\0", "they take 4"),
            (body(tensor([1], [1])), b"1", "expected 0 bytes behind the JSON"),
        ],
    )
    def test_lengths_are_not_believed(self, head: bytes, tail: bytes, says: str) -> None:
        with pytest.raises(InvalidInputError) as caught:
            read(head, tail)
        assert says in caught.value.message

    @pytest.mark.parametrize("length", ["-1", "1.0", "x", "", "9" * 5000, "1000", "\u0661", "+5", "0x1"])
    def test_header_length_is_a_number_within_the_body(self, length: str) -> None:
        with pytest.raises(InvalidInputError, match="Inference-Header-Content-Length"):
            decode(b"{}", length, TWO_COLUMNS)

    def test_raw(self) -> None:
        request = decode(struct.pack("<4f", 1, 2, 3, 4), "0", TWO_COLUMNS)
        assert request.binary
        assert only(request).data.tolist() == [[1, 2], [3, 4]]

    def test_raw_of_half_a_row(self) -> None:
        with pytest.raises(InvalidInputError, match="rows of 8 bytes"):
            decode(b"1234", "0", TWO_COLUMNS)

    def test_raw_of_several_inputs(self) -> None:
        with pytest.raises(InvalidInputError, match="one input"):
            decode(b"1234", "0", [*TWO_COLUMNS, *TWO_COLUMNS])

    @given(st.binary(max_size=200), st.one_of(st.none(), st.integers(-5, 300).map(str), st.text(max_size=5)))
    def test_any_bytes_are_refused_or_read(self, data: bytes, length: str | None) -> None:
        with suppress(InvalidInputError):
            decode(data, length, TWO_COLUMNS)

    def test_a_shape_that_no_array_has_is_refused(self) -> None:
        tensor = {"name": "x", "shape": [0, 1 << 40, 1 << 40], "datatype": "FP32"}
        for sent in ({"parameters": {"binary_data_size": 0}}, {"data": []}):
            head = json.dumps({"inputs": [{**tensor, **sent}]}).encode()
            with pytest.raises(InvalidInputError, match="'x': expected the shape of an array, got"):
                decode(head, str(len(head)) if "parameters" in sent else None, TWO_COLUMNS)

    @given(
        st.lists(st.integers(-3, 2**70), max_size=9),
        st.sampled_from(["BOOL", "UINT8", "INT64", "FP16", "BF16", "FP32", "BYTES", "FP128"]),
        st.one_of(st.integers(-9, 99), st.booleans(), st.text(), st.none(), st.floats()),
        st.binary(max_size=64),
    )
    def test_any_header_is_refused_or_exact(self, shape: list[int], datatype: str, size: Any, tail: bytes) -> None:
        head = body(binary(size, shape, datatype))
        try:
            found = only(decode(head + tail, str(len(head)), TWO_COLUMNS))
        except InvalidInputError:
            return
        assert list(found.shape) == shape
        assert size == len(tail)


class TestOutputs:
    @pytest.mark.parametrize(
        ("parameters", "output", "expected"),
        [
            ({}, {}, False),
            ({"binary_data_output": True}, {}, True),
            ({"binary_data_output": True}, {"binary_data": False}, False),
            ({}, {"binary_data": True}, True),
        ],
    )
    def test_each_output_says_so_for_itself(self, parameters: Any, output: Any, expected: bool) -> None:
        outputs = [{"name": "a", "parameters": output}]
        request = read(body(tensor([1], [1]), parameters=parameters, outputs=outputs))
        assert request.outputs == (Wanted("a", expected),)

    @pytest.mark.parametrize(
        "more",
        [
            {"parameters": {"binary_data_output": 1}},
            {"parameters": {"timeout": -1}},
            {"parameters": {"timeout": "1"}},
            {"outputs": [{"name": "a", "parameters": {"binary_data": "yes"}}]},
            {"outputs": [{"name": "a", "parameters": {"classification": -1}}]},
            {"outputs": [{"name": "a", "parameters": {"classification": True}}]},
        ],
    )
    def test_parameters_of_another_kind(self, more: dict[str, Any]) -> None:
        with pytest.raises(InvalidInputError, match="expected"):
            read(body(tensor([1], [1]), **more))

    def test_json(self) -> None:
        answers = [("a", np.array([1, 2])), ("b", np.array([[0.5, np.nan]])), ("c", ["x", "y"])]
        wanted = [Wanted(name, False) for name, _ in answers]
        data, length = encode("m", "1", "7", wanted, answers)
        assert length is None
        assert json.loads(data) == {
            "model_name": "m",
            "model_version": "1",
            "id": "7",
            "outputs": [
                {"name": "a", "datatype": "INT64", "shape": [2], "data": [1, 2]},
                {"name": "b", "datatype": "FP64", "shape": [1, 2], "data": [0.5, None]},
                {"name": "c", "datatype": "BYTES", "shape": [2], "data": ["x", "y"]},
            ],
        }

    def test_json_and_binary_mixed(self) -> None:
        answers = [("a", np.array([1, 2])), ("b", np.array([0.5], np.float32)), ("c", [["x", "yz"]])]
        wanted = [Wanted("a", True), Wanted("b", False), Wanted("c", True)]
        data, length = encode("m", "1", None, wanted, answers)
        assert length is not None
        head = json.loads(data[:length])
        assert "id" not in head
        assert head["outputs"][0]["parameters"] == {"binary_data_size": 16}
        assert head["outputs"][1]["data"] == [0.5]
        assert head["outputs"][2] == {
            "name": "c",
            "datatype": "BYTES",
            "shape": [1, 2],
            "parameters": {"binary_data_size": 11},
        }
        assert data[length:] == struct.pack("<2q", 1, 2) + b"\x01\0\0\0x\x02\0\0\0yz"
