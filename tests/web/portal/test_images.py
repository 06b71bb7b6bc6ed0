"""Images in the portal: repositories, their tags, one image, and who runs them."""

from datetime import timedelta

import pytest

from authsvc.images.index import IndexChange
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from authsvc.tenancy.terms import LicenseTerms
from tests.support.activity import MEMBER
from tests.support.html_page import Element
from tests.support.installation import APP, OTHER_APP, Installation, confirmed
from tests.support.portal_server import PortalServer
from tests.support.pushed_images import PushedImages
from tests.web.portal.test_upstreams import linked

pytestmark = pytest.mark.usefixtures("people")

IMAGES = "/portal/images"

HOSTILE = "<b onclick=x>Globex</b> \"'&amp; {{ 7*7 }}"


async def licensed(house: Installation, customer: str, app: str = APP) -> str:
    """Return the subject of a new license."""
    terms = LicenseTerms.parse(customer=customer, expires="90d", now=house.now)
    license_, _ = await house.licenses.create(app, terms, house.operation())
    return license_.subject


def rows(page: Element, number: int = 0) -> list[str]:
    """Return the texts of the rows of a table."""
    return [row.text for row in page.all("table")[number].all("tr")][1:]


def links(page: Element) -> set[str]:
    """Return where a page leads."""
    return {one.attributes["href"] for one in page.all("a")}


async def test_a_row_for_each_repository(portal: PortalServer) -> None:
    """With its newest image, which is no signature, and how many customers run it; who may not see it gets nothing."""
    house, pushed = portal.house, PushedImages(portal.house)
    old = await pushed.push(f"{APP}/worker", "1.9")
    house.now += timedelta(hours=2)
    new = await pushed.push(f"{APP}/worker", "1.10")
    await pushed.push(f"{APP}/worker", f"sha256-{new.digest.partition(':')[2]}.sig")
    await pushed.push(f"{APP}/api", "v1", "latest")
    await pushed.push(f"{OTHER_APP}/secret", "v1")
    one, two, same = [await licensed(house, name) for name in ("Globex", "Initech", "Globex")]
    await pushed.pull(f"{APP}/worker", "1.9", old, one, two, MEMBER)
    await pushed.pull(f"{APP}/worker", "1.10", new, one, same)
    house.now += timedelta(hours=3)

    browser = await portal.browser().sign_in("viewer@acme.test")
    page = (await browser.get(f"{IMAGES}?app={APP}")).page
    api, worker = rows(page)
    assert worker.startswith(f"{APP}/worker 3 tags 1.10 "), worker
    assert worker.endswith("3 h ago a former member 2 customers 1 on 1.10"), worker
    assert (api.startswith(f"{APP}/api 2 tags "), api.endswith("no customer")) == (True, True), api
    assert {f"{IMAGES}/{APP}/worker", f"{IMAGES}/{APP}/worker:1.10"} <= links(page)
    house.now += timedelta(days=31)
    later = await portal.browser().sign_in("viewer@acme.test")
    assert rows((await later.get(IMAGES)).page)[1].endswith("no customer")
    for email, app in (("limited@acme.test", OTHER_APP), ("stranger@acme.test", APP)):
        other = await portal.browser().sign_in(email)
        assert (await other.get(f"{IMAGES}?app={app}")).status == 404, email


