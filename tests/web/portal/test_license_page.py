"""The customer's page: what a link opens, without an account and without leaving a trace of its address."""

import io
import json
import zipfile
from datetime import timedelta

import pytest

from authsvc.credentials.machine_secret import PAGE_KIND, MachineSecret
from authsvc.images.index import IndexChange
from authsvc.images.manifest import parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.manage.license_by_link import VOID
from authsvc.redaction import Secret
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from authsvc.tenancy.terms import LicenseTerms
from authsvc.throttle import MACHINE
from authsvc.web.license_page.application import PAGE_SIZE
from authsvc.web.portal.headers import HEADERS
from tests.manage.use_cases import LINK
from tests.support.html_page import Element
from tests.support.installation import APP
from tests.support.oci import MANIFEST, Image
from tests.support.portal_server import MISSING_TAG, Browser, PageReply, PortalServer

pytestmark = pytest.mark.usefixtures("people")

DEVELOPER, VIEWER = "developer@acme.test", "viewer@acme.test"
HOSTILE = "<b id=x>&amp;\"'`{{7*7}}</b><script>alert(1)</script>"
OTHER_SITES = (
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
)


async def license_of(portal: PortalServer, customer: str = "Globex", contact: str = "sales@acme.test") -> str:
    """Make a license and return its id."""
    terms = LicenseTerms.parse(customer=customer, expires="100d", contact=contact, now=portal.house.now)
    license_, _ = await portal.house.licenses.create(APP, terms, portal.house.operation())
    return license_.id


async def address_of(portal: PortalServer, license_id: str) -> str:
    """Make a link and return the path of the page."""
    _, secret = await portal.house.license_links.create(license_id, portal.house.operation())
    return f"/c/{secret.reveal()}"


def main_of(reply: PageReply) -> Element:
    """Return what a page says."""
    (main,) = reply.page.all("main")
    return main


async def test_a_customer_gets_everything_on_one_page(portal: PortalServer) -> None:
    """State, last day, contact, commands with the real values, the file, and what the file is checked with."""
    license_id = await license_of(portal)
    address = await address_of(portal, license_id)
    customer = portal.browser()
    page = await customer.get(address)
    last = (portal.house.now + timedelta(days=100)).date().isoformat()
    assert (page.status, customer.cookies) == (200, {})
    for words in (
        *("active", "sales@acme.test", "Globex", f"Install {APP}", last),
        f"docker login registry.example.com -u license --password-stdin < Globex-{license_id}.license.json",
        f"Get-Content -Raw '.\\Globex-{license_id}.license.json' | docker login",
        *("podman login", "kubectl apply", "ctr images pull", "skopeo copy", f"verify --key {APP}.license-key.json"),
    ):
        assert words in page.text.replace("&lt;", "<").replace("&#39;", "'") or words in page.page.text, words
    assert len([one for one in page.page.all("section") if "data-tool" in one.attributes]) == 7

    file = await customer.submit(page, f"{address}/file")
    assert file.headers["content-disposition"] == f'attachment; filename="Globex-{license_id}.license.json"'
    assert json.loads(file.text)["license"]["id"] == license_id
    assert "pull" == await portal.house.gets(Secret(file.text), scope=f"repository:{APP}/x:pull")
    keys = next(one for one in page.page.all("a") if "download" in one.attributes)
    assert keys.attributes["href"] == "/auth/license-keys.json"


async def test_the_tools_come_from_the_running_server(portal: PortalServer) -> None:
    """The file is the one that `make dist` makes, for everybody, since nothing in it is secret."""
    browser = portal.browser()
    async with portal.session.get(f"http://127.0.0.1:{portal.port}/c/authsvc-license.pyz") as answer:
        body = await answer.read()
    with zipfile.ZipFile(io.BytesIO(body)) as archive:
        assert {"__main__.py", "authsvc/installer/license_tool.py", "yaml/LICENSE"} < set(archive.namelist())
    assert body.startswith(b"#!/usr/bin/env python3\n")
    page = await browser.get(await address_of(portal, await license_of(portal)))
    assert any(one.attributes.get("href") == "/c/authsvc-license.pyz" for one in page.page.all("a"))


