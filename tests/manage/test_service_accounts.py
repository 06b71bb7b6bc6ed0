"""Service accounts: a machine may do its grants, never more than its maker may now, and ends when told to."""

import re
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from authsvc.errors import ConfirmationNeeded, Conflict, InputRefused, NotFound, PermissionDenied
from authsvc.manage.actor import Actor
from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import ServiceAccount
from tests.support.builders import PASSWORD
from tests.support.installation import (
    APP,
    DENIED,
    EVERYTHING,
    OPERATOR,
    OTHER_APP,
    REFUSED,
    TEAM,
    Installation,
    confirmed,
)

MAKER = "maker@acme.test"
DAY = timedelta(days=1)


async def make(
    house: Installation,
    *grants: str,
    name: str = "ci",
    expires: str | None = None,
    api: str | None = None,
    actor: Actor = OPERATOR,
) -> tuple[ServiceAccount, Secret]:
    """Make a service account; without grants one that may pull and push everything of the app."""
    rows = grants or (f"{APP}/**:pull,push",)
    return await house.service_accounts.create(name, TEAM, rows, api, expires, house.operation(actor))


async def maker(house: Installation, role: str = "owner", *apps: str) -> Actor:
    """Add the member who makes accounts and return the actor."""
    return Actor.of_member(await house.members.add(MAKER, TEAM, role, apps, PASSWORD, house.operation()))


@pytest.mark.parametrize("name", ["", "CI", "ci build", "ci:*", "-ci", "ci-", "ci/x", "cí", "ci\n", "x" * 61])
async def test_a_bad_name_is_refused(house: Installation, name: str) -> None:
    """A name has a slug's grammar: it stands in a key and in sentences."""
    with pytest.raises(InputRefused, match="cannot name a service account"):
        await make(house, name=name)


async def test_a_name_is_never_given_again(house: Installation) -> None:
    """Neither while the account lives nor after it was revoked; another team may use the same name."""
    await make(house)
    with pytest.raises(Conflict, match="has or had a service account 'ci'"):
        await make(house)
    await house.service_accounts.revoke("ci", TEAM, house.operation())
    with pytest.raises(Conflict, match="has or had a service account 'ci'"):
        await make(house)
    await house.teams.create("rivals", None, house.operation())
    await house.teams.create_app("theirs", "rivals", None, house.operation())
    theirs, _ = await house.service_accounts.create("ci", "rivals", ["theirs/**:pull"], None, None, house.operation())

    assert "rivals" == theirs.team


async def test_disabled_is_for_now_and_revoked_for_good(house: Installation) -> None:
    """Each refuses at once and says so; enabling undoes the one and not the other."""
    _, secret = await make(house)
    await house.service_accounts.disable("ci", TEAM, house.operation())
    assert "the service account ci was disabled on 2026-08-01 12:00 UTC; ask an owner of acme-team" == (
        await house.why(secret)
    )
    await house.service_accounts.enable("ci", TEAM, house.operation())
    assert "pull,push" == await house.gets(secret)
    await house.service_accounts.revoke("ci", TEAM, house.operation())
    with pytest.raises(Conflict, match="is revoked; make a new one"):
        await house.service_accounts.enable("ci", TEAM, house.operation())

    assert "the service account ci was revoked on 2026-08-01 12:00 UTC; ask an owner of acme-team" == (
        await house.why(secret)
    )
    assert [] == await house.all_service_accounts(OPERATOR, TEAM)
    with pytest.raises(Conflict, match="is revoked; make a new one"):
        await house.service_accounts.rotate("ci", TEAM, DAY, house.operation())


async def test_an_ended_account_gets_no_new_secret(house: Installation) -> None:
    """Its end stays, so a new secret would open nothing, and whoever installed it would not know why."""
    await make(house, expires="1d")
    house.pass_time(days=1)

    with pytest.raises(Conflict, match=r"ended at 2026-08-02T12:00:00Z; make a new one"):
        await house.service_accounts.rotate("ci", TEAM, DAY, house.operation())


async def test_an_end_is_exact(house: Installation) -> None:
    """It works one microsecond before its end, with a token no longer than that, and not at its end."""
    account, secret = await make(house, expires="1d")
    house.pass_time(days=1, microseconds=-1)
    issued = await house.ask(secret)
    assert account.expires_at is not None
    assert issued.claims.expires_at == account.expires_at
    house.pass_time(microseconds=1)

    assert "the service account ci expired on 2026-08-02 12:00 UTC; ask an owner of acme-team" == await house.why(
        secret
    )


@pytest.mark.parametrize("expires", ["0d", "yesterday", "2020-01-01", "-1d", "99999999d"])
async def test_an_end_that_is_none_is_refused(house: Installation, expires: str) -> None:
    """An end lies in the future and has a known form."""
    with pytest.raises(InputRefused, match="expires"):
        await make(house, expires=expires)


