"""The audit in the portal: listed, filtered, explained and saved as a file."""

import csv
import io
import json

import pytest

from authsvc.audit.export_formats import EXPORT_FORMATS
from authsvc.audit.stored_entry import StoredEntry
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.terms import LicenseTerms
from authsvc.web.portal.audit_pages import event_groups
from tests.support.html_page import Element
from tests.support.installation import APP, OTHER_APP
from tests.support.portal_server import Browser, PortalServer

pytestmark = pytest.mark.usefixtures("people")

AUDIT = "/portal/audit"
OWNER = "owner@acme.test"


def rows(page: Element) -> list[str]:
    """Return the text of each row."""
    return [row.text for table in page.all("tbody") for row in table.all("tr")]


async def sell(portal: PortalServer, browser: Browser, customer: str, app: str = APP) -> str:
    """Make a license in the portal; return its path."""
    form = await browser.get("/portal/licenses/new")
    made = await browser.submit(form, "/portal/licenses/new", customer=customer, app=app, do="create")
    return made.location.partition("?")[0]


async def test_what_was_done_is_listed(portal: PortalServer) -> None:
    """By whom, in names, with a link to its explanation; each filter leaves what it says."""
    browser = await portal.browser().sign_in(OWNER)
    await sell(portal, browser, "Globex")
    await sell(portal, await portal.browser().sign_in("developer@acme.test"), "Initech", OTHER_APP)
    reply = await browser.get(AUDIT)
    (made,) = [row for row in rows(reply.page) if "license.created" in row and "Globex" in row]
    assert OWNER in made
    explained = [one.attributes["href"] for one in reply.page.all("a") if "/explain?request=" in one.attributes["href"]]
    assert "by member:" in (await browser.get(explained[0])).page.text
    today, later = portal.house.now.date().isoformat(), "2099-01-01"
    for query, found in [
        ("event=license.created", {"Globex", "Initech"}),
        ("event=license", {"Globex", "Initech"}),
        ("event=team.created", set()),
        (f"event=license&who={OWNER}", {"Globex"}),
        ("event=license&who=developer@acme.test", {"Initech"}),
        (f"event=license&app={OTHER_APP}", {"Initech"}),
        (f"event=license&from={today}&to={later}", {"Globex", "Initech"}),
        (f"event=license&from={later}", set()),
        ("event=license&to=2000-01-01", set()),
        ("event=license&about=Initech", {"Initech"}),
    ]:
        listed = rows((await browser.get(f"{AUDIT}?{query}")).page)
        assert {name for name in ("Globex", "Initech") if any(name in row for row in listed)} == found, query
    for query, status in [
        ("event=odd", 400),
        ("from=soon", 400),
        ("who=nobody", 404),
        ("after=x", 400),
        ("about=%00", 400),
    ]:
        refused = await browser.get(f"{AUDIT}?{query}")
        assert (refused.status, bool(refused.page.all("select"))) == (status, True), query


async def test_a_change_says_what_became_of_what(portal: PortalServer) -> None:
    """As a list of names and values; a hostile one is text, and the rest of a long list is counted."""
    house = portal.house
    terms = LicenseTerms.parse(customer="Globex", expires="30d", now=house.now, fields={"note": "old"})
    license_, _ = await house.licenses.create(APP, terms, house.operation())
    fields = {"note": "<b id=x>new</b>", **{f"field-{number:02}": str(number) for number in range(14)}}
    await house.licenses.set(license_.id, LicenseUpdate(contact="sales@acme.test", fields=fields), house.operation())
    browser = await portal.browser().sign_in(OWNER)
    reply = await browser.get(f"{AUDIT}?event=license.changed")
    (facts,) = reply.page.all("tbody")[0].all("dl")
    names, values = ([one.text for one in facts.all(name)] for name in ("dt", "dd"))
    said = dict(zip(names, values, strict=True))
    assert said["contact"].split() == ["nothing", "→", "became", "sales@acme.test"]
    assert said["fields.note"].endswith("<b id=x>new</b>")
    assert said["and"] == "6 more"
    assert not [one for one in reply.page.walk() if one.attributes.get("id") == "x"]
    assert "None" not in facts.text
    assert "['" not in facts.text


async def test_pages_follow_each_other(portal: PortalServer) -> None:
    """Every entry is on one of them, once, with the filter kept."""
    house = portal.house
    for number in range(120):
        terms = LicenseTerms.parse(customer=f"Customer {number:03}", expires="30d", now=house.now)
        await house.licenses.create(APP, terms, house.operation())
    browser = await portal.browser().sign_in(OWNER)
    path: str | None = f"{AUDIT}?event=license.created"
    found: list[str] = []
    while path is not None:
        page = (await browser.get(path)).page
        found += [row for row in rows(page) if "Customer " in row]
        path = next((one.attributes["href"] for one in page.all("a") if one.text == "Next page"), None)
    assert len(found) == len({row[row.index("Customer ") :][:12] for row in found}) == 120