async def test_a_page_leaves_no_trace(portal: PortalServer) -> None:
    """No cache, no search engine and no other site learns the address, and the log has the route alone."""
    address = await address_of(portal, await license_of(portal))
    customer = portal.browser()
    page = await customer.get(address)
    replies = [page, await customer.submit(page, f"{address}/file"), await customer.get(f"{address}/nothing")]
    replies += [await customer.get(f"{address}?after=%ff"), await customer.post(f"{address}/file", {}, OTHER_SITES[0])]
    for reply in replies:
        assert reply.headers["cache-control"] == "no-store"
        assert reply.headers["x-robots-tag"] == "noindex, nofollow"
        assert {name: reply.headers[name.lower()] for name in HEADERS} == HEADERS
    assert [200, 200, 404, 400, 403] == [reply.status for reply in replies]
    assert address.rpartition("_")[2] not in portal.log.getvalue()
    routes = [line["route"] for line in portal.logged("license-page.answered")]
    assert routes == ["/c/{link}", "/c/{link}/file"]
    # Of what is loaded with it, nothing has the address: every link leads to a page of the same host.
    sources = [one.attributes.get("href") or one.attributes.get("src", "") for one in page.page.walk()]
    assert all(one.startswith("/") or one in {"", "#main"} for one in sources)


async def test_what_opens_nothing_gets_one_answer(portal: PortalServer) -> None:
    """Junk, unknown, ended and taken back: the same page but for the request id."""
    license_id = await license_of(portal)
    gone, ended = await address_of(portal, license_id), await address_of(portal, license_id)
    portal.house.now += timedelta(days=31)
    await portal.house.license_links.revoke(license_id, portal.house.operation())
    unknown = MachineSecret.build(PAGE_KIND, "0" * 16, bytes(32)).text.reveal()
    browser, pages = portal.browser(), set()
    for address in (gone, ended, f"/c/{unknown}", f"{gone[:-1]}x", "/c/x", f"/c/{unknown}?after=1"):
        for reply in (await browser.get(address), await browser.post(f"{address.partition('?')[0]}/file", {})):
            (request_id,) = [one.text for one in main_of(reply).all("code")]
            pages.add((reply.status, reply.text.replace(request_id, "")))
    assert len(pages) == 1
    ((status, text),) = pages
    assert (status, VOID[1:] in text) == (404, True)


async def test_guesses_are_throttled_and_links_that_work_are_not(portal: PortalServer) -> None:
    """Who guesses is told to wait; the customer behind the same address goes on."""
    address = await address_of(portal, await license_of(portal))
    browser = portal.browser()
    guess = MachineSecret.build(PAGE_KIND, "0" * 16, bytes(32)).text.reveal()
    statuses = [(await browser.get(f"/c/{guess}")).status for _ in range(MACHINE.burst + 2)]
    assert statuses == [404] * MACHINE.burst + [429] * 2
    refused = await browser.get(f"/c/{guess}")
    assert int(refused.headers["retry-after"]) > 0
    assert (await browser.get(address)).status == 200


@pytest.mark.parametrize("headers", OTHER_SITES)
async def test_another_site_cannot_send_the_form(portal: PortalServer, headers: dict[str, str]) -> None:
    """A form of another site gets no file, even with the address."""
    address = await address_of(portal, await license_of(portal))
    reply = await portal.browser().post(f"{address}/file", {}, headers)
    assert (reply.status, "asv_lic_" in reply.text) == (403, False)
    assert (await portal.browser().get(f"{address}/file")).status in {404, 405}


@pytest.mark.parametrize("how", ["revoked", "archived"])
async def test_a_license_that_is_not_in_force(portal: PortalServer, how: str) -> None:
    """The page says so, and whom to ask; there is no button and no file, and no image is named any more."""
    house, license_id = portal.house, await license_of(portal)
    address = await address_of(portal, license_id)
    await indexed(portal, f"{APP}/worker", 1)
    assert f"{APP}/worker" in (await portal.browser().get(address)).page.text
    await (house.licenses.revoke if how == "revoked" else house.licenses.archive)(license_id, house.operation())
    page = await portal.browser().get(address)
    assert (page.status, page.has_form(f"{address}/file")) == (200, False)
    assert f"This license is {how}" in page.page.text
    assert "ask sales@acme.test" in page.page.text
    assert f"{APP}/worker" not in page.text
    refused = await portal.browser().post(f"{address}/file", {})
    assert (refused.status, how in refused.page.text) == (409, True)


async def indexed(portal: PortalServer, repository: str, tags: int) -> None:
    """Put tags into the index."""
    image, writer = Image(b"one"), RedisImageIndex(portal.house.connection, Codec())
    manifest = parse_manifest(image.manifest, MANIFEST)
    assert manifest is not None
    await writer.save(APP, [of_manifest(image.digest, manifest, None)])
    changes = [IndexChange(f"{number:04}", None, image.digest) for number in range(tags)]
    await writer.apply(repository, APP, changes, portal.house.now)


