"""Members from their first day to their last: what each change takes away, it takes at once."""

import pytest

from authsvc.errors import Conflict, InputRefused, NotFound
from authsvc.manage.actor import Actor
from authsvc.redaction import Secret
from authsvc.tenancy.records import Member
from tests.support.builders import PASSWORD
from tests.support.installation import APP, DENIED, OPERATOR, OTHER_APP, REFUSED, TEAM, Installation, confirmed

EMAIL = "ann@acme.test"
NEW_PASSWORD = Secret("another horse, another battery")


async def add(house: Installation, email: str = EMAIL, role: str = "owner", *apps: str) -> Member:
    """Add a member with the usual password."""
    return await house.members.add(email, TEAM, role, apps, PASSWORD, house.operation())


@pytest.mark.parametrize(
    ("role", "actions"), [("owner", "delete,pull,push"), ("developer", "pull,push"), ("viewer", "pull")]
)
async def test_a_new_member_may_do_what_the_role_says(house: Installation, role: str, actions: str) -> None:
    """The password opens what the role gives, from the first request on."""
    await add(house, role=role)

    assert actions == await house.gets(PASSWORD, EMAIL)


@pytest.mark.parametrize(
    ("email", "team", "role", "apps", "password", "error"),
    [
        ("no address", TEAM, "owner", (), PASSWORD, InputRefused),
        (EMAIL, "Bad Slug", "owner", (), PASSWORD, InputRefused),
        (EMAIL, "nobodys", "owner", (), PASSWORD, NotFound),
        (EMAIL, TEAM, "admin", (), PASSWORD, InputRefused),
        (EMAIL, TEAM, "Owner", (), PASSWORD, InputRefused),
        (EMAIL, TEAM, "owner", ("absent",), PASSWORD, NotFound),
        (EMAIL, TEAM, "owner", (), Secret("short"), InputRefused),
        (EMAIL, TEAM, "owner", (), Secret("asv_looks_like_a_token"), InputRefused),
        (EMAIL, TEAM, "owner", (), Secret("with a tab \t inside it"), InputRefused),
        ("taken@acme.test", TEAM, "owner", (), PASSWORD, Conflict),
        ("TAKEN@Acme.Test", TEAM, "owner", (), PASSWORD, Conflict),
    ],
)
async def test_a_member_is_refused(
    house: Installation,
    email: str,
    team: str,
    role: str,
    apps: tuple[str, ...],
    password: Secret,
    error: type[InputRefused],
) -> None:
    """Nothing is written and nothing told when an address, team, role, app or password is not acceptable."""
    await add(house, "taken@acme.test")
    told, before = len(house.told), await house.everything_stored()

    with pytest.raises(error):
        await house.members.add(email, team, role, apps, password, house.operation())
    assert told == len(house.told)
    assert before == await house.everything_stored()


async def test_limits_name_apps_of_the_own_team_only(house: Installation) -> None:
    """Another team's app is as absent as one that does not exist: the same sentence."""
    await house.teams.create("rivals", None, house.operation())
    await house.teams.create_app("theirs", "rivals", None, house.operation())

    sentences = set()
    for app in ("theirs", "absent"):
        with pytest.raises(NotFound) as refused:
            await add(house, EMAIL, "viewer", app)
        sentences.add(str(refused.value).replace(app, "APP"))
    assert 1 == len(sentences)


async def test_members_are_listed_by_address(house: Installation) -> None:
    """A list has everybody of the team, disabled ones too, and nobody who was removed."""
    for name in ("zoe", "ann", "bob"):
        await add(house, f"{name}@acme.test", "viewer")
    await house.members.disable("bob@acme.test", house.operation())
    await house.members.remove("ann@acme.test", house.operation())

    assert ["bob@acme.test", "zoe@acme.test"] == [m.email for m in await house.all_members(OPERATOR, TEAM)]
    with pytest.raises(NotFound):
        await house.all_members(OPERATOR, "nobodys")


async def test_disabling_refuses_at_once_and_says_so(house: Installation) -> None:
    """A remembered password opens nothing at the first use after the answer, and its owner learns why."""
    await add(house)
    await house.gets(PASSWORD, EMAIL)
    await house.members.disable(EMAIL, house.operation())

    assert DENIED == await house.gets(PASSWORD, EMAIL)
    assert f"the account {EMAIL} was disabled on 2026-08-01 12:00 UTC; ask an owner of {TEAM}" == await house.why(
        PASSWORD, EMAIL
    )
    assert REFUSED == await house.gets("not the password!", EMAIL)


