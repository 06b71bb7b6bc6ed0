"""The member's own tokens in the portal."""

import pytest

from tests.support.installation import APP
from tests.support.portal_server import PortalServer

pytestmark = pytest.mark.usefixtures("people")

TOKENS = "/portal/tokens"


async def test_a_token_from_its_beginning_to_its_end(portal: PortalServer) -> None:
    """Shown once, signs in, listed without its secret, revoked."""
    browser = await portal.browser().sign_in("developer@acme.test")
    shown = await browser.submit(await browser.get(TOKENS), TOKENS, name="desk", last_day="2099-12-31")
    secret = shown.page.all("code")[0].text
    assert secret.startswith("asv_pat_")
    allowed = await portal.house.ask(secret, "x", f"repository:{APP}/worker:pull")
    assert allowed.response.token.reveal()
    page = await browser.get(TOKENS)
    assert secret not in page.text
    assert "desk token registry only" in page.page.text
    (action,) = [
        form.attributes["action"]
        for form in page.page.all("form")
        if "Revoke desk" in str(form.all("button")[0].attributes)
    ]
    assert (await browser.submit(page, action)).location == f"{TOKENS}?done=revoked"
    assert "desk" not in (await browser.get(TOKENS)).page.text


async def test_what_is_wrong_is_said(portal: PortalServer) -> None:
    """A name that is taken, a day that has passed, an access that there is not."""
    browser = await portal.browser().sign_in("developer@acme.test")
    page = await browser.get(TOKENS)
    await browser.submit(page, TOKENS, name="desk")
    for fields, status in (
        ({"name": "desk"}, 409),
        ({"name": "b", "last_day": "2020-01-01"}, 400),
        ({"name": ""}, 400),
    ):
        assert (await browser.submit(page, TOKENS, **fields)).status == status, fields
    assert (await browser.submit(page, TOKENS, name="c", api="all")).status == 400


async def test_nobody_revokes_the_token_of_another(portal: PortalServer) -> None:
    """It does not exist for them."""
    browser = await portal.browser().sign_in("developer@acme.test")
    page = await browser.get(TOKENS)
    action = next(one.attributes["action"] for one in page.page.all("form") if "/revoke" in one.attributes["action"])
    other = await portal.browser().sign_in("viewer@acme.test")
    token = (await other.get(TOKENS)).form("/portal/sign-out").fields["form_token"]
    assert (await other.post(action, {"form_token": token})).status == 404
