"""Point 15 of the conformance list: every trigger in, its answer in the shape that the sender reads.

The shapes of events are those of AWS's documentation (docs.aws.amazon.com/lambda/latest/dg, the page of each service).
"""

from __future__ import annotations

import base64
import gzip
import io
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from inferir.errors import InferirError, InvalidInputError
from inferir.lambda_entry import records
from inferir.lambda_entry.call import Call
from inferir.lambda_entry.errors import RequestError
from tests.lambda_entry.parts import Line, Lines, make_function

ONE = {"features": [60, "red", 100]}
CALL = Call("r-1", 0)


def http_api(method: str = "POST", path: str = "/predict", body: Any = ONE, **headers: str) -> dict[str, Any]:
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": "a=1&a=2",
        "cookies": ["one=1", "two=2"],
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        "requestContext": {"http": {"method": method, "path": path}, "requestId": "x", "stage": "$default"},
        **text(body),
    }


def rest_api(method: str = "POST", path: str = "/predict", body: Any = ONE, **headers: str) -> dict[str, Any]:
    dashed = {name.replace("_", "-"): value for name, value in headers.items()}
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": method,
        "headers": dashed,
        "multiValueHeaders": {name: [value] for name, value in dashed.items()},
        "queryStringParameters": None,
        "multiValueQueryStringParameters": None,
        "requestContext": {"stage": "prod", "httpMethod": method, "identity": {"sourceIp": "192.0.2.1"}},
        **text(body),
    }


def balancer(method: str = "POST", path: str = "/predict", body: Any = ONE, **headers: str) -> dict[str, Any]:
    return {
        "requestContext": {"elb": {"targetGroupArn": "arn:aws:elasticloadbalancing:x"}},
        "httpMethod": method,
        "path": path,
        "queryStringParameters": {"q": "a%20b%26"},
        "headers": {name.replace("_", "-"): value for name, value in headers.items()},
        **text(body),
    }


def text(body: Any) -> dict[str, Any]:
    if isinstance(body, bytes):
        return {"body": base64.b64encode(body).decode(), "isBase64Encoded": True}
    return {"body": body if body is None or isinstance(body, str) else json.dumps(body), "isBase64Encoded": False}


HTTP = pytest.mark.parametrize("make", [http_api, rest_api, balancer])


def ask(event: Any, **options: Any) -> Any:
    return make_function(**options).respond(event, CALL)


def test_invoked_directly_the_event_is_the_request() -> None:
    said = ask(ONE)
    assert said == {
        "prediction": "old",
        "latency_ms": said["latency_ms"],
        "model_id": "line",
        "model_version": "1.2.0",
        "request_id": "r-1",
    }


@HTTP
@pytest.mark.parametrize("body", [ONE, json.dumps(ONE).encode()])
def test_a_prediction_over_http(make: Any, body: Any) -> None:
    answer = ask(make(body=body))
    assert answer["statusCode"] == 200
    assert answer["isBase64Encoded"] is False
    assert answer["headers"] == {"Content-Type": "application/json"}
    assert json.loads(answer["body"])["prediction"] == "old"


@HTTP
@pytest.mark.parametrize(
    ("body", "status", "code", "message"),
    [
        (None, 400, "E006", "body: expected a JSON object, got nothing"),
        ("", 400, "E006", "body: expected a JSON object, got nothing"),
        ("{", 400, "E006", "body: Expecting property name"),
        ('{"features": [NaN, "red", 1]}', 400, "E006", "body: expected JSON, which has no NaN"),
        ("[" * 100_000, 400, "E006", "not nested so deeply"),
        (b"\xff\xfe", 400, "E006", "body: 'utf-8' codec can't decode"),
        ({"features": [1, "red"]}, 400, "E003", "expected 3 features, got 2"),
        ({"features": [1, "red", "x"]}, 400, "E006", "column 'height': expected a number, got 'x'"),
        ({"features": [1, "red", -1]}, 400, "E006", "column 'height': expected a positive number, got -1.0"),
        ({"features": [1, "red", 1], "model_id": "other"}, 404, "E011", "expected model 'line' or 'line@1.2.0'"),
    ],
)
def test_a_bad_request_is_a_response(make: Any, body: Any, status: int, code: str, message: str) -> None:
    answer = ask(make(body=body))
    assert answer["statusCode"] == status
    assert answer["headers"]["Content-Type"] == "application/json"
    said = json.loads(answer["body"])
    assert set(said) == {"error", "code", "message", "request_id"}
    assert (said["code"], said["request_id"]) == (code, "r-1")
    assert message in said["message"]


