"""The application of the management API: routes, authentication, parsing, one log line and one count per request."""

import asyncio
import json
import secrets
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import partial
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl, quote, urlencode

from aiohttp import web
from attrs import Factory, evolve, field, frozen

from authsvc.audit.management_denial import ManagementDenial
from authsvc.errors import (
    AccountDenied,
    AuthsvcError,
    Conflict,
    CredentialsRefused,
    InputRefused,
    PermissionDenied,
    PreconditionFailed,
)
from authsvc.fair_share import FairShare
from authsvc.logs import Logger
from authsvc.manage.actor import Actor
from authsvc.manage.operation import OPERATION_ID_LENGTH, Operation
from authsvc.manage.permissions import Permission
from authsvc.manage.use_cases import UseCases
from authsvc.outcomes import REQUEST_FAILED, outcome_of_error
from authsvc.web.api.answer_etag import IF_NONE_MATCH, has_seen, tag_of_answer
from authsvc.web.api.arguments import parse_body, parse_query, render_answer
from authsvc.web.api.authentication import ApiAuthentication
from authsvc.web.api.document import ApiDocument
from authsvc.web.api.endpoint import (
    JSON,
    PREFIX,
    VERSION,
    Call,
    Endpoint,
    FileAnswer,
    ListAnswer,
    ObjectAnswer,
)
from authsvc.web.api.json_body import parse_json, read_body, require_json
from authsvc.web.api.openapi import DOCUMENT_PATH
from authsvc.web.api.problem import render_http_error, render_problem
from authsvc.web.api.request_headers import (
    IDEMPOTENCY_KEY,
    IF_MATCH,
    idempotency_key,
    if_match,
    preferred_type,
    require_unused,
)
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID, Handler, fault_facts, request_facts
from authsvc.web.public_error import PublicError, public_error
from authsvc.web.stream_sender import ABORTED, StreamAnswer, StreamSender

ACTOR = web.RequestKey("actor", Actor)
"""The caller, once it is authenticated."""

COLLECTION = web.RequestKey("collection", str)
"""The collection of the request's endpoint."""

ENDPOINT = web.RequestKey("endpoint", Endpoint)
"""The request's endpoint."""

SLOTS, PER_TEAM, MAX_WAITING = 16, 8, 64
"""Most requests that run at the same time in one worker, run for one team, and wait for one team: issuing tokens keeps
its capacity, and no team blocks another."""

REGISTRY_SLOTS, REGISTRY_PER_TEAM = 64, 32
"""The same for requests that wait for a registry or a webhook receiver: they need little CPU, and there are separate
queues for what they wait for."""

PATIENCE = 20.0
"""Most seconds that a request waits for its turn: nginx allows 30 in total."""

BUSY = "too many requests of your team are waiting; try again in a few seconds"

DRY_RUN = "dry_run"
"""Query parameter of a preview."""

ANSWERED, REFUSED = "api.answered", "api.refused"

CountRequest = Callable[[str, str, int, float], None]
"""Counts a request by collection, method and status, with its seconds."""

RecordDenied = Callable[[ManagementDenial], None]
"""Records that an account was not allowed to do what it requested."""


