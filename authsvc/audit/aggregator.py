"""Repeats become one entry: which decisions are the same, and when a heap of them is told. Pure arithmetic.

Rule 1: the first decision of its kind is recorded at once, so that anyone who looks for it finds it.
Rule 2: repeats are grouped and recorded together: first after two seconds, then after twice as long each time, up to
five minutes. A silence of the same length resets the interval.
Rule 3: repeats of fully granted tokens, which are rarely looked up, are recorded after an hour and then once a day;
only a day of silence resets the interval.
Rule 4: with a proven identity, an entry keeps as many request ids as it has room for, because each was shown to a
user; for fully granted tokens it keeps the first and the last.
Rule 5: before identity is proven, everything from one /24 or /64 with one cause is the same, and of causes, which a
guesser can make up, a network has few.
Rule 6: memory is bounded. When no more groups fit, new decisions are grouped by app and outcome, with a few examples:
the entry has less detail, and every decision is still counted.
"""

import heapq
from datetime import datetime
from typing import Any

from attrs import define, evolve, field, frozen

from authsvc.audit.entry import ENCODER, MAX_ENTRY
from authsvc.audit.token_event import TokenEvent, unsecret

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 300.0
"""Seconds between two entries of the same thing: after the first, and at most."""

FIRST_PAUSE_OF_COMPLETE, PAUSE_OF_COMPLETE = 3600.0, 24 * 3600.0
"""The same for tokens that lack nothing."""

DEFAULT_GROUPS = 16_384
"""Most heaps that wait at once, unless the setting says otherwise."""

BYTES_A_GROUP = 1024
"""Bytes of memory that heaps may take, for each that may wait: 16 MiB by default."""

GROUP_OVERHEAD = 700
"""About the bytes that Python needs for a heap besides its text and ids, and for the time at which it was told."""

UNPROVEN_PART = 4
"""Which part of the heaps may be of what happened before identity: one in so many."""

MAX_MERGED = 256
"""Most heaps by app and outcome; beyond, they are by outcome alone."""

MAX_EXAMPLES = 10
"""Most decisions that such a heap names."""

MAX_MERGED_IDS = 64
"""Most request ids of one heap by app or without identity, besides the last."""

TAIL = 768
"""Bytes of an entry that are kept free for what is known only at its end."""

MAX_CAUSES, MAX_NETWORKS = 8, 4096
"""Most causes of failure that a network can have at once, and most networks that are told apart."""

VARIOUS = "various causes"
"""The cause of all failures of a network that are one cause too many."""

MAX_ADDRESSES, MAX_ADDRESS = 5, 64
"""Most addresses that a heap names, and most characters of one."""

ID_BYTES = 8
"""Length of a request id; in a heap they stand one behind the other."""


@frozen
class PendingEntry:
    """An entry, ready to be written.

    Attributes:
        text: JSON.
        ids: the request ids behind it, packed.
        count: how many decisions it stands for.
        proven: whether identity was proven; what is not is the first to be trimmed.
        needed: whether it is written even when the budget is used up: what the audit says of itself.
    """

    text: str
    ids: bytes = b""
    count: int = 1
    proven: bool = True
    needed: bool = False


