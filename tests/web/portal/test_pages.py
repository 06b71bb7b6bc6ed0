"""Every page of the portal, for people of every role: none is forgotten, and each leads where they may go."""

from pathlib import Path
from unittest.mock import patch

import pytest

from authsvc.manage.actor import Actor
from authsvc.web.portal import rendering
from authsvc.web.portal.rendering import Renderer
from authsvc.web.portal.route import PREFIX
from tests.support.html_page import Element, forms_of
from tests.support.portal_content import PortalContent
from tests.support.portal_pages import (
    FORMS,
    NOT_SIGNED_IN,
    NOWHERE,
    PASTED,
    check_table,
    filled,
    find_route,
    page_paths,
)
from tests.support.portal_server import Browser, PageReply, PortalServer

pytestmark = pytest.mark.usefixtures("people")

ELSEWHERE = {"no_tls", "no_apps"}
"""Pages that tests of their own ask for."""


@pytest.fixture
async def content(portal: PortalServer) -> PortalContent:
    """Return an installation in which every page has something to show."""
    made = PortalContent(portal.house, portal.recorder)
    await made.fill()
    return made


async def open_every_page(portal: PortalServer, content: PortalContent, email: str) -> dict[str, PageReply]:
    """Return every page as somebody sees it, also those that are the answer to a form."""
    browser = await portal.browser().sign_in(email)
    found = {path: await browser.get(path) for path in page_paths(content.names)}
    for form in FORMS:
        page, action = filled(form.page, content.names), filled(form.action, content.names)
        reply = await browser.get(page)
        if reply.status == 200 and form.file is not None:
            name, text = form.file
            found[f"{page} {name}"] = await browser.upload(reply, action, name, text.encode(), **form.fields)
        elif reply.status == 200 and reply.has_form(action):
            button = dict([form.button] if form.button else [])
            sent = await browser.post(action, {**reply.form(action).fields, **form.fields, **button})
            found[f"{page} {form.fields} {button}"] = sent
    return found


async def test_no_page_is_forgotten(portal: PortalServer, content: PortalContent) -> None:
    """Every route and every template is walked; every page is whole, and has one heading and a title."""
    check_table(portal.routes)
    seen, render = set[str](), Renderer.render

    def noted(self: Renderer, template: str, **values: object) -> str:
        seen.add(template)
        return render(self, template, **values)

    with patch.object(Renderer, "render", noted):
        replies = await open_every_page(portal, content, "owner@acme.test")
        visitor = portal.browser()
        for path in NOT_SIGNED_IN:
            replies[f"{path} signed out"] = await visitor.get(filled(path, content.names))
        pasted = await visitor.get(filled(PASTED.page, content.names))
        replies["pasted"] = await visitor.submit(pasted, filled(PASTED.action, content.names), **PASTED.fields)
    expected = {200, 400, 404}
    assert {reply.status for reply in replies.values()} <= expected, {
        path: reply.status for path, reply in replies.items() if reply.status not in expected
    }
    for path, reply in replies.items():
        page = reply.page
        assert len(page.all("h1")) == 1, path
        assert page.all("title")[0].text.partition(" · ")[0], path
        ids = [one.attributes["id"] for one in page.walk() if "id" in one.attributes]
        assert len(ids) == len(set(ids)), f"{path}: an id is there twice: {sorted(ids)}"
    files = (Path(rendering.__file__).parent / "templates").glob("*.html")
    pages = {file.stem for file in files if file.read_text(encoding="utf-8").startswith("{% extends")}
    assert pages - seen - ELSEWHERE == set(), "add a state to PAGES or a form to FORMS in tests/support/portal_pages.py"


@pytest.mark.parametrize("email", ["owner", "developer", "viewer", "limited"])
async def test_buttons_and_links_are_those_of_the_permissions(
    portal: PortalServer, content: PortalContent, email: str
) -> None:
    """Whatever a page offers exists, and the table of permissions allows it to whoever sees the page."""
    stored = await portal.house.stores.members.by_email(f"{email}@acme.test")
    assert stored is not None
    actor = Actor.of_member(stored.record)
    offered = set[str]()
    for path, reply in (await open_every_page(portal, content, f"{email}@acme.test")).items():
        for method, where in offers_of(reply.page):
            assert where.startswith(f"{PREFIX}/") or where == "#main", f"{path} leads to {where}"
            if where in {"#main", f"{PREFIX}/"}:
                continue
            route = find_route(portal.routes, method, where)
            assert route is not None, f"{path} leads to {where}, where nothing is"
            allowed = route.public or route.permission is None or actor.may(route.permission)
            assert allowed, f"{path} offers {method} {where}, which {email} may not"
            offered.add(f"{route.method} {route.path}")
    everything = {f"{route.method} {route.path}" for route in portal.routes if not route.public}
    if email == "owner":
        assert everything - offered == set(), "no page leads there"


def offers_of(page: Element) -> list[tuple[str, str]]:
    """Return the method and address of everything that a page lets somebody do."""
    links = [("GET", one.attributes["href"]) for one in page.all("a")]
    return links + [(form.method.upper(), form.action) for form in forms_of(page)]


async def test_a_viewer_who_knows_the_address(portal: PortalServer, content: PortalContent) -> None:
    """Gets no page either that the table of permissions does not allow."""
    stored = await portal.house.stores.members.by_email("viewer@acme.test")
    assert stored is not None
    actor = Actor.of_member(stored.record)
    browser: Browser = await portal.browser().sign_in("viewer@acme.test")
    refused = 0
    for path in page_paths(content.names):
        route = find_route(portal.routes, "GET", path)
        if route is None or route.permission is None or actor.may(route.permission):
            assert path == NOWHERE or (await browser.get(path)).status != 403, path
        else:
            refused += 1
            assert (await browser.get(path)).status == 403, path
    assert refused >= 5
