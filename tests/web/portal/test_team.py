"""The team in the portal: invitations, roles, and what takes them away."""

import pytest

from authsvc.manage.actor import Actor
from authsvc.web.portal.cookies import SESSION_COOKIE
from tests.support.installation import APP, TEAM
from tests.support.portal_server import Browser, PortalServer

pytestmark = pytest.mark.usefixtures("people")

OWNER, NEW = "owner@acme.test", "new@acme.test"
PASSWORD = "five unrelated words of a novel"

PATH = "/portal/team"


async def link_of(browser: Browser, action: str, **fields: str) -> str:
    """Make a one-time link with a form of the team's page, and return its path."""
    page = await browser.get(PATH if action.endswith("/invite") else action.rpartition("/")[0])
    shown = await browser.submit(page, action, **fields)
    assert shown.status == 200, shown.text
    (address,) = [one.text for one in shown.page.all("code")]
    assert address.startswith("https://registry.example.com/portal/join/asv_link_")
    return address.removeprefix("https://registry.example.com")


async def member_path(portal: PortalServer, email: str) -> str:
    """Return the path of a member's page."""
    stored = await portal.house.stores.members.by_email(email)
    assert stored is not None
    return f"{PATH}/{stored.record.id}"


async def test_a_person_is_invited_and_joins(portal: PortalServer) -> None:
    """With the link alone: a password of their own, and they are signed in; the link works once."""
    owner = await portal.browser().sign_in(OWNER)
    assert (await owner.get(PATH)).form(f"{PATH}/invite").fields[
        "role"
    ] == "developer"  # nobody becomes an owner unseen
    path = await link_of(owner, f"{PATH}/invite", email=NEW, role="developer", apps=APP)
    browser = portal.browser()
    form = await browser.get(path)
    refused = await browser.submit(form, "/portal/join", password="short", again="short")
    assert (refused.status, "15" in refused.page.text) == (400, True)
    refused = await browser.submit(form, "/portal/join", password=PASSWORD, again=PASSWORD + "x")
    assert (refused.status, "differ" in refused.page.text) == (400, True)
    assert SESSION_COOKIE not in browser.cookies
    joined = await browser.submit(refused, "/portal/join", password=PASSWORD, again=PASSWORD)
    assert joined.location == "/portal/images"
    account = (await browser.get("/portal/account")).page.text
    assert f"{NEW} · developer of {TEAM} · limited to {APP}" in account
    stored = await portal.house.stores.members.by_email(NEW)
    assert stored is not None
    (entry,) = [one for one in portal.house.told if one.event == "member.joined"]
    assert entry.actor == f"member:{stored.record.id}"
    assert PATH not in {one.attributes["href"] for one in (await browser.get("/portal/images")).page.all("a")}
    assert (await browser.get(PATH)).status == 403

    again = portal.browser()
    used = await again.submit(await again.get(path), "/portal/join", password=PASSWORD, again=PASSWORD)
    assert (used.status, "The link is not valid" in used.page.text) == (400, True)
    assert path.rpartition("/")[2] not in portal.log.getvalue()


async def test_an_invitation_is_taken_back(portal: PortalServer) -> None:
    """Owners see who is invited by whom, and take it back on a page that names the person; then nobody joins by it."""
    owner, viewer = await portal.browser().sign_in(OWNER), await portal.browser().sign_in("viewer@acme.test")
    assert "Open one-time links" not in (await owner.get(PATH)).page.text
    path = await link_of(owner, f"{PATH}/invite", email=NEW, role="developer", apps=APP)
    for browser, buttons in ((owner, 1), (viewer, 0)):
        page = (await browser.get(PATH)).page
        assert all(one in page.text for one in ("Open one-time links", NEW, OWNER))
        (*ask,) = [one.attributes["href"] for one in page.all("a") if one.text == "Take back"]
        assert len(ask) == buttons
        assert path.rpartition("/")[2] not in page.text
    (action,) = [one.attributes["href"] for one in (await owner.get(PATH)).page.all("a") if one.text == "Take back"]
    assert (await viewer.get(action)).status == 403
    asked = await owner.get(action)
    assert NEW in asked.page.text
    done = await owner.submit(asked, action)
    assert done.location == f"{PATH}?done=revoke"
    page = (await owner.get(done.location)).page
    assert ("opens nothing" in page.text, NEW in page.text) == (True, False)
    assert (await owner.get(action)).location == f"{PATH}?done=revoke"
    twice = await owner.submit(asked, action)
    assert (twice.status, "no open link" in twice.page.text) == (404, True)
    browser = portal.browser()
    void = await browser.submit(await browser.get(path), "/portal/join", password=PASSWORD, again=PASSWORD)
    assert (void.status, "The link is not valid" in void.page.text) == (400, True)


