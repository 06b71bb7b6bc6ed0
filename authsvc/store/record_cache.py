"""Cache of decoded records, which Redis keeps current (docs/decisions/0029-record-cache.md).

Redis reports every change of a cached kind of record on a connection of its own
(:mod:`authsvc.store.record_tracking`), in order and before it answers whoever made the change. So a record that was
read while that connection was there, and of which nothing was reported since, is what Redis has.

Rule 1: a record is current only while the connection has proven within the last two seconds that nothing is missing.
Rule 2: a reported change removes the record, and what a read brings that was under way at that moment is not cached.
Rule 3: what is not current any more is believed for a minute while the store is unavailable (design #13), counted
from the last proof. A change that was seen ends that too, whichever answer comes last.
Rule 4: that there is no record is never cached.
"""

from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence

from attrs import define, field, frozen

CURRENT_FOR = 2.0
"""Seconds after the last proof for which records are taken for what Redis has."""

BELIEVED_FOR = 60.0
"""Seconds after Redis' last word for which a record is believed while the store is unavailable."""


@define(eq=False)
class TrackedPeriod:
    """A time during which Redis has reported every change.

    Attributes:
        proven_at: every change until then has been reported; seconds of the cache's clock.
    """

    proven_at: float


@define(eq=False)
class _CachedRecord:
    record: object
    raw: bytes
    read_at: float
    period: TrackedPeriod | None

    @property
    def verified_at(self) -> float:
        return self.read_at if self.period is None else max(self.read_at, self.period.proven_at)


@define(eq=False)
class _Flight:
    """All reads of one key that are under way at the same time."""

    reads: int = 0
    answered: bool = False
    raw: bytes | None = None


@frozen(eq=False)
class PendingRead:
    """A read of several records that is under way.

    Attributes:
        keys: of the records.
        began: when it was sent.
        period: in which it was sent, or None.
        flights: the reads of each key at that moment.
    """

    keys: Sequence[str]
    began: float
    period: TrackedPeriod | None
    flights: Sequence[_Flight]


@define(eq=False)
class RecordCache:
    """Keeps the records that were used last.

    Attributes:
        most: records that are kept.
        monotonic: seconds of a clock that never goes back.
        hits: how often everything that was asked for was current.
        misses: how often it was not.
    """

    most: int
    monotonic: Callable[[], float] = field(repr=False)
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    _period: TrackedPeriod | None = field(default=None, init=False)
    _entries: OrderedDict[str, _CachedRecord] = field(factory=OrderedDict, init=False, repr=False)
    _flights: dict[str, _Flight] = field(factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._entries)

    def is_current(self) -> bool:
        """Whether records may be taken for what Redis has."""
        period = self._period
        return period is not None and self.monotonic() - period.proven_at <= CURRENT_FOR

    def current(self, keys: Sequence[str]) -> list[object] | None:
        """Return the records at ``keys`` as Redis has them, all as of this instant, or None unless all are here."""
        found: list[object] = []
        if self.is_current():
            for key in keys:
                entry = self._entries.get(key)
                if entry is None or entry.period is not self._period:
                    break
                found.append(entry.record)
        if len(found) < len(keys):
            self.misses += 1
            return None
        for key in keys:
            self._entries.move_to_end(key)
        self.hits += 1
        return found

    def recent(self, key: str) -> object | None:
        """Return the record that Redis had at ``key`` within the last minute, as far as it is known, or None."""
        entry = self._entries.get(key)
        if entry is None or self.monotonic() - entry.verified_at >= BELIEVED_FOR:
            return None
        return entry.record

    def decoded(self, key: str, raw: bytes) -> object | None:
        """Return the record in ``raw`` if that is what is kept of ``key``."""
        entry = self._entries.get(key)
        return entry.record if entry is not None and entry.raw == raw else None

    def begin(self, keys: Sequence[str]) -> PendingRead:
        """Take note of a read that is about to be sent; :meth:`end` follows, whatever becomes of it."""
        flights = [self._flights.setdefault(key, _Flight()) for key in keys]
        for flight in flights:
            flight.reads += 1
        return PendingRead(keys, self.monotonic(), self._period, flights)

    def store(self, reading: PendingRead, raws: Sequence[bytes | None], records: Sequence[object | None]) -> None:
        """Keep what a read brought, unless a change was reported meanwhile or another read says otherwise."""
        period = reading.period if reading.period is self._period else None
        for key, flight, raw, record in zip(reading.keys, reading.flights, raws, records, strict=True):
            if self._flights.get(key) is not flight:
                continue
            if flight.answered and flight.raw != raw:
                # Which of two answers is the newer one cannot be told; both were under way at the same time.
                self._forget(key)
                continue
            flight.answered, flight.raw = True, raw
            if raw is None or record is None:
                self._entries.pop(key, None)
                continue
            known = self._entries.get(key)
            if period is None and known is not None and known.period is not None and known.period is self._period:
                continue  # what is kept is newer
            self._entries[key] = _CachedRecord(record, raw, reading.began, period)
            self._entries.move_to_end(key)
        while len(self._entries) > self.most:
            self._entries.popitem(last=False)

    def end(self, reading: PendingRead) -> None:
        """Take note that a read is over."""
        for key, flight in zip(reading.keys, reading.flights, strict=True):
            flight.reads -= 1
            if not flight.reads and self._flights.get(key) is flight:
                del self._flights[key]

    def invalidate(self, keys: Iterable[str] | None) -> None:
        """Forget the records at ``keys``, which were changed, and what is being read of them; None for everything."""
        if keys is None:
            self._entries.clear()
            self._flights.clear()
            return
        for key in keys:
            self._forget(key)

    def begin_period(self, proven_at: float) -> TrackedPeriod:
        """Begin a time in which every change is reported; records from before are not current."""
        self._period = TrackedPeriod(proven_at)
        return self._period

    def end_period(self, period: TrackedPeriod) -> None:
        """End it: nothing is current until another one begins."""
        if self._period is period:
            self._period = None

    def _forget(self, key: str) -> None:
        self._entries.pop(key, None)
        self._flights.pop(key, None)
