"""The throttle in memory."""

from collections.abc import Mapping
from datetime import datetime

from attrs import define, field

from authsvc.throttle import PAIR, Buckets, Limit, spend, wait


@define
class MemoryThrottle:
    """The throttle's contract over a dictionary; tests/store holds the real one against the same arithmetic."""

    tats: dict[tuple[str, str], float] = field(factory=dict)
    known: set[str] = field(factory=set)

    async def look(self, buckets: Buckets, known: str) -> tuple[Mapping[Limit, float | None], bool]:
        """Return the state of each bucket, and whether ``known`` was used."""
        return {limit: self.tats.get((limit.name, name)) for limit, name in buckets.all()}, known in self.known

    async def count(self, buckets: Buckets, method: str, now: datetime) -> float:
        """Count one failure."""
        del method
        over = 0.0
        for limit, name in buckets.all():
            tat = self.tats.get((limit.name, name))
            over = max(over, wait(tat, limit, now.timestamp()))
            self.tats[limit.name, name] = spend(tat, limit, now.timestamp())
        return over

    async def forgive(self, buckets: Buckets) -> None:
        """Forget the pair's failures."""
        (name,) = (name for limit, name in buckets.all() if limit is PAIR)
        self.tats.pop((PAIR.name, name), None)

    def note(self, credential_id: str, now: datetime) -> None:
        """Remember a sign-in."""
        del now
        self.known.add(credential_id)
