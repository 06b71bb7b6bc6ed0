"""Sign-ins of members while somebody guesses: 25 wrong passwords a second, each from another new address."""

import asyncio
import itertools
from collections.abc import Iterator
from urllib.parse import urlsplit

from attrs import frozen

from tests.bench.load import Target, basic

GUESSES_PER_SECOND = 25
PAUSE = 0.5
"""Seconds between two sign-ins of members."""

ANSWER = 30.0
"""Seconds for one sign-in."""

Guess = tuple[str, str]
"""An Authorization value, and the address that it comes from."""


@frozen
class Answer:
    """One answer.

    Attributes:
        milliseconds: how long it took.
        status: of the answer.
    """

    milliseconds: float
    status: int


@frozen
class Waited:
    """How long some sign-ins took.

    Attributes:
        p50: milliseconds.
        p99: milliseconds.
        refused: how many were not answered with 200.
    """

    p50: float
    p99: float
    refused: int

    @classmethod
    def of(cls, answers: list[Answer]) -> "Waited":
        """Return the figures of the answers."""
        times = sorted(answer.milliseconds for answer in answers)
        p50, p99 = (round(times[min(len(times) - 1, int(len(times) * part))], 1) for part in (0.5, 0.99))
        return cls(p50, p99, sum(answer.status != 200 for answer in answers))


def run_flood(target: Target, at_home: list[Guess], elsewhere: list[Guess]) -> tuple[Waited, Waited]:
    """Sign in each member once during a flood, and return how long it took at home, and from new places."""
    return asyncio.run(_flooded(target, at_home, elsewhere))


async def _flooded(target: Target, at_home: list[Guess], elsewhere: list[Guess]) -> tuple[Waited, Waited]:
    stop = asyncio.Event()
    flooding = asyncio.create_task(_flood(target, stop))
    await asyncio.sleep(2)  # until the queue is what it will be
    found = await asyncio.gather(_one_by_one(target, at_home), _one_by_one(target, elsewhere))
    stop.set()
    await flooding
    home, new = map(Waited.of, found)
    return home, new


async def _flood(target: Target, stop: asyncio.Event) -> None:
    async with asyncio.TaskGroup() as guesses:
        for guess in _guesses():
            if stop.is_set():
                return
            guesses.create_task(ask(target, guess))
            await asyncio.sleep(1 / GUESSES_PER_SECOND)


def _guesses() -> Iterator[Guess]:
    for number in itertools.count():
        yield basic(f"nobody{number}@bench.test", f"guess number {number}"), f"203.0.{number // 256}.{number % 256}"


async def _one_by_one(target: Target, members: list[Guess]) -> list[Answer]:
    answers = []
    for member in members:
        answers.append(await ask(target, member))
        await asyncio.sleep(PAUSE)
    return answers


async def ask(target: Target, guess: Guess) -> Answer:
    """Ask for one token over a connection of its own."""
    split, (authorization, address) = urlsplit(target.url), guess
    clock = asyncio.get_running_loop().time
    began = clock()
    async with asyncio.timeout(ANSWER):
        if target.socket is not None:
            reader, writer = await asyncio.open_unix_connection(target.socket)
        else:
            reader, writer = await asyncio.open_connection(split.hostname, split.port)
        head = f"GET {target.path} HTTP/1.1\r\nHost: {split.netloc}\r\nConnection: close\r\n"
        writer.write(f"{head}Authorization: {authorization}\r\nX-Forwarded-For: {address}\r\n\r\n".encode("ascii"))
        answer = await reader.read()
        writer.close()
    return Answer((clock() - began) * 1000, int(answer.split(b" ", 2)[1]))
