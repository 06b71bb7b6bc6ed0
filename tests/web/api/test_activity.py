"""Activity in the management API: rows, spreadsheets and summaries, each team's alone."""

import csv
import io
from collections.abc import Sequence
from typing import Any

import pytest
from aiohttp import ClientPayloadError

from authsvc.errors import StoreUnavailable
from authsvc.spec.registry_event import RegistryEvent
from authsvc.store.activity_rows import RedisActivityRows
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.tenancy.terms import LicenseTerms
from tests.support.activity import INDEX, blob, digest, event, push
from tests.support.api_server import ApiServer
from tests.support.installation import APP, OPERATOR, OTHER_APP
from tests.web.api.conftest import OTHER_TEAM, THEIR_APP, People

TEAMS = {APP: "=Initech", OTHER_APP: "Hooli", THEIR_APP: "Hooli of the others"}
IMAGES = 130
"""More tags than a page has rows."""


@pytest.fixture
async def licenses(api: ApiServer) -> dict[str, str]:
    """Record what three customers did, one of each app; return the ids of their licenses."""
    house, found = api.house, dict[str, str]()
    sink = RedisActivitySink(house.connection, Codec())
    for app, customer in TEAMS.items():
        terms = LicenseTerms.parse(customer=customer, expires="90d", now=house.now)
        license_, _ = await house.licenses.create(app, terms, house.operation())
        found[app] = license_.id
        facts: dict[str, Any] = {"repository": f"{app}/worker", "timestamp": house.now}
        by: dict[str, Any] = {**facts, "subject": f"license:{license_.id}"}
        events: Sequence[RegistryEvent] = [
            push(tag="1.0", **facts),
            push(tag="never", digest=digest(5), **facts),
            event("pull", "HEAD", **by),
            event(tag=None, media_type=INDEX, **by),
            blob(1_000, **by),
        ]
        assert (await sink.record(events, house.now)).accepted == len(events)
    many: dict[str, Any] = {"repository": f"{APP}/many", "timestamp": house.now, "subject": f"license:{found[APP]}"}
    await sink.record([event(tag=f"t{n}", digest=digest(n), **many) for n in range(IMAGES)], house.now)
    return found


async def rows(api: ApiServer, token: Any, query: str = "") -> list[dict[str, Any]]:
    """Return all rows, page by page."""
    found, after = list[dict[str, Any]](), None
    while True:
        reply = await api.ask("GET", f"/activity?{query}{f'&after={after}' if after else ''}", token)
        assert reply.status == 200, reply
        page = reply.json()
        found += page["items"]
        after = page["next"]
        if after is None:
            return found


async def test_rows(api: ApiServer, people: People, licenses: dict[str, str]) -> None:
    """What a viewer, a program and a person with a limit see; null is unknown."""
    ours = await rows(api, people["viewer-read"])
    assert {APP, OTHER_APP} == {row["app"] for row in ours}
    assert IMAGES + 2 * 5 == len(ours)
    assert {THEIR_APP} == {row["app"] for row in await rows(api, people["stranger"])}
    assert {APP} == {row["app"] for row in await rows(api, people["limited"])}
    query = f"image={OTHER_APP}/worker@{digest()}&license={licenses[OTHER_APP]}"
    (pulled,) = [row for row in await rows(api, people["machine-read"], query) if row["action"] == "pull"]
    assert ("pull", 1, None, None, "Hooli") == tuple(pulled[n] for n in ("action", "count", "bytes", "tag", "customer"))
    (size,) = [row for row in ours if row["bytes"] is not None and row["app"] == OTHER_APP]
    assert (1_000, 0, None) == (size["bytes"], size["count"], size["digest"])
    hours = await rows(api, people["viewer"], f"app={OTHER_APP}&resolution=hour&since=1d&customer=Hooli")
    assert 3 == len(hours)
    assert [] == await rows(api, people["viewer"], "source=token")