@frozen(eq=False, repr=False)
class ManagementApi:
    """The dependencies of the API.

    Attributes:
        use_cases: called by the endpoints.
        authentication: authenticates the caller.
        endpoints: all that it serves.
        document: the OpenAPI document.
        logger: gets one line for each request.
        clock: read once per request.
        share: limits how many requests run at the same time; teams take turns.
        registry_share: the same for requests that may wait for a registry or a webhook receiver, so that they do not
            delay others.
        count: counts each request.
        record_denied: writes a denial to the audit; neither waits nor fails.
    """

    use_cases: UseCases
    authentication: ApiAuthentication
    endpoints: tuple[Endpoint, ...]
    document: ApiDocument
    logger: Logger
    clock: Callable[[], datetime]
    share: FairShare = field(factory=lambda: FairShare(SLOTS, PER_TEAM, MAX_WAITING, BUSY, patience=PATIENCE))
    registry_share: FairShare = field(
        factory=lambda: FairShare(REGISTRY_SLOTS, REGISTRY_PER_TEAM, MAX_WAITING, BUSY, patience=PATIENCE)
    )
    count: CountRequest = lambda _collection, _method, _status, _seconds: None
    record_denied: RecordDenied = lambda _denial: None
    _streams: StreamSender = field(
        init=False, default=Factory(lambda self: StreamSender(self.share, self.logger), takes_self=True)
    )

    def application(self) -> web.Application:
        """Return the application, to be added below ``/api``."""
        application = web.Application(middlewares=[self._middleware()])
        application.router.add_get(DOCUMENT_PATH, self._document)
        for endpoint in self.endpoints:
            handler = self._handler(endpoint)
            for method in endpoint.methods:
                application.router.add_route(method, f"{VERSION}{endpoint.route}", handler)
        return application

    async def _document(self, request: web.Request) -> web.Response:
        request[COLLECTION] = "openapi"
        return web.Response(body=await self.document.read(), content_type="application/json")

    def _handler(self, endpoint: Endpoint) -> Handler:
        async def handle(request: web.Request) -> web.StreamResponse:
            request[COLLECTION], request[ENDPOINT] = endpoint.collection, endpoint
            now = self.clock()
            caller = await self.authentication.caller(request, request[CLIENT], now)
            request[ACTOR] = caller.actor
            try:
                return await self._answer(request, endpoint, caller.actor, now)
            except PermissionDenied as error:
                action = _permission(request, endpoint).rule.action
                denial = ManagementDenial(request[REQUEST_ID], now, request[CLIENT], caller.subject, action, error)
                self.record_denied(denial)
                raise

        return handle

    async def _answer(
        self, request: web.Request, endpoint: Endpoint, actor: Actor, now: datetime
    ) -> web.StreamResponse:
        actor.require(_permission(request, endpoint))
        call = await _read_call(request, endpoint, actor, now)
        try:
            async with (self.registry_share if endpoint.asks_others else self.share).slot(call.team):
                answer = await endpoint.call(self.use_cases, call)
        except Conflict as error:
            if call.operation.if_match is not None and error.code == "version_conflict":
                raise PreconditionFailed(str(error)) from error
            raise
        if isinstance(answer, StreamAnswer):
            still_allowed = partial(self._require_same, request, actor)
            return await self._streams.send(request, answer, call.team, still_allowed)
        return _rendered(request, endpoint, answer)

    async def _require_same(self, request: web.Request, actor: Actor) -> None:
        """Accept an actor whose rights have not changed since the request arrived.

        Raises:
            AuthsvcError: the token or the account has ended, or has other rights now.
        """
        caller = await self.authentication.caller(request, request[CLIENT], self.clock())
        if caller.actor != actor:
            raise PermissionDenied("what this token may do has changed since the request began")

    def _middleware(self) -> Any:
        @web.middleware
        async def middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
            seconds = asyncio.get_running_loop().time
            began = seconds()
            facts: Mapping[str, Any] = {}
            try:
                response = await handler(request)
            except web.HTTPException as error:
                response = render_http_error(error, request[REQUEST_ID])
            except Exception as error:
                if outcome_of_error(error).is_fault:
                    self.logger.error(REQUEST_FAILED, **fault_facts(request), exc_info=error)
                response, facts = render_problem(_public(request, error)), _facts(error)
            collection = request.get(COLLECTION, "other")
            self.count(collection, request.method, response.status, seconds() - began)
            if request.get(ABORTED, False):
                facts = {"aborted": True}
            self._log(request, response.status, facts)
            return response

        return middleware

    def _log(self, request: web.Request, status: int, facts: Mapping[str, Any]) -> None:
        actor = request.get(ACTOR)
        line = request_facts(request, status, None if actor is None else actor.subject)
        self.logger.info(ANSWERED if status < HTTPStatus.BAD_REQUEST else REFUSED, **line, **facts)


def _public(request: web.Request, error: Exception) -> PublicError:
    """Return an error as the client sees it: with the names that the arguments have in a request."""
    public, endpoint = public_error(error, request[REQUEST_ID]), request.get(ENDPOINT)
    if public.problems is None or endpoint is None:
        return public
    return evolve(public, problems=tuple(evolve(one, field=endpoint.argument(one.field)) for one in public.problems))


def _facts(error: Exception) -> Mapping[str, Any]:
    """Return what is logged about an error: for refused input only its code, since a value may be a secret."""
    if not isinstance(error, AuthsvcError):
        return {"code": "internal_error"}
    facts: dict[str, Any] = {"code": error.code}
    if isinstance(error, CredentialsRefused | AccountDenied | PermissionDenied):
        facts["reason"] = str(error)
    if error.detail is not None:
        facts["detail"] = error.detail
    return facts


