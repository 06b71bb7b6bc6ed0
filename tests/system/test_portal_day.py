"""A vendor's day in the portal, in Chromium on a real stack: with JavaScript, and without."""

import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from attrs import define
from playwright.async_api import Locator, Page, expect

from tests.support.chromium import Visitor, chromium, visitor
from tests.support.oci import Image
from tests.support.skopeo import Skopeo
from tests.support.stack import Stack
from tests.support.tenants import Account, unique
from tests.support.waiting import PATIENCE

pytestmark = pytest.mark.system

PASSWORD = "five unrelated words of a novel"

CUSTOMER = "Umbrella Health <AG> & Söhne"

MILLISECONDS = 1000 * PATIENCE

expect.set_options(timeout=MILLISECONDS)


@define
class Day:
    """What the people of one vendor need.

    Attributes:
        stack: where.
        team: slug, and that of the app.
        owner: who does it.
        folder: for files.
    """

    stack: Stack
    team: str
    owner: Visitor
    folder: Path

    @property
    def email(self) -> str:
        """Address of the owner."""
        return f"owner@{self.team}.test"

    @property
    def reference(self) -> str:
        """The image that is pushed."""
        return f"{self.team}/worker:1.0.1"

    def skopeo(self, name: str) -> Skopeo:
        """Return the tool of a person or machine."""
        folder = self.folder / name
        folder.mkdir(exist_ok=True)
        return Skopeo(self.stack, folder)


@asynccontextmanager
async def beginning(stack: Stack, folder: Path, *, javascript: bool) -> AsyncIterator[Day]:
    """Yield a day of a team with one app and nobody in it."""
    team = unique("vendor")
    stack.authsvc("team", "create", team)
    stack.authsvc("app", "create", team, "--team", team)
    origin = f"http://{stack.name}"
    async with chromium() as browser, visitor(browser, origin, java_script_enabled=javascript) as owner:
        owner.page.set_default_timeout(MILLISECONDS)
        yield Day(stack, team, owner, folder)


async def press(page: Page, name: str) -> None:
    """Press a button, or follow a link, and wait for what comes."""
    found = page.get_by_role("button", name=name, exact=True).or_(page.get_by_role("link", name=name, exact=True))
    async with page.expect_navigation():
        await found.first.click()


async def until_shown(shown: Locator) -> None:
    """Load a page anew until it shows something that the server learns of by itself."""
    deadline = time.monotonic() + PATIENCE
    while not await shown.count():
        assert time.monotonic() < deadline, await shown.page.locator("main").inner_text()
        await shown.page.reload()


async def join(person: Visitor, link: str) -> None:
    """Redeem a one-time link."""
    page = await person.open(f"/portal/join/{link}")
    await page.fill("#password", PASSWORD)
    await page.fill("#again", PASSWORD)
    await press(page, "Set the password and sign in")
    await expect(page).to_have_url(re.compile("/portal/images$"))


@asynccontextmanager
async def security_key(person: Visitor) -> AsyncIterator[None]:
    """Give a person a device that unlocks itself: Chromium's virtual authenticator."""
    browser = await person.context.new_cdp_session(person.page)
    await browser.send("WebAuthn.enable")
    options = {
        "protocol": "ctap2",
        "transport": "internal",
        "hasResidentKey": True,
        "hasUserVerification": True,
        "isUserVerified": True,
        # Else the device takes up the offer of the sign-in page by itself, before anybody presses the button.
        "automaticPresenceSimulation": False,
    }
    made = await browser.send("WebAuthn.addVirtualAuthenticator", {"options": options})
    device = made["authenticatorId"]
    await browser.send("WebAuthn.setAutomaticPresenceSimulation", {"authenticatorId": device, "enabled": True})
    yield
    await browser.send("WebAuthn.removeVirtualAuthenticator", {"authenticatorId": device})


async def use_a_passkey(day: Day) -> None:
    """Register one after a confirmation with the password, sign out, and sign in with it alone."""
    async with security_key(day.owner):
        page = await day.owner.open("/portal/account/passkeys")
        await page.fill("#present", PASSWORD)
        await press(page, "Continue")
        await page.fill("#name", "Laptop")
        await press(page, "Create the passkey")
        await expect(page.get_by_role("link", name="Laptop")).to_be_visible()
        # The sign-in page offers the passkey at once, and this device takes up the offer.
        await page.get_by_role("button", name="Sign out").click()
        await expect(page).to_have_url(re.compile("/portal/images"))
        page = await day.owner.open("/portal/account/passkeys")
        await until_shown(page.locator('td[data-label="Last used"] time'))


