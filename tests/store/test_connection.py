"""Dead connections, lost replies: a read is asked again on a new connection, a write never is."""

import asyncio
import signal
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager

import pytest

from authsvc.errors import StoreUnavailable
from authsvc.redaction import Secret
from authsvc.store.breaker import FAILURES
from authsvc.store.connection import MAX_CONNECTIONS, Connection
from authsvc.store.pool import CheckedPool
from tests.support.faulty_store import FaultyStore, faulty_store
from tests.support.ports import free_port
from tests.support.redis_server import RedisServer, redis_server
from tests.support.waiting import PATIENCE

BURST = 120
"""Requests at once; the pool has room for about half of them at a time."""


@pytest.fixture(autouse=True)
def slow_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give every command more time than a busy machine may take: no test here is about how long one may take.

    Only the wait for one reply is short, since a test waits it out.
    """
    monkeypatch.setattr("authsvc.store.connection.REPLY_PART", 2 / PATIENCE)
    monkeypatch.setattr("authsvc.store.connection.POOL_PART", 1.0)


async def fill(connection: Connection) -> None:
    """Have every connection of the pool open and idle."""
    async with asyncio.timeout(PATIENCE):
        # Each holds its connection until all have one.
        pool = connection.redis.connection_pool
        assert isinstance(pool, CheckedPool)
        held = [await pool.get_connection() for _ in range(MAX_CONNECTIONS)]
        for one in held:
            await pool.release(one)


async def burst(connection: Connection) -> list[object]:
    """Ask for many things at once, each by its own command; return what was not answered."""

    async def ask(number: int) -> object:
        # GET by itself: reads that travel together would be one command.
        return await connection.read(lambda: connection.redis.get(f"k{number}"))

    answers = await asyncio.gather(*map(ask, range(BURST)), return_exceptions=True)
    return [answer for answer in answers if isinstance(answer, BaseException)]


@asynccontextmanager
async def behind_faults(server: RedisServer) -> AsyncIterator[tuple[FaultyStore, Connection]]:
    """Yield a way to ``server`` on which things get lost, and a connection that takes it."""
    here = server.folder / "faulty.sock"
    async with faulty_store(here, server.folder / "redis.sock") as faults:
        connection = Connection(Secret(f"unix://{here}"), deadline=PATIENCE)
        try:
            yield faults, connection
        finally:
            await connection.close()


@pytest.mark.parametrize("way", ["unix", "tcp"])
async def test_a_restarted_redis_refuses_no_read(way: str) -> None:
    """Every pooled connection leads to a Redis that is gone, and the first burst after its restart is answered."""
    port = free_port()
    options = ("--port", str(port), "--bind", "127.0.0.1") if way == "tcp" else ()
    async with redis_server(*options) as server:
        connection = Connection(Secret(f"redis://127.0.0.1:{port}") if way == "tcp" else server.url, deadline=PATIENCE)
        await fill(connection)
        await server.stop(signal.SIGKILL)
        await server.start()

        unanswered = await burst(connection)

        await connection.close()
    assert [] == unanswered


async def test_connections_that_died_without_a_word_cost_no_read() -> None:
    """The host lost its power, so no connection was closed: each must be tried in vain, and all reads are answered."""
    async with redis_server() as server, behind_faults(server) as (faults, connection):
        await fill(connection)
        faults.freeze_connections()

        assert [] == await burst(connection)


async def test_a_read_whose_reply_is_lost_is_asked_again() -> None:
    """The second attempt has a connection of its own, also when the first one's was new."""
    async with redis_server() as server, behind_faults(server) as (faults, connection):
        await connection.run(connection.redis.set("k", "v"))
        faults.lose_reply_to = b"MGET"

        assert b"v" == await connection.get("k")
    assert 2 == faults.seen.count(b"MGET")


async def increment(connection: Connection, faults: FaultyStore) -> int:
    """Lose the reply to one write; return how often it was carried out."""
    faults.lose_reply_to = b"INCR"
    with pytest.raises(StoreUnavailable):
        await connection.run(connection.redis.incr("n"))
    return int(await connection.get("n") or 0)


