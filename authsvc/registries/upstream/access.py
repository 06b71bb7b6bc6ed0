"""Authorization at external registries: makes the header of each request from the credential of a link.

A registry asks for Bearer tokens of its token server, for Basic, or for nothing. Each token is fetched for one
repository, used for a part of its lifetime, and cached per link, version of its credential and repository: a token that
was fetched with one credential is never sent for another (CVE-2026-103868, CVE-2026-103869: pulp-container).
"""

import asyncio
import base64
import json
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any, Protocol

from attrs import define, field, frozen

from authsvc.errors import UpstreamRefused, UpstreamUnavailable
from authsvc.in_flight import InFlight
from authsvc.redaction import Secret
from authsvc.registries.upstream.answers import limited, unusual
from authsvc.registries.upstream.session import Requester, UpstreamReply, UpstreamSession
from authsvc.upstreams.challenge import BEARER, Challenge, TokenServer, choose, parse_challenges, token_server
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.providers import Provider

MAX_TOKEN_ANSWER = 64 * 1024

DEFAULT_LIFE, LONGEST_LIFE = 60.0, 3600.0
"""Lifetime in seconds of a token without ``expires_in`` (distribution's specification), and longest use of any
token."""

USED_PART = 0.8
"""Part of its lifetime for which a token is used."""

BASIC_LIFE = 60.0
"""Seconds for which an unsealed credential is cached for registries that require it with every request."""

CHALLENGE_LIFE = 600.0
"""Seconds for which a registry's challenge is cached."""

FRESH = 2.0
"""Seconds in which a token is not fetched again, even if a request with the previous one was refused."""

MAX_REMEMBERED = 4096

Unseal = Callable[[UpstreamLink], Awaitable[Secret]]
"""Returns the credential of a link."""

_TOKEN = re.compile(r"[0-9A-Za-z._~+/=-]{1,8192}", re.ASCII)
_USERNAME = re.compile(r"[^\x00-\x1f\x7f:]*")

Key = tuple[str, str, int, str]


class ProviderTokens(Protocol):
    """Exchanges the credential of a link at its provider's own interface."""

    async def basic(self, link: UpstreamLink, unseal: Unseal, *, renew: bool) -> tuple[Secret, float]:
        """Return the value of ``Authorization`` for the registry, and for how many seconds it may be used.

        Raises:
            UpstreamFailed: the provider gives none.
        """
        ...


@frozen
class _SavedHeader:
    value: Secret | None
    fetched_at: float
    until: float


