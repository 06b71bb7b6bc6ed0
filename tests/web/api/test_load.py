"""What the management API does when a part is slow or down, and when too much is asked of it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.fair_share import FairShare
from authsvc.keys.client import KeyServiceClient
from authsvc.manage import image_deletions
from authsvc.redaction import Secret
from authsvc.registries.tag_deletion import RepositoryLock
from authsvc.store.connection import Connection
from authsvc.web import row_deadline
from authsvc.web.api.application import PER_TEAM
from authsvc.wiring.api import NoServiceKeys
from tests.support.api_server import api_server
from tests.support.indexed_registry import IndexedRepository
from tests.support.installation import APP, Installation, KeysInMemory
from tests.support.key_service import key_service, make_keys
from tests.support.waiting import PATIENCE, becomes
from tests.web.api.conftest import People
from tests.web.api.test_licenses import NEW


class SlowSigner:
    """Signs when it is allowed to."""

    def __init__(self) -> None:
        self.allowed = asyncio.Event()
        self.asked = 0
        self.keys = KeysInMemory()

    async def sign_license(self, payload: bytes) -> str:
        """Wait, and sign."""
        return await self.keys.sign_license(payload)

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Wait, and derive."""
        self.asked += 1
        await self.allowed.wait()
        return await self.keys.derive_license_token(license_id, generation)

    async def license_keys(self) -> list[dict[str, Any]]:
        """Return none."""
        return []


async def test_one_team_does_not_keep_another_from_its_turn(house: Installation, people: People) -> None:
    """Beyond what may wait, a team's request is refused at once, with the time to try again; others are answered."""
    signer = SlowSigner()
    async with api_server(house, signer, FairShare(2, 1, 1, "busy")) as api:
        made = [
            asyncio.create_task(api.ask("POST", "/licenses", people["developer"], {**NEW, "reference": str(number)}))
            for number in range(3)
        ]
        await becomes(lambda: any(one.done() for one in made), "one is refused")
        (refused,) = [one.result() for one in made if one.done()]
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "2")
        assert (await api.ask("GET", "/apps", people["stranger"])).status == 200
        signer.allowed.set()
        assert sorted(one.status for one in await asyncio.gather(*made)) == [201, 201, 503]
    assert signer.asked == 2


class SlowRegistry:
    """Answers when it is allowed to."""

    def __init__(self) -> None:
        self.allowed = asyncio.Event()

    @asynccontextmanager
    async def repository(
        self, name: str, lock: RepositoryLock, entropy: Callable[[int], bytes]
    ) -> AsyncIterator[IndexedRepository]:
        """Wait, and yield what deletes."""
        await self.allowed.wait()
        del name, lock, entropy
        yield IndexedRepository()


