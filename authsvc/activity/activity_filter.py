"""The filter of a list of activity."""

import re
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Self

from attrs import frozen

from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import CLOCK_SLACK, DAYS_KEPT, HOURS_KEPT
from authsvc.errors import InputRefused
from authsvc.tenancy.dates import parse_instant, parse_span

_SPAN = re.compile(r"[0-9]+[mhd]", re.ASCII)


class Resolution(StrEnum):
    """The length of the periods that are counted."""

    HOUR = "hour"
    DAY = "day"

    @property
    def seconds(self) -> int:
        """Of one period."""
        return 3600 if self is Resolution.HOUR else 86400

    @property
    def kept(self) -> timedelta:
        """How long counts are stored."""
        return HOURS_KEPT if self is Resolution.HOUR else DAYS_KEPT


@frozen
class ActivityFilter:
    """Selects activity of one app, of one team, or of all, that fulfils every given condition.

    Attributes:
        since: only periods that end after this; never before the oldest stored one.
        until: only periods that begin before this.
        resolution: of the periods.
        team: slug; None for every team.
        app: slug, of ``team`` if that is given; None for every app.
        apps: only these apps; None for no such limit.
        license_id: only this license, of ``app``.
        customer_id: only licenses of this customer, of ``team``.
        image: only this repository, tag or digest, of ``app``.
        text: of the filter as entered, to which a cursor belongs.
    """

    since: datetime
    until: datetime
    resolution: Resolution = Resolution.DAY
    team: str | None = None
    app: str | None = None
    apps: frozenset[str] | None = None
    license_id: str | None = None
    customer_id: str | None = None
    image: ImageName | None = None
    text: tuple[str | None, ...] = ()

    @classmethod
    def parse(
        cls,
        now: datetime,
        *,
        since: str | None = None,
        until: str | None = None,
        resolution: str | None = None,
        image: str | None = None,
    ) -> Self:
        """Return the filter for the given arguments, for every app.

        Args:
            now: the time from which spans are counted back.
            since: an instant, or a span such as ``7d``; None for all that is stored.
            until: in the same forms; None for now.
            resolution: ``hour`` or ``day``; None for days.
            image: a repository, with a tag or digest or without.

        Raises:
            InputRefused: something is not acceptable; the field names it.
        """
        try:
            chosen = Resolution(resolution or Resolution.DAY)
        except ValueError as error:
            raise InputRefused(
                f"{str(resolution)[:40]!r} is not a resolution; use hour or day",
                code="resolution_invalid",
                field="resolution",
            ) from error
        oldest = now - chosen.kept
        first = oldest if since is None else max(oldest, parse_time(since, now, "since"))
        last = now + CLOCK_SLACK if until is None else parse_time(until, now, "until")
        if since is not None and until is not None and last <= first:
            raise InputRefused("until: it is not after since", code="period_invalid", field="until")
        name = None if image is None else ImageName.parse(image)
        return cls(first, last, chosen, image=name, text=(since, until))

    def overlaps(self, start: datetime) -> bool:
        """Whether the period that begins at ``start`` is selected."""
        return start < self.until and start + timedelta(seconds=self.resolution.seconds) > self.since

    @property
    def query(self) -> str:
        """A text that identifies this filter, to which a cursor belongs."""
        limited = None if self.apps is None else sorted(self.apps)
        names = (self.team, self.app, limited, self.license_id, self.customer_id, self.image)
        return f"activity {self.resolution} {self.text!r} {names!r}"


def parse_time(text: str, now: datetime, what: str) -> datetime:
    """Return the instant: a date, a date with a time, or a span back from ``now`` such as ``7d`` or ``24h``.

    Raises:
        InputRefused: it has another form; ``what`` names the argument.
    """
    if _SPAN.fullmatch(text):
        return now - parse_span(text, what, longest=DAYS_KEPT)
    try:
        return parse_instant(text, what)
    except InputRefused as error:
        raise InputRefused(f"{error}, or 7d for a span back from now", code=error.code, field=error.field) from error
