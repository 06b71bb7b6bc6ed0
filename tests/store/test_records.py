"""The store's contract, on a real Redis: what is acknowledged is there, whole, once, and survives."""

import asyncio
import json
import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from itertools import count

import pytest
from attrs import evolve

from authsvc.audit.entry import Entry
from authsvc.credentials.facts import CredentialFacts
from authsvc.errors import Conflict, OperationRepeated, StoreUnavailable
from authsvc.manage.stores import Stores
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.facts import RedisCredentialFacts
from authsvc.store.records import Records
from authsvc.store.transaction import Transaction
from authsvc.tenancy.records import App, License, LicenseType, Member, Role, Team, TokenDigest
from authsvc.tenancy.versioned import Versioned
from authsvc.wiring.stores import make_stores
from tests.support.redis_server import RedisServer, connected, patient, redis_server
from tests.support.waiting import PATIENCE, PAUSE


def entry(operation_id: str) -> Entry:
    """Return what the audit is told of a change."""
    return Entry(operation_id, NOW, "test.done", "system:authsvc")


NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
TEAM = Team("acme", "Acme Ünited", NOW)
APP = App("myapp", "acme", "My App", NOW)
MEMBER = Member("m" * 16, "me@acme.test", "acme", Role.OWNER, None, Secret("$argon2id$x"), 1, NOW)
LICENSE = License(
    id="k" * 16,
    app="myapp",
    team="acme",
    customer='Globex "quoted" \u2028 Zoë',
    type=LicenseType.TRIAL,
    issued_at=NOW,
    expires_at=NOW + timedelta(days=30),
    registry="localhost:5000",
    tokens=(TokenDigest(2, "ab" * 32), TokenDigest(1, "cd" * 32, NOW)),
    repositories=("worker", "api/*"),
    fields={"seats": 25, "ratio": 1.5, "on": True, "none": None, "text": "x"},
    contact="sales@acme.test",
)


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected("--enable-debug-command", "yes") as opened:
        yield opened


@pytest.fixture
def stores(connection: Connection) -> Stores:
    """Return what reads and writes there."""
    return make_stores(Records(connection, Codec()))


async def filled(stores: Stores) -> Versioned[License]:
    """Store one record of each kind and return the license as stored."""
    await stores.teams.add(TEAM, entry("op-team"))
    await stores.apps.add(APP, entry("op-app"))
    await stores.members.add(MEMBER, entry("op-member"))
    app = await stores.apps.get("myapp")
    assert app is not None
    await stores.licenses.add(LICENSE, app, entry("op-license"))
    stored = await stores.licenses.get(LICENSE.id)
    assert stored is not None
    return stored


async def test_every_record_comes_back_as_it_was(stores: Stores, connection: Connection) -> None:
    """Texts, times, patterns, fields and secrets survive the round trip, and indexes list them."""
    stored = await filled(stores)
    facts_reader = RedisCredentialFacts(connection, Codec())

    assert LICENSE == stored.record
    assert [TEAM] == await stores.teams.all()
    assert [APP] == await stores.apps.of_team("acme")
    assert [LICENSE] == [
        one async for page in stores.licenses.pages_not_ended("myapp", LICENSE.issued_at) for one in page
    ]
    assert MEMBER == (await facts_reader.member_by_email("me@acme.test", "192.0.2.1"))[0]
    assert (MEMBER, {"myapp": APP}) == await facts_reader.member_facts(MEMBER.id, ["myapp", "absent"])
    assert CredentialFacts(LICENSE, None, {"myapp": APP}) == await facts_reader.credential_facts(
        License, LICENSE.id, None, ["myapp"]
    )


async def test_what_does_not_exist_is_none(stores: Stores, connection: Connection) -> None:
    """An unknown name is an answer, not an error."""
    facts_reader = RedisCredentialFacts(connection, Codec())

    assert await stores.teams.get("acme") is None
    assert await stores.apps.get("myapp") is None
    assert await stores.licenses.get("k" * 16) is None
    assert [] == [one async for page in stores.licenses.pages_not_ended("myapp", LICENSE.issued_at) for one in page]
    assert (await facts_reader.member_by_email("me@acme.test", "192.0.2.1"))[0] is None
    assert (None, {}) == await facts_reader.member_facts("m" * 16, [])


