"""States and dates of licenses, in words for people."""

from datetime import datetime, timedelta

from attrs import frozen

from authsvc.counts import counted
from authsvc.tenancy.records import License

SOON = timedelta(days=30)
"""A license that ends within this time is shown as one that ends soon."""

_DAY = timedelta(days=1)


@frozen
class ShownState:
    """A state in words.

    Attributes:
        kind: ``ok``, ``warn``, ``bad`` or empty: the colour beside the words.
        words: for people.
    """

    kind: str
    words: str


def shown_state(license_: License, now: datetime) -> ShownState:
    """Return the state of a license."""
    match license_.state(now):
        case "archived":
            return ShownState("", "archived")
        case "revoked":
            return ShownState("bad", "revoked")
        case "pending" if license_.not_before is not None:
            return ShownState("", f"begins {license_.not_before.date().isoformat()}")
        case "expired":
            return ShownState("bad", f"expired {license_.expires_at.date().isoformat()}")
        case _:
            left = license_.expires_at - now
            if left > SOON:
                return ShownState("ok", "active")
            days = left // _DAY
            return ShownState("warn", f"ends in {counted(days, 'day')}" if days else "ends today")


def last_day(end: datetime) -> str:
    """Return the last whole day before an end; with the time, when the end is not at midnight UTC."""
    if end.time() == datetime.min.time():
        return (end - _DAY).date().isoformat()
    return end.strftime("%Y-%m-%d, until %H:%M UTC")


def end_after(day: str) -> str:
    """Return the end of a license whose last day was chosen: the start of the day after it.

    Other texts are returned unchanged, for the use case to refuse.
    """
    try:
        return (datetime.strptime(day, "%Y-%m-%d") + _DAY).date().isoformat()  # noqa: DTZ007  a day
    except (ValueError, OverflowError):
        return day
