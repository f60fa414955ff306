"""Log lines and metrics: their shapes, as CloudWatch, Prometheus and users of Powertools read them."""

from __future__ import annotations

import json
import os
import re
import struct
import subprocess
import sys
from typing import Any

import pytest

from inferir.lambda_entry.call import Call
from inferir.lambda_entry.logs import Logger
from inferir.lambda_entry.metrics import Counters, emf, prometheus
from tests.lambda_entry.parts import Line, Lines, make_function
from tests.patience import PATIENCE_S

ENVIRON = {"AWS_LAMBDA_FUNCTION_NAME": "f", "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": "128", "POWERTOOLS_SERVICE_NAME": "s"}


def read(environ: dict[str, str], *levels: str) -> bytes:
    """What a logger writes for a line of each level."""
    reader, writer = os.pipe()
    variables = {name: value.replace("FD", str(writer)) for name, value in environ.items()}
    logger = Logger(variables, writer)
    for level in levels:
        logger.write(level, "here", "a\nb")
    os.close(writer)
    with os.fdopen(reader, "rb") as file:
        return file.read()


def test_a_line_is_one_json_object_with_the_keys_people_know() -> None:
    (line,) = read(ENVIRON, "ERROR").splitlines()
    said = json.loads(line)
    assert list(said) == [
        "level", "location", "message", "timestamp", "service", "function_name", "function_memory_size",
    ]  # fmt: skip
    assert (said["level"], said["message"], said["service"], said["function_name"]) == ("ERROR", "a\nb", "s", "f")
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", said["timestamp"])


@pytest.mark.parametrize(
    ("level", "written"),
    [("", ["INFO", "WARN", "ERROR"]), ("error", ["ERROR"]), ("TRACE", ["DEBUG", "INFO", "WARN", "ERROR"])],
)
def test_levels_below_the_function_s_are_left_out(level: str, written: list[str]) -> None:
    lines = read({"AWS_LAMBDA_LOG_LEVEL": level}, "DEBUG", "INFO", "WARN", "ERROR").splitlines()
    assert [json.loads(line)["level"] for line in lines] == written


def test_frames_are_those_of_lambda_s_log_descriptor() -> None:
    data = read({"_LAMBDA_TELEMETRY_LOG_FD": "FD"}, "INFO", "ERROR")
    kinds = []
    while data:
        kind, length, microseconds = struct.unpack(">IIQ", data[:16])
        line, data = json.loads(data[16 : 16 + length]), data[16 + length :]
        assert abs(microseconds / 1e6 - __import__("time").time()) < 60
        kinds.append((hex(kind), line["level"]))
    assert kinds == [("0xa55a000e", "INFO"), ("0xa55a0016", "ERROR")]  # as awslambdaric 4.2 frames JSON


def test_a_log_that_nobody_reads_ends_nothing() -> None:
    reader, writer = os.pipe()
    os.close(reader)
    Logger({}, writer).write("ERROR", "here", "there")
    os.close(writer)


def test_lines_say_which_event_they_are_about() -> None:
    log = Lines()
    function = make_function(log=log)
    for request_id in ("r-1", "r-2"):
        with pytest.raises(Exception, match="expected an object"):
            function.respond([], Call(request_id, 0, "arn:x", "Root=1-2;Sampled=1"))
    first, second = log.written
    assert (first["function_request_id"], second["function_request_id"]) == ("r-1", "r-2")
    assert (first["cold_start"], second["cold_start"]) == (True, False)
    assert (first["function_arn"], first["xray_trace_id"], first["exception_name"]) == (
        "arn:x",
        "1-2",
        "InvalidInputError",
    )


def test_each_event_writes_its_metrics_as_one_line() -> None:
    log = Lines()
    environ = {"INFERIR_METRICS_NAMESPACE": "Models", **ENVIRON}
    function = make_function(Line(), log, **environ)
    for _ in range(2):
        function.respond({"instances": [[1, "red", 0], [1]]}, Call("r-1", 0))
    first, second = log.written
    (block,) = first["_aws"]["CloudWatchMetrics"]
    assert (block["Namespace"], block["Dimensions"]) == ("Models", [["function_name", "service"]])
    units = {metric["Name"]: metric["Unit"] for metric in block["Metrics"]}
    assert units["Latency"] == "Milliseconds"
    for name in units:
        assert isinstance(first[name], (int, float))
    assert (first["Requests"], first["Instances"], first["FailedInstances"], first["ColdStart"]) == (1, 1, 1, 1)
    assert (second["Requests"], "ColdStart" in second) == (1, False)
    assert first["function_request_id"] == "r-1"


