"""Webhooks in the portal: added, tested, watched and removed."""

import asyncio
import base64
import hashlib
import hmac
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import pytest

from authsvc.processes.waiting import ended
from authsvc.redaction import Secret
from authsvc.webhook_sender.client import WebhookClient
from authsvc.webhooks.delivery import DeliveryAttempt
from authsvc.webhooks.event import SELECTABLE
from authsvc.webhooks.signature import signing_key
from authsvc.webhooks.terms import WebhookTerms
from authsvc.webhooks.webhook import Webhook
from authsvc.wiring.webhook_checks import ReceiverChecks
from tests.support.html_page import Element
from tests.support.installation import APP, OPERATOR, TEAM
from tests.support.portal_server import PortalServer, portal_server
from tests.support.upstream_links import Clock, upstream_session
from tests.support.upstream_stub import Answer, Seen, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.webhook_sender.world import ACCEPTED, World, an_event, eventually

pytestmark = pytest.mark.usefixtures("people")

WEBHOOKS = "/portal/webhooks"
OWNER = "owner@acme.test"
URL = "https://hooks.example.com/in?token=x"
HOSTILE = "<b id=x>&amp;\"'`{{7*7}}</b><script>alert(1)</script>"


async def added(portal: PortalServer, url: str = URL) -> str:
    """Add a webhook and return the path of its page."""
    webhook, _ = await portal.house.webhooks.add(WebhookTerms.parse(url, None), portal.house.operation(), team=TEAM)
    return f"{WEBHOOKS}/{webhook.id}"


async def record(portal: PortalServer, path: str) -> Webhook:
    """Return a webhook as it is stored."""
    webhook, _ = await portal.house.webhooks.show(OPERATOR, path.rpartition("/")[2])
    return webhook


def table(page: Element) -> list[list[str]]:
    """Return the cells of the first table."""
    return [[cell.text for cell in row.all("td")] for row in page.all("tbody")[0].all("tr")]


def is_signed_with(secret: str, request: Seen) -> bool:
    """Whether a request has the signature that Standard Webhooks defines, computed here anew."""
    said = request.headers
    content = f"{said['webhook-id']}.{said['webhook-timestamp']}.".encode() + request.body
    wanted = base64.b64encode(hmac.digest(signing_key(Secret(secret)), content, hashlib.sha256)).decode()
    return f"v1,{wanted}" in said["webhook-signature"].split(" ")


async def test_a_webhook_is_added_by_a_form(portal: PortalServer) -> None:
    """With the types that are ticked, or all; its secret is shown once and nowhere else."""
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(WEBHOOKS)
    assert "There is no webhook yet" in page.page.text
    form = page.form(WEBHOOKS).fields
    assert not set(SELECTABLE) & set(form)
    typed = {"url": f" {URL} ", "app": APP, "license.ending": "on", "license.denied": "on"}
    shown = await browser.post(WEBHOOKS, {**form, **typed})
    secret = shown.page.all("code")[0].text
    assert secret.startswith("whsec_")
    portal.house.pass_time(seconds=1)
    everything = await browser.submit(page, WEBHOOKS, url="https://hooks.example.com/all")
    assert everything.page.all("code")[0].text != secret

    listed = await browser.get(WEBHOOKS)
    (some, of_all) = [one.attributes["href"] for one in listed.page.all("table")[0].all("a")]
    assert [row[0] for row in table(listed.page)] == [
        f"{URL} {APP} · license.ending, license.denied",
        "https://hooks.example.com/all all apps · all events",
    ]
    assert (await record(portal, of_all)).types is None
    one = await browser.get(some)
    assert "nothing sent yet" in one.page.text
    assert secret not in listed.text + one.text + portal.log.getvalue()


async def test_a_refused_form_keeps_what_was_typed(portal: PortalServer) -> None:
    """Also the ticks; with the sentence and its status."""
    browser = await portal.browser().sign_in(OWNER)
    portal.house.receivers.refused = {"inside.example.com"}
    form = (await browser.get(WEBHOOKS)).form(WEBHOOKS).fields
    for change, status in (
        ({"url": "http://"}, 400),
        ({"url": "https://name:password@hooks.example.com"}, 400),
        ({"url": "https://inside.example.com/x"}, 400),
        ({"url": URL, "app": "nowhere"}, 404),
    ):
        reply = await browser.post(WEBHOOKS, {**form, **change, "license.ending": "on"})
        assert reply.status == status, reply.page.text
        kept = reply.form(WEBHOOKS).fields
        assert (kept["url"], "license.ending" in kept, "license.denied" in kept) == (change["url"], True, False)
    assert "There is no webhook yet" in (await browser.get(WEBHOOKS)).page.text