async def test_a_file_has_everything_that_was_looked_for(portal: PortalServer) -> None:
    """As CSV and as JSON Lines; oldest first."""
    browser = await portal.browser().sign_in(OWNER)
    for customer in ("Initech", "Globex"):
        await sell(portal, browser, customer)
    page = await browser.get(f"{AUDIT}?event=license.created")
    links = {one.text: one.attributes["href"] for one in page.page.all("a")}
    table = await browser.get(links["Save as CSV"])
    assert table.headers["content-type"] == "text/csv; charset=utf-8"
    assert table.headers["content-disposition"] == 'attachment; filename="audit-acme-team.csv"'
    assert table.headers["content-security-policy"].startswith("default-src 'none'")
    assert table.headers["cache-control"] == "no-store"
    found = list(csv.DictReader(io.StringIO(table.text)))
    assert [row["event"] for row in found] == ["license.created", "license.created"]
    lines = await browser.get(links["Save as JSON Lines"])
    assert [json.loads(line)["cursor"] for line in lines.text.splitlines()] == [row["cursor"] for row in found]
    assert (await browser.get(f"{AUDIT}/export.csv?event=odd")).status == 400
    assert (await browser.get(f"{AUDIT}/export.xlsx")).status == 404


def test_no_cell_of_a_file_is_a_formula() -> None:
    """Whatever an entry says: a spreadsheet shows it, and runs nothing."""
    facts = {"at": "", "event": "token.denied", "actor": "+1", "id": "-1", "address": "=1", "reason": "@SUM(1)"}
    text = json.dumps(facts).encode()
    line = EXPORT_FORMATS["text/csv"].render(StoredEntry("1-1", text, length=len(text)))
    (cells,) = csv.reader([line])
    assert [cell[1:] for cell in cells if cell.startswith("'")] == ["+1", "@SUM(1)", "-1", "=1"]
    assert not [cell for cell in cells if cell.startswith(("=", "+", "-", "@"))]


async def test_a_session_that_ends_ends_its_export(portal: PortalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The file is cut off: the browser knows that it is not whole, and gets nothing more."""
    house = portal.house
    monkeypatch.setattr("authsvc.manage.audit.STEP", 1)
    browser = await portal.browser().sign_in(OWNER)
    await sell(portal, browser, "Globex")
    whole = (await browser.get(f"{AUDIT}/export.jsonl")).text
    assert "license.created" in whole
    reads = 0
    original = portal.use_cases.audit.stream.read

    async def read(*args: object, **kwargs: object) -> object:
        nonlocal reads
        reads += 1
        if reads == 2:
            await house.members.set_role(OWNER, "viewer", None, house.operation())
        return await original(*args, **kwargs)  # type: ignore[arg-type]

    monkeypatch.setattr(type(portal.use_cases.audit.stream), "read", lambda _self, *a, **k: read(*a, **k))
    with pytest.raises(Exception, match=r"not completed|payload"):
        await browser.get(f"{AUDIT}/export.jsonl")
    (line,) = [one for one in portal.logged("portal.answered") if one.get("aborted")]
    assert line["route"] == "/portal/audit/export.jsonl"


@pytest.mark.parametrize("name", ["developer", "viewer", "limited"])
async def test_owners_alone_see_it(portal: PortalServer, name: str) -> None:
    """Nobody else has a link to it, and nothing is sent to them."""
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    for path in (AUDIT, f"{AUDIT}/export.csv", f"{AUDIT}/export.jsonl"):
        assert (await browser.get(path)).status == 403, path
    links = {one.attributes["href"] for one in (await browser.get("/portal/settings")).page.all("a")}
    assert AUDIT not in links


async def test_another_team_sees_its_own(portal: PortalServer) -> None:
    """Neither entries nor names of this one."""
    await sell(portal, await portal.browser().sign_in(OWNER), "Globex")
    stranger = await portal.browser().sign_in("stranger@acme.test")
    for path in (AUDIT, f"{AUDIT}/export.csv", f"{AUDIT}/export.jsonl"):
        text = (await stranger.get(path)).text
        assert not [word for word in ("Globex", OWNER, APP + '"') if word in text], path
        assert "globex-team" in text or "globex" in text


def test_the_events_to_choose_from_are_those_of_teams() -> None:
    """What only the operator sees is not offered."""
    offered = {event for events in event_groups().values() for event in events}
    assert {"license.created", "token.denied", "session.begun"} <= offered
    assert not [event for event in offered if event.startswith(("keys.", "audit.")) or event == "token.refused"]
