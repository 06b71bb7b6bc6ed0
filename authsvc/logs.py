"""Structured logs: one JSON object per line, one line per event. Each process makes one logger and passes it on.

A server process writes them from a thread (:mod:`authsvc.log_writer`), so that issuing a token neither waits for the
log nor fails with it. When the file is renamed, the process continues in the new one (:mod:`authsvc.followed_log`).

An event's name is a constant ``noun.verb``; its facts are keys. No secret is ever a fact: secret-bearing types
redact themselves, and what libraries log is reduced to its kind, because aiohttp prints parts of over-long headers.
"""

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TextIO, cast

import structlog
from typing_extensions import override

from authsvc.compact_json import compact_json
from authsvc.errors import AuthsvcError
from authsvc.followed_log import FollowedLog
from authsvc.log_line import MAX_LINE, log_line
from authsvc.log_writer import STANDARD_ERROR, LogWriter

Logger = structlog.typing.FilteringBoundLogger

WRITTEN_WITHIN = 2.0
"""Seconds that an ending process waits for its last lines to be written."""

_STAMPER = structlog.processors.TimeStamper(fmt="iso", utc=True, key="at")
_LEVELS = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}
_NAMES = {logging.DEBUG: "debug", logging.INFO: "info", logging.WARNING: "warning", logging.ERROR: "error"}


class Stream(Protocol):
    """A destination of lines."""

    def write(self, text: str, /) -> object: ...
    def flush(self) -> object: ...


def make_logger(level: str, stream: Stream | None = None) -> Logger:
    """Return a logger that writes JSON lines.

    Args:
        level: the lowest level that is written.
        stream: the destination; standard error if None.
    """
    logger: Logger = structlog.wrap_logger(
        structlog.WriteLogger(cast("TextIO", stream or sys.stderr)),
        processors=[_render],
        wrapper_class=_logger_class(_LEVELS[level]),
    )
    return logger.bind()  # once, not with each line


def _logger_class(lowest: int) -> type[Any]:
    """Return the class of a logger that writes the line of a token without structlog's chain.

    That has one processor. Without values that were bound before, and without arguments, the result is the same.
    """
    filtering: Any = structlog.make_filtering_bound_logger(lowest)

    def log(self: Any, level: int, event: str, *arguments: Any, **facts: Any) -> None:
        if self._context or arguments:
            filtering.log(self, level, event, *arguments, **facts)
        elif level >= lowest:
            facts["event"] = event
            self._logger.msg(_render(None, _NAMES.get(level, "critical"), facts))

    return type("DirectLogger", (filtering,), {"log": log})


@contextmanager
def server_log(level: str, on_lost: Callable[[int], None]) -> Iterator[Logger]:
    """Yield the logger of a server process, which never waits for standard error and never fails with it.

    An unexpected exception is logged and becomes exit code 1; errors of :mod:`authsvc.errors` are left to the caller.
    At the end it waits for the last lines, but not for long.

    Args:
        level: the lowest level that is written.
        on_lost: is called with the number of lines of each loss.
    """
    followed = FollowedLog(STANDARD_ERROR)
    writer = LogWriter(STANDARD_ERROR, _lost_line, on_lost, before_write=followed.look)
    logger = make_logger(level, writer)
    try:
        yield logger
    except AuthsvcError:
        raise
    except Exception as error:
        logger.error("process.failed", exc_info=error)
        raise SystemExit(1) from error
    finally:
        writer.close(WRITTEN_WITHIN)


def _lost_line(lost: int, why: str) -> str:
    return f"{_render(None, 'warning', {'lost': lost, 'reason': why, 'event': 'log.lost'})}\n"


def _render(_logger: object, level: str, event: structlog.typing.EventDict) -> str:
    """Return an event as a line. One processor instead of four, because every token has a line."""
    if "exc_info" in event:
        event = structlog.processors.format_exc_info(None, level, event)
    event["level"] = level
    event = _STAMPER(None, level, event)
    return compact_json(event, MAX_LINE - 1) or log_line(event)


class LibraryHandler(logging.Handler):
    """Writes what libraries log through the standard library, as events ``library.message``."""

    def __init__(self, logger: Logger) -> None:
        """Write to ``logger``."""
        super().__init__(level=logging.WARNING)
        self._logger = logger

    @override
    def emit(self, record: logging.LogRecord) -> None:
        """Write one record: its logger and the kind of the error.

        The message of aiohttp's server is left out: it quotes headers, and the Authorization header is one of them.
        """
        facts: dict[str, Any] = {"logger": record.name}
        if not record.name.startswith("aiohttp"):
            facts["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            facts["error"] = record.exc_info[0].__name__
        self._logger.log(record.levelno, "library.message", **facts)
