"""The function under AWS's own Python runtime: handler `inferir.lambda_entry.handler.handle`."""

from __future__ import annotations

import os
import sys
from time import time

from inferir.lambda_entry.call import Call
from inferir.lambda_entry.start import make_function

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["make_handle"]


def make_handle() -> Callable[[Any, Any], Any]:
    """Load the model; a function of event and context.

    Raises as `make_function` does. AWS's runtime makes an init error of that, with the name of its class.
    """
    function = make_function(os.environ, sys.stderr)

    def handle(event: Any, context: Any) -> Any:
        deadline_ms = time() * 1e3 + context.get_remaining_time_in_millis()
        trace_id = os.environ.get("_X_AMZN_TRACE_ID", "")
        return function.respond(
            event, Call(context.aws_request_id, deadline_ms, context.invoked_function_arn, trace_id)
        )

    return handle
