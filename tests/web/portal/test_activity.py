"""Activity in the portal: pulls and pushes, the chart, and why a request was refused."""

from collections.abc import AsyncIterator
from csv import DictReader
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.tenancy.pages import MAX_PAGE
from authsvc.tenancy.terms import LicenseTerms
from authsvc.web.portal import activity_pages
from authsvc.web.portal.charts import FLOOR, WIDTH, bars
from tests.support.activity import INDEX, MEMBER, blob, event, push
from tests.support.builders import as_license
from tests.support.decisions import asked, denied, issued
from tests.support.installation import APP, OTHER_APP, TEAM
from tests.support.portal_server import PortalServer
from tests.support.pushed_images import PushedImages
from tests.web.portal.test_images import HOSTILE, licensed

pytestmark = pytest.mark.usefixtures("people")

ACTIVITY, EXPLAIN, REFUSALS = "/portal/activity", "/portal/activity/explain", "/portal/activity/refusals"


@pytest.fixture
async def licenses(portal: PortalServer) -> dict[str, str]:
    """Record a push and a pull of each of two apps; return the ids of the licenses."""
    house, found = portal.house, dict[str, str]()
    sink = RedisActivitySink(house.connection, Codec())
    for app, customer in ((APP, "Globex"), (OTHER_APP, "Initech")):
        terms = LicenseTerms.parse(customer=customer, expires="90d", now=house.now)
        license_, _ = await house.licenses.create(app, terms, house.operation())
        found[app] = license_.id
        facts = {"repository": f"{app}/worker", "timestamp": house.now}
        by = {**facts, "subject": f"license:{license_.id}"}
        events = [push(tag="1.0", **facts), event(tag="1.0", media_type=INDEX, **by), blob(2_500_000, **by)]  # type: ignore[arg-type]
        assert (await sink.record(events, house.now)).accepted == len(events)
    return found


async def test_what_was_pulled_is_listed(portal: PortalServer, licenses: dict[str, str]) -> None:
    """With the customer and how much; a limited person sees their app alone."""
    browser = await portal.browser().sign_in("viewer@acme.test")
    page = (await browser.get(ACTIVITY)).page
    for words in ("Globex", "Initech", f"{APP}/worker:1.0", "2.5 MB", "pull", "push"):
        assert words in page.text, words
    assert f"/portal/licenses/{licenses[APP]}" in {one.attributes["href"] for one in page.all("a")}
    limited = await portal.browser().sign_in("limited@acme.test")
    assert "Initech" not in (await limited.get(ACTIVITY)).page.text
    stranger = await portal.browser().sign_in("stranger@acme.test")
    assert "Globex" not in (await stranger.get(ACTIVITY)).page.text

    for query, names in [
        (f"app={APP}", {"Globex"}),
        (f"license={licenses[OTHER_APP]}", {"Initech"}),
        (f"image={APP}/worker:1.0", {"Globex"}),
        ("source=token", set()),
    ]:
        text = (await browser.get(f"{ACTIVITY}?{query}")).page.text
        assert {name for name in ("Globex", "Initech") if name in text} == names, query
    for query, status in (("since=yesterday", 400), ("app=nowhere", 404), ("after=x", 400), ("source=x", 400)):
        assert (await browser.get(f"{ACTIVITY}?{query}")).status == status, query


async def test_the_chart_has_its_numbers(portal: PortalServer, licenses: dict[str, str]) -> None:
    """As bars with a text for each, and as a table."""
    assert licenses
    browser = await portal.browser().sign_in("viewer@acme.test")
    page = (await browser.get(f"{ACTIVITY}?app={APP}")).page
    today = portal.house.now.date().isoformat()
    days, customers = page.all("svg")
    title, *titles = [one.text for one in days.all("title")]
    assert title == f"Pulls of {APP} on each of the last 14 days"
    assert (len(titles), titles[-1], titles[0].endswith(": 0")) == (14, f"{today}: 1", True)
    assert [one.text for one in customers.all("text")] == ["Globex", "2.5 MB"]
    of_days, of_customers = page.all("details")
    assert f"{today} 1 1 2.5 MB" in [row.text for row in of_days.all("tr")]
    assert [row.text for row in of_customers.all("tr")] == ["Customer Sent", "Globex 2.5 MB"]
    assert (await browser.get(f"{ACTIVITY}?app={APP}&image={APP}/worker")).page.all("svg") == []


