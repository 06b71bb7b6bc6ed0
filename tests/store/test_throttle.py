"""The throttle's state in a real Redis, held against its arithmetic."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from authsvc.store import keys
from authsvc.store.throttle import RedisThrottle
from authsvc.throttle import ACCOUNT, ADDRESS, PAIR, Buckets, Limit, spend, wait
from tests.support.redis_server import connected

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
BUCKETS = Buckets("member1", "192.0.2.7")


async def test_the_script_does_the_arithmetic_of_the_core() -> None:
    """Counting in Redis gives the states and waits that throttle.spend and throttle.wait give."""
    async with connected() as connection:
        throttle = RedisThrottle(connection)
        expected: dict[Limit, float | None] = {PAIR: None, ADDRESS: None, ACCOUNT: None}
        for step in range(40):
            now = NOW + timedelta(seconds=7 * (step // 10))
            over = max(wait(tat, limit, now.timestamp()) for limit, tat in expected.items())
            expected = {limit: spend(tat, limit, now.timestamp()) for limit, tat in expected.items()}

            assert await throttle.count(BUCKETS, "PUT", now) == pytest.approx(over, abs=0.01)
            states, _ = await throttle.look(BUCKETS, "nobody")
            assert states == pytest.approx(expected, abs=0.01)


async def test_a_post_and_a_get_with_one_password_count_once() -> None:
    """Containerd tries both forms: that is one failure; two pairs are two, and two GETs are two."""
    async with connected() as connection:
        throttle = RedisThrottle(connection)
        for method in ("POST", "GET", "POST", "GET", "GET"):
            await throttle.count(BUCKETS, method, NOW)
        states, _ = await throttle.look(BUCKETS, "nobody")

    assert states[PAIR] == pytest.approx(NOW.timestamp() + 3 * PAIR.interval.total_seconds())


async def test_forgiving_clears_only_this_account_from_this_address() -> None:
    """A right password forgives its own typing errors, not the attack of others."""
    async with connected() as connection:
        throttle = RedisThrottle(connection)
        await throttle.count(BUCKETS, "GET", NOW)
        await throttle.forgive(BUCKETS)
        states, _ = await throttle.look(BUCKETS, "nobody")

    assert states[PAIR] is None
    assert states[ACCOUNT] is not None
    assert states[ADDRESS] is not None


async def test_buckets_end_by_themselves_and_name_nobody() -> None:
    """Every bucket has an end, and no address or account stands in a key."""
    async with connected() as connection:
        await RedisThrottle(connection).count(Buckets("?me@acme.test", "192.0.2.7"), "POST", NOW)
        names = [name.decode() async for name in connection.redis.scan_iter(match=f"{keys.PREFIX}throttle:*")]
        lives = await asyncio.gather(*(connection.redis.ttl(name) for name in names))

    assert len(names) == 4
    assert all(0 < life <= 24 * 3600 for life in lives)
    assert not any("acme" in name or "192" in name for name in names)
