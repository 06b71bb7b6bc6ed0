"""Rows that are carried out together: they end together, whatever becomes of one of them."""

import asyncio

import pytest

from authsvc.errors import InputRefused
from authsvc.manage.row_batches import GROUP, finish_all


async def test_the_others_go_on_when_one_fails() -> None:
    """Its error is raised when all have ended."""
    done = list[int]()

    async def work(number: int) -> None:
        await asyncio.sleep(0)
        if number == 1:
            raise InputRefused("no", code="text_expected")
        done.append(number)

    with pytest.raises(InputRefused):
        await finish_all(work(number) for number in range(40))
    assert [number for number in range(40) if number != 1] == sorted(done)


@pytest.mark.parametrize("turns", [1, 4])
async def test_nothing_goes_on_when_it_is_cancelled(turns: int) -> None:
    """While rows begin, and while all are under way: a request that ended leaves nothing behind."""
    begun, done = list[int](), list[int]()

    async def work(number: int) -> None:
        begun.append(number)
        await asyncio.sleep(0.05)
        done.append(number)

    running = asyncio.create_task(finish_all(work(number) for number in range(2 * GROUP)))
    for _ in range(turns):
        await asyncio.sleep(0)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await asyncio.sleep(0.1)

    assert (turns > 1) == (len(begun) == 2 * GROUP)
    assert [] == done
