"""Signing in, sessions and their ends."""

from datetime import timedelta

import pytest

from authsvc.credentials.machine_secret import SESSION_KIND, MachineSecret
from authsvc.public_url import parse_public_url
from authsvc.tenancy.portal_session import MAX_SESSIONS, SESSION_IDLE, SESSION_LIFE
from authsvc.web.portal.cookies import FORM_COOKIE, SESSION_COOKIE
from tests.support.builders import PASSWORD
from tests.support.installation import Installation
from tests.support.portal_server import Browser, PortalServer, portal_server
from tests.web.api.conftest import People

pytestmark = pytest.mark.usefixtures("people")

OWNER = "owner@acme.test"
WRONG = "The e-mail address or the password is wrong"
NEW_PASSWORD = "five unrelated words of a novel"


async def test_the_address_of_the_registry_leads_to_the_form(portal: PortalServer) -> None:
    """And from there to the first page, or to the one that was asked for."""
    browser = portal.browser()
    assert (await browser.get("/")).location == "/portal/"
    assert (await browser.get("/portal")).location == "/portal/"
    assert (await browser.get("/portal/")).location == "/portal/sign-in"
    asked = (await browser.get("/portal/account?done=x")).location
    assert asked == "/portal/sign-in?next=/portal/account%3Fdone%3Dx"
    form = await browser.get(asked)
    kinds = {one.attributes["name"]: one.attributes["type"] for one in form.page.all("input")}
    shown = {"email": "email", "password": "password"}
    assert kinds == {"form_token": "hidden", "next": "hidden", "answer": "hidden", **shown}
    signed_in = await browser.submit(form, "/portal/sign-in", email=" Owner@ACME.test ", password=PASSWORD.reveal())
    assert signed_in.location == "/portal/account?done=x"
    assert OWNER in (await browser.get("/portal/account")).page.text
    assert (await browser.get("/portal/")).location == "/portal/images"
    assert (await browser.get("/portal/sign-in")).location == "/portal/images"


@pytest.mark.parametrize(
    "following",
    ["https://evil.example", "//evil.example", "/\\evil.example", "/portal/\r\nX: y", "/v2/", "/portal//" * 200, ""],
)
async def test_it_leads_to_no_other_site(portal: PortalServer, following: str) -> None:
    """Whatever the address of the form says."""
    browser = portal.browser()
    form = await browser.get("/portal/sign-in")
    fields = {**form.form("/portal/sign-in").fields, "next": following, "email": OWNER, "password": PASSWORD.reveal()}
    assert (await browser.post("/portal/sign-in", fields)).location == "/portal/images"


async def test_what_does_not_sign_in(portal: PortalServer, people: People) -> None:
    """Unknown and wrong in one sentence; tokens are no passwords; who is disabled learns it once that is proven."""
    house = portal.house
    browser = portal.browser()
    form = await browser.get("/portal/sign-in")
    for email, password in [
        (OWNER, "wrong"),
        ("nobody@acme.test", PASSWORD.reveal()),
        ("no address", PASSWORD.reveal()),
        (OWNER, people["owner"].reveal()),
        (OWNER, ""),
    ]:
        reply = await browser.submit(form, "/portal/sign-in", email=email, password=password)
        assert (reply.status, WRONG in reply.page.text) == (401, True), (email, password)
        assert reply.form("/portal/sign-in").fields["email"] == email
        assert (
            "value"
            not in next(one for one in reply.page.all("input") if one.attributes["name"] == "password").attributes
        )

    await house.members.disable("viewer@acme.test", house.operation())
    reply = await browser.submit(form, "/portal/sign-in", email="viewer@acme.test", password=PASSWORD.reveal())
    assert (reply.status, "was disabled" in reply.page.text) == (403, True)
    assert SESSION_COOKIE not in browser.cookies


async def test_wrong_passwords_are_counted_with_those_of_docker(portal: PortalServer) -> None:
    """Above the limit the right one is not evaluated either."""
    browser = portal.browser()
    form = await browser.get("/portal/sign-in")
    statuses = []
    for number in range(12):
        reply = await browser.submit(form, "/portal/sign-in", email=OWNER, password=f"{number} wrong")
        statuses.append(reply.status)
    assert statuses[0] == 401
    assert statuses[-1] == 429
    reply = await browser.submit(form, "/portal/sign-in", email=OWNER, password=PASSWORD.reveal())
    assert reply.status == 429
    assert reply.headers["retry-after"].isdigit()
    assert SESSION_COOKIE not in browser.cookies


