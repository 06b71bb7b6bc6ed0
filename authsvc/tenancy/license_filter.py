"""The filter of a list of licenses."""

from datetime import datetime, timedelta
from typing import Self

from attrs import frozen

from authsvc.errors import InputRefused
from authsvc.tenancy.dates import parse_span
from authsvc.tenancy.names import parse_text
from authsvc.tenancy.records import App, License
from authsvc.tenancy.search import fold, words

STATES = ("active", "expired", "revoked", "pending", "archived")
"""The states of a license, as :meth:`authsvc.tenancy.records.License.state` has them."""

MAX_ENDS_WITHIN = timedelta(days=3650)
"""Longest ``ends_within`` of a filter."""

MAX_TEXT = 200
"""Most characters of a text of a filter."""


@frozen
class LicenseFilter:
    """Selects licenses of one app, of one team, or of all, that fulfil every given condition.

    Attributes:
        team: slug; None for every team.
        app: slug, of ``team`` if that is given; None for every app.
        apps: only licenses of these apps; None for no such limit.
        customer: folded words, each of which begins a word of the customer's name; empty for no such filter.
        customer_id: the one customer, or None.
        reference: folded beginning of the license's reference, or None.
        state: one of :data:`STATES`; None for every state but ``archived``.
        ends_within: only licenses that end within this time from now and have not ended; without a ``state`` only
            ``active`` and ``pending`` ones; None for no such filter.
    """

    team: str | None = None
    app: str | None = None
    apps: frozenset[str] | None = None
    customer: tuple[str, ...] = ()
    customer_id: str | None = None
    reference: str | None = None
    state: str | None = None
    ends_within: timedelta | None = None

    @classmethod
    def parse(
        cls,
        *,
        team: str | None = None,
        app: str | None = None,
        apps: frozenset[str] | None = None,
        customer: str | None = None,
        reference: str | None = None,
        state: str | None = None,
        ends_within: str | None = None,
    ) -> Self:
        """Return the filter for the given arguments.

        Args:
            team: slug, known to exist.
            app: slug, known to exist.
            apps: those that the caller is limited to.
            customer: words, or beginnings of words, of the customer's name, in any order; case and accents are ignored.
            reference: the license's reference, or its beginning; case and accents are ignored.
            state: one of :data:`STATES`.
            ends_within: a span such as ``30d``.

        Raises:
            InputRefused: something is not acceptable; the field names it.
        """
        if state is not None and state not in STATES:
            raise InputRefused(
                f"{state[:40]!r} is not a state of a license; use {', '.join(STATES)}",
                code="license_state_invalid",
                field="state",
            )
        found = parse_words(customer, "customer")
        span = None if ends_within is None else parse_span(ends_within, "ends_within", longest=MAX_ENDS_WITHIN)
        return cls(team, app, apps, found, None, parse_reference(reference), state, span)

    def admits(self, license_: License, app: App, now: datetime) -> bool:
        """Whether the filter selects ``license_`` of ``app``; the customer is not compared."""
        state = license_.state_in(app, now)
        return (
            self.is_within_scope(license_)
            and (self._default(license_, state) if self.state is None else state == self.state)
            and (self.reference is None or fold(license_.reference or "").startswith(self.reference))
            and (self.customer_id is None or license_.customer_id == self.customer_id)
            and (self.ends_within is None or now < license_.expires_at <= now + self.ends_within)
        )

    def is_within_scope(self, license_: License) -> bool:
        """Whether ``license_`` is of the team and of the apps."""
        return (
            (self.app is None or license_.app == self.app)
            and (self.apps is None or license_.app in self.apps)
            and (self.team is None or license_.team == self.team)
        )

    def _default(self, license_: License, state: str) -> bool:
        return license_.archived_at is None if self.ends_within is None else state in {"active", "pending"}

    @property
    def scope(self) -> "LicenseFilter":
        """The filter for the same team and apps without any other condition."""
        return LicenseFilter(self.team, self.app, self.apps)

    @property
    def query(self) -> str:
        """A text that identifies this filter, to which a cursor belongs."""
        limited = None if self.apps is None else sorted(self.apps)
        span = None if self.ends_within is None else self.ends_within.total_seconds()
        facts = (self.team, self.app, limited, self.customer, self.customer_id, self.reference, self.state, span)
        return f"licenses {facts!r}"


def parse_words(text: str | None, field: str) -> tuple[str, ...]:
    """Return the folded words to look for; empty for None.

    Raises:
        InputRefused: there is no word in it, or it is too long; ``field`` names it.
    """
    if text is None:
        return ()
    _check_length(text, field)
    found = words(text)
    if not found:
        raise _nothing_to_look_for(text, field)
    return found


def parse_reference(text: str | None) -> str | None:
    """Return the folded beginning of a reference to look for; None for None.

    Raises:
        InputRefused: it is empty, too long or not printable, or it contains nothing that can be compared.
    """
    if text is None:
        return None
    _check_length(text, "reference")
    found = fold(parse_text(text, "reference"))
    if not found:
        raise _nothing_to_look_for(text, "reference")
    return found


def _nothing_to_look_for(text: str, field: str) -> InputRefused:
    return InputRefused(f"{text[:40]!r} has no letter or digit to look for", code="search_empty", field=field)


def _check_length(text: str, field: str) -> None:
    if not 0 < len(text.strip()) <= MAX_TEXT:
        raise InputRefused(
            f"the {field} to look for must have 1 to {MAX_TEXT} characters", code="length_invalid", field=field
        )
