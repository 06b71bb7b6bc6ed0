"""The way from a decision to the store: collapsed in memory, written in batches, off the request path.

Nothing here waits for anybody on a request's behalf, and nothing here can fail one. While the store is away a bounded
backlog waits; what does not fit is counted, and an entry ``audit.lost`` says how many as soon as one can be written.
"""

import asyncio
from collections import Counter, deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import datetime
from typing import Any, Protocol

from attrs import define, frozen

from authsvc.audit.aggregator import DEFAULT_GROUPS, Aggregator, PendingEntry
from authsvc.audit.entry import Entry
from authsvc.audit.token_event import Asked, token_event_of
from authsvc.errors import StoreUnavailable
from authsvc.issuance import Issued
from authsvc.logs import Logger
from authsvc.metrics.catalogue import AUDIT_LOSSES

FLUSH_EVERY = 1.0
"""Seconds between two batches."""

FLUSH_AT = 500
"""A batch is written early when so many entries wait for one."""

MAX_BATCH_ENTRIES, MAX_BATCH_BYTES = 500, 256 * 1024
"""Most that one batch holds: Redis is busy with it for some milliseconds."""

MAX_BACKLOG_BYTES = 4 * 1024 * 1024
"""Most that waits for a store that is away: about 6,000 entries."""

NO_ROOM = "the disk of Redis is nearly full, and what is left is for changes"

SYSTEM = "system:authsvc"

BUDGET, BACKLOG, DISK, FAULT, STOPPED = AUDIT_LOSSES
"""Why a decision was lost: the budget is used up; the store was unavailable for too long; its disk was full for too
long; an internal error; the process ended while the store was unavailable."""


@frozen
class AppendResult:
    """What became of a batch.

    Attributes:
        lost: how many decisions stand in the entries that were not written, because from one entry on nothing fitted
            into the budget but what is needed or unproven.
    """

    lost: int = 0


class AuditWriter(Protocol):
    """Whoever keeps entries."""

    async def append(self, batch_id: str, batch: Sequence[PendingEntry]) -> AppendResult:
        """Write a batch, once however often it is sent under the same id."""
        ...