async def test_repositories_are_found(portal: PortalServer) -> None:
    """By a part of the name; a name with a tag leads to the tags of the repository that begin so."""
    pushed = PushedImages(portal.house)
    await pushed.push(f"{APP}/worker", "1.9")
    await pushed.push(f"{APP}/worker", "2.0")
    await pushed.push(f"{APP}/tools/api", "v1")
    browser = await portal.browser().sign_in("owner@acme.test")

    for text, found in (("ork", ["worker"]), (f"{APP}/worker", ["worker"]), ("tools", ["tools/api"]), ("<i>", [])):
        page = (await browser.get(f"{IMAGES}?app={APP}&find={text}")).page
        found_links = [one for table in page.all("table") for one in table.all("a")]
        names = [one.text for one in found_links if ":" not in one.attributes["href"]]
        assert names == [f"{APP}/{name}" for name in found], text
    led = (await browser.get(f"{IMAGES}?app={APP}&find=worker:1")).location
    assert led == f"{IMAGES}/{APP}/worker?tag=1"
    page = (await browser.get(led)).page
    assert [one.split()[0] for one in rows(page)] == ["1.9"]
    assert "No tag begins like this" in (await browser.get(f"{IMAGES}/{APP}/worker?tag=7")).text
    refused = await browser.get(f"{IMAGES}/{APP}/worker?tag=%3Cb%3E")
    assert (refused.status, "No tag begins with" in refused.text) == (400, True)


async def test_pages_of_repositories(portal: PortalServer) -> None:
    """A hundred on a page, and every one once; also what a search finds."""
    index = RedisImageIndex(portal.house.connection, Codec())
    names = [f"{APP}/r{number:03d}" for number in range(103)]
    for name in names:
        await index.apply(name, APP, [IndexChange("v1", None, f"sha256:{'0' * 64}")], portal.house.now)
    browser = await portal.browser().sign_in("viewer@acme.test")
    for find in ("", "r"):
        found, path = list[str](), f"{IMAGES}?app={APP}&find={find}"
        while path:
            page = (await browser.get(path)).page
            found += [row.split()[0] for row in rows(page)]
            path = next((one.attributes["href"] for one in page.all("a") if one.text == "Next page"), "")
            assert len(rows(page)) in {100, 3}
        assert found == names, find


async def test_a_repository(portal: PortalServer) -> None:
    """Its tags, the newest first; which of them customers run, in a chart and as numbers; who they are, as text."""
    house, pushed = portal.house, PushedImages(portal.house)
    old = await pushed.push(f"{APP}/worker", "1.9")
    house.now += timedelta(hours=1)
    new = await pushed.push(f"{APP}/worker", "1.10")
    one, two, three = [await licensed(house, name) for name in (HOSTILE, "Initech", "Hooli")]
    await pushed.pull(f"{APP}/worker", "1.9", old, one, two, three)
    house.now += timedelta(hours=1)
    await pushed.pull(f"{APP}/worker", "1.10", new, one)
    member = await house.stores.members.by_email("viewer@acme.test")
    assert member is not None
    await pushed.pull(f"{APP}/worker", "1.10", new, member.record.subject)

    browser = await portal.browser().sign_in("viewer@acme.test")
    page = (await browser.get(f"{IMAGES}/{APP}/worker")).page
    assert [row.split()[0] for row in rows(page)] == ["1.10", "1.9"]
    (chart,) = page.all("svg")
    assert chart.all("title")[0].text == f"Customers by the version of {APP}/worker that they pulled last"
    assert [one.text for one in chart.all("text")] == ["1.10", "1", "1.9", "2"]
    assert rows(page.all("details")[0]) == ["1.10 1", "1.9 2"]
    users = rows(page, 2)
    assert [HOSTILE in user for user in users] == [True, False, False, False], users
    assert users[0].endswith("1.10, 1.9 just now")
    assert users[3].startswith("viewer@acme.test 1.10")
    assert (page.all("b"), "49" in page.text) == ([], False)
    record = await house.stores.licenses.get(one.partition(":")[2])
    assert record is not None
    assert f"/portal/customers/{record.record.customer_id}" in links(page)


