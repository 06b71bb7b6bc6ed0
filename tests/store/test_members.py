"""Members and their credentials: each record comes back whole, once, under its index; no change overwrites another."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.errors import Conflict
from authsvc.manage.stores import Stores
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.records import Records
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
from authsvc.tenancy.versioned import Versioned
from authsvc.wiring.stores import make_stores
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
    token=TOKEN.id,
)


def entry(operation_id: str) -> Entry:
    """Return what the audit is told of a change."""
    return Entry(operation_id, NOW, "test.done", "system:authsvc")


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to a server that holds one of everything."""
    async with connected("--appendfsync", "no") as opened:
        stores = make_stores(Records(opened, Codec()))
        await stores.members.add(MEMBER, entry("op-1"))
        owner = await stores.members.get(MEMBER.id)
        assert owner is not None
        await stores.personal_tokens.add(TOKEN, owner, None, entry("op-2"))
        await stores.service_accounts.add(ACCOUNT, entry("op-3"))
        await stores.sign_ins.add(SIGN_IN, 20, REFRESH_WINDOW, 1000, entry("op-4"))
        await stores.links.add(LINK, 1000, entry("op-5"))
        yield opened


@pytest.fixture
def stores(connection: Connection) -> Stores:
    """Return what reads and writes there."""
    return make_stores(Records(connection, Codec()))


async def test_every_record_comes_back_as_it_was(stores: Stores) -> None:
    """By id, by name and in lists, with times to the microsecond."""
    found = [
        await stores.members.by_email(MEMBER.email),
        await stores.personal_tokens.get(TOKEN.id),
        await stores.service_accounts.by_name("acme-team", "ci"),
        await stores.sign_ins.get(SIGN_IN.id),
        await stores.links.get(LINK.id),
    ]

    assert [MEMBER, TOKEN, ACCOUNT, SIGN_IN, LINK] == [stored.record if stored else None for stored in found]
    assert [MEMBER] == [found.record for found in await stores.members.of_team("acme-team")]
    assert [TOKEN] == await stores.personal_tokens.of_member(MEMBER.id)
    assert [ACCOUNT] == await stores.service_accounts.of_team("acme-team")
    assert [SIGN_IN] == await stores.sign_ins.of_holder(MEMBER.id)


async def test_what_does_not_exist_is_none(stores: Stores) -> None:
    """An unknown name is an answer, and a list of nothing is empty."""
    assert [None] * 6 == [
        await stores.members.by_email("nobody@acme.test"),
        await stores.members.get("0" * 16),
        await stores.personal_tokens.get("0" * 16),
        await stores.service_accounts.by_name("acme-team", "absent"),
        await stores.sign_ins.get("0" * 16),
        await stores.links.get("0" * 16),
    ]
    assert [] == await stores.members.of_team("absent")
    assert [] == await stores.sign_ins.of_holder("0" * 16)
    assert {} == await stores.usage.used_at([])
    assert {} == await stores.usage.used_at(["0" * 16])


async def replace_member(stores: Stores, stored: Versioned[Member]) -> None:
    """Change a member."""
    await stores.members.replace(stored, evolve(MEMBER, role=Role.VIEWER), entry("op-x"))


async def remove_member(stores: Stores, stored: Versioned[Member]) -> None:
    """Remove a member."""
    await stores.members.remove(stored, evolve(MEMBER, removed_at=NOW), entry("op-x"))


async def add_token(stores: Stores, stored: Versioned[Member]) -> None:
    """Make a token for a member."""
    await stores.personal_tokens.add(evolve(TOKEN, id="q" * 16, name="x"), stored, None, entry("op-x"))


async def accept_reset(stores: Stores, stored: Versioned[Member]) -> None:
    """Set a password by a link."""
    link = await stores.links.get(LINK.id)
    assert link is not None
    await stores.links.accept_reset(link, stored, evolve(MEMBER, epoch=9), entry("op-x"))


