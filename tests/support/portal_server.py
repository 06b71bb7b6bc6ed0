"""The portal on a socket, over the installation of a test, and a browser without JavaScript."""

import json
import secrets
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import partial
from io import StringIO
from socket import create_server
from typing import Any, Self
from urllib.parse import urlencode

from aiohttp import ClientSession, DummyCookieJar
from attrs import define, field, frozen
from yarl import URL

from authsvc.audit.recorder import AuditRecorder
from authsvc.credentials.authenticator import Authenticator
from authsvc.credentials.portal_sessions import SessionAuthenticator
from authsvc.credentials.throttled_passwords import ThrottledPasswords
from authsvc.fair_share import FairShare
from authsvc.logs import make_logger
from authsvc.manage.image_deletions import RegistryDeletions
from authsvc.manage.license_use import MOST_EXAMINED
from authsvc.manage.new_passwords import PasswordHasher
from authsvc.manage.teams import name_of_team
from authsvc.manage.use_cases import UseCases
from authsvc.preflight import FoundManifest, Preflight
from authsvc.public_url import PublicUrl, parse_public_url
from authsvc.redaction import Secret
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.throttle import RedisThrottle
from authsvc.system_token import SystemTokens
from authsvc.web.client import ClientReader
from authsvc.web.license_page.application import PREFIX as PAGES_PREFIX
from authsvc.web.license_page.application import LicensePage
from authsvc.web.license_page.image_check import ImageCheck
from authsvc.web.listener import Listener, make_web_app
from authsvc.web.middleware import around
from authsvc.web.portal.application import Portal
from authsvc.web.portal.pages import portal_routes
from authsvc.web.portal.rendering import Renderer
from authsvc.web.portal.root_redirect import root_redirect
from authsvc.web.portal.route import PREFIX, Route
from authsvc.wiring.api import passkey_authenticator
from authsvc.wiring.images import NoRegistry
from authsvc.wiring.pasted_images import PastedTexts
from tests.support.api_server import AUDIT_BUDGET
from tests.support.builders import PASSWORD
from tests.support.html_page import Element, Form, forms_of, read_page
from tests.support.indexed_registry import IndexedRegistry
from tests.support.installation import Installation
from tests.support.waiting import PATIENCE

PUBLIC_URL = parse_public_url("https://registry.example.com")


MISSING_TAG = "nothing"
"""Tag that no image has."""


class AnyImage:
    """A registry that has every image, but for the one tag."""

    async def find(self, repository: str, reference: str, token: Secret) -> FoundManifest:  # noqa: ARG002  as every lookup
        """Return what is there."""
        return FoundManifest(exists=reference != MISSING_TAG, size=7_000_000)


@frozen
class PageReply:
    """An answer.

    Attributes:
        status: HTTP status.
        headers: with names in lower case.
        text: the body.
        cookies: the values of ``Set-Cookie``.
        body: as bytes.
    """

    status: int
    headers: Mapping[str, str]
    text: str
    cookies: tuple[str, ...]
    body: bytes = b""

    @property
    def page(self) -> Element:
        """The document."""
        return read_page(self.text)

    @property
    def location(self) -> str:
        """Where a redirect leads."""
        assert self.status == 303, self
        return self.headers["location"]

    def form(self, action: str) -> Form:
        """Return the form that is sent to ``action``, which the page must have once."""
        (found,) = [one for one in forms_of(self.page) if one.action == action]
        return found

    def has_form(self, action: str) -> bool:
        """Whether the page has a form that is sent to ``action``."""
        return any(one.action == action for one in forms_of(self.page))