async def test_an_image(portal: PortalServer) -> None:
    """What it is, its other tags and platforms, and the customers who pulled it, each with a link."""
    house, pushed = portal.house, PushedImages(portal.house)
    member = await house.stores.members.by_email("developer@acme.test")
    assert member is not None
    image = await pushed.push(f"{APP}/worker", "1.9", "latest", subject=member.record.subject)
    subject = await licensed(house, HOSTILE)
    await pushed.pull(f"{APP}/worker", "1.9", image, subject)
    browser = await portal.browser().sign_in("viewer@acme.test")
    page = (await browser.get(f"{IMAGES}/{APP}/worker:1.9")).page
    for words in (image.digest, "by developer@acme.test", HOSTILE, f"by {HOSTILE}"):
        assert words in page.text, words
    assert page.all("b") == []
    known = links(page)
    assert {f"{IMAGES}/{APP}/worker:latest", f"{IMAGES}/{APP}/worker", f"/portal/licenses/{subject[8:]}"} <= known
    assert not any("/-/" in one for one in known), known
    by_digest = (await browser.get(f"{IMAGES}/{APP}/worker@{image.digest}")).page
    assert f"{IMAGES}/{APP}/worker:1.9" in links(by_digest)


async def test_linked_registries(portal: PortalServer) -> None:
    """Rows with their state lead to their pages; owners have the button, and who is limited to some apps sees none."""
    path = await linked(portal)
    await PushedImages(portal.house).push(f"{APP}/worker", "1.0")
    new = f"/portal/upstreams/new?app={APP}"
    for name, row, button in (("owner", True, True), ("viewer", True, False), ("limited", False, False)):
        page = (await (await portal.browser().sign_in(f"{name}@acme.test")).get(f"{IMAGES}?app={APP}")).page
        assert (path in links(page), new in links(page)) == (row, button), name
        if row:
            assert rows(page, 1)[0].startswith(f"proxy/{APP}/quay https://quay.io org/** not "), name


async def test_the_first_push_is_explained(portal: PortalServer) -> None:
    """With commands for this app and person; a search that finds nothing is not the first push."""
    browser = await portal.browser().sign_in("viewer@acme.test")
    page = (await browser.get(f"{IMAGES}?app={APP}")).page
    commands = [one.text for one in page.all("code")]
    assert "docker login registry.example.com -u viewer@acme.test" in commands
    assert f"docker push registry.example.com/{APP}/worker:1.0.1" in commands
    assert any("data-wait" in one.attributes for one in page.all("p"))
    found = (await browser.get(f"{IMAGES}?app={APP}&find=x")).page
    assert f"No repository of {APP} is named like this. Show all" in found.text


async def test_to_an_archived_app_nothing_is_pushed(portal: PortalServer) -> None:
    """The page says so in place of the commands, and leads to where the app is reinstated; its images stay listed."""
    await PushedImages(portal.house).push(f"{APP}/worker", "1.0")
    browser = await portal.browser().sign_in("owner@acme.test")
    await confirmed(portal.house.teams.archive_app, APP, portal.house.operation())
    page = (await browser.get(f"{IMAGES}?app={APP}")).page
    assert "pushes and pulls are refused until it is reinstated" in page.text
    assert (f"/portal/apps/{APP}" in links(page), f"/portal/upstreams/new?app={APP}" in links(page)) == (True, False)
    assert ("docker push" in page.text, f"{IMAGES}/{APP}/worker" in links(page)) == (False, True)


async def test_from_an_image_to_its_customers_and_back(portal: PortalServer) -> None:
    """A customer's page has the versions in use with a link to each, the networks, and how much was pulled."""
    house, pushed = portal.house, PushedImages(portal.house)
    image = await pushed.push(f"{APP}/worker", "1.0")
    subject = await licensed(house, "Hooli")
    await pushed.pull(f"{APP}/worker", "1.0", image, subject, subject)
    browser = await portal.browser().sign_in("viewer@acme.test")
    page = (await browser.get(f"{IMAGES}/{APP}/worker:1.0")).page
    (customer,) = [one for one in links(page) if one.startswith("/portal/customers/")]
    shown = (await browser.get(customer)).page
    assert "Networks 203.0.113.7" in shown.text
    assert "Last pull just now" in shown.text
    assert "Pulls 2 since " in shown.text
    assert rows(shown, 1) == [f"{APP}/worker:1.0 {image.digest[:19]} 2 just now"]
    back = f"{IMAGES}/{APP}/worker@{image.digest}"
    assert back in links(shown)
    assert customer in links((await browser.get(back)).page)
