"""Settings in the portal: the team, its apps, and what archiving one of them ends."""

import pytest

from authsvc.tenancy.terms import LicenseTerms
from tests.support.html_page import Element
from tests.support.installation import APP, OTHER_APP, TEAM
from tests.support.portal_server import PortalServer

pytestmark = pytest.mark.usefixtures("people")

SETTINGS, NEW, PATH = "/portal/settings", "/portal/settings/new-app", f"/portal/apps/{APP}"
OWNER = "owner@acme.test"


def links(page: Element) -> set[str]:
    """Return where the links of a page lead."""
    return {one.attributes["href"] for one in page.all("a")}


async def sell(portal: PortalServer, customer: str) -> None:
    """Make a license."""
    terms = LicenseTerms.parse(customer=customer, expires="30d", now=portal.house.now)
    await portal.house.licenses.create(APP, terms, portal.house.operation())


async def test_an_app_from_its_beginning_to_its_end(portal: PortalServer) -> None:
    """Made, archived when what ends is confirmed, reinstated."""
    browser = await portal.browser().sign_in(OWNER)
    form = await browser.get(NEW)
    for typed, status in (({"slug": "Not a slug"}, 400), ({"slug": APP}, 409), ({"slug": "", "name": "x"}, 400)):
        refused = await browser.submit(form, NEW, **typed)
        assert refused.status == status, refused.page.text
        assert typed.items() <= refused.form(NEW).fields.items()
    made = await browser.submit(form, NEW, slug="reports", name="Reports & more")
    assert "Push the first image" in (await browser.get(made.location)).page.text
    listed = await browser.get(SETTINGS)
    assert {"/portal/apps/reports", PATH, f"/portal/apps/{OTHER_APP}"} <= links(listed.page)
    assert f"team {TEAM}" in listed.page.text

    await sell(portal, "Globex")
    asked = await browser.get(f"{PATH}/archive")
    assert "Licenses in force 1, of 1 customer" in asked.page.text
    await sell(portal, "Initech")
    changed = await browser.submit(asked, f"{PATH}/archive")
    assert (changed.status, "has changed since" in changed.page.text) == (409, True)
    assert "Licenses in force 2, of 2 customers" in changed.page.text
    unasked = await browser.post(
        f"{PATH}/archive", {"form_token": changed.form(f"{PATH}/archive").fields["form_token"]}
    )
    assert unasked.status == 409
    archived = await browser.get((await browser.submit(changed, f"{PATH}/archive")).location)
    assert "refused until it is reinstated" in archived.page.text
    assert portal.house.told[-1].event == "app.archived"
    assert "archived already" in (await browser.get(f"{PATH}/archive")).page.text
    assert "archived" in (await browser.get(SETTINGS)).page.text
    taken = await browser.submit(form, NEW, slug=APP)
    assert (taken.status, "reinstate it instead" in taken.page.text) == (409, True)
    back = await browser.get((await browser.submit(archived, f"{PATH}/reinstate")).location)
    assert "in use again" in back.page.text


async def test_an_owner_names_the_team(portal: PortalServer) -> None:
    """Another name is shown and in the audit; what is no name, or an older page, is refused; others have no form."""
    browser, action = await portal.browser().sign_in(OWNER), f"{SETTINGS}/name"
    old = await browser.get(SETTINGS)
    assert old.form(action).fields["name"] == TEAM
    empty = await browser.submit(old, action, name=" ")
    assert (empty.status, "must have 1 to 200 characters" in empty.page.text) == (400, True)
    named = await browser.get((await browser.submit(old, action, name="Acme & Söhne")).location)
    assert "Acme & Söhne" in named.page.text
    assert "has another name" in named.page.text
    entry = portal.house.told[-1]
    assert (entry.event, entry.facts["changed"]) == ("team.changed", {"name": [TEAM, "Acme & Söhne"]})
    late = await browser.submit(old, action, name="Acme")
    assert (late.status, late.form(action).fields["name"]) == (412, "Acme & Söhne")

    for name in ("developer", "viewer", "limited"):
        other = await portal.browser().sign_in(f"{name}@acme.test")
        page = await other.get(SETTINGS)
        (brand,) = [one for one in page.page.all("a") if one.attributes.get("class") == "brand"]
        assert brand.text == "Acme & Söhne / registry.example.com"
        assert action not in {form.attributes["action"] for form in page.page.all("form")}
        token = (await other.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
        assert (await other.post(action, {"form_token": token, "name": "Theirs"})).status == 403


@pytest.mark.parametrize("name", ["developer", "viewer", "limited", "stranger"])
async def test_others_look(portal: PortalServer, name: str) -> None:
    """They have no buttons, and forms that they send all the same are refused."""
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    listed = await browser.get(SETTINGS)
    shown = await browser.get(PATH)
    assert (listed.status, shown.status) == (200, 404 if name == "stranger" else 200)
    assert (NEW in links(listed.page)) is (name == "stranger")
    assert (f"/portal/apps/{OTHER_APP}" in links(listed.page)) is (name in {"developer", "viewer"})
    assert f"{PATH}/archive" not in links(shown.page)
    token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    refused = 404 if name == "stranger" else 403
    for what in ("archive", "reinstate"):
        assert (await browser.post(f"{PATH}/{what}", {"form_token": token})).status == refused
    assert (await browser.get(f"{PATH}/archive")).status == refused
    if name != "stranger":
        assert (await browser.post(NEW, {"form_token": token, "slug": "mine"})).status == 403
        assert (await browser.get(NEW)).status == 403
    assert (await portal.house.teams.app(portal.house.operation().actor, APP)).archived_at is None


@pytest.mark.parametrize("name", ["owner", "developer", "viewer", "limited"])
async def test_no_link_leads_nowhere(portal: PortalServer, name: str) -> None:
    """Every link of the settings and of an app opens for the one who sees it."""
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    found = {path for page in (SETTINGS, PATH) for path in links((await browser.get(page)).page) if path[0] == "/"}
    assert SETTINGS in found
    for path in found:
        assert (await browser.get(path)).status in {200, 303}, path


async def test_a_team_without_an_app_makes_one(portal: PortalServer) -> None:
    """Where images and licenses would be, an owner finds the form."""
    await portal.house.teams.archive_app("globex", portal.house.operation(), await _mark(portal))
    browser = await portal.browser().sign_in("stranger@acme.test")
    for path in ("/portal/images", "/portal/licenses/new"):
        page = await browser.get(path)
        assert (page.status, NEW in links(page.page)) == (200, True), path


async def _mark(portal: PortalServer) -> str | None:
    use = await portal.house.teams.use_of(portal.house.operation().actor, "globex", portal.house.now)
    ends = use.ended_by_archiving("globex")
    return None if ends is None else ends.mark
