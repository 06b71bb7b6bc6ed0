"""Pages of teams, apps, members, tokens and service accounts, before the indexes are settled and after."""

import itertools
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret
from authsvc.store.codec import Codec
from authsvc.store.records import Records
from authsvc.tenancy.machine_records import PersonalToken, ServiceAccount
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App, Member, Role, Team, TokenDigest
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW
from tests.support.migrated import migrate
from tests.support.old_records import forget_indexes
from tests.support.redis_server import connected

_serial = itertools.count()
OWNER = Member("m" * 16, "zoe@acme.test", "acme", Role.OWNER, None, Secret("$x"), 1, NOW)
MANY = 23


def entry() -> Entry:
    """Return what the audit records of a change."""
    return Entry(f"op-{next(_serial)}", NOW, "test.done", "system:authsvc")


@pytest.fixture
async def records() -> AsyncIterator[Records]:
    """Yield the records of a store with many of everything."""
    async with connected("--appendfsync", "no") as connection:
        records = Records(connection, Codec())
        stores = make_stores(records)
        await stores.teams.add(Team("acme", "Acme", NOW), entry())
        await stores.members.add(OWNER, entry())
        owner = await stores.members.get(OWNER.id)
        assert owner is not None
        for number in range(MANY):
            await stores.teams.add(Team(f"team-{number:02}", "x", NOW), entry())
            await stores.apps.add(App(f"app-{number:02}", "acme", "x", NOW, NOW if number % 4 == 0 else None), entry())
            some = f"{number:016}"[::-1]
            await stores.members.add(evolve(OWNER, id=some, email=f"a{number}@acme.test"), entry())
            token = PersonalToken(some, f"laptop {number:02}", OWNER.id, "ab" * 32, NOW)
            await stores.personal_tokens.add(token, owner, None, entry())
            account = ServiceAccount(some, f"ci-{number:02}", "acme", (), (TokenDigest(1, "ab" * 32),), NOW)
            await stores.service_accounts.add(account, entry())
        await stores.apps.add(App("zzz-first", "team-03", "x", NOW), entry())
        await stores.apps.add(App("aaa-second", "team-21", "x", NOW), entry())
        gone = await stores.members.by_email("a7@acme.test")
        assert gone is not None
        await stores.members.remove(gone, evolve(gone.record, removed_at=NOW), entry())
        yield records


LISTS: dict[str, tuple[Callable[[Stores, str | None, int], Awaitable[Page[Any]]], Callable[[Any], str], list[str]]] = {
    "teams": (
        lambda stores, after, limit: stores.teams.page(after, limit),
        lambda team: str(team.slug),
        ["acme", *(f"team-{number:02}" for number in range(MANY))],
    ),
    "apps": (
        lambda stores, after, limit: stores.apps.page("acme", after, limit, archived=True),
        lambda app: str(app.slug),
        [f"app-{number:02}" for number in range(MANY)],
    ),
    "apps of all teams": (
        lambda stores, after, limit: stores.apps.page(None, after, limit, archived=True),
        lambda app: str(app.slug),
        [*(f"app-{number:02}" for number in range(MANY)), "zzz-first", "aaa-second"],
    ),
    "apps in use": (
        lambda stores, after, limit: stores.apps.page("acme", after, limit, archived=False),
        lambda app: str(app.slug),
        [f"app-{number:02}" for number in range(MANY) if number % 4],
    ),
    "apps of a limited member": (
        lambda stores, after, limit: stores.apps.page(
            "acme", after, limit, archived=True, only=frozenset({"app-00", "app-22", "other"})
        ),
        lambda app: str(app.slug),
        ["app-00", "app-22"],
    ),
    "members": (
        lambda stores, after, limit: stores.members.page("acme", after, limit),
        lambda member: str(member.email),
        sorted(["zoe@acme.test", *(f"a{number}@acme.test" for number in range(MANY) if number != 7)]),
    ),
    "tokens": (
        lambda stores, after, limit: stores.personal_tokens.page(OWNER.id, after, limit),
        lambda token: str(token.name),
        [f"laptop {number:02}" for number in range(MANY)],
    ),
    "service accounts": (
        lambda stores, after, limit: stores.service_accounts.page("acme", after, limit),
        lambda account: str(account.name),
        [f"ci-{number:02}" for number in range(MANY)],
    ),
}


@pytest.mark.parametrize("state", ["settled", "new", "old"])
async def test_every_list_comes_page_by_page(records: Records, state: str) -> None:
    """Everything once, by slug, address or name."""
    if state == "old":
        await forget_indexes(records)
    if state == "settled":
        await migrate(records)
    for name, (page_of, what, expected) in LISTS.items():
        for limit in (1, 5, 100):
            found, after = list[str](), None
            while True:
                page = await page_of(make_stores(records), after, limit)
                assert len(page.items) <= limit
                found += map(what, page.items)
                after = page.next
                if after is None:
                    break
            assert expected == found, (state, name, limit)
