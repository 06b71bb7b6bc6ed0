"""What a review of the portal has found, and must not come back."""

import asyncio
from datetime import UTC, datetime

import pytest

from authsvc.tenancy.portal_session import MAX_SESSIONS
from authsvc.web.portal.cookies import FORM_COOKIE, SESSION_COOKIE
from tests.support.builders import PASSWORD
from tests.support.installation import TEAM
from tests.support.portal_server import Browser, PortalServer

pytestmark = pytest.mark.usefixtures("people")

OWNER = "owner@acme.test"
ANOTHER = "five unrelated words of a novel"


async def worn_out(portal: PortalServer) -> Browser:
    """Sign in as often as an account may within an hour, and return the last browser."""
    browser = portal.browser()
    for _ in range(MAX_SESSIONS):
        browser = await portal.browser().sign_in(OWNER)
    return browser


async def test_a_new_password_gets_its_owner_in_again(portal: PortalServer) -> None:
    """Whoever knew the old one and signed in too often with it shuts nobody out."""
    browser = await worn_out(portal)
    account = await browser.get("/portal/account")
    fields = {"present": PASSWORD.reveal(), "new": ANOTHER, "again": ANOTHER}
    done = await browser.submit(account, "/portal/account/password", **fields)
    assert done.location == "/portal/account?done=password"
    assert (await browser.get(done.location)).status == 200


async def test_a_reset_gets_its_owner_in_again(portal: PortalServer) -> None:
    """The same with a link."""
    await worn_out(portal)
    house = portal.house
    link = await house.links.reset(OWNER, house.operation())
    browser = portal.browser()
    form = await browser.get(f"/portal/join/{link.reveal()}")
    joined = await browser.submit(form, "/portal/join", password=ANOTHER, again=ANOTHER)
    assert joined.location == "/portal/images"
    assert (await browser.get("/portal/account")).status == 200


@pytest.mark.parametrize("name", [FORM_COOKIE, SESSION_COOKIE])
async def test_a_cookie_that_is_no_text(portal: PortalServer, name: str) -> None:
    """It is none; and whatever fails, the log has the route and not the link in the address."""
    for path in ("/portal/join/asv_link_CANARY", "/portal/sign-in", "/portal/nothing"):
        reader, writer = await asyncio.open_connection("127.0.0.1", portal.port)
        writer.write(f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nCookie: {name}=".encode())
        writer.write(b"\xff\xfe\r\n\r\n")
        answer = await reader.read()
        writer.close()
        assert answer.split(b" ")[1] in {b"200", b"404"}, answer
        assert b"Content-Security-Policy" in answer
    assert "CANARY" not in portal.log.getvalue()


async def test_an_error_page_that_fails(portal: PortalServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Then a plain one is sent, with the headers; the log does not have the link in the address."""
    monkeypatch.setattr("authsvc.web.portal.application.form_token", lambda _cookie: 1 / 0)
    reply = await portal.browser().get("/portal/join/asv_link_CANARY")
    assert (reply.status, "tell the operator" in reply.text) == (500, True)
    assert "content-security-policy" in reply.headers
    assert "CANARY" not in portal.log.getvalue()
    assert "/portal/join/{link}" in portal.log.getvalue()


async def test_wrong_passwords_leave_a_trace(portal: PortalServer) -> None:
    """In the log with code and detail, and in the audit, as of docker login."""
    portal.house.now = datetime.now(UTC).replace(microsecond=0)
    browser = portal.browser()
    form = await browser.get("/portal/sign-in")
    await browser.submit(form, "/portal/sign-in", email=OWNER, password="wrong")
    (line,) = portal.logged("portal.refused")
    assert line["code"] == "credentials_refused"
    assert line["detail"].startswith("wrong password of member:")
    assert portal.recorder.waiting == 1


async def test_strangers_keep_nobody_from_the_form(portal: PortalServer) -> None:
    """However many forms one network sends, everybody gets the page, and another network its turn."""
    flood = [portal.browser() for _ in range(40)]
    form = await flood[0].get("/portal/sign-in")
    fields = {**form.form("/portal/sign-in").fields, "email": OWNER, "password": "wrong"}
    for one in flood:
        one.cookies = dict(flood[0].cookies)
    jobs = [asyncio.ensure_future(one.post("/portal/sign-in", fields)) for one in flood]
    assert (await portal.browser().get("/portal/sign-in")).status == 200
    assert {reply.status for reply in await asyncio.gather(*jobs)} <= {401, 429, 503}


async def test_an_open_browser_is_no_way_to_another_password(portal: PortalServer) -> None:
    """The link for a new password is for others: one's own takes the present password."""
    browser = await portal.browser().sign_in(OWNER)
    stored = await portal.house.stores.members.by_email(OWNER)
    assert stored is not None
    path = f"/portal/team/{stored.record.id}"
    page = await browser.get(path)
    assert not page.has_form(f"{path}/reset")
    token = page.form("/portal/sign-out").fields["form_token"]
    for name in (stored.record.id, OWNER):
        reply = await browser.post(f"/portal/team/{name}/reset", {"form_token": token})
        assert (reply.status, "asv_link_" in reply.text) == (403, False)


@pytest.mark.parametrize("name", ["viewer%40acme.test%0D%0A", "viewer%40acme.test"])
async def test_redirects_name_the_record(portal: PortalServer, name: str) -> None:
    """Not what stood in the address."""
    browser = await portal.browser().sign_in(OWNER)
    token = (await browser.get("/portal/team")).form("/portal/sign-out").fields["form_token"]
    reply = await browser.post(f"/portal/team/{name}/role", {"form_token": token, "role": "developer"})
    stored = await portal.house.stores.members.by_email("viewer@acme.test")
    assert stored is not None
    assert reply.status in {303, 400, 404}
    if reply.status == 303:
        assert reply.location == f"/portal/team/{stored.record.id}?done=role"


async def test_commands_are_quoted(portal: PortalServer) -> None:
    """What is copied from a page runs nothing but the command that is shown."""
    address = "x`id`&id|sh@acme.test"
    await portal.house.members.add(address, TEAM, "viewer", (), PASSWORD, portal.house.operation())
    browser = await portal.browser().sign_in(address)
    commands = [one.text for one in (await browser.get("/portal/images")).page.all("code")]
    assert f"docker login registry.example.com -u '{address}'" in commands


async def test_signing_in_anew_ends_the_session_before(portal: PortalServer) -> None:
    """Of whichever account it was."""
    browser = await portal.browser().sign_in(OWNER)
    before = dict(browser.cookies)
    token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    fields = {"form_token": token, "email": "developer@acme.test", "password": PASSWORD.reveal()}
    assert (await browser.post("/portal/sign-in", fields)).status == 303
    assert (await Browser(portal, before).get("/portal/account")).status == 303
    assert "developer@acme.test" in (await browser.get("/portal/account")).page.text


async def test_an_app_that_is_not_there(portal: PortalServer) -> None:
    """It is not another one."""
    browser = await portal.browser().sign_in(OWNER)
    assert (await browser.get("/portal/images?app=nowhere")).status == 404
