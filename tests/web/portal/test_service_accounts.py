"""Service accounts in the portal."""

import pytest

from tests.support.installation import APP
from tests.support.portal_server import Browser, PortalServer

pytestmark = pytest.mark.usefixtures("people")

ACCOUNTS = "/portal/service-accounts"


async def path_of(browser: Browser, name: str) -> str:
    """Return the path of an account's page."""
    links = (await browser.get(ACCOUNTS)).page.all("a")
    (path,) = [one.attributes["href"] for one in links if one.text == name]
    return path


async def can_push(portal: PortalServer, secret: str) -> bool:
    """Whether a secret gets a token with which an image of the app is pushed."""
    issued = await portal.house.ask(secret, "x", f"repository:{APP}/worker:push")
    return issued.decision.pushes


async def test_an_account_from_its_beginning_to_its_end(portal: PortalServer) -> None:
    """Made, its secret shown once; other grants, another secret, disabled, enabled, revoked."""
    browser = await portal.browser().sign_in("owner@acme.test")
    typed = {"name": "ci-build", "grants": f"{APP}/**:pull,push"}
    shown = await browser.submit(await browser.get(ACCOUNTS), ACCOUNTS, **typed)
    first = shown.page.all("code")[0].text
    assert first.startswith("asv_sa_")
    assert await can_push(portal, first)
    path = await path_of(browser, "ci-build")
    page = await browser.get(path)
    assert first not in page.text
    assert page.form(f"{path}/grants").fields["grants"].split() == [f"{APP}/**:pull,push"]
    changed = await browser.submit(page, f"{path}/grants", grants=f"{APP}/**:pull")
    assert changed.location == f"{path}?done=grants"
    assert not await can_push(portal, first)
    page = await browser.get(path)
    refused = await browser.submit(page, f"{path}/grants", grants="nonsense")
    assert refused.status == 400

    second = (await browser.submit(page, f"{path}/rotate", overlap="24h")).page.all("code")[0].text
    assert second != first
    again = await browser.submit(page, f"{path}/rotate", overlap="24h")
    assert again.status == 409
    assert (await browser.submit(again, f"{path}/rotate")).page.all("code")[0].text != second
    assert (await browser.submit(page, f"{path}/rotate", overlap="soon")).status == 400

    disabled = await browser.get((await browser.submit(page, f"{path}/disable")).location)
    assert "disabled" in disabled.page.text
    enabled = await browser.get((await browser.submit(disabled, f"{path}/enable")).location)
    assert not enabled.has_form(f"{path}/revoke")
    asked = await browser.get(f"{path}/revoke")
    assert "for good" in asked.page.text
    revoked = await browser.get((await browser.submit(asked, f"{path}/revoke")).location)
    assert "revoked" in revoked.page.text
    assert path not in {one.attributes["href"] for one in (await browser.get(ACCOUNTS)).page.all("a")}


async def test_what_is_wrong_is_said(portal: PortalServer) -> None:
    """What was typed stays."""
    browser = await portal.browser().sign_in("owner@acme.test")
    page = await browser.get(ACCOUNTS)
    for typed, status in (
        ({"name": "CI build", "grants": f"{APP}/**:pull"}, 400),
        ({"name": "ci", "grants": "nowhere/**:pull"}, 404),
        ({"name": "ci", "grants": f"{APP}/**:all"}, 400),
        ({"name": "machine", "grants": f"{APP}/**:pull"}, 409),
    ):
        reply = await browser.submit(page, ACCOUNTS, **typed)
        assert reply.status == status, reply.page.text
        assert {name: reply.form(ACCOUNTS).fields[name] for name in typed} == typed


@pytest.mark.parametrize("name", ["developer", "viewer", "limited", "stranger"])
async def test_others_change_none(portal: PortalServer, name: str) -> None:
    """Members of the whole team see them; only owners have buttons."""
    path = await path_of(await portal.browser().sign_in("owner@acme.test"), "machine")
    browser = await portal.browser().sign_in(f"{name}@acme.test")
    shown = await browser.get(path)
    assert shown.status == {"limited": 403, "stranger": 404}.get(name, 200)
    token = (await browser.get("/portal/account")).form("/portal/sign-out").fields["form_token"]
    fields = {"form_token": token, "grants": f"{APP}/**:pull", "overlap": "0", "name": "x"}
    assert (await browser.get(f"{path}/revoke")).status == (404 if name == "stranger" else 403)
    for what in ("grants", "rotate", "disable", "enable", "revoke"):
        assert not shown.has_form(f"{path}/{what}")
        assert (await browser.post(f"{path}/{what}", fields)).status == (404 if name == "stranger" else 403)
