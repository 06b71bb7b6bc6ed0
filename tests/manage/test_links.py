"""One-time links: they work once, for one person as they are, for 72 hours, and say nothing to a guess."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta

import pytest
from attrs import evolve

from authsvc.credentials.machine_secret import LINK_KIND, MachineSecret
from authsvc.errors import Conflict, InputRefused, NotFound, PermissionDenied
from authsvc.manage.actor import Actor
from authsvc.manage.links import VOID, Links
from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import LINK_LIFE, ApiAccess, OneTimeLink
from tests.support.builders import PASSWORD, make_personal_token
from tests.support.installation import APP, DENIED, OPERATOR, OTHER_APP, REFUSED, TEAM, Installation

EMAIL = "ann@acme.test"
CHOSEN = Secret("a password of her own choice")

Change = Callable[[Installation], Awaitable[object]]


async def member(house: Installation, email: str = EMAIL, role: str = "owner") -> Actor:
    """Add a member and return the actor."""
    return Actor.of_member(await house.members.add(email, TEAM, role, (), PASSWORD, house.operation()))


async def invite(house: Installation, role: str = "developer", *apps: str, actor: Actor = OPERATOR) -> Secret:
    """Make an invitation for the usual address."""
    return await house.links.invite(EMAIL, TEAM, role, apps, house.operation(actor))


async def reset(house: Installation) -> Secret:
    """Add the usual member and make a reset link."""
    await member(house)
    return await house.links.reset(EMAIL, house.operation())


async def refusal(house: Installation, link: Secret | str, password: Secret = CHOSEN) -> str:
    """Return the sentence by which a link is refused."""
    with pytest.raises(InputRefused) as refused:
        await house.links.redeem(Secret(link) if isinstance(link, str) else link, password, house.operation())
    assert type(refused.value) is InputRefused
    return str(refused.value)


async def test_an_invitation_makes_the_member_it_was_made_for(house: Installation) -> None:
    """Whoever redeems it chooses the password and nothing else: team, address, role and apps were fixed."""
    link = await invite(house, "developer", APP)
    assert REFUSED == await house.gets(CHOSEN, EMAIL)
    joined = await house.links.redeem(link, CHOSEN, house.operation())

    assert (EMAIL, TEAM, "developer", (APP,)) == (joined.email, joined.team, joined.role, joined.apps)
    assert "pull,push" == await house.gets(CHOSEN, EMAIL)
    assert "" == await house.gets(CHOSEN, EMAIL, f"repository:{OTHER_APP}/x:pull")


async def test_a_reset_ends_the_old_password_and_all_that_came_of_it(house: Installation) -> None:
    """After a reset only the new password opens anything; a personal token stays, since it is no sign-in."""
    await member(house)
    kept = (await house.ask(PASSWORD, EMAIL, offline=True)).response.refresh_token
    _, personal = await house.tokens.create("laptop", EMAIL, None, None, house.operation())
    assert kept is not None
    link = await house.links.reset(EMAIL, house.operation())
    assert "delete,pull,push" == await house.gets(PASSWORD, EMAIL)
    await house.links.redeem(link, CHOSEN, house.operation())

    assert [REFUSED, REFUSED] == [await house.gets(PASSWORD, EMAIL), await house.gets(kept)]
    assert ["delete,pull,push"] * 2 == [await house.gets(CHOSEN, EMAIL), await house.gets(personal)]


async def test_a_token_cannot_set_its_own_members_password(house: Installation) -> None:
    """A stolen token would otherwise become a sign-in; for others, an owner's token makes links as the owner does."""
    owner = await house.members.add(EMAIL, TEAM, "owner", (), PASSWORD, house.operation())
    await member(house, "kim@acme.test", "viewer")
    by_token = Actor.of_personal_token(make_personal_token(member=owner.id, api=ApiAccess.MANAGE), owner, house.now)
    before = await house.everything_stored()

    with pytest.raises(PermissionDenied, match="a token may not set its member's password"):
        await house.links.reset(EMAIL.upper(), house.operation(by_token))
    assert before == await house.everything_stored()
    assert await house.links.reset("kim@acme.test", house.operation(by_token))
    assert await house.links.reset(EMAIL, house.operation(Actor.of_member(owner)))


