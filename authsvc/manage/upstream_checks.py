"""What asks external registries for the use cases: the rules on addresses, and the test of a link."""

from collections.abc import Sequence
from typing import Protocol

from authsvc.redaction import Secret
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.probe import ProbeStep


class UpstreamChecks(Protocol):
    """Asks external registries, and nothing but them."""

    async def vet_host(self, origin: Origin, team: str) -> None:
        """Accept where an upstream may be; a name that cannot be resolved now is accepted.

        Raises:
            InputRefused: it leads where no upstream may be.
        """
        ...

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Return what each step of a test finds; those behind the first that failed are not tried.

        Args:
            link: the link.
            secret: its credential, or None.
            repository: as the upstream names it, with ``:TAG`` if wanted; None for one that the link names.
        """
        ...
