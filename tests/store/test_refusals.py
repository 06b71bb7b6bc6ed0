"""What Redis refuses is told as refused, with its own words; doubt is told only where there is doubt."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from authsvc.audit.entry import Entry
from authsvc.errors import StoreRefused, StoreUnavailable
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.health import RedisHealth
from authsvc.store.refusals import REASONS
from authsvc.store.transaction import Transaction
from tests.support.builders import NOW
from tests.support.redis_server import connected, redis_server
from tests.support.waiting import PATIENCE

RENDERED = (Path(__file__).parents[2] / "registry-config" / "redis.conf").read_text()


def change() -> Transaction:
    """Begin a change."""
    return Transaction(Entry("op-1", NOW, "test.done", "system:authsvc", {}))


async def fail_a_snapshot(connection: Connection) -> None:
    """Have a snapshot fail: the place of its file is taken by a folder."""
    folder = (await connection.redis.config_get("dir"))["dir"]
    (Path(str(folder)) / "dump.rdb").mkdir()
    await connection.redis.bgsave()
    async with asyncio.timeout(PATIENCE):
        while (await connection.redis.info("persistence"))["rdb_last_bgsave_status"] != "err":
            await asyncio.sleep(0.02)


async def no_memory(connection: Connection) -> None:
    """Have Redis use more memory than it may."""
    await connection.redis.config_set("maxmemory", "1")


async def no_replica(connection: Connection) -> None:
    """Have Redis want a replica before it accepts a change."""
    await connection.redis.config_set("min-replicas-to-write", "1")


async def become_a_replica(connection: Connection) -> None:
    """Have Redis follow another one."""
    await connection.redis.replicaof("127.0.0.1", "1")


async def lose_rights(connection: Connection) -> None:
    """Have Redis' access rules forbid scripts."""
    await connection.redis.acl_setuser("default", enabled=True, nopass=True, categories=["+@all", "-@scripting"])


@pytest.mark.parametrize(
    ("spoil", "code"),
    [
        (fail_a_snapshot, "MISCONF"),
        (no_memory, "OOM"),
        (no_replica, "NOREPLICAS"),
        (become_a_replica, "READONLY"),
        (lose_rights, "NOPERM"),
    ],
)
async def test_a_refused_change_is_told_as_refused(spoil: Callable[[Connection], Awaitable[None]], code: str) -> None:
    """The sentence says why and that nothing was changed, the detail is Redis' reply, and nothing was changed."""
    async with connected() as connection:
        await spoil(connection)
        work = change()
        work.put("text", b"{}")

        with pytest.raises(StoreRefused) as refused:
            await work.apply(connection)

        assert f"because {REASONS[code]}; nothing was changed" in str(refused.value)
        assert str(refused.value.detail).startswith(f"{code} ")
        assert not refused.value.uncertain
        assert await connection.get("text") is None


@pytest.mark.parametrize(
    ("spoil", "code"), [(no_memory, "OOM"), (no_replica, "NOREPLICAS"), (become_a_replica, "READONLY")]
)
async def test_a_refusal_is_known_until_a_change_succeeds(
    spoil: Callable[[Connection], Awaitable[None]], code: str
) -> None:
    """Whatever is asked of Redis meanwhile: it answers reads all the time."""
    async with connected() as connection:
        health = RedisHealth(connection)
        await spoil(connection)
        with pytest.raises(StoreRefused):
            await change().apply(connection)

        await health.time()
        await health.ping()
        await health.failing_upstreams(NOW)

        assert str(await health.refusal()).startswith(f"{code} ")


async def test_a_failed_snapshot_stops_nothing_with_our_settings() -> None:
    """The append-only file is what makes a change durable; redis.conf says so."""
    assert "stop-writes-on-bgsave-error no\n" in RENDERED
    async with connected("--stop-writes-on-bgsave-error", "no") as connection:
        await fail_a_snapshot(connection)
        work = change()
        work.put("text", b"{}")

        await work.apply(connection)

        assert b"{}" == await connection.get("text")


async def test_a_redis_that_refuses_writes_is_ready_for_reads_and_says_so() -> None:
    """What `/readyz` asks for: it can be read, and its own words are told until it accepts a write again."""
    async with connected() as connection:
        health = RedisHealth(connection)
        assert await health.refusal() is None
        await fail_a_snapshot(connection)

        await health.ping()
        assert "err" == (await health.files() or {})["snapshot"]
        assert str(await health.refusal()).startswith("MISCONF ")
        await connection.redis.config_set("stop-writes-on-bgsave-error", "no")
        assert await health.refusal() is None


async def test_a_refused_write_is_remembered_until_one_is_accepted() -> None:
    """Redis answers a PING also when its memory is full."""
    async with connected() as connection:
        health = RedisHealth(connection)
        await no_memory(connection)
        with pytest.raises(StoreRefused):
            await connection.run(connection.redis.set("k", "v"))
        assert str(await health.refusal()).startswith("OOM ")

        await connection.redis.config_set("maxmemory", "0")
        await connection.run(connection.redis.set("k", "v"))

        assert await health.refusal() is None


async def test_a_wrong_password_is_a_refusal() -> None:
    """Redis refuses the connection, so it has carried nothing out."""
    async with redis_server() as server:
        operator = Connection(server.url)
        await operator.redis.config_set("requirepass", "another")
        await operator.close()
        connection = Connection(Secret(f"{server.url.reveal()}?password=wrong"))
        with pytest.raises(StoreRefused, match="does not accept our user name and password") as refused:
            await change().apply(connection)
        await connection.close()
    assert "wrong" not in str(refused.value)


async def test_a_redis_that_is_not_there_has_done_nothing() -> None:
    """Nothing was sent, so there is no doubt to tell of."""
    connection = Connection(Secret("unix:///nonexistent/redis.sock"))
    with pytest.raises(StoreUnavailable, match="nothing was changed") as refused:
        await change().apply(connection)
    await connection.close()
    assert not refused.value.uncertain


async def test_a_script_that_fails_in_the_middle_is_in_doubt() -> None:
    """Redis does not roll back what a script did before its error, so that error promises nothing."""
    async with connected() as connection:
        script = "redis.call('SET', KEYS[1], '1'); redis.call('LPUSH', KEYS[1], '1')"
        with pytest.raises(StoreUnavailable) as refused:
            await connection.run(connection.redis.eval(script, 1, keys.NONE))

        assert refused.value.uncertain
        assert not isinstance(refused.value, StoreRefused)
        assert b"1" == await connection.get(keys.NONE)