async def test_a_reset_does_not_enable(house: Installation) -> None:
    """Somebody who is disabled gets a password and still no access."""
    await member(house)
    await house.members.disable(EMAIL, house.operation())
    await house.links.redeem(await house.links.reset(EMAIL, house.operation()), CHOSEN, house.operation())

    assert DENIED == await house.gets(CHOSEN, EMAIL)


@pytest.mark.parametrize("make", [invite, reset])
async def test_a_link_works_once(house: Installation, make: Callable[[Installation], Awaitable[Secret]]) -> None:
    """The second use is refused, and the first one's password stays."""
    link = await make(house)
    await house.links.redeem(link, CHOSEN, house.operation())

    assert VOID == await refusal(house, link, PASSWORD)
    assert "" != await house.gets(CHOSEN, EMAIL)
    assert REFUSED == await house.gets(PASSWORD, EMAIL)


@pytest.mark.parametrize("make", [invite, reset])
async def test_of_sixteen_uses_at_once_one_succeeds(
    house: Installation, make: Callable[[Installation], Awaitable[Secret]]
) -> None:
    """However many redeem it at the same instant, one password is set, and the others get the usual sentence."""
    link = await make(house)
    passwords = [Secret(f"racing password {number:02}") for number in range(16)]
    results = await asyncio.gather(
        *(house.links.redeem(link, password, house.operation()) for password in passwords), return_exceptions=True
    )

    assert [VOID] * 15 == [str(result) for result in results if isinstance(result, Exception)]
    assert 1 == len([p for p in passwords if await house.gets(p, EMAIL) != REFUSED])


@pytest.mark.parametrize("make", [invite, reset])
@pytest.mark.parametrize(("late", "works"), [(timedelta(seconds=-1), True), (timedelta(0), False)])
async def test_a_link_lives_72_hours(
    house: Installation, make: Callable[[Installation], Awaitable[Secret]], late: timedelta, works: bool
) -> None:
    """The last second counts, the next one does not, whatever the store has forgotten by then."""
    link = await make(house)
    house.now += timedelta(hours=72) + late

    if works:
        assert EMAIL == (await house.links.redeem(link, CHOSEN, house.operation())).email
    else:
        assert VOID == await refusal(house, link)


@pytest.mark.parametrize("make", [invite, reset])
async def test_a_refused_password_consumes_nothing(
    house: Installation, make: Callable[[Installation], Awaitable[Secret]]
) -> None:
    """Somebody who chose a password that is too short may try again."""
    link = await make(house)

    assert "15 to 1,024 bytes" in await refusal(house, link, Secret("short"))
    assert EMAIL == (await house.links.redeem(link, CHOSEN, house.operation())).email


VOIDED: dict[str, tuple[Callable[[Installation], Awaitable[Secret]], Change]] = {
    "invited again": (invite, lambda house: invite(house, "viewer")),
    "invited and added by hand": (invite, member),
    "invited, added and removed": (
        invite,
        lambda house: _each(member(house), lambda: house.members.remove(EMAIL, house.operation())),
    ),
    "reset again": (reset, lambda house: house.links.reset(EMAIL, house.operation())),
    "reset and role changed": (reset, lambda house: house.members.set_role(EMAIL, "viewer", None, house.operation())),
    "reset and role set to the same": (
        reset,
        lambda house: house.members.set_role(EMAIL, "owner", None, house.operation()),
    ),
    "reset and limited": (reset, lambda house: house.members.set_role(EMAIL, "owner", [APP], house.operation())),
    "reset and password set": (reset, lambda house: house.members.set_password(EMAIL, PASSWORD, house.operation())),
    "reset and disabled": (reset, lambda house: house.members.disable(EMAIL, house.operation())),
    "reset and removed": (reset, lambda house: house.members.remove(EMAIL, house.operation())),
    "reset, removed and back": (
        reset,
        lambda house: _each(house.members.remove(EMAIL, house.operation()), lambda: member(house)),
    ),
    "reset, removed and invited": (
        reset,
        lambda house: _each(house.members.remove(EMAIL, house.operation()), lambda: invite(house)),
    ),
}
"""What makes a link void that was good before."""


async def _each(first: Awaitable[object], then: Callable[[], Awaitable[object]]) -> None:
    await first
    await then()


