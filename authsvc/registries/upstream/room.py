"""Limits on the use of this process by each team and link, so that a dead or slow upstream does not delay others."""

from collections import OrderedDict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from attrs import define, field

from authsvc.fair_share import FairShare

REQUESTS, REQUESTS_OF_A_TEAM, REQUESTS_OF_A_LINK = 64, 16, 6
"""Most requests at one time: of all, of the links of one team, and of one link."""

WAITING = 64
"""Most requests of one link that wait for their turn."""

WAIT = 5.0
"""Most seconds for which a request waits."""

LONG_BODIES, LONG_BODIES_OF_A_TEAM = 6, 2
"""Most bodies at one time that are longer than :data:`SHORT`."""

SHORT = 256 * 1024
"""Bytes of a body that are read without waiting for room."""

FAILURES = 3
"""Consecutive failures after which no requests are sent to a link for a while."""

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds between two attempts to reach an upstream that fails; the pause doubles with every failure."""

MAX_KNOWN = 4096

BUSY = "too many requests to this registry are under way; try again in a few seconds"


@define
class LinkBreaker:
    """Counts the consecutive failures of one link; while it is open, one attempt is made after each pause."""

    failures: int = 0
    next_attempt: float = 0.0

    def is_open(self, now: float) -> bool:
        """Whether no request may be sent now."""
        return self.failures >= FAILURES and now < self.next_attempt

    def lets_through(self, now: float) -> bool:
        """Whether a request may be sent; an open breaker lets one through after each pause."""
        if self.is_open(now):
            return False
        if self.failures >= FAILURES:
            self.next_attempt = now + self._pause
        return True

    def failed(self, now: float) -> None:
        """Count one failure more."""
        self.failures += 1
        self.next_attempt = now + self._pause

    @property
    def _pause(self) -> float:
        return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(max(0, self.failures - FAILURES), 6)))


@define(eq=False, repr=False)
class UpstreamRoom:
    """Manages the limits of one process.

    Attributes:
        monotonic: seconds of a clock that never goes back.
    """

    monotonic: Callable[[], float] = field(repr=False)
    _links: FairShare = field(init=False, repr=False)
    _teams: FairShare = field(init=False, repr=False)
    _bodies: FairShare = field(init=False, repr=False)
    _breakers: OrderedDict[str, LinkBreaker] = field(init=False, factory=OrderedDict, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start empty."""
        unbounded = REQUESTS * WAITING
        self._links = FairShare(unbounded, REQUESTS_OF_A_LINK, WAITING, BUSY, patience=WAIT)
        self._teams = FairShare(REQUESTS, REQUESTS_OF_A_TEAM, unbounded, BUSY, patience=WAIT)
        self._bodies = FairShare(LONG_BODIES, LONG_BODIES_OF_A_TEAM, unbounded, BUSY, patience=WAIT)

    @asynccontextmanager
    async def request(self, team: str, link: str) -> AsyncIterator[None]:
        """Hold room for one request for as long as the context lasts.

        The room of the link comes first: a link whose registry is dead takes a part of its team's room, not all of it.

        Raises:
            Overloaded: too many requests of this link wait already, or this one does not get its turn in time.
        """
        async with self._links.slot(link), self._teams.slot(team):
            yield

    @asynccontextmanager
    async def long_body(self, team: str) -> AsyncIterator[None]:
        """Hold room for a long body for as long as the context lasts.

        Raises:
            Overloaded: there is none in time.
        """
        async with self._bodies.slot(team):
            yield

    def breaker(self, link: str) -> LinkBreaker:
        """Return the breaker of a link; a new one replaces that of the least recently used link."""
        breaker = self._breakers.setdefault(link, LinkBreaker())
        self._breakers.move_to_end(link)
        while len(self._breakers) > MAX_KNOWN:
            self._breakers.popitem(last=False)
        return breaker

    def succeeded(self, link: str) -> None:
        """Close the breaker of a link whose upstream has answered."""
        self._breakers.pop(link, None)
