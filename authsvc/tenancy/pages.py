"""Pages of a list, and the cursors that lead to the next page (design #18).

A cursor names the place at which a page ended, not a number of records, so records that are added or removed meanwhile
cause no others to be repeated or skipped. It grants nothing: the caller's permission is checked for every page.
"""

import base64
import binascii
import hashlib
from datetime import datetime
from typing import Generic, TypeVar

from attrs import frozen

from authsvc.errors import InputRefused

T = TypeVar("T")

MAX_PAGE = 100
"""Most items of one page."""

MAX_CURSOR = 600
"""Longest cursor, in characters."""

_CHECK_BYTES = 6


@frozen
class Page(Generic[T]):
    """One page of a list.

    Attributes:
        items: at most ``limit``; a page of a filtered list may have fewer, or none, even if there is a ``next``.
        next: the cursor of the next page; None when there is none.
        unreadable: ids of records that belong here and were written by a newer authsvc.
    """

    items: tuple[T, ...]
    next: str | None = None
    unreadable: tuple[str, ...] = ()


@frozen
class IndexProgress:
    """Progress of building the indexes of the lists after an upgrade.

    Attributes:
        settled: whether lists rely on the indexes. Until then they are complete too, but a filter takes longer, and
            customers of older licenses are missing.
        done: licenses that the current pass, or the last one, has processed.
        total: number of licenses at its start.
        ended_at: when the last whole pass ended, or None.
    """

    settled: bool
    done: int
    total: int
    ended_at: datetime | None = None

    @property
    def percent(self) -> int:
        """The progress in per cent."""
        return 100 if self.settled else min(99, 100 * self.done // max(1, self.total))


def write_cursor(query: str, place: str) -> str:
    """Return the cursor that continues ``query``, a text that identifies the list and its filters, after ``place``."""
    raw = place.encode()
    return base64.urlsafe_b64encode(_check(query, raw) + raw).rstrip(b"=").decode()


def read_cursor(query: str, cursor: str | None) -> str | None:
    """Return the place after which ``query`` continues; None for the first page.

    Raises:
        InputRefused: it is not a cursor, or that of another list or of other filters; the field is ``after``.
    """
    if cursor is None:
        return None
    try:
        if len(cursor) <= MAX_CURSOR and cursor.isascii():
            raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
            check, place = raw[:_CHECK_BYTES], raw[_CHECK_BYTES:]
            if check == _check(query, place) and cursor == write_cursor(query, place.decode()):
                return place.decode()
    except (binascii.Error, UnicodeDecodeError):
        pass
    raise InputRefused(
        f"{cursor[:40]!r} is not a cursor of this list; use the one that the page before gave, with the same filters",
        code="cursor_invalid",
        field="after",
    )


def page_size(limit: int) -> int:
    """Return ``limit`` if a page may have that many items.

    Raises:
        InputRefused: it is less than 1 or more than :data:`MAX_PAGE`; the field is ``limit``.
    """
    if not 1 <= limit <= MAX_PAGE:
        raise InputRefused(f"a page has 1 to {MAX_PAGE} items, not {limit}", code="limit_invalid", field="limit")
    return limit


def _check(query: str, place: bytes) -> bytes:
    return hashlib.blake2b(query.encode() + b"\0" + place, digest_size=_CHECK_BYTES).digest()