async def test_enabling_lets_the_same_password_in_again(house: Installation) -> None:
    """Disabling and enabling twice changes nothing more than once each, and is told once each."""
    await add(house)
    for _ in range(2):
        await house.members.disable(EMAIL, house.operation())
        house.pass_time(hours=1)
    for _ in range(2):
        await house.members.enable(EMAIL, house.operation())

    assert "delete,pull,push" == await house.gets(PASSWORD, EMAIL)
    assert ["member.added", "member.disabled", "member.enabled"] == [e.event for e in house.told[3:]]


async def test_a_role_counts_from_the_next_request(house: Installation) -> None:
    """A demoted owner pulls and nothing else; limits stay unless they are changed."""
    await add(house, EMAIL, "owner", APP)
    await house.gets(PASSWORD, EMAIL)
    await house.members.set_role(EMAIL, "viewer", None, house.operation())

    assert "pull" == await house.gets(PASSWORD, EMAIL)
    assert "" == await house.gets(PASSWORD, EMAIL, f"repository:{OTHER_APP}/x:pull")
    await house.members.set_role(EMAIL, "viewer", [OTHER_APP], house.operation())
    assert "" == await house.gets(PASSWORD, EMAIL)
    await house.members.set_role(EMAIL, "owner", [], house.operation())
    assert "delete,pull,push" == await house.gets(PASSWORD, EMAIL)


@pytest.mark.parametrize(("role", "apps"), [("king", None), ("viewer", ["absent"]), ("viewer", ["Bad Slug"])])
async def test_a_wrong_role_or_limit_changes_nothing(house: Installation, role: str, apps: list[str] | None) -> None:
    """A refused change leaves the member as it was, epoch included."""
    before = await add(house)

    with pytest.raises(InputRefused):
        await house.members.set_role(EMAIL, role, apps, house.operation())
    assert [before] == await house.all_members(OPERATOR, TEAM)


async def test_a_new_password_ends_the_old_one_at_once_a_hundred_times(house: Installation) -> None:
    """In a hundred changes the old password, remembered a moment before, never works once after the answer."""
    await add(house)
    old, outcomes = PASSWORD, []
    for number in range(100):
        assert "delete,pull,push" == await house.gets(old, EMAIL)
        new = Secret(f"correct horse battery {number}")
        await house.members.set_password(EMAIL, new, house.operation())
        outcomes.append(await house.gets(old, EMAIL))
        old = new

    assert [REFUSED] * 100 == outcomes


async def test_an_unacceptable_password_keeps_the_old_one(house: Installation) -> None:
    """A password that breaks the rules changes nothing."""
    await add(house)

    with pytest.raises(InputRefused, match="15 to 1,024 bytes"):
        await house.members.set_password(EMAIL, Secret("short"), house.operation())
    assert "delete,pull,push" == await house.gets(PASSWORD, EMAIL)


async def test_the_same_password_again_still_ends_what_was_signed_in(house: Installation) -> None:
    """Setting the same password is a change: a sign-in kept before does not outlive it."""
    await add(house)
    kept = (await house.ask(PASSWORD, EMAIL, offline=True)).response.refresh_token
    assert kept is not None
    await house.members.set_password(EMAIL, PASSWORD, house.operation())

    assert REFUSED == await house.gets(kept)
    assert "delete,pull,push" == await house.gets(PASSWORD, EMAIL)


async def test_a_removed_member_is_nobody(house: Installation) -> None:
    """The password of somebody who left is as wrong as one that never was, and the address is free."""
    await add(house)
    await house.members.remove(EMAIL, house.operation())

    assert REFUSED == await house.gets(PASSWORD, EMAIL)
    with pytest.raises(NotFound):
        await house.members.remove(EMAIL, house.operation())
    again = await add(house, role="viewer")
    assert 1 == again.epoch
    assert "pull" == await house.gets(PASSWORD, EMAIL)


