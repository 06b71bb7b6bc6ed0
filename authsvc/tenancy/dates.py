"""Parses and renders instants: a day, or a day and a time in UTC (RFC 3339)."""

import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta

from authsvc.errors import InputRefused

_INSTANT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}(?:T[0-9]{2}:[0-9]{2}:[0-9]{2}Z)?", re.ASCII)
_DAYS = re.compile(r"([0-9]{1,5})d", re.ASCII)
_SPAN = re.compile(r"([0-9]{1,6})([mhd])", re.ASCII)
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}
MAX_SPAN = timedelta(days=90)
"""Longest span that :func:`parse_span` accepts."""


def parse_instant(text: str, what: str) -> datetime:
    """Return the instant: a bare day means 00:00 UTC at its start.

    Args:
        text: ``2027-01-31`` or ``2027-01-31T12:00:00Z``.
        what: the option's name for the message, such as ``not-before``; the error's field is the argument of that name.

    Raises:
        InputRefused: it has another form, or there is no such day.
    """
    if _INSTANT.fullmatch(text):
        with suppress(ValueError):
            return datetime.fromisoformat(text).replace(tzinfo=UTC)
    raise InputRefused(
        f"{what}: {text[:40]!r} is not a date; write 2027-01-31 (00:00 UTC at its start) or 2027-01-31T12:00:00Z",
        code="date_invalid",
        field=_argument(what),
    )


def last_day(end: datetime) -> str:
    """Return the last day, in UTC, on which something that ends at ``end`` still works, as ``2027-01-30``."""
    return (end.astimezone(UTC) - timedelta(microseconds=1)).date().isoformat()


def render_instant(at: datetime) -> str:
    """Return ``at`` as RFC 3339 in UTC with whole seconds."""
    # Not strftime: it writes a year before 1000 with fewer than four digits.
    return f"{at.astimezone(UTC).replace(tzinfo=None).isoformat(timespec='seconds')}Z"


def parse_moment(text: str, now: datetime, what: str) -> datetime:
    """Return the instant: a day, an instant, or a number of days from ``now`` such as ``90d``, to the whole second.

    Whole seconds, because files and lists contain whole seconds, and later comparisons use them.

    Raises:
        InputRefused: it has another form.
    """
    if days := _DAYS.fullmatch(text):
        return now.replace(microsecond=0) + timedelta(days=int(days[1]))
    try:
        return parse_instant(text, what)
    except InputRefused as error:
        raise InputRefused(f"{error}, or 90d for days from now", code=error.code, field=error.field) from None


def parse_end(text: str, now: datetime, what: str) -> datetime:
    """Return an end in the future, in a form of :func:`parse_moment`.

    Raises:
        InputRefused: it has another form, or is not in the future.
    """
    end = parse_moment(text, now, what)
    if end <= now:
        raise InputRefused(
            f"{what}: {text[:40]!r} is not in the future", code="date_not_in_future", field=_argument(what)
        )
    return end


def parse_span(text: str, what: str, *, longest: timedelta = MAX_SPAN) -> timedelta:
    """Return a span of time: ``24h``, ``30m``, ``7d``, or ``0``.

    Raises:
        InputRefused: it has another form, or is longer than ``longest`` (whole days).
    """
    span = _SPAN.fullmatch(text)
    length = timedelta(**{_UNITS[span[2]]: int(span[1])}) if span else timedelta(0) if text == "0" else None
    if length is None or length > longest:
        raise InputRefused(
            f"{what}: {text[:40]!r} is not a span of time up to {longest.days} days; write 24h, 30m, 7d or 0",
            code="span_invalid",
            field=_argument(what),
        )
    return length


def render_optional(at: datetime | None) -> str | None:
    """Return ``at`` as :func:`render_instant` does, or None for None."""
    return None if at is None else render_instant(at)


def _argument(option: str) -> str:
    return option.lstrip("-").replace("-", "_")
