"""Retention of the audit: one worker exports the oldest entries, trims them, and raises an alarm if that is not enough.

With an export folder, entries are trimmed only after they are on the disk there; if that fails, a full audit accepts no
more decisions. Without a folder, the oldest entries are dropped when the budget is used up.
"""

import asyncio
import os
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from pathlib import Path
from typing import Protocol, Self

from authsvc import atomic_file
from authsvc.audit.block_filter_writer import BlockFilterStore, BlockFilterWriter
from authsvc.audit.entry import Entry
from authsvc.audit.recorder import SYSTEM
from authsvc.audit.stored_entry import StoredEntry
from authsvc.errors import StoreUnavailable
from authsvc.logs import Logger

CHECK_EVERY = 2.0
"""Seconds between two checks."""

ELECTED_FOR = 30
"""Seconds for which one worker is elected to trim; it is elected again as long as it runs."""

ALARM, ALARM_EVERY = 0.8, 3600
"""Used part of the budget that raises an alarm, and seconds between two alarms."""

EXPORT_FROM, EXPORT_TO = 0.7, 0.5
"""Parts of the budget between which entries are exported: below the alarm while exporting works."""

DROP_FROM, DROP_TO = 0.95, 0.9
"""Parts of the budget between which entries are dropped when there is no folder."""

CHUNK = 100
"""Number of entries that are read at once."""

RECOUNT_EVERY = 60.0
"""Seconds between two attempts to recount a stream while an older version still writes to it, as during a reload."""


class StreamUse(Protocol):
    """How much of the budget is used."""

    @property
    def bytes(self) -> int: ...
    @property
    def trusted(self) -> bool: ...


class AuditTrimmer(BlockFilterStore, Protocol):
    """Access to the streams of the audit for trimming, and for the filters of blocks."""

    @property
    def share(self) -> int: ...
    async def used(self) -> StreamUse: ...
    async def recount(self) -> None: ...
    async def elect(self, name: str, life_seconds: int) -> bool: ...
    async def first_in(self, seconds: int) -> bool: ...
    async def trim(self, cursor: str, entries: int, size: int, teams: Collection[str]) -> None: ...


