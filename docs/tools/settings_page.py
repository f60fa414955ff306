"""reference/settings.md, from the fields of the server's settings."""

from __future__ import annotations

import dataclasses

from inferir.server.settings import CONCURRENCY_BY_MEMORY_MIB, ENVIRONMENT_PREFIX, Settings

_HEAD = f"""# Settings of the server

`inferir serve` takes every setting in four places; what stands later in this list wins:

1. the default
2. a TOML file, named by `--config` or `{ENVIRONMENT_PREFIX}CONFIG`, with keys as in the table
3. the environment: `{ENVIRONMENT_PREFIX}` and the key in capitals, as in `{ENVIRONMENT_PREFIX}MAX_QUEUE=100`
4. the command line: `--max-queue 100`, `--adaptive` or `--no-adaptive`

`inferir serve --print-settings` prints those that hold, secrets masked, and does nothing else. In the environment,
lists have commas between their items. Sizes are in bytes, times in seconds unless the key says otherwise.

| key | default | what it is |
|---|---|---|
"""

_TAIL = """
Requests in work at once in each worker, where `max_concurrency` is 0, by the memory of the control group (of a
container, or of a systemd unit), or else of the machine:

| memory | requests |
|---|---|
"""


def page() -> str:
    rows = [
        f"| `{each.name}` | {_default(each.default)} | {each.metadata['help']} |\n"
        for each in dataclasses.fields(Settings)
    ]
    presets = [f"| {size} MiB | {limit} |\n" for size, limit in CONCURRENCY_BY_MEMORY_MIB.items()]
    return _HEAD + "".join(rows) + _TAIL + "".join(presets)


def _default(value: object) -> str:
    if value in ("", ()):
        return ""
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"
