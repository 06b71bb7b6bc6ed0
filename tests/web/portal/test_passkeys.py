"""Passkeys in the portal: registered after a confirmation, signed in with, renamed, removed, and what ends them."""

import json
from datetime import timedelta
from http import HTTPStatus

import pytest
from attrs import define, field

from authsvc.public_url import parse_public_url
from authsvc.tenancy.passkey import CHALLENGE_LIFE, MAX_PASSKEYS
from authsvc.tenancy.portal_session import MAX_SESSIONS
from authsvc.web.portal.cookies import FORM_COOKIE, SESSION_COOKIE
from tests.support.builders import PASSWORD
from tests.support.installation import Installation
from tests.support.portal_server import PUBLIC_URL, Browser, PageReply, PortalServer, portal_server
from tests.support.software_authenticator import BE, BS, TRUTH, UP, UV, Lies, SoftwareAuthenticator

pytestmark = pytest.mark.usefixtures("people")

OWNER, DEVELOPER = "owner@acme.test", "developer@acme.test"
LIST, NEW, SIGN_IN = "/portal/account/passkeys", "/portal/account/passkeys/new", "/portal/sign-in/passkey"
REFUSED = "This passkey was not accepted"
NEW_PASSWORD = "five unrelated words of a novel"


def options_of(reply: PageReply, action: str) -> str:
    """Return what the browser is asked by a form of a page."""
    (form,) = [
        one
        for one in reply.page.all("form")
        if one.attributes["action"].partition("#")[0] == action and "data-passkey" in one.attributes
    ]
    return form.attributes["data-options"]


@define
class Device:
    """A browser with an authenticator.

    Attributes:
        browser: of the member.
        key: the authenticator.
    """

    browser: Browser
    key: SoftwareAuthenticator = field(factory=lambda: SoftwareAuthenticator(PUBLIC_URL.origin))

    async def confirmed(self) -> PageReply:
        """Open the page that makes a passkey, confirmed with the password."""
        page = await self.browser.get(LIST)
        form = next(
            one
            for one in page.page.all("form")
            if one.attributes["action"] == NEW and "data-passkey" not in one.attributes
        )
        token = next(one.attributes["value"] for one in form.all("input") if one.attributes["name"] == "form_token")
        return await self.browser.post(NEW, {"form_token": token, "present": PASSWORD.reveal()})

    async def register(self, name: str = "laptop", lies: Lies = TRUTH) -> PageReply:
        """Register a passkey; it is confirmed with the password."""
        page = await self.confirmed()
        assert page.status == HTTPStatus.OK, page.text
        return await self.browser.submit(page, LIST, name=name, answer=self.key.create(options_of(page, LIST), lies))

    async def sign_in(self, lies: Lies = TRUTH) -> PageReply:
        """Sign in with it, in a browser that nobody is signed in with."""
        self.browser.cookies.clear()
        page = await self.browser.get("/portal/sign-in")
        return await self.browser.submit(page, SIGN_IN, answer=self.key.get(options_of(page, SIGN_IN), lies))

    @property
    def is_signed_in(self) -> bool:
        """Whether the browser has a session."""
        return SESSION_COOKIE in self.browser.cookies


@pytest.fixture
async def device(portal: PortalServer) -> Device:
    """Return a browser that the owner is signed in with."""
    return Device(await portal.browser().sign_in(OWNER))


@pytest.fixture
async def registered(device: Device) -> Device:
    """Return the same with a passkey of the owner."""
    assert (await device.register()).location == f"{LIST}?done=registered"
    return device


async def test_a_member_signs_in_without_a_password(portal: PortalServer, registered: Device) -> None:
    """Nobody says who it will be: the passkey does."""
    assert "laptop" in (await registered.browser.get(LIST)).page.text
    reply = await registered.sign_in()
    assert reply.location == "/portal/images"
    account = await registered.browser.get("/portal/account")
    assert (OWNER in account.page.text, "with a passkey" in account.page.text) == (True, True)
    assert FORM_COOKIE not in registered.browser.cookies
    await portal.house.usage.flush()
    assert "never" not in (await registered.browser.get(LIST)).page.text
    entries = {one.event: one for one in portal.house.told}
    assert entries["passkey.registered"].facts["name"] == "laptop"
    assert entries["session.begun"].facts["passkey"] == entries["passkey.registered"].facts["passkey"]
    assert entries["session.begun"].actor == entries["passkey.registered"].actor