@pytest.mark.parametrize("work", [replace_member, remove_member, add_token, accept_reset])
async def test_no_change_is_made_from_behind(
    stores: Stores, work: Callable[[Stores, Versioned[Member]], Awaitable[None]]
) -> None:
    """Whatever rests on a member as it was is refused once the member has changed, and changes nothing."""
    behind = await stores.members.by_email(MEMBER.email)
    assert behind is not None
    newer = evolve(MEMBER, epoch=2)
    await stores.members.replace(behind, newer, entry("op-6"))

    with pytest.raises(Conflict):
        await work(stores, behind)
    assert [newer] == [found.record for found in await stores.members.of_team("acme-team")]
    assert [TOKEN] == await stores.personal_tokens.of_member(MEMBER.id)
    assert await stores.links.get(LINK.id) is not None


@pytest.mark.parametrize("kind", ["personal_tokens", "sign_ins", "service_accounts"])
async def test_of_two_changes_at_once_one_is_refused(stores: Stores, kind: str) -> None:
    """A revocation is never overwritten by somebody who has read the record before it."""
    store: Any = getattr(stores, kind)

    async def read() -> Any:
        by_id = {"personal_tokens": TOKEN.id, "sign_ins": SIGN_IN.id}
        return await (store.get(by_id[kind]) if kind in by_id else store.by_name("acme-team", "ci"))

    stored = await read()
    await store.replace(stored, evolve(stored.record, revoked_at=NOW), entry("op-6"))

    with pytest.raises(Conflict, match="changed at the same moment"):
        await store.replace(stored, evolve(stored.record, created_at=LATER), entry("op-7"))
    assert NOW == (await read()).record.revoked_at


async def test_a_removed_member_leaves_the_address_and_no_list(stores: Stores) -> None:
    """The record stays for ever, so the id is never given again; nothing but the id leads to it."""
    stored = await stores.members.by_email(MEMBER.email)
    assert stored is not None
    removed = evolve(MEMBER, removed_at=NOW, epoch=2)
    await stores.members.remove(stored, removed, entry("op-6"))
    left = await stores.members.get(MEMBER.id)

    assert left is not None
    assert removed == left.record
    assert await stores.members.by_email(MEMBER.email) is None
    assert [] == await stores.members.of_team("acme-team")
    assert await stores.links.get(LINK.id) is None


async def test_only_the_newest_link_of_an_address_is_found(stores: Stores) -> None:
    """An older one is as absent as one that never was."""
    await stores.links.add(evolve(LINK, id="j" * 16), 1000, entry("op-6"))

    assert await stores.links.get(LINK.id) is None
    assert await stores.links.get("j" * 16) is not None


async def test_two_members_of_one_address_are_never_made(stores: Stores, connection: Connection) -> None:
    """Neither by hand nor by a link that was made before."""
    other = evolve(MEMBER, id="n" * 16)
    link = await stores.links.get(LINK.id)
    assert link is not None

    with pytest.raises(Conflict, match="is a member already"):
        await stores.members.add(other, entry("op-6"))
    with pytest.raises(Conflict, match="is a member already"):
        await stores.links.accept_invite(link, other, entry("op-7"))
    assert await stores.members.get(other.id) is None


async def test_records_with_an_end_are_forgotten_by_the_store_too(stores: Stores, connection: Connection) -> None:
    """Links and sign-ins are swept by themselves, also after a change; the rest stays until it is removed."""
    stored = await stores.sign_ins.get(SIGN_IN.id)
    assert stored is not None
    await stores.sign_ins.replace(stored, evolve(SIGN_IN, revoked_at=NOW), entry("op-6"))
    swept = {}
    names: list[Any] = await connection.redis.keys("authsvc:*")
    for name in names:
        swept[name.decode().split(":")[1]] = await connection.redis.ttl(name) > 0

    assert {"refresh-token", "member-refresh-tokens", "link", "pending-link", "team-links", "op"} == {
        kind for kind, is_swept in swept.items() if is_swept
    }


async def test_names_of_keys_hold_no_address_and_no_name(connection: Connection) -> None:
    """What people typed is hashed in keys (threat 15); only slugs and ids stand there as they are."""
    found: list[Any] = await connection.redis.keys("*")
    names = b" ".join(found).decode()

    assert "@" not in names
    assert "laptop" not in names