ADDRESSES = (
    "/activity",
    "/activity?limit=1",
    "/activity?resolution=hour",
    "/activity?source=token",
    "/activity?since=30d",
    "/activity?customer=Hooli",
    "/activity?customer=Nobody",
    "/activity/apps/{app}",
    "/activity/licenses/{license}",
    "/activity/customers/{customer}",
    "/activity/images/{app}/worker",
    "/activity/images/{app}/worker:1.0",
    f"/activity/images/{{app}}/worker@{digest()}",
    "/activity/unused-tags?repository={app}/worker",
    "/licenses/{license}",
    "/customers/{customer}",
)
"""What somebody asks for without naming anything of another team."""


async def test_no_answer_names_the_other_team(api: ApiServer, people: People, licenses: dict[str, str]) -> None:
    """Whoever asks, for whatever, as JSON and as a spreadsheet: nothing of the other team's is in it."""
    customers = {app: (await api.house.licenses.show(OPERATOR, one)).customer_id for app, one in licenses.items()}
    names = {app: {app, licenses[app], customers[app], TEAMS[app]} for app in TEAMS}
    ours, theirs = names[APP] | names[OTHER_APP] - {"Hooli"}, names[THEIR_APP] | {OTHER_TEAM, "of the others"}
    answered = 0
    for who, app, foreign in (
        *((who, APP, theirs) for who in ("owner", "viewer-read", "machine-read", "limited-read")),
        ("stranger", THEIR_APP, ours),
    ):
        for address in ADDRESSES:
            path = address.format(app=app, license=licenses[app], customer=customers[app])
            for accept in ("application/json", "text/csv"):
                reply = await api.ask("GET", path, people[who], headers={"Accept": accept})
                answered += reply.status == 200
                said = reply.body.decode() + str(reply.headers)
                assert not [name for name in foreign if str(name) in said], (who, path)
    assert answered > 5 * len(ADDRESSES), "most of them have an answer"


async def test_a_spreadsheet_has_every_row(api: ApiServer, people: People, licenses: dict[str, str]) -> None:
    """More than a page, the same as in JSON, without a formula; and no row of others."""
    reply = await api.ask("GET", f"/activity?app={APP}", people["viewer"], headers={"Accept": "text/csv"})
    assert (200, "text/csv; charset=utf-8") == (reply.status, reply.headers["content-type"])
    assert 'attachment; filename="activity.csv"' == reply.headers["content-disposition"]
    assert "no-store" == reply.headers["cache-control"]
    table = list(csv.DictReader(io.StringIO(reply.body.decode(), newline="")))
    as_json = await rows(api, people["viewer"], f"app={APP}")
    assert IMAGES + 5 == len(table)
    for cells, row in zip(table, as_json, strict=True):
        assert {name: "" if value is None else str(value) for name, value in row.items()} == {
            **cells,
            "customer": cells["customer"].removeprefix("'"),
        }
    assert {"'=Initech", ""} == {cells["customer"] for cells in table}
    assert licenses[THEIR_APP] not in reply.body.decode()
    for accept in ("application/json, text/csv", "*/*"):
        reply = await api.ask("GET", "/activity", people["viewer"], headers={"Accept": accept})
        assert "application/json; charset=utf-8" == reply.headers["content-type"]
    wrong = await api.ask("GET", "/activity?since=soon", people["viewer"], headers={"Accept": "text/csv"})
    assert "date_invalid" == wrong.code


