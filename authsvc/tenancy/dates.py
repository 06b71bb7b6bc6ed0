"""Instants as people write them: a day, or a day and a time in UTC (RFC 3339)."""

import re
from contextlib import suppress
from datetime import UTC, datetime

from authsvc.errors import InputRefused

_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?", re.ASCII)


def parse_instant(text: str, what: str) -> datetime:
    """Return the instant: a bare day means 00:00 UTC at its start.

    Args:
        text: ``2027-01-31`` or ``2027-01-31T12:00:00Z``.
        what: the option's name, for the message.

    Raises:
        InputRefused: of another form, or no such day.
    """
    if _INSTANT.fullmatch(text):
        with suppress(ValueError):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    raise InputRefused(
        f"{what}: {text[:40]!r} is no date; write 2027-01-31 (00:00 UTC at its start) or 2027-01-31T12:00:00Z"
    )


def render_instant(at: datetime) -> str:
    """Return ``at`` as RFC 3339 in UTC with whole seconds."""
    # Not strftime: it writes a year before 1000 with fewer than four digits.
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"
