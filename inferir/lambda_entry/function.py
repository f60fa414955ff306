"""A function in Lambda: a handler, and everything that happens around an answer. Both runtimes call `respond`."""

from __future__ import annotations

from inferir.errors import InferirError
from inferir.lambda_entry import events
from inferir.lambda_entry.errors import RequestError, stack_of
from inferir.lambda_entry.metrics import emf

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from inferir.lambda_entry.call import Call
    from inferir.lambda_entry.handler import LambdaHandler
    from inferir.lambda_entry.logs import Logger
    from inferir.lambda_entry.settings import Settings

__all__ = ["Function"]


class Function:
    """Answers events with `handler`; logs and counts."""

    def __init__(self, handler: LambdaHandler, logger: Logger, settings: Settings) -> None:
        self.handler, self.logger, self.settings = handler, logger, settings

    def respond(self, event: Any, call: Call) -> Any:
        """The answer to a decoded event, ready for JSON. Raises what Lambda is to hear of as an error."""
        self.logger.call = call
        call.cold_start = self.handler.cold
        if self.settings.metrics_namespace:
            self._before = self.handler.counters.copy()
        value = None
        try:
            value = events.answer(event, self, call)
            return value
        except (InferirError, RequestError) as error:
            self.logger.write("WARN", "function:respond", str(error), exception_name=type(error).__name__)
            raise
        except Exception as error:
            self.log_unexpected(error)
            raise
        finally:
            if not hasattr(value, "content_type"):  # a stream has its rows still before it, and ends by itself
                self.end()

    def log_unexpected(self, error: BaseException) -> None:
        """A bug, or a machine that gave up: the log has all of it, the caller only that it happened."""
        self.logger.write(
            "ERROR",
            "function:respond",
            f"{type(error).__name__}: {error}",
            exception_name=type(error).__name__,
            exception="".join(stack_of(error)),
        )

    def end(self) -> None:
        """Write the event's metrics; what is logged from now on is about none."""
        namespace = self.settings.metrics_namespace
        if namespace:
            now, before = self.handler.counters, self._before
            values: dict[str, tuple[float, str]] = {
                "Requests": (now.requests - before.requests, "Count"),
                "Failures": (now.failures - before.failures, "Count"),
                "Instances": (now.instances - before.instances, "Count"),
                "FailedInstances": (now.failed_instances - before.failed_instances, "Count"),
                "Latency": (round(now.latency_ms - before.latency_ms, 3), "Milliseconds"),
            }
            if now.cold_starts > before.cold_starts:
                values["ColdStart"] = (1, "Count")
            model = self.handler.model
            dimensions = {"function_name": self.settings.function_name, "service": self.logger.about["service"]}
            about = {"model_id": model.name, "model_version": model.version}
            if self.logger.call is not None:
                about["function_request_id"] = self.logger.call.request_id
            self.logger.write_text(emf(namespace, dimensions, values, **about))
        self.logger.call = None