@pytest.mark.parametrize("case", VOIDED)
async def test_a_change_makes_a_link_void(house: Installation, case: str) -> None:
    """A link is for a person as they were when it was made; the sentence is the one of every void link."""
    make, change = VOIDED[case]
    link = await make(house)
    await change(house)
    before = await house.everything_stored()

    assert VOID == await refusal(house, link)
    assert before == await house.everything_stored()


@pytest.mark.parametrize(
    "guess",
    [
        "",
        "nonsense",
        "asv_link_0000000000000000_0000000000000000000000000000000000000000000",
        MachineSecret.build(LINK_KIND, "0" * 16, bytes(32)).text.reveal(),
        MachineSecret.build("pat", "0" * 16, bytes(32)).text.reveal(),
    ],
    ids=["empty", "nonsense", "no CRC", "well-formed", "another kind"],
)
async def test_a_guess_gets_the_same_sentence(house: Installation, guess: str) -> None:
    """Nobody learns from a refusal whether a link exists."""
    await invite(house)

    assert VOID == await refusal(house, guess)
    assert VOID == await refusal(house, guess, Secret("short"))


async def opened(house: Installation, team: str = TEAM) -> list[tuple[str, str, str | None, bool]]:
    """Return the address, purpose, maker and state of the links that are listed."""
    found = await house.links.list(OPERATOR, team, house.now)
    return [(one.link.email, one.link.purpose, one.maker, one.works) for one in found]


async def test_open_links_are_listed(house: Installation) -> None:
    """Who is invited, by whom and until when, the first to end at the top; a newer link takes the place of an older."""
    boss = await member(house, "boss@acme.test")
    await invite(house, "viewer")
    house.now += timedelta(hours=1)
    await house.links.reset("boss@acme.test", house.operation())
    assert [(EMAIL, "invite", None, True), ("boss@acme.test", "reset", None, True)] == await opened(house)

    house.now += timedelta(hours=1)
    secret = await invite(house, "developer", APP, actor=boss)
    assert [("boss@acme.test", "reset", None, True), (EMAIL, "invite", "boss@acme.test", True)] == await opened(house)
    link = (await house.links.list(boss, TEAM, house.now))[1].link
    assert ("developer", (APP,), house.now + LINK_LIFE) == (link.role, link.apps, link.expires_at)
    assert secret.reveal() not in repr(link)


CLOSED: dict[str, tuple[Callable[[Installation], Awaitable[Secret]], Callable[[Installation, Secret], object]]] = {
    "redeemed": (invite, lambda house, link: house.links.redeem(link, CHOSEN, house.operation())),
    "a redeemed reset": (reset, lambda house, link: house.links.redeem(link, CHOSEN, house.operation())),
    "taken back": (invite, lambda house, _: house.links.revoke(EMAIL.upper(), TEAM, house.operation())),
    "added by hand": (invite, lambda house, _: member(house)),
    "removed": (reset, lambda house, _: house.members.remove(EMAIL, house.operation())),
    "ended": (invite, lambda house, _: _later(house, LINK_LIFE)),
}
"""What takes a link off the list."""


async def _later(house: Installation, time: timedelta) -> None:
    house.now += time


@pytest.mark.parametrize("case", CLOSED)
async def test_a_link_leaves_the_list(house: Installation, case: str) -> None:
    """What was used, taken back or has ended is not open, and cannot be taken back again."""
    make, close = CLOSED[case]
    await member(house, "boss@acme.test")  # so that the other one may be removed
    link = await make(house)
    assert 1 == len(await opened(house))
    await close(house, link)  # type: ignore[misc]

    assert [] == await opened(house)
    assert VOID == await refusal(house, link)
    with pytest.raises(NotFound, match="no open link"):
        await house.links.revoke(EMAIL, TEAM, house.operation())


async def test_what_voids_a_link_is_shown(house: Installation) -> None:
    """A link whose maker may make none now, or whose member has changed, stays on the list and opens nothing."""
    boss = await member(house, "boss@acme.test")
    await invite(house, actor=boss)
    await member(house, "kim@acme.test", "viewer")
    await house.links.reset("kim@acme.test", house.operation())
    await house.members.set_role("boss@acme.test", "developer", None, house.operation(), force=True)
    await house.members.set_role("kim@acme.test", "developer", None, house.operation())

    assert [False, False] == [works for *_, works in await opened(house)]


