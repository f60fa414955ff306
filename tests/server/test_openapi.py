"""The OpenAPI document: every route is in it, and it says what the code says."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from inferir import payload
from inferir.errors import InferirError
from inferir.server import schemas
from inferir.server.openapi import OPERATIONS, document
from inferir.server.request.replies import Reply
from inferir.server.request.routes import Route


def route(method: str, path: str, **more: Any) -> Route:
    return Route(method, path, lambda exchange: Reply(b""), **{"scope": "infer", **more})


ROUTES = [route(*key) for key in OPERATIONS]


def test_references_lead_somewhere() -> None:
    made = document(ROUTES)

    def check(value: Any) -> None:
        if isinstance(value, dict):
            if "$ref" in value:
                assert value["$ref"].rpartition("/")[2] in made["components"]["schemas"]
            for each in value.values():
                check(each)
        elif isinstance(value, list):
            for each in value:
                check(each)

    check(made)
    assert msgspec.json.decode(msgspec.json.encode(made)) == made


def test_operations_have_ids_of_their_own_and_errors() -> None:
    made = document(ROUTES)
    operations = [operation for path in made["paths"].values() for operation in path.values()]
    assert len({operation["operationId"] for operation in operations}) == len(operations) == len(OPERATIONS)
    assert all({"200", "400"} <= set(operation["responses"]) for operation in operations)


def test_versioned_paths_are_described_too() -> None:
    made = document([route("POST", "/v2/models/{name}/versions/{version}/infer", admitted=True)])
    (operation,) = made["paths"]["/v2/models/{name}/versions/{version}/infer"].values()
    names = [parameter["name"] for parameter in operation["parameters"]]
    assert names[:2] == ["name", "version"]
    assert "Inference-Header-Content-Length" in names


#: Near to requests, so that some are and some are not.
VALUES = st.one_of(st.none(), st.booleans(), st.integers(-9, 9), st.floats(allow_nan=False), st.text(max_size=3))
FEATURES = st.one_of(st.lists(VALUES, max_size=3), st.dictionaries(st.text(max_size=2), VALUES, max_size=2))
OPTIONS = st.one_of(
    st.none(),
    st.fixed_dictionaries(
        {},
        optional={
            "return_probabilities": st.one_of(st.booleans(), st.integers()),
            "top_k": st.one_of(st.none(), st.integers(-1, 3), st.booleans()),
        },
    ),
)
REQUESTS = st.fixed_dictionaries(
    {"features": FEATURES},
    optional={"model_id": st.one_of(st.none(), st.text(max_size=3), st.integers()), "options": OPTIONS},
)


def accepted(read: Any, *arguments: Any) -> bool:
    try:
        read(*arguments)
    except (InferirError, msgspec.ValidationError):
        return False
    return True


@given(REQUESTS)
def test_predict_is_described_as_it_is_read(request_: Any) -> None:
    by_schema = accepted(msgspec.convert, request_, schemas.PredictRequest)
    assert by_schema == accepted(payload.read, request_)
