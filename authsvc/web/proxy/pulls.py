"""A pull of a linked image, step by step: finds the link, the manifest, and the targets of its blobs.

Every step is decided again from the token and the link. nginx reports its step with headers that clients cannot set;
they only affect what the token grants anyway.
"""

import re
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from datetime import datetime
from http import HTTPStatus
from typing import Protocol

from aiohttp import web
from attrs import define, field

from authsvc.audit.upstream_pull import UpstreamImage, UpstreamPull
from authsvc.errors import (
    AuthsvcError,
    Overloaded,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamNotFound,
    UpstreamRefused,
    UpstreamUnavailable,
)
from authsvc.logs import Logger
from authsvc.policy import RepositoryLocation
from authsvc.registries.upstream.client import OCI_INDEX, UpstreamClient
from authsvc.registries.upstream.targets import MAX_HOPS, BlobTarget
from authsvc.spec.pull_path import PullKind, PullPath
from authsvc.spec.reference import is_digest
from authsvc.spec.registry_error import NAME_UNKNOWN, TOOMANYREQUESTS
from authsvc.upstreams.link import UpstreamLink, exposes, upstream_repository
from authsvc.upstreams.tag_policy import STALE_WARNING
from authsvc.web.client import CLIENT
from authsvc.web.middleware import REQUEST_ID
from authsvc.web.proxy import accel
from authsvc.web.proxy.activity import PullActivity
from authsvc.web.proxy.answers import API_VERSION, refuse, upstream_error
from authsvc.web.proxy.counts import PullCounts
from authsvc.web.proxy.link_shares import LinkShares, SharedQuestions
from authsvc.web.proxy.listing import list_page
from authsvc.web.proxy.missing import MissingNames
from authsvc.web.proxy.pull import (
    DIGEST,
    HOP,
    LIMITED,
    LOCATION,
    METHOD,
    ORIGIN,
    RETRY_AFTER,
    STATUS,
    STEP,
    Pull,
    PullStep,
)
from authsvc.web.proxy.tag_lists import TagLists
from authsvc.web.proxy.tags import TagResolver

REDIRECTS = frozenset({301, 302, 303, 307, 308})

NO_ANSWER = frozenset({HTTPStatus.BAD_GATEWAY, HTTPStatus.GATEWAY_TIMEOUT})

LATER = 5
"""Seconds after which a client should retry when there are too many transfers."""

_NUMBER = re.compile(r"[0-9]{1,6}", re.ASCII)


class LinkFinder(Protocol):
    """Finds links to registries."""

    async def find(self, app: str, name: str) -> UpstreamLink | None:
        """Return the link of an app under this name."""
        ...


class Health(Protocol):
    """Records the health of links."""

    async def note_good(self, link: UpstreamLink, now: datetime) -> None:
        """Note that the registry gave what was asked."""
        ...

    async def note_error(self, link: UpstreamLink, now: datetime, code: str, sentence: str) -> None:
        """Note that a request failed."""
        ...


