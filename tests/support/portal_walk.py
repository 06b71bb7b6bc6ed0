"""Every page of the portal in Chromium, one after the other: as a person sees it who knows them all."""

from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

from authsvc.credentials.verifier import PasswordVerifier
from authsvc.public_url import parse_public_url
from tests.support.builders import PASSWORD
from tests.support.chromium import Visitor, chromium, visitor
from tests.support.installation import Installation
from tests.support.portal_content import OWNER, PortalContent
from tests.support.portal_pages import FORMS, NOT_SIGNED_IN, PASTED, SentForm, filled, page_paths
from tests.support.portal_server import PortalServer, portal_server
from tests.support.ports import free_port
from tests.support.redis_server import connected
from tests.web.api.conftest import People

CUSTOMER = "Müller & Söhne Gerätebau GmbH"
"""The text of the content: a name as customers have it."""


@asynccontextmanager
async def filled_portal() -> AsyncIterator[tuple[PortalServer, PortalContent]]:
    """Yield a portal at http://localhost, where browsers keep its cookies, in which every page shows something."""
    port = free_port()
    public_url = parse_public_url(f"http://localhost:{port}")
    async with connected("--appendfsync", "no") as connection:
        with ThreadPoolExecutor(1) as executor:
            house = Installation(connection, PasswordVerifier(executor, 1))
            await People().fill(house)
            async with portal_server(house, public_url, port=port) as portal:
                content = PortalContent(house, portal.recorder, CUSTOMER)
                await content.fill()
                yield portal, content


@asynccontextmanager
async def walking(portal: PortalServer, *, javascript: bool = True) -> AsyncIterator[Visitor]:
    """Yield somebody with a browser who has not signed in."""
    async with chromium() as browser, visitor(browser, portal.public_url.text, java_script_enabled=javascript) as one:
        yield one


async def every_page(portal: PortalServer, content: PortalContent, who: Visitor) -> AsyncIterator[str]:
    """Open one page after the other, and yield what each is called while it is open."""
    for path in NOT_SIGNED_IN:
        await who.open(filled(path, content.names))
        yield f"{filled(path, content.names)} signed out"
    yield await _answer(who, content, PASTED)
    await who.sign_in(OWNER, PASSWORD.reveal())
    for path in page_paths(content.names):
        await who.open(path)
        yield path
    for form in FORMS:
        yield await _answer(who, content, form)


async def _answer(who: Visitor, content: PortalContent, form: SentForm) -> str:
    """Open the answer to a form; return what it is called."""
    action = filled(form.action, content.names)
    await who.open(filled(form.page, content.names))
    await who.send(action, dict(form.fields), form.button, form.file)
    return f"{action} {' '.join([*form.fields.values(), *(form.file or ())[:1]])}"