async def test_slow_deletions_keep_no_other_request_of_the_team_waiting(
    house: Installation, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More deletions than a team has turns wait for the registry, and licenses are made all the same."""
    registry = SlowRegistry()
    monkeypatch.setattr("tests.support.api_server.IndexedRegistry", lambda: registry)
    async with api_server(house, share=FairShare(16, 8, 64, "busy", patience=PATIENCE)) as api:
        deletions = [
            asyncio.create_task(api.ask("DELETE", f"/images/acme%2Fr{number}:1", people["owner"]))
            for number in range(PER_TEAM + 1)
        ]
        made = await asyncio.wait_for(api.ask("POST", "/licenses", people["developer"], NEW), PATIENCE)
        assert (made.status, [one.done() for one in deletions]) == (201, [False] * len(deletions))
        registry.allowed.set()
        assert {one.code for one in await asyncio.gather(*deletions)} == {"image_not_found"}


@pytest.mark.parametrize("kind", ["webhooks", "upstreams"])
async def test_slow_servers_of_others_keep_no_other_request_of_the_team_waiting(
    house: Installation, people: People, kind: str
) -> None:
    """More tests than a team has turns wait for a server that never answers, and licenses are made all the same."""
    for others in (house.receivers, house.checks):
        others.answers.clear()
    bodies: dict[str, dict[str, object]] = {
        "webhooks": {"url": "https://hooks.example.com"},
        "upstreams": {"app": APP, "name": "hub", "provider": "dockerhub", "repositories": ["library/*"]},
    }
    async with api_server(house, share=FairShare(16, 8, 64, "busy", patience=PATIENCE)) as api:
        made = (await api.ask("POST", f"/{kind}", people["owner"], bodies[kind])).json()
        test = f"/{kind}/{made['id']}/test"
        raw = None if kind == "webhooks" else b"{}"
        tests = [asyncio.create_task(api.ask("POST", test, people["owner"], raw=raw)) for _ in range(PER_TEAM + 1)]
        license_ = await asyncio.wait_for(api.ask("POST", "/licenses", people["developer"], NEW), PATIENCE)
        assert (license_.status, [one.done() for one in tests]) == (201, [False] * len(tests))
        for others in (house.receivers, house.checks):
            others.answers.set()
        assert {one.status for one in await asyncio.gather(*tests)} == {200}


async def test_a_deletion_whose_turn_does_not_come(
    house: Installation, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused after a while, with the time to try again."""
    monkeypatch.setattr(image_deletions, "PATIENCE", 0.05)
    registry = SlowRegistry()
    monkeypatch.setattr("tests.support.api_server.IndexedRegistry", lambda: registry)
    async with api_server(house) as api:
        running = [
            asyncio.create_task(api.ask("DELETE", f"/images/acme%2Fr{number}:1", people["owner"]))
            for number in range(image_deletions.PER_TEAM + 1)
        ]
        await becomes(lambda: any(one.done() for one in running), "one is refused")
        (late,) = [one.result() for one in running if one.done()]
        assert (late.status, late.code, late.headers["retry-after"]) == (503, "overloaded", "2")
        registry.allowed.set()
        await asyncio.gather(*running)


async def test_changes_wait_for_the_rate_of_the_key_service(
    house: Installation, people: People, tmp_path: Path
) -> None:
    """Many more licenses than it signs at once are created all the same, one by one and by import."""
    rows = [{"customer": "Globex", "expires": "2027-01-31", "reference": f"order-{number}"} for number in range(20)]
    async with (
        key_service(make_keys(tmp_path / "keys"), rate=100, burst=10) as channel,
        api_server(house, KeyServiceClient.on_socket(channel)) as api,
    ):
        seconds = asyncio.get_running_loop().time
        began = seconds()
        singly = [api.ask("POST", "/licenses", people["developer"], {**NEW, "reference": f"{n}"}) for n in range(20)]
        made = api.ask("POST", "/licenses/import", people["developer"], {"app": "acme", "rows": rows})
        replies = await asyncio.gather(made, *singly)
        took = seconds() - began
    assert [201] * 20 == [one.status for one in replies[1:]]
    assert replies[0].json() == {"dry_run": False, "created": 20, "existing": 0, "changed": []}
    assert sum(entry.event == "license.created" for entry in house.told) == 40
    # A license takes a derivation, and a signature if its file is wanted: an import here wants none.
    assert took >= (20 * 2 + 20 - 10) / 100, "they waited for the rate"


async def test_a_wait_for_the_key_service_ends(
    house: Installation, people: People, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What would wait too long is refused with the time to try again; an import goes on where it ended."""
    rows = [{"customer": "Globex", "expires": "2027-01-31", "reference": f"order-{number}"} for number in range(20)]
    many = {"app": "acme", "rows": rows}
    async with key_service(make_keys(tmp_path / "keys"), rate=100, burst=1) as channel:
        client = KeyServiceClient.on_socket(channel)
        async with api_server(house, client) as api:
            monkeypatch.setattr(row_deadline, "PATIENCE", 0.0)
            late = await api.ask("POST", "/licenses/import", people["developer"], many)
            assert (late.status, late.code, late.headers["retry-after"]) == (503, "overloaded", "2")
            monkeypatch.undo()
            again = await api.ask("POST", "/licenses/import", people["developer"], many)
            assert again.json() == {"dry_run": False, "created": 4, "existing": 16, "changed": []}
            client.turn_deadline = 0.0
            one, other = await asyncio.gather(
                *(api.ask("POST", "/licenses", people["developer"], {**NEW, "reference": f"{n}"}) for n in range(2))
            )
            assert {one.status, other.status} == {201, 503}
            (refused,) = [reply for reply in (one, other) if reply.status == 503]
            assert (refused.code, refused.headers["retry-after"]) == ("overloaded", "2")
    assert sum(entry.event == "license.created" for entry in house.told) == 21


async def test_without_a_key_service(house: Installation, people: People) -> None:
    """What needs a signature gets 503 and changes nothing; everything else goes on."""
    async with api_server(house, NoServiceKeys()) as api:
        before = len(house.told)
        reply = await api.ask("POST", "/licenses", people["developer"], NEW)
        assert (reply.status, reply.code) == (503, "signer_unavailable")
        assert len(house.told) == before
        assert (await api.ask("GET", "/licenses", people["developer"])).status == 200


async def test_without_redis(house: Installation, people: People, folder: Path) -> None:
    """Never 401: a client must not throw its token away for that."""
    nowhere = Connection(Secret(f"unix://{folder}/redis.sock"))
    async with api_server(Installation(nowhere, house.verifier)) as api:
        for method, path in (("GET", "/apps"), ("POST", "/licenses")):
            reply = await api.ask(method, path, people["owner"], NEW if method == "POST" else None)
            assert (reply.status, reply.code, reply.headers["retry-after"]) == (503, "store_unavailable", "2")
    await nowhere.close()
