"""Sign-ins: refresh tokens that a member's tools keep, how long they work, and what ends them."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import (
    MAX_REFRESH_TOKENS,
    REFRESH_LIFE,
    REFRESH_WINDOW,
)
from authsvc.tenancy.records import Role
from tests.manage.test_tokens import ALL, EMAIL, id_of, owner, personal, sign_in
from tests.support.builders import PASSWORD
from tests.support.installation import APP, OPERATOR, REFUSED, TEAM, Installation


async def test_a_sign_in_is_kept_only_for_a_password_and_only_when_asked(house: Installation) -> None:
    """Personal tokens, service accounts, licenses and sign-ins themselves never get one."""
    await owner(house)
    _, token = await personal(house)
    _, machine = await house.service_accounts.create("ci", TEAM, [f"{APP}/**:pull"], None, None, house.operation())
    kept = await sign_in(house)

    assert (await house.ask(PASSWORD, EMAIL)).response.refresh_token is None
    for secret in (token, machine, kept):
        assert (await house.ask(secret, offline=True)).response.refresh_token is None
    assert 1 == len(await house.stores.sign_ins.of_holder((await house.all_members(OPERATOR, TEAM))[0].id))


async def test_none_is_kept_when_the_setting_is_off(house: Installation) -> None:
    """With AUTHSVC_REFRESH_TOKENS=off docker keeps the password; one that was kept before goes on working."""
    await owner(house)
    before = await sign_in(house)
    off = house.issues(house.facts_reader, keeps=False)

    assert (await house.ask(PASSWORD, EMAIL, offline=True, issuance=off)).response.refresh_token is None
    assert ALL == await house.gets(before, issuance=off)


async def test_a_wrong_password_or_a_disabled_account_keeps_none(house: Installation) -> None:
    """Who is turned away leaves nothing behind."""
    await owner(house)
    with pytest.raises(Exception, match="is not right"):
        await house.ask("not the password!", EMAIL, offline=True)
    await house.members.disable(EMAIL, house.operation())
    with pytest.raises(Exception, match="was disabled"):
        await house.ask(PASSWORD, EMAIL, offline=True)

    assert [] == await house.connection.redis.keys("authsvc:*refresh*")


async def test_a_sign_in_opens_in_the_form_and_as_a_password(house: Installation) -> None:
    """A tool like docker sends it in the form; one that knows only passwords sends it as one."""
    await owner(house)
    kept = await sign_in(house)

    issued = [await house.ask(kept, refresh=True), await house.ask(kept, "<token>"), await house.ask(kept, EMAIL)]
    assert [("delete", "pull", "push")] * 3 == [one.claims.access[0].actions for one in issued]
    assert 1 == len({one.claims.subject for one in issued})


async def test_two_hundred_uses_at_once_all_work(house: Installation) -> None:
    """It does not rotate: docker keeps the first one, and pulls with it many times at the same instant."""
    await owner(house)
    kept = await sign_in(house)
    outcomes = await asyncio.gather(*(house.gets(kept) for _ in range(200)))

    assert [ALL] * 200 == outcomes


@pytest.mark.parametrize("change", ["disable", "disable and enable", "set-role", "set-password", "reset", "remove"])
async def test_a_change_of_the_member_ends_every_sign_in_at_once(house: Installation, change: str) -> None:
    """The first use after the answer is refused; a sign-in of somebody else goes on."""
    await owner(house)
    await owner(house, "bob@acme.test")
    kept, other = await sign_in(house), await sign_in(house, "bob@acme.test")
    assert [ALL, ALL] == [await house.gets(kept), await house.gets(other)]
    if change.startswith("disable"):
        await house.members.disable(EMAIL, house.operation())
    if change.endswith("enable"):
        await house.members.enable(EMAIL, house.operation())
    if change == "set-role":
        await house.members.set_role(EMAIL, str(Role.OWNER), None, house.operation())
    if change == "set-password":
        await house.members.set_password(EMAIL, PASSWORD, house.operation())
    if change == "reset":
        await house.links.redeem(await house.links.reset(EMAIL, house.operation()), PASSWORD, house.operation())
    if change == "remove":
        await house.members.remove(EMAIL, house.operation())

    assert [REFUSED, ALL] == [await house.gets(kept), await house.gets(other)]


async def test_a_sign_in_that_was_bound_to_an_epoch_is_dead_before_it_is_told(house: Installation) -> None:
    """One that is kept from a member as it was a moment ago never works."""
    await owner(house)
    stale, _ = await house.facts_reader.member_by_email(EMAIL, "192.0.2.1")
    assert stale is not None
    await house.members.set_password(EMAIL, PASSWORD, house.operation())

    kept = await house.sign_ins.keep(stale, "docker", house.now)

    assert kept is not None
    assert REFUSED == await house.gets(kept)


async def test_revoking_ends_one_sign_in_and_no_other(house: Installation) -> None:
    """A lost laptop's sign-in ends at once; the desktop's goes on, and the list tells so."""
    await owner(house)
    laptop, desktop = await sign_in(house), await sign_in(house)
    for _ in range(2):
        await house.tokens.revoke(id_of(laptop), house.operation())

    assert [REFUSED, ALL] == [await house.gets(laptop), await house.gets(desktop)]
    assert [id_of(desktop)] == [line.id for line in await house.all_tokens(OPERATOR, EMAIL, house.now)]
    assert "your sign-in has ended; sign in again with your password: docker login" == await house.why(laptop)


async def test_an_idle_sign_in_ends_after_thirty_days(house: Installation) -> None:
    """Thirty days without use end it, to the microsecond; each use counts anew once it is written down."""
    await owner(house)
    kept = await sign_in(house)
    house.pass_time(days=30, microseconds=-1)
    assert ALL == await house.gets(kept)
    await house.usage.flush()
    house.pass_time(days=30, microseconds=-1)
    assert ALL == await house.gets(kept)
    house.pass_time(microseconds=1)

    assert REFUSED == await house.gets(kept)
    assert [] == await house.all_tokens(OPERATOR, EMAIL, house.now)


async def test_a_sign_in_ends_after_ninety_days_however_often_it_is_used(house: Installation) -> None:
    """Daily use does not carry it beyond its ninetieth day."""
    await owner(house)
    kept = await sign_in(house)
    for _ in range(89):
        house.pass_time(days=1)
        assert ALL == await house.gets(kept)
        await house.usage.flush()
    house.pass_time(days=1, microseconds=-1)
    assert ALL == await house.gets(kept)
    house.pass_time(microseconds=1)

    assert REFUSED == await house.gets(kept)
    assert 0 < await house.connection.redis.ttl(f"authsvc:refresh-token:{id_of(kept)}") <= REFRESH_LIFE.total_seconds()


@pytest.mark.parametrize("at_once", [False, True])
async def test_the_newest_twenty_live(house: Installation, at_once: bool) -> None:
    """One more ends the oldest, also when ten computers sign in at the same instant."""
    await owner(house)
    old = [await sign_in(house) for _ in range(MAX_REFRESH_TOKENS)]
    assert [ALL] * 20 == [await house.gets(kept) for kept in old]
    house.now += REFRESH_WINDOW
    if at_once:
        new = list(await asyncio.gather(*(sign_in(house) for _ in range(10))))
    else:
        new = [await sign_in(house) for _ in range(10)]

    assert [REFUSED] * 10 + [ALL] * 20 == [await house.gets(kept) for kept in (*old, *new)]
    assert 20 == await house.connection.redis.zcard((await house.connection.redis.keys("authsvc:member-refresh*"))[0])


@pytest.mark.parametrize("at_once", [False, True])
async def test_a_member_gets_twenty_an_hour(house: Installation, at_once: bool) -> None:
    """One who signs in again and again gets tokens for the registry, no more sign-ins, and fills no audit."""
    await owner(house)

    async def kept() -> Secret | None:
        issued = await house.ask(PASSWORD, EMAIL, offline=True)
        assert ("delete", "pull", "push") == issued.claims.access[0].actions
        return issued.response.refresh_token

    first = await sign_in(house)
    asking = [kept() for _ in range(99)]
    made = [first, *(await asyncio.gather(*asking) if at_once else [await one for one in asking])]
    entries: Any = await house.connection.redis.xrange("authsvc:audit")
    audit = str(entries)
    assert [20, 20] == [100 - made.count(None), audit.count("sign-in.kept")]
    assert [ALL] * 20 == [await house.gets(secret) for secret in made if secret]

    house.now += REFRESH_WINDOW - timedelta(seconds=1)
    assert await kept() is None
    house.pass_time(seconds=2)
    assert await kept() is not None


async def test_sign_ins_that_the_store_forgot_leave_no_trace_in_the_index(house: Installation) -> None:
    """The index does not grow over the years: it never holds more than twenty, living or forgotten."""
    await owner(house)
    for _ in range(MAX_REFRESH_TOKENS):
        kept = await sign_in(house)
        await house.connection.redis.delete(f"authsvc:refresh-token:{id_of(kept)}")
    house.now += REFRESH_WINDOW
    await sign_in(house)

    (index,) = await house.connection.redis.keys("authsvc:member-refresh-tokens:*")
    assert MAX_REFRESH_TOKENS == await house.connection.redis.zcard(index)
    assert 1 == len(await house.all_tokens(OPERATOR, EMAIL, house.now))


async def test_what_a_client_calls_itself_is_kept_short_and_printable(house: Installation) -> None:
    """The name of the client is unproven text: bounded, without control characters."""
    await owner(house)
    member, _ = await house.facts_reader.member_by_email(EMAIL, "192.0.2.1")
    assert member is not None
    for client in ("do\x1b[31mcker\n" + "x" * 500, "\x00", None):
        house.pass_time(seconds=1)
        await house.sign_ins.keep(member, client, house.now)

    assert ["unknown", "unknown", "do[31mcker" + "x" * 50] == [
        line.name for line in await house.all_tokens(OPERATOR, EMAIL, house.now)
    ]
