"""The application of the portal: checks sessions, accepts forms of its own pages only, and renders error pages."""

import re
import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, nullcontext
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

from aiohttp import web
from attrs import Factory, field, frozen

from authsvc.audit.management_denial import ManagementDenial
from authsvc.credentials.portal_sessions import SessionAuthenticator, SignedIn
from authsvc.credentials.subject import MemberSubject
from authsvc.errors import CredentialsRefused, PermissionDenied
from authsvc.fair_share import FairShare
from authsvc.logs import Logger
from authsvc.manage.actor import Actor
from authsvc.manage.permissions import Permission
from authsvc.public_url import PublicUrl
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID, Handler, request_facts
from authsvc.web.portal.answers import DownloadAnswer, PageAnswer, PortalAnswer, RedirectAnswer, Visit
from authsvc.web.portal.cookies import FORM_COOKIE, SESSION_COOKIE, cookie_of, end_session, set_form, set_session
from authsvc.web.portal.form_body import FormBody, pairs, read_form
from authsvc.web.portal.form_token import FIELD, browser_of, check_form, form_token
from authsvc.web.portal.headers import FOR_EVER, secure
from authsvc.web.portal.page_middleware import REFUSAL, page_middleware
from authsvc.web.portal.rendering import STATIC, Renderer, static_file, static_path
from authsvc.web.portal.route import PREFIX, SIGN_IN, Route
from authsvc.web.public_error import PublicError
from authsvc.web.stream_sender import ABORTED, StreamAnswer, StreamSender

SLOTS, PER_TEAM, MAX_WAITING, PATIENCE = 16, 8, 64, 20.0
"""Most pages of one worker that are made at once, of one team, that wait, and seconds of the wait; as for the API."""

ASKING, ASKING_PER_TEAM = 64, 32
"""The same for pages that wait for a registry or a receiver, so that they do not delay others."""

VISITORS, PER_NETWORK, WAITING_OF_A_NETWORK = 16, 4, 16
"""Forms of people who are not signed in that are worked on at once, of one network, and of one network that wait."""

BUSY_SIGNING_IN = "too many people are signing in from your network; try again in a few seconds"

BUSY = "too many pages of your team are being loaded; try again in a few seconds"

FORM_COOKIE_BYTES = 32

_PATH = re.compile(r"/portal/[!-~]*", re.ASCII)
"""The form of redirect targets: under the portal, in printable ASCII."""

LAST_RESORT = "<!doctype html><title>This did not work</title><p>Something went wrong on our side; tell the operator."

SIGNED_IN = web.RequestKey("signed_in", SignedIn)
"""The signed-in member, once that is known."""

TEAM_NAME = web.RequestKey("team_name", str)
"""The name of the member's team."""

FORM_SECRET = web.RequestKey("form_secret", str)
"""The cookie that the token of forms is derived from."""

NEW_FORM_SECRET = web.RequestKey("new_form_secret", bool)
"""Whether the browser must be sent that cookie."""

CountRequest = Callable[[str, str, int, float], None]
RecordDenied = Callable[[ManagementDenial], None]