async def test_address_and_events_are_changed(portal: PortalServer) -> None:
    """What is there is filled in; no tick is every type; a refused form keeps what was typed."""
    path = await added(portal)
    browser = await portal.browser().sign_in(OWNER)
    form = (await browser.get(path)).form(f"{path}/change").fields
    assert (form["url"], set(SELECTABLE) & set(form)) == (URL, set())
    other = "https://hooks.example.com/v2"
    changed = await browser.post(f"{path}/change", {**form, "url": other, "license.ending": "on"})
    assert changed.location == f"{path}?done=change"
    stored = await record(portal, path)
    assert (stored.url, stored.types) == (other, ("license.ending",))
    page = await browser.get(path)
    assert "license.ending" in page.form(f"{path}/change").fields
    portal.house.receivers.refused = {"inside.example.com"}
    for url in ("nonsense", "https://inside.example.com/"):
        refused = await browser.submit(page, f"{path}/change", url=url)
        assert (refused.status, refused.form(f"{path}/change").fields["url"]) == (400, url)
    kept = dict(page.form(f"{path}/change").fields)
    del kept["license.ending"]
    await browser.post(f"{path}/change", kept)
    assert (await record(portal, path)).types is None


async def test_a_secret_is_rotated(portal: PortalServer) -> None:
    """The new one is shown once, and both sign for a while; a second rotation in that time is asked about."""
    path = await added(portal)
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(path)
    assert (await browser.submit(page, f"{path}/rotate", overlap="soon")).status == 400
    shown = await browser.submit(page, f"{path}/rotate", overlap="2h")
    secret = shown.page.all("code")[0].text
    assert (secret.startswith("whsec_"), "a signature with the old one besides" in shown.page.text) == (True, True)
    page = await browser.get(path)
    assert "the one before still signs until" in page.page.text
    await browser.submit(page, f"{path}/test")
    (_, signing, _) = portal.house.receivers.sent[-1]
    assert (len(signing), signing[0].reveal()) == (2, secret)
    again = await browser.submit(page, f"{path}/rotate")
    assert (again.status, "ends now" in again.page.text) == (409, True)
    assert (await browser.submit(again, f"{path}/rotate")).page.all("code")[0].text != secret


async def test_disabling_has_a_page_of_its_own(portal: PortalServer) -> None:
    """And it is enabled again."""
    path = await added(portal)
    browser = await portal.browser().sign_in(OWNER)
    asked = await browser.get(f"{path}/disable")
    assert "What happens meanwhile is not sent later" in asked.page.text
    page = await browser.get((await browser.submit(asked, f"{path}/disable")).location)
    assert "it was disabled by hand" in page.page.text
    assert f"{path}/disable" not in page.text
    assert (await browser.submit(page, f"{path}/enable")).location == f"{path}?done=enable"


async def test_removing_has_a_page_of_its_own(portal: PortalServer) -> None:
    """It says what is lost."""
    path = await added(portal)
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(path)
    assert not page.has_form(f"{path}/remove")
    asked = await browser.get(f"{path}/remove")
    assert "No event waits for it" in asked.page.text
    assert (await browser.submit(asked, f"{path}/remove")).location == f"{WEBHOOKS}?done=removed"
    assert (await browser.get(path)).status == 404


@pytest.mark.parametrize("name", ["developer", "viewer", "limited", "stranger"])
async def test_others_change_none(portal: PortalServer, name: str) -> None:
    """Members of the whole team see webhooks and deliveries; only owners have buttons."""
    path = await added(portal)
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    shown = await browser.get(path)
    assert shown.status == {"limited": 403, "stranger": 404}.get(name, 200)
    token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    expected = 404 if name == "stranger" else 403
    for what in ("test", "change", "rotate", "disable", "enable", "remove"):
        assert not shown.has_form(f"{path}/{what}")
        assert (await browser.post(f"{path}/{what}", {"form_token": token})).status == expected, what
    assert f"{path}/remove" not in shown.text
    assert f"{path}/disable" not in shown.text
    for what in ("disable", "remove"):
        assert (await browser.get(f"{path}/{what}")).status == expected
    if name != "stranger":
        assert not (await browser.get(WEBHOOKS)).has_form(WEBHOOKS)
        assert (await browser.post(WEBHOOKS, {"form_token": token, "url": URL})).status == 403
    assert not portal.house.receivers.sent