async def test_refusals_are_seen(portal: PortalServer, licenses: dict[str, str]) -> None:
    """On top of the pulls of their day, and in a list with reason, name and request id; by writers, of their apps."""
    house = portal.house
    house.now = datetime.now(UTC).replace(microsecond=0)  # the audit has Redis' time
    record = await house.stores.licenses.get(licenses[APP])
    assert record is not None
    hostile = evolve(record.record, customer=HOSTILE, expires_at=house.now + timedelta(days=9))
    await house.stores.licenses.replace(record, hostile, house.operation().entry("license.changed", app=APP))
    subject = as_license(hostile)
    whole, part = asked(f"repository:{APP}/x:pull", at=house.now), asked("repository:foreign/x:pull", at=house.now)
    fine = asked(f"repository:{APP}/x:pull", at=house.now)
    portal.recorder.record(whole, denied(subject))
    portal.recorder.record(part, issued(part, subject))
    portal.recorder.record(fine, issued(fine, subject))
    await portal.recorder.flush(everything=True)

    browser = await portal.browser().sign_in("developer@acme.test")
    page = (await browser.get(f"{REFUSALS}?app={APP}")).page
    rows = [row.text for row in page.all("table")[0].all("tr")][1:]
    assert len(rows) == 2, rows
    assert all(row.startswith(HOSTILE) for row in rows)
    assert page.all("b") == []
    links = {one.attributes["href"] for one in page.all("a")}
    for request in (whole, part):
        explained = f"{EXPLAIN}?request={request.request_id}"
        assert explained in links
        assert "was issued" in (text := (await browser.get(explained)).page.text) or "No token" in text
    assert fine.request_id not in page.text
    chart, *_ = (await browser.get(f"{ACTIVITY}?app={APP}")).page.all("svg")
    assert chart.all("title")[-1].text == f"{house.now.date().isoformat()}: 0, refused 2"
    assert [one.attributes["class"] for one in chart.all("rect") if "class" in one.attributes] == ["refused"]

    assert (await (await portal.browser().sign_in("viewer@acme.test")).get(REFUSALS)).status == 403
    viewer = (await (await portal.browser().sign_in("viewer@acme.test")).get(f"{ACTIVITY}?app={APP}")).page
    assert "Refused" not in viewer.text
    for email in ("stranger@acme.test", "limited@acme.test"):
        other = await (await portal.browser().sign_in(email)).get(REFUSALS)
        assert (other.status, HOSTILE in other.page.text) == (200, email.startswith("limited")), email
    for query, status in (("app=nowhere", 404), ("after=x", 400), (f"app={OTHER_APP}", 200)):
        assert (await browser.get(f"{REFUSALS}?{query}")).status == status, query


async def test_who_did_it_has_a_name(portal: PortalServer) -> None:
    """Members and service accounts as well; a customer's activity is found by the customer."""
    house, pushed = portal.house, PushedImages(portal.house)
    member = await house.stores.members.by_email("owner@acme.test")
    machines = await house.stores.service_accounts.of_team(TEAM)
    assert member is not None
    await pushed.push(f"{APP}/worker", "1.0", subject=member.record.subject)
    image = await pushed.push(f"{APP}/worker", "2.0", subject=machines[0].subject)
    await pushed.pull(f"{APP}/worker", "2.0", image, MEMBER, await licensed(house, "Hooli"))
    browser = await portal.browser().sign_in("viewer@acme.test")
    text = (await browser.get(ACTIVITY)).page.text
    for name in ("owner@acme.test", machines[0].name, "a former member", "Hooli"):
        assert name in text, name
    assert "member:" not in text
    page = (await browser.get(f"{ACTIVITY}?customer=Hooli")).page
    assert len(page.all("table")[0].all("tr")) == 2
    assert "a former member" not in page.text


