"""The background task that makes passes over the records (:mod:`authsvc.store.migration`), one worker at a time."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from datetime import datetime, timedelta

from attrs import Factory, evolve, field, frozen

from authsvc.errors import StoreUnavailable
from authsvc.logs import Logger
from authsvc.store.migration import LEASE_SECONDS, Migration, read_progress
from authsvc.tenancy.pages import IndexProgress

LOOK_EVERY = 5.0
"""Seconds between two looks at whether a pass is due."""

AGAIN_AFTER = timedelta(seconds=30)
"""Time between two passes while the indexes are not settled."""

PASS_EVERY = timedelta(days=1)
"""Time between two passes later on."""

RECENT = timedelta(minutes=10)
"""After a start, no new pass is needed if one ended within this time before."""

SHARE = 2
"""A pass works for one of this many parts of the time, and pauses for the others."""

LEAST_REST = 0.002
"""Least seconds of pause after each step."""


@frozen(eq=False, repr=False)
class Indexing:
    """Makes passes for as long as a worker runs.

    Attributes:
        migration: makes a pass.
        only_new: whether every running worker writes index entries.
        holder: random name of this worker.
        clock: the current time.
        logger: for the beginning and the end of a pass.
        started_at: of the worker.
    """

    migration: Migration
    only_new: Callable[[], Awaitable[bool]]
    holder: str
    clock: Callable[[], datetime]
    logger: Logger
    started_at: datetime = field(init=False, default=Factory(lambda self: self.clock(), takes_self=True))

    async def run(self) -> None:
        """Make a pass whenever one is due, until cancelled."""
        while True:
            try:
                await self.look()
            except StoreUnavailable:
                pass  # other parts report it, and the pass continues from its position
            except Exception as error:
                self.logger.error("indexes.failed", exc_info=error)
            await asyncio.sleep(LOOK_EVERY)

    async def look(self) -> None:
        """Make a pass if one is due and no other worker makes one.

        Raises:
            StoreUnavailable: Redis does not answer; the pass continues with the next call.
        """
        before = await read_progress(self.migration.records)
        if before.settled and await self._older_writes(before):
            await self.migration.unsettle()
            self.logger.info("indexes.unsettled")
            before = evolve(before, settled=False)
        if not self._is_due(before) or not await self.migration.lease(self.holder):
            return
        self.logger.info("indexes.begin", settled=before.settled)
        loop = asyncio.get_running_loop()
        leased = loop.time()
        async with aclosing(self.migration.run(settles=self.only_new, clock=self.clock)) as steps:
            async for seconds in steps:
                if loop.time() > leased + LEASE_SECONDS / 3:
                    if not await self.migration.lease(self.holder):
                        return
                    leased = loop.time()
                await asyncio.sleep(max(LEAST_REST, seconds * (SHARE - 1)))
        after = await read_progress(self.migration.records)
        self.logger.info("indexes.end", settled=after.settled, licenses=after.done)

    async def _older_writes(self, progress: IndexProgress) -> bool:
        if not await self.only_new():
            return True
        # After a downgrade and an upgrade, no older worker is left by which this could be noticed.
        return self._is_due(progress) and await self.migration.older_wrote()

    def _is_due(self, progress: IndexProgress) -> bool:
        if progress.ended_at is None:
            return True
        if not progress.settled:
            return self.clock() >= progress.ended_at + AGAIN_AFTER
        missed = progress.ended_at < self.started_at - RECENT
        return missed or self.clock() >= progress.ended_at + PASS_EVERY
