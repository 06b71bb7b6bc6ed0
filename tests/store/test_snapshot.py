"""A snapshot is waited for until it is whole, and one that fails is said to have."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from authsvc.errors import Conflict, SetupRefused
from authsvc.store.connection import Connection
from authsvc.store.rdb import SnapshotReader
from authsvc.store.snapshot import take_snapshot
from tests.support.redis_server import RedisServer, patient, redis_server

KEYS = 40


@pytest.fixture
async def server() -> AsyncIterator[RedisServer]:
    """Yield a Redis with some keys that takes a second for a snapshot."""
    async with redis_server() as started:
        yield started


@pytest.fixture
async def connection(server: RedisServer) -> AsyncIterator[Connection]:
    """Yield a connection to it."""
    opened = patient(server)
    await opened.redis.mset({f"authsvc:key:{number}": f"value {number}" * 20 for number in range(KEYS)})
    await opened.redis.config_set("rdb-key-save-delay", 25_000)  # microseconds a key
    yield opened
    await opened.close()


def texts(snapshot: object) -> dict[str, bytes | None]:
    """Return the keys of a snapshot with their texts."""
    return {one.key: one.value for one in SnapshotReader(snapshot, lambda _: True).read()}  # type: ignore[arg-type]


async def test_a_slow_snapshot_is_whole(connection: Connection, server: RedisServer) -> None:
    """What is written while it is made is not in it; one that was being made before does not count."""
    for attempt in range(2):
        await connection.redis.bgsave()
        await connection.redis.set(f"authsvc:late:{attempt}", "x")
        with await take_snapshot(connection, [server.folder]) as snapshot:
            found = texts(snapshot)
        assert len(found) == KEYS + attempt + 1
        assert found["authsvc:key:7"] == b"value 7" * 20


async def test_a_snapshot_that_fails_is_said_to(connection: Connection, server: RedisServer) -> None:
    """A folder is in the place of the file."""
    Path(server.folder, "dump.rdb").mkdir()
    with pytest.raises(Conflict, match="could not write a snapshot"):
        await take_snapshot(connection, [server.folder])
    Path(server.folder, "dump.rdb").rmdir()
    (await take_snapshot(connection, [server.folder])).close()


async def test_another_folder_is_noticed(connection: Connection, tmp_path: Path) -> None:
    """An old file elsewhere is not taken for the new one."""
    (tmp_path / "dump.rdb").write_bytes(b"old")
    with pytest.raises(SetupRefused, match="names another folder"):
        await take_snapshot(connection, [tmp_path])
    with pytest.raises(SetupRefused, match="cannot be seen"):
        await take_snapshot(connection, [])
