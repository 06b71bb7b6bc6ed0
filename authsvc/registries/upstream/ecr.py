"""Signs in to Amazon ECR: exchanges an access key for a token of 12 hours (GetAuthorizationToken).

The token is stored sealed in Redis for all replicas, renewed an hour before its end, and fetched by one replica at a
time. While Amazon does not answer, the stored one is used until it ends.
"""

import asyncio
import base64
import binascii
import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from typing import Any, Protocol

from attrs import field, frozen

from authsvc.errors import (
    Conflict,
    Overloaded,
    SignerUnavailable,
    StoreUnavailable,
    UpstreamFailed,
    UpstreamLimited,
    UpstreamRefused,
    UpstreamUnavailable,
)
from authsvc.keys.seal_context import SealContext
from authsvc.redaction import Secret
from authsvc.registries.upstream.access import Unseal, requester_of
from authsvc.registries.upstream.answers import DEFAULT_PAUSE, unusual
from authsvc.registries.upstream.session import UpstreamReply, UpstreamSession
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.providers import ecr_region
from authsvc.upstreams.sealed_token import SealedToken
from authsvc.upstreams.sigv4 import AwsKey, signed_headers

TARGET = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken"

TOKEN_KIND = "ecr_token"  # noqa: S105  the kind of a sealed secret
"""Kind of the sealed tokens."""

LONGEST_LIFE = timedelta(hours=12)

RENEWED_BEFORE = timedelta(hours=1)
"""How long before its end a token is renewed."""

USED_FOR = 600.0
"""Seconds for which a process uses a token without checking for a newer one."""

FRESH = timedelta(seconds=30)
"""Age up to which a token of another replica is used after one was refused."""

LOCK_PAUSE, LOCK_TRIES = 0.25, 20
"""Seconds between two checks for a token that another replica fetches, and their number."""

MAX_ANSWER = 64 * 1024

_KEY_ID = re.compile(r"[0-9A-Za-z_]{1,128}", re.ASCII)
_FAULT = re.compile(r"[A-Za-z]{1,80}", re.ASCII)
_TOKEN = re.compile(r"[0-9A-Za-z+/=]{1,7000}", re.ASCII)


class SealedTokens(Protocol):
    """Stores the tokens of all links, for all replicas. Every method raises StoreUnavailable."""

    async def find(self, link: str, version: int) -> SealedToken | None:
        """Return the token of a link and a version of its credential."""
        ...

    async def put(self, link: str, version: int, token: SealedToken) -> None:
        """Keep a token until it ends."""
        ...

    async def acquire(self, link: str, holder: str) -> bool:
        """Return whether ``holder`` may fetch a token now, for some seconds."""
        ...

    async def release(self, link: str, holder: str) -> None:
        """Let another replica fetch a token."""
        ...


class TokenSealer(Protocol):
    """Seals and unseals tokens."""

    async def seal(self, secret: bytes, context: SealContext) -> str:
        """Return ``secret`` sealed."""
        ...

    async def unseal(self, sealed: str, context: SealContext) -> bytes:
        """Return the secret in ``sealed``."""
        ...


def ecr_origin(host: str) -> Origin | None:
    """Return the origin that issues tokens for the registry at ``host``; None when it is not one of Amazon's."""
    region = ecr_region(host)
    if region is None:
        return None
    name = f"ecr-fips.{region}" if ".ecr-fips." in host else f"api.ecr.{region}"
    return Origin("https", f"{name}.amazonaws.com{'.cn' if host.endswith('.cn') else ''}", 443)


