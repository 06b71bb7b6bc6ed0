"""The throttle's state in a real Redis, held against its arithmetic."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random

import pytest

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.store.throttle import RedisThrottle, password_buckets, tats_of
from authsvc.throttle import (
    ACCOUNT,
    KNOWN_LIFE,
    MACHINE,
    MACHINE_NETWORK,
    MAX_KNOWN,
    MAX_WRONG,
    NETWORK,
    PAIR,
    WRONG_LIFE,
    Admission,
    Attempt,
    TATs,
    spend,
    wait,
)
from tests.support.memory_throttle import MemoryThrottle
from tests.support.redis_server import connected

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
EMAIL, HOME = "me@acme.test", "192.0.2.7"


def guess(number: int, network: str = HOME, *, exempts: bool = True) -> Attempt:
    """Return one of many guesses at one account."""
    return Attempt(EMAIL, "member1", network, f"guess-{number}", exempts)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Return a connection to an empty Redis."""
    async with connected() as made:
        yield made


async def look(connection: Connection, email: str, network: str) -> TATs:
    """Return the state of the buckets of an account and network."""
    return tats_of(await connection.get_all(*password_buckets(email, network)))


@pytest.mark.parametrize("seed", range(3))
async def test_the_scripts_do_what_the_core_says(connection: Connection, seed: int) -> None:
    """In a random history of guesses by several people, Redis answers as the arithmetic of the core does."""
    real, expected, random, now = RedisThrottle(connection), MemoryThrottle(), Random(seed), NOW
    for _ in range(400):
        now += timedelta(seconds=random.choice([0, 0, 0, 0, 1, 20, 31, 700]), milliseconds=1)
        attempt = Attempt(
            random.choice(["me@acme.test", "you@acme.test"]),
            random.choice(["member1", None]),
            f"192.0.2.{random.randrange(3)}",
            f"guess-{random.randrange(40)}",
            random.random() < 0.9,
        )
        admission = await real.admit(attempt, now)
        wanted = await expected.admit(attempt, now)
        assert (admission.repeated, admission.known) == (wanted.repeated, wanted.known)
        assert admission.wait == pytest.approx(wanted.wait, abs=0.01)
        if admission.admitted:
            became = random.choices(["wrong", "right", "unevaluated"], [8, 1, 1])[0]
            for throttle in (real, expected):
                await getattr(throttle, became)(attempt, wanted, now)
        states = await look(connection, attempt.email, attempt.network)
        for limit, tat in (await expected.look(attempt.email, attempt.network)).items():
            found = states[limit]
            assert (found or 0) == pytest.approx(tat or 0, abs=0.01) or (found or 0) <= now.timestamp() >= (tat or 0)


