"""The disk of Redis fills up: it is told before, the audit stops, a revocation works, and all goes on by itself."""

import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from authsvc.audit.entry import Entry
from authsvc.audit.recorder import AuditRecorder
from authsvc.disk_room import DiskWatch
from authsvc.errors import StoreUnavailable
from authsvc.logs import make_logger
from authsvc.store import keys
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.connection import Connection
from authsvc.store.transaction import Transaction
from tests.support.builders import NOW
from tests.support.http_client import ask, get_token
from tests.support.oci import Image
from tests.support.redis_server import RedisServer
from tests.support.registry_client import Client
from tests.support.small_disk import SmallDisk, small_disk
from tests.support.stack import PATIENT, Stack
from tests.support.tenants import make_license, make_member, make_team
from tests.support.waiting import PATIENCE, until

pytestmark = pytest.mark.system

MIB = 1024 * 1024
RESERVE = 8
SETTINGS = {"AUTHSVC_REDIS_DEADLINE": PATIENT, "AUTHSVC_REDIS_DISK_RESERVE": str(RESERVE)}


@pytest.fixture
def disk() -> Iterator[SmallDisk]:
    """Return a disk that only this test fills."""
    with small_disk(64) as made:
        yield made


@pytest.fixture
async def server(disk: SmallDisk) -> AsyncIterator[RedisServer]:
    """Return a Redis whose files are on that disk."""
    made = RedisServer(disk.folder)
    await made.start()
    yield made
    await made.stop()


def own_entry(number: int) -> Entry:
    """Return an entry of the audit's own, which is written even when its budget is used up."""
    return Entry(f"entry-{number}", NOW, "audit.trimmed", "system:authsvc", {"entries": number})


async def revoke(connection: Connection, operation: str) -> None:
    """Carry out a change that looks like a revocation."""
    change = Transaction(Entry(operation, NOW, "license.changed", "system:authsvc", {"state": "revoked"}))
    change.put(keys.license_("one"), b'{"revoked": true}')
    await change.apply(connection)


async def test_a_full_disk_stops_the_audit_and_no_revocation(disk: SmallDisk, server: RedisServer) -> None:
    """With only a few pages free, nothing of the audit reaches Redis, and a change does; later both do."""
    connection = Connection(server.url, deadline=PATIENCE)
    watch = DiskWatch((disk.folder,), RESERVE * MIB)
    audit = RedisAudit(connection, 100 * MIB)
    trail = AuditRecorder(audit, make_logger("error"), lambda: NOW, iter("abcdefgh").__next__, has_room=watch.has_room)
    disk.fill(leave=16384)
    watch.look()

    trail.append(own_entry(1))
    await trail.flush()
    assert 1 == trail.waiting
    assert 0 == await connection.read(lambda: connection.redis.exists(keys.AUDIT))
    await revoke(connection, "op-1")
    assert 1 == await connection.read(lambda: connection.redis.xlen(keys.AUDIT)), "the change is told in its own step"

    disk.clear()
    watch.look()
    await trail.flush()
    assert 0 == trail.waiting
    assert 2 == await connection.read(lambda: connection.redis.xlen(keys.AUDIT))
    await connection.close()


async def test_without_the_check_the_audit_ends_redis(disk: SmallDisk, server: RedisServer) -> None:
    """Seeded bug: the audit writes whatever room there is. That is what the test above is about."""
    connection = Connection(server.url, deadline=PATIENCE)
    trail = AuditRecorder(
        RedisAudit(connection, 100 * MIB), make_logger("error"), lambda: NOW, iter("abcdefgh").__next__
    )
    disk.fill()
    for number in range(100):
        trail.append(own_entry(number))
    await trail.flush()

    assert 0 < trail.waiting
    with pytest.raises(StoreUnavailable):
        await connection.get(keys.NONE)
    await connection.close()


def test_a_stack_on_a_full_disk(disk: SmallDisk) -> None:
    """What an operator sees, from the warning to the end of it."""
    stack = Stack(Path(disk.folder.parent), settings=SETTINGS)
    assert stack.data_dir == disk.folder
    stack.start()
    try:
        owner = make_member(stack, make_team(stack, "app"), "owner")
        license_ = make_license(stack, "app")
        redis = stack.pid("redis")

        def room() -> str:
            return str(ask(stack.inside, "GET", "/readyz").json()["store_disk"]["room"])

        assert room() == "enough"
        disk.fill(leave=12 * MIB)
        until(lambda: room() == "low", "it is told before it is full")
        word = f"MiB are free on the disk of Redis ({stack.data_dir / 'redis'}); make room there"
        until(lambda: word in stack.err.read_text(), "up says so")

        disk.fill(leave=2 * MIB)
        until(lambda: room() == "full", "the audit stops")
        until(lambda: "the audit of token requests has stopped" in stack.err.read_text(), "up says so")
        assert b"authsvc_store_disk_free_bytes" in ask(stack.inside, "GET", "/metrics").body
        for _ in range(20):
            assert get_token(stack.port, owner, "repository:app/x:pull").status == 200
        stack.authsvc("license", "revoke", license_.id)
        assert get_token(stack.port, license_.account, "repository:app/x:pull").status == 401
        assert stack.pid("redis") == redis

        disk.clear()
        until(lambda: room() == "enough", "there is room again")
        until(lambda: "token.issued" in stack.authsvc("audit", "list").out, "the audit goes on")
        assert stack.pid("redis") == redis
    finally:
        stack.stop()


def test_a_redis_that_ended_is_told_with_its_reason(disk: SmallDisk) -> None:
    """When no byte is left the next change ends Redis, and `up` says what is full."""
    stack = Stack(Path(disk.folder.parent), settings={"AUTHSVC_REDIS_DISK_RESERVE": str(RESERVE)})
    stack.start()
    try:
        make_team(stack, "app")
        license_ = make_license(stack, "app")
        disk.fill()

        def one_more_change_ends_redis() -> bool:
            for change in ("revoke", "reinstate"):  # a few fit into the last page of the file
                stack.authsvc("license", change, license_.id, check=False)
            return "redis ended with exit code 1: " in stack.err.read_text()

        until(one_more_change_ends_redis, "it is told")
        (line,) = [line for line in stack.err.read_text().splitlines() if "redis ended" in line][:1]
        assert "No space left on device" in line

        disk.clear()
        until(lambda: "redis is running again" in stack.err.read_text(), "it comes back")
        until(lambda: stack.authsvc("license", "revoke", license_.id, check=False).code == 0, "and works")
    finally:
        stack.stop()


def test_garbage_is_collected_on_a_full_disk(disk: SmallDisk) -> None:
    """Deleting images is how an operator makes room, so it must not need any."""
    stack = Stack(Path(disk.folder.parent), settings=SETTINGS)
    stack.start()
    try:
        client = Client(stack.port, make_member(stack, make_team(stack, "app"), "owner"))
        image, kept = Image(os.urandom(4 * MIB)), Image(b"kept")
        client.push("app/worker", "1", image)
        client.push("app/worker", "2", kept)
        assert client.ask("DELETE", f"/v2/app/worker/manifests/{image.digest}").status == 202
        disk.fill()

        assert stack.json("gc")["blobs"] == 3

        assert disk.free > 3 * MIB
        until(lambda: client.ask("POST", "/v2/app/worker/blobs/uploads/").status == 202, "the registry writes again")
        client.push("app/worker", "3", Image(b"new"))
        client.pull("app/worker", "2", kept)
    finally:
        stack.stop()
