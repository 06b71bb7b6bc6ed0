"""Personal tokens: what a member's tools hold, how long it works, and what ends it."""

import asyncio
from datetime import datetime, timedelta

import pytest

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.errors import Conflict, InputRefused, NotFound, PermissionDenied
from authsvc.manage.actor import Actor
from authsvc.manage.tokens import MAX_PERSONAL_TOKENS, Tokens
from authsvc.redaction import Secret
from authsvc.store.personal_tokens import RedisPersonalTokens
from authsvc.tenancy.machine_records import (
    ApiAccess,
    PersonalToken,
)
from tests.support.builders import PASSWORD, make_personal_token
from tests.support.installation import APP, DENIED, OPERATOR, OTHER_APP, REFUSED, TEAM, Installation
from tests.support.stores import replaced

EMAIL = "ann@acme.test"
ALL = "delete,pull,push"


async def owner(house: Installation, email: str = EMAIL) -> str:
    """Add an owner and return the subject."""
    return (await house.members.add(email, TEAM, "owner", (), PASSWORD, house.operation())).subject


async def personal(house: Installation, name: str = "laptop", expires: str | None = None) -> tuple[str, Secret]:
    """Make a personal token and return its id and secret."""
    token, secret = await house.tokens.create(name, EMAIL, expires, None, house.operation())
    return token.id, secret


async def sign_in(house: Installation, email: str = EMAIL) -> Secret:
    """Sign in as docker login does and return the refresh token."""
    house.pass_time(seconds=1)
    kept = (await house.ask(PASSWORD, email, offline=True)).response.refresh_token
    assert kept is not None
    return kept


def id_of(secret: Secret) -> str:
    """Return the id inside a secret."""
    parsed = MachineSecret.parse(secret.reveal())
    assert parsed is not None
    return parsed.id


async def test_a_personal_token_is_its_member_now(house: Installation) -> None:
    """It may do what the member may do at that moment, and follows every change."""
    await owner(house)
    _, secret = await personal(house)
    assert ALL == await house.gets(secret)
    await house.members.set_role(EMAIL, "viewer", [OTHER_APP], house.operation())
    assert ["", "pull"] == [await house.gets(secret, scope=f"repository:{app}/x:pull,push") for app in (APP, OTHER_APP)]
    await house.members.disable(EMAIL, house.operation())
    assert DENIED == await house.gets(secret)
    await house.members.enable(EMAIL, house.operation())
    await house.members.set_password(EMAIL, Secret("another password of hers"), house.operation())
    assert "" == await house.gets(secret)
    await house.members.remove(EMAIL, house.operation())

    assert REFUSED == await house.gets(secret)


async def test_revoking_ends_it_at_once_and_says_so(house: Installation) -> None:
    """The first use after the answer is refused with the reason; a second revocation keeps the first time."""
    await owner(house)
    token_id, secret = await personal(house)
    await house.tokens.revoke(token_id, house.operation())
    sentence = await house.why(secret)
    house.pass_time(hours=2)
    await house.tokens.revoke(token_id, house.operation())

    assert sentence == await house.why(secret)
    revoked = f"the token laptop of {EMAIL} was revoked on 2026-08-01 12:00 UTC"
    assert sentence == f"{revoked}; create a new one, or ask an owner of acme-team"
    assert 1 == len([entry for entry in house.told if entry.event == "token.revoked"])


async def test_an_end_is_exact(house: Installation) -> None:
    """It works one microsecond before its end, with a registry token no longer than that, and not at its end."""
    await owner(house)
    _, secret = await personal(house, expires="2026-09-01")
    house.now = datetime.fromisoformat("2026-08-31T23:59:59.999999+00:00")
    assert datetime.fromisoformat("2026-09-01T00:00:00+00:00") == (await house.ask(secret)).claims.expires_at
    house.pass_time(microseconds=1)

    assert "expired on 2026-09-01;" in await house.why(secret)