async def test_a_lost_password_is_set_anew(portal: PortalServer) -> None:
    """By a link of an owner, typed in or in the address; every session of before ends."""
    owner, lost = await portal.browser().sign_in(OWNER), await portal.browser().sign_in("viewer@acme.test")
    path = await link_of(owner, f"{await member_path(portal, 'viewer@acme.test')}/reset")
    browser = portal.browser()
    form = await browser.get("/portal/join")
    done = await browser.submit(
        form, "/portal/join", link=f" {portal.public_url.text}{path} ", password=PASSWORD, again=PASSWORD
    )
    assert done.location == "/portal/images"
    assert (await lost.get("/portal/account")).status == 303
    await portal.browser().sign_in("viewer@acme.test", PASSWORD)


@pytest.mark.parametrize("link", ["", "nonsense", "asv_link_" + "0" * 16 + "_" + "0" * 49])
async def test_no_link_no_account(portal: PortalServer, link: str) -> None:
    """One sentence for whatever is not a link."""
    browser = portal.browser()
    form = await browser.get("/portal/join")
    reply = await browser.submit(form, "/portal/join", link=link, password=PASSWORD, again=PASSWORD)
    assert (reply.status, "The link is not valid" in reply.page.text) == (400, True)
    assert [one.attributes.get("type") for one in reply.page.all("input") if one.attributes["name"] == "link"] == [
        "text"
    ]
    assert SESSION_COOKIE not in browser.cookies


async def test_members_are_changed(portal: PortalServer) -> None:
    """Another role, disabled, enabled, removed; the last owner stays one."""
    owner = await portal.browser().sign_in(OWNER)
    path = await member_path(portal, "viewer@acme.test")
    page = await owner.get(path)
    changed = await owner.submit(page, f"{path}/role", role="developer")
    assert "developer of" in (await owner.get(changed.location)).page.text
    disabled = await owner.get((await owner.submit(page, f"{path}/disable")).location)
    assert "disabled" in disabled.page.text
    enabled = await owner.get((await owner.submit(disabled, f"{path}/enable")).location)
    assert "active" in enabled.page.text
    limited = await owner.submit(enabled, f"{path}/role", role="viewer", apps=APP)
    page = await owner.get(limited.location)
    assert f"viewer of {TEAM} · limited to {APP}" in page.page.text
    unknown = await owner.submit(page, f"{path}/role", apps="nowhere")
    assert (unknown.status, unknown.form(f"{path}/role").fields["apps"]) == (404, "nowhere")
    lifted = await owner.get((await owner.submit(page, f"{path}/role", apps="")).location)
    assert "limited to" not in lifted.page.text
    removed = await owner.submit(await owner.get(f"{path}/remove"), f"{path}/remove")
    assert "viewer@acme.test" not in (await owner.get(removed.location)).page.text
    own = await member_path(portal, OWNER)
    last = await owner.submit(await owner.get(own), f"{own}/role", role="viewer")
    assert (last.status, "last owner" in last.page.text) == (409, True)


async def test_what_ends_with_a_member_is_confirmed(portal: PortalServer) -> None:
    """Service accounts that they made are named before, and the removal is sent once more."""
    stored = await portal.house.stores.members.by_email(OWNER)
    assert stored is not None
    await portal.house.members.set_role("developer@acme.test", "owner", None, portal.house.operation())
    by = portal.house.operation(Actor.of_member(stored.record))
    await portal.house.service_accounts.create("ci-build", TEAM, [f"{APP}/**:pull"], None, None, by)
    browser = await portal.browser().sign_in("developer@acme.test")
    path = await member_path(portal, OWNER)
    asked = await browser.submit(await browser.get(f"{path}/remove"), f"{path}/remove")
    assert (asked.status, "ci-build" in asked.page.text) == (409, True)
    assert (await browser.submit(asked, f"{path}/remove")).location == f"{PATH}?done=remove"


@pytest.mark.parametrize("name", ["developer", "viewer", "limited", "stranger"])
async def test_others_change_nobody(portal: PortalServer, name: str) -> None:
    """They have no buttons, and forms that they send all the same are refused."""
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    path = await member_path(portal, OWNER)
    team = await browser.get(PATH)
    assert team.status == (403 if name == "limited" else 200)
    if name != "stranger":
        assert not team.has_form(f"{PATH}/invite")
        shown = await browser.get(path)
        assert not any(shown.has_form(f"{path}/{one}") for one in ("role", "reset", "disable", "remove"))
    token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    fields = {"form_token": token, "role": "viewer", "email": NEW}
    for what in ("role", "reset", "disable", "enable", "remove"):
        assert (await browser.post(f"{path}/{what}", fields)).status == (404 if name == "stranger" else 403)
    assert (await browser.get(f"{path}/remove")).status == (404 if name == "stranger" else 403)
    if name != "stranger":
        assert (await browser.post(f"{PATH}/invite", fields)).status == 403
    assert (await portal.browser().sign_in(OWNER)).cookies
    assert NEW not in (await (await portal.browser().sign_in(OWNER)).get(PATH)).page.text