@frozen(eq=False, repr=False)
class EcrTokens:
    """Exchanges access keys for tokens.

    Attributes:
        session: to external registries.
        tokens: keeps them.
        sealer: seals them.
        clock: the current time.
        name: returns a random name, for the lock.
        origin: returns the origin that issues tokens, by the host of the registry.
    """

    session: UpstreamSession = field(repr=False)
    tokens: SealedTokens = field(repr=False)
    sealer: TokenSealer = field(repr=False)
    clock: Callable[[], datetime] = field(repr=False)
    name: Callable[[], str] = field(repr=False)
    origin: Callable[[str], Origin | None] = field(default=ecr_origin, repr=False)

    async def basic(self, link: UpstreamLink, unseal: Unseal, *, renew: bool) -> tuple[Secret, float]:
        """Return the value of ``Authorization`` for the registry, and for how many seconds it may be used.

        Raises:
            UpstreamFailed: Amazon does not return a token, and there is no valid one.
        """
        try:
            return await self._shared(link, unseal, renew=renew)
        except StoreUnavailable:  # then each replica fetches its own
            return _header(await self._exchanged(link, unseal), self.clock())

    async def _shared(self, link: UpstreamLink, unseal: Unseal, *, renew: bool) -> tuple[Secret, float]:
        found = await self._good(link, renew=renew)
        if found is not None:
            return found
        holder = self.name()
        for _ in range(LOCK_TRIES):
            if await self.tokens.acquire(link.id, holder):
                break
            await asyncio.sleep(LOCK_PAUSE)
            if found := await self._good(link, renew=renew):
                return found
        try:
            return await self._good(link, renew=renew) or await self._renewed(link, unseal, renew=renew)
        finally:
            with suppress(StoreUnavailable):  # it expires
                await self.tokens.release(link.id, holder)

    async def _renewed(self, link: UpstreamLink, unseal: Unseal, *, renew: bool) -> tuple[Secret, float]:
        try:
            token, ends_at = await self._exchanged(link, unseal)
        except UpstreamUnavailable:
            old = None if renew else await self._opened(link, await self.tokens.find(link.id, link.credential_version))
            if old is None:
                raise
            return old
        with suppress(Overloaded, SignerUnavailable, StoreUnavailable):  # then it is used only by this process
            sealed = await self.sealer.seal(token.reveal().encode("ascii"), _context(link))
            kept = SealedToken(sealed, self.clock(), ends_at)
            await self.tokens.put(link.id, link.credential_version, kept)
        return _header((token, ends_at), self.clock())

    async def _good(self, link: UpstreamLink, *, renew: bool) -> tuple[Secret, float] | None:
        """Return the stored token if it need not be renewed."""
        stored = await self.tokens.find(link.id, link.credential_version)
        now = self.clock()
        if stored is None or now >= stored.ends_at - RENEWED_BEFORE:
            return None
        if renew and now >= stored.fetched_at + FRESH:
            return None
        return await self._opened(link, stored)

    async def _opened(self, link: UpstreamLink, stored: SealedToken | None) -> tuple[Secret, float] | None:
        """Return a stored token if it is valid; None also when it can no longer be unsealed."""
        if stored is None or self.clock() >= stored.ends_at:
            return None
        try:
            token = Secret((await self.sealer.unseal(stored.sealed, _context(link))).decode("ascii"))
        except (Conflict, Overloaded, SignerUnavailable):  # a new token will be fetched
            return None
        return _header((token, stored.ends_at), self.clock())

    async def _exchanged(self, link: UpstreamLink, unseal: Unseal) -> tuple[Secret, datetime]:
        """Return a new token and its end."""
        origin, region = self.origin(link.origin.host), ecr_region(link.origin.host)
        if origin is None or region is None or not _KEY_ID.fullmatch(link.username or ""):
            raise UpstreamRefused(
                f"{link.origin.authority} is not a private registry of Amazon ECR, or the user name of this link is "
                "not an access key id",
                credential=True,
            )
        key = AwsKey(link.username or "", await unseal(link))
        now, body = self.clock(), b"{}"
        headers = {"content-type": "application/x-amz-json-1.1", "x-amz-target": TARGET}
        signed = signed_headers(key, origin.authority, region, "ecr", headers, body, now)
        reply = await self.session.request(
            requester_of(link), origin, "POST", "/", headers=signed, body=body, longest=MAX_ANSWER
        )
        if reply.status != HTTPStatus.OK:
            refused = _refusal(origin, reply)
            refused.status = reply.status
            raise refused
        return _read(origin, reply, now)


def _context(link: UpstreamLink) -> SealContext:
    return SealContext(TOKEN_KIND, link.team, link.id, link.credential_version)


def _header(token: tuple[Secret, datetime], now: datetime) -> tuple[Secret, float]:
    value, ends_at = token
    return Secret(f"Basic {value.reveal()}"), max(0.0, min(USED_FOR, (ends_at - now).total_seconds() - 60))


def _refusal(origin: Origin, reply: UpstreamReply) -> UpstreamFailed:
    """Return the error about an answer of Amazon; its kind is in the body, the status is mostly 400."""
    fault = str(_object(reply.content).get("__type", "")).rpartition("#")[2]
    if "Throttl" in fault or reply.status == HTTPStatus.TOO_MANY_REQUESTS:
        return UpstreamLimited(f"{origin.authority} takes no more requests for now", float(DEFAULT_PAUSE))
    if reply.status in {HTTPStatus.BAD_REQUEST, HTTPStatus.FORBIDDEN} and _FAULT.fullmatch(fault):
        return UpstreamRefused(f"{origin.authority} refuses the access key of this link: {fault}", credential=True)
    return unusual(origin, "GetAuthorizationToken", reply)


def _read(origin: Origin, reply: UpstreamReply, now: datetime) -> tuple[Secret, datetime]:
    unusable = UpstreamUnavailable(
        f"the answer of {origin.authority} to a request for a token cannot be used", code="upstream_answer_invalid"
    )
    listed = _object(reply.content).get("authorizationData")
    data = listed[0] if isinstance(listed, list) and listed and isinstance(listed[0], dict) else {}
    token, ends = data.get("authorizationToken"), data.get("expiresAt")
    if not isinstance(token, str) or not _TOKEN.fullmatch(token) or isinstance(ends, bool):
        raise unusable
    if not isinstance(ends, int | float) or not 0 < ends < datetime.max.replace(tzinfo=UTC).timestamp():
        raise unusable
    try:
        name, colon, _ = base64.b64decode(token, validate=True).partition(b":")
    except binascii.Error as error:
        raise unusable from error
    if not name or not colon:
        raise unusable
    return Secret(token), min(datetime.fromtimestamp(ends, UTC), now + LONGEST_LIFE)


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