async def test_summaries(api: ApiServer, people: People, licenses: dict[str, str]) -> None:
    """Of a license, its customer, the app and the image; they agree."""
    token = people["viewer-read"]
    license_ = (await api.ask("GET", f"/activity/licenses/{licenses[OTHER_APP]}", token)).json()
    (use,) = license_["licenses"]
    assert (1, 1_000, 1) == (use["pulls"], use["bytes"], use["networks"])
    (version,) = license_["versions"]
    assert ([digest()], ["1.0"], 1) == ([version["digest"]], version["tags"], version["pulls"])
    customer = (await api.ask("GET", f"/activity/customers/{use['customer_id']}", token)).json()
    assert license_ == customer
    (day,) = (await api.ask("GET", f"/activity/apps/{OTHER_APP}", token)).json()["items"]
    assert (1, 1, 2, 0, 1_000) == tuple(day[name] for name in ("pulls", "heads", "pushes", "deletes", "bytes"))
    image = (await api.ask("GET", f"/activity/images/{OTHER_APP}/worker:1.0", token)).json()
    assert [licenses[OTHER_APP]] == [user["license"] for user in image["users"]]
    assert image["history"]["pulled_by_license"]["subject"] == f"license:{licenses[OTHER_APP]}"
    whole = (await api.ask("GET", f"/activity/images/{OTHER_APP}%2Fworker", token)).json()
    assert [["1.0"]] == [one["tags"] for one in whole["users"][0]["versions"]]
    unused = (await api.ask("GET", f"/activity/unused-tags?repository={OTHER_APP}/worker", token)).json()
    assert ["never"] == [tag["tag"] for tag in unused["items"]]
    first = (await api.ask("GET", f"/activity/licenses/{licenses[APP]}?limit=100", token)).json()
    rest = (await api.ask("GET", f"/activity/licenses/{licenses[APP]}?after={first['next']}", token)).json()
    assert (100, IMAGES + 1 - 100, None) == (len(first["versions"]), len(rest["versions"]), rest["next"])


@pytest.mark.parametrize(
    ("path", "code"),
    [
        ("/activity?resolution=week", "resolution_invalid"),
        ("/activity?source=guess", "activity_source_invalid"),
        ("/activity?image=x", "image_invalid"),
        ("/activity?after=x", "cursor_invalid"),
        ("/activity?limit=0", "limit_invalid"),
        ("/activity?no=1", "argument_unknown"),
        (f"/activity?app={THEIR_APP}", "app_not_found"),
        (f"/activity?image={THEIR_APP}/worker", "image_not_found"),
        ("/activity?license=nothing", "license_not_found"),
        ("/activity?customer=Nobody", "customer_not_found"),
        (f"/activity/apps/{THEIR_APP}", "app_not_found"),
        (f"/activity/images/{THEIR_APP}/worker:1.0", "image_not_found"),
        (f"/activity/unused-tags?repository={THEIR_APP}/worker", "image_not_found"),
        (f"/activity/unused-tags?repository={APP}/worker:1", "image_invalid"),
        ("/activity/unused-tags", "argument_missing"),
        ("/activity/licenses/nothing", "license_not_found"),
        ("/activity/customers/Nobody", "customer_not_found"),
    ],
)
@pytest.mark.usefixtures("licenses")
async def test_what_cannot_be_answered(api: ApiServer, people: People, path: str, code: str) -> None:
    """With the code that the document lists."""
    assert code == (await api.ask("GET", path, people["viewer"])).code


async def test_a_spreadsheet_that_breaks_off_has_no_end(
    api: ApiServer, people: People, licenses: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The status is sent when Redis is lost: the client must notice that rows are missing."""
    calls = 0

    async def lost(*_arguments: Any, **_options: Any) -> Any:
        raise StoreUnavailable("gone")

    whole = RedisActivityRows.page

    async def page(self: RedisActivityRows, *arguments: Any) -> Any:
        nonlocal calls
        calls += 1
        return await (whole(self, *arguments) if calls == 1 else lost())

    monkeypatch.setattr(RedisActivityRows, "page", page)
    assert licenses
    with pytest.raises(ClientPayloadError):
        await api.ask("GET", f"/activity?app={APP}", people["viewer"], headers={"Accept": "text/csv"})
    assert '"aborted":true' in api.log.getvalue()