async def test_the_team_sees_who_has_passkeys(registered: Device) -> None:
    """How many, not which."""
    rows = (await registered.browser.get("/portal/team")).page.all("tr")
    found = {row.all("td")[0].text: row.all("td")[4].text for row in rows if row.all("td")}
    assert (found[OWNER], found[DEVELOPER]) == ("1", "0")


async def test_it_leads_to_the_page_that_was_asked_for(registered: Device) -> None:
    """As a password does."""
    registered.browser.cookies.clear()
    page = await registered.browser.get("/portal/sign-in?next=/portal/team")
    answer = registered.key.get(options_of(page, SIGN_IN))
    assert (await registered.browser.submit(page, SIGN_IN, answer=answer)).location == "/portal/team"


@pytest.mark.parametrize(
    "lies",
    [
        Lies(origin="https://registry.example.com.evil.example"),
        Lies(origin="https://www.registry.example.com"),
        Lies(origin="http://registry.example.com"),
        Lies(origin="https://registry.example.com:8443"),
        Lies(rp_id="evil.example"),
        Lies(rp_id="example.com"),
        Lies(flags=UP),
        Lies(flags=UV),
        Lies(flags=UP | UV | BE),
        Lies(flags=UP | UV | BS),
        Lies(challenge=bytes(53)),
        Lies(challenge=b"x"),
        Lies(client_data={"type": "webauthn.create"}),
        Lies(client_data={"crossOrigin": True}),
        Lies(client_data={"topOrigin": "https://evil.example"}),
        Lies(user_handle=b"somebody else"),
        Lies(user_handle=b""),
    ],
    ids=str,
)
async def test_an_answer_with_a_lie_is_refused(portal: PortalServer, registered: Device, lies: Lies) -> None:
    """One sentence for all of them; the audit has it as a refused sign-in."""
    reply = await registered.sign_in(lies)
    assert (reply.status, REFUSED in reply.page.text, registered.is_signed_in) == (401, True, False)
    await portal.recorder.finish()
    assert "token.refused" in await portal.house.everything_stored()


@pytest.mark.parametrize(
    "lies",
    [
        Lies(origin="https://evil.example"),
        Lies(rp_id="evil.example"),
        Lies(flags=UP),
        Lies(flags=UV),
        Lies(flags=UP | UV | BS),
        Lies(challenge=bytes(53)),
        Lies(client_data={"type": "webauthn.get"}),
        Lies(client_data={"crossOrigin": True}),
        Lies(alg=-65535),
        Lies(alg=-36),
    ],
    ids=str,
)
async def test_a_new_passkey_with_a_lie_is_refused(device: Device, lies: Lies) -> None:
    """Nothing is registered."""
    reply = await device.register(lies=lies)
    assert (reply.status, "was not accepted" in reply.page.text) == (400, True)
    assert "laptop" not in (await device.browser.get(LIST)).page.text


async def test_a_challenge_is_answered_once_in_time_by_its_browser(portal: PortalServer, registered: Device) -> None:
    """A recorded answer is worth nothing, and neither is one to the challenge of another browser or page."""
    browser = registered.browser
    browser.cookies.clear()
    page = await browser.get("/portal/sign-in")
    options = options_of(page, SIGN_IN)
    answer = registered.key.get(options)
    assert (await browser.submit(page, SIGN_IN, answer=answer)).status == 303

    another = portal.browser()
    theirs = await another.get("/portal/sign-in")
    assert (await another.submit(theirs, SIGN_IN, answer=answer)).status == 401  # of another browser
    assert (await another.submit(theirs, SIGN_IN, answer=registered.key.get(options_of(page, SIGN_IN)))).status == 401
    same = await another.get("/portal/sign-in")
    good = registered.key.get(options_of(same, SIGN_IN))
    cookies = dict(another.cookies)
    assert (await another.submit(same, SIGN_IN, answer=good)).status == 303
    replaying = Browser(portal, cookies)
    assert (await replaying.submit(same, SIGN_IN, answer=good)).status == 401  # replayed

    portal.house.now += timedelta(minutes=1)
    late = portal.browser()
    page = await late.get("/portal/sign-in")
    portal.house.now += CHALLENGE_LIFE
    assert (await late.submit(page, SIGN_IN, answer=registered.key.get(options_of(page, SIGN_IN)))).status == 401

    await late.sign_in(OWNER)
    confirm = options_of(await late.get(LIST), NEW)
    ours = await late.get("/portal/account")
    fields = {**ours.form("/portal/sign-out").fields, "next": "", "answer": registered.key.get(confirm)}
    assert (await late.post(SIGN_IN, fields)).status == 401  # a confirmation is no sign-in


