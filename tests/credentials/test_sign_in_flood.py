"""A flood of failed sign-ins from new addresses: what it does to members at home, and to strangers.

Waiting is counted in password checks that go first, so the speed of the machine does not matter.
"""

import asyncio
from collections import Counter
from datetime import datetime, timedelta

import pytest
from attrs import define, field

from authsvc.client import Client
from authsvc.credentials.password_cache import PasswordCache
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.credentials.verifier import MAX_WAITING, Lane, PasswordRecord, PasswordVerifier
from authsvc.errors import Overloaded, Throttled
from authsvc.redaction import Secret
from authsvc.throttle import ACCOUNT
from tests.support.builders import NOW, check_plainly, plain_hash
from tests.support.held_executor import HeldExecutor, settle
from tests.support.memory_throttle import MemoryThrottle

THREADS = 2
PER_SECOND = 25
"""Failed sign-ins a second, each from another new address (found.md S4)."""


@define
class SlowHouse:
    """A guard on a machine that checks as many passwords as the test says."""

    held: HeldExecutor = field(factory=HeldExecutor)
    throttle: MemoryThrottle = field(factory=MemoryThrottle)
    verifier_type: type[PasswordVerifier] = PasswordVerifier
    guard: ThrottledPasswords = field(init=False)
    now: datetime = NOW
    strangers: int = 0

    def __attrs_post_init__(self) -> None:
        """Put the guard together."""
        verifier = self.verifier_type(self.held, THREADS, verify=check_plainly)
        self.guard = ThrottledPasswords(verifier, PasswordCache(b"k" * 32), self.throttle, b"g" * 32)

    def ask(self, name: str, password: str, network: str, *, unknown: bool = False) -> "asyncio.Task[str]":
        """Sign in in the background."""
        record = None if unknown else PasswordRecord(name, 1, plain_hash(password_of(name)))
        return asyncio.create_task(self._ask(record, name, Secret(password), Client(network=network)))

    async def _ask(self, record: PasswordRecord | None, name: str, password: Secret, client: Client) -> str:
        email = f"{name}@acme.test"
        try:
            tats = await self.throttle.look(email, client.network)
            right = await self.guard.verify(record, email, password, client, tats, self.now)
        except Throttled:
            return "throttled"
        except Overloaded:
            return "overloaded"
        return "right" if right else "wrong"

    def flood(self, times: int, name: str | None = None) -> "list[asyncio.Task[str]]":
        """Guess from so many new addresses, at one account or at one that does not exist each."""
        first, self.strangers = self.strangers, self.strangers + times
        return [
            self.ask(name or f"nobody{n}", f"guess number {n}", f"203.0.{n // 256}.{n % 256}", unknown=name is None)
            for n in range(first, self.strangers)
        ]

    async def everybody_has_signed_in_before(self, names: list[str]) -> None:
        """Let each member be known at home, longer ago than a success is remembered."""
        for number, name in enumerate(names):
            asked = self.ask(name, password_of(name).reveal(), home(number))
            await self.held.let_go()
            assert await asked == "right"
        self.now += timedelta(minutes=2)
        self.held.asked.clear()


def password_of(name: str) -> Secret:
    """Return a member's password."""
    return Secret(f"the password of {name}")


def home(number: int) -> str:
    """Return the network of a member."""
    return f"192.0.2.{number}"


class OneQueue(PasswordVerifier):
    """Lets members queue among guessers (the verifier of 2026-11-24)."""

    async def verify(self, guess: str, record: PasswordRecord | None, password: Secret, lane: Lane) -> bool:
        """Wait with everybody."""
        del lane
        return await super().verify(guess, record, password, Lane.NEW)


async def members_wait_for_the_running_checks_only(house: SlowHouse) -> None:
    """For ten seconds the machine checks fewer passwords than come; no member is refused or waits behind a guess."""
    names = [f"member{number}" for number in range(20)]
    await house.everybody_has_signed_in_before(names)
    guesses: list[asyncio.Task[str]] = []
    for second in range(10):
        guesses += house.flood(PER_SECOND)
        await settle()
        before = len(house.held.asked)
        mine = names[2 * second : 2 * second + 2]
        asked = [house.ask(name, password_of(name).reveal(), home(2 * second + n)) for n, name in enumerate(mine)]
        await settle()
        await house.held.let_go(15)

        assert [await one for one in asked] == ["right", "right"]
        first, last = (house.held.asked.index(plain_hash(password_of(name))) for name in mine)
        assert (first - before, last - before) == (0, 1)
    await house.held.let_go()
    ended = Counter(await asyncio.gather(*guesses))

    assert ended["overloaded"] > 0
    assert ended["wrong"] + ended["overloaded"] == 10 * PER_SECOND


async def test_members_at_home_wait_for_the_running_checks_only() -> None:
    """They have a lane of their own; with one queue for everybody the property does not hold."""
    await members_wait_for_the_running_checks_only(SlowHouse())
    with pytest.raises(AssertionError):
        await members_wait_for_the_running_checks_only(SlowHouse(verifier_type=OneQueue))


async def test_strangers_queue_behind_members_and_in_their_order() -> None:
    """A member who signs in from a new place waits for the guesses before, and for no later one."""
    house = SlowHouse()
    await house.everybody_has_signed_in_before(["ann", "bob"])
    guesses = house.flood(30)
    await settle()
    travelling = house.ask("ann", password_of("ann").reveal(), "198.51.100.7")
    await settle()
    guesses += house.flood(20)
    at_home = house.ask("bob", password_of("bob").reveal(), home(1))
    await settle()
    await house.held.let_go()

    assert [await travelling, await at_home] == ["right", "right"]
    assert house.held.asked.index(plain_hash(password_of("bob"))) == THREADS
    assert house.held.asked.index(plain_hash(password_of("ann"))) == 30 + 1
    assert {"wrong"} == {await guess for guess in guesses}


async def test_a_flood_at_one_account_takes_no_hash_beyond_its_limit() -> None:
    """After a hundred guesses at an account, more from new addresses are turned away at once and hold nobody up."""
    house = SlowHouse()
    await house.everybody_has_signed_in_before(["ann"])
    ended: Counter[str] = Counter()
    for _ in range(20):
        guesses = house.flood(PER_SECOND, "ann")
        await house.held.let_go()
        ended.update(await asyncio.gather(*guesses))

    assert ended == {"wrong": ACCOUNT.burst, "throttled": 20 * PER_SECOND - ACCOUNT.burst}
    assert len(house.held.asked) == ACCOUNT.burst
    mine = house.ask("ann", password_of("ann").reveal(), home(0))
    await house.held.let_go()
    assert await mine == "right"


async def test_a_full_queue_of_strangers_refuses_strangers_only() -> None:
    """What has no place is told to come again, without a hash; who is at home has a place."""
    house = SlowHouse()
    await house.everybody_has_signed_in_before(["ann"])
    guesses = house.flood(MAX_WAITING + THREADS + 5)
    await settle()
    mine = house.ask("ann", password_of("ann").reveal(), home(0))
    await settle()
    await house.held.let_go()

    assert await mine == "right"
    assert Counter(await asyncio.gather(*guesses)) == {"wrong": MAX_WAITING + THREADS, "overloaded": 5}
