"""Places that tenants share."""

import asyncio
from contextlib import AsyncExitStack, suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import Overloaded
from authsvc.fair_share import FairShare


class Office:
    """Jobs of tenants, each of which holds its place until it is told to end."""

    def __init__(self, share: FairShare) -> None:
        self._share = share
        self._end = asyncio.Event()
        self.begun: list[str] = []
        self.most: dict[str, int] = {}
        self._running: list[str] = []

    async def job(self, tenant: str, *, wait: bool = False) -> None:
        """Hold a place for a few turns of the loop, or until :meth:`end`."""
        async with self._share.slot(tenant):
            self.begun.append(tenant)
            self._running.append(tenant)
            self.most[tenant] = max(self.most.get(tenant, 0), self._running.count(tenant))
            self.most["all"] = max(self.most.get("all", 0), len(self._running))
            try:
                await (self._end.wait() if wait else asyncio.sleep(0))
            finally:
                self._running.remove(tenant)

    def end(self) -> None:
        """Let those that wait go."""
        self._end.set()


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_one_tenant_never_holds_every_place() -> None:
    """Two hundred jobs of one team leave places for another, which begins at once."""
    office = Office(FairShare(8, 4, 1000, "too many"))
    flood = [asyncio.create_task(office.job("flood", wait=True)) for _ in range(200)]
    await settle()

    await asyncio.wait_for(office.job("other"), 10)

    assert {"flood": 4, "other": 1, "all": 5} == office.most
    office.end()
    await asyncio.gather(*flood)


async def test_tenants_take_turns() -> None:
    """With more tenants than places nobody waits for more than one job of each of the others."""
    office = Office(FairShare(1, 1, 1000, "too many"))
    jobs = [asyncio.create_task(office.job(tenant)) for tenant in ["a"] * 50 + ["b"] * 50 + ["c"]]
    await asyncio.gather(*jobs)

    assert office.begun.index("c") <= 3


async def test_the_queue_of_a_tenant_is_bounded() -> None:
    """One more than may wait is refused, and other tenants are not."""
    share = FairShare(1, 1, 2, "too many")
    async with AsyncExitStack() as held:
        await held.enter_async_context(share.slot("a"))
        waiting = [asyncio.create_task(held.enter_async_context(share.slot("a"))) for _ in range(2)]
        await settle()
        with pytest.raises(Overloaded):
            await held.enter_async_context(share.slot("a"))
        other = asyncio.create_task(held.enter_async_context(share.slot("b")))
        await settle()
        assert not other.done()
        for task in (*waiting, other):
            task.cancel()
        await asyncio.wait((*waiting, other))


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["run", "cancel"]), st.integers(0, 3)), max_size=30))
async def test_no_place_is_lost(jobs: list[tuple[str, str, int]]) -> None:
    """However jobs are cancelled, while they wait or run, afterwards every place is free and no limit was passed."""
    share = FairShare(3, 2, 1000, "too many")
    office = Office(share)
    tasks = []
    for tenant, fate, steps in jobs:
        task = asyncio.create_task(office.job(tenant))
        tasks.append(task)
        for _ in range(steps):
            await asyncio.sleep(0)
        if fate == "cancel":
            task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task

    assert all(count <= 2 for tenant, count in office.most.items() if tenant != "all")
    assert office.most.get("all", 0) <= 3
    assert (3, {}, {}) == (share._free, dict(share._running), share._waiting)


async def test_a_turn_that_does_not_come() -> None:
    """A job that waited for its turn for too long is refused, holds nothing, and leaves its place in the queue."""
    share = FairShare(1, 1, 1, "busy", patience=0.01)
    async with share.slot("slow"):
        for _ in range(2):
            with pytest.raises(Overloaded, match="busy"):
                async with share.slot("slow"):
                    pytest.fail("there is no free slot")
    async with share.slot("slow"):
        pass


async def test_a_job_may_take_longer_than_it_waits() -> None:
    """The time is for the turn alone."""
    async with FairShare(1, 1, 1, "busy", patience=0.01).slot("slow"):
        await asyncio.sleep(0.05)
