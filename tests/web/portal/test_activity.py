"""Activity in the portal: pulls and pushes, the chart, and why a request was refused."""

from datetime import UTC, datetime

import pytest

from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.tenancy.terms import LicenseTerms
from authsvc.web.portal.charts import FLOOR, WIDTH, bars
from tests.support.activity import INDEX, blob, event, push
from tests.support.installation import APP, OTHER_APP
from tests.support.portal_server import PortalServer

pytestmark = pytest.mark.usefixtures("people")

ACTIVITY, EXPLAIN = "/portal/activity", "/portal/activity/explain"


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
    (chart,) = page.all("svg")
    titles = [one.text for one in chart.all("title")]
    assert (len(titles), titles[-1], titles[0].endswith(": 0")) == (14, f"{today}: 1", True)
    (table,) = page.all("details")
    assert f"{today} 1 1 2.5 MB" in [row.text for row in table.all("tr")]


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
    for query, status in (("request=x", 200), ("subject=nobody", 404), (f"subject=license:{licenses[APP]}", 200)):
        assert (await browser.get(f"{EXPLAIN}?{query}")).status == status, query


def test_bars() -> None:
    """They stay within the drawing, the highest one fills it, and the least one is seen."""
    shown = bars([("a", 0), ("b", 1), ("c", 1000)])
    assert [bar.height for bar in shown] == [0, 1.0, FLOOR - 10]
    assert all(0 <= bar.x and bar.x + bar.width <= WIDTH and bar.y + bar.height == FLOOR for bar in shown)
    assert bars([]) == ()
    assert [bar.height for bar in bars([("a", 0)])] == [0]
