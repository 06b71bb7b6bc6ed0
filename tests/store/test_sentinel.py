"""Sentinels: their address, read back, and a fail-over with real ones."""

import asyncio

import pytest

from authsvc.errors import SetupRefused
from authsvc.redaction import Secret
from authsvc.redis_url import SentinelUrl, parse_sentinel_url
from authsvc.store.connection import Connection
from tests.support.sentinel import watched_primary
from tests.support.waiting import PATIENCE

BURST = 40


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "redis+sentinel://authsvc:p%40ss@a,b:1234,[::1]:5,[::2]/main",
            SentinelUrl((("a", 26379), ("b", 1234), ("::1", 5), ("::2", 26379)), "main", "authsvc", "p@ss"),
        ),
        ("redis+sentinel://:secret@a/main", SentinelUrl((("a", 26379),), "main", None, "secret")),
        ("redis+sentinel://10.0.0.1:26380/m.y-1", SentinelUrl((("10.0.0.1", 26380),), "m.y-1", None, None)),
    ],
)
def test_an_address_is_read(text: str, expected: SentinelUrl) -> None:
    """Hosts with and without ports, IPv6 in brackets, and an escaped password."""
    assert expected == parse_sentinel_url(text)


@pytest.mark.parametrize(
    "text",
    [
        "redis+sentinel://a",
        "redis+sentinel://a/",
        "redis+sentinel:///main",
        "redis+sentinel://a,/main",
        "redis+sentinel://a:99999/main",
        "redis+sentinel://secret@a/main",
        "redis+sentinel://a/main?db=1",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    """What is not understood is refused with the form that is, and without repeating a password."""
    with pytest.raises(SetupRefused, match=r"redis\+sentinel://HOST:PORT,HOST:PORT/SERVICE") as refused:
        Connection(Secret(text))

    assert "secret" not in str(refused.value)


async def test_reads_go_on_after_a_fail_over() -> None:
    """The pool is full of connections to a primary that is gone, and every read is answered by the new one."""
    async with watched_primary() as watched:
        connection = Connection(watched.url, deadline=PATIENCE)
        await connection.run(connection.redis.set("k", "v"))
        reads = [connection.read(lambda: connection.redis.get("k")) for _ in range(BURST)]
        assert {b"v"} == set(await asyncio.gather(*reads))
        # Replication is asynchronous: this waits for the replica.
        assert 1 == await connection.run(connection.redis.wait(1, 5000))

        assert ["OK"] == await watched.ask("SENTINEL", "FAILOVER", "main")
        await watched.until(str(watched.replica_port), "SENTINEL", "MASTER", "main")
        await watched.primary.stop()

        reads = [connection.read(lambda: connection.redis.get("k")) for _ in range(BURST)]
        assert {b"v"} == set(await asyncio.gather(*reads))
        await connection.run(connection.redis.set("k", "w"))
        await connection.close()
