"""Exports while they are sent: who loses access gets no more, and slow readers hold up nobody else."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest

from authsvc.audit.stored_entry import StoredEntry
from authsvc.credentials.machine_secret import MachineSecret
from authsvc.manage.audit import Audit
from authsvc.web import stream_sender
from authsvc.web.api.application import ManagementApi
from tests.support.api_server import ApiServer
from tests.support.installation import Installation
from tests.support.waiting import becomes
from tests.web.api.conftest import People

CSV = {"Accept": "text/csv"}

Change = Callable[[Installation, People], Awaitable[None]]


def entry(number: int) -> list[StoredEntry]:
    """Return a page of one entry."""
    text = b'{"event":"part.%d","at":"","actor":"","id":""}' % number
    return [StoredEntry(f"{number}-1", text, length=len(text))]


async def _revoke(house: Installation, people: People) -> None:
    secret = MachineSecret.parse(people["owner"].reveal())
    assert secret is not None
    await house.tokens.revoke(secret.id, house.operation())


async def _demote(house: Installation, _: People) -> None:
    await house.members.set_role("owner@acme.test", "developer", None, house.operation())


async def _limit(house: Installation, _: People) -> None:
    await house.members.set_role("owner@acme.test", "owner", ["acme"], house.operation())


async def _disable(house: Installation, _: People) -> None:
    await house.members.disable("owner@acme.test", house.operation())


async def _change_nothing(_: Installation, __: People) -> None:
    """Leave everything as it is."""


async def exported(api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch, change: Change) -> bytes:
    """Return what comes of an export of two parts, with a change between them."""

    async def pages(self: Audit, *_: object, **__: object) -> AsyncIterator[list[StoredEntry]]:
        yield entry(1)
        await change(api.house, people)
        yield entry(2)
        yield entry(3)

    monkeypatch.setattr(Audit, "pages", pages)
    head = "GET /api/v1/audit HTTP/1.1\r\nHost: x\r\nConnection: close\r\nAccept: text/csv\r\n"
    return await api.say(f"{head}Authorization: Bearer {people['owner'].reveal()}\r\n\r\n".encode())


@pytest.mark.parametrize("change", [_revoke, _demote, _limit, _disable])
async def test_who_loses_access_gets_no_more(
    api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch, change: Change
) -> None:
    """The part that was begun is the last one, and the file is visibly not whole."""
    answer = await exported(api, people, monkeypatch, change)

    assert b"part.1" in answer
    assert b"part.3" not in answer
    assert not answer.endswith(b"0\r\n\r\n")
    (line,) = [line for line in api.logged("api.answered") if line["route"] == "/api/v1/audit"]
    assert line["aborted"]


async def test_who_keeps_it_gets_everything(api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing else ends an export."""
    answer = await exported(api, people, monkeypatch, _change_nothing)
    assert b"part.3" in answer
    assert answer.endswith(b"0\r\n\r\n")


async def test_the_seeded_bug(api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that asks once sends everything to whom it has locked out."""

    async def accept(*_: object) -> None:
        """Accept everybody."""

    monkeypatch.setattr(ManagementApi, "_require_same", accept)
    assert (await exported(api, people, monkeypatch, _revoke)).endswith(b"0\r\n\r\n")


async def test_slow_exports_are_few(api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """One more of the same team is refused at once; other requests and teams go on, and an end makes room."""
    monkeypatch.setattr(stream_sender, "MAX_STREAMS", 2)
    begun, end = 0, asyncio.Event()

    async def pages(self: Audit, *_: object, **__: object) -> AsyncIterator[list[StoredEntry]]:
        nonlocal begun
        begun += 1
        yield entry(1)
        if begun <= 2:
            await end.wait()

    monkeypatch.setattr(Audit, "pages", pages)
    slow = [asyncio.create_task(api.ask("GET", "/audit", people["owner"], headers=CSV)) for _ in range(2)]
    await becomes(lambda: begun == 2, "both have begun")
    refused = await api.ask("GET", "/audit", people["owner"], headers=CSV)
    assert (refused.status, refused.code, refused.headers["retry-after"]) == (503, "overloaded", "2")
    assert (await api.ask("GET", "/apps", people["owner"])).status == 200
    begun += 1
    assert (await api.ask("GET", "/audit", people["stranger"], headers=CSV)).status == 200
    end.set()
    assert [200, 200] == [one.status for one in await asyncio.gather(*slow)]
    assert (await api.ask("GET", "/audit", people["owner"], headers=CSV)).status == 200
