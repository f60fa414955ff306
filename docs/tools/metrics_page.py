"""reference/metrics.md, from the table of metrics."""

from __future__ import annotations

from inferir.server.monitoring.drift import ALERT, COLUMN_LIMIT, ROLL_BACK, WARN
from inferir.server.request.admission import REASONS
from inferir.server.request.exchange import STAGES
from inferir.server.telemetry.families import FAMILIES, GAUGES, MODEL_LIMIT, Family

_HEAD = """# Metrics, traces and logs

`GET /metrics` answers in Prometheus' text format, or in OpenMetrics where `Accept` asks for it. With several workers it
is the sum over all of them, whichever is asked.

```yaml
scrape_configs:
  - job_name: inferir
    static_configs: [{targets: ["localhost:8080"]}]
    authorization: {credentials: KEY}  # a key that may read, where keys are set
```

| metric | kind | labels | what it is |
|---|---|---|---|
"""

_TAIL = f"""| `inferir_build_info` | gauge, always 1 | version, python, backend | The server, and what it runs on. |
| `process_*` | gauges, counters | | Of all workers together: CPU seconds, memory, open files; the start of the first. |

`model_inference_duration_seconds`, `model_predictions_total`, `model_accuracy` and `model_drift_score` are
`model.inference.duration`, `model.predictions.total`, `model.accuracy` and `model.drift.score` in Prometheus' spelling;
`http_server_request_duration_seconds` follows OpenTelemetry's conventions. Stages are {", ".join(STAGES)}.
Reasons for which requests are shed are {", ".join(REASONS)}.

The 99th percentile of a model's latency over five minutes:

```text
histogram_quantile(0.99, sum by (le, model) (rate(model_inference_duration_seconds_bucket[5m])))
```

**Labels are bounded.** Routes are templates, never paths that were asked for. A model is a label once it was loaded; at
most {MODEL_LIMIT} versions have numbers of their own over the life of a process, those after them are counted as
`other`.

**`model_drift_score`** is there for versions whose file has a `baseline`, from as many rows on as tell drift from
chance: over {WARN} look, over {ALERT} act, over {ROLL_BACK} go back ([watch a model](../howto/watch-a-model.md)).
At most {COLUMN_LIMIT} columns of a version have one. **`model_accuracy`** is there for classifiers once a truth came,
**`model_absolute_error`** for models of numbers. Of several workers, counts are added up before a score is made of
them.

What counting and `Server-Timing` cost a request is in [performance.md](../performance.md#the-server).

## Server-Timing

Every answer of a model has the header, with the milliseconds in each stage; browsers show it with the request. `queue`
is left out where the request did not wait for its turn.

```text
Server-Timing: {", ".join(f"{stage};dur=0.012" for stage in STAGES[:2])}, ...
```

## Traces

With `--otlp-endpoint http://localhost:4318` (extra `otel`) every request for inference is a trace, or goes on with the
caller's (`traceparent`); the answer has a `traceparent` of its own. OpenTelemetry's environment variables are read:
`OTEL_SERVICE_NAME`, `OTEL_TRACES_SAMPLER`, `OTEL_EXPORTER_OTLP_HEADERS`.

| span | what |
|---|---|
| `model.register` | a version was read and checked |
| `model.deploy` | it was compiled and warmed up |
| `model.inference` | a request; linked to the `model.deploy` of the version that answered |
| `model.preprocess` | from the first byte decoded to the rows as the kernels take them, waiting included |
| `model.predict` | in the kernels |
| `model.postprocess` | from numbers to the bytes of the answer |

## Logs

`--log-format json` writes an object a line to standard error: `event` is `model_loaded`, `model_failed`,
`model_unloaded`, `log`, and with `--log-requests` `request`, with `request_id`, `trace_id`, route, status, seconds,
model, version, rows, and the name of the key where there are keys. What the libraries below us have to say (`log`) has
the same form. A line of a request comes up to a tenth of a second after it. Lines are written whole, up to 4,096 bytes
in one piece, so that those of several workers do not mix. A log that nobody reads stops no request: lines that cannot
be written are dropped, and counted.
"""


def page() -> str:
    families = [*FAMILIES.values(), *GAUGES.values()]
    return _HEAD + "".join(map(_row, sorted(families, key=lambda family: family.name))) + _TAIL


def _row(family: Family) -> str:
    name = f"{family.name}_total" if family.kind == "counter" else family.name
    return f"| `{name}` | {family.kind} | {', '.join(family.labels)} | {family.about} |\n"