@pytest.mark.parametrize("change", ["disable", "enable", "remove", "set_role", "set_password"])
async def test_changing_nobody_is_refused(house: Installation, change: str) -> None:
    """Every change of a stranger says that no member has the address, and how to look."""
    arguments = {"set_role": ("viewer", None), "set_password": (NEW_PASSWORD,)}.get(change, ())

    with pytest.raises(NotFound, match=r"no member has the address .stranger@acme\.test."):
        await getattr(house.members, change)("stranger@acme.test", *arguments, house.operation())


async def test_rejoining_takes_nothing_over(house: Installation) -> None:
    """Who joins again with the same address has a new id, and nothing from the first time works (threat 14)."""
    first = await add(house)
    _, personal = await house.tokens.create("laptop", EMAIL, None, None, house.operation())
    kept = (await house.ask(PASSWORD, EMAIL, offline=True)).response.refresh_token
    assert kept is not None
    _, machine = await house.service_accounts.create(
        "ci", TEAM, [f"{APP}/**:pull"], None, None, house.operation(Actor.of_member(first))
    )
    reset = await house.links.reset(EMAIL, house.operation())
    await confirmed(house.members.remove, EMAIL, house.operation())
    second = await add(house)

    assert first.id != second.id
    assert [REFUSED, REFUSED, DENIED] == [await house.gets(secret) for secret in (personal, kept, machine)]
    assert [] == await house.all_tokens(OPERATOR, EMAIL, house.now)
    with pytest.raises(InputRefused, match="the link is not valid"):
        await house.links.redeem(reset, NEW_PASSWORD, house.operation())


async def test_of_two_removals_at_once_the_newcomer_survives(house: Installation) -> None:
    """A removal that was overtaken by another one and a new start does not take the address from the newcomer."""
    await add(house)
    overtaken = await house.stores.members.by_email(EMAIL)
    assert overtaken is not None
    await house.members.remove(EMAIL, house.operation())
    removed = await house.stores.members.get(overtaken.record.id)
    assert removed is not None
    newcomer = await add(house)

    with pytest.raises(Conflict):
        await house.stores.members.remove(removed, removed.record, house.operation().entry("member.removed"))
    assert [newcomer] == await house.all_members(OPERATOR, TEAM)
    assert "delete,pull,push" == await house.gets(PASSWORD, EMAIL)


async def test_every_change_is_told_with_who_and_no_secret(house: Installation) -> None:
    """The audit learns the actor, the id and the member of each change, and nothing that logs in."""
    await add(house)
    for change in ("disable", "enable"):
        await getattr(house.members, change)(EMAIL, house.operation())
    await house.members.set_role(EMAIL, "viewer", [APP], house.operation())
    await house.members.set_password(EMAIL, NEW_PASSWORD, house.operation())
    await house.members.remove(EMAIL, house.operation())

    told = [entry.to_json() for entry in house.told[3:]]
    assert [
        "member.added",
        "member.disabled",
        "member.enabled",
        "member.role_set",
        "member.password_set",
        "member.removed",
    ] == [line["event"] for line in told]
    assert {("system:authsvc", TEAM)} == {(line["actor"], line["team"]) for line in told}
    assert 1 == len({line["member"] for line in told})
    assert len(told) == len({line["id"] for line in told})
    assert NEW_PASSWORD.reveal() not in await house.everything_stored()


async def test_a_member_is_named_by_the_id_too(house: Installation) -> None:
    """Every change takes the id in place of the address; a removed member is shown by it, and changed no more."""
    other, member = await add(house), await add(house, "bob@acme.test", "viewer")
    members = house.members
    assert [member, member] == [await members.show(OPERATOR, name) for name in (member.id, "Bob@acme.test")]
    await members.set_role(member.id, "developer", None, house.operation())
    await members.disable(member.id, house.operation())
    await members.enable(member.id, house.operation())
    await members.set_password(member.id, NEW_PASSWORD, house.operation())
    assert "pull,push" == await house.gets(NEW_PASSWORD, "bob@acme.test")
    removed = await members.remove(member.id, house.operation())

    assert removed == await members.show(OPERATOR, member.id)
    with pytest.raises(NotFound, match=f"there is no member '{member.id}'"):
        await members.enable(member.id, house.operation())
    with pytest.raises(NotFound):
        await members.show(OPERATOR, "bob@acme.test")
    assert [other.id] == [one.id for one in await house.all_members(OPERATOR, TEAM)]