async def test_a_session_is_new_with_each_sign_in(portal: PortalServer) -> None:
    """A cookie that somebody has planted is not what the browser is signed in with (session fixation)."""
    made_up = MachineSecret.build(SESSION_KIND, "0" * 16, bytes(32)).text.reveal()
    browser = Browser(portal, {SESSION_COOKIE: made_up})
    await browser.sign_in(OWNER)
    first = browser.cookies[SESSION_COOKIE]
    assert first != made_up
    assert FORM_COOKIE not in browser.cookies
    await browser.submit(await browser.get("/portal/account"), "/portal/sign-out")
    assert browser.cookies == {}
    assert (await Browser(portal, {SESSION_COOKIE: first}).get("/portal/account")).status == 303
    await browser.sign_in(OWNER)
    assert browser.cookies[SESSION_COOKIE] != first


async def test_two_cookies_of_one_name_are_none(portal: PortalServer) -> None:
    """It cannot be told which one is the browser's (cookie tossing)."""
    browser = await portal.browser().sign_in(OWNER)
    own = f"{SESSION_COOKIE}={browser.cookies[SESSION_COOKIE]}"
    for cookies, status in ((own, 200), (f"{own}; {own}", 303), (f"x=y; {own}; a", 200), (f'{own}"', 303)):
        assert (await browser.ask("GET", "/portal/account", headers={"Cookie": cookies})).status == status, cookies


async def test_other_credentials_are_no_session(portal: PortalServer, people: People) -> None:
    """Nor is a session's secret with another kind or another end."""
    browser = await portal.browser().sign_in(OWNER)
    right = browser.cookies[SESSION_COOKIE]
    secret = MachineSecret.parse(right)
    assert secret is not None
    forged = MachineSecret.build(SESSION_KIND, secret.id, bytes(32)).text.reveal()
    for wrong in (people["owner"].reveal(), forged, right[:-1], right.replace("_ses_", "_pat_"), "", "x" * 9000):
        assert (await Browser(portal, {SESSION_COOKIE: wrong}).get("/portal/account")).status == 303, wrong
    assert (await Browser(portal, {SESSION_COOKIE: right}).get("/portal/account")).status == 200


