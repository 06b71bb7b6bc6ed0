"""What the management API does when a part is slow or down, and when too much is asked of it."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.errors import Overloaded
from authsvc.fair_share import FairShare
from authsvc.redaction import Secret
from authsvc.store.connection import Connection
from authsvc.web.api import license_rows
from authsvc.wiring.api import NoLicenseSigner
from tests.support.api_server import api_server
from tests.support.installation import Installation, KeysInMemory
from tests.support.waiting import becomes
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


class RationedSigner(KeysInMemory):
    """Refuses every operation beyond so many, until it is given more."""

    left = 0

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Derive, or refuse."""
        if RationedSigner.left <= 0:
            raise Overloaded("too many operations with keys at once; try again in a few seconds")
        RationedSigner.left -= 1
        return await super().derive_license_token(license_id, generation)


async def test_an_import_takes_as_long_as_the_key_service_needs(
    house: Installation, people: People, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It goes on where it ended, and says at last what it made; what does not come to an end is refused."""
    monkeypatch.setattr(license_rows, "PAUSE", 0.01)
    rows = [{"customer": "Globex", "expires": "2027-01-31", "reference": f"order-{number}"} for number in range(40)]
    body = {"app": "acme", "rows": rows}

    async def ration() -> None:
        for _ in range(8):
            RationedSigner.left = 5
            await becomes(lambda: RationedSigner.left <= 0, "the ration is used up")

    async with api_server(house, RationedSigner()) as api:
        rationing = asyncio.create_task(ration())
        reply = await api.ask("POST", "/licenses/import", people["developer"], body)
        await rationing
        assert reply.json() == {"dry_run": False, "created": 40, "existing": 0, "changed": []}
        assert sum(entry.event == "license.created" for entry in house.told) == 40
        RationedSigner.left = 0
        monkeypatch.setattr(license_rows, "PATIENCE", 0.05)
        body["rows"] = [{**rows[0], "reference": "another"}]
        late = await api.ask("POST", "/licenses/import", people["developer"], body)
        assert (late.status, late.code, late.headers["retry-after"]) == (503, "overloaded", "2")


async def test_without_a_key_service(house: Installation, people: People) -> None:
    """What needs a signature gets 503 and changes nothing; everything else goes on."""
    async with api_server(house, NoLicenseSigner()) as api:
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