def test_emf_is_what_amazon_specifies() -> None:
    """docs.aws.amazon.com/AmazonCloudWatch/latest/monitoring/CloudWatch_Embedded_Metric_Format_Specification.html"""
    said: Any = json.loads(emf("N", {"a": "b"}, {"Latency": (0.5, "Milliseconds")}, model_id="m"))
    timestamp = said["_aws"].pop("Timestamp")
    assert isinstance(timestamp, int)
    assert said == {
        "_aws": {
            "CloudWatchMetrics": [
                {"Namespace": "N", "Dimensions": [["a"]], "Metrics": [{"Name": "Latency", "Unit": "Milliseconds"}]}
            ]
        },
        "a": "b",
        "Latency": 0.5,
        "model_id": "m",
    }


def test_prometheus_text_escapes_what_its_format_does() -> None:
    text = prometheus(Counters(), 'a"b\\c\nd', "1")
    assert 'inferir_lambda_requests_total{model="a\\"b\\\\c\\nd",version="1"} 0' in text.splitlines()
    assert text.endswith("\n")
    assert all(line.startswith(("# HELP inferir_", "# TYPE inferir_", "inferir_")) for line in text.splitlines())


#: The same event, logged and measured by the library whose users ours are. A process of its own: it reads the
#: environment when it is imported.
POWERTOOLS = """
import sys
from aws_lambda_powertools import Logger, Metrics
from aws_lambda_powertools.metrics import MetricUnit

class Context:
    function_name, memory_limit_in_mb, aws_request_id, invoked_function_arn = "f", "128", "r-1", "arn:x"

logger, metrics = Logger(stream=sys.stdout), Metrics(namespace="Models")

@logger.inject_lambda_context
def handler(event, context):
    try:
        raise ValueError("no")
    except ValueError:
        logger.exception("ValueError: no")

@metrics.log_metrics
def measured(event, context):
    metrics.add_dimension(name="function_name", value="f")
    metrics.add_metric(name="Latency", unit=MetricUnit.Milliseconds, value=0.5)
    metrics.add_metadata("model_id", "line")

handler({}, Context())
measured({}, Context())
"""


def test_lines_and_metrics_have_the_shape_of_powertools() -> None:
    pytest.importorskip("aws_lambda_powertools", reason="AWS Lambda Powertools is not here")
    trace = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1"
    environ = {**os.environ, **ENVIRON, "_X_AMZN_TRACE_ID": trace}
    done = subprocess.run(
        [sys.executable, "-c", POWERTOOLS], env=environ, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    )
    their_line, their_metrics = map(json.loads, done.stdout.splitlines())

    class Broken(Line):
        def answer(self, face: str, rows: Any, n_rows: int) -> Any:
            raise ValueError("no")

    log = Lines()
    function = make_function(Broken(), log, INFERIR_METRICS_NAMESPACE="Models", **ENVIRON)
    with pytest.raises(ValueError, match="no"):
        function.respond({"features": [1, "red", 0]}, Call("r-1", 0, "arn:x", trace))
    line, metrics = log.written
    assert set(line) == set(their_line) - {"stack_trace"}
    free = {"location", "timestamp", "exception"}  # where it was, when, and a stack
    assert {k: v for k, v in line.items() if k not in free} == {
        k: v for k, v in their_line.items() if k in line and k not in free
    }
    ((block,), (theirs,)) = (said["_aws"]["CloudWatchMetrics"] for said in (metrics, their_metrics))
    assert set(metrics["_aws"]) == set(their_metrics["_aws"])
    assert (set(block), block["Namespace"]) == (set(theirs), theirs["Namespace"])
    assert sorted(block["Dimensions"][0]) == sorted(theirs["Dimensions"][0])
    assert theirs["Metrics"][0] in block["Metrics"]
    assert {name: metrics[name] for name in block["Dimensions"][0]} == {
        name: their_metrics[name] for name in theirs["Dimensions"][0]
    }
