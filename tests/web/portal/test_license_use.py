"""Pages that say whom a change of an app affects, of an app with more licenses than they look at."""

from collections.abc import AsyncIterator

import pytest

from authsvc.redaction import Secret
from authsvc.tenancy.terms import LicenseTerms
from authsvc.upstreams.terms import LinkTerms
from tests.support.installation import APP, Installation
from tests.support.portal_server import PortalServer, portal_server

pytestmark = pytest.mark.usefixtures("people")

OWNER = "owner@acme.test"
QUAY = LinkTerms.parse("quay", None, "org+robot", Secret("robot-key"), ["org/**"])


@pytest.fixture
async def portal(house: Installation) -> AsyncIterator[PortalServer]:
    """Yield a portal that looks at 2 licenses of an app, which has 3."""
    for customer in ("Globex", "Initech", "Hooli"):
        terms = LicenseTerms.parse(customer=customer, expires="30d", now=house.now)
        await house.licenses.create(APP, terms, house.operation())
    async with portal_server(house, most_examined=2) as running:
        yield running


async def test_archiving_says_that_there_are_more_and_is_done(portal: PortalServer) -> None:
    """What the page says is what its form confirms."""
    path = f"/portal/apps/{APP}/archive"
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(path)
    assert "Licenses in force at least 2, of at least 2 customers" in page.page.text
    assert "The app has more licenses than were counted; they lose access too." in page.page.text
    assert (await browser.submit(page, path)).location == f"/portal/apps/{APP}?done=archive"


async def test_unlinking_says_that_others_may_name_it_and_is_done(portal: PortalServer) -> None:
    """Also where no license that was looked at names it."""
    link = await portal.house.upstreams.link(APP, "quay", QUAY, portal.house.operation())
    path = f"/portal/upstreams/{link.id}/unlink"
    browser = await portal.browser().sign_in(OWNER)
    page = await browser.get(path)
    assert "No license in force of those that were looked at has a pattern for it." in page.page.text
    assert f"Only 2 licenses of {APP} were looked at; others may have a pattern for it too" in page.page.text
    assert (await browser.submit(page, path)).location == "/portal/upstreams?done=unlink"
