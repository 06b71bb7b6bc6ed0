"""Credentials in the store: each record comes back whole, once, under its index, and never from behind a change."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict
from authsvc.store.codec import Codec, Stored
from authsvc.store.connection import Connection
from authsvc.store.credential_directory import RedisCredentials
from authsvc.store.directory import RedisDirectory
from authsvc.tenancy.machine_records import (
    REFRESH_WINDOW,
    ApiAccess,
    Grant,
    LinkPurpose,
    OneTimeLink,
    PersonalToken,
    RefreshToken,
    ServiceAccount,
)
from authsvc.tenancy.records import Member, Role, TokenDigest
from tests.support.builders import NOW, make_member
from tests.support.redis_server import connected

LATER = NOW + timedelta(days=3, microseconds=7)
MEMBER = make_member(apps=("acme", "annex"))
TOKEN = PersonalToken("p" * 16, "Zoë's laptop", MEMBER.id, "ab" * 32, NOW, LATER, ApiAccess.READ)
ACCOUNT = ServiceAccount(
    id="s" * 16,
    name="ci",
    team="acme-team",
    grants=(Grant("acme", "**", ("pull", "push")), Grant("acme", "proxy/hub/*", ("pull",))),
    tokens=(TokenDigest(2, "cd" * 32), TokenDigest(1, "ef" * 32, LATER)),
    created_at=NOW,
    creator=MEMBER.id,
    expires_at=LATER,
    api=ApiAccess.MANAGE,
)
SIGN_IN = RefreshToken("r" * 16, MEMBER.id, 1, "01" * 32, NOW, "docker")
LINK = OneTimeLink(
    id="k" * 16,
    purpose=LinkPurpose.RESET,
    sha256="23" * 32,
    team="acme-team",
    email=MEMBER.email,
    role=Role.OWNER,
    apps=("acme",),
    created_at=NOW,
    expires_at=LATER,
    creator="c" * 16,
    member=MEMBER.id,
    epoch=1,
)


def entry(operation_id: str) -> Entry:
    """Return what the audit is told of a change."""
    return Entry(operation_id, NOW, "test.done", "system:authsvc")


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to a server that holds one of everything."""
    async with connected("--appendfsync", "no") as opened:
        credentials = RedisCredentials(opened, Codec())
        await RedisDirectory(opened, Codec()).add_member(MEMBER, entry("op-1"))
        owner = await credentials.member_of_id(MEMBER.id)
        assert owner is not None
        await credentials.add_personal_token(TOKEN, owner, None, entry("op-2"))
        await credentials.add_service_account(ACCOUNT, entry("op-3"))
        await credentials.add_refresh_token(SIGN_IN, 20, REFRESH_WINDOW, 1000, entry("op-4"))
        await credentials.add_link(LINK, 1000, entry("op-5"))
        yield opened


@pytest.fixture
def credentials(connection: Connection) -> RedisCredentials:
    """Return what reads and writes there."""
    return RedisCredentials(connection, Codec())


async def test_every_record_comes_back_as_it_was(credentials: RedisCredentials) -> None:
    """By id, by name and in lists, with times to the microsecond."""
    found = [
        await credentials.member(MEMBER.email),
        await credentials.personal_token(TOKEN.id),
        await credentials.service_account("acme-team", "ci"),
        await credentials.refresh_token(SIGN_IN.id),
        await credentials.link(LINK.id),
    ]

    assert [MEMBER, TOKEN, ACCOUNT, SIGN_IN, LINK] == [stored.record if stored else None for stored in found]
    assert [MEMBER] == await credentials.members("acme-team")
    assert [TOKEN] == await credentials.personal_tokens(MEMBER.id)
    assert [ACCOUNT] == await credentials.service_accounts("acme-team")
    assert [SIGN_IN] == await credentials.refresh_tokens(MEMBER.id)


async def test_what_does_not_exist_is_none(credentials: RedisCredentials) -> None:
    """An unknown name is an answer, and a list of nothing is empty."""
    assert [None] * 6 == [
        await credentials.member("nobody@acme.test"),
        await credentials.member_of_id("0" * 16),
        await credentials.personal_token("0" * 16),
        await credentials.service_account("acme-team", "absent"),
        await credentials.refresh_token("0" * 16),
        await credentials.link("0" * 16),
    ]
    assert [] == await credentials.members("absent")
    assert [] == await credentials.refresh_tokens("0" * 16)
    assert {} == await credentials.used_at([])
    assert {} == await credentials.used_at(["0" * 16])


async def replace_member(credentials: RedisCredentials, stored: Stored[Member]) -> None:
    """Change a member."""
    await credentials.replace_member(stored, evolve(MEMBER, role=Role.VIEWER), entry("op-x"))


async def remove_member(credentials: RedisCredentials, stored: Stored[Member]) -> None:
    """Remove a member."""
    await credentials.remove_member(stored, evolve(MEMBER, removed_at=NOW), entry("op-x"))


