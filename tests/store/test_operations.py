"""Marks of operations: what is known of one that was carried out, also by an older version."""

import pytest

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict, OperationRepeated, StoreUnavailable
from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.operations import RedisOperations
from authsvc.store.transaction import Transaction
from tests.support.builders import NOW

DAY = 24 * 3600
"""Seconds for which a repeat gets the first result."""


def change(request_hash: str = "", result: str | None = "made") -> Transaction:
    """Begin a change of one operation."""
    work = Transaction(Entry("op-1", NOW, "test.done", "system:authsvc", {}, request_hash), result=result)
    work.put("key", b"1")
    return work


async def test_a_new_operation_is_accepted(connection: Connection) -> None:
    """What was not carried out, or was refused, may be carried out."""
    operations = RedisOperations(connection)
    await operations.require_new("op-1", "")
    refused = change()
    refused.expect("absent", b"1", "refused")
    with pytest.raises(Conflict, match="refused"):
        await refused.apply(connection)
    await operations.require_new("op-1", "a")


@pytest.mark.parametrize(("first", "then"), [("", ""), ("a", "a"), ("a", ""), ("", "a")])
async def test_a_repeat_learns_the_first_result(connection: Connection, first: str, then: str) -> None:
    """Before it tries and when it tries; where one of the two has no idempotency key, the id alone counts."""
    await change(first).apply(connection)

    with pytest.raises(OperationRepeated) as looked:
        await RedisOperations(connection).require_new("op-1", then)
    with pytest.raises(OperationRepeated) as tried:
        await change(then, "another").apply(connection)
    assert ("made", "made") == (looked.value.result, tried.value.result)
    assert DAY - 60 < await connection.redis.ttl(keys.operation("op-1")) <= DAY


async def test_another_request_is_a_conflict(connection: Connection) -> None:
    """One key for two different requests is a mistake of the client: it is told, and neither result is."""
    await change("a").apply(connection)

    for attempt in (RedisOperations(connection).require_new("op-1", "b"), change("b").apply(connection)):
        with pytest.raises(Conflict, match="another request") as told:
            await attempt
        assert "idempotency_conflict" == told.value.code
        assert not isinstance(told.value, OperationRepeated)


async def test_a_mark_of_an_older_version_is_understood(connection: Connection) -> None:
    """It says that the operation was carried out, not what it made."""
    await connection.redis.set(keys.operation("op-1"), "1")

    for attempt in (RedisOperations(connection).require_new("op-1", "a"), change("a").apply(connection)):
        with pytest.raises(OperationRepeated) as told:
            await attempt
        assert told.value.result is None
    assert await connection.get("key") is None


@pytest.mark.parametrize("raw", [b"", b"{", b"2", b"[]", b"{}", b"\xff"])
async def test_a_damaged_mark_is_an_error_of_ours(connection: Connection, raw: bytes) -> None:
    """Nothing is carried out beside it."""
    await connection.redis.set(keys.operation("op-1"), raw)

    for attempt in (RedisOperations(connection).require_new("op-1", "a"), change("a").apply(connection)):
        with pytest.raises(StoreUnavailable, match="damaged"):
            await attempt
    assert await connection.get("key") is None
