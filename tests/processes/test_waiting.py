"""Waiting for whichever comes first."""

import asyncio

import pytest

from authsvc.processes.waiting import first_of


async def test_the_rest_is_cancelled() -> None:
    """What has not ended is cancelled before the wait returns, and has cleaned up."""
    cleaned = asyncio.Event()

    async def slow() -> None:
        try:
            await asyncio.sleep(3600)
        finally:
            cleaned.set()

    quick, rest = await first_of(asyncio.sleep(0.01, "done"), slow())

    assert (quick.result(), rest.cancelled(), cleaned.is_set()) == ("done", True, True)


async def test_time_is_limited() -> None:
    """When the time is over nothing has ended, and what is shielded goes on."""
    going_on = asyncio.create_task(asyncio.sleep(3600))

    found = await first_of(asyncio.shield(going_on), asyncio.sleep(3600), seconds=0.01)

    assert [one.cancelled() for one in found] == [True, True]
    assert not going_on.done()
    going_on.cancel()


async def test_a_failure_is_raised() -> None:
    """Nothing fails silently."""

    async def fail() -> None:
        raise ValueError("a reason")

    with pytest.raises(ValueError, match="a reason"):
        await first_of(asyncio.sleep(3600), fail())