@define(eq=False, repr=False)
class Pulls:
    """Answers requests whose token opens the repository.

    Attributes:
        links: finds links to registries.
        client: sends requests to them.
        tags: resolves tags.
        lists: lists tags.
        shares: gives turns for requests.
        activity: counts pulls.
        health: records the health of links.
        counts: counts results of requests.
        record: records failed pulls for the audit; neither waits nor fails.
        logger: of this process.
        clock: returns the time.
    """

    links: LinkFinder
    client: UpstreamClient = field(repr=False)
    tags: TagResolver = field(repr=False)
    lists: TagLists = field(repr=False)
    shares: LinkShares = field(repr=False)
    activity: PullActivity = field(repr=False)
    health: Health = field(repr=False)
    counts: PullCounts = field(repr=False)
    record: Callable[[UpstreamPull], None] = field(repr=False)
    logger: Logger = field(repr=False)
    clock: Callable[[], datetime] = field(repr=False)
    _missing: MissingNames = field(init=False, repr=False)
    _headers: SharedQuestions[tuple[str, int, str], bool] = field(init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        """Start with nothing known to be missing, and nothing asked."""
        self._missing = MissingNames(self.clock)
        self._headers = SharedQuestions(self.shares)

    async def answer(
        self, request: web.Request, path: PullPath, location: RepositoryLocation, subject: str
    ) -> web.Response:
        """Return the answer; every error of a linked registry is one in the words of a registry."""
        request_id = request[REQUEST_ID]
        link = await self.links.find(location.app, location.upstream or "")
        if link is None:
            name = location.upstream or ""
            image = UpstreamImage(None, location.app, name, str(path.repository), path.reference)
            sentence = f"the app {location.app} has no linked registry {name}"
            self._audit(request, subject, image, UpstreamNotFound(sentence))
            return refuse(HTTPStatus.NOT_FOUND, NAME_UNKNOWN, sentence, request_id)
        repository = upstream_repository(link, location.rest)
        pull = Pull(request, path, link, repository, subject)
        if not exposes(link, repository):
            sentence = f"the linked registry {link.name} of the app {link.app} does not offer {repository}"
            self._audit(request, subject, pull.upstream_image, UpstreamNotFound(sentence))
            return refuse(HTTPStatus.NOT_FOUND, NAME_UNKNOWN, sentence, request_id)
        self.counts.asked(path.kind, pull.said(STEP))
        try:
            self._missing.check(link, repository, path.kind, path.reference)
            return await self._answer(pull)
        except Overloaded as error:
            self.counts.failed(error.code)
            self._audit(request, subject, pull.upstream_image, error)
            return refuse(
                HTTPStatus.TOO_MANY_REQUESTS, TOOMANYREQUESTS, str(error), request_id, {"Retry-After": str(LATER)}
            )
        except UpstreamFailed as error:
            if isinstance(error, UpstreamNotFound):
                self._missing.note(link, repository, path.kind, path.reference, str(error))
            await self._failed(pull, error)
            return upstream_error(error, path.kind, request_id)

    async def _answer(self, pull: Pull) -> web.Response:
        match pull.path.kind:
            case PullKind.MANIFEST:
                return await self._manifest(pull)
            case PullKind.BLOB:
                return await self._blob(pull)
            case PullKind.TAGS:
                names = await self.lists.names(pull.link, pull.repository, pull.subject)
                return list_page(str(pull.path.repository), names, pull.request.query)
            case PullKind.REFERRERS:
                wanted = pull.request.query.get("artifactType")
                async with self._turn(pull):
                    index = await self.client.referrers(pull.link, pull.repository, pull.path.reference, wanted)
                return web.Response(body=index, content_type=OCI_INDEX, headers=API_VERSION)

    async def _manifest(self, pull: Pull) -> web.Response:
        link, repository = pull.link, pull.repository
        if pull.said(STEP) == PullStep.MANIFEST and is_digest(pull.said(DIGEST)):
            async with self._turn(pull):
                found = await self.client.get_manifest(link, repository, pull.said(DIGEST))
            await self.health.note_good(link, self.clock())
            await self.activity.fetched(pull, found)
            headers = {**API_VERSION, "Docker-Content-Digest": found.digest, "ETag": f'"{found.digest}"'}
            return web.Response(body=found.content, headers={**headers, "Content-Type": found.media_type})
        if pull.path.digest is not None:
            await self.activity.asked_for_manifest(pull, pull.path.digest)
            return accel.send_to_manifest(link, repository, pull.path.digest, None)
        resolved = await self.tags.resolve(link, repository, pull.path.reference, pull.subject)
        stale = resolved.because is not None
        if resolved.because is not None:
            self.counts.stale()
            self._log(pull, "proxy.stale", detail=resolved.digest)
            self._audit(pull.request, pull.subject, pull.upstream_image, resolved.because, resolved.digest)
        await self.activity.asked_for_manifest(pull, resolved.digest, stale=stale)
        return accel.send_to_manifest(link, repository, resolved.digest, STALE_WARNING if stale else None)

    async def _blob(self, pull: Pull) -> web.Response:
        link, repository, digest = pull.link, pull.repository, pull.path.reference
        hop = 0
        match pull.said(STEP):
            case PullStep.TARGET:
                await self.activity.missed_blob(pull)
                await self._open(pull)
                target = await self.client.blob_target(link, repository, digest)
            case PullStep.ANSWER:
                if pull.said(LIMITED) == "REJECTED":
                    raise Overloaded("too many images of linked registries are being pulled; try again in a moment")
                hop = _number(pull.said(HOP)) + 1
                target = await self._after_answer(pull, hop)
            case _:
                await self.activity.asked_for_blob(pull)
                return accel.send_to_cache(link, repository, digest, pull.subject)
        head = pull.said(METHOD) == "HEAD"
        return accel.send_to_registry(link, repository, digest, target, head=head, hop=hop)

    async def _after_answer(self, pull: Pull, hop: int) -> BlobTarget:
        """Return the next step after a linked registry has not delivered a blob; raises UpstreamFailed without one."""
        status = _number(pull.said(STATUS).split()[-1]) if pull.said(STATUS) else 0
        # nginx itself uses 502 and 504 when it gets no answer.
        answered = status if status and status not in NO_ANSWER else None
        self.counts.answered(answered)
        try:
            return await self._next(pull, hop, status)
        except UpstreamFailed as error:
            error.status = error.status or answered
            raise

    async def _next(self, pull: Pull, hop: int, status: int) -> BlobTarget:
        link, place = pull.link, pull.said(ORIGIN) or pull.link.origin.text
        if status in REDIRECTS and hop <= MAX_HOPS:
            return await self.client.redirect_target(link, pull.said(LOCATION), f"{place}/")
        host = place.partition("://")[2]
        match status:
            case HTTPStatus.UNAUTHORIZED if hop == 1:
                async with self._turn(pull):
                    await self.client.access.renewed(link, pull.repository)
                    return await self.client.blob_target(link, pull.repository, pull.path.reference)
            case HTTPStatus.UNAUTHORIZED | HTTPStatus.FORBIDDEN:
                raise UpstreamRefused(f"{host} refuses access to {pull.repository} ({status})", credential=False)
            case HTTPStatus.NOT_FOUND:
                raise UpstreamNotFound(f"{host} does not have this blob in the repository {pull.repository}")
            case HTTPStatus.TOO_MANY_REQUESTS:
                pause = _number(pull.said(RETRY_AFTER)) or 60
                raise UpstreamLimited(f"{host} takes no more requests for now", float(min(pause, 3600)))
            case _ if status in NO_ANSWER:
                raise UpstreamUnavailable(f"{host} cannot be reached, or its certificate is not accepted")
            case _ if status in REDIRECTS:
                raise UpstreamUnavailable(f"{host} redirects again and again")
            case _:
                raise UpstreamUnavailable(f"{host} answers {status} when it is asked for a blob")

    async def _open(self, pull: Pull) -> None:
        """Prepare the authorization header for the repository, with one turn for all concurrent pulls."""
        link, repository, access = pull.link, pull.repository, self.client.access

        async def known() -> bool | None:
            return access.is_ready(link, repository) or None

        async def ask() -> bool:
            await access.authorization(link, repository)
            return True

        if not access.is_ready(link, repository):
            key = (link.id, link.credential_version, repository)
            await self._headers.ask(link.id, pull.subject, key, known, ask)

    def _turn(self, pull: Pull) -> AbstractAsyncContextManager[None]:
        """Return the turn to hold during requests to the linked registry, or its token server, for this subject."""
        return self.shares.take(pull.link.id, pull.subject)

    async def _failed(self, pull: Pull, error: UpstreamFailed) -> None:
        self.counts.failed(error.code)
        self._log(pull, "proxy.failed", code=error.code, reason=str(error), detail=error.detail)
        if pull.path.kind is not PullKind.REFERRERS:  # clients request them for every image, and most have none
            self._audit(pull.request, pull.subject, pull.upstream_image, error)
        if not isinstance(error, UpstreamNotFound):
            await self.health.note_error(pull.link, self.clock(), error.code, str(error))

    def _audit(
        self, request: web.Request, subject: str, image: UpstreamImage, error: AuthsvcError, stale: str | None = None
    ) -> None:
        self.record(UpstreamPull(request[REQUEST_ID], self.clock(), request[CLIENT], subject, image, error, stale))

    def _log(self, pull: Pull, event: str, **facts: str | None) -> None:
        self.logger.info(
            event,
            request_id=pull.request[REQUEST_ID],
            repository=str(pull.path.repository),
            reference=pull.path.reference,
            link=pull.link.id,
            **facts,
        )


def _number(text: str) -> int:
    return int(text) if _NUMBER.fullmatch(text) else 0