@define
class _Group:
    first: str
    first_at: datetime
    last_at: datetime
    last_id: str
    due: float
    proven: bool
    complete: bool
    max_ids: int
    pause: float
    merged: bool = False
    count: int = 0
    ids: bytes = b""
    addresses: tuple[str, ...] = ()
    examples: tuple[dict[str, Any], ...] = ()

    @property
    def size(self) -> int:
        """About the bytes of memory that it takes."""
        return len(self.first) + len(self.ids) + GROUP_OVERHEAD

    def add(self, decision: TokenEvent, *, roomy: bool) -> None:
        """Count a decision, and keep its id and more of it when there is room."""
        self.count += 1
        self.last_at, self.last_id = max(self.last_at, decision.at), decision.request_id
        if roomy and len(self.ids) < self.max_ids * ID_BYTES:
            self.ids += packed(decision.request_id)
        if len(self.addresses) < MAX_ADDRESSES and decision.client.address not in self.addresses:
            self.addresses = (*self.addresses, decision.client.address)
        if self.merged and len(self.examples) < MAX_EXAMPLES:
            self.examples = (*self.examples, decision.example())

    def told(self) -> PendingEntry:
        last: dict[str, Any] = {"count": self.count}
        if self.examples:
            last["examples"] = self.examples
        if self.count > 1:
            last |= {"last_at": self.last_at.isoformat(), "last_id": self.last_id}
            if len(self.addresses) > 1:
                last["addresses"] = [_shown(address) for address in self.addresses]
        ids = self.ids
        if not self.complete and not has_id(ids, self.last_id):
            ids += packed(self.last_id)
        return PendingEntry(f"{self.first[:-1]},{ENCODER.encode(last)[1:]}", ids, self.count, self.proven)


