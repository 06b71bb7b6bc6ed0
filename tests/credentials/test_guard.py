"""The guard: a guesser is slowed down, and who knows the password gets in."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest
from attrs import define

from authsvc.credentials.guard import PasswordGuard
from authsvc.credentials.origin import Origin
from authsvc.credentials.verifier import PasswordRecord, PasswordVerifier
from authsvc.errors import Throttled
from authsvc.redaction import Secret
from authsvc.throttle import PAIR
from tests.support.memory_throttle import MemoryThrottle

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
RIGHT = Secret("the right password")
RECORD = PasswordRecord("member1", 1, Secret("the right password"))
EMAIL = "me@acme.test"
HOME, ATTACKER = Origin("192.0.2.1"), Origin("203.0.113.9")

Attempt = Callable[[Secret, Origin, datetime], "asyncio.Future[bool]"]


@define
class Hashes:
    """Counts how often a password was looked at."""

    looked_at: int = 0

    def verify(self, password: Secret, password_hash: Secret) -> bool:
        """Compare plainly: the hash is not under test here."""
        self.looked_at += 1
        return password == password_hash


@asynccontextmanager
async def guarded() -> AsyncIterator[tuple[PasswordGuard, MemoryThrottle, Hashes]]:
    """Yield a guard over an empty throttle."""
    throttle, hashes = MemoryThrottle(), Hashes()
    with ThreadPoolExecutor(2) as executor:
        verifier = PasswordVerifier(executor, b"k" * 32, verify=hashes.verify)
        yield PasswordGuard(verifier, throttle, throttle.note), throttle, hashes


def wrong() -> Iterator[Secret]:
    """Yield wrong passwords, each another one."""
    yield from (Secret(f"wrong password {n}") for n in range(10**6))


async def outcomes(guard: PasswordGuard, origin: Origin, times: int, now: datetime = NOW) -> Counter[str]:
    """Return how ``times`` wrong guesses, one after the other, ended."""
    ended: Counter[str] = Counter()
    for guess, _ in zip(wrong(), range(times), strict=False):
        try:
            ended["right" if await guard.verify(RECORD, EMAIL, guess, origin, now) else "wrong"] += 1
        except Throttled:
            ended["throttled"] += 1
    return ended


async def test_a_guesser_is_told_to_wait_after_the_burst() -> None:
    """Ten wrong passwords for one account from one address are free; then each is one too many."""
    async with guarded() as (guard, _, _):
        assert await outcomes(guard, ATTACKER, 30) == {"wrong": PAIR.burst, "throttled": 20}


async def test_the_right_password_gets_in_however_many_others_were_wrong() -> None:
    """An attacker from anywhere, even from my own address, can not lock me out."""
    async with guarded() as (guard, _, _):
        await outcomes(guard, ATTACKER, 300)
        await outcomes(guard, HOME, 300)

        assert await guard.verify(RECORD, EMAIL, RIGHT, HOME, NOW)
        assert await guard.verify(RECORD, EMAIL, RIGHT, Origin("198.51.100.4"), NOW)


async def test_where_i_have_signed_in_i_am_in_the_usual_lane_while_my_account_is_attacked() -> None:
    """Ten thousand guesses from many machines do not even slow a typing error of mine down."""
    async with guarded() as (guard, _, _):
        assert await guard.verify(RECORD, EMAIL, RIGHT, HOME, NOW)
        for machine in range(100):
            await outcomes(guard, Origin(f"203.0.113.{machine}"), 3)
        later = NOW + timedelta(minutes=2)  # beyond what is remembered

        assert await outcomes(guard, HOME, 1, later) == {"wrong": 1}
        assert await outcomes(guard, Origin("198.51.100.4"), 1, later) == {"throttled": 1}


async def test_a_right_password_forgives_my_own_typing_errors() -> None:
    """Nine errors, the right one, nine errors more: none is one too many."""
    async with guarded() as (guard, _, _):
        first = await outcomes(guard, HOME, 9)
        await guard.verify(RECORD, EMAIL, RIGHT, HOME, NOW)

        assert first + await outcomes(guard, HOME, 9) == {"wrong": 18}


async def test_somebody_elses_failures_at_my_address_do_not_throttle_me() -> None:
    """Behind one NAT address, wrong passwords for other accounts leave my right one alone."""
    async with guarded() as (guard, _, _):
        for n in range(150):
            other = f"other{n}@acme.test"
            try:
                await guard.verify(None, other, Secret("wrong"), HOME, NOW)
            except Throttled:
                continue

        assert await guard.verify(RECORD, EMAIL, RIGHT, HOME, NOW)


async def test_an_attack_costs_a_bounded_number_of_hashes_at_once() -> None:
    """Over the limit, few guesses wait for a hash; the rest are turned away without one."""
    async with guarded() as (guard, _, hashes):
        await outcomes(guard, ATTACKER, PAIR.burst)
        before = hashes.looked_at
        results = await asyncio.gather(
            *(guard.verify(RECORD, EMAIL, guess, ATTACKER, NOW) for guess, _ in zip(wrong(), range(500), strict=False)),
            return_exceptions=True,
        )

    assert all(isinstance(result, Throttled) for result in results)
    assert hashes.looked_at - before <= 8


@pytest.mark.parametrize("record", [RECORD, None])
async def test_known_and_unknown_accounts_cost_and_say_the_same(record: PasswordRecord | None) -> None:
    """Each wrong password is hashed once, and throttled after as many, whether the account exists or not."""
    async with guarded() as (guard, _, hashes):
        ended: Counter[str] = Counter()
        for guess, _ in zip(wrong(), range(20), strict=False):
            try:
                ended[str(await guard.verify(record, EMAIL, guess, ATTACKER, NOW))] += 1
            except Throttled as error:
                ended[str(error)[:30]] += 1

    assert ended == {"False": 10, "too many wrong sign-ins; check": 10}
    assert hashes.looked_at == 20
