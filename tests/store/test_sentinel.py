"""Sentinels: their address, read back, and a fail-over with real ones."""

import asyncio
import ssl
from pathlib import Path

import pytest

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.redaction import Secret
from authsvc.redis_url import SentinelUrl, parse_sentinel_url
from authsvc.store.connection import Connection
from tests.support.sentinel import PASSWORD, SENTINEL_PASSWORD, USER, watched_primary
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE, PAUSE

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
        (
            "redis+sentinel://a/main?sentinel_username=me&sentinel_password=p%26",
            SentinelUrl((("a", 26379),), "main", None, None, "me", "p&"),
        ),
        (
            "redis+sentinel://u+v:a+b@a/main?sentinel_password=a+b/c==",
            SentinelUrl((("a", 26379),), "main", "u+v", "a+b", None, "a+b/c=="),
        ),
        (
            "rediss+sentinel://me:secret@a/main?ssl_ca_certs=/etc/our%20ca.pem",
            SentinelUrl((("a", 26379),), "main", "me", "secret", tls=True, ca_file="/etc/our ca.pem"),
        ),
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
        "redis+sentinel://a/main?",
        "redis+sentinel://a/main?sentinel_password=",
        "redis+sentinel://a/main?sentinel_password=secret&sentinel_password=secret",
        "redis+sentinel://a/main?ssl_ca_certs=/ca.pem",
        "rediss+sentinel://a/main?ssl_cert_reqs=none",
        "redissentinel://a/main",
    ],
)
def test_another_form_is_refused(text: str) -> None:
    """What is not understood is refused with the form that is, and without repeating a password."""
    with pytest.raises(SetupRefused, match=r"redis\+sentinel://HOST:PORT,HOST:PORT/SERVICE") as refused:
        Connection(Secret(text))

    assert "secret" not in str(refused.value)


@pytest.mark.parametrize("secure", [False, True], ids=["open", "TLS and users"])
async def test_reads_go_on_after_a_fail_over(secure: bool, tmp_path: Path) -> None:
    """The pool is full of connections to a primary that is gone, and every read is answered by the new one."""
    async with watched_primary(UpstreamAuthority.make(tmp_path) if secure else None) as watched:
        connection = Connection(watched.url, deadline=PATIENCE)
        assert (USER if secure else "default") == await connection.run(connection.redis.acl_whoami())
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


async def test_the_certificates_of_authorities_are_read_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not for each connection: a worker would do nothing else for two seconds when its pool fills."""
    reads = 0
    read = ssl.create_default_context

    def counted() -> ssl.SSLContext:
        nonlocal reads
        reads += 1
        return read()

    async with watched_primary(UpstreamAuthority.make(tmp_path)) as watched:
        monkeypatch.setattr(ssl, "create_default_context", counted)
        for _ in range(2):  # a worker has several
            connection = Connection(watched.url, deadline=PATIENCE)
            await asyncio.gather(*(connection.run(connection.redis.ping()) for _ in range(BURST)))
            async with connection.dedicated():
                pass
            await connection.close()
    assert reads == 1


async def test_a_sentinel_of_another_authority_is_not_asked(tmp_path: Path) -> None:
    """Who answers in the place of a sentinel gets no password and names no primary."""
    async with watched_primary(UpstreamAuthority.make(tmp_path / "theirs")) as watched:
        ours = UpstreamAuthority.make(tmp_path / "ours")
        trusting_ours = watched.url.reveal().replace(str(tmp_path / "theirs"), str(ours.folder))
        connection = Connection(Secret(trusting_ours), deadline=PATIENCE)
        with pytest.raises(StoreUnavailable):
            await connection.run(connection.redis.ping())
        await connection.close()


@pytest.mark.parametrize(
    ("part", "other", "reason"),
    [
        (SENTINEL_PASSWORD, "wrong", "invalid username-password pair"),
        ("/main?", "/other?", "it does not watch 'other'"),
        ("ca.pem", "none.pem", "No such file or directory"),
        ("ca.pem", "other/ca.pem", "CERTIFICATE_VERIFY_FAILED"),
    ],
)
async def test_why_no_sentinel_names_a_primary(part: str, other: str, reason: str, tmp_path: Path) -> None:
    """Each says so for itself; none of it has a password."""
    UpstreamAuthority.make(tmp_path / "other")
    async with watched_primary(UpstreamAuthority.make(tmp_path)) as watched:
        assert part in watched.url.reveal()
        connection = Connection(Secret(watched.url.reveal().replace(part, other)), deadline=PATIENCE)
        with pytest.raises(StoreUnavailable) as refused:
            await connection.run(connection.redis.ping())
        await connection.close()
    detail = str(refused.value.detail)
    assert f"no sentinel names a primary (127.0.0.1:{watched.port}: " in detail
    assert reason in detail
    assert not any(secret in detail for secret in (SENTINEL_PASSWORD, PASSWORD, "wrong"))


async def test_renewed_certificates_count_for_the_next_connection(tmp_path: Path) -> None:
    """A new file in the place of the old one is enough; the same worker goes by it."""
    ours = UpstreamAuthority.make(tmp_path)
    async with watched_primary(ours) as watched:
        right = ours.file.read_bytes()
        UpstreamAuthority.make(tmp_path)
        connection = Connection(watched.url, deadline=PATIENCE)
        with pytest.raises(StoreUnavailable):
            await connection.run(connection.redis.ping())
        ours.file.write_bytes(right)
        async with asyncio.timeout(PATIENCE):
            while not await _answers(connection):
                await asyncio.sleep(PAUSE)
        await connection.close()


async def _answers(connection: Connection) -> bool:
    try:
        return bool(await connection.run(connection.redis.ping()))
    except StoreUnavailable:  # until the breaker lets a command through
        return False
