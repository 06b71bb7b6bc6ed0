"""What a balancer is told: one word, from one look a second, however many ask."""

import asyncio
from collections.abc import Callable

from aiohttp.test_utils import make_mocked_request
from attrs import define, field

from authsvc.web.ops import ASK_AGAIN, EdgeReadiness


@define
class Part:
    """What is asked, with a clock of the test."""

    is_well: bool = True
    asked: int = 0
    now: float = 100.0
    may_answer: asyncio.Event = field(factory=asyncio.Event)

    async def is_ready(self) -> bool:
        """Answer when the test says so."""
        self.asked += 1
        await self.may_answer.wait()
        return self.is_well


def asker(part: Part) -> Callable[[], asyncio.Task[tuple[int, str | None]]]:
    """Return what asks as a balancer does."""
    readiness = EdgeReadiness(part.is_ready, lambda: part.now)

    async def ask() -> tuple[int, str | None]:
        answer = await readiness.readyz(make_mocked_request("GET", "/readyz"))
        return answer.status, getattr(answer, "text", None)

    return lambda: asyncio.create_task(ask())


async def test_many_who_ask_are_one_look() -> None:
    """While it is looked, and for a second after it began."""
    part = Part()
    ask = asker(part)
    asking = [ask() for _ in range(100)]
    await asyncio.sleep(0)
    part.may_answer.set()
    assert {await one for one in asking} == {(200, "ready\n")}
    part.is_well = False
    assert await ask() == (200, "ready\n")
    assert part.asked == 1
    part.now += ASK_AGAIN
    assert await ask() == (503, "not ready\n")
    assert part.asked == 2


async def test_one_who_leaves_ends_nothing() -> None:
    """A balancer that gives up does not take the answer from the others."""
    part = Part()
    ask = asker(part)
    leaving, staying = ask(), ask()
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    part.may_answer.set()
    assert await staying == (200, "ready\n")
