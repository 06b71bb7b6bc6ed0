"""Aggregates repeated token events into one audit entry with a count: which ones are equal, and when they are recorded.

Rule 1: the first decision of its kind is recorded at once, so that it can be found at once.
Rule 2: repeats are grouped and recorded together: first after two seconds, then after twice as long each time, up to
five minutes. A silence of the same length resets the interval.
Rule 3: repeats of fully granted tokens, which are rarely looked up, are recorded after an hour and then once a day;
only a day of silence resets the interval.
Rule 4: with a proven identity, an entry keeps as many request ids as it has room for, because each was shown to a user;
for fully granted tokens it keeps the first and the last.
Rule 5: before identity is proven, all requests from one /24 or /64 with the same cause are one group, and the number of
causes per network is limited, since an attacker can vary them.
Rule 6: the number of groups that a subject may begin is limited, with a few more every minute. Beyond that its requests
are grouped by outcome, with a few examples: a caller that varies its requests fills the audit no faster than others.
Rule 7: memory is bounded. When no more groups fit, new decisions are grouped by app and outcome, with a few examples:
the entry has less detail, and every decision is still counted.
"""

import heapq
from datetime import datetime
from typing import Any

from attrs import define, evolve, field

from authsvc.audit.compact_text import pack, unpack
from authsvc.audit.entry import ENCODER, MAX_ENTRY
from authsvc.audit.pending_entry import PendingEntry
from authsvc.audit.request_ids import ID_BYTES, has_id, packed
from authsvc.audit.token_event import AuditedRequest, TokenEvent
from authsvc.redaction import unsecret
from authsvc.tenancy.subjects import split_subject

FIRST_INTERVAL, LONGEST_INTERVAL = 2.0, 300.0
"""Seconds between two entries of one group: after the first entry, and at most."""

FIRST_INTERVAL_OF_COMPLETE, INTERVAL_OF_COMPLETE = 3600.0, 24 * 3600.0
"""The same for fully granted tokens."""

DEFAULT_GROUPS = 16_384
"""Most groups that wait at once, by default."""

BYTES_A_GROUP = 1024
"""Bytes of memory for each group that may wait: 16 MiB together by default."""

GROUP_OVERHEAD = 740
"""Approximate bytes that Python needs for a group without its text and ids, and for the time of its last entry."""

UNPROVEN_PART = 4
"""Part of the groups that may be for events before identity is proven: one in so many."""

MAX_STARTS, START_EVERY = 200, 15.0
"""Groups that a subject may begin at once, and seconds after which it may begin one more: 5,960 entries on the first
day, some 4 MB. A fully granted token may begin a known group again for free, which it does once a day."""

STARTS_PART = 16
"""For how many subjects that is remembered, as a fraction of the most groups: those of the latest requests."""

MAX_MERGED = 256
"""Most groups by app and outcome; beyond that, events are grouped by outcome only."""

MAX_EXAMPLES = 10
"""Most events that such a group lists as examples."""

MAX_MERGED_IDS = 64
"""Most request ids of one group by app or without identity, besides the last."""

TAIL = 768
"""Bytes of an entry that are reserved for facts that are known only at its end."""

MAX_CAUSES, MAX_NETWORKS = 8, 4096
"""Most causes of failure per network at once, and most networks that are distinguished."""

VARIOUS = "various causes"
"""The common cause of failures of a network that has too many causes."""

MAX_ADDRESSES, MAX_ADDRESS = 5, 64
"""Most addresses that a group lists, and most characters of one."""


@define(eq=False, repr=False, weakref_slot=False)
class _Group:
    first: str | bytes
    """The text of the entry without its end, packed if it waits for long."""
    first_at: datetime
    last_at: datetime
    last_id: str
    proven: bool
    complete: bool
    max_ids: int
    interval: float
    team: str = ""
    merged: bool = False
    various: bool = False
    count: int = 0
    ids: bytes = b""
    addresses: tuple[str, ...] = ()
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def size(self) -> int:
        """Approximate bytes of memory that it takes."""
        return len(self.first) + len(self.ids) + GROUP_OVERHEAD

    def count_one(self, at: datetime, request_id: str, address: str) -> None:
        """Count an event."""
        self.count += 1
        self.last_at, self.last_id = max(self.last_at, at), request_id
        if len(self.addresses) < MAX_ADDRESSES and address not in self.addresses:
            self.addresses = (*self.addresses, address)

    def add(self, token_event: TokenEvent, *, roomy: bool) -> None:
        """Count an event, and keep its id and details while there is room."""
        self.count_one(token_event.at, token_event.request_id, token_event.client.address)
        if roomy and len(self.ids) < self.max_ids * ID_BYTES:
            self.ids += packed(token_event.request_id)
        if self.various and len(self.examples) < MAX_EXAMPLES:
            self.examples = (*self.examples, token_event.example())

    def entry(self) -> PendingEntry:
        last: dict[str, Any] = {"count": self.count}
        if self.examples:
            last["examples"] = self.examples
        if self.count > 1:
            last |= {"last_at": self.last_at.isoformat(), "last_id": self.last_id}
            if len(self.addresses) > 1:
                last["addresses"] = [_truncated(address) for address in self.addresses]
        ids = self.ids
        if not self.complete and not has_id(ids, self.last_id):
            ids += packed(self.last_id)
        first = unpack(self.first) if isinstance(self.first, bytes) else self.first
        text = f"{first[:-1]},{ENCODER.encode(last)[1:]}"
        return PendingEntry(text, ids, self.count, self.proven, team=self.team)