async def test_the_images_are_those_that_the_license_pulls(portal: PortalServer) -> None:
    """A page of them at a time, however many there are, and of other repositories none."""
    await indexed(portal, f"{APP}/worker", PAGE_SIZE + 3)
    await indexed(portal, f"{APP}/secret", 2)
    house = portal.house
    await house.upstreams.link(APP, "quay", LINK, house.operation())
    patterns = ["worker", "proxy/quay/org/**", "proxy/gone/**"]
    terms = LicenseTerms.parse(customer="Globex", expires="100d", repositories=patterns, now=house.now)
    license_, _ = await house.licenses.create(APP, terms, house.operation())
    address = await address_of(portal, license_.id)
    browser, seen, path, page = portal.browser(), list[str](), address, await portal.browser().get(address)
    for size in (PAGE_SIZE, 3):
        page = await browser.get(path)
        rows = [row.text for row in page.page.all("tbody")[0].all("tr")]
        assert len(rows) == size
        seen += rows
        path = next((one.attributes["href"] for one in page.page.all("a") if one.text == "More images"), "")
    assert (path, len(set(seen))) == ("", PAGE_SIZE + 3)
    assert all(f"registry.example.com/{APP}/worker" in row for row in seen)
    assert f"registry.example.com/proxy/{APP}/quay/org/**" in page.page.text
    assert "gone" not in page.page.text
    first = next(one.attributes["href"] for one in page.page.all("a") if one.text == "First page")
    assert (first, f"docker pull registry.example.com/{APP}/worker:0000" in (await browser.get(first)).page.text) == (
        address,
        True,
    )


async def test_hostile_texts_add_no_element(portal: PortalServer) -> None:
    """What a vendor has typed is text on the customer's page."""
    plain = await portal.browser().get(await address_of(portal, await license_of(portal)))
    hostile = await portal.browser().get(await address_of(portal, await license_of(portal, HOSTILE, HOSTILE)))
    assert [one.name for one in plain.page.walk()] == [one.name for one in hostile.page.walk()]
    assert "x" not in [one.attributes.get("id") for one in hostile.page.walk()]
    assert HOSTILE in hostile.page.text


# --- will the install work? -------------------------------------------------------------------------------------------

HOST = "registry.example.com"
COMPOSE = f"""
services:
  worker: {{image: "{HOST}/{APP}/worker:1"}}
  gone: {{image: "{HOST}/{APP}/worker:{MISSING_TAG}"}}
  other: {{image: "{HOST}/annex/tool:1"}}
  cache: {{image: "redis:7"}}
  templated: {{image: "{HOST}/{APP}/worker:${{TAG}}"}}
"""


async def checked(portal: PortalServer, address: str, text: str) -> PageReply:
    """Paste a text into the page and send it, with the line ends of a browser."""
    return await portal.browser().post(f"{address}/images", {"text": text.replace("\n", "\r\n")})


async def test_a_pasted_file_is_checked(portal: PortalServer) -> None:
    """Each image with its line: can be pulled or not, and why, in the words of the preflight."""
    address = await address_of(portal, await license_of(portal))
    before = await portal.house.everything_stored()
    page = await checked(portal, address, COMPOSE)
    rows = [[cell.text for cell in row.all("td")] for row in page.page.all("tbody")[-1].all("tr")]
    assert (page.status, [row[0].rpartition("/")[2] for row in rows], [row[1] for row in rows]) == (
        200,
        ["worker:1", f"worker:{MISSING_TAG}", "tool:1", "redis:7", "worker:${TAG}"],
        ["3", "4", "5", "6", "7"],
    )
    for row, words in zip(
        rows,
        (
            ("can be pulled",),
            ("cannot be pulled", "there is no such image"),
            ("cannot be pulled", "license"),
            ("not checked", "it comes from docker.io"),
            ("not checked", "it has a variable in it"),
        ),
        strict=True,
    ):
        assert all(word in row[2] for word in words), row
    assert page.form(f"{address}/images#check").fields["text"].split() == COMPOSE.split()
    # Nothing is kept: neither stored nor logged.
    after = await portal.house.everything_stored()
    assert set(after) - set(before) == set()
    assert "worker:1" not in portal.log.getvalue() + repr(after)