async def test_a_session_ends_by_itself(portal: PortalServer) -> None:
    """When it was idle for too long, and after its life however often it is used."""
    house = portal.house
    browser = await portal.browser().sign_in(OWNER)
    house.now += SESSION_IDLE - timedelta(seconds=1)
    assert (await browser.get("/portal/account")).status == 200
    await house.usage.flush()
    house.now += SESSION_IDLE - timedelta(seconds=1)
    assert (await browser.get("/portal/account")).status == 200
    await house.usage.flush()
    house.now += SESSION_IDLE
    assert (await browser.get("/portal/account")).status == 303

    await browser.sign_in(OWNER)
    for _ in range(SESSION_LIFE // SESSION_IDLE * 2 - 1):
        house.now += SESSION_IDLE / 2
        assert (await browser.get("/portal/account")).status == 200
        await house.usage.flush()
    house.now += SESSION_IDLE / 2
    assert (await browser.get("/portal/account")).status == 303


@pytest.mark.parametrize("change", ["password", "role", "disable", "remove", "everywhere", "ended"])
async def test_what_ends_a_session_at_once(portal: PortalServer, change: str) -> None:
    """Everything that takes something away from the member; other members stay signed in."""
    house = portal.house
    browser, another = await portal.browser().sign_in(OWNER), await portal.browser().sign_in("developer@acme.test")
    elsewhere = await portal.browser().sign_in(OWNER)
    match change:
        case "password":
            await house.members.set_password(OWNER, PASSWORD, house.operation())
        case "role":
            await house.members.set_role(OWNER, "viewer", None, house.operation())
        case "disable":
            await house.members.disable(OWNER, house.operation())
        case "remove":
            await house.members.remove(OWNER, house.operation())
        case "everywhere":
            reply = await elsewhere.submit(
                await elsewhere.get("/portal/account"), "/portal/account/sign-out-everywhere"
            )
            assert reply.location == "/portal/sign-in"
        case _:
            account = await elsewhere.get("/portal/account")
            secret = MachineSecret.parse(browser.cookies[SESSION_COOKIE])
            assert secret is not None
            await elsewhere.submit(account, f"/portal/account/sessions/{secret.id}/end")
            assert (await elsewhere.get("/portal/account")).status == 200
    assert (await browser.get("/portal/account")).status == 303
    assert (await another.get("/portal/account")).status == 200


async def test_nobody_ends_the_session_of_another(portal: PortalServer) -> None:
    """It does not exist for them."""
    browser, another = await portal.browser().sign_in(OWNER), await portal.browser().sign_in("developer@acme.test")
    secret = MachineSecret.parse(browser.cookies[SESSION_COOKIE])
    assert secret is not None
    token = (await another.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    for session_id in (secret.id, "0" * 16, "x"):
        reply = await another.post(f"/portal/account/sessions/{session_id}/end", {"form_token": token})
        assert (reply.status, "there is no such session" in reply.page.text.lower()) == (404, True)
    assert (await browser.get("/portal/account")).status == 200


async def test_the_password_is_changed_with_the_present_one(portal: PortalServer) -> None:
    """This browser stays signed in, with a new session; the others are signed out."""
    browser, elsewhere = await portal.browser().sign_in(OWNER), await portal.browser().sign_in(OWNER)
    account, before = await browser.get("/portal/account"), dict(browser.cookies)
    action = "/portal/account/password"
    for present, new, again, words in [
        ("wrong", NEW_PASSWORD, NEW_PASSWORD, "The current password is wrong"),
        (PASSWORD.reveal(), NEW_PASSWORD, NEW_PASSWORD + "x", "The two new passwords differ"),
        (PASSWORD.reveal(), "short", "short", "15"),
    ]:
        refused = await browser.submit(account, action, present=present, new=new, again=again)
        assert (refused.status, words in refused.page.text) == (400, True), refused.page.text
        assert new not in refused.text.replace("short", "", 0) or new == "short"
    assert browser.cookies == before

    done = await browser.submit(account, action, present=PASSWORD.reveal(), new=NEW_PASSWORD, again=NEW_PASSWORD)
    assert done.location == "/portal/account?done=password"
    assert browser.cookies != before
    assert "Your password was changed" in (await browser.get(done.location)).page.text
    assert (await elsewhere.get("/portal/account")).status == 303
    await elsewhere.sign_in(OWNER, NEW_PASSWORD)


async def test_sessions_are_listed(portal: PortalServer) -> None:
    """With browser, network and times; nothing in it is markup."""
    browser = portal.browser()
    browser.headers["User-Agent"] = "<b>Fire</b>fox"
    await browser.sign_in(OWNER)
    portal.house.now += timedelta(hours=3)
    text = (await browser.get("/portal/account")).page.text
    assert "<b>Fire</b>fox this browser" in text
    assert "3 h ago" in text


async def test_sessions_are_bounded(portal: PortalServer) -> None:
    """More within an hour are refused; later the oldest one ends."""
    first = await portal.browser().sign_in(OWNER)
    for _ in range(MAX_SESSIONS - 1):
        portal.house.now += timedelta(seconds=1)
        await portal.browser().sign_in(OWNER)
    browser = portal.browser()
    form = await browser.get("/portal/sign-in")
    reply = await browser.submit(form, "/portal/sign-in", email=OWNER, password=PASSWORD.reveal())
    assert (reply.status, "signed in too often" in reply.page.text) == (409, True)
    portal.house.now += timedelta(minutes=61)
    assert (await first.get("/portal/account")).status == 200
    await browser.sign_in(OWNER)
    assert (await first.get("/portal/account")).status == 303
    assert (await browser.get("/portal/account")).status == 200


@pytest.mark.parametrize(
    ("url", "status"),
    [
        ("http://registry.example.com", 403),
        ("http://10.0.0.1:5000", 403),
        ("http://localhost:5000", 200),
        ("http://127.0.0.1:5000", 200),
        ("https://registry.example.com", 200),
    ],
)
async def test_over_plain_http_it_says_what_to_configure(house: Installation, url: str, status: int) -> None:
    """Browsers would drop the cookie there, and anyone on the way could read the password."""
    async with portal_server(house, parse_public_url(url)) as portal:
        reply = await portal.browser().get("/portal/sign-in")
        assert (reply.status, "AUTHSVC_PUBLIC_URL" in reply.text) == (status, status == 403)
        assert (await portal.browser().get("/portal/images")).status == (403 if status == 403 else 303)


async def test_the_log_and_the_audit_name_who_signed_in(portal: PortalServer) -> None:
    """And never a cookie, a password or a form's token."""
    browser = await portal.browser().sign_in(OWNER)
    await browser.get("/portal/account")
    assert [line["route"] for line in portal.logged("portal.answered")] == [
        *("/portal/sign-in", "/portal/sign-in", "/portal/account"),
    ]
    log = portal.log.getvalue()
    for secret in (browser.cookies[SESSION_COOKIE], PASSWORD.reveal()):
        assert secret not in log
    assert "session.begun" in [entry.event for entry in portal.house.told]