async def test_a_write_whose_reply_is_lost_is_not_repeated() -> None:
    """Redis carries it out once, and the caller hears that there was no answer."""
    async with redis_server() as server, behind_faults(server) as (faults, connection):
        assert 1 == await increment(connection, faults)
    assert 1 == faults.seen.count(b"INCR")


async def test_that_test_finds_a_client_that_repeats_writes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Seeded bug: a write is treated as a read is, as redis-py's default client does."""

    async def run_twice(self: Connection, command: Coroutine[None, None, object]) -> object:
        command.close()
        return await self.read(lambda: self.redis.incr("n"))

    async with redis_server() as server, behind_faults(server) as (faults, connection):
        monkeypatch.setattr(Connection, "run", run_twice)
        with pytest.raises(pytest.fail.Exception, match="DID NOT RAISE"):
            await increment(connection, faults)
        assert 2 == faults.seen.count(b"INCR")


async def test_lost_writes_do_not_open_the_breaker() -> None:
    """Writes that fail on connections from before say nothing about the Redis of now."""
    async with redis_server() as server, behind_faults(server) as (faults, connection):
        await fill(connection)
        faults.freeze_connections()
        writes = (connection.run(connection.redis.set(f"k{number}", "v")) for number in range(2 * FAILURES))
        failed = await asyncio.gather(*writes, return_exceptions=True)

        assert {StoreUnavailable} == {type(error) for error in failed}
        assert [] == await burst(connection), "the breaker is closed"


async def test_a_redis_that_is_gone_opens_the_breaker() -> None:
    """When no new connection can be made either, requests learn it at once."""
    async with redis_server() as server:
        connection = Connection(server.url, deadline=PATIENCE)
        await fill(connection)
        await server.stop()
        for _ in range(FAILURES):
            with pytest.raises(StoreUnavailable):
                await connection.get("k")

        with pytest.raises(StoreUnavailable) as refused:
            await connection.run(connection.redis.set("k", "v"))

        await connection.close()
    assert "the breaker is open" == refused.value.detail


async def test_an_idle_connection_is_tried_before_a_write_is_sent_on_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection that was idle for long and is dead is replaced first, so no write is lost on it."""
    monkeypatch.setattr("authsvc.store.connection.HEALTH_CHECK", 0.01)
    async with redis_server() as server, behind_faults(server) as (faults, connection):
        await fill(connection)
        faults.freeze_connections()
        await asyncio.sleep(0.05)

        assert 1 == await connection.run(connection.redis.incr("n"))


async def test_a_distrusted_pool_opens_new_connections_once() -> None:
    """What was opened after the doubt arose stays in use."""
    async with redis_server() as server:
        connection = Connection(server.url, deadline=PATIENCE)
        pool = connection.redis.connection_pool
        assert isinstance(pool, CheckedPool)

        async def number() -> int:
            return int(await connection.read(connection.redis.client_id))

        first = await number()
        assert first == await number()
        pool.distrust(opened_before=asyncio.get_running_loop().time())
        second = await number()
        assert first != second
        assert second == await number()
        await connection.close()


async def test_a_task_that_is_cancelled_ends() -> None:
    """Whatever the command waits for at that moment; ``asyncio.wait_for`` of Python 3.11 forgets a cancellation."""
    async with redis_server() as server:
        connection = Connection(server.url, deadline=PATIENCE)
        await connection.get("k")

        async def ask_forever() -> None:
            while True:
                await connection.run(connection.redis.set("k", "1"))

        for steps in range(60):
            task = asyncio.create_task(ask_forever())
            for _ in range(steps):
                await asyncio.sleep(0)
            task.cancel()
            try:
                await asyncio.wait_for(asyncio.shield(task), PATIENCE / 10)
            except asyncio.CancelledError:
                assert task.cancelled(), steps
        await connection.close()