@HTTP
def test_a_bug_is_a_500_without_its_story_and_the_log_has_it(make: Any) -> None:
    class Broken(Line):
        def answer(self, face: str, rows: Any, n_rows: int) -> Any:
            raise RuntimeError("secret")

    log = Lines()
    answer = ask(make(), model=Broken(), log=log)
    assert answer["statusCode"] == 500
    assert "secret" not in answer["body"]
    assert json.loads(answer["body"])["code"] == "INTERNAL"
    assert log.written[0]["exception_name"] == "RuntimeError"
    assert "in answer" in log.written[0]["exception"]


@HTTP
def test_a_body_may_be_gzip_and_no_bomb(make: Any) -> None:
    packed = gzip.compress(json.dumps(ONE).encode())
    assert ask(make(body=packed, content_encoding="gzip"))["statusCode"] == 200
    assert ask(make(body=packed[:-9], content_encoding="gzip"))["statusCode"] == 400
    assert ask(make(body=b"no gzip", Content_Encoding="GZIP"))["statusCode"] == 400
    assert ask(make(body=gzip.compress(bytes(61 * 1024 * 1024), 1), content_encoding="gzip"))["statusCode"] == 413
    answer = ask(make(body=packed, content_encoding="br"))
    assert (answer["statusCode"], json.loads(answer["body"])["code"]) == (415, "UNSUPPORTED_MEDIA")


@HTTP
def test_a_body_that_is_not_the_base64_it_is_said_to_be(make: Any) -> None:
    answer = ask({**make(), "body": "ab\u00e9", "isBase64Encoded": True})
    assert answer["statusCode"] == 400
    assert "expected base64" in json.loads(answer["body"])["message"]
    assert ask({**make(), "body": {"features": []}})["statusCode"] == 400


def test_long_answers_are_packed_for_who_can_unpack_them() -> None:
    body = {"instances": [[k, "red", 1] for k in range(100)]}
    for make in (http_api, balancer):
        answer = ask(make(body=body, accept_encoding="br, gzip"))
        assert answer["isBase64Encoded"] is True
        assert answer["headers"]["Content-Encoding"] == "gzip"
        assert len(json.loads(gzip.decompress(base64.b64decode(answer["body"])))["predictions"]) == 100
        assert ask(make(body=body))["isBase64Encoded"] is False
    assert ask(rest_api(body=body, accept_encoding="gzip"))["isBase64Encoded"] is False


def test_a_load_balancer_s_limits_and_styles_are_kept() -> None:
    long = {"instances": [[k, "red", 1] for k in range(50)], "options": {"return_probabilities": True}}

    class Wordy(Line):
        classes = ("young" * 5000, "old" * 5000)

    answer = ask(balancer(body=long), model=Wordy())
    assert (answer["statusCode"], answer["statusDescription"]) == (413, "413 Payload Too Large")
    assert "ask for fewer instances" in json.loads(answer["body"])["message"]
    several = balancer()
    several["multiValueHeaders"] = {"Content-Type": ["application/json"]}
    del several["headers"]
    answer = ask(several)
    assert answer["multiValueHeaders"] == {"Content-Type": ["application/json"]}
    assert "headers" not in answer
    assert answer["statusDescription"] == "200 OK"


@HTTP
@pytest.mark.parametrize("path", ["/health", "/prod/ready", "/ping/"])
def test_health(make: Any, path: str) -> None:
    answer = ask(make("GET", path, None))
    assert (answer["statusCode"], json.loads(answer["body"])) == (200, {"live": True, "ready": True})
    assert ask(make("HEAD", path, None))["body"] == ""