@pytest.mark.parametrize(
    ("name", "email", "expires", "api", "error"),
    [
        ("", EMAIL, None, None, InputRefused),
        ("two\nlines", EMAIL, None, None, InputRefused),
        ("x" * 201, EMAIL, None, None, InputRefused),
        ("laptop", "stranger@acme.test", None, None, NotFound),
        ("laptop", "no address", None, None, InputRefused),
        ("laptop", EMAIL, "soon", None, InputRefused),
        ("laptop", EMAIL, "2020-01-01", None, InputRefused),
        ("laptop", EMAIL, None, "write", InputRefused),
        ("taken", EMAIL, None, None, Conflict),
    ],
)
async def test_a_token_is_refused(
    house: Installation, name: str, email: str, expires: str | None, api: str | None, error: type[InputRefused]
) -> None:
    """Nothing is written when a name, member, end or API access is not acceptable."""
    await owner(house)
    await personal(house, "taken")
    before = await house.everything_stored()

    with pytest.raises(error):
        await house.tokens.create(name, email, expires, api, house.operation())
    assert before == await house.everything_stored()


async def test_of_sixteen_tokens_of_one_name_at_once_one_is_made(house: Installation) -> None:
    """A name means one live token, however many ask for it at the same instant."""
    await owner(house)
    all_have_looked = asyncio.Barrier(16)

    class Racing(RedisPersonalTokens):
        async def of_member(self, member_id: str) -> list[PersonalToken]:
            found = await RedisPersonalTokens.of_member(self, member_id)
            await all_have_looked.wait()
            return found

    tokens = Tokens(replaced(house.stores, personal_tokens=Racing(house.records)))
    racers = (tokens.create("laptop", EMAIL, None, None, house.operation()) for _ in range(16))
    results = await asyncio.gather(*racers, return_exceptions=True)

    assert 15 == len([result for result in results if isinstance(result, Conflict)])
    assert ["laptop"] == [line.name for line in await house.all_tokens(OPERATOR, EMAIL, house.now)]


@pytest.mark.parametrize("end", ["revoked", "expired"])
async def test_a_name_is_free_again_when_its_token_has_ended(house: Installation, end: str) -> None:
    """A new token of an old name has another id and secret, and the old one stays ended."""
    await owner(house)
    old_id, old = await personal(house, expires="1d")
    if end == "revoked":
        await house.tokens.revoke(old_id, house.operation())
    else:
        house.pass_time(days=1)
    new_id, new = await personal(house)

    assert old_id != new_id
    assert [DENIED, ALL] == [await house.gets(old), await house.gets(new)]
    with pytest.raises(Conflict, match="has a token 'laptop' already"):
        await personal(house)


async def test_the_number_of_live_tokens_is_bounded(house: Installation) -> None:
    """A hundred are enough; ended ones do not count."""
    await owner(house)
    made = [await personal(house, f"tool {number}") for number in range(MAX_PERSONAL_TOKENS)]
    with pytest.raises(Conflict, match="has 100 live tokens"):
        await personal(house, "one more")
    await house.tokens.revoke(made[0][0], house.operation())

    assert ALL == await house.gets((await personal(house, "one more"))[1])


@pytest.mark.parametrize("token_id", ["", "absent", "*", "0" * 16, "é" * 16, "0" * 15 + ":", "ref:" + "0" * 16])
async def test_revoking_what_is_not_there_is_refused(house: Installation, token_id: str) -> None:
    """Only something of the form of an id is ever looked up."""
    await owner(house)
    await personal(house)

    with pytest.raises(NotFound, match="there is no token"):
        await house.tokens.revoke(token_id, house.operation())


async def test_revoking_a_license_or_an_account_by_mistake_is_refused(house: Installation) -> None:
    """`token revoke` knows members' tokens and nothing else."""
    account, secret = await house.service_accounts.create("ci", TEAM, [f"{APP}/**:pull"], None, None, house.operation())

    with pytest.raises(NotFound):
        await house.tokens.revoke(account.id, house.operation())
    assert "pull" == await house.gets(secret)