class Retention:
    """Keeps the audit within its budget."""

    def __init__(
        self,
        stream: AuditTrimmer,
        folder: Path | None,
        record: Callable[[Entry], None],
        logger: Logger,
        clock: Callable[[], datetime],
        new_id: Callable[[], str],
    ) -> None:
        """Trim ``stream``, after exporting to ``folder`` when there is one; ``record`` takes the entries about it."""
        self._stream = stream
        self._folder = folder
        self._record = record
        self._logger = logger
        self._clock = clock
        self._new_id = new_id
        self._name = new_id()
        self._filters = BlockFilterWriter(stream)
        self._recounted_at: float | None = None
        self.used = 0
        """Bytes of the budget that were used at the last check."""

    @property
    def fill(self) -> float:
        """Part of the budget that was used at the last check; 1.0 is full."""
        return self.used / self._stream.share

    async def run(self, after_check: Callable[[], None] = lambda: None) -> None:
        """Check every few seconds until cancelled, and call ``after_check`` each time."""
        while True:
            try:
                await self.check()
                await self.add_filters()
            except StoreUnavailable:
                pass  # the recorder logs it, and the next check follows soon
            except OSError as error:
                self._logger.error("audit.not_exported", folder=str(self._folder), error=repr(error))
            except Exception as error:
                self._logger.error("audit.failed", request_id=None, exc_info=error)
            after_check()
            await asyncio.sleep(CHECK_EVERY)

    async def check(self) -> None:
        """Measure, make room if necessary and if this worker is elected, and raise the alarm if that was not enough.

        Raises:
            StoreUnavailable: Redis did not answer.
            OSError: the folder cannot be written; nothing was trimmed.
        """
        self.used = await self._measured()
        before = self.fill
        begin, end = (DROP_FROM, DROP_TO) if self._folder is None else (EXPORT_FROM, EXPORT_TO)
        if before < min(begin, ALARM) or not await self._elected():
            return
        try:
            if before >= begin:
                await self._make_room(end)
                self.used = (await self._stream.used()).bytes
        finally:
            # Without a folder entries are dropped: an operator who needs them must be warned before.
            if (before if self._folder is None else self.fill) >= ALARM:
                await self._alarm()

    async def add_filters(self) -> None:
        """Add filters for the entries written meanwhile, if there are any and if this worker is elected.

        Raises:
            StoreUnavailable: Redis did not answer, or has no memory left.
        """
        if await self._filters.is_behind() and await self._elected():
            await self._filters.extend()

    async def _measured(self) -> int:
        """Return the bytes that are used; if the count belongs to another stream, count again first."""
        used, now = await self._stream.used(), self._clock().timestamp()
        recent = self._recounted_at is not None and abs(now - self._recounted_at) < RECOUNT_EVERY
        if used.trusted or recent or not await self._elected():
            return used.bytes
        self._recounted_at = now
        await self._stream.recount()
        counted = (await self._stream.used()).bytes
        self._logger.info("audit.recounted", used=counted, before=used.bytes)
        return counted

    async def _make_room(self, end: float) -> None:
        """Export and then trim the oldest entries down to the part ``end`` of the budget."""
        used, goal = (await self._stream.used()).bytes, end * self._stream.share
        gone, size, cursor, until, path = 0, 0, "", "", None
        teams = set[str]()
        with _Export(self._folder, self._name) as file:
            while used - size > goal:
                chunk = _oldest(await self._stream.after(cursor, CHUNK), used - size - goal)
                if not chunk:
                    break
                if not await self._elected():
                    return
                await asyncio.to_thread(file.add, chunk)
                gone += len(chunk)
                size += sum(entry.size for entry in chunk)
                teams.update(entry.team for entry in chunk if entry.team)
                cursor, until = chunk[-1].cursor, str(chunk[-1].facts["at"])
            if not cursor:
                return
            # A process may be suspended, or a disk may hang, for longer than the election lasts: after that it must
            # neither replace another worker's file by a shorter one, nor trim entries that are in no file.
            await asyncio.to_thread(file.sync)
            if not await self._elected():
                return
            path = await asyncio.to_thread(file.finish)
        if not await self._elected():
            return
        await self._stream.trim(cursor, gone, size, teams)
        facts = {"entries": gone, "until": until, "file": path}
        self._logger.info("audit.trimmed", entries=gone, until=until, file=path)
        self._record(Entry(self._new_id(), self._clock(), "audit.trimmed", SYSTEM, facts))

    async def _elected(self) -> bool:
        return await self._stream.elect(self._name, ELECTED_FOR)

    async def _alarm(self) -> None:
        if not await self._stream.first_in(ALARM_EVERY):
            return
        share, exports = self._stream.share, self._folder is not None
        self._logger.warning("audit.nearly_full", used=self.used, budget=share, exports=exports)
        facts = {"used": self.used, "budget": share, "exports": exports}
        self._record(Entry(self._new_id(), self._clock(), "audit.nearly_full", SYSTEM, facts))


def _oldest(chunk: Sequence[StoredEntry], size: float) -> list[StoredEntry]:
    """Return the first entries, enough to make room for ``size`` bytes."""
    taken = []
    for entry in chunk:
        if size <= 0:
            break
        taken.append(entry)
        size -= entry.size
    return taken


class _Export:
    """One file of exported entries; it gets its name only when it is complete and on the disk.

    It is named after its first entry, so that after a crash before the trimming, the file is written again under the
    same name, and no entry is exported twice. Until then the name is that of its writer, so two writers never write to
    the same file; each writer first removes unfinished files of others.
    """

    def __init__(self, folder: Path | None, writer: str) -> None:
        """Write to ``folder`` as ``writer``; without a folder, write nothing."""
        self._folder = folder
        self._writer = writer
        self._path = self._draft = Path()
        self._descriptor = -1

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
            self._draft.unlink(missing_ok=True)

    def add(self, chunk: Sequence[StoredEntry]) -> None:
        """Write some entries.

        Raises:
            OSError: the disk reports an error.
        """
        if self._folder is None:
            return
        if self._descriptor < 0:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            for left in self._folder.glob("audit-*.part"):
                left.unlink(missing_ok=True)
            self._path = self._folder / f"audit-{chunk[0].cursor}.jsonl"
            self._draft = self._path.with_suffix(f".{self._writer}.part")
            self._descriptor = os.open(self._draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        text = "".join(f"{entry.line()}\n" for entry in chunk).encode()
        while text:
            text = text[os.write(self._descriptor, text) :]

    def sync(self) -> None:
        """Flush to the disk what was written.

        Raises:
            OSError: the disk reports an error.
        """
        if self._folder is not None:
            os.fsync(self._descriptor)

    def finish(self) -> str | None:
        """Give the file its name and return its path.

        Raises:
            OSError: the disk reports an error.
        """
        if self._folder is None:
            return None
        atomic_file.move(self._draft, self._path)
        return str(self._path)