def test_a_load_balancer_s_health_check_asks_for_any_path() -> None:
    event = balancer("GET", "/", "", user_agent="ELB-HealthChecker/2.0")
    assert ask(event)["statusCode"] == 200
    assert ask(balancer("GET", "/", ""))["statusCode"] == 404


@HTTP
def test_what_is_served_and_what_was_counted(make: Any) -> None:
    function = make_function()
    for body in (ONE, {"instances": [[1, "red", 1], [1]]}, {}):
        function.respond(make(body=body), CALL)
    models = json.loads(function.respond(make("GET", "/models", None), CALL)["body"])["models"]
    assert models[0]["columns"][1] == {"name": "colour", "kind": "category", "categories": ["red", "blue"]}
    metrics = function.respond(make("GET", "/metrics", None), CALL)
    lines = dict(line.rsplit(" ", 1) for line in metrics["body"].splitlines() if not line.startswith("#"))
    labels = '{model="line",version="1.2.0"}'
    for name, value in {
        "requests": "3", "failures": "1", "instances": "2", "failed_instances": "1", "batch_requests": "1",
        "cold_starts": "1",
    }.items():  # fmt: skip
        assert lines[f"inferir_lambda_{name}_total{labels}"] == value


@HTTP
@pytest.mark.parametrize(("method", "path", "status"), [("PUT", "/x", 405), ("GET", "/nowhere", 404)])
def test_other_methods_and_paths(make: Any, method: str, path: str, status: int) -> None:
    answer = ask(make(method, path, None))
    assert answer["statusCode"] == status
    if status == 405:
        assert answer["headers"]["Allow"] == "GET, HEAD, POST"


# -- batches of records


def sqs(*bodies: Any, fifo: bool = False) -> dict[str, Any]:
    attributes = {"MessageGroupId": "g"} if fifo else {}
    return {
        "Records": [
            {
                "messageId": f"m-{k}",
                "body": body if isinstance(body, str) else json.dumps(body),
                "attributes": attributes,
                "eventSource": "aws:sqs",
            }
            for k, body in enumerate(bodies)
        ]
    }


def kinesis(*bodies: Any) -> dict[str, Any]:
    return {
        "Records": [
            {
                "eventSource": "aws:kinesis",
                "kinesis": {
                    "sequenceNumber": f"s-{k}",
                    "data": body if isinstance(body, str) else base64.b64encode(json.dumps(body).encode()).decode(),
                },
            }
            for k, body in enumerate(bodies)
        ]
    }


def failed(answer: Any) -> list[str]:
    assert list(answer) == ["batchItemFailures"]
    return [failure["itemIdentifier"] for failure in answer["batchItemFailures"]]


BAD = {"features": [1]}


@pytest.mark.parametrize(
    ("event", "names", "answered"),
    [
        (sqs(ONE, ONE), [], 2),
        (sqs(ONE, "{", ONE, BAD), ["m-1", "m-3"], 2),
        (sqs(BAD, BAD), ["m-0", "m-1"], 0),
        (sqs(ONE, BAD, ONE, fifo=True), ["m-1", "m-2"], 1),
        (kinesis(ONE, ONE), [], 2),
        (kinesis(ONE, BAD, ONE, BAD), ["s-1"], 1),
        (kinesis("not base64", ONE), ["s-0"], 0),
    ],
)
def test_records_that_cannot_be_answered_are_given_back(event: Any, names: list[str], answered: int) -> None:
    log = Lines()
    answer = ask(event, log=log)
    assert failed(answer) == names
    predictions = [line for line in log.written if line["message"] == "prediction"]
    assert len(predictions) == answered
    assert all(line["prediction"] == "old" for line in predictions)


def test_no_record_is_begun_when_the_deadline_is_near() -> None:
    import time

    answer = make_function().respond(sqs(ONE, ONE), Call("r", time.time() * 1e3 + 100))
    assert failed(answer) == ["m-0", "m-1"]


@pytest.mark.parametrize(
    "event",
    [
        {"Records": [{"eventSource": "aws:sns"}]},
        {"Records": [{"eventSource": "aws:sqs", "body": "{}"}]},
        {"Records": [{"eventSource": "aws:s3", "s3": {}}]},
    ],
)
def test_records_that_are_none(event: Any) -> None:
    with pytest.raises(InvalidInputError, match="records: expected"):
        ask(event)


