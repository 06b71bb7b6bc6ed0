"""Links to stubs of external registries, and the client that asks them as the server does."""

import ipaddress
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import psutil
from attrs import define, evolve, field

from authsvc.redaction import Secret
from authsvc.registries.upstream.access import UpstreamAccess
from authsvc.registries.upstream.client import UpstreamClient
from authsvc.registries.upstream.resolver import UpstreamResolver
from authsvc.registries.upstream.session import Requester, UpstreamSession
from authsvc.registries.upstream.tls import upstream_tls
from authsvc.upstreams.addresses import AddressRules
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin, parse_origin
from authsvc.upstreams.providers import Provider
from tests.support.builders import NOW
from tests.support.upstream_stub import StubUpstream
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import becomes

LOOPBACK = AddressRules((ipaddress.ip_network("127.0.0.0/8"),))
"""The rules of an operator who lets upstreams be on this machine."""

REQUESTER = Requester("acme", "up-1")


@define
class Names:
    """Stands in for the system's resolver.

    Attributes:
        addresses: by name, one answer after the other; the last one for ever.
        asked: the names, in order.
    """

    addresses: dict[str, list[list[str]]] = field(factory=dict)
    asked: list[str] = field(factory=list)

    def __call__(self, name: str) -> list[str]:
        """Return the next answer."""
        self.asked.append(name)
        if name == "localhost":
            return ["127.0.0.1"]
        answers = self.addresses.get(name)
        if not answers:
            raise OSError("no such name")
        return answers.pop(0) if len(answers) > 1 else answers[0]


@define
class Clock:
    """A clock that a test moves."""

    seconds: float = 1000.0

    def __call__(self) -> float:
        """Return the present."""
        return self.seconds


@asynccontextmanager
async def upstream_session(
    authority: UpstreamAuthority,
    *,
    names: Names | None = None,
    rules: AddressRules = LOOPBACK,
    clock: Clock | None = None,
    deadline: float = 30.0,
    answered: Callable[[int | None], None] = lambda _: None,
) -> AsyncIterator[UpstreamSession]:
    """Yield a session that trusts ``authority``."""
    at = clock or Clock()
    resolver = UpstreamResolver(rules, at, names or Names())
    async with UpstreamSession(resolver, upstream_tls(authority.file), at, deadline, answered) as session:
        yield session


async def without_connections(stub: StubUpstream) -> None:
    """Return when no connection of ours leads to ``stub``: TLS of a request that was given up ends a little later."""

    def ended() -> bool:
        return all(stub.port not in one.raddr for one in psutil.Process().net_connections("tcp"))

    await becomes(ended, "the end of all connections")


def origin_of(stub: StubUpstream, host: str = "localhost") -> Origin:
    """Return where a stub is, by another name of this machine."""
    return evolve(parse_origin(stub.url, plain_http=True), host=host)


def make_link(origin: Origin, **other: Any) -> UpstreamLink:
    """Return a link of the team ``acme`` that shows everything of ``origin``, without a credential."""
    link = UpstreamLink(
        id="up-1",
        team="acme",
        app="shop",
        name="stub",
        provider=Provider.OTHER,
        origin=origin,
        token_hosts=(),
        repositories=("**",),
        username=None,
        sealed_secret=None,
        credential_version=1,
        purge_count=0,
        created_at=NOW,
        created_by=None,
        changed_at=NOW,
    )
    return evolve(link, **other)


@define
class Credentials:
    """Opens the credentials of links, and counts how often.

    Attributes:
        secrets: by id and version of the link.
        opened: which, in order.
    """

    secrets: dict[tuple[str, int], str] = field(factory=dict)
    opened: list[tuple[str, int]] = field(factory=list)

    async def __call__(self, link: UpstreamLink) -> Secret:
        """Return the credential of ``link``."""
        self.opened.append((link.id, link.credential_version))
        return Secret(self.secrets[link.id, link.credential_version])


@asynccontextmanager
async def upstream_client(
    authority: UpstreamAuthority,
    *,
    secrets: dict[tuple[str, int], str] | None = None,
    names: Names | None = None,
    rules: AddressRules = LOOPBACK,
    clock: Clock | None = None,
    deadline: float = 30.0,
    answered: Callable[[int | None], None] = lambda _: None,
) -> AsyncIterator[UpstreamClient]:
    """Yield a client that trusts ``authority`` and knows the credentials of links."""
    at = clock or Clock()
    async with upstream_session(
        authority, names=names, rules=rules, clock=at, deadline=deadline, answered=answered
    ) as session:
        yield UpstreamClient(session, UpstreamAccess(session, Credentials(secrets or {}), at))
