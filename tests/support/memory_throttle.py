"""The throttle in memory."""

import asyncio
from datetime import datetime

from attrs import define, evolve, field

from authsvc.throttle import (
    KNOWN_LIFE,
    MACHINE_LIMITS,
    MAX_KNOWN,
    MAX_WRONG,
    PAIR,
    PASSWORD_LIMITS,
    WRONG_LIFE,
    Admission,
    Attempt,
    Limit,
    TATs,
    bucket,
    limits_of,
    longest_wait,
    refund,
    spend,
)

Bucket = tuple[Limit, str]


@define
class MemoryThrottle:
    """The throttle's contract over dictionaries; tests/store holds the real one against it.

    Attributes:
        tats: the buckets.
        tried: when each wrong password was tried, by account and network.
        networks: when each network was last signed in from, by account.
    """

    tats: dict[Bucket, float | None] = field(factory=dict)
    tried: dict[tuple[str, str], dict[str, datetime]] = field(factory=dict)
    networks: dict[str, dict[str, datetime]] = field(factory=dict)

    async def look(self, email: str, network: str) -> TATs:
        """Return the state of the buckets."""
        return {limit: self.tats.get((limit, bucket(limit, email, network))) for limit in PASSWORD_LIMITS}

    async def admit(self, attempt: Attempt, now: datetime) -> Admission:
        """Take the place of an attempt; who else asks at the same moment may come first, as in a real store."""
        await asyncio.sleep(0)
        seen = self.networks.get(attempt.account_id or "", {}).get(attempt.network)
        admission = Admission(known=attempt.exempts and seen is not None and now < seen + KNOWN_LIFE)
        tried = self.tried.get((attempt.email, attempt.network), {}).get(attempt.guess)
        if tried is not None and now < tried + WRONG_LIFE:
            return evolve(admission, repeated=True)
        tats = await self.look(attempt.email, attempt.network)
        admission = evolve(admission, wait=longest_wait(tats, limits_of(known=admission.known), now.timestamp()))
        if admission.admitted:
            for limit in admission.limits:
                name = bucket(limit, attempt.email, attempt.network)
                self.tats[limit, name] = spend(tats[limit], limit, now.timestamp())
        return admission

    async def right(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an attempt that was right."""
        self._refund(attempt, admission, now)
        self.tats.pop((PAIR, bucket(PAIR, attempt.email, attempt.network)), None)
        if attempt.exempts and attempt.account_id is not None:
            networks = self.networks.setdefault(attempt.account_id, {})
            networks[attempt.network] = now
            _keep_newest(networks, MAX_KNOWN)

    async def wrong(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an attempt that was wrong."""
        tried = self.tried.setdefault((attempt.email, attempt.network), {})
        for guess in [guess for guess, at in tried.items() if now >= at + WRONG_LIFE]:
            del tried[guess]
        if attempt.guess in tried:
            self._refund(attempt, admission, now)
        else:
            tried[attempt.guess] = now
            _keep_newest(tried, MAX_WRONG)

    async def unevaluated(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an attempt that was not evaluated."""
        self._refund(attempt, admission, now)

    async def count_machine(self, credential_id: str, network: str, method: str, now: datetime) -> float:
        """Count one unknown machine secret."""
        del method
        names = [(limit, bucket(limit, credential_id, network)) for limit in MACHINE_LIMITS]
        tats = {limit: self.tats.get((limit, name)) for limit, name in names}
        for limit, name in names:
            self.tats[limit, name] = spend(tats[limit], limit, now.timestamp())
        return longest_wait(tats, MACHINE_LIMITS, now.timestamp())

    def _refund(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        for limit in admission.limits:
            name = bucket(limit, attempt.email, attempt.network)
            self.tats[limit, name] = refund(self.tats.get((limit, name)), limit, now.timestamp())


def _keep_newest(entries: dict[str, datetime], most: int) -> None:
    for oldest in sorted(entries, key=lambda name: entries[name])[: max(0, len(entries) - most)]:
        del entries[oldest]
