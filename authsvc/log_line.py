"""A line of the log: one JSON object of bounded length.

:mod:`authsvc.logs` makes loggers that write such lines. A command writes the one about its change without them: to
import structlog takes as long as half of the command.
"""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from authsvc.bounded_json import bounded_json

_ENCODER = json.JSONEncoder(default=str)
"""Made once: ``json.dumps`` with an option makes one for every line."""

MAX_LINE = 8 * 1024
"""Most bytes of a line, with its end; what is cut is said in the line."""


def log_line(event: Mapping[str, Any]) -> str:
    """Return an event as a line, without its end."""
    return bounded_json(_ENCODER, dict(event), MAX_LINE - 1)


def info_line(event: str, at: datetime, facts: Mapping[str, Any]) -> str:
    """Return an event of level ``info`` with its facts as a line, as a logger renders it.

    Args:
        event: its name, ``noun.verb``.
        at: when it is written, aware.
        facts: none with a name of the others.
    """
    written = at.astimezone(UTC).isoformat().replace("+00:00", "Z")
    return log_line({**facts, "event": event, "level": "info", "at": written})
