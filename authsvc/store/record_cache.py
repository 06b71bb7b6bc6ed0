"""Cache of decoded records, which Redis keeps current (docs/decisions/0029-record-cache.md).

Redis reports every change of a cached kind of record on a connection of its own
(:mod:`authsvc.store.record_tracking`), in order and before it answers the client that made the change. So a record that
was read while that connection existed, and for which no change was reported since, is current.

Rule 1: a record is current only while the connection has proven within the last two seconds that nothing is missing.
Rule 2: a reported change removes the record, and the result of a read that was in flight at that moment is not cached.
Rule 3: while the store is unavailable, a record that is no longer current is used for a minute after the last proof
(design #13). A reported change ends that, too, whichever answer arrives last.
Rule 4: the absence of a record is never cached.
"""

from collections.abc import Callable, Iterable, Sequence
from hashlib import blake2b
from math import inf
from typing import Any

from attrs import define, field, frozen

CURRENT_FOR = 2.0
"""Seconds after the last proof for which records count as current."""

BELIEVED_FOR = 60.0
"""Seconds after Redis' last answer for which a record is used while the store is unavailable."""

SAME_TIME = 0.05
"""Reads that begin within so many seconds count as begun when the first of them did: they store one time for all."""

MOST_LOOKS = 32
"""Most records that are looked at for a place: so long another request may wait."""


@define(eq=False)
class TrackedPeriod:
    """A time during which Redis has reported every change.

    Attributes:
        proven_at: every change until then has been reported; seconds of the cache's clock.
    """

    proven_at: float


@frozen(eq=False)
class _ReadTime:
    """When records were read: not before ``began``, and in which period, or None."""

    began: float
    period: TrackedPeriod | None

    @property
    def verified_at(self) -> float:
        return self.began if self.period is None else max(self.began, self.period.proven_at)


@define(eq=False, weakref_slot=False)
class _CachedRecord:
    """A record; many are cached, so what several have in common is stored once.

    Attributes:
        record: decoded.
        digest: of its stored bytes.
        read: when it was read.
        used: whether it was used since the last look at whether it may be dropped.
    """

    record: object
    digest: bytes
    read: _ReadTime
    used: bool = False


@define(eq=False)
class _Flight:
    """All reads of one key that are in flight at the same time."""

    reads: int = 0
    answered: bool = False
    raw: bytes | None = None


@frozen(eq=False)
class PendingRead:
    """A read of several records that is in flight.

    Attributes:
        keys: of the records.
        time: when it was sent.
        flights: the reads of each key at that moment.
    """

    keys: Sequence[str]
    time: _ReadTime
    flights: Sequence[_Flight]


