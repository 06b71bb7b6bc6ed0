"""Clients of external registries, with the rules of this installation."""

import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from attrs import frozen

from authsvc.errors import Conflict
from authsvc.keys.seal_context import SealContext
from authsvc.redaction import Secret
from authsvc.redis_url import is_sentinel_url, parse_sentinel_url
from authsvc.registries.upstream.ecr import EcrTokens, ecr_origin
from authsvc.registries.upstream.probe import RegistryProbe
from authsvc.registries.upstream.resolver import UpstreamResolver
from authsvc.registries.upstream.session import UpstreamSession
from authsvc.registries.upstream.tls import upstream_tls
from authsvc.settings import Settings
from authsvc.upstreams.addresses import AddressRules
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin, parse_origin
from authsvc.upstreams.probe import ProbeStep
from authsvc.upstreams.sealed_token import SealedToken
from authsvc.wiring import clock

LISTENERS = (8080, 8081)
"""Ports of a server in ``compose.yaml``, and of ``authsvc serve`` by default."""

DEFAULT_PORTS = {"http": 80, "https": 443, "redis": 6379, "rediss": 6379}


def address_rules(settings: Settings) -> AddressRules:
    """Return the address rules for upstreams: not the address of this installation, nor its internal services."""
    own = parse_origin(settings.public_url.text, plain_http=True)
    return AddressRules(
        settings.upstream_private_networks, frozenset({(own.host, own.port)}), frozenset(_services(settings))
    )


def _services(settings: Settings) -> Iterator[tuple[str, int]]:
    """Yield the hosts and ports of internal services, as far as they are configured."""
    yield from ((socket.gethostname().lower(), port) for port in LISTENERS)
    redis = settings.redis_url.reveal()
    if is_sentinel_url(redis):
        yield from parse_sentinel_url(redis).sentinels
    for text in (redis, settings.registry_url or ""):
        parts = urlsplit(text)
        if parts.scheme in DEFAULT_PORTS and parts.hostname:
            yield parts.hostname, parts.port or DEFAULT_PORTS[parts.scheme]


class NoSavedTokens:
    """Stores no tokens: a test of a link must not succeed because of a token that was fetched before."""

    async def find(self, link: str, version: int) -> SealedToken | None:
        """Find none."""

    async def put(self, link: str, version: int, token: SealedToken) -> None:
        """Discard it."""

    async def acquire(self, link: str, holder: str) -> bool:  # noqa: ARG002  as where tokens are kept
        """Let every caller fetch one."""
        return True

    async def release(self, link: str, holder: str) -> None:
        """Do nothing."""

    async def seal(self, secret: bytes, context: SealContext) -> str:  # noqa: ARG002  the same
        """Return an empty text, since nothing is stored."""
        return ""

    async def unseal(self, sealed: str, context: SealContext) -> bytes:  # noqa: ARG002  the same
        """Refuse, since nothing was stored."""
        raise Conflict("no token is kept here", code="sealed_secret_invalid")


def upstream_session(
    settings: Settings, *, answered: Callable[[int | None], None] = lambda _status: None
) -> UpstreamSession:
    """Return a session for requests to external servers, within the address rules of this installation.

    Args:
        settings: of the installation.
        answered: is called with the status of each answer, and None for no answer.

    Raises:
        SetupRefused: the file of certificates cannot be read.
    """
    resolver = UpstreamResolver(address_rules(settings), time.monotonic)
    return UpstreamSession(resolver, _tls(settings.upstream_ca_file), time.monotonic, answered=answered)


@lru_cache
def _tls(ca_file: Path | None) -> ssl.SSLContext:
    """Return the TLS context of all sessions of a process: each one with the system's authorities takes 1 MiB."""
    return upstream_tls(ca_file)


@frozen(eq=False, repr=False)
class RegistryChecks:
    """Checks addresses and tests links.

    Attributes:
        session: to external registries.
        monotonic: seconds of a clock that never goes back.
        amazon: returns the origin that issues Amazon's tokens, by the host of the registry.
    """

    session: UpstreamSession
    monotonic: Callable[[], float]
    amazon: Callable[[str], Origin | None] = ecr_origin

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Check that an upstream may have this address.

        Raises:
            InputRefused: its address is in a network where upstreams are not allowed.
        """
        await self.session.resolver.vet_host(origin, team)

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Test a link and return the results."""
        unused = NoSavedTokens()
        ecr = EcrTokens(self.session, unused, unused, clock, lambda: "", self.amazon)
        return await RegistryProbe(self.session, self.monotonic, ecr).probe(link, secret, repository)


@asynccontextmanager
async def registry_checks(settings: Settings) -> AsyncIterator[RegistryChecks]:
    """Yield an object that checks addresses and tests links.

    Raises:
        SetupRefused: the file of certificates cannot be read.
    """
    async with upstream_session(settings) as session:
        yield RegistryChecks(session, time.monotonic)
