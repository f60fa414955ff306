"""How long a test waits for what has to come."""

from __future__ import annotations

#: Seconds after which what was waited for is taken never to come. It says nothing of how fast anything is: a machine
#: may be ten times slower than ours, and stand still for seconds.
PATIENCE_S = 120.0