# -- objects


class Store:
    """Buckets in memory, in place of `s3.Bucket`."""

    objects: dict[tuple[str, str], bytes] = {}  # noqa: RUF012

    def __init__(self, name: str) -> None:
        self.name = name

    def read(self, key: str) -> Any:
        data = self.objects[self.name, key]
        return iter([data[k : k + 7] for k in range(0, len(data), 7)])

    def write(self, key: str, file: io.BytesIO) -> None:
        file.seek(0)
        self.objects[self.name, key] = file.read()


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> dict[tuple[str, str], bytes]:
    from inferir.lambda_entry import s3

    monkeypatch.setattr(s3, "Bucket", Store)
    monkeypatch.setattr(Store, "objects", {})
    return Store.objects


def put(*keys: str) -> dict[str, Any]:
    return {
        "Records": [
            {"eventSource": "aws:s3", "s3": {"bucket": {"name": "b"}, "object": {"key": key, "size": 1}}}
            for key in keys
        ]
    }


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("rows.jsonl", '[60, "red", 100]\n\n{"features": [1, "blue", null]}\n{"age": 1, "height": 2}\n[99]'),
        ("rows.csv", 'colour,age,height,more\nred,60,100,x\nblue,1,,x\n\nblue,1\n"re""d",99,x,y\n'),
    ],
)
def test_an_object_is_scored_and_the_result_written_beside_it(store: Any, name: str, data: str) -> None:
    store["b", f"in put/{name}"] = data.encode()
    answer = ask(put(f"in+put/{name}"))
    result = f"in put/{name}.predictions.jsonl"
    assert answer == {"written": [{"bucket": "b", "key": result, "rows": 4, "errors": 2}]}
    lines = [json.loads(line) for line in store["b", result].splitlines()]
    assert [line.get("prediction") for line in lines] == ["old", "young", None, None]
    assert [line.get("index") for line in lines] == [None, None, 2, 3]


def test_a_function_does_not_feed_itself(store: Any) -> None:
    assert ask(put("rows.csv.predictions.jsonl")) == {"written": []}


def test_an_object_of_many_rows(store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(records, "_BATCH_ROWS", 10)
    store["b", "x"] = b"\n".join(json.dumps([k, "red", k - 50]).encode() for k in range(100))
    assert ask(put("x"))["written"][0] == {"bucket": "b", "key": "x.predictions.jsonl", "rows": 100, "errors": 50}
    lines = [json.loads(line) for line in store["b", "x.predictions.jsonl"].splitlines()]
    assert [line.get("index", k) for k, line in enumerate(lines)] == list(range(100))


def test_predictions_for_a_queue_go_to_a_bucket_where_that_is_wanted(store: Any) -> None:
    answer = ask(sqs(ONE, BAD), INFERIR_RESULTS="s3://out/scores/")
    assert failed(answer) == ["m-1"]
    ((bucket, key),) = store
    assert bucket == "out"
    assert key.startswith("scores/")
    assert json.loads(store[bucket, key])["record_id"] == "m-0"


@pytest.mark.parametrize("odd", [None, "x", 5, [], [1], {"http": None}, {"http": "x"}, {"a": [], "b": None}])
def test_shapes_that_no_sender_has(odd: Any) -> None:
    for make in (http_api, rest_api, balancer):
        for key in ("headers", "multiValueHeaders"):
            assert ask({**make(), key: odd})["statusCode"] == 200
    assert ask({**http_api(), "requestContext": odd})["statusCode"] == 200


anything = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.text(max_size=3)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=2),
        st.dictionaries(
            st.sampled_from(["Records", "rawPath", "requestContext", "elb", "httpMethod", "body", "headers"]),
            inner,
            max_size=4,
        ),
    ),
    max_leaves=12,
)


@given(anything)
def test_whatever_is_sent_is_answered_or_refused(event: Any) -> None:
    try:
        answer = ask(event)
    except (InferirError, RequestError):
        return
    assert isinstance(answer, dict)