async def test_a_refusal_is_explained(portal: PortalServer, licenses: dict[str, str]) -> None:
    """By its request id; who may not have it explained has no button and no page, and no other team learns of it."""
    portal.house.now = datetime.now(UTC).replace(microsecond=0)  # entries are found by the time in a request's id
    denied = await portal.browser().sign_in("viewer@acme.test")
    token = (await denied.get(ACTIVITY)).form("/portal/sign-out").fields["form_token"]
    refused = await denied.post("/portal/licenses/new", {"form_token": token})
    await portal.recorder.flush(everything=True)
    request_id = refused.headers["x-request-id"]
    assert (await denied.get(EXPLAIN)).status == 403
    assert EXPLAIN not in {one.attributes["href"] for one in (await denied.get(ACTIVITY)).page.all("a")}

    browser = await portal.browser().sign_in("owner@acme.test")
    page = (await browser.get(f"{EXPLAIN}?request={request_id}")).page
    assert "may not create a license" in page.text
    stranger = await portal.browser().sign_in("stranger@acme.test")
    nothing = (await stranger.get(f"{EXPLAIN}?request={request_id}")).page
    assert "may not create" not in nothing.text
    assert "knows nothing of it" in nothing.text
    for query, status in (
        ("request=x", 200),
        ("subject=robot:nobody", 404),
        (f"subject=license:{licenses[APP]}", 200),
        (f"subject={licenses[APP]}", 200),
    ):
        assert (await browser.get(f"{EXPLAIN}?{query}")).status == status, query


async def test_a_file_of_all_rows(portal: PortalServer, licenses: dict[str, str]) -> None:
    """With what was looked for, over several pages; only what the person may see; a refusal is a page."""
    house = portal.house
    facts: dict[str, Any] = {"subject": f"license:{licenses[APP]}", "timestamp": house.now}
    events = [event(repository=f"{APP}/r{number}", tag="1.0", **facts) for number in range(MAX_PAGE + 5)]
    assert (await RedisActivitySink(house.connection, Codec()).record(events, house.now)).accepted == len(events)
    browser = await portal.browser().sign_in("viewer@acme.test")
    (link,) = [
        one.attributes["href"] for one in (await browser.get(ACTIVITY)).page.all("a") if one.text == "Save as CSV"
    ]
    everything = await browser.get(link)
    assert everything.headers["content-type"] == "text/csv; charset=utf-8"
    assert everything.headers["content-disposition"] == 'attachment; filename="activity-acme-team.csv"'
    rows = list(DictReader(everything.text.splitlines()))
    assert len(rows) == 6 + len(events)
    assert {row["customer"] for row in rows if row["license"]} == {"Globex", "Initech"}
    one = await browser.get(f"{ACTIVITY}/csv?app={APP}&license={licenses[APP]}")
    assert {row["customer"] for row in DictReader(one.text.splitlines())} == {"Globex"}
    limited = await (await portal.browser().sign_in("limited@acme.test")).get(f"{ACTIVITY}/csv")
    assert {row["app"] for row in DictReader(limited.text.splitlines())} == {APP}
    for query, status in (("since=yesterday", 400), ("app=nowhere", 404)):
        assert (await browser.get(f"{ACTIVITY}/csv?{query}")).status == status, query


async def test_a_file_without_end(portal: PortalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is sent while it is made, so it may have any number of rows."""

    async def parts(*_: object) -> AsyncIterator[str]:
        for number in range(300):
            yield f"{number}\n" * 1000

    monkeypatch.setattr(activity_pages, "activity_csv", parts)
    browser = await portal.browser().sign_in("viewer@acme.test")
    sent = await browser.get(f"{ACTIVITY}/csv")
    assert (sent.headers["transfer-encoding"], len(sent.text.splitlines())) == ("chunked", 300_000)


def test_bars() -> None:
    """They stay within the drawing, the highest one fills it, and the least one is seen."""
    shown = bars([("a", 0), ("b", 1), ("c", 1000)])
    assert [bar.height for bar in shown] == [0, 1.0, FLOOR - 10]
    stacked = bars([("a", 0), ("b", 3), ("c", 1)], [1, 0, 3])
    assert [(bar.top, bar.height + bar.top <= FLOOR - 10) for bar in stacked] == [(27.5, True), (0, True), (82.5, True)]
    assert all(0 <= bar.x and bar.x + bar.width <= WIDTH and bar.y + bar.height == FLOOR for bar in shown)
    assert bars([]) == ()
    assert [bar.height for bar in bars([("a", 0)])] == [0]
