"""Linked external registries in the portal: linked, watched, tested, changed and unlinked."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Literal

import pytest
from attrs import evolve
from typing_extensions import override

from authsvc.redaction import Secret
from authsvc.store.activity_sink import RedisActivitySink
from authsvc.store.codec import Codec
from authsvc.tenancy.terms import LicenseTerms
from authsvc.upstreams.health import UpstreamHealth
from authsvc.upstreams.link import credential_context
from authsvc.upstreams.probe import STEPS, ProbeStep
from authsvc.upstreams.providers import PRESETS, Provider, Requirement
from authsvc.upstreams.terms import LinkTerms
from authsvc.web.portal.application import PER_TEAM
from authsvc.web.portal.upstream_states import pull_name, shown_health
from authsvc.wiring.upstreams import RegistryChecks
from tests.support.activity import event
from tests.support.builders import NOW
from tests.support.html_page import Element
from tests.support.installation import APP, OTHER_APP
from tests.support.oci import Image
from tests.support.portal_server import Browser, PortalServer, portal_server
from tests.support.upstream_links import Clock, make_link, upstream_session
from tests.support.upstream_registry import USERS, UpstreamRegistry, upstream_registry
from tests.support.upstream_stub import Answer, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import becomes

pytestmark = pytest.mark.usefixtures("people")

UPSTREAMS = "/portal/upstreams"
NEW = f"{UPSTREAMS}/new"
OWNER = "owner@acme.test"
SECRET, OTHER_SECRET = "first-robot-key", "second-robot-key"
QUAY = LinkTerms.parse("quay", None, "org+robot", Secret(SECRET), ["org/**"])

HOSTILE = "<b id=x>&amp;\"'`{{7*7}}</b><script>alert(1)</script>"


async def linked(portal: PortalServer, name: str = "quay", app: str = APP, terms: LinkTerms = QUAY) -> str:
    """Link a registry and return the path of its page."""
    link = await portal.house.upstreams.link(app, name, terms, portal.house.operation())
    return f"{UPSTREAMS}/{link.id}"


async def secret_of(portal: PortalServer, path: str) -> tuple[str, str | None]:
    """Return the name and the secret that a link has now."""
    stored = await portal.house.stores.upstreams.get(path.rpartition("/")[2])
    assert stored is not None
    link = stored.record
    if link.sealed_secret is None:
        return "", None
    return link.username or "", (await portal.house.keys.unseal(link.sealed_secret, credential_context(link))).decode()


def commands(page: Element) -> list[str]:
    """Return what can be copied."""
    return [one.all("code")[0].text for one in page.all("div") if one.attributes.get("class") == "cmd"]


async def test_a_registry_from_its_beginning_to_its_end(portal: PortalServer) -> None:
    """The provider is chosen, then its form filled in; it is listed, changed and unlinked."""
    browser = await portal.browser().sign_in(OWNER)
    empty = await browser.get(UPSTREAMS)
    assert "No registry is linked yet" in empty.page.text
    choice = (await browser.get(f"{NEW}?app={OTHER_APP}")).form(NEW)
    assert (choice.method, choice.fields) == ("get", {"app": OTHER_APP, "provider": "dockerhub"})
    form = await browser.get(f"{NEW}?app={APP}&provider=quay")
    typed = {"name": "quay", "username": "org+robot", "repositories": "org/**\ntools/cli", "last_day": "2099-01-30"}
    made = await browser.submit(form, NEW, **typed, secret=SECRET)
    path = made.location.partition("?")[0]
    assert made.location == f"{path}?done=linked"
    assert await secret_of(portal, path) == ("org+robot", SECRET)

    page = await browser.get(made.location)
    assert commands(page.page) == [
        f"docker pull registry.example.com/proxy/{APP}/quay/tools/cli:1.0",
        "proxy/quay/org/**",
        "proxy/quay/tools/cli",
    ]
    assert "2099-01-30" in page.page.text
    listed = await browser.get(f"{UPSTREAMS}?app={APP}")
    assert [one.attributes["href"] for one in listed.page.all("table")[0].all("a")] == [path]
    assert "No registry is linked to" in (await browser.get(f"{UPSTREAMS}?app={OTHER_APP}")).page.text

    saved = await browser.submit(page, f"{path}/repositories", repositories="org/api")
    page = await browser.get(saved.location)
    assert page.form(f"{path}/repositories").fields["repositories"] == "org/api"
    asked = await browser.get(f"{path}/unlink")
    assert "No license in force" in asked.page.text
    gone = await browser.submit(asked, f"{path}/unlink")
    assert gone.location == f"{UPSTREAMS}?done=unlink"
    assert "no longer linked" in (await browser.get(gone.location)).page.text
    assert (await browser.get(path)).status == 404
    assert SECRET not in portal.log.getvalue()


@pytest.mark.parametrize("provider", Provider)
async def test_each_provider_has_the_form_that_it_needs(portal: PortalServer, provider: Provider) -> None:
    """A field for what may be given, required where it must be, with the words of the provider."""
    browser = await portal.browser().sign_in(OWNER)
    page = (await browser.get(f"{NEW}?app={APP}&provider={provider}")).page
    controls = {one.attributes["name"]: one for one in page.walk() if "name" in one.attributes}
    preset = PRESETS[provider]
    for name, field in (("url", preset.url), ("username", preset.username), ("secret", preset.secret)):
        assert (name in controls) == (field.requirement is not Requirement.FIXED), name
        if name in controls:
            assert ("required" in controls[name].attributes) == (field.requirement is Requirement.REQUIRED), name
            assert field.words in page.text
    assert preset.hint in page.text
    assert controls["secret"].name == ("textarea" if preset.fixed_usernames else "input")


async def test_a_refused_form_keeps_what_was_typed(portal: PortalServer) -> None:
    """Except the secret, which no page ever has; with the sentence of the command line and its status."""
    browser = await portal.browser().sign_in(OWNER)
    await linked(portal)
    portal.house.checks.refused = {"10.0.0.1.example"}
    form = await browser.get(f"{NEW}?app={APP}&provider=harbor")
    good = {
        "name": "harbor",
        "url": "https://harbor.example.com",
        "username": "robot",
        "secret": SECRET,
        "repositories": "org/**",
    }
    for change, status, words in (
        ({"name": "Not a name"}, 400, "cannot name an upstream"),
        ({"name": "quay"}, 409, "already"),
        ({"url": "https://10.0.0.1.example"}, 400, "Not there"),
        ({"url": "ftp://harbor.example.com"}, 400, "https://"),
        ({"secret": ""}, 400, "the secret is missing"),
        ({"repositories": "Org/**"}, 400, "is not a pattern"),
        ({"last_day": "2020-01-01"}, 400, "not in the future"),
    ):
        reply = await browser.submit(form, NEW, **good | change)
        assert (reply.status, words in reply.page.text) == (status, True), reply.page.text
        shown = reply.form(NEW).fields
        assert shown["secret"] == ""
        assert {name: shown[name] for name in good if name != "secret"} == {
            name: value for name, value in (good | change).items() if name in good and name != "secret"
        }
        assert SECRET not in reply.text
    assert (await browser.get(f"{NEW}?app=nowhere&provider=quay")).status == 404
    assert (await browser.get(f"{NEW}?app={APP}&provider=nobody")).status == 400


async def test_a_credential_is_changed_and_never_shown(portal: PortalServer) -> None:
    """Another secret, another end alone, none at all; nothing typed changes nothing."""
    path = await linked(portal)
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(path)
    assert page.form(f"{path}/credential").fields["username"] == "org+robot"
    nothing = await browser.submit(page, f"{path}/credential")
    assert (nothing.status, "Type the new secret" in nothing.page.text) == (400, True)
    renamed = await browser.submit(page, f"{path}/credential", username="org+other")
    assert (renamed.status, renamed.form(f"{path}/credential").fields["username"]) == (400, "org+other")

    changed = await browser.submit(page, f"{path}/credential", secret=OTHER_SECRET)
    assert changed.location == f"{path}?done=credential"
    assert await secret_of(portal, path) == ("org+robot", OTHER_SECRET)
    page = await browser.get(changed.location)
    end = await browser.submit(page, f"{path}/credential", last_day="2099-06-30")
    page = await browser.get(end.location)
    assert "2099-06-30" in page.page.text
    assert await secret_of(portal, path) == ("org+robot", OTHER_SECRET)
    assert OTHER_SECRET not in page.text

    asked = await browser.get(f"{path}/anonymous")
    await browser.submit(asked, f"{path}/anonymous")
    assert await secret_of(portal, path) == ("", None)
    purged = await browser.submit(await browser.get(f"{path}/purge"), f"{path}/purge")
    assert purged.location == f"{path}?done=purge"
    assert not {SECRET, OTHER_SECRET} & set(portal.log.getvalue().split('"'))


async def test_another_token_host_needs_the_secret_again(portal: PortalServer) -> None:
    """The form says so and keeps what was typed; one less needs none; an older page is refused."""
    path = await linked(portal)
    browser = await portal.browser().sign_in(OWNER)
    action, first = f"{path}/credential", await browser.get(path)
    refused = await browser.submit(first, action, token_hosts="auth.example.com")
    assert (refused.status, "give its secret again" in refused.page.text) == (400, True)
    assert refused.form(action).fields["token_hosts"] == "auth.example.com"
    assert await secret_of(portal, path) == ("org+robot", SECRET)

    added = await browser.submit(refused, action, secret=OTHER_SECRET)
    assert added.location == f"{path}?done=credential"
    page = await browser.get(path)
    assert page.form(action).fields["token_hosts"] == "auth.example.com"
    assert await secret_of(portal, path) == ("org+robot", OTHER_SECRET)
    late = await browser.submit(first, action, secret=SECRET)
    assert (late.status, late.form(action).fields["token_hosts"]) == (412, "auth.example.com")

    fewer = await browser.submit(late, action, token_hosts="")
    assert fewer.location == f"{path}?done=hosts"
    assert await secret_of(portal, path) == ("org+robot", OTHER_SECRET)


async def test_unlinking_names_whom_it_affects(portal: PortalServer) -> None:
    """The licenses that name it, with their last pull through it; what changed meanwhile is asked anew."""
    house = portal.house
    path = await linked(portal)
    made = {}
    for customer, repositories in (("Initech", ["proxy/quay/org/**"]), ("Hooli", ["worker", "proxy/quay/org/api"])):
        terms = LicenseTerms.parse(customer=customer, expires="100d", repositories=repositories, now=house.now)
        made[customer], _ = await house.licenses.create(APP, terms, house.operation())
    for customer, repositories in (("Native", ["worker"]), ("Another", ["proxy/quayside/org/**"])):
        terms = LicenseTerms.parse(customer=customer, expires="100d", repositories=repositories, now=house.now)
        await house.licenses.create(APP, terms, house.operation())
    sink = RedisActivitySink(house.connection, Codec())
    for name, customer in ((f"proxy/{APP}/quay/org/api", "Initech"), (f"{APP}/worker", "Hooli")):
        pull = event(repository=name, subject=made[customer].subject, timestamp=house.now - timedelta(days=3))
        await sink.record([pull], house.now)

    browser = await portal.browser().sign_in(OWNER)
    asked = await browser.get(f"{path}/unlink")
    table = [[cell.text for cell in row.all("td")] for row in asked.page.all("tbody")[0].all("tr")]
    assert {row[0]: row[1] for row in table} == {"Initech": "3 days ago", "Hooli": "never"}
    assert "2 licenses in force have a pattern for it" in asked.page.text
    await house.licenses.revoke(made["Hooli"].id, house.operation())
    again = await browser.submit(asked, f"{path}/unlink")
    assert (again.status, "1 license" in again.page.text) == (409, True)
    assert (await browser.get(path)).status == 200
    assert (await browser.submit(again, f"{path}/unlink")).location == f"{UPSTREAMS}?done=unlink"


def test_health_in_words() -> None:
    """A state is a word and a kind; what is wrong comes before what will be."""
    link = make_link(QUAY.origin)
    good, bad = NOW - timedelta(minutes=5), NOW - timedelta(minutes=1)
    for health, days, kind, words in (
        (UpstreamHealth(), None, "", "not used yet"),
        (UpstreamHealth(good), None, "ok", "working"),
        (UpstreamHealth(bad, good, "tls", "x"), None, "ok", "working"),
        (UpstreamHealth(good, bad, "tls", "x"), None, "bad", "failing"),
        (UpstreamHealth(None, bad, "tls", "x"), 10, "bad", "failing"),
        (UpstreamHealth(good), 10, "warn", "secret ends in 10 days"),
        (UpstreamHealth(good), 1, "warn", "secret ends in 1 day"),
        (UpstreamHealth(good), 31, "ok", "working"),
        (UpstreamHealth(good, bad, "tls", "x"), -1, "bad", "secret ended"),
        (UpstreamHealth(good, credential_ends_at=NOW + timedelta(hours=2)), None, "warn", "secret ends today"),
    ):
        end = None if days is None else NOW + timedelta(days=days)
        state = shown_health(evolve(link, credential_ends_at=end), health, NOW)
        assert (state.kind, state.words.startswith(words)) == (kind, True), state


@pytest.mark.parametrize(
    ("patterns", "shown"),
    [
        (("**",), "image"),
        (("org/**",), "org/image"),
        (("org/*", "org/api"), "org/api"),
        (("org/**/web-*",), "org/image/web-image"),
    ],
)
def test_the_pull_command_is_one_that_the_link_shows(patterns: tuple[str, ...], shown: str) -> None:
    """Of a repository that is named, or else of one that a pattern covers."""
    link = make_link(QUAY.origin, repositories=patterns)
    assert pull_name(link) == f"proxy/shop/stub/{shown}:1.0"


@pytest.mark.parametrize("name", ["developer", "viewer", "limited", "stranger"])
async def test_others_change_none(portal: PortalServer, name: str) -> None:
    """Members of the whole team see links; only owners have buttons."""
    path = await linked(portal)
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    shown = await browser.get(path)
    assert shown.status == {"limited": 403, "stranger": 404}.get(name, 200)
    assert (await browser.get(UPSTREAMS)).status == (403 if name == "limited" else 200)
    token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    expected = 404 if name == "stranger" else 403
    fields = {"form_token": token, "repositories": "org/**", "secret": OTHER_SECRET, "app": APP, "provider": "quay"}
    for what in ("test", "repositories", "credential", "anonymous", "purge", "unlink"):
        assert not shown.has_form(f"{path}/{what}")
        assert f"{path}/{what}" not in {one.attributes["href"] for one in shown.page.all("a")}
        assert (await browser.post(f"{path}/{what}", fields)).status == expected, what
    for what in ("anonymous", "purge", "unlink"):
        assert (await browser.get(f"{path}/{what}")).status == expected, what
    if name != "stranger":
        assert (await browser.post(NEW, fields)).status == 403
        assert NEW not in (await browser.get(UPSTREAMS)).text
    assert await secret_of(portal, path) == ("org+robot", SECRET)


class Stuck(asyncio.Event):
    """An answer that does not come, and how many wait for it."""

    waiting = 0

    @override
    async def wait(self) -> Literal[True]:
        self.waiting += 1
        return await super().wait()


async def test_a_slow_registry_keeps_no_other_page_waiting(portal: PortalServer) -> None:
    """However many tests a team has running."""
    path = await linked(portal)
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(path)
    portal.house.checks.answers = stuck = Stuck()
    tests = [asyncio.ensure_future(browser.submit(page, f"{path}/test")) for _ in range(2 * PER_TEAM)]
    await becomes(lambda: stuck.waiting >= PER_TEAM, "as many tests as a team may have pages")
    assert (await browser.get(path)).status == 200
    stuck.set()
    assert {reply.status for reply in await asyncio.gather(*tests)} == {200}


async def test_hostile_texts_are_texts(portal: PortalServer) -> None:
    """Of a registry's failures, and whatever stands in a name, address or field."""
    path = await linked(portal)
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(path)
    portal.house.checks.steps = [ProbeStep("token", ok=False, words=HOSTILE, remedy=HOSTILE)]
    tested = await browser.submit(page, f"{path}/test", repository=HOSTILE)
    assert portal.house.checks.asked[-1][2] == HOSTILE
    form = await browser.get(f"{NEW}?app={APP}&provider=other")
    typed = dict.fromkeys(("name", "url", "username", "repositories", "token_hosts", "last_day"), HOSTILE)
    refused = await browser.submit(form, NEW, **typed, secret=SECRET)
    changed = await browser.submit(page, f"{path}/credential", username=HOSTILE, secret=SECRET, last_day=HOSTILE)
    assert {refused.status, changed.status} == {400}
    pages = [tested, refused, changed, await browser.get(path), await browser.get(UPSTREAMS)]
    for reply in pages:
        assert HOSTILE in reply.page.text, reply.text
    for reply in (*pages, await browser.get(f"{NEW}?app={APP}&provider={'%3Cb id=x%3E'.replace(' ', '%20')}")):
        assert not [one for one in reply.page.walk() if one.attributes.get("id") == "x"]
        assert [one.text for one in reply.page.all("script")] == [""]


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> UpstreamAuthority:
    """Return an authority that the server trusts."""
    return UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))


