"""Equal questions that are asked at the same time."""

import asyncio

import pytest

from authsvc.errors import Overloaded
from authsvc.in_flight import InFlight


async def settle() -> None:
    """Let everything run that can."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_equal_questions_are_asked_once() -> None:
    """Everybody who asks while the answer is on its way gets that answer; who asks later asks anew."""
    in_flight: InFlight[str, int] = InFlight(cancel_unwanted=True)
    asked: list[str] = []
    answer: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    async def fetch() -> int:
        asked.append("x")
        await answer
        return len(asked)

    tasks = [asyncio.create_task(in_flight.ask("x", lambda: asyncio.ensure_future(fetch()))) for _ in range(50)]
    await settle()
    tasks[0].cancel()
    await settle()
    answer.set_result(None)

    assert [1] * 49 == await asyncio.gather(*tasks[1:])
    assert 2 == await in_flight.ask("x", lambda: asyncio.ensure_future(fetch()))


async def test_a_question_ends_with_the_last_who_waits() -> None:
    """Work for nobody is cancelled, and a failure reaches everybody."""
    in_flight: InFlight[str, int] = InFlight(cancel_unwanted=True)
    ended: list[str] = []

    async def forever() -> int:
        try:
            await asyncio.get_running_loop().create_future()
        finally:
            ended.append("x")
        return 0

    async def fails() -> int:
        await asyncio.sleep(0)
        raise Overloaded("no")

    tasks = [asyncio.create_task(in_flight.ask("x", lambda: asyncio.ensure_future(forever()))) for _ in range(2)]
    await settle()
    tasks[0].cancel()
    await settle()
    assert [] == ended
    tasks[1].cancel()
    await settle()
    assert ["x"] == ended

    results = await asyncio.gather(
        *(in_flight.ask("x", lambda: asyncio.ensure_future(fails())) for _ in range(3)), return_exceptions=True
    )
    assert [Overloaded] * 3 == [type(one) for one in results]


async def test_a_question_goes_on_without_callers() -> None:
    """Unless it is said otherwise, a caller who hangs up ends nothing, and the next one joins."""
    in_flight: InFlight[str, int] = InFlight()
    answer: asyncio.Future[int] = asyncio.get_running_loop().create_future()
    first = asyncio.create_task(in_flight.ask("x", lambda: answer))
    await settle()
    first.cancel()
    await settle()
    second = asyncio.create_task(in_flight.ask("x", lambda: pytest.fail("asked twice")))
    await settle()
    answer.set_result(7)

    assert first.cancelled()
    assert 7 == await second


async def test_a_question_that_cannot_be_asked_is_nobody_elses() -> None:
    """What its start raises leaves nothing behind."""
    in_flight: InFlight[str, int] = InFlight()

    def refuse() -> "asyncio.Future[int]":
        raise ValueError("full")

    with pytest.raises(ValueError, match="full"):
        await in_flight.ask("x", refuse)
    assert 1 == await in_flight.ask("x", lambda: asyncio.ensure_future(asyncio.sleep(0, 1)))
    await settle()
    assert {} == in_flight._questions