@frozen(eq=False, repr=False)
class Portal:
    """The application with its dependencies.

    Attributes:
        sessions: authenticates browsers.
        routes: the pages.
        public_url: of the installation.
        renderer: makes pages.
        logger: gets one line for each request.
        clock: read once per request.
        team_name: returns the name of the team with a slug.
        record_denied: writes a denial to the audit; neither waits nor fails.
        count: counts each request.
        share: limits how many pages are made at once; teams take turns.
        asking: the same for pages that may wait for a registry or a receiver.
        visitors: the same for forms of visitors who have not signed in; networks take turns.
    """

    sessions: SessionAuthenticator
    routes: Iterable[Route]
    public_url: PublicUrl
    renderer: Renderer
    logger: Logger
    clock: Callable[[], datetime]
    team_name: Callable[[str], Awaitable[str]]
    record_denied: RecordDenied = lambda _denial: None
    count: CountRequest = lambda _collection, _method, _status, _seconds: None
    share: FairShare = field(factory=lambda: FairShare(SLOTS, PER_TEAM, MAX_WAITING, BUSY, patience=PATIENCE))
    asking: FairShare = field(factory=lambda: FairShare(ASKING, ASKING_PER_TEAM, MAX_WAITING, BUSY, patience=PATIENCE))
    visitors: FairShare = field(
        factory=lambda: FairShare(VISITORS, PER_NETWORK, WAITING_OF_A_NETWORK, BUSY_SIGNING_IN, patience=PATIENCE)
    )
    _streams: StreamSender = field(
        init=False, default=Factory(lambda self: StreamSender(self.share, self.logger, secure), takes_self=True)
    )

    def application(self) -> web.Application:
        """Return the application, to be added below ``/portal``."""
        application = web.Application(
            middlewares=[page_middleware(self._error, LAST_RESORT, self._finish, self.logger)]
        )
        for kind, media_type in STATIC.items():
            application.router.add_get(static_path(kind).removeprefix(PREFIX), _static(kind, media_type))
        for route in (*self.routes, Route("GET", "/{rest:.*}", _nowhere, public=True)):
            application.router.add_route(route.method, route.path, self._handler(route))
        return application

    def _handler(self, route: Route) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            if not self.public_url.takes_secure_cookies:
                return self._page(request, None, PageAnswer("no_tls", status=HTTPStatus.FORBIDDEN))
            now = self.clock()
            cookie = cookie_of(request, SESSION_COOKIE)
            signed_in = await self.sessions.authenticate(cookie, now)
            if signed_in is not None:
                request[SIGNED_IN] = signed_in
                request[TEAM_NAME] = await self.team_name(signed_in.member.team)
            self._remember_form_secret(request, cookie if signed_in is not None else None)
            if signed_in is None and not route.public:
                return self._redirect(RedirectAnswer(_sign_in_path(request)))  # before a long form is read
            form = await self._form(request, route) if route.method == "POST" else FormBody()
            visit = Visit(
                signed_in,
                now,
                request[CLIENT],
                request[REQUEST_ID],
                dict(request.match_info),
                pairs(request.rel_url.raw_query_string),
                form.fields,
                browser_of(request[FORM_SECRET]),
                form.file,
            )
            return await self._answer(request, route, visit)

        return handle

    async def _answer(self, request: web.Request, route: Route, visit: Visit) -> web.StreamResponse:
        try:
            if route.permission is not None:
                visit.actor.require(route.permission)
            async with self._slot(route, visit):
                answer = await route.handler(visit)
        except PermissionDenied as error:
            if route.permission is not None and visit.signed_in is not None:
                subject = MemberSubject(visit.signed_in.member)
                action = route.permission.rule.action
                self.record_denied(ManagementDenial(visit.request_id, visit.now, visit.client, subject, action, error))
            raise
        match answer:
            case RedirectAnswer():
                return self._redirect(answer)
            case DownloadAnswer(text, name, media_type):
                response = web.Response(text=text, content_type=media_type)
                response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
                return response
            case StreamAnswer():
                still_allowed = partial(self._require_same, request, visit.user)
                return await self._streams.send(request, answer, visit.user.member.team, still_allowed)
            case PageAnswer():
                if answer.refusal is not None:
                    request[REFUSAL] = answer.refusal
                return self._page(request, visit, answer)

    async def _require_same(self, request: web.Request, user: SignedIn) -> None:
        """Check that the session continues, and that the member's rights are unchanged.

        Raises:
            CredentialsRefused: the session has ended, or the member's rights have changed.
        """
        now_signed_in = await self.sessions.authenticate(cookie_of(request, SESSION_COOKIE), self.clock())
        if now_signed_in is None or Actor.of_member(now_signed_in.member) != Actor.of_member(user.member):
            raise CredentialsRefused("the session has ended since the request began")

    def _slot(self, route: Route, visit: Visit) -> AbstractAsyncContextManager[None]:
        """Return the turn of a request: that of the team, or, without a sign-in, that of the network."""
        if route.public and route.method == "GET":
            return nullcontext()
        if visit.signed_in is not None:
            return (self.asking if route.asks_others else self.share).slot(visit.signed_in.member.team)
        return self.visitors.slot(visit.client.network)

    def _remember_form_secret(self, request: web.Request, session: str | None) -> None:
        """Remember the cookie that tokens of forms are derived from: that of the session, or of the sign-in form."""
        known = session or cookie_of(request, FORM_COOKIE)
        request[NEW_FORM_SECRET] = known is None
        request[FORM_SECRET] = known or secrets.token_urlsafe(FORM_COOKIE_BYTES)

    async def _form(self, request: web.Request, route: Route) -> FormBody:
        """Return a form that one of our pages has sent.

        Raises:
            InputRefused: it cannot be read.
            PermissionDenied: it came from elsewhere.
            HTTPRequestEntityTooLarge: it is too long.
        """
        form = await read_form(request, route.file_bytes)
        known = None if request[NEW_FORM_SECRET] else request[FORM_SECRET]
        check_form(
            request.headers.getall("Origin", []),
            request.headers.get("Sec-Fetch-Site"),
            self.public_url.origin,
            known,
            form.fields.get(FIELD, ""),
        )
        return form

    def _redirect(self, answer: RedirectAnswer) -> web.Response:
        if not _PATH.fullmatch(answer.to):
            raise ValueError(f"a redirect to {answer.to[:100]!r}")
        response = web.Response(status=HTTPStatus.SEE_OTHER, headers={"Location": answer.to})
        if answer.cookie is not None:
            set_session(response, answer.cookie)
        elif answer.signs_out:
            end_session(response)
        return response

    def _page(self, request: web.Request, visit: Visit | None, answer: PageAnswer) -> web.Response:
        signed_in = request.get(SIGNED_IN)
        text = self.renderer.render(
            answer.template,
            **{"notice": None, "error": None, **answer.values},
            member=None if signed_in is None else signed_in.member,
            team_name=request.get(TEAM_NAME, "" if signed_in is None else signed_in.member.team),
            may=_may_of(signed_in),
            path=request.path,
            now=self.clock() if visit is None else visit.now,
            form_token=form_token(request.get(FORM_SECRET, "")),
            public_url=self.public_url.text,
        )
        response = web.Response(text=text, status=answer.status, content_type="text/html")
        if answer.retry_after is not None:
            response.headers["Retry-After"] = str(answer.retry_after)
        if request.get(NEW_FORM_SECRET, False):
            set_form(response, request[FORM_SECRET])
        return response

    def _error(self, request: web.Request, error: PublicError) -> web.Response:
        return self._page(
            request, None, PageAnswer("error", {"error": error}, error.status, retry_after=error.retry_after)
        )

    def _finish(
        self, request: web.Request, response: web.StreamResponse, facts: Mapping[str, Any], seconds: float
    ) -> None:
        status, signed_in = response.status, request.get(SIGNED_IN)
        self.count("portal", request.method, status, seconds)
        line = request_facts(request, status, None if signed_in is None else signed_in.member.subject)
        more = {"aborted": True} if request.get(ABORTED, False) else facts
        self.logger.info("portal.answered" if status < HTTPStatus.BAD_REQUEST else "portal.refused", **line, **more)


def _static(kind: str, media_type: str) -> Handler:
    async def handle(_request: web.Request) -> web.StreamResponse:
        headers = {"Cache-Control": FOR_EVER}
        return web.Response(body=static_file(kind), content_type=media_type, charset="utf-8", headers=headers)

    return handle


async def _nowhere(_visit: Visit) -> PortalAnswer:
    """Refuse an unknown URL: a separate route, so that the page still has the member's navigation."""
    raise web.HTTPNotFound


def _may_of(signed_in: SignedIn | None) -> Callable[[str], bool]:
    """Return a function for templates that tells whether the member has a permission, by its name."""
    actor = None if signed_in is None else Actor.of_member(signed_in.member)
    return lambda name: actor is not None and actor.may(Permission[name])


def _sign_in_path(request: web.Request) -> str:
    """Return the URL of the sign-in page, which leads back to a page that was requested with GET."""
    if request.method != "GET":
        return SIGN_IN
    return f"{SIGN_IN}?next={quote(request.rel_url.raw_path_qs, safe='/')}"
