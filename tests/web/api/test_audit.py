"""The audit in the API: a team's own entries, in pages, in words and as files, and nothing of the other team."""

import csv
import io
import itertools
import json
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import frozen

from authsvc.audit.recorder import AuditRecorder
from authsvc.audit.stored_entry import StoredEntry
from authsvc.errors import StoreUnavailable
from authsvc.issuance import Denied
from authsvc.logs import make_logger
from authsvc.manage import audit as audit_module
from authsvc.manage.audit import Audit
from authsvc.store.audit_stream import RedisAudit
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import LicenseTerms
from tests.support.api_server import ApiServer
from tests.support.decisions import asked
from tests.support.installation import APP, OPERATOR, Installation
from tests.web.api.conftest import THEIR_APP, People

CSV, JSON_LINES = {"Accept": "text/csv"}, {"Accept": "application/jsonl"}
FORMULA = "=cmd|' /C calc'!A0"


@frozen
class Refused:
    """A license of an app that was revoked and then asked for a token.

    Attributes:
        shown: the request id that its client was shown.
    """

    license: License
    shown: str


async def refused(house: Installation, app: str, reference: str) -> Refused:
    """Revoke a license and record that it was refused."""
    numbers = itertools.count()
    recorder = AuditRecorder(
        RedisAudit(house.connection, 1 << 26), make_logger("error"), lambda: house.now, lambda: f"{app}-{next(numbers)}"
    )
    terms = LicenseTerms.parse(customer=f"{app}-customer", expires="30d", contact=FORMULA, now=house.now)
    opened = await house.licenses.open_app(OPERATOR, app)
    license_, _ = await house.licenses.create_in(opened, terms, house.operation(), reference)
    await house.licenses.revoke(license_.id, house.operation())
    request = asked(f"repository:{app}/x:pull", at=house.now, user_agent=FORMULA)
    with pytest.raises(Denied) as denied:
        await house.ask(house.registry_token(license_), scope=f"repository:{app}/x:pull")
    recorder.record(request, denied.value)
    await recorder.flush(everything=True)
    return Refused(license_, request.request_id)


@pytest.fixture
async def both(house: Installation, people: People) -> tuple[Refused, Refused]:
    """Return a refused license of each team."""
    assert people.tokens
    house.now = datetime.now(UTC).replace(microsecond=0)
    return await refused(house, APP, "order-1"), await refused(house, THEIR_APP, "order-2")


def actors(items: list[dict[str, Any]]) -> set[str]:
    """Return who did something."""
    return {item["actor"] for item in items}


async def test_an_owner_lists_what_is_the_teams(api: ApiServer, people: People, both: tuple[Refused, Refused]) -> None:
    """In pages, with filters; the other team's owner gets the other half, and nobody an entry twice."""
    ours, theirs = both
    for name, own, other in (("owner-read", ours, theirs), ("stranger", theirs, ours)):
        found: list[dict[str, Any]] = []
        after = ""
        while True:
            reply = await api.ask("GET", f"/audit?limit=3{after}", people[name])
            found += reply.json()["items"]
            if reply.json()["next"] is None:
                break
            after = f"&after={reply.json()['next']}"
        assert len({item["cursor"] for item in found}) == len(found) > 6
        assert f"license:{own.license.id}" in actors(found)
        assert other.license.app not in json.dumps(found)
        filtered = await api.ask(
            "GET", f"/audit?event=token.denied&event=license&since=24h&app={own.license.app}", people[name]
        )
        assert {"token.denied", "license.created", "license.changed"} == {
            item["event"] for item in filtered.json()["items"]
        }


async def test_one_decision_in_words(api: ApiServer, people: People, both: tuple[Refused, Refused]) -> None:
    """By the id that the client was shown and by every name of the subject, for whoever may have it explained."""
    ours, theirs = both
    for name in ("owner", "developer", "limited", "developer-read"):
        by_request = await api.ask("GET", f"/audit/explain/{ours.shown}", people[name])
        explained = by_request.json()["found"]
        assert f"To restore access: reinstate the license {ours.license.id}" in explained["sentences"]
        assert [ours.shown] == explained["entry"]["request_ids"]
        for subject in (f"license:{ours.license.id}", ours.license.id, "order-1"):
            listed = await api.ask("GET", f"/audit/explain?subject={subject}", people[name])
            assert [explained] == listed.json()["items"]
        foreign = await api.ask("GET", f"/audit/explain/{theirs.shown}", people[name])
        assert (foreign.json()["found"], foreign.json()["around"], foreign.json()["next"]) == (None, [], None)
        for subject, status in ((f"license:{theirs.license.id}", 200), ("order-2", 404)):
            reply = await api.ask("GET", f"/audit/explain?subject={subject}", people[name])
            assert (status, True) == (reply.status, theirs.license.app not in reply.body.decode())
    changed = next(entry for entry in api.house.told if entry.event == "license.changed")
    assert (await api.ask("GET", f"/audit/explain/{changed.id}", people["owner"])).json()["found"] is not None
    assert (await api.ask("GET", f"/audit/explain/{changed.id}", people["developer"])).json()["found"] is None


async def test_a_change_is_explained_by_its_request(api: ApiServer, people: People, house: Installation) -> None:
    """The id that every answer of the API has leads to what it changed."""
    house.now = datetime.now(UTC).replace(microsecond=0)
    made = await api.ask("POST", "/customers", people["owner"], {"name": "Initech"})
    found = await api.ask("GET", f"/audit/explain/{made.headers['x-request-id']}", people["owner"])

    assert "customer.created" == found.json()["found"]["entry"]["event"]