async def test_rotation_overlaps(house: Installation) -> None:
    """The old secret works until the overlap ends, to the microsecond, and the new one from now on."""
    _, first = await make(house)
    _, second = await house.service_accounts.rotate("ci", TEAM, DAY, house.operation())
    assert ["pull,push"] * 2 == [await house.gets(first), await house.gets(second)]
    house.pass_time(days=1, microseconds=-1)
    assert "pull,push" == await house.gets(first)
    house.pass_time(microseconds=1)

    assert [REFUSED, "pull,push"] == [await house.gets(first), await house.gets(second)]


async def test_rotation_without_overlap_cuts_at_once(house: Installation) -> None:
    """With 0 the old secret fails at the first use after the answer."""
    _, first = await make(house)
    assert "pull,push" == await house.gets(first)
    _, second = await house.service_accounts.rotate("ci", TEAM, timedelta(0), house.operation())

    assert [REFUSED, "pull,push"] == [await house.gets(first), await house.gets(second)]


async def test_two_secrets_at_most_are_live(house: Installation) -> None:
    """A second rotation ends the oldest secret, once somebody has confirmed that."""
    _, first = await make(house)
    _, second = await house.service_accounts.rotate("ci", TEAM, DAY, house.operation())
    with pytest.raises(ConfirmationNeeded, match="the service account ci has been rotated already: token 1, which was"):
        await house.service_accounts.rotate("ci", TEAM, 2 * DAY, house.operation())
    assert ["pull,push"] * 2 == [await house.gets(s) for s in (first, second)]
    account, third = await confirmed(house.service_accounts.rotate, "ci", TEAM, 2 * DAY, house.operation())

    assert [REFUSED, "pull,push", "pull,push"] == [await house.gets(s) for s in (first, second, third)]
    assert [3, 2] == [token.generation for token in account.tokens]


Fate = Callable[[Installation], Awaitable[object]]
FATES: dict[str, tuple[Fate, str, str]] = {
    "stays an owner": (
        lambda house: house.members.set_role(MAKER, "owner", None, house.operation()),
        "delete,pull,push",
        "delete,pull,push",
    ),
    "becomes a developer": (
        lambda house: house.members.set_role(MAKER, "developer", None, house.operation()),
        "pull,push",
        "pull,push",
    ),
    "becomes a viewer": (
        lambda house: house.members.set_role(MAKER, "viewer", None, house.operation()),
        "pull",
        "pull",
    ),
    "is limited": (
        lambda house: house.members.set_role(MAKER, "owner", [OTHER_APP], house.operation()),
        "",
        "delete,pull,push",
    ),
    "is disabled": (lambda house: confirmed(house.members.disable, MAKER, house.operation()), DENIED, DENIED),
    "is removed": (lambda house: confirmed(house.members.remove, MAKER, house.operation()), DENIED, DENIED),
}
"""What becomes of the maker, and what the account then gets in the one app and in the other."""


@pytest.mark.parametrize("fate", FATES)
async def test_it_never_exceeds_its_maker(house: Installation, fate: str) -> None:
    """What the maker loses, the account loses at the next request, without being touched (threat 13)."""
    change, in_app, in_other = FATES[fate]
    grants = [f"{app}/**:pull,push,delete" for app in (APP, OTHER_APP)]
    before, secret = await make(house, *grants, actor=await maker(house))
    assert "delete,pull,push" == await house.gets(secret)
    await change(house)

    assert in_app == await house.gets(secret)
    assert in_other == await house.gets(secret, scope=EVERYTHING.replace(APP, OTHER_APP))
    assert [before] == [account for account, _ in await house.all_service_accounts(OPERATOR, TEAM)]


@pytest.mark.parametrize("change", ["disable", "remove"])
async def test_whoever_ends_a_maker_is_told_what_ends_too(house: Installation, change: str) -> None:
    """It names the accounts in force, of this maker and no other, and does nothing before that is confirmed."""
    actor = await maker(house)
    _, secret = await make(house, actor=actor)
    await make(house, name="deploy", actor=actor)
    await make(house, name="ended", expires="1d", actor=actor)
    await make(house, name="revoked", actor=actor)
    await house.service_accounts.revoke("revoked", TEAM, house.operation())
    await make(house, name="of-the-operator")
    house.pass_time(days=2)
    end = getattr(house.members, change)
    with pytest.raises(
        ConfirmationNeeded, match=r"ends 2 service accounts that this member made: ci, deploy$"
    ) as asked:
        await end(MAKER, house.operation())
    assert re.fullmatch("[0-9a-f]{32}", asked.value.mark), "a mark is as short for any number of accounts"
    assert "pull,push" == await house.gets(secret)
    other = {"disable": house.members.remove, "remove": house.members.disable}[change]
    with pytest.raises(ConfirmationNeeded):
        await other(MAKER, house.operation(), asked.value.mark)
    await house.service_accounts.revoke("deploy", TEAM, house.operation())
    with pytest.raises(ConfirmationNeeded, match=r"ends 1 service account that this member made: ci$"):
        await end(MAKER, house.operation(), asked.value.mark)

    await confirmed(end, MAKER, house.operation())
    assert DENIED == await house.gets(secret)


