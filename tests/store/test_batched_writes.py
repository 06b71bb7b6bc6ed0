"""Scripts that travel together: each has its own effect, reply and error, whatever happens to the others."""

import asyncio
import signal

import pytest

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict, StoreRefused, StoreUnavailable
from authsvc.store.batched_writes import MAX_SCRIPTS, ScriptCall
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction
from tests.support.builders import NOW
from tests.support.redis_server import redis_server

ADD = "return redis.call('INCRBY', KEYS[1], ARGV[1])"
REFUSE = "return redis.error_reply('WRONGTYPE of nothing')"


async def connections(connection: Connection) -> int:
    """Return how many connections the server has accepted."""
    return int((await connection.redis.info("stats"))["total_connections_received"])


async def test_each_gets_its_own_reply(connection: Connection) -> None:
    """In order, and over few connections."""
    count = 2 * MAX_SCRIPTS + 1
    await connection.run_script(ScriptCall(ADD, ["other"], [1]))
    before = await connections(connection)
    replies = await asyncio.gather(*(connection.run_script(ScriptCall(ADD, ["n"], [1])) for _ in range(count)))
    assert list(range(1, count + 1)) == sorted(replies)
    assert replies[:MAX_SCRIPTS] == sorted(replies[:MAX_SCRIPTS])
    assert await connections(connection) - before <= 2


async def test_an_error_is_its_own_callers(connection: Connection) -> None:
    """The scripts before and behind it are carried out, also when Redis knows none of them yet."""
    calls = [ScriptCall(ADD, ["n"], [1]), ScriptCall(REFUSE, [], []), ScriptCall(ADD, ["n"], [2])]
    first, error, last = await asyncio.gather(*map(connection.run_script, calls), return_exceptions=True)
    assert (1, 3) == (first, last)
    assert isinstance(error, StoreUnavailable)
    await connection.redis.script_flush()
    assert 4 == await connection.run_script(calls[0])


async def test_a_refusal_is_remembered_until_the_next_success(connection: Connection) -> None:
    """As for a command that is sent alone."""
    await connection.redis.config_set("maxmemory", "1")
    with pytest.raises(StoreRefused):
        await connection.run_script(ScriptCall(ADD, ["n"], [1]))
    assert connection.refused is not None
    await connection.redis.config_set("maxmemory", "0")
    await connection.run_script(ScriptCall(ADD, ["n"], [1]))
    assert connection.refused is None


async def test_many_changes_at_once_are_many_changes(connection: Connection) -> None:
    """Of two that exclude each other one is refused, wherever they travel."""

    async def add(number: int) -> bool:
        change = Transaction(Entry(f"op-{number}", NOW, "test.done", "system:authsvc"))
        change.expect_absent(f"key-{number // 2}", "taken")
        change.put(f"key-{number // 2}", str(number).encode())
        try:
            await change.apply(connection)
        except Conflict:
            return False
        return True

    done = await asyncio.gather(*map(add, range(100)))
    assert [True, False] * 50 == done


async def test_a_caller_that_leaves_affects_nobody(connection: Connection) -> None:
    """Neither the others nor its own script, which may be on its way."""
    tasks = [asyncio.create_task(connection.run_script(ScriptCall(ADD, ["n"], [1]))) for _ in range(3)]
    await asyncio.sleep(0)
    tasks[1].cancel()
    replies = await asyncio.gather(*tasks, return_exceptions=True)
    assert [1, 3] == [replies[0], replies[2]]
    assert isinstance(replies[1], asyncio.CancelledError)


async def test_a_server_that_does_not_answer_leaves_all_in_doubt() -> None:
    """Each caller gets an error of its own, which says that its script may have been carried out."""
    async with redis_server() as server:
        connection = Connection(server.url)
        await connection.run_script(ScriptCall(ADD, ["n"], [1]))
        server.send(signal.SIGSTOP)
        calls = (connection.run_script(ScriptCall(ADD, ["n"], [1])) for _ in range(3))
        errors = await asyncio.gather(*calls, return_exceptions=True)
        await connection.close()
    assert 3 == len(set(map(id, errors)))
    for error in errors:
        assert isinstance(error, StoreUnavailable)
        assert error.uncertain
