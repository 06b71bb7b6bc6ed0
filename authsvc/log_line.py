"""A line of the log: one JSON object of bounded length.

:mod:`authsvc.logs` makes loggers that write such lines. A command writes the line about its change without a logger:
importing structlog takes half as long as the whole command.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from authsvc.bounded_json import bounded_json

_ENCODER = json.JSONEncoder(default=str, separators=(",", ":"))
"""Made once, because ``json.dumps`` with an option makes an encoder for every line."""

MAX_LINE = 8 * 1024
"""Most bytes of a line, with its end; the line says what was cut."""


def log_line(event: Mapping[str, Any]) -> str:
    """Return an event as a line, without its end."""
    return bounded_json(_ENCODER, dict(event), MAX_LINE - 1)


def info_line(event: str, at: datetime, facts: Mapping[str, Any]) -> str:
    """Return an event of level ``info`` with its facts as a line, as a logger renders it.

    Args:
        event: its name, ``noun.verb``.
        at: when it is written, aware.
        facts: further keys; none may be ``event``, ``at`` or another key of every line.
    """
    written = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return log_line({**facts, "event": event, "level": "info", "at": written})
