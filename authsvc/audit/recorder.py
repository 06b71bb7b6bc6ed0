"""Records token events and denials of management: aggregated in memory, and written in batches in the background.

No request waits for the audit or fails with it. While the store is unavailable, entries wait in a bounded backlog;
those that do not fit are counted, and an entry ``audit.lost`` reports their number as soon as it can be written.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from attrs import define

from authsvc.audit.aggregator import DEFAULT_GROUPS, Aggregator
from authsvc.audit.entry import Entry
from authsvc.audit.management_denial import ManagementDenial, denial_event
from authsvc.audit.pending_entry import AppendResult, PendingEntry
from authsvc.audit.token_event import AuditedRequest, TokenEvent, repeat_key, token_event_of
from authsvc.audit.upstream_pull import UpstreamPull, pull_event
from authsvc.errors import StoreUnavailable
from authsvc.issuance import Issued
from authsvc.logs import Logger
from authsvc.metrics.catalogue import AUDIT_LOSSES

FLUSH_EVERY = 1.0
"""Seconds between two batches."""

FLUSH_AT = 500
"""A batch is written early when this many entries wait."""

MAX_BATCH_ENTRIES, MAX_BATCH_BYTES = 500, 256 * 1024
"""Most entries and bytes of one batch: Redis is busy with it for some milliseconds."""

MAX_BACKLOG_BYTES = 4 * 1024 * 1024
"""Longest backlog while the store is unavailable: about 6,000 entries."""

NO_ROOM = "the disk of Redis is nearly full, and what is left is for changes"

SYSTEM = "system:authsvc"

BUDGET, BACKLOG, DISK, FAULT, STOPPED = AUDIT_LOSSES
"""Reasons for which a decision was lost: the budget is used up; the store was unavailable for too long; its disk was
full for too long; an internal error; the process ended while the store was unavailable."""


class AuditWriter(Protocol):
    """Stores entries."""

    async def append(self, batch_id: str, batch: Sequence[PendingEntry]) -> AppendResult:
        """Write a batch; a batch that is sent again under the same id is written only once."""
        ...


@define
class _Backlog:
    """Entries that wait to be written; those without proven identity are separate, since they are dropped first."""

    proven: deque[PendingEntry]
    unproven: deque[PendingEntry]
    size: int = 0

    def add(self, entry: PendingEntry) -> int:
        """Add an entry; return how many events were dropped to make room."""
        lost = 0
        while self.size + size_of(entry) > MAX_BACKLOG_BYTES and self.unproven and entry.proven:
            lost += self._drop(self.unproven)
        if self.size + size_of(entry) > MAX_BACKLOG_BYTES:
            return lost + entry.count
        (self.proven if entry.proven else self.unproven).append(entry)
        self.size += size_of(entry)
        return lost

    def batch(self) -> list[PendingEntry]:
        """Take out the next batch."""
        taken: list[PendingEntry] = []
        size = 0
        for queue in (self.proven, self.unproven):
            while queue and len(taken) < MAX_BATCH_ENTRIES and (not taken or size < MAX_BATCH_BYTES):
                taken.append(queue.popleft())
                size += size_of(taken[-1])
        self.size -= size
        return taken

    def _drop(self, queue: deque[PendingEntry]) -> int:
        dropped = queue.popleft()
        self.size -= size_of(dropped)
        return dropped.count


class AuditRecorder:
    """Takes token events and writes them in the background."""

    def __init__(
        self,
        store: AuditWriter,
        logger: Logger,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        max_groups: int = DEFAULT_GROUPS,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare a recorder; :meth:`run` writes.

        Args:
            store: writes the batches.
            logger: for losses.
            clock: the wall clock.
            new_id: makes ids of batches and of the audit's entries about itself.
            max_groups: how many groups may wait.
            has_room: whether entries that can wait may be written to the store's disk.
        """
        self._has_room = has_room
        self._store = store
        self._logger = logger
        self._clock = clock
        self._new_id = new_id
        self._aggregator = Aggregator(max_groups)
        self._backlog = _Backlog(deque(), deque())
        self._sending: tuple[str, list[PendingEntry]] | None = None
        self._lost_since: datetime | None = None
        self._unreported: Counter[str] = Counter()
        self._reporting: Counter[str] = Counter()
        self._is_down = False
        self._wake = asyncio.Event()
        self.losses: Counter[str] = Counter()
        """Number of decisions of this process that are in no entry, by reason."""

    @property
    def lost(self) -> int:
        """Number of decisions of this process that are in no entry."""
        return self.losses.total()

    @property
    def waiting(self) -> int:
        """Number of entries that are not written yet."""
        sending = len(self._sending[1]) if self._sending else 0
        return self._aggregator.waiting + len(self._backlog.proven) + len(self._backlog.unproven) + sending

    def record(self, asked: AuditedRequest, outcome: Issued | Exception) -> None:
        """Record one token event. Never waits and never raises: a token does not depend on the audit."""
        self._add(asked.request_id, lambda: self._new_event(asked, outcome))

    def record_denied(self, denial: ManagementDenial) -> None:
        """Record a denied request for a use case of management, like :meth:`record`."""
        self._add(denial.request_id, lambda: denial_event(denial))

    def record_pull(self, pull: UpstreamPull) -> None:
        """Record a pull that a linked registry did not serve, like :meth:`record`."""
        self._add(pull.request_id, lambda: pull_event(pull))

    def _new_event(self, asked: AuditedRequest, outcome: Issued | Exception) -> TokenEvent | None:
        """Return the event of a request, or None if it repeats an event that waits, and is counted there."""
        key = repeat_key(asked, outcome)
        repeats = key is not None and self._aggregator.count_repeat(key, asked)
        return None if repeats else token_event_of(asked, outcome)

    def _add(self, request_id: str, make_event: Callable[[], TokenEvent | None]) -> None:
        try:
            event = make_event()
            if event is not None:
                self._aggregator.add(event)
        except Exception as error:
            self._logger.error("audit.failed", request_id=request_id, exc_info=error)
            self._count_lost(FAULT, 1)
        if self._aggregator.due_count >= FLUSH_AT:
            self._wake.set()

    def append(self, entry: Entry) -> None:
        """Add an entry of the audit about itself, which is written even when the budget is used up."""
        self._queue(PendingEntry(entry.text(), needed=True))

    async def run(self) -> None:
        """Write a batch every second until cancelled."""
        while True:
            with suppress(TimeoutError):
                async with asyncio.timeout(FLUSH_EVERY):
                    await self._wake.wait()
            self._wake.clear()
            try:
                await self.flush()
            except Exception as error:
                self._logger.error("audit.failed", request_id=None, exc_info=error)
            if self._is_down:
                await asyncio.sleep(FLUSH_EVERY)

    async def finish(self) -> None:
        """Write all waiting entries, and count as lost those that the store does not accept now.

        If the budget is used up, one entry ``audit.lost`` of this process is written nevertheless, since there is no
        later occasion.
        """
        await self.flush(everything=True)
        self._count_unwritten()

    async def flush(self, *, everything: bool = False) -> None:
        """Write the entries that are due, in batches; those that cannot be written now are kept.

        Args:
            everything: whether this is the last time: it does not wait for repeats, entries beyond the budget are lost
                at once, and the entry that reports them is written beyond the budget.
        """
        # In parts: ten thousand entries that are due at once would delay the current requests.
        while True:
            taken = self._aggregator.take(self._clock().timestamp(), everything=everything, most=MAX_BATCH_ENTRIES)
            for entry in taken:
                self._queue(entry)
            if not await self._write(last=everything) or len(taken) < MAX_BATCH_ENTRIES:
                return

    async def _write(self, *, last: bool) -> bool:
        """Write the backlog; return whether that was done."""
        while self._sending or self._backlog.size or self._unreported:
            if not self._has_room():
                self._postpone(NO_ROOM)
                return False
            batch_id, batch = self._sending = self._sending or (self._new_id(), self._next_batch(last=last))
            try:
                appended = await self._store.append(batch_id, batch)
            except StoreUnavailable as error:
                # The batch may have been written although the reply was lost: it is sent again under the same id.
                self._postpone(error.detail)
                return False
            self._sending, self._is_down = None, False
            reported, self._reporting = self._reporting, Counter()
            # The first entry reports the earlier losses: if it was not written, no other one was.
            refused = appended.lost == sum(entry.count for entry in batch if entry.proven and not entry.needed)
            if reported and refused and not batch[0].needed:
                self._count_lost(BUDGET, appended.lost - reported.total())
            else:
                self._unreported -= reported
                self._count_lost(BUDGET, appended.lost)
            if appended.lost and not last:
                return False
            if not self._unreported:
                self._lost_since = None
        return True

    def _queue(self, entry: PendingEntry) -> None:
        lost = self._backlog.add(entry)
        self._count_lost(BACKLOG if self._has_room() else DISK, lost)

    def _postpone(self, detail: str | None) -> None:
        if not self._is_down:
            self._logger.warning("audit.not_written", entries=self.waiting, detail=detail)
        self._is_down = True

    def _next_batch(self, *, last: bool) -> list[PendingEntry]:
        batch = self._backlog.batch()
        if self._unreported and self._lost_since is not None:
            facts = self._report_losses(self._lost_since)
            entry = Entry(self._new_id(), self._clock(), "audit.lost", SYSTEM, facts)
            batch.insert(0, PendingEntry(entry.text(), count=self._unreported.total(), needed=last))
            self._reporting = Counter(self._unreported)
        return batch

    def _report_losses(self, since: datetime) -> dict[str, Any]:
        """Log the losses that no entry reports yet, and return them."""
        facts = {"lost": self._unreported.total(), "since": since.isoformat(), "reasons": dict(self._unreported)}
        self._logger.warning("audit.lost", **facts)
        return facts

    def _count_unwritten(self) -> None:
        """Count the entries that are not written when the process ends."""
        backlog, sending = self._backlog, self._sending[1] if self._sending else []
        grouped = self._aggregator.take(self._clock().timestamp(), everything=True)
        reported = self._reporting.total()
        self._count_lost(
            STOPPED, sum(entry.count for entry in (*sending, *backlog.proven, *backlog.unproven, *grouped)) - reported
        )
        if self._unreported and self._lost_since is not None:
            self._report_losses(self._lost_since)

    def _count_lost(self, reason: str, count: int) -> None:
        if count:
            self.losses[reason] += count
            self._unreported[reason] += count
            self._lost_since = self._lost_since or self._clock()


def size_of(entry: PendingEntry) -> int:
    """Return the approximate number of bytes that an entry takes."""
    return len(entry.text) + len(entry.ids)
