"""The preflight endpoint, ``GET`` and ``POST /auth/preflight``: reads both forms, answers, logs."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Sequence
from datetime import datetime
from http import HTTPStatus
from typing import Any, Protocol

from aiohttp import web

from authsvc.audit.token_event import AuditedRequest
from authsvc.client import Client
from authsvc.errors import AuthsvcError, InputRefused
from authsvc.logs import Logger
from authsvc.preflight import PresentedLicense, Report, Verdict
from authsvc.spec.token_request import Presented, from_query
from authsvc.tenancy.dates import render_instant
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID
from authsvc.web.token import BODY_DEADLINE, MAX_LOGGED, AuditSink, refusal_facts

FORM = 'send {"images": ["registry/app/image:tag", ...]} as JSON'

POLL_INTERVAL = 0.25
"""Seconds between two checks whether the client is still connected."""


class ImageChecker(Protocol):
    """Answers preflights."""

    async def check(self, presented: Presented, images: Sequence[str], client: Client, now: datetime) -> Report:
        """Return the predicted result of a pull of each of ``images``."""
        ...


class PreflightEndpoint:
    """Reads both forms of the request, and writes one log event for each, whatever the outcome."""

    def __init__(
        self, preflight: ImageChecker, service: str, logger: Logger, clock: Callable[[], datetime], record: AuditSink
    ) -> None:
        """Ask ``preflight``, and ``record`` refused sign-ins in the audit; ``clock`` is read once per request."""
        self._preflight = preflight
        self._service = service
        self._logger = logger
        self._clock = clock
        self._record = record

    def routes(self) -> list[web.RouteDef]:
        """Return the routes."""
        return [web.get("/auth/preflight", self.get, allow_head=False), web.post("/auth/preflight", self.post)]

    async def get(self, request: web.Request) -> web.Response:
        """Answer for the images in the query, ``?image=A&image=B``."""
        return await self._answer(request, request.query.getall("image", []))

    async def post(self, request: web.Request) -> web.Response:
        """Answer for the images in a JSON body."""
        try:
            async with asyncio.timeout(BODY_DEADLINE):
                body = json.loads(await request.read())
        except (ValueError, TimeoutError, ConnectionError, RecursionError) as error:
            raise InputRefused(f"the body could not be read; {FORM}", code="body_invalid", field="images") from error
        images = body.get("images") if isinstance(body, dict) else None
        if not isinstance(images, list) or not all(isinstance(image, str) for image in images):
            raise InputRefused(f"the body names no images; {FORM}", code="body_invalid", field="images")
        return await self._answer(request, images)

    async def _answer(self, request: web.Request, images: Sequence[str]) -> web.Response:
        now = self._clock()
        client = request[CLIENT]
        log = self._logger.bind(
            request_id=request[REQUEST_ID],
            address=client.address[:MAX_LOGGED],
            user_agent=client.user_agent[:MAX_LOGGED],
            images=len(images),
        )
        # The token request's reader of credentials; a preflight has no scopes.
        sign_in = from_query((), request.headers.get("Authorization"))
        try:
            check = self._preflight.check(sign_in.presented, images, client, now)
            report = await _while_connected(request, check)
        except AuthsvcError as error:
            if not isinstance(error, InputRefused):
                self._record(AuditedRequest(request[REQUEST_ID], now, client, sign_in), error)
            log.info("preflight.refused", **refusal_facts(error))
            raise
        if report is None:
            log.info("preflight.abandoned")
            return web.Response(status=HTTPStatus.SERVICE_UNAVAILABLE)  # the client has disconnected
        good = sum(verdict.ok is True for verdict in report.verdicts)
        log.info("preflight.answered", subject=report.subject.id, good=good)
        return web.json_response(_to_json(report, self._service, now))


async def _while_connected(request: web.Request, work: Coroutine[Any, Any, Report]) -> Report | None:
    """Return the result of ``work``, or None when the client disconnects before; then the work is cancelled."""
    task = asyncio.ensure_future(work)
    try:
        while not task.done():
            await asyncio.wait((task,), timeout=POLL_INTERVAL)
            if request.transport is None:
                return None
        return task.result()
    finally:
        task.cancel()


def _to_json(report: Report, service: str, now: datetime) -> dict[str, Any]:
    return {
        "registry": service,
        "subject": report.subject.id,
        "license": _license(report.licenses[0], now) if len(report.licenses) == 1 else None,
        "licenses": [_license(presented, now) for presented in report.licenses],
        "warnings": [
            {"code": warned.code, "message": warned.message, "at": render_instant(warned.at)}
            for warned in report.warnings
        ],
        "images": [_image(verdict) for verdict in report.verdicts],
    }


def _license(presented: PresentedLicense, now: datetime) -> dict[str, Any]:
    license_ = presented.license
    return {
        "id": license_.id,
        "app": license_.app,
        "customer": license_.customer,
        "type": str(license_.type),
        "state": license_.state(now),
        "not_before": None if license_.not_before is None else render_instant(license_.not_before),
        "expires_at": render_instant(license_.expires_at),
        "token_ends_at": None if presented.token_ends_at is None else render_instant(presented.token_ends_at),
        "fields": license_.fields,
        "contact": license_.contact,
    }


def _image(verdict: Verdict) -> dict[str, Any]:
    return {
        "image": verdict.image,
        "ok": verdict.ok,
        "may_pull": verdict.may_pull,
        "exists": verdict.found.exists,
        "digest": verdict.found.digest,
        "size": verdict.found.size,
        "platform": verdict.found.platform,
        "reason": verdict.reason,
    }