@define
class Browser:
    """Keeps cookies and sends what a browser sends.

    Attributes:
        portal: the server.
        cookies: by name.
        headers: sent with every request.
    """

    portal: "PortalServer"
    cookies: dict[str, str] = field(factory=dict)
    headers: dict[str, str] = field(factory=lambda: {"User-Agent": "Firefox"})

    async def ask(
        self, method: str, path: str, data: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> PageReply:
        """Send one request, and follow nothing."""
        sent = {**self.headers, **(headers or {})}
        if self.cookies and "Cookie" not in sent:
            sent["Cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        reply = await self.portal.ask(method, path, data, {name: value for name, value in sent.items() if value})
        for cookie in reply.cookies:
            name, _, value = cookie.partition(";")[0].partition("=")
            assert name.startswith("__Host-") and {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(  # noqa: PT018  one thing
                cookie.split("; ")
            ), cookie
            if "Max-Age=0" in cookie:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value
        return reply

    async def get(self, path: str) -> PageReply:
        """Open a page."""
        return await self.ask("GET", path)

    async def post(self, action: str, fields: Mapping[str, str], headers: Mapping[str, str] | None = None) -> PageReply:
        """Send a form with exactly these fields."""
        sent = {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": self.portal.public_url.origin,
            "Sec-Fetch-Site": "same-origin",
            **(headers or {}),
        }
        return await self.ask("POST", action, urlencode(fields).encode(), sent)

    async def submit(self, reply: PageReply, action: str, **fields: str) -> PageReply:
        """Fill in a form of a page that is open, and send it."""
        form = reply.form(action)
        assert form.method == "post", form
        unknown = fields.keys() - form.fields.keys()
        assert not unknown, f"the form {action} has no {unknown}"
        return await self.post(action, {**form.fields, **fields})

    async def upload(self, reply: PageReply, action: str, name: str, content: bytes, **fields: str) -> PageReply:
        """Choose a file in a form of a page that is open, fill in the rest, and send it."""
        (form,) = [one for one in forms_of(reply.page) if one.action == action and "file" in one.fields]
        chosen = {**form.fields, **fields}
        del chosen["file"]
        boundary = secrets.token_hex(16)
        parts = [f'name="{field}"\r\n\r\n{value}'.encode() for field, value in chosen.items()]
        parts.append(f'name="file"; filename="{name}"\r\nContent-Type: text/csv\r\n\r\n'.encode() + content)
        start = f"--{boundary}\r\nContent-Disposition: form-data; ".encode()
        body = b"".join(start + part + b"\r\n" for part in parts) + f"--{boundary}--\r\n".encode()
        return await self.post_body(action, body, f"multipart/form-data; boundary={boundary}")

    async def post_body(self, action: str, body: bytes, content_type: str) -> PageReply:
        """Send exactly this body, as a page of ours would."""
        headers = {"Content-Type": content_type, "Origin": self.portal.public_url.origin}
        return await self.ask("POST", action, body, headers)

    async def sign_in(self, email: str, password: str = PASSWORD.reveal()) -> Self:
        """Sign in as a person does."""
        form = await self.get(f"{PREFIX}/sign-in")
        reply = await self.submit(form, f"{PREFIX}/sign-in", email=email, password=password)
        assert reply.status == 303, reply.text
        return self


@define
class PortalServer:
    """A running portal.

    Attributes:
        house: the installation behind it.
        port: where it listens.
        log: what it logs.
        session: of its clients.
        recorder: of denials.
        use_cases: what its pages call.
        public_url: what people open.
        routes: its pages.
    """

    house: Installation
    port: int
    log: StringIO
    session: ClientSession
    recorder: AuditRecorder
    use_cases: UseCases
    public_url: PublicUrl
    routes: Sequence[Route]

    def browser(self) -> Browser:
        """Return a new browser."""
        return Browser(self)

    async def ask(self, method: str, path: str, data: bytes | None, headers: Mapping[str, str]) -> PageReply:
        """Send one request, whose path is sent as it is."""
        url = URL(f"http://127.0.0.1:{self.port}{path}", encoded=True)
        async with self.session.request(method, url, data=data, headers=headers, allow_redirects=False) as answer:
            found = {name.lower(): value for name, value in answer.headers.items()}
            cookies = tuple(answer.headers.getall("Set-Cookie", []))
            body = await answer.read()
            text = "" if answer.content_type == "application/zip" else body.decode()
            return PageReply(answer.status, found, text, cookies, body)

    def logged(self, event: str) -> list[dict[str, Any]]:
        """Return the lines of an event."""
        lines = [json.loads(line) for line in self.log.getvalue().splitlines()]
        return [line for line in lines if line["event"] == event]


@asynccontextmanager
async def portal_server(
    house: Installation,
    public_url: PublicUrl = PUBLIC_URL,
    hasher: PasswordHasher | None = None,
    deletions: RegistryDeletions | None = None,
    port: int = 0,
    most_examined: int = MOST_EXAMINED,
) -> AsyncIterator[PortalServer]:
    """Serve the portal of an installation.

    Args:
        house: the installation.
        public_url: what people open.
        hasher: another way to hash new passwords.
        deletions: what images are deleted from; None for what the index of images has.
        port: where it listens; 0 for any.
        most_examined: most licenses that a question about an app looks at.
    """
    log = StringIO()
    logger = make_logger("info", log)
    throttle = RedisThrottle(house.connection)
    passwords = ThrottledPasswords(house.verifier, house.cache, throttle, b"g" * 32)
    authenticator = Authenticator(house.facts_reader, passwords, throttle, on_use=house.usage.record)
    audit = RedisAudit(house.connection, AUDIT_BUDGET)
    recorder = AuditRecorder(audit, logger, lambda: house.now, lambda: secrets.token_hex(8))
    use_cases = UseCases(
        *(house.stores, house.keys, public_url.authority, audit, NoRegistry(), deletions or IndexedRegistry()),
        sealer=house.keys,
        upstream_checks=house.checks,
        webhook_checks=house.receivers,
        password_hasher=hasher or house.verifier,
        most_examined=most_examined,
    )
    passkeys = passkey_authenticator(public_url, house.facts_reader, house.connection, house.usage.record)
    routes = portal_routes(use_cases, authenticator, passkeys, recorder.record, public_url)
    portal = Portal(
        SessionAuthenticator(house.facts_reader, house.usage.record),
        routes,
        public_url,
        Renderer(public_url.authority),
        logger,
        lambda: house.now,
        partial(name_of_team, house.stores),
        record_denied=recorder.record_denied,
        share=FairShare(16, 8, 64, "busy"),
    )

    tokens = SystemTokens(house.leaf, public_url.authority, lambda: "t1")
    preflight = Preflight(authenticator, AnyImage(), tokens, public_url.authority)
    pages = LicensePage(
        use_cases.license_by_link,
        ImageCheck(PastedTexts(public_url.authority, deadline=PATIENCE), preflight),
        throttle,
        public_url,
        Renderer(public_url.authority),
        logger,
        lambda: house.now,
        share=FairShare(16, 4, 64, "busy"),
    )

    def new_request_id() -> str:
        return f"{int(house.now.timestamp()):08x}{secrets.token_hex(4)}"

    middleware = around(logger, public_url.authority, new_request_id, ClientReader(), ())
    listener = Listener(
        make_web_app(root_redirect(), middleware, {PREFIX: portal.application(), PAGES_PREFIX: pages.application()})
    )
    with create_server(("127.0.0.1", port)) as bound:
        bound.setblocking(False)
        await listener.start(bound)
        async with ClientSession(cookie_jar=DummyCookieJar()) as session:
            listens = bound.getsockname()[1]
            yield PortalServer(house, listens, log, session, recorder, use_cases, public_url, routes)
        await listener.close()