@define
class _Backlog:
    """What waits to be written; before identity apart, since it is the first to be given up."""

    proven: deque[PendingEntry]
    unproven: deque[PendingEntry]
    size: int = 0

    def add(self, told: PendingEntry) -> int:
        """Keep ``told``; return how many decisions were given up for it."""
        lost = 0
        while self.size + size_of(told) > MAX_BACKLOG_BYTES and self.unproven and told.proven:
            lost += self._drop(self.unproven)
        if self.size + size_of(told) > MAX_BACKLOG_BYTES:
            return lost + told.count
        (self.proven if told.proven else self.unproven).append(told)
        self.size += size_of(told)
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
    """Takes decisions and writes them down in the background."""

    def __init__(
        self,
        store: AuditWriter,
        logger: Logger,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
        max_groups: int = DEFAULT_GROUPS,
        has_room: Callable[[], bool] = lambda: True,
    ) -> None:
        """Prepare a trail that writes nothing yet.

        Args:
            store: takes the batches.
            logger: hears of losses.
            clock: the wall clock.
            new_id: names batches and the audit's own entries.
            max_groups: how many may wait.
            has_room: whether what can wait may be written to the store's disk.
        """
        self._has_room = has_room
        self._store = store
        self._logger = logger
        self._clock = clock
        self._new_id = new_id
        self._collapser = Aggregator(max_groups)
        self._backlog = _Backlog(deque(), deque())
        self._sending: tuple[str, list[PendingEntry]] | None = None
        self._lost_since: datetime | None = None
        self._unsaid: Counter[str] = Counter()
        self._saying: Counter[str] = Counter()
        self._away = False
        self._wake = asyncio.Event()
        self.losses: Counter[str] = Counter()
        """Decisions of this process that no entry stands for, by their reason."""

    @property
    def lost(self) -> int:
        """How many decisions of this process no entry stands for."""
        return self.losses.total()

    @property
    def waiting(self) -> int:
        """How many entries are not written yet."""
        sending = len(self._sending[1]) if self._sending else 0
        return self._collapser.waiting + len(self._backlog.proven) + len(self._backlog.unproven) + sending

    def note(self, asked: Asked, outcome: Issued | Exception) -> None:
        """Take one decision. Never waits and never raises: a token does not depend on the audit."""
        try:
            self._collapser.note(token_event_of(asked, outcome))
        except Exception as error:
            self._logger.error("audit.failed", request_id=asked.request_id, exc_info=error)
            self._lose(FAULT, 1)
        if self._collapser.fresh >= FLUSH_AT:
            self._wake.set()

    def tell(self, entry: Entry) -> None:
        """Take an entry of the audit's own, which is written even when the budget is used up."""
        self._wait(PendingEntry(entry.text(), needed=True))

    async def keep_flushing(self) -> None:
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
            if self._away:
                await asyncio.sleep(FLUSH_EVERY)

    async def finish(self) -> None:
        """Write everything that waits, and count as lost what the store does not take now.

        With a full budget one entry of this process, ``audit.lost``, is written beyond it: no later one could be.
        """
        await self.flush(everything=True)
        self._give_up()

    async def flush(self, *, everything: bool = False) -> None:
        """Write what is due, in batches; what cannot be written now stays.

        Args:
            everything: whether this is the last time: repeats are not waited for, what the budget has no room for is
                lost at once, and the entry that says so is written all the same.
        """
        # In parts: ten thousand entries that are due at one moment would hold up the requests of that moment.
        while True:
            taken = self._collapser.take(self._clock().timestamp(), everything=everything, most=MAX_BATCH_ENTRIES)
            for told in taken:
                self._wait(told)
            if not await self._write(last=everything) or len(taken) < MAX_BATCH_ENTRIES:
                return

    async def _write(self, *, last: bool) -> bool:
        """Write the backlog; return whether that was done."""
        while self._sending or self._backlog.size or self._unsaid:
            if not self._has_room():
                self._put_off(NO_ROOM)
                return False
            batch_id, batch = self._sending = self._sending or (self._new_id(), self._next_batch(last=last))
            try:
                appended = await self._store.append(batch_id, batch)
            except StoreUnavailable as error:
                # The reply may be lost and the batch written: the same one is sent again, under the same id.
                self._put_off(error.detail)
                return False
            self._sending, self._away = None, False
            said, self._saying = self._saying, Counter()
            # What was lost before is said by the first entry: if that was not written, no other was.
            refused = appended.lost == sum(told.count for told in batch if told.proven and not told.needed)
            if said and refused and not batch[0].needed:
                self._lose(BUDGET, appended.lost - said.total())
            else:
                self._unsaid -= said
                self._lose(BUDGET, appended.lost)
            if appended.lost and not last:
                return False
            if not self._unsaid:
                self._lost_since = None
        return True

    def _wait(self, told: PendingEntry) -> None:
        lost = self._backlog.add(told)
        self._lose(BACKLOG if self._has_room() else DISK, lost)

    def _put_off(self, detail: str | None) -> None:
        if not self._away:
            self._logger.warning("audit.not_written", entries=self.waiting, detail=detail)
        self._away = True

    def _next_batch(self, *, last: bool) -> list[PendingEntry]:
        batch = self._backlog.batch()
        if self._unsaid and self._lost_since is not None:
            facts = self._say_lost(self._lost_since)
            entry = Entry(self._new_id(), self._clock(), "audit.lost", SYSTEM, facts)
            batch.insert(0, PendingEntry(entry.text(), count=self._unsaid.total(), needed=last))
            self._saying = Counter(self._unsaid)
        return batch

    def _say_lost(self, since: datetime) -> dict[str, Any]:
        """Log what no entry says yet, and return it."""
        facts = {"lost": self._unsaid.total(), "since": since.isoformat(), "reasons": dict(self._unsaid)}
        self._logger.warning("audit.lost", **facts)
        return facts

    def _give_up(self) -> None:
        """Count what the end of the process leaves unwritten."""
        backlog, sending = self._backlog, self._sending[1] if self._sending else []
        grouped = self._collapser.take(self._clock().timestamp(), everything=True)
        said = self._saying.total()
        self._lose(STOPPED, sum(told.count for told in (*sending, *backlog.proven, *backlog.unproven, *grouped)) - said)
        if self._unsaid and self._lost_since is not None:
            self._say_lost(self._lost_since)

    def _lose(self, reason: str, count: int) -> None:
        if count:
            self.losses[reason] += count
            self._unsaid[reason] += count
            self._lost_since = self._lost_since or self._clock()


def size_of(told: PendingEntry) -> int:
    """Return about how many bytes an entry takes."""
    return len(told.text) + len(told.ids)