async def test_who_made_nothing_or_is_disabled_already_goes_without_a_question(house: Installation) -> None:
    """What has ended before ends nothing more."""
    await make(house, actor=await maker(house))
    await confirmed(house.members.disable, MAKER, house.operation())
    await house.members.remove(MAKER, house.operation())
    await maker(house)
    await house.members.remove(MAKER, house.operation())

    assert [] == [member.email for member in await house.all_members(OPERATOR, TEAM)]


async def test_a_maker_who_comes_back_by_another_door_revives_nothing(house: Installation) -> None:
    """Enabling brings the account back; removing ends it, also when the same address joins again."""
    _, secret = await make(house, actor=await maker(house))
    await confirmed(house.members.disable, MAKER, house.operation())
    await house.members.enable(MAKER, house.operation())
    assert "pull,push" == await house.gets(secret)
    await confirmed(house.members.remove, MAKER, house.operation())
    await maker(house)

    assert "the service account ci ended when its creator left on 2026-08-01 12:00 UTC; ask an owner of acme-team" == (
        await house.why(secret)
    )


async def test_only_people_and_the_operator_make_accounts(house: Installation) -> None:
    """A machine that made another one would leave it without a maker to be bound by."""
    account, _ = await make(house, api="manage")
    with pytest.raises(PermissionDenied, match="may not create a service account"):
        await make(house, name="another", actor=Actor.of_service_account(account, None, house.now))


async def test_the_list_tells_when_each_was_used(house: Installation) -> None:
    """Accounts are listed by name with their last use, once it was written down."""
    _, secret = await make(house, name="used")
    await make(house, name="idle")
    house.pass_time(hours=3)
    await house.gets(secret)
    await house.usage.flush()

    assert [("idle", None), ("used", house.now)] == [
        (a.name, at) for a, at in await house.all_service_accounts(OPERATOR, TEAM)
    ]


@pytest.mark.parametrize("change", ["disable", "enable", "revoke", "rotate"])
@pytest.mark.parametrize(
    ("name", "team", "sentence"),
    [
        ("absent", TEAM, "has no service account 'absent'"),
        ("Bad Name", TEAM, "has no service account 'Bad Name'"),
        ("ci", "rivals", "has no service account 'ci'"),
        ("ci", "nobodys", "there is no team"),
    ],
)
async def test_changing_what_is_not_there_is_refused(
    house: Installation, change: str, name: str, team: str, sentence: str
) -> None:
    """An unknown name, and another team's account, are not found."""
    await make(house)
    await house.teams.create("rivals", None, house.operation())
    overlap = (DAY,) if change == "rotate" else ()

    with pytest.raises(NotFound, match=sentence):
        await getattr(house.service_accounts, change)(name, team, *overlap, house.operation())


async def test_doing_it_twice_is_told_once(house: Installation) -> None:
    """Each change keeps its first time, and only what changes something is told."""
    await make(house)
    for change in ("disable", "disable", "enable", "enable", "revoke", "revoke"):
        await getattr(house.service_accounts, change)("ci", TEAM, house.operation())
        house.pass_time(hours=1)

    assert ["created", "disabled", "enabled", "revoked"] == [e.event.partition(".")[2] for e in house.told[3:]]


async def test_the_secret_is_stored_hashed_only(house: Installation) -> None:
    """Neither Redis nor the audit holds what logs in."""
    _, first = await make(house)
    _, second = await house.service_accounts.rotate("ci", TEAM, DAY, house.operation())
    everything = await house.everything_stored() + repr([entry.to_json() for entry in house.told])

    assert not [secret for secret in (first, second) if secret.reveal()[21:60] in everything]


async def test_a_service_account_rotates_itself_and_sees_no_other(house: Installation) -> None:
    """Another account of the team looks to it exactly like one that is not there."""
    account, _ = await make(house, api="manage")
    await make(house, name="other")
    actor = Actor.of_service_account(account, None, house.now)
    changed, secret = await house.service_accounts.rotate("ci", TEAM, timedelta(0), house.operation(actor))
    refusals = []
    for name in ("other", "absent"):
        with pytest.raises(NotFound) as missing:
            await house.service_accounts.rotate(name, TEAM, timedelta(0), house.operation(actor))
        refusals.append(str(missing.value).replace(name, "NAME"))

    assert (2, "pull,push") == (changed.tokens[0].generation, await house.gets(secret))
    assert refusals[0] == refusals[1] == "the team 'acme-team' has no service account 'NAME'"


async def test_an_account_is_found_by_its_id(house: Installation) -> None:
    """The id alone is enough, also for the operator, who belongs to no team; with another team it finds nothing."""
    await house.teams.create("rivals", None, house.operation())
    account, _ = await make(house)
    found, used_at = await house.service_accounts.show(OPERATOR, account.id)
    assert (account, None) == (found, used_at)
    assert (await house.service_accounts.disable(account.id, None, house.operation())).disabled_at == house.now

    with pytest.raises(NotFound):
        await house.service_accounts.show(OPERATOR, account.id, "rivals")
    with pytest.raises(NotFound, match="there is no service account 'ci'"):
        await house.service_accounts.show(OPERATOR, "ci")