async def test_a_registration_needs_a_confirmation(portal: PortalServer, registered: Device) -> None:
    """A browser that was left open is not enough: the challenge is made after the password or a passkey."""
    browser = registered.browser
    page = await browser.get(LIST)
    token = page.form("/portal/sign-out").fields["form_token"]
    for wrong in ({"present": "wrong"}, {}, {"answer": "{}"}):
        reply = await browser.post(NEW, {"form_token": token, **wrong})
        assert (reply.status, 'data-passkey="create"' in reply.text) == (400, False), wrong
    answer = registered.key.get(options_of(page, NEW))
    reply = await browser.post(NEW, {"form_token": token, "answer": answer})
    assert (reply.status, 'data-passkey="create"' in reply.text) == (200, True)

    second = SoftwareAuthenticator(PUBLIC_URL.origin)
    made = second.create(options_of(reply, LIST))
    forged = second.create(options_of(reply, LIST), Lies(challenge=bytes(53)))
    fields = {"form_token": token, "name": "second", "answer": forged}
    assert (await browser.post(LIST, fields)).status == 400
    assert (await browser.post(LIST, {**fields, "answer": made})).status == 303
    assert (await browser.post(LIST, {**fields, "answer": made})).status == 400  # once


async def test_nobody_confirms_for_another(portal: PortalServer, registered: Device) -> None:
    """The owner's passkey, used in a browser that the developer is signed in with, confirms nothing there."""
    other = Device(await portal.browser().sign_in(DEVELOPER))
    await other.register()
    for key, status in ((registered.key, 400), (other.key, 200)):
        page = await other.browser.get(LIST)
        token = page.form("/portal/sign-out").fields["form_token"]
        asked = {name: value for name, value in json.loads(options_of(page, NEW)).items() if name != "allowCredentials"}
        answer = key.get(json.dumps(asked), Lies(user_handle=b""))
        reply = await other.browser.post(NEW, {"form_token": token, "answer": answer})
        assert reply.status == status, key


async def test_a_signature_of_another_key_is_refused(registered: Device) -> None:
    """Whoever knows the id of a passkey has nothing; an unknown passkey is refused in the same words."""
    known = registered.key
    forged = SoftwareAuthenticator(known.origin, credential_id=known.credential_id)
    unknown = SoftwareAuthenticator(known.origin)
    for key in (forged, unknown):
        key.user_handle, key.rp_id, registered.key = known.user_handle, known.rp_id, key
        reply = await registered.sign_in()
        assert (reply.status, REFUSED in reply.page.text) == (401, True)


async def test_a_passkey_belongs_to_one_member(portal: PortalServer, registered: Device) -> None:
    """The same authenticator's id is refused for another; nobody sees, renames or removes another's."""
    other = Device(await portal.browser().sign_in(DEVELOPER), registered.key)
    mine = registered.key.user_handle
    taken = await other.register()
    assert (taken.status, "is registered already" in taken.page.text) == (409, True)
    registered.key.user_handle = mine
    (passkey,) = [one for one in portal.house.told if one.event == "passkey.registered"]
    path = f"{LIST}/{passkey.facts['passkey']}"
    assert (await registered.browser.get(path)).status == 200
    assert "There is no such passkey" in (await other.browser.get(path)).page.text
    token = (await other.browser.get(LIST)).form("/portal/sign-out").fields["form_token"]
    for action, fields in (("rename", {"name": "x"}), ("remove", {"present": PASSWORD.reveal()})):
        reply = await other.browser.post(f"{path}/{action}", {"form_token": token, **fields})
        assert (reply.status, "There is no such passkey" in reply.page.text) == (404, True), action
    assert (await registered.sign_in()).status == 303