async def add_token(credentials: RedisCredentials, stored: Stored[Member]) -> None:
    """Make a token for a member."""
    await credentials.add_personal_token(evolve(TOKEN, id="q" * 16, name="x"), stored, None, entry("op-x"))


async def accept_reset(credentials: RedisCredentials, stored: Stored[Member]) -> None:
    """Set a password by a link."""
    link = await credentials.link(LINK.id)
    assert link is not None
    await credentials.accept_reset(link, stored, evolve(MEMBER, epoch=9), entry("op-x"))


@pytest.mark.parametrize("work", [replace_member, remove_member, add_token, accept_reset])
async def test_no_change_is_made_from_behind(
    credentials: RedisCredentials, work: Callable[[RedisCredentials, Stored[Member]], Awaitable[None]]
) -> None:
    """Whatever rests on a member as it was is refused once the member has changed, and changes nothing."""
    behind = await credentials.member(MEMBER.email)
    assert behind is not None
    newer = evolve(MEMBER, epoch=2)
    await credentials.replace_member(behind, newer, entry("op-6"))

    with pytest.raises(Conflict):
        await work(credentials, behind)
    assert [newer] == await credentials.members("acme-team")
    assert [TOKEN] == await credentials.personal_tokens(MEMBER.id)
    assert await credentials.link(LINK.id) is not None


@pytest.mark.parametrize("kind", ["personal_token", "refresh_token", "service_account"])
async def test_of_two_changes_at_once_one_is_refused(credentials: RedisCredentials, kind: str) -> None:
    """A revocation is never overwritten by somebody who has read the record before it."""
    name = ("acme-team", "ci") if kind == "service_account" else (TOKEN.id if kind == "personal_token" else SIGN_IN.id,)
    stored = await getattr(credentials, kind)(*name)
    replace = getattr(credentials, f"replace_{kind}")
    await replace(stored, evolve(stored.record, revoked_at=NOW), entry("op-6"))

    with pytest.raises(Conflict, match="somebody else changed it"):
        await replace(stored, evolve(stored.record, created_at=LATER), entry("op-7"))
    assert NOW == (await getattr(credentials, kind)(*name)).record.revoked_at


async def test_a_removed_member_leaves_the_address_and_no_list(credentials: RedisCredentials) -> None:
    """The record stays for ever, so the id is never given again; nothing but the id leads to it."""
    stored = await credentials.member(MEMBER.email)
    assert stored is not None
    removed = evolve(MEMBER, removed_at=NOW, epoch=2)
    await credentials.remove_member(stored, removed, entry("op-6"))
    left = await credentials.member_of_id(MEMBER.id)

    assert left is not None
    assert removed == left.record
    assert await credentials.member(MEMBER.email) is None
    assert [] == await credentials.members("acme-team")
    assert await credentials.link(LINK.id) is None


async def test_only_the_newest_link_of_an_address_is_found(credentials: RedisCredentials) -> None:
    """An older one is as absent as one that never was."""
    await credentials.add_link(evolve(LINK, id="j" * 16), 1000, entry("op-6"))

    assert await credentials.link(LINK.id) is None
    assert await credentials.link("j" * 16) is not None


async def test_two_members_of_one_address_are_never_made(credentials: RedisCredentials, connection: Connection) -> None:
    """Neither by hand nor by a link that was made before."""
    other = evolve(MEMBER, id="n" * 16)
    link = await credentials.link(LINK.id)
    assert link is not None

    with pytest.raises(Conflict, match="is a member already"):
        await RedisDirectory(connection, Codec()).add_member(other, entry("op-6"))
    with pytest.raises(Conflict, match="is a member already"):
        await credentials.accept_invite(link, other, entry("op-7"))
    assert await credentials.member_of_id(other.id) is None


async def test_records_with_an_end_are_forgotten_by_the_store_too(
    credentials: RedisCredentials, connection: Connection
) -> None:
    """Links and sign-ins are swept by themselves, also after a change; the rest stays until it is removed."""
    stored = await credentials.refresh_token(SIGN_IN.id)
    assert stored is not None
    await credentials.replace_refresh_token(stored, evolve(SIGN_IN, revoked_at=NOW), entry("op-6"))
    swept = {}
    names: list[Any] = await connection.redis.keys("authsvc:*")
    for name in names:
        swept[name.decode().split(":")[1]] = await connection.redis.ttl(name) > 0

    assert {"refresh-token", "link", "pending-link", "op"} == {kind for kind, is_swept in swept.items() if is_swept}


async def test_names_of_keys_hold_no_address_and_no_name(connection: Connection) -> None:
    """What people typed is hashed in keys (threat 15); only slugs and ids stand there as they are."""
    found: list[Any] = await connection.redis.keys("*")
    names = b" ".join(found).decode()

    assert "@" not in names
    assert "laptop" not in names