async def test_counting_machines_does_the_arithmetic_of_the_core(connection: Connection) -> None:
    """Unknown machine secrets are always counted; the answer says how far over the limit it was before."""
    throttle = RedisThrottle(connection)
    tats: dict[object, float | None] = {MACHINE: None, MACHINE_NETWORK: None}
    for step in range(40):
        now = NOW + timedelta(seconds=7 * (step // 10))
        over = max(wait(tats[limit], limit, now.timestamp()) for limit in (MACHINE, MACHINE_NETWORK))
        tats = {limit: spend(tats[limit], limit, now.timestamp()) for limit in (MACHINE, MACHINE_NETWORK)}

        assert await throttle.count_machine("c1", HOME, "PUT", now) == pytest.approx(over, abs=0.01)


async def test_a_post_and_a_get_with_one_machine_secret_count_once(connection: Connection) -> None:
    """Containerd tries both forms: that is one; two pairs are two, and two GETs are two."""
    throttle = RedisThrottle(connection)
    waits = []
    for _ in range(4):  # three each
        waits += [
            await throttle.count_machine("c1", HOME, method, NOW) for method in ("POST", "GET", "POST", "GET", "GET")
        ]

    assert [over > 0 for over in waits] == [False] * 16 + [True] * 4


async def test_workers_that_race_admit_no_more_than_the_burst(connection: Connection) -> None:
    """Guesses that come to several workers at the same moment are counted one after the other."""
    throttles = [RedisThrottle(connection) for _ in range(4)]
    claims = await asyncio.gather(*(throttles[n % 4].admit(guess(n), NOW) for n in range(32)))

    assert sum(admission.admitted for admission in claims) == PAIR.burst


async def test_one_wrong_password_on_two_workers_is_one_guess(connection: Connection) -> None:
    """Both take a place before they know; when both have found it wrong, one place is given back."""
    throttle = RedisThrottle(connection)
    claims = [await throttle.admit(guess(1), NOW) for _ in range(3)]
    for admission in claims:
        await throttle.wrong(guess(1), admission, NOW)
    states = await look(connection, EMAIL, HOME)

    for limit in (PAIR, NETWORK, ACCOUNT):
        assert states[limit] == pytest.approx(NOW.timestamp() + limit.interval.total_seconds())
    assert (await throttle.admit(guess(1), NOW)).repeated


async def test_a_success_starts_only_its_pair_over(connection: Connection) -> None:
    """The errors of this account from this network are forgotten; those of others, and of other networks, are not."""
    throttle = RedisThrottle(connection)
    for number, network in ((1, HOME), (2, HOME), (3, "203.0.113.9")):
        await throttle.wrong(guess(number, network), await throttle.admit(guess(number, network), NOW), NOW)
    await throttle.right(guess(4), await throttle.admit(guess(4), NOW), NOW)
    here, there = await look(connection, EMAIL, HOME), await look(connection, EMAIL, "203.0.113.9")

    assert here[PAIR] is None
    assert there[PAIR] is not None
    assert here[NETWORK] == pytest.approx(NOW.timestamp() + 2 * NETWORK.interval.total_seconds())
    assert here[ACCOUNT] == pytest.approx(NOW.timestamp() + 3 * ACCOUNT.interval.total_seconds())


async def test_a_known_network_is_exempt_from_the_accounts_limit(connection: Connection) -> None:
    """It is neither limited nor counted there, for 90 days after the last sign-in."""
    throttle = RedisThrottle(connection)
    await throttle.right(guess(0), await throttle.admit(guess(0), NOW), NOW)
    for number in range(ACCOUNT.burst + 5):
        await throttle.admit(guess(number, f"203.0.113.{number}"), NOW)

    assert await throttle.admit(guess(1), NOW) == Admission(known=True)
    assert (await throttle.admit(guess(1, "198.51.100.1"), NOW)).wait > 0
    assert (await throttle.admit(guess(2, exempts=False), NOW)).wait > 0
    for after, known in ((KNOWN_LIFE - timedelta(seconds=1), True), (KNOWN_LIFE, False)):
        assert (await throttle.admit(guess(3), NOW + after)).known == known


@pytest.mark.parametrize(("account_id", "exempts"), [(None, True), ("member1", False)])
async def test_what_is_never_known(connection: Connection, account_id: str | None, exempts: bool) -> None:
    """An address without an account knows no network, and one that may be a proxy's is known to nobody."""
    throttle = RedisThrottle(connection)
    attempt = Attempt(EMAIL, account_id, HOME, "guess", exempts)
    await throttle.right(attempt, await throttle.admit(attempt, NOW), NOW)

    assert not (await throttle.admit(attempt, NOW)).known
    assert await connection.redis.keys(keys.known_networks("*")) == []


async def test_the_memories_are_bounded(connection: Connection) -> None:
    """The newest 32 networks and the newest 16 wrong passwords, and each as long as the design says."""
    throttle = RedisThrottle(connection)
    for number in range(MAX_KNOWN + 1):
        at, attempt = NOW + timedelta(minutes=number), guess(0, f"192.0.2.{number}")
        await throttle.right(attempt, await throttle.admit(attempt, at), at)
    at = NOW + timedelta(hours=1)
    known = [(await throttle.admit(guess(9, f"192.0.2.{number}"), at)).known for number in range(MAX_KNOWN + 1)]
    for number in range(MAX_WRONG + 1):
        at = NOW + timedelta(hours=2, minutes=number)
        await throttle.wrong(guess(number, "198.51.100.1"), Admission(), at)
    at = NOW + timedelta(hours=2, minutes=30)
    repeated = [(await throttle.admit(guess(n, "198.51.100.1"), at)).repeated for n in range(MAX_WRONG + 1)]

    assert known == [False] + [True] * MAX_KNOWN
    assert repeated == [False] + [True] * MAX_WRONG
    later = NOW + timedelta(hours=2, minutes=1) + WRONG_LIFE
    assert not (await throttle.admit(guess(1, "198.51.100.1"), later)).repeated


async def test_everything_ends_by_itself_and_names_nobody(connection: Connection) -> None:
    """Every key has an end, and no address, account or password stands in a key or value."""
    throttle = RedisThrottle(connection)
    for attempt, became in ((guess(1), throttle.wrong), (guess(2), throttle.right), (guess(3), throttle.unevaluated)):
        await became(attempt, await throttle.admit(attempt, NOW), NOW)
    await throttle.admit(guess(4), NOW)
    await throttle.count_machine("c000000000000001", HOME, "POST", NOW)
    names = [name.decode() async for name in connection.redis.scan_iter(match=f"{keys.PREFIX}*")]
    lives = await asyncio.gather(*(connection.redis.ttl(name) for name in names))
    inside = [await connection.redis.zrange(name, 0, -1) for name in names if "wrong" in name or "known" in name]

    assert len(names) == 8
    assert all(0 < life <= KNOWN_LIFE.total_seconds() for life in lives)
    assert not any("acme" in name or "192" in name for name in names)
    assert {1} == {len(entries) for entries in inside}
    assert not any(b"192" in entry for entries in inside for entry in entries)
