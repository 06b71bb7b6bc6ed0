"""What the token path reads: two round trips at most, everything of the second as of one instant."""

from collections.abc import AsyncIterator
from datetime import datetime
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.credentials.facts import CredentialFacts
from authsvc.errors import StoreUnavailable
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.facts import RedisCredentialFacts
from authsvc.store.records import Records
from authsvc.tenancy.machine_records import REFRESH_WINDOW, PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.records import License, TokenDigest
from authsvc.wiring.stores import make_stores
from tests.support.builders import NOW, make_app, make_member
from tests.support.redis_server import connected

MEMBER, APP = make_member(), make_app("acme")
TOKEN = PersonalToken("p" * 16, "laptop", MEMBER.id, "ab" * 32, NOW)
SIGN_IN = RefreshToken("r" * 16, MEMBER.id, 1, "01" * 32, NOW)
ACCOUNT = ServiceAccount("s" * 16, "ci", "acme-team", (), (TokenDigest(1, "cd" * 32),), NOW, creator=MEMBER.id)


def entry(operation_id: str) -> Entry:
    """Return what the audit is told of a change."""
    return Entry(operation_id, NOW, "test.done", "system:authsvc")


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to a server that holds one of everything."""
    async with connected("--appendfsync", "no") as opened:
        stores = make_stores(Records(opened, Codec()))
        await stores.apps.add(APP, entry("op-0"))
        await stores.members.add(MEMBER, entry("op-1"))
        owner = await stores.members.get(MEMBER.id)
        assert owner is not None
        await stores.personal_tokens.add(TOKEN, owner, None, entry("op-2"))
        await stores.service_accounts.add(ACCOUNT, entry("op-3"))
        await stores.sign_ins.add(SIGN_IN, 20, REFRESH_WINDOW, 1000, entry("op-4"))
        yield opened


@pytest.mark.parametrize(("record", "used_at"), [(TOKEN, None), (SIGN_IN, NOW), (ACCOUNT, None)])
async def test_a_credential_comes_with_its_member_and_apps(
    connection: Connection, record: Any, used_at: datetime | None
) -> None:
    """Who is behind it, the apps that exist of those asked for, and of what ends when it is idle its last use."""
    facts_reader = RedisCredentialFacts(connection, Codec())
    await connection.redis.set(keys.used(record.id), NOW.isoformat())

    assert record == await facts_reader.credential(type(record), record.id)
    assert CredentialFacts(record, MEMBER, {"acme": APP}, used_at) == await facts_reader.credential_facts(
        type(record), record.id, MEMBER.id, ["absent", "acme"]
    )
    assert CredentialFacts(record, None, {}, used_at) == await facts_reader.credential_facts(
        type(record), record.id, None, []
    )


async def test_an_id_of_another_kind_is_nobody(connection: Connection) -> None:
    """A personal token's id finds no account, license or sign-in, and the other way round."""
    facts_reader = RedisCredentialFacts(connection, Codec())

    kinds: tuple[Any, ...] = (License, RefreshToken, ServiceAccount)
    for kind in kinds:
        assert await facts_reader.credential(kind, TOKEN.id) is None
    assert await facts_reader.credential(PersonalToken, ACCOUNT.id) is None


async def test_the_second_read_is_one_command(connection: Connection) -> None:
    """One MGET: no change can come between the credential, its member and the apps."""
    facts_reader = RedisCredentialFacts(connection, Codec())
    await connection.redis.config_resetstat()
    await facts_reader.credential_facts(ServiceAccount, ACCOUNT.id, MEMBER.id, ["acme"])
    stats = await connection.redis.info("commandstats")

    assert {"cmdstat_mget": 1} == {
        name: facts["calls"] for name, facts in stats.items() if not name.startswith("cmdstat_config")
    }


async def test_a_member_is_found_by_the_address_of_now(connection: Connection) -> None:
    """After a removal nobody has it; after a new start the newcomer does."""
    facts_reader, stores = RedisCredentialFacts(connection, Codec()), make_stores(Records(connection, Codec()))
    stored = await stores.members.by_email(MEMBER.email)
    assert stored is not None
    await stores.members.remove(stored, evolve(MEMBER, removed_at=NOW), entry("op-5"))
    assert (await facts_reader.member_by_email(MEMBER.email, "192.0.2.1"))[0] is None
    newcomer = evolve(MEMBER, id="n" * 16)
    await stores.members.add(newcomer, entry("op-6"))

    assert newcomer == (await facts_reader.member_by_email(MEMBER.email, "192.0.2.1"))[0]


async def test_a_damaged_note_of_use_is_an_error_of_ours(connection: Connection) -> None:
    """Whatever stands in Redis, the token path gets StoreUnavailable and no trace."""
    facts_reader = RedisCredentialFacts(connection, Codec())
    for raw in (b"", b"yesterday", b"\xff", b"2026-08-01"):
        await connection.redis.set(keys.used(SIGN_IN.id), raw)
        with pytest.raises(StoreUnavailable):
            await facts_reader.credential_facts(RefreshToken, SIGN_IN.id, MEMBER.id, [])