QUESTIONS: list[tuple[str, str, str]] = [
    ("/audit?event=license.revoked", "event_invalid", "event"),
    ("/audit?since=yesterday", "date_invalid", "since"),
    ("/audit?after=x", "cursor_invalid", "after"),
    ("/audit?after=", "cursor_invalid", "after"),
    ("/audit?subject=", "subject_invalid", "subject"),
    ("/audit?actor=nobody", "subject_not_found", "actor"),
    ("/audit?unproven=true", "argument_unknown", "unproven"),
]
"""What neither a list nor an export understands."""


@pytest.mark.parametrize(
    ("path", "code", "field", "headers"),
    [
        *((*question, headers) for question in QUESTIONS for headers in ({}, CSV)),
        ("/audit?limit=101", "limit_invalid", "limit", {}),
        ("/audit/explain", "argument_missing", "subject", {}),
        ("/audit/explain/6b099ebdc94a68bd?after=9:1-1", "cursor_invalid", "after", {}),
    ],
)
async def test_bad_questions(
    api: ApiServer, people: People, path: str, code: str, field: str, headers: dict[str, str]
) -> None:
    """What cannot be understood is refused before anything is sent, by a list and by an export."""
    reply = await api.ask("GET", path, people["owner"], headers=headers)

    assert code == reply.code
    assert reply.status == 404 or {field: code} == reply.fields()


async def test_an_export_has_everything(
    api: ApiServer, people: People, both: tuple[Refused, Refused], monkeypatch: pytest.MonkeyPatch
) -> None:
    """In both forms, oldest first, in parts; cells are safe, and other teams' entries are not in it."""
    monkeypatch.setattr(audit_module, "STEP", 2)
    ours, theirs = both
    listed = (await api.ask("GET", "/audit", people["owner"])).json()["items"]
    lines = await api.ask("GET", "/audit", people["owner"], headers=JSON_LINES)
    table = await api.ask("GET", "/audit?limit=1", people["owner-read"], headers=CSV)
    entries = [json.loads(line) for line in lines.body.decode().splitlines()]
    rows = list(csv.DictReader(io.StringIO(table.body.decode(), newline=""), strict=True))

    assert [item["cursor"] for item in listed][::-1] == [entry["cursor"] for entry in entries]
    assert [entry["cursor"] for entry in entries] == [row["cursor"] for row in rows]
    assert 'attachment; filename="audit-acme-team.csv"' == table.headers["content-disposition"]
    assert theirs.license.app not in f"{lines.body!r}{table.body!r}"
    (row,) = [row for row in rows if row["event"] == "token.denied"]
    assert (f"license:{ours.license.id}", "1", ours.shown) == (row["actor"], row["count"], row["id"])
    assert FORMULA == json.loads(row["facts"])["user_agent"]
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())
    rest = await api.ask("GET", f"/audit?after={entries[3]['cursor']}", people["owner"], headers=JSON_LINES)
    assert entries[4:] == [json.loads(line) for line in rest.body.decode().splitlines()]


async def test_an_export_of_nothing(api: ApiServer, people: People) -> None:
    """It has its heading, or nothing at all."""
    nothing = "/audit?until=2020-01-01"
    table = await api.ask("GET", nothing, people["owner"], headers=CSV)
    lines = await api.ask("GET", nothing, people["owner"], headers=JSON_LINES)

    assert table.body.startswith(b"cursor,at,")
    assert (1, b"") == (table.body.count(b"\r\n"), lines.body)


@pytest.mark.parametrize(
    ("accept", "media_type"),
    [
        ("*/*", "application/json"),
        ("text/html, */*;q=0.8", "application/json"),
        ("text/*", "text/csv"),
        ("application/json;q=0.5, application/jsonl", "application/jsonl"),
        ("application/jsonl;q=0.5, application/json", "application/json"),
        ("text/csv;q=0, */*", "application/json"),
        ("image/png", "application/json"),
        ("TEXT/CSV; charset=utf-8", "text/csv"),
        (",;q=x, text/csv;q=2", "text/csv"),
    ],
)
async def test_the_form_is_what_the_client_prefers(
    api: ApiServer, people: People, accept: str, media_type: str
) -> None:
    """By the rules of RFC 9110; JSON when nothing else fits."""
    reply = await api.ask("GET", "/audit?limit=1", people["owner"], headers={"Accept": accept})

    assert media_type == reply.headers["content-type"].partition(";")[0]


async def test_a_broken_export_has_no_end(
    api: ApiServer, people: People, both: tuple[Refused, Refused], monkeypatch: pytest.MonkeyPatch
) -> None:
    """When the database fails in the middle, the client sees that the file is not whole, and the log says so."""
    assert both

    async def failing(self: Audit, *_: object, **__: object) -> AsyncIterator[list[StoredEntry]]:
        yield [StoredEntry("1-1", b'{"event":"x.y","at":"","actor":"","id":""}', length=42)]
        raise StoreUnavailable("away")

    monkeypatch.setattr(Audit, "pages", failing)
    token = people["owner"].reveal()
    answer = await api.say(
        f"GET /api/v1/audit HTTP/1.1\r\nHost: x\r\nAccept: text/csv\r\nAuthorization: Bearer {token}\r\n\r\n".encode()
    )

    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 ")
    assert b"x.y" in body
    assert not body.endswith(b"0\r\n\r\n")
    (line,) = [line for line in api.logged("api.answered") if line["route"] == "/api/v1/audit"]
    assert line["aborted"]