@define
class Aggregator:
    """Heaps of decisions. Times are Unix seconds.

    Attributes:
        max_groups: how many heaps may wait at once, besides those by app.
    """

    max_groups: int = DEFAULT_GROUPS
    _heaps: dict[int, _Group] = field(factory=dict, init=False)
    _schedule: list[tuple[float, int, int]] = field(factory=list, init=False)
    _begun: int = field(default=0, init=False)
    _size: int = field(default=0, init=False)
    _unproven: int = field(default=0, init=False)
    _merged: int = field(default=0, init=False)
    _paces: dict[int, tuple[float, float]] = field(factory=dict, init=False)
    _causes: dict[str, set[str | None]] = field(factory=dict, init=False)
    _causes_since: float = field(default=0.0, init=False)
    _taken_at: float = field(default=0.0, init=False)
    _fresh: int = field(default=0, init=False)

    @property
    def waiting(self) -> int:
        """How many heaps there are."""
        return len(self._heaps)

    @property
    def fresh(self) -> int:
        """Approximate number of groups that the next :meth:`take` returns."""
        return self._fresh

    def note(self, decision: TokenEvent) -> None:
        """Take one decision."""
        now = decision.at.timestamp()
        key, told = self._key(decision, now)
        heap = self._heaps.get(key)
        if heap is None and self._is_full(proven=decision.proven):
            key, app = self._merged_key(decision)
            heap = self._heaps.get(key) or self._begin(key, decision, decision.text_of_many(app), now, merged=True)
        elif heap is None:
            heap = self._begin(key, decision, told.text(), now, merged=False)
        before = len(heap.ids)
        heap.add(decision, roomy=heap.merged or self._size < self.max_groups * BYTES_A_GROUP)
        self._size += len(heap.ids) - before

    def take(self, now: float, *, everything: bool = False, most: int | None = None) -> list[PendingEntry]:
        """Return what is due, the longest due first, and forget it; or everything that waits.

        Args:
            now: the present.
            everything: whether to return also what is not due yet.
            most: how many at most; there may be more. None for no limit.
        """
        # What was begun before the clock was set back may be due later than anything can be.
        everything = everything or now < self._taken_at - FIRST_PAUSE
        taken: list[_Group] = []
        while self._schedule and (everything or self._schedule[0][0] <= now) and (most is None or len(taken) < most):
            _, _, key = heapq.heappop(self._schedule)
            heap = self._heaps.pop(key)
            self._size -= heap.size
            self._unproven -= not heap.proven
            self._merged -= heap.merged
            self._slow_down(key, heap, now)
            taken.append(heap)
        if most is None or len(taken) < most:
            self._taken_at, self._fresh = now, 0
        return [heap.told() for heap in sorted(taken, key=lambda heap: heap.first_at)]

    def _is_full(self, *, proven: bool) -> bool:
        """Whether another group would exceed a limit."""
        return (
            len(self._heaps) - self._merged >= self.max_groups
            or self._size >= self.max_groups * BYTES_A_GROUP
            or (not proven and self._unproven >= self.max_groups // UNPROVEN_PART)
        )

    def _begin(self, key: int, decision: TokenEvent, text: str, now: float, *, merged: bool) -> _Group:
        complete = decision.facts.complete and not merged
        told_at, pause = self._paces.pop(key, (0.0, 0.0))
        due = told_at + pause
        if not now < due <= now + PAUSE_OF_COMPLETE:
            due = now
            if not told_at <= now < told_at + max(pause, PAUSE_OF_COMPLETE if complete else 0):
                pause = 0.0  # silent for as long: it is new again
        at, room = decision.at, (MAX_ENTRY - TAIL - len(text)) // ID_BYTES - 1
        few = 0 if complete else MAX_MERGED_IDS if merged or not decision.proven else room
        heap = _Group(text, at, at, decision.request_id, due, decision.proven, complete, min(few, room), pause, merged)
        self._heaps[key] = heap
        heapq.heappush(self._schedule, (due, self._begun, key))
        self._begun += 1
        self._size += heap.size
        self._unproven += not decision.proven
        self._merged += merged
        self._fresh += due <= now
        return heap

    def _slow_down(self, key: int, heap: _Group, now: float) -> None:
        if heap.complete:
            longer = PAUSE_OF_COMPLETE if heap.pause else FIRST_PAUSE_OF_COMPLETE
        else:
            longer = min(max(heap.pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self._paces[key] = (now, longer)
        if len(self._paces) > max(1, self.max_groups - len(self._heaps)):
            del self._paces[next(iter(self._paces))]

    def _merged_key(self, decision: TokenEvent) -> tuple[int, str | None]:
        """Return the same number for one app and outcome, and the app."""
        app = decision.app if self._merged < MAX_MERGED else None
        return hash((decision.event, decision.proven, decision.facts.kind, decision.facts.complete, app)), app

    def _key(self, decision: TokenEvent, now: float) -> tuple[int, TokenEvent]:
        """Return the same number for repeats, and the decision as it is told.

        A hash of 64 bits under this process's own key stands for the facts, which are far larger: among 20,000 things
        two different ones meet in one of 10^11 processes.
        """
        if decision.proven:
            return hash((decision.event, decision.actor, decision.facts)), decision
        network = decision.client.block
        cause = self._cause(network, decision.facts.detail, now)
        if cause == VARIOUS:
            decision = evolve(decision, facts=evolve(decision.facts, detail=VARIOUS))
        return hash((decision.event, network, decision.facts.kind, cause)), decision

    def _cause(self, network: str, detail: str | None, now: float) -> str | None:
        if now >= self._causes_since + LONGEST_PAUSE:
            self._causes.clear()
            self._causes_since = now
        if network not in self._causes and len(self._causes) >= MAX_NETWORKS:
            return VARIOUS
        causes = self._causes.setdefault(network, set())
        if detail in causes or len(causes) < MAX_CAUSES:
            causes.add(detail)
            return detail
        return VARIOUS


def _shown(address: str) -> str:
    return unsecret(address).encode("ascii", "replace")[:MAX_ADDRESS].decode()


def packed(request_id: str) -> bytes:
    """Return a request id as bytes; nothing for one that is not of our making."""
    try:
        raw = bytes.fromhex(request_id)
    except ValueError:
        return b""
    return raw if len(raw) == ID_BYTES else b""


def has_id(ids: bytes, request_id: str) -> bool:
    """Whether ``request_id`` is among the packed ``ids``."""
    wanted = packed(request_id)
    place = ids.find(wanted) if wanted else -1
    while place >= 0 and place % ID_BYTES:
        place = ids.find(wanted, place + 1)
    return place >= 0


def unpacked(ids: bytes) -> list[str]:
    """Return packed request ids, in their order."""
    return [ids[place : place + ID_BYTES].hex() for place in range(0, len(ids), ID_BYTES)]