async def test_the_list_has_what_is_live_and_when_it_was_used(house: Installation) -> None:
    """Ended tokens and other people's are left out; each line names its kind, end and last use."""
    await owner(house)
    await owner(house, "bob@acme.test")
    await house.tokens.create("his", "bob@acme.test", None, None, house.operation())
    for name, expires in (("short", "1d"), ("gone", None), ("kept", "90d")):
        await personal(house, name, expires)
    gone = next(line for line in await house.all_tokens(OPERATOR, EMAIL, house.now) if line.name == "gone")
    await house.tokens.revoke(gone.id, house.operation())
    kept = await sign_in(house)
    house.pass_time(days=1)
    await house.gets(kept)
    await house.usage.flush()

    lines = await house.all_tokens(OPERATOR, EMAIL, house.now)
    assert [("personal", "kept", None), ("sign-in", "docker", house.now)] == [
        (x.kind, x.name, x.used_at) for x in lines
    ]


async def test_one_is_shown_by_its_id_to_its_owner(house: Installation) -> None:
    """A personal token and a sign-in, live or ended, with the last use; other members get the answer for none."""
    for email in (EMAIL, "bob@acme.test"):
        await owner(house, email)
    ann, bob = [await house.members.show(OPERATOR, email) for email in (EMAIL, "bob@acme.test")]
    token, _ = await house.tokens.create("laptop", ann.id, "1d", "read", house.operation(Actor.of_member(ann)))
    kept = await sign_in(house)
    await house.gets(kept)
    await house.usage.flush()
    shown = [await house.tokens.show(Actor.of_member(ann), one, house.now) for one in (token.id, id_of(kept))]
    assert [("laptop", True, None, "read"), ("docker", True, house.now, None)] == [
        (line.name, line.live, line.used_at, line.api) for line in shown
    ]
    house.pass_time(days=100)

    for one in (token.id, id_of(kept)):
        assert not (await house.tokens.show(Actor.of_member(ann), one, house.now)).live
        with pytest.raises(NotFound, match=f"there is no token '{one}'"):
            await house.tokens.show(Actor.of_member(bob), one, house.now)


async def test_secrets_are_stored_hashed_only(house: Installation) -> None:
    """Neither Redis nor the audit holds what logs in."""
    await owner(house)
    secrets = [(await personal(house))[1], await sign_in(house)]
    everything = await house.everything_stored() + repr([entry.to_json() for entry in house.told])

    assert not [secret for secret in secrets if secret.reveal()[25:60] in everything]


async def test_use_is_noted_in_batches_and_a_lost_batch_harms_nothing(house: Installation) -> None:
    """A thousand uses are one write; while the store is away they are forgotten, and the next use says the same."""
    await owner(house)
    _, secret = await personal(house)
    token_id = id_of(secret)
    for _ in range(3):
        house.pass_time(seconds=1)
        await house.gets(secret)
    assert {} == await house.stores.usage.used_at([token_id])
    await house.usage.flush()

    assert {token_id: house.now} == await house.stores.usage.used_at([token_id])
    assert timedelta(days=300) < timedelta(seconds=await house.connection.redis.ttl(f"authsvc:used:{token_id}"))


async def test_a_token_revokes_tokens_and_ends_no_sign_in(house: Installation) -> None:
    """Sign-ins are for a member who signed in in person, as the password is."""
    member = await house.members.add(EMAIL, TEAM, "owner", (), PASSWORD, house.operation())
    token_id, _ = await personal(house)
    kept = await sign_in(house)
    by_token = Actor.of_personal_token(make_personal_token(member=member.id, api=ApiAccess.MANAGE), member, house.now)
    await house.tokens.revoke(token_id, house.operation(by_token))

    with pytest.raises(PermissionDenied, match="a token may not end a sign-in"):
        await house.tokens.revoke(id_of(kept), house.operation(by_token))
    assert ALL == await house.gets(kept)
    await house.tokens.revoke(id_of(kept), house.operation(Actor.of_member(member)))
    assert ALL != await house.gets(kept)
