"""External registries that nobody connects to."""

import asyncio
from collections.abc import Sequence

from attrs import define, field

from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.probe import ProbeStep
from tests.support.waiting import already

GOOD = ProbeStep("token", ok=True, words="the credential gives a token")


@define
class UpstreamsInMemory:
    """Accepts every address but some, and finds what a test has put here.

    Attributes:
        refused: hosts that no upstream may be at.
        steps: what a test of a link finds.
        asked: link, secret and repository of each test.
        answers: whether they answer, and do not let everybody wait.
    """

    refused: set[str] = field(factory=set)
    steps: list[ProbeStep] = field(factory=lambda: [GOOD])
    asked: list[tuple[UpstreamLink, Secret | None, str | None]] = field(factory=list)
    answers: asyncio.Event = field(factory=already)

    async def vet_host(self, origin: Origin, team: str) -> None:  # noqa: ARG002  as the real one
        """Refuse what is to be refused."""
        if origin.host in self.refused:
            raise InputRefused("not there", code="upstream_address_refused", field="url")

    async def probe(self, link: UpstreamLink, secret: Secret | None, repository: str | None) -> Sequence[ProbeStep]:
        """Return what is found."""
        await self.answers.wait()
        self.asked.append((link, secret, repository))
        return list(self.steps)
