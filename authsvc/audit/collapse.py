"""Repeats become one entry: which decisions are the same, and when a heap of them is told. Pure arithmetic.

Rule 1: the first decision of its kind is told at once, so that somebody who looks finds it.
Rule 2: repeats are heaped up and told together, at first after two seconds and then after twice as long each time, up
to five minutes; tokens that grant all that was asked for are told once an hour. Silence for as long starts over.
Rule 3: every request id is kept, up to :data:`MAX_IDS` a heap, because each was shown to somebody.
Rule 4: before identity is proven, everything from one /24 or /64 with one cause is the same, and of causes, which a
guesser can make up, a network has few.
"""

import json
from datetime import datetime
from typing import Any

from attrs import define, evolve, field, frozen

from authsvc.audit.decision import Decision

FIRST_PAUSE, LONGEST_PAUSE, PAUSE_OF_COMPLETE = 2.0, 300.0, 3600.0
"""Seconds between two entries of the same thing: after the first, at most, and for tokens that lack nothing."""

MAX_HEAPS = 3_000
"""Most heaps that wait at once, about 1 KB each; the oldest is told early when there is one more."""

MAX_READY = 1_500
"""Most heaps that are told early before somebody takes them; one more is lost."""

MAX_PACES = 10_000
"""Most things that it is known of when they were told."""

MAX_IDS, MAX_UNPROVEN_IDS = 1024, 64
"""Most request ids of one heap: with a proven identity, and without."""

MAX_CAUSES, MAX_NETWORKS = 8, 4096
"""Most causes of failure that a network can have at once, and most networks that are told apart."""

VARIOUS = "various causes"
"""The cause of all failures of a network that are one cause too many."""

MAX_ADDRESSES = 5
"""Most addresses that a heap names."""

ID_BYTES = 8
"""Length of a request id; in a heap they stand one behind the other."""


@frozen
class Told:
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
class _Heap:
    first: str
    first_at: datetime
    last_at: datetime
    last_id: str
    due: float
    proven: bool
    complete: bool
    count: int = 0
    ids: bytearray = field(factory=bytearray)
    addresses: list[str] = field(factory=list)

    def add(self, decision: Decision) -> None:
        self.count += 1
        self.last_at, self.last_id = max(self.last_at, decision.at), decision.request_id
        if len(self.ids) < (MAX_IDS if self.proven else MAX_UNPROVEN_IDS) * ID_BYTES:
            self.ids += packed(decision.request_id)
        if len(self.addresses) < MAX_ADDRESSES and decision.source.address not in self.addresses:
            self.addresses.append(decision.source.address)

    def told(self) -> Told:
        last: dict[str, Any] = {"count": self.count}
        if self.count > 1:
            last |= {"last_at": self.last_at.isoformat(), "last_id": self.last_id, "addresses": self.addresses}
        ids = bytes(self.ids)
        if self.last_id and not has_id(ids, self.last_id):
            ids += packed(self.last_id)
        return Told(f"{self.first[:-1]}, {json.dumps(last)[1:]}", ids, self.count, self.proven)


@define
class Collapser:
    """Heaps of decisions. Times are Unix seconds."""

    _heaps: dict[int, _Heap] = field(factory=dict, init=False)
    _ready: list[_Heap] = field(factory=list, init=False)
    _paces: dict[int, tuple[float, float]] = field(factory=dict, init=False)
    _causes: dict[str, set[str | None]] = field(factory=dict, init=False)
    _causes_since: float = field(default=0.0, init=False)
    _fresh: int = field(default=0, init=False)

    @property
    def waiting(self) -> int:
        """How many heaps there are."""
        return len(self._heaps) + len(self._ready)

    @property
    def fresh(self) -> int:
        """How many heaps are told with the next taking for sure."""
        return self._fresh + len(self._ready)

    def note(self, decision: Decision) -> bool:
        """Take one decision; return False when there is no room and it is lost."""
        now = decision.at.timestamp()
        key, decision = self._key(decision, now)
        heap = self._heaps.get(key)
        if heap is None:
            if len(self._heaps) >= MAX_HEAPS:
                if len(self._ready) >= MAX_READY:
                    return False
                self._ready.append(self._heaps.pop(next(iter(self._heaps))))
            heap = self._heaps[key] = self._begin(key, decision, now)
            self._fresh += heap.due <= now
        heap.add(decision)
        return True

    def take(self, now: float, *, everything: bool = False) -> list[Told]:
        """Return what is due, oldest first, and forget it; or everything that waits."""
        # A heap that is due later than any can be was begun before the clock was set back.
        due = [
            (key, heap)
            for key, heap in self._heaps.items()
            if everything or heap.due <= now or heap.due > now + PAUSE_OF_COMPLETE
        ]
        for key, heap in due:
            del self._heaps[key]
            self._slow_down(key, now, complete=heap.complete)
        heaps = [*self._ready, *(heap for _, heap in due)]
        self._ready.clear()
        self._fresh = 0
        return [heap.told() for heap in sorted(heaps, key=lambda heap: heap.first_at)]

    def _begin(self, key: int, decision: Decision, now: float) -> _Heap:
        told_at, pause = self._paces.get(key, (0.0, 0.0))
        due = told_at + pause
        if not now < due <= now + PAUSE_OF_COMPLETE:  # silent for as long as its pause: it is new again
            self._paces.pop(key, None)
            due = now
        text, at = decision.text(), decision.at
        return _Heap(text, at, at, decision.request_id, due, decision.proven, decision.facts.complete)

    def _slow_down(self, key: int, now: float, *, complete: bool) -> None:
        _, pause = self._paces.pop(key, (0.0, 0.0))
        longer = PAUSE_OF_COMPLETE if complete else min(max(pause * 2, FIRST_PAUSE), LONGEST_PAUSE)
        self._paces[key] = (now, longer)
        if len(self._paces) > MAX_PACES:
            del self._paces[next(iter(self._paces))]

    def _key(self, decision: Decision, now: float) -> tuple[int, Decision]:
        """Return the same number for repeats, and the decision as it is told.

        A hash of 64 bits under this process's own key stands for the facts, which are far larger: among 10,000 things
        two different ones meet in one of 10^11 processes.
        """
        if decision.proven:
            return hash((decision.event, decision.actor, decision.facts)), decision
        network = decision.source.network
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