@define
class Aggregator:
    """Groups of equal token events. Times are Unix seconds.

    Attributes:
        max_groups: how many groups may wait at once, besides those by app.
    """

    max_groups: int = DEFAULT_GROUPS
    _groups: dict[int, _Group] = field(factory=dict, init=False)
    _schedule: list[tuple[float, int, int]] = field(factory=list, init=False)
    _started: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)
    _unproven: int = field(default=0, init=False)
    _merged: int = field(default=0, init=False)
    _intervals: dict[int, tuple[float, float]] = field(factory=dict, init=False)
    _starts: dict[int, float] = field(factory=dict, init=False)
    _causes: dict[str, set[str | None]] = field(factory=dict, init=False)
    _causes_since: float = field(default=0.0, init=False)
    _taken_at: float = field(default=0.0, init=False)
    _due_count: int = field(default=0, init=False)

    @property
    def waiting(self) -> int:
        """How many groups wait."""
        return len(self._groups)

    @property
    def due_count(self) -> int:
        """Approximate number of groups that the next :meth:`take` returns."""
        return self._due_count

    def add(self, token_event: TokenEvent) -> None:
        """Count one event in its group."""
        now = token_event.at.timestamp()
        key, grouped = self._key(token_event, now)
        group, various = self._groups.get(key), False
        if group is None and not self._may_start(key, token_event, now):
            key, various = _key_of_more(token_event), True
            group = self._groups.get(key)
        if group is None and self._is_full(proven=token_event.proven):
            key, app = self._merged_key(token_event)
            group = self._groups.get(key) or self._start_group(
                key, token_event, token_event.text_of_many(app), now, merged=True, app=app
            )
        elif group is None:
            text = token_event.text_of_more() if various else grouped.text()
            group = self._start_group(key, token_event, text, now, various=various)
        before = len(group.ids)
        group.add(token_event, roomy=group.merged or self._size < self.max_groups * BYTES_A_GROUP)
        self._size += len(group.ids) - before

    def count_repeat(self, key: int, asked: AuditedRequest) -> bool:
        """Count a fully granted token whose group waits under its :func:`repeat_key`; return whether one does."""
        group = self._groups.get(key)
        if group is None:
            return False
        group.count_one(asked.at, asked.request_id, asked.client.address)
        return True

    def take(self, now: float, *, everything: bool = False, most: int | None = None) -> list[PendingEntry]:
        """Remove and return the groups that are due, the longest due first; or all groups.

        Args:
            now: the current time.
            everything: whether to return groups that are not due yet, too.
            most: how many at most, in case there are more; None for no limit.
        """
        # A group that was begun before the clock was set back may be due later than is possible.
        everything = everything or now < self._taken_at - FIRST_INTERVAL
        taken: list[_Group] = []
        while self._schedule and (everything or self._schedule[0][0] <= now) and (most is None or len(taken) < most):
            _, _, key = heapq.heappop(self._schedule)
            group = self._groups.pop(key)
            self._size -= group.size
            self._unproven -= not group.proven
            self._merged -= group.merged
            self._lengthen_interval(key, group, now)
            taken.append(group)
        if most is None or len(taken) < most:
            self._taken_at, self._due_count = now, 0
        return [group.entry() for group in sorted(taken, key=lambda group: group.first_at)]

    def _may_start(self, key: int, token_event: TokenEvent, now: float) -> bool:
        """Whether the subject may begin this group; counts it, unless it is a known one of fully granted tokens."""
        if not token_event.proven or (token_event.facts.complete and key in self._intervals):
            return True
        # The first of several licenses represents all: there are many combinations.
        subject = hash(split_subject(token_event.actor)[0])
        # The time at which the bucket of begun groups will be empty: each group adds one interval, as in a leaky
        # bucket.
        paid = min(max(self._starts.pop(subject, now), now), now + MAX_STARTS * START_EVERY)
        may = paid <= now + (MAX_STARTS - 1) * START_EVERY
        self._starts[subject] = paid + may * START_EVERY
        if len(self._starts) > self.max_groups // STARTS_PART:
            del self._starts[next(iter(self._starts))]
        return may

    def _is_full(self, *, proven: bool) -> bool:
        """Whether another group would exceed a limit."""
        return (
            len(self._groups) - self._merged >= self.max_groups
            or self._size >= self.max_groups * BYTES_A_GROUP
            or (not proven and self._unproven >= self.max_groups // UNPROVEN_PART)
        )

    def _start_group(
        self,
        key: int,
        token_event: TokenEvent,
        text: str,
        now: float,
        *,
        merged: bool = False,
        various: bool = False,
        app: str | None = None,
    ) -> _Group:
        complete = token_event.facts.complete and not (merged or various)
        recorded_at, interval = self._intervals.pop(key, (0.0, 0.0))
        due = recorded_at + interval
        if not now < due <= now + INTERVAL_OF_COMPLETE:
            due = now
            if not recorded_at <= now < recorded_at + max(interval, INTERVAL_OF_COMPLETE if complete else 0):
                interval = 0.0  # silent for that long: it counts as new
        at, room = token_event.at, (MAX_ENTRY - TAIL - len(text)) // ID_BYTES - 1
        few = 0 if complete else MAX_MERGED_IDS if merged or not token_event.proven else room
        # Only a token that lacked nothing waits for long.
        first = pack(text) if complete and now < due else text
        group = _Group(
            *(first, at, at, token_event.request_id, token_event.proven, complete, min(few, room), interval),
            token_event.team if not merged else token_event.team_of(app),
            merged,
            merged or various,
        )
        self._groups[key] = group
        heapq.heappush(self._schedule, (due, self._started, key))
        self._started += 1
        self._size += group.size
        self._unproven += not token_event.proven
        self._merged += merged
        self._due_count += due <= now
        return group

    def _lengthen_interval(self, key: int, group: _Group, now: float) -> None:
        if group.complete:
            longer = INTERVAL_OF_COMPLETE if group.interval else FIRST_INTERVAL_OF_COMPLETE
        else:
            longer = min(max(group.interval * 2, FIRST_INTERVAL), LONGEST_INTERVAL)
        self._intervals[key] = (now, longer)
        if len(self._intervals) > max(1, self.max_groups - len(self._groups)):
            del self._intervals[next(iter(self._intervals))]

    def _merged_key(self, token_event: TokenEvent) -> tuple[int, str | None]:
        """Return a number that is equal for the same app and outcome, and the app."""
        app = token_event.app if self._merged < MAX_MERGED else None
        return hash(
            (token_event.event, token_event.proven, token_event.facts.kind, token_event.facts.complete, app)
        ), app

    def _key(self, token_event: TokenEvent, now: float) -> tuple[int, TokenEvent]:
        """Return a number that is equal for repeats, and the event as it is recorded."""
        if token_event.proven:
            return token_event.key, token_event
        network = token_event.client.block
        cause = self._cause(network, token_event.facts.detail, now)
        if cause == VARIOUS:
            token_event = evolve(token_event, facts=evolve(token_event.facts, detail=VARIOUS))
        return hash((token_event.event, network, token_event.facts.kind, cause)), token_event

    def _cause(self, network: str, detail: str | None, now: float) -> str | None:
        if now >= self._causes_since + LONGEST_INTERVAL:
            self._causes.clear()
            self._causes_since = now
        if network not in self._causes and len(self._causes) >= MAX_NETWORKS:
            return VARIOUS
        causes = self._causes.setdefault(network, set())
        if detail in causes or len(causes) < MAX_CAUSES:
            causes.add(detail)
            return detail
        return VARIOUS


def _key_of_more(token_event: TokenEvent) -> int:
    """Return a number that is equal for the same subject, credential and outcome."""
    facts = token_event.facts
    proof = None if facts.credential is None else (facts.credential.kind, facts.credential.id)
    return hash(("more", token_event.event, token_event.actor, proof, facts.kind, facts.complete))


def _truncated(address: str) -> str:
    return unsecret(address).encode("ascii", "replace")[:MAX_ADDRESS].decode()
