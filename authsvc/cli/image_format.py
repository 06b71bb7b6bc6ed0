"""Images as JSON, and the words of their tables: null and ``?`` mean *unknown*."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from authsvc.tenancy.dates import render_instant

Facts = dict[str, Any]

UNKNOWN, NONE = "?", "-"

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
_THOUSAND = 1000


def as_json(facts: Mapping[str, Any]) -> Facts:
    """Return facts with their instants as text."""
    return {name: _as_json(value) for name, value in facts.items()}


def _as_json(value: Any) -> Any:
    match value:
        case datetime():
            return render_instant(value)
        case dict():
            return as_json(value)
        case tuple():
            return [_as_json(each) for each in value]
        case _:
            return value


def size(number: int | None) -> str:
    """Return a number of bytes in a readable form, in powers of 1000 as docker does."""
    if number is None:
        return UNKNOWN
    value, unit = float(number), 0
    while value >= _THOUSAND and unit < len(_UNITS) - 1:
        value, unit = value / _THOUSAND, unit + 1
    return f"{number} B" if unit == 0 else f"{value:.1f} {_UNITS[unit]}"


def yes_or_no(*, value: bool | None) -> str:
    """Return the word of an answer that may be unknown."""
    return UNKNOWN if value is None else "yes" if value else "no"


def platforms(facts: Facts) -> str:
    """Return the platforms of an image in one line, or what else it is."""
    if facts["platforms"] is None:
        return UNKNOWN
    names = [each["platform"] or UNKNOWN for each in facts["platforms"]]
    return ", ".join(names) or facts["artifact_type"] or NONE


def when(text: str | None, now: datetime) -> str:
    """Return how long ago an instant is: ``5 minutes ago``."""
    if text is None:
        return UNKNOWN
    passed = now - datetime.fromisoformat(text).astimezone(UTC)
    for unit, span in (("day", timedelta(days=1)), ("hour", timedelta(hours=1)), ("minute", timedelta(minutes=1))):
        count = passed // span
        if count >= 1:
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return "just now"