async def test_a_link_is_taken_back(house: Installation) -> None:
    """By its id, once however often the request comes; the audit has who did it."""
    boss = await member(house, "boss@acme.test")
    link = await invite(house)
    (listed,) = await house.links.list(boss, TEAM, house.now)
    operation = house.operation(boss)
    await house.links.revoke(listed.link.id, TEAM, operation)
    before = await house.everything_stored()
    await house.links.revoke(listed.link.id, TEAM, operation)

    assert VOID == await refusal(house, link)
    assert before == await house.everything_stored()
    told = house.told[-1]
    assert ("link.revoked", boss.subject, listed.link.id) == (told.event, told.actor, told.facts["link"])
    assert EMAIL == (await house.links.redeem(await invite(house), CHOSEN, house.operation())).email


async def test_links_of_another_team_are_not_seen(house: Installation) -> None:
    """Also when both teams invite the same address: the link of the other one is neither listed nor taken back."""
    boss = await member(house, "boss@acme.test")
    await invite(house)
    await house.teams.create("other", None, house.operation())
    theirs = await house.links.invite(EMAIL, "other", "viewer", (), house.operation())

    assert ([], 1) == (await opened(house), len(await opened(house, "other")))
    with pytest.raises(NotFound, match="no open link"):
        await house.links.revoke(EMAIL, TEAM, house.operation(boss))
    with pytest.raises(NotFound, match="no team"):
        await house.links.revoke(EMAIL, "other", house.operation(boss))
    assert "other" == (await house.links.redeem(theirs, CHOSEN, house.operation())).team