@define(eq=False)
class RecordCache:
    """Caches the records that were used last.

    When it is full, their places are looked at in turn (the CLOCK algorithm): a record that was used since the last
    look stays for another turn, and the first other one is dropped. A record that was removed leaves its place empty,
    and takes it again if it is read again before the place is given away.

    Attributes:
        most: records that are kept.
        monotonic: seconds of a clock that never goes back.
        hits: how often all requested records were current.
        misses: how often it was not.
    """

    most: int
    monotonic: Callable[[], float] = field(repr=False)
    hits: int = field(default=0, init=False)
    misses: int = field(default=0, init=False)
    _period: TrackedPeriod | None = field(default=None, init=False)
    _read_time: _ReadTime = field(factory=lambda: _ReadTime(-inf, None), init=False)
    _entries: dict[str, _CachedRecord | None] = field(factory=dict, init=False, repr=False)
    """What is in each place, by key: None for a record that was removed."""
    _places: list[str] = field(factory=list, init=False, repr=False)
    _empty: int = field(default=0, init=False)
    _hand: int = field(default=0, init=False)
    _flights: dict[str, _Flight] = field(factory=dict, init=False, repr=False)

    def __len__(self) -> int:
        """Return the number of records."""
        return len(self._entries) - self._empty

    def is_current(self) -> bool:
        """Whether cached records count as current."""
        period = self._period
        return period is not None and self.monotonic() - period.proven_at <= CURRENT_FOR

    def current(self, keys: Sequence[str]) -> list[object] | None:
        """Return the current records at ``keys``, all as of this instant, or None unless all are cached."""
        return self._counted(self._found(keys))

    def current_pair(self, key: str, other: Callable[[Any], str]) -> tuple[object, object] | None:
        """Return the current records at ``key`` and at the key that ``other`` makes of the first, like current."""
        first = self._current_entry(key) if self.is_current() else None
        second = None if first is None else self._current_entry(other(first.record))
        if first is None or second is None:
            self.misses += 1
            return None
        first.used = second.used = True
        self.hits += 1
        return first.record, second.record

    def _current_entry(self, key: str) -> _CachedRecord | None:
        entry = self._entries.get(key)
        return entry if entry is not None and entry.read.period is self._period else None

    def _found(self, keys: Sequence[str]) -> list[object] | None:
        if not self.is_current():
            return None
        found: list[object] = []
        for key in keys:
            entry = self._current_entry(key)
            if entry is None:
                return None
            entry.used = True
            found.append(entry.record)
        return found

    def _counted(self, found: list[object] | None) -> list[object] | None:
        if found is None:
            self.misses += 1
        else:
            self.hits += 1
        return found

    def recent(self, key: str) -> object | None:
        """Return the record that Redis had at ``key`` within the last minute, as far as it is known, or None."""
        entry = self._entries.get(key)
        if entry is None or self.monotonic() - entry.read.verified_at >= BELIEVED_FOR:
            return None
        return entry.record

    def decoded(self, key: str, raw: bytes) -> object | None:
        """Return the decoded record if ``raw`` is what is cached for ``key``."""
        entry = self._entries.get(key)
        return entry.record if entry is not None and entry.digest == _digest(raw) else None

    def begin(self, keys: Sequence[str]) -> PendingRead:
        """Register a read that is about to be sent; :meth:`end` must follow, whatever its result."""
        flights = [self._flights.setdefault(key, _Flight()) for key in keys]
        for flight in flights:
            flight.reads += 1
        now = self.monotonic()
        if now - self._read_time.began > SAME_TIME or self._read_time.period is not self._period:
            self._read_time = _ReadTime(now, self._period)
        return PendingRead(keys, self._read_time, flights)

    def store(self, reading: PendingRead, raws: Sequence[bytes | None], records: Sequence[object | None]) -> None:
        """Cache the result of a read, unless a change was reported meanwhile or another read has a different result."""
        time = reading.time if reading.time.period is self._period else _ReadTime(reading.time.began, None)
        for key, flight, raw, record in zip(reading.keys, reading.flights, raws, records, strict=True):
            if self._flights.get(key) is not flight:
                continue
            if flight.answered and flight.raw != raw:
                # It is unknown which of two answers is newer; both were in flight at the same time.
                self._forget(key)
                continue
            flight.answered, flight.raw = True, raw
            if raw is None or record is None:
                self._remove(key)
                continue
            known = self._entries.get(key)
            if known is None:
                self._take_place(key)
            elif time.period is None and known.read.period is not None and known.read.period is self._period:
                continue  # the cached record is newer
            self._entries[key] = _CachedRecord(record, _digest(raw), time, used=known is not None)

    def end(self, reading: PendingRead) -> None:
        """Register the end of a read."""
        for key, flight in zip(reading.keys, reading.flights, strict=True):
            flight.reads -= 1
            if not flight.reads and self._flights.get(key) is flight:
                del self._flights[key]

    def invalidate(self, keys: Iterable[str] | None) -> None:
        """Drop the records at ``keys``, which were changed, and reads of them in flight; None for all records."""
        if keys is None:
            self._entries.clear()
            self._places.clear()
            self._hand = self._empty = 0
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

    def _take_place(self, key: str) -> None:
        """Give a new record a place: its own from before, another one, or that of a record which is dropped for it."""
        if key in self._entries:
            self._empty -= 1
            return
        if len(self._places) < self.most:
            self._places.append(key)
            return
        for _ in range(MOST_LOOKS):
            entry = self._entries.get(self._places[self._hand])
            if entry is None or not entry.used:
                break
            entry.used = False
            self._hand = (self._hand + 1) % self.most
        if self._entries.pop(self._places[self._hand]) is None:
            self._empty -= 1
        self._places[self._hand] = key
        self._hand = (self._hand + 1) % self.most

    def _remove(self, key: str) -> None:
        if self._entries.get(key) is not None:
            self._entries[key] = None
            self._empty += 1

    def _forget(self, key: str) -> None:
        self._remove(key)
        self._flights.pop(key, None)


def _digest(raw: bytes) -> bytes:
    """Return what stands for stored bytes: they are longer than the decoded record's own texts.

    With 15 bytes Python's object takes 48, and with one more 64.
    """
    return blake2b(raw, digest_size=15).digest()