async def test_a_counter_that_goes_back_is_refused(portal: PortalServer, device: Device) -> None:
    """There may be a copy of the private key. One that does not count says 0 every time."""
    device.key.counts, device.key.count = True, 7
    await device.register()
    assert (await device.sign_in()).status == 303
    assert (await device.sign_in()).status == 303
    for count in (9, 8, 1, 0):
        assert (await device.sign_in(Lies(count=count))).status == 401, count
    assert (await device.sign_in(Lies(count=20))).status == 303
    assert (await device.sign_in()).status == 401
    assert any("its counter went back" in str(line.get("detail")) for line in portal.logged("portal.refused"))


async def test_synced_passkeys(device: Device) -> None:
    """They say so, and stay so."""
    device.key.synced = True
    await device.register()
    assert "synced" in (await device.browser.get(LIST)).page.text
    assert (await device.sign_in()).status == 303
    assert (await device.sign_in(Lies(flags=UP | UV))).status == 401


@pytest.mark.parametrize("change", ["disabled", "removed", "reset", "operator"])
async def test_what_ends_a_passkey(portal: PortalServer, registered: Device, change: str) -> None:
    """A disabled member's waits; that of a removed member, and of one whose password others have set, is gone."""
    house, browser = portal.house, portal.browser()
    match change:
        case "disabled":
            await house.members.disable(OWNER, house.operation())
            reply = await registered.sign_in()
            assert (reply.status, "was disabled" in reply.page.text) == (403, True)
            await house.members.enable(OWNER, house.operation())
            assert (await registered.sign_in()).status == 303
            return
        case "removed":
            await house.members.remove(OWNER, house.operation())
        case "reset":
            link = (await house.links.reset(OWNER, house.operation())).reveal()
            page = await browser.get(f"/portal/join/{link}")
            assert "passkeys" in page.page.text
            await browser.submit(page, "/portal/join", password=NEW_PASSWORD, again=NEW_PASSWORD)
        case _:
            await house.members.set_password(OWNER, PASSWORD, house.operation())
    assert (await registered.sign_in()).status == 401
    assert "passkey:" not in "".join(
        line
        for line in (await house.everything_stored()).splitlines()
        if "member-passkeys" in line or ":passkey:" in line
    )


@pytest.mark.parametrize("change", ["password", "everywhere", "role"])
async def test_what_does_not_end_a_passkey(portal: PortalServer, registered: Device, change: str) -> None:
    """What the member does in person, and another role; the sessions that were begun with it end."""
    await registered.sign_in()
    account = await registered.browser.get("/portal/account")
    if change == "password":
        fields = {"present": PASSWORD.reveal(), "new": NEW_PASSWORD, "again": NEW_PASSWORD}
        await (await portal.browser().sign_in(OWNER)).submit(account, "/portal/account/password", **fields)
        browser = await portal.browser().sign_in(OWNER)
        await browser.submit(await browser.get("/portal/account"), "/portal/account/password", **fields)
    elif change == "everywhere":
        await registered.browser.submit(account, "/portal/account/sign-out-everywhere")
    else:
        await portal.house.members.set_role(OWNER, "viewer", None, portal.house.operation())
    assert (await registered.browser.get("/portal/account")).status == 303
    assert (await registered.sign_in()).status == 303


