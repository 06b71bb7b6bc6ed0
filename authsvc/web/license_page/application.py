"""The application of the pages of licenses, under ``/c``: the URL is the secret, so it must not leak.

A page is never cached, and its URL never appears in logs or ``Referer``: the log has the route instead of the path,
nginx does not log these URLs, and other sites only get the origin. Invalid links get the same answer for every reason,
and are counted like all unknown machine secrets (docs/throttle.md).
"""

import asyncio
import secrets
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import nullcontext
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web
from attrs import evolve, field, frozen

from authsvc.client import Client
from authsvc.credentials.machine_secret import PAGE_KIND, MachineSecret
from authsvc.credentials.throttled_passwords import throttled
from authsvc.errors import AccountDenied, AuthsvcError, InputRefused, NotFound, PermissionDenied
from authsvc.fair_share import FairShare
from authsvc.logs import Logger
from authsvc.manage.actor import Actor
from authsvc.manage.license_by_link import LicenseByLink, OpenedPage
from authsvc.manage.operation import OPERATION_ID_LENGTH, Operation
from authsvc.public_url import PublicUrl
from authsvc.redaction import Secret
from authsvc.tenancy.license_names import file_name
from authsvc.tools_archive import tools_archive
from authsvc.web.client import CLIENT
from authsvc.web.license_page.commands import TOOLS_FILE, commands
from authsvc.web.license_page.image_check import MAX_TEXT, CheckedImage, ImageCheck
from authsvc.web.middleware import REQUEST_ID, Handler, request_facts
from authsvc.web.portal.answers import status_of
from authsvc.web.portal.form_body import URL_ENCODED, pairs, unreadable
from authsvc.web.portal.license_states import shown_state
from authsvc.web.portal.page_middleware import page_middleware
from authsvc.web.portal.rendering import Renderer
from authsvc.web.public_error import PublicError
from authsvc.web.token import BODY_DEADLINE

PREFIX = "/c"

SLOTS, PER_NETWORK, MAX_WAITING, PATIENCE = 16, 4, 16, 20.0
"""Most pages of one worker that are made at once, for one network, that wait for one network, and seconds of the
wait."""

BUSY = "too many pages are being loaded from your network; try again in a few seconds"
OTHER_SITE = "this form was not sent by this page; open the link again and repeat what you did"
UNKNOWN_LINKS = "links that do not work were opened from this network"

MAX_FORM = 3 * MAX_TEXT + 1024
"""Most bytes of a form: a byte of the text may take three in it."""

MAX_FIELDS = 10
"""Fields of a form, and parameters of a query."""

PAGE_SIZE = 50
"""Tags on one page."""

LAST_RESORT = "<!doctype html><title>This did not work</title><p>Something went wrong on our side; tell the vendor."

CountRequest = Callable[[str, str, int, float], None]


class UnknownSecrets(Protocol):
    """Counts unknown machine secrets."""

    async def count_machine(self, credential_id: str, network: str, method: str, now: datetime) -> float:
        """Count one; return for how long its worst bucket was over the limit before."""
        ...


