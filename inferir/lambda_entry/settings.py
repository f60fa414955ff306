"""What the environment says; nobody else in this package reads it.

    INFERIR_MODEL              folders to look for the model in, separated by ":"; by default model/ beside the code,
                               and /opt/model, which is where layers go
    INFERIR_RESULTS            where predictions for queues and streams go: "log" (default) or s3://bucket/prefix
    INFERIR_METRICS_NAMESPACE  CloudWatch namespace; with one, each event writes its metrics as one log line (EMF)
    INFERIR_STREAM             "1": answers of HTTP events are streamed; for functions whose URL says RESPONSE_STREAM
    INFERIR_CPU_LEVEL          see kernels/aot/library.py

The others are Lambda's own.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Settings"]

#: More loops than this are no number of Lambda's.
_MOST_LOOPS = 4096


class Settings:
    """Made once by `Settings(os.environ)`."""

    __slots__ = (
        "api", "function_name", "log_socket", "loops", "metrics_namespace", "model_folders", "results", "snap_start",
        "stream",
    )  # fmt: skip

    def __init__(self, environ: Mapping[str, str]) -> None:
        said = environ.get
        root = said("LAMBDA_TASK_ROOT", "") or "/var/task"
        #: Host and port of the Runtime API; "" where AWS's own runtime speaks with it.
        self.api = said("AWS_LAMBDA_RUNTIME_API", "")
        self.model_folders = (said("INFERIR_MODEL") or f"{root}/model:/opt/model").split(":")
        self.results = said("INFERIR_RESULTS") or "log"
        self.metrics_namespace = said("INFERIR_METRICS_NAMESPACE", "")
        self.stream = said("INFERIR_STREAM", "") == "1"
        self.function_name = said("AWS_LAMBDA_FUNCTION_NAME", "")
        self.snap_start = said("AWS_LAMBDA_INITIALIZATION_TYPE", "") == "snap-start"
        loops = said("AWS_LAMBDA_MAX_CONCURRENCY", "")
        #: Loops that ask for events side by side, each in a process of its own; 0: one, in this process.
        self.loops = min(int(loops), _MOST_LOOPS) if loops.isdecimal() else 0
        self.log_socket = said("_LAMBDA_TELEMETRY_LOG_FD_PROVIDER_SOCKET", "")