HOSTILE_TEXTS = {
    "nothing in it": ("", "o image was found"),
    "too long": ("#" * (256 * 1024 + 1), "longer than 256 KiB"),
    "too many values": (f"a: [{'1,' * 10_001}]\nimage: {HOST}/{APP}/x:1", "more than 10000 values"),
    "too deep": ("[" * 5_000, "nested deeper than 200 levels"),
    "a list of too many": ("\n".join(f"{HOST}/{APP}/x{number}:1" for number in range(201)), "201 images"),
    "aliases that multiply": (
        "a0: &a0 {image: x}\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 40)),
        "it comes from docker.io",
    ),
    "merges that multiply": (
        "a0: &a0 {k0: v}\n"
        + "".join(f"a{n}: &a{n}\n  <<: [{', '.join([f'*a{n - 1}'] * 9)}]\n  k{n}: v\n" for n in range(1, 99))
        + f"image: {HOST}/{APP}/x:1",
        "can be pulled",
    ),
    "no YAML": ("a: b: c: \t- }{", "this is not YAML"),
    "no text": ("\x00\x01: \ud7ff", "does not allow the character"),
    "markup": (f"image: >-\n  {HOSTILE}", "it is a template"),
}


@pytest.mark.parametrize("name", HOSTILE_TEXTS)
async def test_hostile_texts_are_bounded(portal: PortalServer, name: str) -> None:
    """Whatever is pasted is answered with a sentence on the page, and adds no element to it."""
    text, words = HOSTILE_TEXTS[name]
    page = await checked(portal, await address_of(portal, await license_of(portal)), text)
    assert page.status in {200, 400}
    assert words in page.page.text
    assert "x" not in [one.attributes.get("id") for one in page.page.walk()]
    assert len(page.page.all("script")) == 1


async def test_a_form_that_is_too_long_or_from_elsewhere(portal: PortalServer) -> None:
    """It is refused before it is read whole; and without a link that works nothing of it is read."""
    address = await address_of(portal, await license_of(portal))
    assert (await checked(portal, address, "é" * 140_000)).status == 413
    assert (await checked(portal, f"{address[:-1]}x", "image: a")).status == 404
    for headers in OTHER_SITES:
        assert (await portal.browser().post(f"{address}/images", {"text": "image: a"}, headers)).status == 403


async def test_a_license_that_ended_meanwhile_checks_nothing(portal: PortalServer) -> None:
    """The page says what the preflight says."""
    license_id = await license_of(portal)
    address = await address_of(portal, license_id)
    await portal.house.licenses.revoke(license_id, portal.house.operation())
    page = await checked(portal, address, f"{HOST}/{APP}/x:1")
    assert (page.status, "revoked" in page.page.text) == (401, True)


# --- in the portal ----------------------------------------------------------------------------------------------------


async def made(portal: PortalServer, browser: Browser, license_id: str) -> tuple[PageReply, str]:
    """Make a link in the portal; return the page that shows it, and the path of the customer's page."""
    address = f"/portal/licenses/{license_id}/links"
    page = await browser.submit(await browser.get(address), address)
    (link,) = [one.text for one in page.page.all("code") if "/c/" in one.text]
    assert link.startswith(f"{portal.public_url.text}/c/asv_page_")
    return page, link.removeprefix(portal.public_url.text)


async def test_a_developer_makes_a_link_and_takes_it_back(portal: PortalServer) -> None:
    """It is shown once and works; taken back, it works no more."""
    license_id = await license_of(portal)
    browser, customer = await portal.browser().sign_in(DEVELOPER), portal.browser()
    shown = await browser.get(f"/portal/licenses/{license_id}")
    assert f"/portal/licenses/{license_id}/links" in [one.attributes.get("href") for one in shown.page.all("a")]
    _, address = await made(portal, browser, license_id)
    assert (await customer.get(address)).status == 200
    listed = await browser.get(f"/portal/licenses/{license_id}/links")
    assert address not in listed.text
    assert DEVELOPER in listed.page.all("tbody")[0].text
    (leads,) = [one.attributes["href"] for one in listed.page.all("a") if one.attributes["href"].endswith("/revoke")]
    done = await browser.submit(await browser.get(leads), leads)
    assert "opens nothing" in (await browser.get(done.location)).page.text
    assert (await customer.get(address)).status == 404
    assert (await browser.get(leads)).status == 303


async def test_a_link_with_an_end_that_is_not_acceptable(portal: PortalServer) -> None:
    """The page says why, with what was typed."""
    address = f"/portal/licenses/{await license_of(portal)}/links"
    browser = await portal.browser().sign_in(DEVELOPER)
    page = await browser.submit(await browser.get(address), address, last_day="2001-01-01")
    assert (page.status, page.form(address).fields["last_day"]) == (400, "2001-01-01")
    assert "not in the future" in page.page.text


async def test_a_viewer_sees_no_links(portal: PortalServer) -> None:
    """Neither the button nor the page."""
    license_id = await license_of(portal)
    browser = await portal.browser().sign_in(VIEWER)
    assert "/links" not in (await browser.get(f"/portal/licenses/{license_id}")).text
    assert (await browser.get(f"/portal/licenses/{license_id}/links")).status == 403
