"""Interface for requests of the use cases to external registries: the rules on addresses, and the test of a link."""

from collections.abc import Sequence
from typing import Protocol

from authsvc.redaction import Secret
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.probe import ProbeStep


class UpstreamChecks(Protocol):
    """Sends requests to external registries only."""

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Check that an upstream may have this address; a name that cannot be resolved now is accepted.

        Raises:
            InputRefused: its address is in a network where upstreams are not allowed.
        """
        ...

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Return the result of each step of a test; steps after the first failed one are not tried.

        Args:
            link: the link.
            secret: its credential, or None.
            repository: as the upstream names it, optionally with ``:TAG``; None for one of the link's patterns.
        """
        ...