async def test_a_team_has_so_many_links(house: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more is refused until one is taken back or has ended."""
    monkeypatch.setattr("authsvc.store.links.MAX_TEAM_LINKS", 2)
    for name in ("ann", "kim"):
        await house.links.invite(f"{name}@acme.test", TEAM, "viewer", (), house.operation())
    with pytest.raises(Conflict, match="has 2 open links"):
        await house.links.invite("jo@acme.test", TEAM, "viewer", (), house.operation())
    await house.links.revoke("kim@acme.test", TEAM, house.operation())
    await house.links.invite("jo@acme.test", TEAM, "viewer", (), house.operation())
    house.now += LINK_LIFE
    await house.links.invite("kim@acme.test", TEAM, "viewer", (), house.operation())

    assert ["kim@acme.test"] == [email for email, *_ in await opened(house)]


async def test_an_id_without_its_secret_opens_nothing(house: Installation) -> None:
    """Who knows a link's id from the audit still has to guess 256 bits."""
    link = MachineSecret.parse((await invite(house)).reveal())
    assert link is not None

    assert VOID == await refusal(house, MachineSecret.build(LINK_KIND, link.id, bytes(32)).text)


async def test_links_and_passwords_are_stored_hashed_only(house: Installation) -> None:
    """Neither Redis nor the audit ever holds a link or a password in clear, and both forget the link in time."""
    invited = await invite(house)
    first = await house.everything_stored()
    await house.links.redeem(invited, CHOSEN, house.operation())
    again = await house.links.reset(EMAIL, house.operation())
    everything = first + await house.everything_stored() + repr([entry.to_json() for entry in house.told])

    for secret in (invited, again, CHOSEN):
        assert secret.reveal() not in everything
        assert secret.reveal().removeprefix("asv_link_")[17:] not in everything
    (name,) = await house.connection.redis.keys("authsvc:link:*")
    life = await house.connection.redis.ttl(name)
    assert LINK_LIFE.total_seconds() - 60 < life <= LINK_LIFE.total_seconds()


@pytest.mark.parametrize(
    ("email", "team", "role", "apps", "error"),
    [
        ("no address", TEAM, "owner", (), InputRefused),
        (EMAIL, "nobodys", "owner", (), NotFound),
        (EMAIL, TEAM, "king", (), InputRefused),
        (EMAIL, TEAM, "owner", ("absent",), NotFound),
        ("taken@acme.test", TEAM, "owner", (), InputRefused),
    ],
)
async def test_an_invitation_is_refused(
    house: Installation, email: str, team: str, role: str, apps: tuple[str, ...], error: type[InputRefused]
) -> None:
    """A link is made only for what could come true, and never for a member."""
    await member(house, "taken@acme.test")

    with pytest.raises(error):
        await house.links.invite(email, team, role, apps, house.operation())


async def test_a_reset_for_nobody_is_refused(house: Installation) -> None:
    """The operator learns that no member has the address; the sentence is not for strangers."""
    with pytest.raises(NotFound, match="no member has the address"):
        await house.links.reset(EMAIL, house.operation())


@pytest.mark.parametrize(
    ("fate", "works"),
    [
        ("stays", True),
        ("becomes a developer", False),
        ("is limited", False),
        ("is disabled", False),
        ("is removed", False),
        ("is removed and rejoins", False),
    ],
)
@pytest.mark.parametrize("purpose", ["invite", "reset"])
async def test_a_link_is_worth_what_its_maker_is(house: Installation, purpose: str, fate: str, works: bool) -> None:
    """An owner who leaves or loses the right to make links takes open ones along: re-checked at use."""
    boss = "boss@acme.test"
    maker = await member(house, boss)
    if purpose == "invite":
        link = await invite(house, actor=maker)
    else:
        await member(house)
        link = await house.links.reset(EMAIL, house.operation(maker))
    if fate == "becomes a developer":
        await house.members.set_role(boss, "developer", None, house.operation())
    elif fate == "is limited":
        await house.members.set_role(boss, "owner", [APP], house.operation())
    elif fate == "is disabled":
        await house.members.disable(boss, house.operation())
    elif fate.startswith("is removed"):
        await house.members.remove(boss, house.operation())
    if fate.endswith("rejoins"):
        await member(house, boss)

    if works:
        assert EMAIL == (await house.links.redeem(link, CHOSEN, house.operation())).email
    else:
        assert VOID == await refusal(house, link)


async def link_by_token(house: Installation, purpose: str, expires: str | None = None) -> tuple[Secret, str]:
    """Make a link with the token of another owner; return it and the id of the token."""
    owner = await house.members.add("boss@acme.test", TEAM, "owner", (), PASSWORD, house.operation())
    token, _ = await house.tokens.create("crm", owner.id, expires, "manage", house.operation())
    by_token = Actor.of_personal_token(token, owner, house.now)
    if purpose == "invite":
        return await invite(house, "owner", actor=by_token), token.id
    await member(house)
    return await house.links.reset(EMAIL, house.operation(by_token)), token.id


@pytest.mark.parametrize(
    ("fate", "works"), [("stays", True), ("is revoked", False), ("is about to expire", True), ("expires", False)]
)
@pytest.mark.parametrize("purpose", ["invite", "reset"])
async def test_a_link_ends_with_the_token_that_made_it(
    house: Installation, purpose: str, fate: str, works: bool
) -> None:
    """Revoking a stolen token takes back the ways in that it made, although its member is an owner still."""
    link, token = await link_by_token(house, purpose, "2d" if "expire" in fate else None)
    if fate == "is revoked":
        await house.tokens.revoke(token, house.operation())
    elif "expire" in fate:
        house.now += timedelta(days=2, seconds=0 if fate == "expires" else -1)
    before = await house.everything_stored()

    if works:
        assert EMAIL == (await house.links.redeem(link, CHOSEN, house.operation())).email
    else:
        assert VOID == await refusal(house, link)
        assert before == await house.everything_stored()


async def test_another_token_of_the_maker_may_end(house: Installation) -> None:
    """Only the token by which the link was made counts."""
    link, _ = await link_by_token(house, "invite")
    other, _ = await house.tokens.create("laptop", "boss@acme.test", None, "manage", house.operation())
    await house.tokens.revoke(other.id, house.operation())

    assert EMAIL == (await house.links.redeem(link, CHOSEN, house.operation())).email


async def test_the_token_is_what_refuses_the_link(house: Installation, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that forgets the token, as it did for links that older versions stored, accepts the same link."""
    link, token = await link_by_token(house, "invite")
    await house.tokens.revoke(token, house.operation())
    assert VOID == await refusal(house, link)
    still_may = Links._maker_still_may

    async def forgetful(self: Links, terms: OneTimeLink, now: datetime) -> bool:
        return await still_may(self, evolve(terms, token=None), now)

    monkeypatch.setattr(Links, "_maker_still_may", forgetful)
    assert EMAIL == (await house.links.redeem(link, CHOSEN, house.operation())).email