@pytest.fixture(scope="module")
def registry(authority: UpstreamAuthority) -> Iterator[UpstreamRegistry]:
    """Run a stock registry of somebody else with one image."""
    with upstream_registry(authority) as running:
        running.push("org/api", "1.0", Image(b"content"))
        yield running


@asynccontextmanager
async def asking(portal: PortalServer, authority: UpstreamAuthority) -> AsyncIterator[PortalServer]:
    """Yield the portal of an operator who lets registries be on this machine: it asks them for real."""
    async with upstream_session(authority) as session:
        portal.house.checks = RegistryChecks(session, Clock())  # type: ignore[assignment]
        async with portal_server(portal.house) as running:
            yield running


async def found_by_a_test(browser: Browser, path: str, repository: str = "org/api:1.0") -> dict[str, tuple[str, str]]:
    """Test a link, and return result and words of each step."""
    reply = await browser.submit(await browser.get(path), f"{path}/test", repository=repository)
    cells = [[cell.text for cell in row.all("td")] for row in reply.page.all("tbody")[0].all("tr")]
    return {step: (result, words) for step, result, words in cells}


async def test_a_real_registry_is_tested_step_by_step(
    portal: PortalServer, registry: UpstreamRegistry, authority: UpstreamAuthority
) -> None:
    """Linked by the form, tested with the right and the wrong secret; the health follows."""
    async with asking(portal, authority) as real:
        browser = await real.browser().sign_in(OWNER)
        form = await browser.get(f"{NEW}?app={APP}&provider=other")
        typed = {"name": "theirs", "url": registry.url, "username": "alice", "repositories": "org/*"}
        made = await browser.submit(form, NEW, **typed, secret=USERS["alice"])
        path = made.location.partition("?")[0]
        good = await found_by_a_test(browser, path)
        assert list(good) == list(STEPS)
        assert {result for result, _ in good.values()} == {"ok"}, good
        assert "working" in (await browser.get(path)).page.text

        real.house.pass_time(minutes=2)
        await browser.submit(await browser.get(path), f"{path}/credential", secret="wrong")
        bad = await found_by_a_test(browser, path)
        assert [result for result, _ in bad.values()] == ["ok"] * 5 + ["failed"], bad
        assert "refuses the credential" in bad["manifest"][1]
        assert "failing" in (await browser.get(UPSTREAMS)).page.text

        refused = await browser.submit(form, NEW, **typed | {"url": "https://169.254.169.254"}, secret="x")
        assert refused.status == 400
        assert refused.form(NEW).fields["url"] == "https://169.254.169.254"


