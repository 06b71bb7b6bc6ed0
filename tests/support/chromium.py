"""Debian's Chromium, and everything that a page of ours must not make it complain of."""

import shutil
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

from attrs import define, field, frozen
from axe_playwright_python.async_playwright import Axe  # type: ignore[import-untyped]
from playwright.async_api import Browser, BrowserContext, ConsoleMessage, FilePayload, Page, Request, async_playwright

ARGUMENTS = (
    "--no-sandbox",  # the tests may run as root
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-default-apps",
    "--disable-dev-shm-usage",
    "--disable-sync",
    "--no-default-browser-check",
    "--no-first-run",
)

WIDE, NARROW = 1280, 360
"""Widths in pixels: a desk, and the narrowest telephone."""

HEIGHT = 800

EVERYTHING = {"resultTypes": ["violations"]}

COLOURS = {**EVERYTHING, "runOnly": {"type": "rule", "values": ["color-contrast", "link-in-text-block"]}}
"""What axe looks for in a page that it has seen in other colours: nothing else depends on them."""

EXPECTED = "Failed to load resource: the server responded with a status of 4"
"""What Chromium says of a page that answers with an error, which some are meant to."""


@asynccontextmanager
async def chromium() -> AsyncIterator[Browser]:
    """Yield a running browser."""
    path = shutil.which("chromium")
    assert path is not None, "Chromium is not installed; `make test-system` installs it"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(ARGUMENTS))
        try:
            yield browser
        finally:
            await browser.close()


@define(slots=False)  # Playwright notes on it which of its methods are called
class Visitor:
    """Somebody with a browser of their own, who notes what goes wrong in it.

    Attributes:
        context: cookies and settings.
        page: the one tab.
        origin: scheme, host and port of the only server that may be asked.
        complaints: what went wrong: errors in the console, violations of the policy (CSP) among them, and requests to
            other hosts.
    """

    context: BrowserContext
    page: Page
    origin: str
    complaints: list[str] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        """Listen."""
        self.page.on("console", self._on_console)
        self.page.on("pageerror", lambda error: self.complaints.append(f"{self.page.url}: {error}"))
        self.context.on("request", self._on_request)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"} and not message.text.startswith(EXPECTED):
            self.complaints.append(f"{self.page.url}: {message.text}")

    def _on_request(self, request: Request) -> None:
        if not request.url.startswith(f"{self.origin}/"):
            self.complaints.append(f"{self.page.url} asked for {request.url}")

    async def open(self, path: str) -> Page:
        """Open a page of the server."""
        await self.page.goto(f"{self.origin}{path}")
        return self.page

    async def sign_in(self, email: str, password: str) -> Page:
        """Sign in as a person does."""
        page = await self.open("/portal/sign-in")
        await page.fill("#email", email)
        await page.fill("#password", password)
        await page.click("main form button")
        await page.wait_for_url(f"{self.origin}/portal/images")
        return page

    async def send(
        self,
        action: str,
        fields: dict[str, str],
        button: Sequence[str] | None = None,
        file: tuple[str, str] | None = None,
    ) -> Page:
        """Fill in a form of the page that is open and send it; wait for the answer."""
        form = self.page.locator(f'form[action="{action}"]')
        for name, value in fields.items():
            control = form.locator(f'[name="{name}"]')
            if await control.evaluate("one => one.tagName") == "SELECT":
                await control.select_option(value)
            else:
                await control.fill(value)
        if file is not None:
            payload: FilePayload = {"name": file[0], "mimeType": "text/csv", "buffer": file[1].encode()}
            await form.locator('[type="file"]').set_input_files(payload)
        chosen = "button" if button is None else f'button[name="{button[0]}"][value="{button[1]}"]'
        # Also what a browser would not let a person send is sent: the answer is looked at.
        await form.evaluate("one => { one.noValidate = true; }")
        async with self.page.expect_navigation():
            await form.locator(chosen).first.click()
        return self.page


@asynccontextmanager
async def visitor(browser: Browser, origin: str, **settings: Any) -> AsyncIterator[Visitor]:
    """Yield somebody with cookies of their own."""
    context = await browser.new_context(viewport={"width": WIDE, "height": HEIGHT}, **settings)
    try:
        yield Visitor(context, await context.new_page(), origin)
    finally:
        await context.close()


@frozen
class Look:
    """How a page is looked at.

    Attributes:
        scheme: ``light`` or ``dark``.
        width: of the window.
    """

    scheme: Any
    width: int

    async def take(self, page: Page) -> None:
        """Show the page like this."""
        await page.emulate_media(color_scheme=self.scheme)
        await page.set_viewport_size({"width": self.width, "height": HEIGHT})


LOOKS = tuple(Look(scheme, width) for scheme in ("light", "dark") for width in (WIDE, NARROW))


async def flaws_of(page: Page) -> list[str]:
    """Return what is wrong with the page that is open, in every look: what axe finds, and what is too wide."""
    found = []
    for look in LOOKS:
        await look.take(page)
        width = await page.evaluate("document.documentElement.scrollWidth")
        if width > look.width:
            found.append(f"{look}: the page is {width} pixels wide")
        result = await Axe().run(page, options=EVERYTHING if look.scheme == "light" else COLOURS)
        found += [
            f"{look}: {one['id']}: {[node['html'][:150] for node in one['nodes'][:3]]}"
            for one in result.response["violations"]
        ]
    return found
