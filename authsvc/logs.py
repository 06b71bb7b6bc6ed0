"""Structured logs: one JSON object a line, one line an event, made once per process and handed to who logs.

An event's name is a constant ``noun.verb``; its facts are keys. No secret is ever a fact: secret-bearing types
redact themselves, and what libraries log is reduced to its kind, because aiohttp prints parts of over-long headers.
"""

import json
import logging
import sys
from typing import Any, TextIO

import structlog
from typing_extensions import override

Logger = structlog.typing.FilteringBoundLogger

_ENCODER = json.JSONEncoder(default=str)
"""Made once: ``json.dumps`` with an option makes one for every line."""

_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}


def make_logger(level: str, stream: TextIO | None = None) -> Logger:
    """Return a logger that writes JSON lines.

    Args:
        level: the least level that is written.
        stream: where to; standard error when None.
    """
    logger: Logger = structlog.wrap_logger(
        structlog.WriteLogger(stream or sys.stderr),
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
            structlog.processors.format_exc_info,
            _render,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(_LEVELS[level]),
    )
    return logger


def _render(_logger: object, _method: str, event: structlog.typing.EventDict) -> str:
    return _ENCODER.encode(event)


class LibraryHandler(logging.Handler):
    """Writes what libraries log through the standard library, as events ``library.message``."""

    def __init__(self, logger: Logger) -> None:
        """Write to ``logger``."""
        super().__init__(level=logging.WARNING)
        self._logger = logger

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write one record: where it came from and what kind of error it was.

        The message of aiohttp's server is left out: it quotes headers, and the Authorization header is one of them.
        """
        facts: dict[str, Any] = {"logger": record.name}
        if not record.name.startswith("aiohttp"):
            facts["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            facts["error"] = record.exc_info[0].__name__
        self._logger.log(record.levelno, "library.message", **facts)