async def test_a_name_is_given_once(stores: Stores) -> None:
    """A slug, an address and an id cannot be taken over, and the first owner stays."""
    await filled(stores)

    with pytest.raises(Conflict, match="exists already"):
        await stores.teams.add(evolve(TEAM, name="other"), entry("op-2"))
    with pytest.raises(Conflict, match="one namespace for all teams"):
        await stores.apps.add(evolve(APP, team="evil"), entry("op-3"))
    with pytest.raises(Conflict, match="is a member already"):
        await stores.members.add(evolve(MEMBER, id="n" * 16, team="evil"), entry("op-4"))
    assert [] == await stores.apps.of_team("evil")


async def test_the_same_operation_twice_has_one_effect(stores: Stores) -> None:
    """A change that is asked for again is not done twice, and the second caller learns what the first one made."""
    await stores.teams.add(TEAM, entry("op-1"))
    with pytest.raises(OperationRepeated) as repeated:
        await stores.teams.add(evolve(TEAM, name="never written"), entry("op-1"))

    assert "acme" == repeated.value.result
    assert [TEAM] == await stores.teams.all()


async def test_of_two_changes_at_once_one_is_refused(stores: Stores) -> None:
    """A change insists on the record it has read: no update is lost."""
    stored = await filled(stores)
    await stores.licenses.replace(stored, evolve(LICENSE, contact="first"), entry("op-5"))

    with pytest.raises(Conflict, match="changed at the same moment"):
        await stores.licenses.replace(stored, evolve(LICENSE, contact="second"), entry("op-6"))
    now = await stores.licenses.get(LICENSE.id)
    assert now is not None
    assert now.record.contact == "first"


async def test_a_change_keeps_what_a_newer_authsvc_added(stores: Stores, connection: Connection) -> None:
    """Whatever is changed here, a field that this version does not know stays."""
    await filled(stores)
    for name in (keys.app("myapp"), keys.license_(LICENSE.id), keys.member(MEMBER.id)):
        raw = await connection.get(name)
        await connection.redis.set(name, json.dumps({**json.loads(raw or b""), "later": {"x": 1}}))
    app, license_, member = (
        await stores.apps.get("myapp"),
        await stores.licenses.get(LICENSE.id),
        await stores.members.get(MEMBER.id),
    )
    assert app is not None
    assert license_ is not None
    assert member is not None
    await stores.apps.replace(app, evolve(APP, name="new"), entry("op-2"))
    await stores.licenses.replace(license_, evolve(LICENSE, contact="new"), entry("op-3"))
    await stores.members.replace(member, evolve(MEMBER, epoch=2), entry("op-4"))
    changed = await stores.members.get(MEMBER.id)
    assert changed is not None
    await stores.members.remove(changed, evolve(MEMBER, epoch=3, removed_at=NOW), entry("op-5"))

    for name in (keys.app("myapp"), keys.license_(LICENSE.id), keys.member(MEMBER.id)):
        assert {"x": 1} == json.loads(await connection.get(name) or b"")["later"]


async def test_sixteen_racers_for_one_slug_make_one_app(stores: Stores) -> None:
    """However many ask at the same instant, one owns the namespace."""
    results = await asyncio.gather(
        *(stores.apps.add(evolve(APP, team=f"team-{n}"), entry(f"op-{n}")) for n in range(16)), return_exceptions=True
    )

    assert 15 == sum(isinstance(result, Conflict) for result in results)
    owned = [n for n in range(16) if await stores.apps.of_team(f"team-{n}")]
    assert 1 == len(owned)


async def test_a_refused_change_writes_nothing(connection: Connection) -> None:
    """All preconditions are looked at before the first write."""
    await connection.redis.set("authsvc:taken", "1")
    change = Transaction(entry("op-7"))
    change.put("authsvc:new", b"1")
    change.expect_absent("authsvc:taken", "taken")

    with pytest.raises(Conflict, match="taken"):
        await change.apply(connection)
    assert [b"authsvc:taken"] == await connection.redis.keys("*")


async def test_out_of_memory_refuses_writes_and_goes_on_reading(connection: Connection) -> None:
    """A full Redis answers StoreUnavailable, leaves nothing half-written, and evicts nothing."""
    stores = make_stores(Records(connection, Codec()))
    await filled(stores)
    await connection.redis.config_set("maxmemory", "1mb")

    with pytest.raises(StoreUnavailable):
        await stores.teams.add(Team("late", "late", NOW), entry("op-8"))
    await connection.redis.config_set("maxmemory", "0")
    assert [TEAM] == await stores.teams.all()
    assert await connection.get(keys.team("late")) is None


