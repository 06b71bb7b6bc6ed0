"""Which Redis is trusted with licenses."""

import pytest

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.redaction import Secret
from authsvc.store.connection import Connection
from authsvc.store.server_check import check_server, check_version, known_holes
from tests.support.redis_server import connected


async def test_a_durable_primary_is_accepted() -> None:
    """The settings of registry-config/redis.conf pass without a warning."""
    async with connected("--stop-writes-on-bgsave-error", "no") as connection:
        assert () == await check_server(connection)


async def test_a_snapshot_that_may_stop_all_changes_is_a_warning() -> None:
    """Redis' default; without snapshots it means nothing."""
    async with connected() as connection:
        (warning,) = await check_server(connection)
        await connection.redis.config_set("save", "")

        assert "stop-writes-on-bgsave-error no" in warning
        assert () == await check_server(connection)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--appendonly", "no"), "appendonly yes"),
        (("--appendfsync", "everysec"), "appendfsync always"),
        (("--maxmemory-policy", "allkeys-lru"), "maxmemory-policy noeviction"),
        (("--replicaof", "127.0.0.1", "1"), "replica"),
    ],
)
async def test_a_server_that_may_lose_data_is_refused(options: tuple[str, ...], says: str) -> None:
    """Each setting that could undo a revocation is named with the line that mends it."""
    async with connected(*options) as connection:
        with pytest.raises(SetupRefused, match=says):
            await check_server(connection)


async def test_a_managed_server_that_hides_its_configuration_is_accepted_with_a_warning() -> None:
    """Where CONFIG is forbidden, we say what could not be checked."""
    async with connected("--rename-command", "CONFIG", "") as connection:
        warnings = await check_server(connection)

    assert 2 == len(warnings)
    assert "appendfsync" in warnings[0]
    assert "stop-writes-on-bgsave-error" in warnings[1]


@pytest.mark.parametrize("version", ["7.0.0", "7.0.15", "7.2.4", "8.0.1", "10.0.0", "255.255.255"])
def test_a_server_that_is_new_enough_is_accepted(version: str) -> None:
    """Numbers are compared, not letters: 10 is newer than 7."""
    check_version(version)


@pytest.mark.parametrize("version", ["7.2.10", "7.4.5", "8.0.0", "8.2.1"])
def test_a_version_with_a_known_hole_is_a_warning(version: str) -> None:
    """It serves, since a distribution may have patched it under the same number."""
    (warning,) = known_holes(version)

    assert f"Redis {version} " in warning
    assert "CVE-2025-49844" in warning


@pytest.mark.parametrize(
    "version", ["7.0.15", "7.2.11", "7.2.14", "7.4.6", "8.0.2", "8.0.4", "8.2.2", "8.4.0", "10.0.0"]
)
def test_a_patched_version_is_not(version: str) -> None:
    """Debian 12 and 13 and Ubuntu 24.04 patch theirs under the same number; their operators are not alarmed."""
    assert () == known_holes(version)


@pytest.mark.parametrize("version", ["6.2.14", "6.0.16", "5.0.7", "2.8.24", "", "unstable"])
async def test_an_older_server_is_refused(version: str) -> None:
    """It would start, and fail only when the audit's budget is used up: its scripts know no ``allow-oom``."""
    async with connected() as connection:

        async def answer(_section: str) -> dict[str, str]:
            return {"redis_version": version, "role": "master"}

        connection.redis.info = answer  # type: ignore[method-assign, assignment]
        with pytest.raises(SetupRefused, match=r"^(Redis [0-9.]+|this server) is too old; authsvc needs Redis 7\.0"):
            await check_server(connection)


async def test_no_server_is_unavailable() -> None:
    """No answer is not a refusal: it may come."""
    connection = Connection(Secret("unix:///nonexistent/redis.sock"))

    with pytest.raises(StoreUnavailable):
        await check_server(connection)
    await connection.close()


@pytest.mark.parametrize("url", ["", "localhost:6379", "http://localhost", "redis://host:notaport"])
def test_a_url_of_another_form_is_one_sentence(url: str) -> None:
    """A misspelt URL is found at start, and the sentence does not repeat a password in it."""
    with pytest.raises(SetupRefused, match="AUTHSVC_REDIS_URL must look like"):
        Connection(Secret(url))
