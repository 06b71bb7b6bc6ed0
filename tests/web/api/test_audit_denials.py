"""What the management API denies, in the audit: of the team that asked, and nothing of any other team."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest

from authsvc.manage.audit import Audit
from authsvc.store.audit_stream import RedisAudit
from authsvc.web.api import application
from tests.support.api_server import ApiServer
from tests.support.installation import APP, OPERATOR, TEAM, Installation
from tests.web.api.conftest import OTHER_TEAM, THEIR_APP, People
from tests.web.api.test_licenses import NEW

DENIED = "management.denied"


@pytest.fixture(autouse=True)
def present(house: Installation) -> None:
    """Let entries be written at the time that the requests' ids say."""
    house.now = datetime.now(UTC).replace(microsecond=0)


async def listed(api: ApiServer, token: Any) -> list[dict[str, Any]]:
    """Return the denials that the owner of a token sees."""
    await api.recorder.flush(everything=True)
    found: list[dict[str, Any]] = (await api.ask("GET", f"/audit?event={DENIED}", token)).json()["items"]
    return found


async def test_an_owner_sees_who_was_denied_what(api: ApiServer, people: People, house: Installation) -> None:
    """With the use case, the credential and the sentence; the id in the answer has it explained."""
    by_person = await api.ask("GET", "/audit", people["developer"])
    by_machine = await api.ask("POST", "/licenses", people["machine-read"], NEW)
    assert {(403, "permission_denied")} == {(one.status, one.code) for one in (by_person, by_machine)}
    entries = {one["facts"]["use_case"]: one for one in await listed(api, people["owner"])}

    assert {"list the audit", "create a license"} == set(entries)
    facts = entries["list the audit"]["facts"]
    assert ("personal token", "tool", "developer") == tuple(facts["credential"][n] for n in ("kind", "name", "role"))
    assert by_person.json()["detail"] == facts["reason"]
    assert "service account" == entries["create a license"]["facts"]["credential"]["kind"]
    for reply in (by_person, by_machine):
        shown = reply.headers["x-request-id"]
        found = (await api.ask("GET", f"/audit/explain/{shown}", people["owner"])).json()["found"]
        assert f"The client was told: {reply.json()['detail']}" in found["sentences"]
        assert shown in found["entry"]["request_ids"]
        assert (await api.ask("GET", f"/audit/explain/{shown}", people["developer"])).json()["found"] is None
        explained = await Audit(RedisAudit(house.connection, 1 << 26), house.stores).explain(OPERATOR, shown)
        assert explained.kept is not None


async def test_repeats_are_counted_together(api: ApiServer, people: People) -> None:
    """However often the same thing is asked for, it is one entry with a count, in which each request is found."""
    replies = [await api.ask("POST", "/licenses", people["viewer"], NEW) for _ in range(30)]
    (entry,) = await listed(api, people["owner"])

    assert 30 == entry["count"]
    assert [one.headers["x-request-id"] for one in replies] == entry["request_ids"]


async def test_nothing_of_another_team(api: ApiServer, people: People, house: Installation) -> None:
    """Neither a denial nor a question about what is another team's leaves a trace there, or its names here."""
    opened = await house.licenses.open_app(OPERATOR, THEIR_APP)
    made = await api.ask("POST", "/licenses", people["stranger"], {**NEW, "app": THEIR_APP, "reference": "theirs"})
    assert opened.record.slug == made.json()["app"]
    license_ = made.json()["id"]
    for path, status in ((f"/licenses/{license_}/revoke", 404), ("/licenses/theirs/revoke", 404)):
        assert status == (await api.ask("POST", path, people["developer"])).status
    assert 403 == (await api.ask("POST", f"/licenses/{license_}/revoke", people["viewer"])).status
    assert 403 == (await api.ask("POST", f"/apps/{THEIR_APP}/archive", people["developer"])).status
    ours, theirs = await listed(api, people["owner"]), await listed(api, people["stranger"])

    assert {"revoke a license", "archive an app"} == {one["facts"]["use_case"] for one in ours}
    assert [] == theirs
    for name in (license_, THEIR_APP, OTHER_TEAM, "theirs"):
        assert name not in json.dumps(ours)
    everything = (await api.ask("GET", "/audit", people["stranger"])).body.decode()
    assert f'"{APP}"' not in everything
    assert TEAM not in everything


async def test_strangers_leave_no_trace(api: ApiServer, people: People) -> None:
    """Who is not proven fills no audit of management; neither does a broken recorder fail a request."""
    for token in (None, "asv_pat_0123456789abcdef_x", people["viewer-registry"]):
        assert 401 == (await api.ask("GET", "/audit", token)).status
    assert [] == await listed(api, people["owner"])


async def test_the_seeded_bug(api: ApiServer, people: People, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server that records no denials fails the tests above."""
    monkeypatch.setattr(application, "ManagementDenial", lambda *_: None)
    with pytest.raises(ValueError, match="not enough values"):
        await test_repeats_are_counted_together(api, people)