async def test_acknowledged_changes_survive_a_kill() -> None:
    """What was answered is on disk: a SIGKILL loses nothing."""
    async with redis_server() as server:
        first = patient(server)
        await filled(make_stores(Records(first, Codec())))
        await first.close()
        await server.stop(signal.SIGKILL)
        await server.start()
        again = patient(server)
        stored = await make_stores(Records(again, Codec())).licenses.get(LICENSE.id)
        await again.close()

    assert stored is not None
    assert LICENSE == stored.record


@pytest.mark.parametrize("fault", ["stopped", "killed"])
async def test_a_store_that_hangs_or_is_gone_is_an_error_within_the_deadline(fault: str) -> None:
    """Everything is answered while the store still hangs, and the same pool works again when it is back."""
    async with redis_server() as server:
        connection = Connection(server.url)
        stores = make_stores(Records(connection, Codec()))
        await filled(stores)
        await _break(server, fault)
        results = await asyncio.gather(*(stores.teams.get("acme") for _ in range(100)), return_exceptions=True)
        await _mend(server, fault)
        found = await _retried(stores)
        await connection.close()

    assert all(isinstance(result, StoreUnavailable) for result in results)
    assert found is not None
    assert TEAM == found.record


async def _break(server: RedisServer, fault: str) -> None:
    if fault == "stopped":
        server.send(signal.SIGSTOP)
    else:
        await server.stop()


async def _mend(server: RedisServer, fault: str) -> None:
    if fault == "stopped":
        server.send(signal.SIGCONT)
    else:
        await server.start()


async def _retried(stores: Stores) -> Versioned[Team] | None:
    async with asyncio.timeout(PATIENCE):
        while True:
            try:
                return await stores.teams.get("acme")
            except StoreUnavailable:
                await asyncio.sleep(PAUSE)


async def test_a_cancelled_read_never_answers_somebody_else(connection: Connection) -> None:
    """Cancelling callers in a storm must not hand a reply to the wrong one (CVE-2023-28858)."""
    numbers = range(50)
    await asyncio.gather(*(connection.redis.set(f"authsvc:n:{n}", str(n)) for n in numbers))
    wrong = cancelled = 0
    storm_over = False
    serial = count()

    async def keep_the_server_busy() -> None:
        """Make every reply take five milliseconds on any machine, so that there is a middle to be cancelled in."""
        while not storm_over:
            await connection.run(connection.redis.execute_command("DEBUG", "SLEEP", "0.005"))  # type: ignore[no-untyped-call]

    async def reader() -> None:
        nonlocal wrong, cancelled
        for _ in range(250):
            n = next(serial) % len(numbers)
            task = asyncio.create_task(connection.get(f"authsvc:n:{n}"))
            if n % 2:
                await asyncio.sleep(0.001 + n * 0.00005)
                task.cancel()
            try:
                found = await task
            except asyncio.CancelledError:
                cancelled += 1
            except StoreUnavailable:
                continue
            else:
                wrong += found != str(n).encode()

    busy = asyncio.create_task(keep_the_server_busy())
    await asyncio.gather(*(reader() for _ in range(20)))
    storm_over = True
    await busy

    assert cancelled > 50
    assert wrong == 0


async def test_a_record_of_a_newer_version_is_refused_plainly(connection: Connection) -> None:
    """An older authsvc beside a newer one says so instead of guessing."""
    await connection.redis.set(keys.team("acme"), '{"v":2,"slug":"acme"}')

    with pytest.raises(StoreUnavailable, match="newer authsvc"):
        await make_stores(Records(connection, Codec())).teams.get("acme")


async def test_a_damaged_record_is_an_error_and_no_trace(connection: Connection) -> None:
    """Whatever stands in Redis, the caller gets one of our errors."""
    for raw in (b"", b"{", b"[]", b"null", b'{"v":1}', b'{"v":1,"slug":3}', b"\xff\xfe"):
        await connection.redis.set(keys.team("acme"), raw)
        with pytest.raises(StoreUnavailable):
            await make_stores(Records(connection, Codec())).teams.get("acme")