async def test_hostile_texts_are_texts(portal: PortalServer) -> None:
    """In an address, and in the reason of a failure."""
    path = await added(portal, f"https://hooks.example.com/{HOSTILE.replace(' ', '%20')}")
    browser = await portal.browser().sign_in(OWNER)
    portal.house.receivers.attempt = DeliveryAttempt(portal.house.now, None, HOSTILE, 5)
    page = await browser.get(path)
    tested = await browser.submit(page, f"{path}/test")
    form = page.form(f"{path}/test").fields
    refused = await browser.post(WEBHOOKS, {**form, "url": HOSTILE, "app": HOSTILE})
    assert refused.status == 400
    assert HOSTILE in tested.page.text
    for reply in (page, tested, refused, await browser.get(WEBHOOKS), await browser.get(f"{path}/remove")):
        assert not [one for one in reply.page.walk() if one.attributes.get("id") == "x"]
        assert [one.text for one in reply.page.all("script")] == [""]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> UpstreamAuthority:
    """Return an authority that the server trusts."""
    return UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture
def receiver(authority: UpstreamAuthority) -> Iterator[StubUpstream]:
    """Run a receiver that accepts everything under ``/hook``."""
    with StubUpstream(tls=authority.issue("localhost").server_context(), answers={"/hook": ACCEPTED}) as running:
        yield running


@asynccontextmanager
async def sending(portal: PortalServer, authority: UpstreamAuthority) -> AsyncIterator[PortalServer]:
    """Yield the portal of an operator who lets receivers be on this machine: it sends test events for real."""
    house = portal.house
    async with upstream_session(authority) as session:
        house.receivers = ReceiverChecks(WebhookClient(session, lambda: house.now, Clock()))  # type: ignore[assignment]
        async with portal_server(house) as running:
            yield running


async def test_a_test_event_arrives_and_its_answer_is_shown(
    portal: PortalServer, receiver: StubUpstream, authority: UpstreamAuthority
) -> None:
    """Signed with the secret that was shown, from the very page that shows it."""
    async with sending(portal, authority) as real:
        browser = await real.browser().sign_in(OWNER)
        shown = await browser.submit(await browser.get(WEBHOOKS), WEBHOOKS, url=f"{receiver.url}/hook")
        secret = shown.page.all("code")[0].text
        (path,) = [one.attributes["href"] for one in shown.page.all("a") if "To the webhook" in one.text]
        good = await browser.submit(shown, f"{path}/test")
        assert "it answered 204" in good.page.text
        assert is_signed_with(secret, receiver.seen[0])
        receiver.answers["/hook"] = Answer(500, (), HOSTILE.encode())
        bad = await browser.submit(good, f"{path}/test")
        assert "the receiver answered 500" in bad.page.text
        assert "alert(1)" not in bad.text
        refused = await browser.submit(await browser.get(WEBHOOKS), WEBHOOKS, url="https://169.254.169.254/")
        assert refused.status == 400


async def test_deliveries_are_listed(
    portal: PortalServer, receiver: StubUpstream, authority: UpstreamAuthority
) -> None:
    """With state, attempts, answer and next attempt; a receiver that is gone is disabled, and enabled again."""
    house = portal.house
    world = World(house.connection, authority, now=house.now)
    async with sending(portal, authority) as real:
        browser = await real.browser().sign_in(OWNER)
        path = await added(real, f"{receiver.url}/hook")
        webhook = await record(real, path)
        receiver.answers["/hook"] = Answer(503)
        async with world.sender() as sender:
            task = asyncio.create_task(sender.run())
            await world.outbox.add([an_event("one", TEAM, APP)])
            await world.tried(webhook)
            page = await browser.get(path)
            (row,) = table(page.page)
            assert row[0].startswith("image.pushed")
            assert [row[1], row[2], row[3].split(" just now")[0]] == ["waits", "1", "the receiver answered 503"]
            assert row[4].endswith("UTC")
            assert "failing" in page.page.text
            assert "1 event that waits" in (await browser.get(f"{path}/remove")).page.text

            receiver.answers["/hook"] = ACCEPTED
            house.pass_time(minutes=1)
            world.now = house.now
            await world.tried(webhook, 2)
            page = await browser.get(path)
            (row,) = table(page.page)
            assert [row[1], row[2], row[4]] == ["delivered", "2", "none"]
            assert row[3].startswith("204")
            assert "works" in page.page.text

            receiver.answers["/hook"] = Answer(410)
            await world.outbox.add([an_event("two", TEAM, APP)])

            async def disabled() -> bool:
                return (await record(real, path)).disabled_at is not None

            await eventually(disabled, "the webhook is disabled")
            await ended(task)
        page = await browser.get(path)
        assert "the receiver answered 410" in page.page.text
        enabled = await browser.submit(page, f"{path}/enable")
        assert enabled.location == f"{path}?done=enable"
        assert not (await browser.get(path)).has_form(f"{path}/enable")