@frozen
class PageVisit:
    """A request for the page of a license.

    Attributes:
        link: the secret in its address.
        now: the request's one reading of the clock.
        client: where it comes from.
        request_id: of the request.
        query: the first value of each parameter.
        body: reads the body.
    """

    link: Secret
    now: datetime
    client: Client
    request_id: str
    query: Mapping[str, str]
    body: Callable[[], Awaitable[bytes]]

    def operation(self) -> Operation:
        """Begin one change, made without an account."""
        operation_id = secrets.token_hex(OPERATION_ID_LENGTH // 2)
        return Operation(Actor.visitor(), self.now, operation_id, secrets.token_bytes, request_id=self.request_id)


@frozen(eq=False, repr=False)
class LicensePage:
    """Serves the pages of licenses.

    Attributes:
        licenses: finds the license of a link.
        checks: checks the images in a text.
        unknown: counts invalid links.
        public_url: of the installation.
        renderer: makes pages.
        logger: gets one line for each request.
        clock: read once per request.
        count: counts each request.
        share: limits how many pages are made at once; networks take turns.
    """

    licenses: LicenseByLink
    checks: ImageCheck
    unknown: UnknownSecrets
    public_url: PublicUrl
    renderer: Renderer
    logger: Logger
    clock: Callable[[], datetime]
    count: CountRequest = lambda _collection, _method, _status, _seconds: None
    share: FairShare = field(factory=lambda: FairShare(SLOTS, PER_NETWORK, MAX_WAITING, BUSY, patience=PATIENCE))

    def application(self) -> web.Application:
        """Return the application, to be added below ``/c``."""
        application = web.Application(
            middlewares=[page_middleware(self._error, LAST_RESORT, self._finish, self.logger)]
        )
        application.router.add_get(f"/{TOOLS_FILE}", _tools)
        application.router.add_get("/{link}", self._handler(self._page))
        application.router.add_post("/{link}/file", self._handler(self._file))
        application.router.add_post("/{link}/images", self._handler(self._check, takes_turn=False))
        application.router.add_route("*", "/{rest:.*}", _nowhere)
        return application

    def _handler(self, answer: Callable[[PageVisit], Awaitable[web.Response]], *, takes_turn: bool = True) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if request.method == "POST":
                self._require_own_form(request)
            visit = PageVisit(
                *(Secret(request.match_info["link"]), self.clock(), request[CLIENT], request[REQUEST_ID]),
                query=pairs(request.rel_url.raw_query_string, MAX_FIELDS),
                body=lambda: _body(request),
            )
            turn = self.share.slot(visit.client.network) if takes_turn else nullcontext()
            try:
                async with turn:
                    return await answer(visit)
            except NotFound as error:
                await self._count_unknown(visit, error)
                raise

        return handle

    async def _page(self, visit: PageVisit) -> web.Response:
        return await self._shown(visit, await self.licenses.open(visit.link, visit.now))

    async def _file(self, visit: PageVisit) -> web.Response:
        license_, text = await self.licenses.download(visit.link, visit.client.network, visit.operation())
        response = web.Response(text=text, content_type="application/json")
        response.headers["Content-Disposition"] = f'attachment; filename="{file_name(license_)}"'
        return response

    async def _check(self, visit: PageVisit) -> web.Response:
        """Check the images in a text, which is not stored; the link is verified before the text is read."""
        opened = await self.licenses.open(visit.link, visit.now)
        async with self.checks.slot(opened.link.id):
            text = pairs((await visit.body()).decode("ascii", "replace"), MAX_FIELDS).get("text", "")
            secret = await self.licenses.sign_in(opened)
            try:
                found = await self.checks.check(opened.link.id, text, secret, visit.client, visit.now)
            except (InputRefused, AccountDenied) as error:
                return await self._shown(visit, opened, text=text, error=error)
        return await self._shown(visit, opened, text=text, checked=found)

    async def _shown(
        self,
        visit: PageVisit,
        opened: OpenedPage,
        *,
        text: str = "",
        checked: Sequence[CheckedImage] | None = None,
        error: AuthsvcError | None = None,
    ) -> web.Response:
        after = visit.query.get("after") or None
        images = await self.licenses.images(opened, after=after, limit=PAGE_SIZE)
        host, slug = self.public_url.authority, opened.app.slug
        first = next((f"{tag.repository}:{tag.tag}" for tag in images.items if tag.tag), f"{slug}/IMAGE:TAG")
        file, keys = file_name(opened.license), f"{slug}.license-key.json"
        values = {
            "opened": opened,
            "state": _state(opened, visit.now),
            "images": images,
            "is_first": after is None,
            "address": f"{PREFIX}/{visit.link.reveal()}",
            "key_name": keys,
            "tools": commands(host, slug, file, keys, f"{host}/{first}"),
            "tools_file": f"{PREFIX}/{TOOLS_FILE}",
            "text": text,
            "checked": checked,
            "error": None if error is None else str(error),
        }
        return self._rendered("license_page", status_of(error), **values)

    def _rendered(self, template: str, status: HTTPStatus, **values: Any) -> web.Response:
        text = self.renderer.render(template, **values)
        return web.Response(text=text, status=status, content_type="text/html")

    def _require_own_form(self, request: web.Request) -> None:
        """Accept a form of our own page, or a request that is not from a browser: its sender knows the URL anyway.

        Raises:
            PermissionDenied: a page of another site has sent it.
        """
        origins, site = request.headers.getall("Origin", []), request.headers.get("Sec-Fetch-Site")
        if origins not in ([], [self.public_url.origin]) or site not in {None, "same-origin"}:
            raise PermissionDenied(OTHER_SITE)

    async def _count_unknown(self, visit: PageVisit, error: NotFound) -> None:
        """Count an invalid link, unless it is malformed.

        Raises:
            Throttled: too many came from the network.
        """
        secret = MachineSecret.parse(visit.link.reveal())
        if error.code != "license_link_void" or secret is None or secret.kind != PAGE_KIND:
            return
        over = await self.unknown.count_machine(secret.id, visit.client.network, "GET", visit.now)
        if over > 0:
            raise throttled(over, UNKNOWN_LINKS, "an unknown link to a page") from None

    def _error(self, _request: web.Request, error: PublicError) -> web.Response:
        response = self._rendered("license_page_error", error.status, error=error)
        if error.retry_after is not None:
            response.headers["Retry-After"] = str(error.retry_after)
        return response

    def _finish(
        self, request: web.Request, response: web.StreamResponse, facts: Mapping[str, Any], seconds: float
    ) -> None:
        status = response.status
        response.headers["X-Robots-Tag"] = "noindex, nofollow"
        self.count("license-pages", request.method, status, seconds)
        event = "license-page.answered" if status < HTTPStatus.BAD_REQUEST else "license-page.refused"
        self.logger.info(event, **request_facts(request, status, None), **facts)


def _state(opened: OpenedPage, now: datetime) -> Any:
    """Return the state in words; of an archived app every license is archived."""
    license_ = opened.license
    if opened.state == "archived" and license_.archived_at is None:
        license_ = evolve(license_, archived_at=opened.app.archived_at)
    return shown_state(license_, now)


async def _tools(_request: web.Request) -> web.Response:
    """Send the license holder's tools, which are public."""
    headers = {"Content-Disposition": f'attachment; filename="{TOOLS_FILE}"'}
    body = await asyncio.to_thread(_archive)
    return web.Response(body=body, content_type="application/octet-stream", headers=headers)


@lru_cache(maxsize=1)
def _archive() -> bytes:
    return tools_archive()


async def _nowhere(_request: web.Request) -> web.StreamResponse:
    """Refuse an unknown URL: a separate route, so that the log does not contain the path."""
    raise web.HTTPNotFound


async def _body(request: web.Request) -> bytes:
    """Return the body of a form.

    Raises:
        InputRefused: it is not one, or does not arrive.
        HTTPRequestEntityTooLarge: it is too long.
    """
    if request.content_type != URL_ENCODED:
        raise unreadable()
    try:
        async with asyncio.timeout(BODY_DEADLINE):
            return await request.clone(client_max_size=MAX_FORM).read()
    except TimeoutError as error:
        raise InputRefused("the form did not arrive in time", code="body_invalid", field=None) from error