async def test_removing_one_ends_its_sessions(portal: PortalServer, registered: Device) -> None:
    """But not the one in which it is removed, nor those of the password; and it takes a confirmation."""
    begun = portal.browser()
    page = await begun.get("/portal/sign-in")
    await begun.submit(page, SIGN_IN, answer=registered.key.get(options_of(page, SIGN_IN)))
    await registered.sign_in()
    by_password = await portal.browser().sign_in(OWNER)
    (entry,) = [one for one in portal.house.told if one.event == "passkey.registered"]
    path = f"{LIST}/{entry.facts['passkey']}"
    page = await registered.browser.get(path)
    token = page.form("/portal/sign-out").fields["form_token"]
    wrong = await registered.browser.post(f"{path}/remove", {"form_token": token, "present": "wrong"})
    assert (wrong.status, "The current password is wrong" in wrong.page.text) == (400, True)
    renamed = await registered.browser.post(f"{path}/rename", {"form_token": token, "name": "<b>old</b> laptop"})
    assert renamed.location == f"{LIST}?done=renamed"
    assert "<b>old</b> laptop" in (await registered.browser.get(LIST)).page.text

    answer = registered.key.get(options_of(page, f"{path}/remove"))
    removed = await registered.browser.post(f"{path}/remove", {"form_token": token, "answer": answer})
    assert removed.location == f"{LIST}?done=removed"
    statuses = [(await one.get("/portal/account")).status for one in (registered.browser, begun, by_password)]
    assert statuses == [200, 303, 200]
    assert (await registered.sign_in()).status == 401
    (entry,) = [one for one in portal.house.told if one.event == "passkey.removed"]
    assert (entry.facts["name"], entry.facts["sessions"]) == ("<b>old</b> laptop", 1)


async def test_there_are_so_many(portal: PortalServer, device: Device) -> None:
    """One more is refused, and the browser is asked to make no second one of those that it has."""
    for number in range(MAX_PASSKEYS):
        device.key = SoftwareAuthenticator(PUBLIC_URL.origin)
        assert (await device.register(f"key {number}")).status == 303
    page = await device.confirmed()
    assert options_of(page, LIST).count('"public-key"') == 3 + MAX_PASSKEYS
    device.key = SoftwareAuthenticator(PUBLIC_URL.origin)
    refused = await device.register("one more")
    assert (refused.status, f"{MAX_PASSKEYS} passkeys at most" in refused.page.text) == (409, True)


async def test_sign_ins_with_it_are_limited_like_others(registered: Device) -> None:
    """Each is a change in the audit."""
    statuses = [(await registered.sign_in()).status for _ in range(MAX_SESSIONS + 1)]
    assert (statuses[0], statuses[-1]) == (303, 409)


@pytest.mark.parametrize(
    "address", ["https://192.0.2.1", "https://[2001:db8::1]:8443", "http://127.0.0.1:5000", "http://[::1]:5000"]
)
async def test_no_passkeys_without_a_host_name(house: Installation, address: str) -> None:
    """The pages say why, and the sign-in form has the password alone."""
    async with portal_server(house, parse_public_url(address)) as portal:
        browser = await portal.browser().sign_in(OWNER)
        page = await browser.get(LIST)
        assert (NEW in page.text, "has a host name" in page.page.text) == (False, True)
        token = page.form("/portal/sign-out").fields["form_token"]
        assert (await browser.post(NEW, {"form_token": token, "present": PASSWORD.reveal()})).status == 400
        browser.cookies.clear()
        form = await browser.get("/portal/sign-in")
        assert ("data-passkey" in form.text, "webauthn" in form.text) == (False, False)
        form_token = form.form("/portal/sign-in").fields["form_token"]
        reply = await browser.post(SIGN_IN, {"form_token": form_token, "next": "", "answer": "{}"})
        assert reply.status == 401


async def test_a_passkey_of_an_older_host_name_is_shown_as_such(house: Installation) -> None:
    """Browsers offer it no more; it can be removed."""
    async with portal_server(house, parse_public_url("https://old.example.com")) as before:
        device = Device(await before.browser().sign_in(OWNER), SoftwareAuthenticator("https://old.example.com"))
        await device.register("old one")
    async with portal_server(house) as portal:
        device = Device(await portal.browser().sign_in(OWNER), device.key)
        assert "made for old.example.com" in (await device.browser.get(LIST)).page.text
        device.key.origin = PUBLIC_URL.origin
        assert (await device.sign_in()).status == 401


async def test_on_this_machine(house: Installation) -> None:
    """http://localhost is the one plain address that browsers make passkeys for."""
    async with portal_server(house, parse_public_url("http://localhost:5000")) as portal:
        device = Device(await portal.browser().sign_in(OWNER), SoftwareAuthenticator("http://localhost:5000"))
        assert (await device.register()).status == 303
        assert (await device.sign_in()).status == 303