async def first_push(day: Day, *, javascript: bool) -> None:
    """Do what the empty page says; the page shows the image, with JavaScript by itself."""
    page = await day.owner.open("/portal/images")
    await expect(page.get_by_role("heading", name="Push the first image")).to_be_visible()
    commands = await page.locator("main code").all_inner_texts()
    host = day.stack.name
    assert f"docker login {host} -u {day.email}" in commands
    assert f"docker push {host}/{day.reference}" in commands
    assert await page.get_by_role("button", name="Copy").count() == (3 if javascript else 0)
    vendor = day.skopeo("vendor")
    assert vendor.log_in(Account(day.email, PASSWORD)).code == 0
    assert vendor.push(Image(b"the product"), day.reference).code == 0
    image = page.get_by_role("link", name="1.0.1", exact=True)
    if not javascript:
        await until_shown(image)
    await expect(image).to_be_visible()
    await press(page, "1.0.1")
    await expect(page.get_by_role("heading", level=1)).to_have_text(day.reference)


async def make_license(day: Day) -> str:
    """Make a license after a look at what it would see; return its page."""
    page = await day.owner.open("/portal/customers")
    await press(page, "New license")
    await page.fill("#customer", CUSTOMER)
    await page.fill("#contact", "sales@vendor.test")
    await press(page, "What would it see?")
    await expect(page.locator("#preview")).to_contain_text(day.reference)
    await expect(page.locator("#customer")).to_have_value(CUSTOMER)
    await press(page, "Create the license")
    await expect(page.get_by_role("status")).to_contain_text("The license was made")
    await expect(page.get_by_role("heading", level=1)).to_have_text(f"License of {CUSTOMER}")
    return page.url.partition("?")[0].removeprefix(day.owner.origin)


async def download(day: Day, license_page: str) -> Account:
    """Download the license file, with which its holder signs in."""
    page = await day.owner.open(license_page)
    async with page.expect_download() as started:
        await page.get_by_role("button", name="Download the license file").click()
    file = await started.value
    path = day.folder / file.suggested_filename
    await file.save_as(path)
    return Account("license", path.read_text(encoding="utf-8"))


async def a_pull_is_seen(day: Day, license_page: str) -> None:
    """The license holder signs in with the file and pulls: Customers and Activity show it."""
    holder = day.skopeo("holder")
    assert holder.log_in(await download(day, license_page)).code == 0
    assert holder.pull(day.reference).code == 0
    page = await day.owner.open(f"/portal/customers?state=active&app={day.team}")
    await until_shown(page.locator("tbody tr").filter(has_text=CUSTOMER).filter(has=page.locator("time")))
    page = await day.owner.open(f"/portal/activity?app={day.team}")
    await until_shown(page.locator("tbody tr").filter(has_text=CUSTOMER).filter(has_text="worker:1.0.1"))
    await expect(page.get_by_role("img").first).to_be_visible()


async def the_customer_opens_a_link(day: Day, license_page: str, *, javascript: bool) -> None:
    """Without an account: the file by a form, which pulls; a pasted text is checked; a link taken back is a 404."""
    page = await day.owner.open(license_page)
    await press(page, "A page for the customer, by link")
    await press(page, "Make a link")
    (address,) = [text for text in await page.locator("code").all_inner_texts() if "/c/" in text]
    browser = day.owner.context.browser
    assert browser is not None
    async with visitor(browser, day.owner.origin, java_script_enabled=javascript) as customer:
        page = await customer.open(address.removeprefix(day.owner.origin))
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Install ")
        await expect(page.locator("tbody")).to_contain_text(f"{day.stack.name}/{day.team}/worker")
        async with page.expect_download() as started:
            await page.get_by_role("button", name="Download the license file").click()
        path = day.folder / "by-link.license.json"
        await (await started.value).save_as(path)
        holder = day.skopeo("by-link")
        assert holder.log_in(Account("license", path.read_text(encoding="utf-8"))).code == 0
        assert holder.pull(day.reference).code == 0
        lines = (f"image: {day.stack.name}/{day.reference}", f"image: {day.stack.name}/{day.team}/worker:9")
        await page.fill("#text", "services:\n" + "".join(f"  s{n}:\n    {line}\n" for n, line in enumerate(lines)))
        await press(page, "Check the images")
        await expect(page.locator("#check tbody tr").nth(0)).to_contain_text("can be pulled")
        await expect(page.locator("#check tbody tr").nth(1)).to_contain_text("cannot be pulled")
        owner = await day.owner.open(f"{license_page}/links")
        await press(owner, "Take back")
        await press(owner, "Take back")
        await page.reload()
        await expect(page.get_by_role("heading", level=1)).to_have_text("This link does not work")
        assert customer.complaints == []