@define(eq=False, repr=False)
class UpstreamAccess:
    """Returns the header for each request.

    Attributes:
        session: to external registries.
        unseal: returns the credential of a link.
        monotonic: seconds of a clock that never goes back.
        ecr: exchanges credentials of Amazon.
    """

    session: UpstreamSession = field(repr=False)
    unseal: Unseal = field(repr=False)
    monotonic: Callable[[], float] = field(repr=False)
    ecr: ProviderTokens | None = field(default=None, repr=False)
    _kept: OrderedDict[Key, _SavedHeader] = field(init=False, factory=OrderedDict, repr=False)
    _challenges: OrderedDict[Key, tuple[Challenge | None, float]] = field(init=False, factory=OrderedDict, repr=False)
    _flights: InFlight[Key, Secret | None] = field(init=False, factory=InFlight, repr=False)

    async def authorization(self, link: UpstreamLink, repository: str) -> Secret | None:
        """Return the header for ``repository``; None when it is public.

        Raises:
            UpstreamFailed: the registry or its token server gives none.
        """
        kept = self._kept.get(_key(link, repository))
        if kept is not None and self.monotonic() < kept.until:
            self._kept.move_to_end(_key(link, repository))
            return kept.value
        return await self._fetched(link, repository, None)

    def is_ready(self, link: UpstreamLink, repository: str) -> bool:
        """Whether :meth:`authorization` can return without a request."""
        kept = self._kept.get(_key(link, repository))
        return kept is not None and self.monotonic() < kept.until

    async def renewed(self, link: UpstreamLink, repository: str, header: str | None = None) -> Secret | None:
        """Return the header for one more attempt, after the registry has answered 401.

        Args:
            link: the link.
            repository: as the upstream names it.
            header: the ``WWW-Authenticate`` of that answer; None to ask for it.

        Raises:
            UpstreamFailed: the registry or its token server gives none.
        """
        kept = self._kept.get(_key(link, repository))
        if kept is not None and self.monotonic() < kept.fetched_at + FRESH:
            return kept.value
        self._kept.pop(_key(link, repository), None)
        self._challenges.pop(_key(link, ""), None)
        return await self._fetched(link, repository, header, renew=True)

    async def challenge(self, link: UpstreamLink) -> Challenge | None:
        """Return what the registry asks for; None when it asks for nothing.

        Raises:
            UpstreamFailed: it does not answer as a registry.
        """
        found = self._challenges.get(_key(link, ""))
        if found is not None and self.monotonic() < found[1]:
            return found[0]
        reply = await self.session.request(requester_of(link), link.origin, "GET", "/v2/", longest=MAX_TOKEN_ANSWER)
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise limited(link.origin, reply)
        if reply.status == HTTPStatus.OK:
            return self._remembered(link, None)
        if reply.status != HTTPStatus.UNAUTHORIZED:
            raise unusual(link.origin, "/v2/", reply)
        return self._remembered(link, self._chosen(link, reply.challenges))

    def _chosen(self, link: UpstreamLink, header: str) -> Challenge:
        challenge = choose(parse_challenges(header))
        if challenge is None:
            raise UpstreamUnavailable(
                f"{link.origin.authority} asks for a way to sign in that is neither Bearer nor Basic",
                code="upstream_answer_invalid",
            )
        return challenge

    def _remembered(self, link: UpstreamLink, challenge: Challenge | None) -> Challenge | None:
        self._challenges[_key(link, "")] = (challenge, self.monotonic() + CHALLENGE_LIFE)
        self._challenges.move_to_end(_key(link, ""))
        while len(self._challenges) > MAX_REMEMBERED:
            self._challenges.popitem(last=False)
        return challenge

    async def _fetched(
        self, link: UpstreamLink, repository: str, header: str | None, *, renew: bool = False
    ) -> Secret | None:
        """Fetch a header, once for all concurrent callers."""

        def start() -> "asyncio.Future[Secret | None]":
            return asyncio.ensure_future(self._fetch(link, repository, header, renew=renew))

        return await self._flights.ask(_key(link, repository), start)

    async def _fetch(self, link: UpstreamLink, repository: str, header: str | None, *, renew: bool) -> Secret | None:
        if link.provider is Provider.ECR and link.sealed_secret is not None:
            if self.ecr is None:
                raise UpstreamUnavailable("this installation cannot sign in to Amazon ECR")
            value, life = await self.ecr.basic(link, self.unseal, renew=renew)
            return self._keep(link, repository, value, life)
        if header:
            challenge = self._remembered(link, self._chosen(link, header))
        else:
            challenge = await self.challenge(link)
        if challenge is None:
            return self._keep(link, repository, None, CHALLENGE_LIFE)
        basic = await basic_of(link, self.unseal)
        if challenge.scheme != BEARER:
            return self._keep(link, repository, basic, BASIC_LIFE)
        token, life = await self.token(link, token_server(link, challenge), repository, basic)
        return self._keep(link, repository, Secret(f"Bearer {token.reveal()}"), life)

    async def token(
        self, link: UpstreamLink, server: TokenServer, repository: str, basic: Secret | None
    ) -> tuple[Secret, float]:
        """Return a token that pulls from ``repository``, and for how many seconds it may be used.

        Raises:
            UpstreamFailed: the server gives none.
        """
        target = server.target_for(repository)
        reply = await self.session.request(
            requester_of(link), server.origin, "GET", target, authorization=basic, longest=MAX_TOKEN_ANSWER
        )
        if reply.status == HTTPStatus.TOO_MANY_REQUESTS:
            raise limited(server.origin, reply)
        if reply.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}:
            what = "without a credential gives no token" if basic is None else "refuses the credential of this link"
            refused = UpstreamRefused(
                f"{server.origin.authority} {what} ({reply.status})", credential=basic is not None, detail=target[:300]
            )
            refused.status = reply.status
            raise refused
        if reply.status != HTTPStatus.OK:
            raise unusual(server.origin, server.target, reply)
        return _read_token(server, reply)

    def _keep(self, link: UpstreamLink, repository: str, value: Secret | None, life: float) -> Secret | None:
        now = self.monotonic()
        self._kept[_key(link, repository)] = _SavedHeader(value, now, now + life)
        self._kept.move_to_end(_key(link, repository))
        while len(self._kept) > MAX_REMEMBERED:
            self._kept.popitem(last=False)
        return value


def _key(link: UpstreamLink, repository: str) -> Key:
    """Return the cache key; another address or name also requires another credential."""
    return (f"{link.team} {link.id} {link.username}", link.origin.text, link.credential_version, repository)


def requester_of(link: UpstreamLink) -> Requester:
    """Return on whose behalf requests for ``link`` are made."""
    return Requester(link.team, link.id)


async def basic_of(link: UpstreamLink, unseal: Unseal) -> Secret | None:
    """Return the credential of a link as the value of ``Authorization``; None when it has none.

    Raises:
        UpstreamRefused: the user name cannot be sent.
    """
    if link.sealed_secret is None:
        return None
    username = link.username or ""
    if not _USERNAME.fullmatch(username):
        raise UpstreamRefused("the user name of this link has a colon or a control character", credential=True)
    secret = await unseal(link)
    text = base64.b64encode(f"{username}:{secret.reveal()}".encode()).decode("ascii")
    return Secret(f"Basic {text}")


def _read_token(server: TokenServer, reply: UpstreamReply) -> tuple[Secret, float]:
    unusable = UpstreamUnavailable(
        f"the answer of {server.origin.authority} to a request for a token cannot be used",
        code="upstream_answer_invalid",
    )
    try:
        answer: Any = json.loads(reply.content)
    except (ValueError, RecursionError) as error:
        raise unusable from error
    token = (answer.get("token") or answer.get("access_token")) if isinstance(answer, dict) else None
    if not isinstance(token, str) or not _TOKEN.fullmatch(token):
        raise unusable
    life = answer.get("expires_in")
    if isinstance(life, bool) or not isinstance(life, int | float) or not life > 0:
        life = DEFAULT_LIFE
    return Secret(token), USED_PART * float(min(life, LONGEST_LIFE))
