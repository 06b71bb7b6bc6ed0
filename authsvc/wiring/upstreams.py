"""What asks external registries, with the rules of this installation."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager

from attrs import frozen

from authsvc.redaction import Secret
from authsvc.registries.upstream.probe import RegistryProbe
from authsvc.registries.upstream.resolver import UpstreamResolver
from authsvc.registries.upstream.session import UpstreamSession
from authsvc.registries.upstream.tls import upstream_tls
from authsvc.settings import Settings
from authsvc.upstreams.addresses import AddressRules
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin, parse_origin
from authsvc.upstreams.probe import ProbeStep


def address_rules(settings: Settings) -> AddressRules:
    """Return where upstreams of this installation may be: not at its own address."""
    own = parse_origin(settings.public_url.text, plain_http=True)
    return AddressRules(settings.upstream_private_networks, frozenset({(own.host, own.port)}))


@frozen
class RegistryChecks:
    """Checks addresses and tests links.

    Attributes:
        session: to external registries.
        monotonic: seconds of a clock that never goes back.
    """

    session: UpstreamSession
    monotonic: Callable[[], float]

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Accept where an upstream may be.

        Raises:
            InputRefused: it leads where no upstream may be.
        """
        await self.session.resolver.vet_host(origin, team)

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Return what a test of a link finds."""
        return await RegistryProbe(self.session, self.monotonic).probe(link, secret, repository)


@asynccontextmanager
async def registry_checks(settings: Settings) -> AsyncIterator[RegistryChecks]:
    """Yield what checks addresses and tests links.

    Raises:
        SetupRefused: the file of certificates cannot be read.
    """
    monotonic = asyncio.get_running_loop().time
    resolver = UpstreamResolver(address_rules(settings), monotonic)
    async with UpstreamSession(resolver, upstream_tls(settings.upstream_ca_file), monotonic) as session:
        yield RegistryChecks(session, monotonic)


@frozen
class RegistryChecksOnDemand:
    """The same for one question of a command: most commands have none.

    Attributes:
        settings: of the installation.
    """

    settings: Settings

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Accept where an upstream may be.

        Raises:
            InputRefused: it leads where no upstream may be.
            SetupRefused: the file of certificates cannot be read.
        """
        async with registry_checks(self.settings) as checker:
            await checker.vet_host(origin, team)

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Return what a test of a link finds.

        Raises:
            SetupRefused: the file of certificates cannot be read.
        """
        async with registry_checks(self.settings) as checker:
            return await checker.probe(link, secret, repository)