async def rotate(day: Day, license_page: str) -> None:
    """A new token at once: the old file is refused, the new one works."""
    old, holder = await download(day, license_page), day.skopeo("rotated")
    page = await day.owner.open(license_page)
    await press(page, "Rotate the registry token")
    await page.fill("#overlap", "0")
    await press(page, "Rotate")
    again = page.get_by_role("button", name="Rotate all the same")
    if await again.count():
        await press(page, "Rotate all the same")
    await expect(page.get_by_role("status")).to_contain_text("new registry token")
    assert holder.log_in(old).code != 0
    assert holder.log_in(await download(day, license_page)).code == 0
    assert holder.pull(day.reference).code == 0


async def revoke(day: Day, license_page: str) -> None:
    """The next pull is refused, and the request id that the customer was shown says why."""
    holder = day.skopeo("rotated")
    page = await day.owner.open(license_page)
    await press(page, "Revoke")
    await expect(page.get_by_role("heading", level=1)).to_contain_text("Revoke the license")
    await press(page, "Revoke")
    await expect(page.get_by_role("status")).to_contain_text("its pulls are refused")
    refused = holder.pull(day.reference)
    assert refused.code != 0
    (request_id, *_) = re.findall(r"\(request ([0-9a-f]{16})\)", refused.err)
    page = await day.owner.open("/portal/activity")
    await press(page, "Why was a pull refused?")
    await page.fill("#request", request_id)
    await press(page, "Explain")
    await until_shown(page.locator("main").get_by_text(f"of {CUSTOMER} was revoked").first)


async def a_viewer_looks(day: Day, viewer: Visitor, license_page: str) -> None:
    """Invited on the Team page, they see everything and may change none of it."""
    page = await day.owner.open("/portal/team")
    await page.fill("#email", f"viewer@{day.team}.test")
    await page.select_option("#role", "viewer")
    await press(page, "Make a one-time link")
    (address,) = [text for text in await page.locator("code").all_inner_texts() if "/portal/join/" in text]
    await join(viewer, address.rpartition("/")[2])
    for path in ("/portal/images", "/portal/customers", license_page, "/portal/activity", "/portal/team"):
        page = await viewer.open(path)
        actions = [await one.get_attribute("action") for one in await page.locator('form[method="post"]').all()]
        assert actions == ["/portal/sign-out"], path
        assert await page.locator(".btn.primary, .btn.danger").count() == 0, path
    await viewer.open(f"{license_page}/revoke")
    await expect(viewer.page.get_by_role("heading", level=1)).to_have_text("This is not allowed")


@pytest.mark.parametrize("javascript", [True, False], ids=["javascript", "plain"])
async def test_a_vendors_day(stack: Stack, tmp_path: Path, javascript: bool) -> None:
    """From the invitation to a refusal that is explained, and without a complaint of the browser."""
    async with beginning(stack, tmp_path, javascript=javascript) as day:
        invited = stack.authsvc("member", "invite", day.email, "--team", day.team, "--role", "owner").out
        (link,) = re.findall(r"asv_link_\w+", invited)
        await join(day.owner, link)
        await press(day.owner.page, "Sign out")
        await day.owner.sign_in(day.email, PASSWORD)
        if javascript:
            await use_a_passkey(day)
        await first_push(day, javascript=javascript)
        license_page = await make_license(day)
        await a_pull_is_seen(day, license_page)
        await the_customer_opens_a_link(day, license_page, javascript=javascript)
        await rotate(day, license_page)
        await revoke(day, license_page)
        browser = day.owner.context.browser
        assert browser is not None
        async with visitor(browser, day.owner.origin, java_script_enabled=javascript) as viewer:
            await a_viewer_looks(day, viewer, license_page)
            assert viewer.complaints == []
        assert day.owner.complaints == []