async def test_a_hostile_registry_writes_nothing_into_a_page(
    portal: PortalServer, authority: UpstreamAuthority
) -> None:
    """What it answers to a test, in its headers and bodies, is no markup here."""
    body = HOSTILE.encode()
    with StubUpstream(tls=authority.issue("localhost").server_context()) as stub:
        stub.put("org/api", "1.0", Image(b"content"))
        async with asking(portal, authority) as real:
            terms = LinkTerms.parse("other", stub.url, None, None, ["org/*"])
            path = await linked(real, "theirs", terms=terms)
            browser = await real.browser().sign_in(OWNER)
            for number, answer in enumerate(
                (
                    Answer(403, (("Content-Type", "text/html"),), body),
                    Answer(401, (("WWW-Authenticate", f'Bearer realm="{HOSTILE}"'),), body),
                    Answer(401, (("WWW-Authenticate", 'Bearer realm="https://<b id=x>/"'),), body),
                    Answer(500, (), body),
                )
            ):
                stub.answers = {"/v2/": answer, "/v2/org/api/manifests/1.0": answer}
                reply = await browser.submit(await browser.get(path), f"{path}/test", repository="org/api:1.0")
                assert "failed" in reply.page.text, number
                assert not [one for one in reply.page.walk() if one.attributes.get("id") == "x"]
                assert [one.text for one in reply.page.all("script")] == [""]
