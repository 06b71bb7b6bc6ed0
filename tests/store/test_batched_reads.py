"""Reads that travel together: each gets its own values, from one command, whatever happens to the others."""

import asyncio
import signal
from collections.abc import Sequence

import pytest
from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import StoreUnavailable
from authsvc.store.batched_reads import MAX_KEYS, BatchedReads, Values
from authsvc.store.connection import Connection
from tests.support.redis_server import connected, redis_server
from tests.support.waiting import PATIENCE


@define
class Server:
    """Answers every key with itself, and keeps what it was asked."""

    asked: list[list[str]] = field(factory=list)
    gate: asyncio.Event | None = None
    error: Exception | None = None

    async def fetch(self, keys: Sequence[str]) -> Values:
        """Answer one command."""
        self.asked.append(list(keys))
        if self.gate is not None:
            await self.gate.wait()
        if self.error is not None:
            raise self.error
        return [None if key.startswith("-") else key.encode() for key in keys]


def expected(keys: Sequence[str]) -> Values:
    """Return what the server answers for ``keys``."""
    return [None if key.startswith("-") else key.encode() for key in keys]


@given(reads=st.lists(st.lists(st.sampled_from(["a", "b", "c", "-d", "e"]), min_size=1, max_size=4), max_size=20))
def test_every_read_gets_its_own_values(reads: list[list[str]]) -> None:
    """Whatever is asked for together, each answer fits its question, in order, with repeated and missing keys."""

    async def ask() -> list[Values]:
        gathered = BatchedReads(Server().fetch)
        return await asyncio.gather(*(gathered.read(keys) for keys in reads))

    assert [expected(keys) for keys in reads] == asyncio.run(ask())


async def test_what_is_asked_at_once_is_one_command() -> None:
    """Three reads of the same moment are one command, each key in it once."""
    server = Server()
    gathered = BatchedReads(server.fetch)
    await asyncio.gather(gathered.read(["a", "b"]), gathered.read(["b"]), gathered.read(["c"]))
    assert [["a", "b", "c"]] == server.asked


async def test_reads_that_come_meanwhile_travel_together() -> None:
    """What is asked for one after the other, while a command is under way, goes out as one when it has ended."""
    server = Server(gate=asyncio.Event())
    gathered = BatchedReads(server.fetch)
    first = asyncio.create_task(gathered.read(["a"]))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    others = [asyncio.create_task(gathered.read([key])) for key in ("b", "c")]
    await asyncio.sleep(0)
    assert server.gate is not None
    server.gate.set()
    assert [[b"a"], [b"b"], [b"c"]] == [await first, *[await other for other in others]]
    assert [["a"], ["b", "c"]] == server.asked


async def test_a_later_read_does_not_wait_for_a_slow_one() -> None:
    """While a command hangs the next one goes out all the same."""
    server = Server(gate=asyncio.Event())
    gathered = BatchedReads(server.fetch)
    first = asyncio.create_task(gathered.read(["a"]))
    await asyncio.sleep(0.01)
    second = asyncio.create_task(gathered.read(["a"]))
    await asyncio.sleep(0.01)
    assert [["a"], ["a"]] == server.asked
    assert server.gate is not None
    server.gate.set()
    assert ([b"a"], [b"a"]) == (await first, await second)


async def test_who_gives_up_disturbs_nobody() -> None:
    """A cancelled read neither ends the command nor shifts the others' answers."""
    server = Server(gate=asyncio.Event())
    gathered = BatchedReads(server.fetch)
    gone, stays = (asyncio.create_task(gathered.read([key])) for key in ("a", "b"))
    await asyncio.sleep(0.01)
    gone.cancel()
    assert server.gate is not None
    server.gate.set()
    assert [b"b"] == await stays
    with pytest.raises(asyncio.CancelledError):
        await gone


async def test_an_error_reaches_everybody_as_their_own() -> None:
    """Each of those who asked gets the error, as an object of its own, and the next read works."""
    server = Server(error=StoreUnavailable("down", detail="why"))
    gathered = BatchedReads(server.fetch)
    errors = await asyncio.gather(gathered.read(["a"]), gathered.read(["b"]), return_exceptions=True)
    assert [("down", "why")] * 2 == [(str(e), e.detail) for e in errors if isinstance(e, StoreUnavailable)]
    assert errors[0] is not errors[1]
    server.error = None
    assert [b"a"] == await gathered.read(["a"])


async def test_no_command_asks_for_too_much() -> None:
    """Many reads make several commands, each bounded; one that is larger by itself goes alone."""
    server = Server()
    gathered = BatchedReads(server.fetch)
    await asyncio.gather(*(gathered.read([f"k{number}", f"j{number}"]) for number in range(MAX_KEYS)))
    assert 2 * MAX_KEYS == sum(len(keys) for keys in server.asked)
    assert MAX_KEYS == max(len(keys) for keys in server.asked)
    large = [str(number) for number in range(MAX_KEYS + 1)]
    assert expected(large) == await gathered.read(large)


async def test_a_storm_of_cancelled_reads_crosses_no_answers() -> None:
    """On a real Redis: among thousands of reads, most cancelled at random points, none gets another one's value."""
    names = [f"key-{number}" for number in range(64)]
    async with connected() as connection:
        for name in names:
            await connection.run(connection.redis.set(name, name))

        async def one(number: int) -> bool:
            wanted = [names[number % 64], names[number * 7 % 64]]
            try:
                async with asyncio.timeout((number % 13) * 0.0002):
                    return [name.encode() for name in wanted] == await connection.get_all(*wanted)
            except TimeoutError:
                return True

        for start in range(0, 6000, 200):
            assert all(await asyncio.gather(*(one(number) for number in range(start, start + 200))))
        assert b"key-5" == await connection.get("key-5")


async def test_reads_of_a_silent_server_all_fail_in_time() -> None:
    """When Redis hangs every read says so while it still hangs."""
    async with redis_server() as server:
        connection = Connection(server.url)
        assert await connection.get("a") is None
        server.send(signal.SIGSTOP)
        async with asyncio.timeout(PATIENCE):
            errors = await asyncio.gather(*(connection.get("a") for _ in range(5)), return_exceptions=True)
        await connection.close()
    assert [StoreUnavailable] * 5 == [type(error) for error in errors]
