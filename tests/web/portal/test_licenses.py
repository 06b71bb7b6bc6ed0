"""Customers and licenses in the portal: found, made, given out, changed and ended."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from authsvc.tenancy.terms import LicenseTerms
from authsvc.web.portal.license_states import end_after, last_day, shown_state
from tests.support.builders import make_license
from tests.support.html_page import Element
from tests.support.installation import APP, OTHER_APP
from tests.support.portal_server import PortalServer

pytestmark = pytest.mark.usefixtures("people")

NEW = "/portal/licenses/new"
OWNER, DEVELOPER, VIEWER, LIMITED, STRANGER = (
    f"{name}@acme.test" for name in ("owner", "developer", "viewer", "limited", "stranger")
)

HOSTILE = "<b id=x>&amp;\"'`{{7*7}}</b><script>alert(1)</script>"


async def make(
    portal: PortalServer, customer: str, days: int = 100, app: str = APP, reference: str | None = None
) -> str:
    """Make a license and return its id."""
    terms = LicenseTerms.parse(customer=customer, expires=f"{days}d", contact="sales@acme.test", now=portal.house.now)
    license_, _ = await portal.house.licenses.create(app, terms, portal.house.operation(), reference)
    return license_.id


def rows(page: Element) -> list[str]:
    """Return the text of each row of the first table."""
    (body, *_) = page.all("tbody")
    return [row.text for row in body.all("tr")]


async def test_a_license_from_its_beginning_to_its_end(portal: PortalServer) -> None:
    """Previewed, made, downloaded, extended, rotated, revoked, reinstated, archived."""
    house = portal.house
    browser = await portal.browser().sign_in(DEVELOPER)
    form = await browser.get(NEW)
    last = (house.now + timedelta(days=30)).date().isoformat()
    typed = {"customer": "Globex", "last_day": last, "repositories": "worker\napi/*", "custom": "seats=25\nname=a b"}
    shown = await browser.submit(form, NEW, **typed, do="preview")
    assert (shown.status, "Nothing that is in the registry now" in shown.page.text) == (200, True)
    assert shown.form(NEW).fields["repositories"].split() == ["worker", "api/*"]
    made = await browser.submit(shown, NEW, reference="order-1", contact="sales@acme.test", do="create")
    address = made.location.partition("?")[0]
    page = await browser.get(made.location)
    for words in ("The license was made", f"last day {last}", "worker, api/*", "seats 25", "order-1", "never"):
        assert words in page.page.text, words

    file = await browser.submit(page, f"{address}/file")
    assert file.headers["content-disposition"].startswith('attachment; filename="order-1-')
    assert file.headers["cache-control"] == "no-store"
    document = json.loads(file.text)["license"]
    assert (document["customer"], document["fields"]) == ("Globex", {"seats": 25, "name": "a b"})
    assert document["expires_at"] == end_after(last) + "T00:00:00Z"

    later = (house.now + timedelta(days=60)).date().isoformat()
    extended = await browser.submit(page, f"{address}/extend", last_day=later)
    assert f"last day {later}" in (await browser.get(extended.location)).page.text

    first = await browser.submit(await browser.get(f"{address}/rotate"), f"{address}/rotate", overlap="24h")
    assert first.location == f"{address}?done=rotate"
    again = await browser.submit(await browser.get(f"{address}/rotate"), f"{address}/rotate", overlap="24h")
    assert (again.status, "would end" in again.page.text or "ends" in again.page.text) == (409, True)
    confirmed = await browser.submit(again, f"{address}/rotate")
    assert confirmed.location == f"{address}?done=rotate"

    asked = await browser.get(f"{address}/revoke")
    assert "Last pull: never" in asked.page.text
    revoked = await browser.get((await browser.submit(asked, f"{address}/revoke")).location)
    assert "revoked" in revoked.page.text
    assert not revoked.has_form(f"{address}/revoke")
    assert "This license is revoked: pulls with it are refused" in (await browser.get(address)).page.text
    back = await browser.get((await browser.submit(revoked, f"{address}/reinstate")).location)
    assert "ends in" in back.page.text or "active" in back.page.text
    archived = await browser.submit(await browser.get(f"{address}/archive"), f"{address}/archive")
    assert "archived" in (await browser.get(archived.location)).page.text
    assert "This license is archived" in (await browser.get(address)).page.text
    assert "There is no license yet" in (await browser.get("/portal/customers")).page.text
    events = [entry.event for entry in house.told if entry.actor.startswith("member:")]
    assert events[-7:] == [
        *("license.created", "license.changed", "license.rotated", "license.rotated", "license.changed"),
        *("license.changed", "license.changed"),
    ]


async def test_what_a_license_says_is_changed(portal: PortalServer) -> None:
    """Only what differs: a field that is left alone keeps its type, and a form without a change changes nothing."""
    fields = {"seats": 25, "key": "007", "beta": True, "old": "x"}
    terms = LicenseTerms.parse(customer="Globex", expires="90d", fields=fields, now=portal.house.now)
    license_, _ = await portal.house.licenses.create(APP, terms, portal.house.operation())
    address, edit = f"/portal/licenses/{license_.id}", f"/portal/licenses/{license_.id}/edit"
    browser = await portal.browser().sign_in(DEVELOPER)
    form = await browser.get(edit)
    told = len(portal.house.told)
    assert (await browser.submit(form, edit)).location == address
    assert len(portal.house.told) == told
    lines = form.form(edit).fields["custom"].replace("seats=25", "seats=30").replace("old=x", "")
    typed = {"customer": "Initech", "contact": "it@acme.test", "repositories": "worker\napi/*", "custom": lines}
    assert (await browser.submit(form, edit, **typed)).location == f"{address}?done=set"
    (changed,) = await portal.house.listed(APP)
    assert changed.fields == {"seats": 30, "key": "007", "beta": True}
    assert (changed.customer, changed.contact) == ("Initech", "it@acme.test")
    assert changed.repositories == ("worker", "api/*")
    whole = await browser.submit(await browser.get(edit), edit, repositories="", contact="")
    assert "all of" in (await browser.get(whole.location)).page.text
    (changed,) = await portal.house.listed(APP)
    assert (changed.repositories, changed.contact) == (None, None)
    for wrong, status in (
        ({"customer": ""}, 400),
        ({"repositories": "../x"}, 400),
        ({"custom": "seats"}, 400),
        ({"custom": "a=1\na=2"}, 400),
        ({"contact": "x" * 201}, 400),
    ):
        refused = await browser.submit(await browser.get(edit), edit, **wrong)
        assert (refused.status, wrong.items() <= refused.form(edit).fields.items()) == (status, True), wrong
    viewer = await portal.browser().sign_in(VIEWER)
    assert (await viewer.get(edit)).status == 403
    assert edit not in {one.attributes["href"] for one in (await viewer.get(address)).page.all("a")}


async def test_what_is_wrong_with_a_new_license_is_said(portal: PortalServer) -> None:
    """What was typed stays in the form."""
    browser = await portal.browser().sign_in(DEVELOPER)
    form = await browser.get(NEW)
    await make(portal, "Globex", reference="taken")
    for typed, status, words in [
        ({"customer": ""}, 400, "customer"),
        ({"customer": "Globex", "last_day": "soon"}, 400, "date"),
        ({"customer": "Globex", "last_day": "2020-01-01"}, 400, "before now"),
        ({"customer": "Globex", "repositories": "../x"}, 400, "pattern"),
        ({"customer": "Globex", "custom": "nothing"}, 400, "name=value"),
        ({"customer": "Globex", "reference": "taken"}, 409, "taken"),
    ]:
        reply = await browser.submit(form, NEW, do="create", **typed)
        assert (reply.status, words in reply.page.text) == (status, True), (typed, reply.page.text)
        kept = reply.form(NEW).fields
        assert {name: kept[name] for name in typed} == typed
    assert len(await portal.house.listed(APP)) == 1


async def test_licenses_are_found(portal: PortalServer) -> None:
    """By customer, reference, state and app; what ends soon; page by page."""
    near = await make(portal, "Umbrella Health", days=10, reference="CRM-1")
    await make(portal, "Globex", reference="CRM-2")
    await make(portal, "Initech GmbH", app=OTHER_APP)
    browser = await portal.browser().sign_in(VIEWER)
    for query, customers in [
        ("", ["Umbrella Health", "Globex", "Initech GmbH"]),
        ("text=umb", ["Umbrella Health"]),
        ("text=crm-2&by=reference", ["Globex"]),
        ("state=ends-soon", ["Umbrella Health"]),
        ("state=active", ["Umbrella Health", "Globex", "Initech GmbH"]),
        (f"app={OTHER_APP}", ["Initech GmbH"]),
        ("text=nobody", []),
        ("state=revoked", []),
    ]:
        page = (await browser.get(f"/portal/customers?{query}")).page
        found = [row for table in page.all("tbody") for row in [one.text for one in table.all("tr")]]
        assert sorted(found) == sorted(one for one in found if any(one.startswith(name) for name in customers)), query
        assert len(found) == len(customers), query
    assert "ends in" in (await browser.get(f"/portal/licenses/{near}")).page.text
    for query, status in (("text=!", 400), ("state=odd", 400), ("after=x", 400), ("app=nowhere", 404)):
        assert (await browser.get(f"/portal/customers?{query}")).status == status, query


async def test_a_customer_has_a_page(portal: PortalServer) -> None:
    """With all licenses, and name, reference and address, which are changed there."""
    license_id = await make(portal, "Globex")
    browser = await portal.browser().sign_in(DEVELOPER)
    page = await browser.get(f"/portal/licenses/{license_id}")
    (address,) = [one.attributes["href"] for one in page.page.all("a") if "/customers/" in one.attributes["href"]]
    customer = await browser.get(address)
    assert license_id in rows(customer.page)[0]
    changed = await browser.submit(customer, address, name="Globex Corp", reference="CRM-7", email="IT@globex.test")
    text = (await browser.get(changed.location)).page
    assert [one.text for one in text.all("h1")] == ["Globex Corp"]
    assert "The customer was changed" in text.text
    refused = await browser.submit(customer, address, name="", reference="CRM-7", email="")
    assert refused.status == 400


@pytest.mark.parametrize(
    ("email", "may_change", "may_see"),
    [
        (OWNER, True, True),
        (DEVELOPER, True, True),
        (VIEWER, False, True),
        (LIMITED, True, True),
        (STRANGER, True, False),
    ],
)
async def test_buttons_are_those_of_the_permissions(
    portal: PortalServer, email: str, may_change: bool, may_see: bool
) -> None:
    """What may not be done has no button, and is refused when it is sent all the same; strangers see nothing."""
    license_id = await make(portal, "Globex")
    browser = await portal.browser().sign_in(email)
    address = f"/portal/licenses/{license_id}"
    page = await browser.get(address)
    listed = await browser.get("/portal/customers")
    assert ("Globex" in listed.page.text) is may_see
    assert page.status == (200 if may_see else 404)
    links = {one.attributes["href"] for one in page.page.all("a")}
    actions = {f"{address}/{what}" for what in ("revoke", "archive", "rotate")}
    assert (actions <= links) is (may_change and may_see)
    assert not may_change or may_see is False or actions <= links
    assert page.has_form(f"{address}/file") is (may_change and may_see)
    token = listed.form("/portal/sign-out").fields["form_token"]
    for what in ("file", "extend", "revoke", "archive", "reinstate", "rotate"):
        fields = {"form_token": token, "last_day": "2030-01-01", "overlap": "0"}
        status = (await browser.post(f"{address}/{what}", fields)).status
        assert status == (200 if what == "file" else 303) if may_change and may_see else status in {403, 404}, what
    for what in ("revoke", "archive", "rotate", "../new"):
        status = (await browser.get(f"{address}/{what}")).status
        assert (status == 200) is (may_change and may_see) or what == "../new", what


async def test_the_limited_see_their_app_alone(portal: PortalServer) -> None:
    """Neither lists nor pages nor forms name another one."""
    other = await make(portal, "Initech", app=OTHER_APP)
    browser = await portal.browser().sign_in(LIMITED)
    for path in ("/portal/customers", NEW, "/portal/images"):
        assert OTHER_APP not in (await browser.get(path)).page.text
        assert "Initech" not in (await browser.get(path)).page.text
    assert (await browser.get(f"/portal/licenses/{other}")).status == 404
    assert (await browser.get(f"/portal/customers?app={OTHER_APP}")).status == 404


async def test_a_denial_is_in_the_audit(portal: PortalServer) -> None:
    """A viewer who sends a form that is not theirs is recorded, with the request id of the page."""
    browser = await portal.browser().sign_in(VIEWER)
    token = (await browser.get("/portal/customers")).form("/portal/sign-out").fields["form_token"]
    reply = await browser.post(NEW, {"form_token": token})
    assert (reply.status, "may not create a license" in reply.page.text) == (403, True)
    assert portal.recorder.waiting == 1


async def test_hostile_texts_are_texts(portal: PortalServer) -> None:
    """In every field that a page shows: the pages have the same elements and attributes as with plain text."""
    shapes = []
    for text in ("plain", HOSTILE):
        terms = LicenseTerms.parse(
            customer=text, expires="30d", contact=text, fields={"note": text}, now=portal.house.now
        )
        license_, _ = await portal.house.licenses.create(APP, terms, portal.house.operation(), text)
        browser = await portal.browser().sign_in(DEVELOPER)
        paths = (
            *("/portal/customers", f"/portal/licenses/{license_.id}", f"/portal/licenses/{license_.id}/revoke"),
            f"/portal/customers/{license_.customer_id}",
        )
        pages = [(await browser.get(path)).page for path in paths]
        if text == "plain":
            await portal.house.licenses.archive(license_.id, portal.house.operation())
        else:
            assert all(HOSTILE in page.text for page in pages[:2])
        form = await browser.get(NEW)
        typed = {"customer": text, "contact": text, "custom": text, "repositories": text, "reference": text}
        pages.append((await browser.submit(form, NEW, do="preview", **typed)).page)
        shapes.append([[(one.name, sorted(one.attributes)) for one in page.walk()] for page in pages])
    assert shapes[0] == shapes[1]


def test_states_in_words() -> None:
    """With the day of what comes, and never a colour alone."""
    now = datetime(2026, 11, 27, 12, tzinfo=UTC)
    license_ = make_license(expires_at=now + timedelta(days=40))
    assert (shown_state(license_, now).kind, shown_state(license_, now).words) == ("ok", "active")
    soon = ((timedelta(days=29, hours=5), "29 days"), (timedelta(days=1), "1 day"))
    for left, words in soon:
        assert shown_state(make_license(expires_at=now + left), now).words == f"ends in {words}"
    assert shown_state(make_license(expires_at=now + timedelta(hours=3)), now).words == "ends today"
    assert shown_state(make_license(expires_at=now), now).words == "expired 2026-11-27"


def test_days() -> None:
    """The end is the start of the day after the last one."""
    assert end_after("2027-01-31") == "2027-02-01"
    assert last_day(datetime(2027, 2, 1, tzinfo=UTC)) == "2027-01-31"
    assert last_day(datetime(2027, 2, 1, 10, 30, tzinfo=UTC)) == "2027-02-01, until 10:30 UTC"
    for text in ("", "soon", "9999-12-31", "2027-02-30"):
        assert end_after(text) == text
