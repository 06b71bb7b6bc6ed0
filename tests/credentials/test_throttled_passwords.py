"""Passwords behind the throttle: what an attacker can have evaluated, and whom an attack does not reach.

Everything is counted in evaluated passwords (hashes), never in time. Each property must also reject guards that are
wrong in a way that was seen or is likely (:data:`MUTANTS`).
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from datetime import datetime, timedelta

import pytest
from attrs import define, evolve, field

from authsvc.client import Client
from authsvc.credentials import throttled_passwords as module
from authsvc.credentials.password import MAX_BYTES
from authsvc.credentials.password_cache import PasswordCache
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.credentials.verifier import PasswordRecord, PasswordVerifier
from authsvc.errors import Overloaded, Throttled
from authsvc.redaction import Secret
from authsvc.throttle import ACCOUNT, NETWORK, PAIR, WRONG_LIFE, Admission, Attempt, TATs
from tests.support.builders import NOW, PASSWORD, check_plainly, plain_hash
from tests.support.inline_executor import InlineExecutor
from tests.support.memory_throttle import MemoryThrottle

RECORD = PasswordRecord("m1", 1, plain_hash(PASSWORD))
EMAIL = "me@acme.test"
HOME, ATTACKER = Client(network="192.0.2.1"), Client(network="203.0.113.9")
CONNECTIONS = 16


def guesses(times: int, what: str = "guess") -> Iterator[Secret]:
    """Yield wrong passwords, each another one."""
    yield from (Secret(f"{what} number {number}") for number in range(times))


def out_of_memory(_password: Secret, _password_hash: Secret) -> bool:
    """Fail as a hash does that gets no memory."""
    raise MemoryError


@define
class House:
    """A guard with everything around it, and what was evaluated.

    Attributes:
        throttle: counts.
        hashes: how many passwords were hashed.
        unclear: networks that were reported as possibly a proxy's.
    """

    throttle: MemoryThrottle = field(factory=MemoryThrottle)
    guard_type: "type[ThrottledPasswords]" = ThrottledPasswords
    cache_type: type[PasswordCache] = PasswordCache
    record: PasswordRecord | None = RECORD
    now: datetime = NOW
    hashes: int = 0
    unclear: list[str] = field(factory=list)
    max_waiting: int = 64
    guard: ThrottledPasswords = field(init=False)

    def __attrs_post_init__(self) -> None:
        """Put the guard together."""
        verifier = PasswordVerifier(InlineExecutor(), 1, verify=self._check, max_waiting=self.max_waiting)
        cache, report = self.cache_type(b"k" * 32), self.unclear.append
        self.guard = self.guard_type(verifier, cache, self.throttle, b"g" * 32, on_unclear=report)

    def _check(self, password: Secret, password_hash: Secret) -> bool:
        self.hashes += 1
        return check_plainly(password, password_hash)

    async def tries(self, password: Secret, client: Client = ATTACKER, email: str = EMAIL) -> str:
        """Try a password as a token request does, and return what becomes of it."""
        record = self.record if email == EMAIL else None
        tats = await self.throttle.look(email, client.network)
        try:
            right = await self.guard.verify(record, email, password, client, tats, self.now)
        except Throttled:
            return "throttled"
        except Overloaded:
            return "overloaded"
        return "right" if right else "wrong"

    async def attack(self, passwords: Iterator[Secret], client: Client = ATTACKER) -> Counter[str]:
        """Try all of them over several connections, and never wait when told to."""
        ended: Counter[str] = Counter()

        async def connection() -> None:
            for password in passwords:  # the connections share one list
                ended[await self.tries(password, client)] += 1

        await asyncio.gather(*(connection() for _ in range(CONNECTIONS)))
        return ended


Property = Callable[[House], Awaitable[None]]


async def dictionary_attack(house: House) -> None:
    """The right password as guess 151 of a dictionary is not evaluated: ten guesses are, and that is all."""
    words = [*guesses(150), PASSWORD, *guesses(49, "later guess")]

    assert await house.attack(iter(words)) == {"wrong": PAIR.burst, "throttled": 190}
    assert house.hashes == PAIR.burst


async def attack_on_a_member_who_is_signed_in(house: House) -> None:
    """The member gets in at home all the time; 200 wrong guesses from elsewhere, and the right one, get nothing."""
    seen = Counter([await house.tries(PASSWORD, HOME)])
    for _ in range(4):
        await house.attack(guesses(50, f"guess at {house.now}"))
        house.now += timedelta(seconds=20)
        seen[await house.tries(PASSWORD, HOME)] += 1

    assert await house.tries(PASSWORD) == "throttled"
    assert seen == {"right": 5}


async def attack_from_many_networks(house: House) -> None:
    """A hundred guesses at one account from anywhere, then the right one too is turned away, but not at home."""
    assert await house.tries(PASSWORD, HOME) == "right"
    before = house.hashes
    for number in range(60):
        await house.attack(guesses(5, f"guess of {number}"), Client(network=f"203.0.113.{number}"))
    house.now += timedelta(seconds=59)  # the cached success ends a moment later

    assert house.hashes - before == ACCOUNT.burst
    assert await house.tries(PASSWORD, Client(network="198.51.100.4")) == "throttled"
    assert await house.tries(PASSWORD, HOME) == "right"
    house.now += timedelta(days=1)
    for number in range(60):
        await house.attack(guesses(5, f"guess of tomorrow {number}"), Client(network=f"203.0.113.{number}"))
    assert await house.tries(PASSWORD, HOME) == "right"


async def attack_behind_the_members_own_address(house: House) -> None:
    """Above the limit of account and network not even a success of a moment ago is looked at."""
    assert await house.tries(PASSWORD, HOME) == "right"
    before = house.hashes

    assert await house.attack(guesses(200), HOME) == {"wrong": PAIR.burst, "throttled": 190}
    assert await house.tries(PASSWORD, HOME) == "throttled"
    assert house.hashes - before == PAIR.burst


async def guesses_at_once(house: House) -> None:
    """However many come at the same moment, no more than the burst is evaluated; here the right one comes too late."""
    answers = await asyncio.gather(*(house.tries(guess) for guess in [*guesses(60), PASSWORD]))

    assert Counter(answers) == {"wrong": PAIR.burst, "throttled": 51}
    assert house.hashes == PAIR.burst


async def guesses_at_once_behind_the_members_own_address(house: House) -> None:
    """A success of a moment ago is no way past the limit for guesses that come at the same moment."""
    assert await house.tries(PASSWORD, HOME) == "right"
    answers = await asyncio.gather(*(house.tries(guess, HOME) for guess in [*guesses(60), PASSWORD]))

    assert answers[-1] == "throttled"


async def a_success_elsewhere(house: House) -> None:
    """A success is remembered for the network that it came from; from another one the password is hashed again."""
    assert await house.tries(PASSWORD, HOME) == "right"
    assert await house.tries(PASSWORD, HOME) == "right"
    assert house.hashes == 1
    assert await house.tries(PASSWORD, ATTACKER) == "right"
    assert house.hashes == 2


async def signing_in_at_home_frees_no_guess(house: House) -> None:
    """A member who signs in again and again gives an attacker elsewhere nothing."""
    homes = [Client(network=f"192.0.2.{number}") for number in range(10)]
    assert {await house.tries(PASSWORD, home) for home in homes} == {"right"}
    house.now += timedelta(seconds=61)
    for number in range(25):
        await house.attack(guesses(4, f"guess of {number}"), Client(network=f"203.0.113.{number}"))
    assert {await house.tries(PASSWORD, home) for home in homes} == {"right"}
    before = house.hashes

    assert await house.attack(guesses(20, "one more"), Client(network="198.51.100.4")) == {"throttled": 20}
    assert house.hashes == before


async def an_outdated_client(house: House) -> None:
    """A client that sends the old password for ever is one guess an hour, and locks nobody out."""
    for _ in range(100):
        assert await house.attack(iter([Secret("my old password")] * 32), HOME) == {"wrong": 32}
        assert await house.tries(PASSWORD, HOME) == "right"
        house.now += timedelta(seconds=20)
    wrong = house.hashes - 34  # one for each minute of the right one

    assert wrong == 1


async def attack_on_one_account_after_another(house: House) -> None:
    """A network that tries many accounts has a hundred guesses, and then not even an account of its own."""
    answers = Counter([await house.tries(guess, ATTACKER, f"m{n}@acme.test") for n, guess in enumerate(guesses(150))])

    assert answers == {"wrong": NETWORK.burst, "throttled": 50}
    assert await house.tries(PASSWORD) == "throttled"
    assert await house.tries(PASSWORD, HOME) == "right"


PROPERTIES: list[Property] = [
    dictionary_attack,
    attack_on_a_member_who_is_signed_in,
    attack_from_many_networks,
    attack_behind_the_members_own_address,
    guesses_at_once,
    guesses_at_once_behind_the_members_own_address,
    a_success_elsewhere,
    signing_in_at_home_frees_no_guess,
    an_outdated_client,
    attack_on_one_account_after_another,
]


def holds(property_: Property, house: House) -> None:
    """Check a property in a house; raises AssertionError."""

    async def check() -> None:
        await property_(house)

    asyncio.run(check())


@pytest.mark.parametrize("property_", PROPERTIES)
def test_properties(property_: Property) -> None:
    """What the throttle promises holds."""
    holds(property_, House())


class CacheBeforeLimit(ThrottledPasswords):
    """Asks for a cached success before it asks for the limit (found.md: the guard of 2026-11-24)."""

    def _is_quiet(self, attempt: Attempt, tats: TATs, now: datetime) -> bool:
        del attempt, tats, now
        return True


class RaceForgotten(ThrottledPasswords):
    """Forgets that other guesses may be under way."""

    def _is_quiet(self, attempt: Attempt, tats: TATs, now: datetime) -> bool:
        under_way, self._evaluating = self._evaluating, Counter()
        try:
            return super()._is_quiet(attempt, tats, now)
        finally:
            self._evaluating = under_way


class NetworkForgotten(PasswordCache):
    """Remembers a success whatever network it came from."""

    def _entry(self, guess: str, network: str) -> bytes:
        del network
        return super()._entry(guess, "")


class AnswerOnly(MemoryThrottle):
    """Admits every attempt, so that the limit can only change the answer."""

    async def admit(self, attempt: Attempt, now: datetime) -> Admission:
        """Count and admit."""
        return evolve(await super().admit(attempt, now), wait=0.0)


class CountedAfterwards(MemoryThrottle):
    """Looks at the buckets first and counts when the password has been evaluated."""

    async def admit(self, attempt: Attempt, now: datetime) -> Admission:
        """Look, and take no place."""
        admission = await super().admit(attempt, now)
        if admission.admitted:
            await super().unevaluated(attempt, admission, now)
        return admission

    async def wrong(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Count."""
        await super().admit(attempt, now)
        await super().wrong(attempt, admission, now)

    async def right(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Count nothing."""
        await super().admit(attempt, now)
        await super().right(attempt, admission, now)


class NothingRepeats(MemoryThrottle):
    """Takes the same wrong password for a new guess every time."""

    async def admit(self, attempt: Attempt, now: datetime) -> Admission:
        """Forget what was tried."""
        self.tried.clear()
        return await super().admit(attempt, now)


class NobodyIsKnown(MemoryThrottle):
    """Knows no network, so an attack from elsewhere locks the member out at home."""

    async def admit(self, attempt: Attempt, now: datetime) -> Admission:
        """Forget all networks."""
        self.networks.clear()
        return await super().admit(attempt, now)


class GivesBackTooMuch(MemoryThrottle):
    """Gives a place back that was never taken: every success at home lets one more guess through."""

    async def right(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Give back a place in the account's bucket too."""
        await super().right(attempt, evolve(admission, known=False), now)


MUTANTS: dict[str, Callable[[], House]] = {
    "a cached success is asked before the limit": lambda: House(guard_type=CacheBeforeLimit),
    "guesses under way are forgotten": lambda: House(guard_type=RaceForgotten),
    "the network is not in the cache's key": lambda: House(cache_type=NetworkForgotten),
    "the limit only changes the answer": lambda: House(throttle=AnswerOnly()),
    "a guess is counted after it was evaluated": lambda: House(throttle=CountedAfterwards()),
    "a repetition is a new guess": lambda: House(throttle=NothingRepeats()),
    "no network is known": lambda: House(throttle=NobodyIsKnown()),
    "a success gives back too much": lambda: House(throttle=GivesBackTooMuch()),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_mutants_are_caught(mutant: str) -> None:
    """Each wrong guard breaks a property."""

    def breaks(property_: Property) -> bool:
        try:
            holds(property_, MUTANTS[mutant]())
        except AssertionError:
            return True
        return False

    assert any(map(breaks, PROPERTIES))


@pytest.fixture
def house() -> House:
    """Return a house with the right guard."""
    return House()


async def test_what_a_guesser_is_told(house: House) -> None:
    """How long to wait, in the sentence and for Retry-After; never whether the account exists."""
    tats: TATs = {}
    for record, email in ((RECORD, EMAIL), (None, "nobody@acme.test")):
        for guess in guesses(PAIR.burst):
            assert not await house.guard.verify(record, email, guess, ATTACKER, tats, NOW)
        with pytest.raises(Throttled) as refused:
            await house.guard.verify(record, email, PASSWORD, ATTACKER, tats, NOW)

        expected = "too many wrong passwords for this account or from this network; wait 30 seconds and try again"
        assert (str(refused.value), refused.value.retry_after) == (expected, 30)
        assert email not in (refused.value.detail or "")


async def test_one_more_guess_per_interval(house: House) -> None:
    """After the burst, waiting frees one guess at a time; those that were turned away have cost nothing."""
    await house.attack(guesses(200))
    for minute in range(1, 4):
        house.now = NOW + PAIR.interval * minute
        assert await house.attack(guesses(20, f"guess in minute {minute}")) == {"wrong": 1, "throttled": 19}


async def test_a_right_password_starts_its_pair_over(house: House) -> None:
    """Nine errors, the right one, nine errors more: none is one too many; nobody else's are forgiven."""
    other = Client(network="198.51.100.4")
    await house.attack(guesses(9, "from another place"), other)
    first = await house.attack(guesses(9), HOME)
    assert await house.tries(PASSWORD, HOME) == "right"

    assert first + await house.attack(guesses(9, "new error"), HOME) == {"wrong": 18}
    assert await house.attack(guesses(9, "more from there"), other) == {"wrong": 1, "throttled": 8}


async def test_an_unknown_account_is_like_a_known_one(house: House) -> None:
    """As many hashes, the same answers, repetitions too."""
    facts = []
    for record in (RECORD, None):
        house.record = record
        house.throttle.tats.clear()
        house.throttle.tried.clear()
        before = house.hashes
        answers = [await house.tries(guess) for guess in [*guesses(20), *guesses(5)]]
        facts.append((answers, house.hashes - before))

    assert facts[0] == facts[1]
    assert facts[0] == (["wrong"] * 10 + ["throttled"] * 10 + ["wrong"] * 5, 10)


async def test_a_wrong_password_may_become_the_right_one(house: House) -> None:
    """What was wrong is recognised at that epoch and hash only: after a change it is evaluated again."""
    new = Secret("my next password")
    assert await house.tries(new, HOME) == "wrong"
    house.record = PasswordRecord("m1", 2, plain_hash(new))

    assert await house.tries(new, HOME) == "right"


async def test_a_repetition_is_recognised_for_an_hour(house: House) -> None:
    """Then it is one more guess."""
    assert await house.tries(PASSWORD, ATTACKER, "nobody@acme.test") == "wrong"
    for seconds, hashes in ((1, 1), (WRONG_LIFE.total_seconds() - 1, 1), (WRONG_LIFE.total_seconds(), 2)):
        house.now = NOW + timedelta(seconds=seconds)
        await house.tries(PASSWORD, ATTACKER, "nobody@acme.test")
        assert house.hashes == hashes


async def test_what_is_not_evaluated_is_not_counted() -> None:
    """A guess that finds the queue full is told to come again, and has lost nothing."""
    house = House(max_waiting=2)
    answers = Counter(await asyncio.gather(*(house.tries(guess) for guess in guesses(10))))
    states = await house.throttle.look(EMAIL, ATTACKER.network)

    counted = states[PAIR]
    assert counted is not None
    assert (counted - NOW.timestamp()) / PAIR.interval.total_seconds() == answers["wrong"]
    assert answers == {"wrong": 3, "overloaded": 7}


async def test_a_check_that_fails_is_not_counted(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine without the memory for a hash locks nobody out: nothing was learned of the password."""
    monkeypatch.setattr(house.guard._verifier, "_verify", out_of_memory)
    for _ in range(PAIR.burst + 5):
        with pytest.raises(MemoryError):
            await house.tries(PASSWORD)

    assert {} == {bucket: tat for bucket, tat in house.throttle.tats.items() if tat is not None}


async def test_who_hangs_up_is_counted(house: House) -> None:
    """A client that does not wait for the answer has made its guess all the same."""
    for guess in guesses(30):
        asked = asyncio.create_task(house.tries(guess))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        asked.cancel()
        await asyncio.gather(asked, return_exceptions=True)
    while house.guard._in_flight._questions:
        await asyncio.sleep(0)

    assert house.hashes <= PAIR.burst
    assert await house.tries(PASSWORD) == "throttled"


async def test_the_same_request_many_times_is_one_guess(house: House) -> None:
    """Docker asks for several tokens at once with one password: one hash, one count."""
    answers = await asyncio.gather(*(house.tries(Secret("my old password")) for _ in range(50)))

    assert (set(answers), house.hashes) == ({"wrong"}, 1)
    assert await house.attack(guesses(9)) == {"wrong": 9}


async def test_an_address_that_may_be_a_proxys(house: House) -> None:
    """It is reported, and never becomes a network that an account knows: everybody may be behind it."""
    balancer = Client(network="10.0.0.1", owns_address=False)
    assert await house.tries(PASSWORD, balancer) == "right"
    for number in range(30):
        await house.attack(guesses(5, f"guess of {number}"), Client(network=f"203.0.113.{number}"))
    house.now += timedelta(seconds=59)

    assert await house.tries(PASSWORD, balancer) == "throttled"
    assert house.throttle.networks == {}
    assert set(house.unclear) == {"10.0.0.1"}


@pytest.mark.parametrize("record", [RECORD, None])
async def test_endless_passwords(house: House, record: PasswordRecord | None) -> None:
    """A password longer than any account's is wrong before it costs anything, for known and unknown alike."""
    house.record = record

    assert await house.tries(Secret("x" * (MAX_BYTES + 1))) == "wrong"
    assert (house.hashes, house.throttle.tats) == (0, {})
    assert await house.tries(Secret("x" * MAX_BYTES)) == "wrong"
    assert house.hashes == 1


async def test_a_slow_check_is_given_up(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long is told to come again; the work goes on, and its answer is remembered."""
    monkeypatch.setattr(module, "CHECK_DEADLINE", 0.0)
    assert await house.tries(PASSWORD) == "overloaded"
    monkeypatch.undo()
    while house.guard._in_flight._questions:
        await asyncio.sleep(0)

    assert await house.tries(PASSWORD) == "right"
    assert house.hashes == 1
