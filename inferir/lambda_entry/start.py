"""From an environment to a function that can answer: open the model, warm it up, say how long that took."""

from __future__ import annotations

from time import perf_counter_ns, process_time_ns

from inferir.lambda_entry.function import Function
from inferir.lambda_entry.handler import LambdaHandler
from inferir.lambda_entry.logs import Logger
from inferir.lambda_entry.packaged import open_package
from inferir.lambda_entry.settings import Settings

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

__all__ = ["make_function"]


def make_function(environ: Mapping[str, str], report: Any) -> Function:
    """Raises FormatError, FileAccessError or BackendError where there is no model to be had.

    Written to `report`, once: STARTUP_US, the processor time of this process until here; MODEL_LOAD_US and WARMUP_US.
    """
    startup_us = process_time_ns() // 1000
    begin = perf_counter_ns()
    settings = Settings(environ)
    handler = LambdaHandler(open_package(settings.model_folders))
    loaded = perf_counter_ns()
    handler.warm_up()
    warm = perf_counter_ns()
    phases = (startup_us, (loaded - begin) // 1000, (warm - loaded) // 1000)
    report.write("STARTUP_US={} MODEL_LOAD_US={} WARMUP_US={}\n".format(*phases))
    return Function(handler, Logger(environ), settings)
