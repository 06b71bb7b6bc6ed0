"""Whose an address is, on a real Redis: remembered as a guess, believed with proof alone."""

from collections.abc import AsyncIterator

import pytest

from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.facts import MAX_LAST_IDS, RedisCredentialFacts
from authsvc.store.throttle import RedisThrottle
from authsvc.tenancy.records import Member
from authsvc.throttle import ACCOUNT, NETWORK, PAIR, PASSWORD_LIMITS, Attempt, TATs
from tests.support.builders import NOW, make_member
from tests.support.redis_server import connected

EMAIL, HOME = "me@acme.test", "192.0.2.7"
ALICE, BOB = (make_member(member_id=member_id, email=EMAIL) for member_id in ("m000000000000001", "m000000000000002"))


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Return a connection to an empty Redis."""
    async with connected() as opened:
        yield opened


async def put(connection: Connection, member: Member, owner: str | None) -> None:
    """Store a member, and whose the address is."""
    await connection.run(connection.redis.set(keys.member(member.id), Codec().encode(member)))
    if owner is None:
        await connection.run(connection.redis.delete(keys.member_email(EMAIL)))
    else:
        await connection.run(connection.redis.set(keys.member_email(EMAIL), owner))


class Trusting(RedisCredentialFacts):
    """The broken twin: believes that an address is whose it was."""

    async def member_by_email(self, email: str, network: str) -> tuple[Member | None, TATs]:
        """Return who had the address last time."""
        last = self._last_ids.get(email)
        if last is not None:
            return (await self.member_facts(last, ()))[0], {}
        return await super().member_by_email(email, network)


async def moved(facts_reader: RedisCredentialFacts, connection: Connection) -> list[Member | None]:
    """Look an address up while it belongs to Alice, then to Bob, then to nobody, then to Bob again."""
    seen = []
    for member, owner in ((ALICE, ALICE.id), (BOB, BOB.id), (BOB, None), (BOB, BOB.id)):
        await put(connection, member, owner)
        seen += [(await facts_reader.member_by_email(EMAIL, HOME))[0] for _ in range(2)]
    return seen


async def test_an_address_is_whose_it_is_now(connection: Connection) -> None:
    """Whoever had it the last time, twice in a row, also after it belonged to nobody."""
    expected = [ALICE, ALICE, BOB, BOB, None, None, BOB, BOB]
    assert expected == await moved(RedisCredentialFacts(connection, Codec()), connection)
    assert expected != await moved(Trusting(connection, Codec()), connection)


async def test_what_is_remembered_is_bounded(connection: Connection) -> None:
    """Thousands of addresses do not grow the memory without end; members and strangers share one bound."""
    facts_reader = RedisCredentialFacts(connection, Codec())
    for number in range(MAX_LAST_IDS + 9):
        facts_reader._remember(f"{number}@acme.test", ALICE)
    facts_reader._remember("stranger@acme.test", None)
    assert (MAX_LAST_IDS, False, False, True) == (
        len(facts_reader._last_ids),
        "0@acme.test" in facts_reader._last_ids,
        "9@acme.test" in facts_reader._last_ids,
        "stranger@acme.test" in facts_reader._last_ids,
    )


class Forgetting(RedisCredentialFacts):
    """The broken twin: remembers members alone, so a stranger's address is asked for in another way."""

    def _remember(self, email: str, member: Member | None) -> None:
        if member is not None:
            super()._remember(email, member)


async def asked(facts_reader: RedisCredentialFacts, connection: Connection, email: str) -> list[list[str]]:
    """Return the commands that each of three looks at an address sends."""
    seen = []
    for _ in range(3):
        await connection.redis.config_resetstat()
        await facts_reader.member_by_email(email, HOME)
        stats = await connection.redis.info("commandstats")
        # What runs inside a script is there too, and depends on what it finds.
        names = {name for name in stats if name.removeprefix("cmdstat_") in {"mget", "eval", "evalsha"}}
        seen.append(sorted(f"{name} {stats[name]['calls']}" for name in names))
    return seen


@pytest.mark.parametrize(("kind", "same"), [(RedisCredentialFacts, True), (Forgetting, False)])
async def test_an_address_of_nobody_is_asked_for_alike(
    connection: Connection, kind: type[RedisCredentialFacts], same: bool
) -> None:
    """The time of an answer does not tell who has an account: a script and a read differed by a third."""
    await put(connection, ALICE, ALICE.id)
    await kind(connection, Codec()).member_by_email(EMAIL, HOME)  # loads the script
    known = await asked(kind(connection, Codec()), connection, EMAIL)
    unknown = await asked(kind(connection, Codec()), connection, "nobody@acme.test")
    assert (known == unknown) is same


async def test_a_changed_member_is_seen_at_once(connection: Connection) -> None:
    """What is remembered is whose the address is, never the record: a raised epoch counts with the next request."""
    facts_reader = RedisCredentialFacts(connection, Codec())
    await put(connection, ALICE, ALICE.id)
    before, _ = await facts_reader.member_by_email(EMAIL, HOME)
    await put(connection, make_member(member_id=ALICE.id, email=EMAIL, epoch=2), ALICE.id)
    after, _ = await facts_reader.member_by_email(EMAIL, HOME)
    assert (1, 2) == (before and before.epoch, after and after.epoch)


@pytest.mark.parametrize("email", [EMAIL, "nobody@acme.test"])
async def test_what_is_counted_comes_along(connection: Connection, email: str) -> None:
    """For a member and for nobody, the first time, from then on, and when the address has moved."""
    throttle, facts_reader = RedisThrottle(connection), RedisCredentialFacts(connection, Codec())
    attempt = Attempt(email, None, HOME, "a guess")
    await throttle.wrong(attempt, await throttle.admit(attempt, NOW), NOW)
    expected = {limit: NOW.timestamp() + limit.interval.total_seconds() for limit in PASSWORD_LIMITS}
    for member in (ALICE, ALICE, BOB, BOB):
        await put(connection, member, member.id)
        found, counted = await facts_reader.member_by_email(email, HOME)
        assert (member if email == EMAIL else None, expected) == (found, counted)

    _, elsewhere = await facts_reader.member_by_email(email, "203.0.113.9")
    assert {PAIR: None, NETWORK: None, ACCOUNT: expected[ACCOUNT]} == elsewhere
