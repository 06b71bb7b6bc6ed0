"""Choosing a password in the portal costs the others nothing, however often it is tried."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from authsvc.credentials.verifier import PasswordVerifier
from authsvc.manage.new_passwords import PasswordHasher
from authsvc.throttle import CHOICE
from authsvc.web.portal.cookies import SESSION_COOKIE
from tests.support.builders import PASSWORD
from tests.support.held_executor import HeldExecutor
from tests.support.installation import Installation
from tests.support.portal_server import Browser, PageReply, PortalServer, portal_server
from tests.support.waiting import becomes

pytestmark = pytest.mark.usefixtures("people")

OWNER, VIEWER = "owner@acme.test", "viewer@acme.test"
NEW_PASSWORD = "five unrelated words of a novel"
JOIN, ACCOUNT = "/portal/join", "/portal/account"
WEAK = "passwordpassword"


class Slow:
    """Hashes new passwords when the test lets it."""

    def __init__(self) -> None:
        """Hash nothing yet."""
        self.held = HeldExecutor()
        self.hasher: PasswordHasher = PasswordVerifier(self.held, 1)


@pytest.fixture
def slow() -> Slow:
    """Return what hashes new passwords."""
    return Slow()


@pytest.fixture
async def slow_portal(house: Installation, slow: Slow) -> AsyncIterator[PortalServer]:
    """Yield a portal that hashes new passwords as slowly as the test wants."""
    async with portal_server(house, hasher=slow.hasher) as running:
        yield running


async def _link_page(portal: PortalServer, browser: Browser) -> PageReply:
    """Open the link by which the viewer sets a new password."""
    link = await portal.house.links.reset(VIEWER, portal.house.operation())
    return await browser.get(f"{JOIN}/{link.reveal()}")


@pytest.mark.parametrize("way", ["link", "account"])
async def test_others_are_answered_while_a_password_is_hashed(slow_portal: PortalServer, slow: Slow, way: str) -> None:
    """The work is done by a thread, and the event loop goes on."""
    browser = slow_portal.browser()
    if way == "link":
        page = await _link_page(slow_portal, browser)
        sent = browser.submit(page, JOIN, password=NEW_PASSWORD, again=NEW_PASSWORD)
    else:
        page = await (await browser.sign_in(VIEWER)).get(ACCOUNT)
        fields = {"present": PASSWORD.reveal(), "new": NEW_PASSWORD, "again": NEW_PASSWORD}
        sent = browser.submit(page, f"{ACCOUNT}/password", **fields)
    task = asyncio.create_task(sent)
    await becomes(lambda: slow.held.asked or task.done(), "the password is hashed")
    assert (await slow_portal.browser().get("/portal/sign-in")).status == 200
    assert not task.done()
    await slow.held.let_go()
    assert (await task).status == 303
    assert SESSION_COOKIE in browser.cookies


async def test_a_link_takes_so_many_passwords(portal: PortalServer) -> None:
    """Refused ones do not use it up, but count: then none is looked at for a while, not even a good one."""
    browser = portal.browser()
    page = await _link_page(portal, browser)
    for _ in range(CHOICE.burst):
        reply = await browser.submit(page, JOIN, password=WEAK, again=WEAK)
        assert (reply.status, "too easy to guess" in reply.page.text) == (400, True)
    reply = await browser.submit(page, JOIN, password=NEW_PASSWORD, again=NEW_PASSWORD)
    assert (reply.status, reply.headers["retry-after"]) == (429, "30")
    assert "Too many new passwords were tried for this account; wait 30 seconds" in reply.page.text

    another = await _link_page(portal, browser)  # a new link has attempts of its own
    assert "too easy" in (await browser.submit(another, JOIN, password=WEAK, again=WEAK)).page.text
    portal.house.now += CHOICE.interval
    assert (await browser.submit(another, JOIN, password=NEW_PASSWORD, again=NEW_PASSWORD)).status == 303


async def test_an_account_takes_so_many_passwords(portal: PortalServer) -> None:
    """Other members choose theirs meanwhile, and so does the operator for this one."""
    browser, another = await portal.browser().sign_in(VIEWER), await portal.browser().sign_in(OWNER)
    weak = {"present": PASSWORD.reveal(), "new": WEAK, "again": WEAK}
    good = {"present": PASSWORD.reveal(), "new": NEW_PASSWORD, "again": NEW_PASSWORD}
    page = await browser.get(ACCOUNT)
    for _ in range(CHOICE.burst):
        assert (await browser.submit(page, f"{ACCOUNT}/password", **weak)).status == 400
    assert (await browser.submit(page, f"{ACCOUNT}/password", **good)).status == 429
    assert (await another.submit(await another.get(ACCOUNT), f"{ACCOUNT}/password", **good)).status == 303
    await portal.house.members.set_password(VIEWER, PASSWORD, portal.house.operation())
    await browser.sign_in(VIEWER)
    portal.house.now += CHOICE.interval
    assert (await browser.submit(await browser.get(ACCOUNT), f"{ACCOUNT}/password", **good)).status == 303