def _permission(request: web.Request, endpoint: Endpoint) -> Permission:
    """Return the permission that the request needs.

    Its query is not parsed yet, so only an unambiguous preview counts as one.
    """
    is_preview = request.query.getall(DRY_RUN, []) == ["true"]
    return endpoint.preview if endpoint.preview is not None and is_preview else endpoint.permission


async def _read_call(request: web.Request, endpoint: Endpoint, actor: Actor, now: datetime) -> Call[Any, Any]:
    """Return the parsed request.

    Raises:
        InputRefused: part of it is not acceptable.
        HTTPUnsupportedMediaType: the body is not JSON.
        HTTPRequestEntityTooLarge: the body is too long.
    """
    query: object = parse_query(_query_pairs(request), endpoint.query)
    body = await read_body(request)
    document: dict[str, Any] = {}
    if body:
        require_json(request)
        document = parse_json(body)
    parsed: object = parse_body(document, endpoint.body)
    operation = _operation(request, endpoint, actor, now, body)
    media_type = preferred_type(request.headers, (JSON, *endpoint.streams))
    return Call(actor, now, dict(request.match_info), query, parsed, operation, media_type)


def _operation(request: web.Request, endpoint: Endpoint, actor: Actor, now: datetime, body: bytes) -> Operation:
    heeded = (
        (IDEMPOTENCY_KEY, endpoint.is_keyed),
        (IF_MATCH, endpoint.if_match),
        (IF_NONE_MATCH, not endpoint.changes),
    )
    for name, is_heeded in heeded:
        if not is_heeded:
            require_unused(request.headers, name)
    key = idempotency_key(request.headers)
    if key is None:
        operation = Operation(actor, now, secrets.token_hex(OPERATION_ID_LENGTH // 2), secrets.token_bytes)
    else:
        whole = f"{request.method} {request.raw_path}\n".encode() + body
        operation = Operation.keyed(actor, now, key, whole, secrets.token_bytes)
    return evolve(operation, if_match=if_match(request.headers), request_id=request[REQUEST_ID])


def _query_pairs(request: web.Request) -> Iterable[tuple[str, str]]:
    """Return the query parameters.

    Raises:
        InputRefused: they are not UTF-8, or too many.
    """
    try:
        return parse_qsl(request.rel_url.raw_query_string, keep_blank_values=True, errors="strict", max_num_fields=100)
    except ValueError as error:
        raise InputRefused(
            "the query cannot be read: it is not UTF-8, or has too many parameters", code="encoding_invalid", field=None
        ) from error


def _rendered(request: web.Request, endpoint: Endpoint, answer: ObjectAnswer | ListAnswer | FileAnswer) -> web.Response:
    response: web.Response
    match answer:
        case FileAnswer(text, name, media_type):
            response = web.Response(text=text, content_type=media_type)
            response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
        case ListAnswer(items, following):
            response = web.json_response({"items": [render_answer(item) for item in items], "next": following})
            if following is not None and not endpoint.changes:
                response.headers["Link"] = f'<{_next_page(request, following)}>; rel="next"'
        case ObjectAnswer(body, tag, location):
            response = _object(request, endpoint, body, tag)
            if location is not None:
                response.headers["Location"] = f"{PREFIX}{VERSION}{location}"
    return response


def _object(request: web.Request, endpoint: Endpoint, body: object, record_tag: str | None) -> web.Response:
    if body is None:
        return web.Response(status=HTTPStatus.NO_CONTENT)
    text = json.dumps(render_answer(body))
    if record_tag is None:
        return web.Response(text=text, status=endpoint.status, content_type=JSON)
    tag = tag_of_answer(record_tag, text)
    if not endpoint.changes and has_seen(request.headers, tag):
        return web.Response(status=HTTPStatus.NOT_MODIFIED, headers={"ETag": tag})
    return web.Response(text=text, status=endpoint.status, content_type=JSON, headers={"ETag": tag})


def _next_page(request: web.Request, cursor: str) -> str:
    """Return the address of the next page (RFC 8288), relative to the server."""
    kept = [(name, value) for name, value in _query_pairs(request) if name != "after"]
    path = quote(request.rel_url.raw_path, safe="/%:@!$&'()*+,;=~")
    return f"{path}?{urlencode([*kept, ('after', cursor)])}"
