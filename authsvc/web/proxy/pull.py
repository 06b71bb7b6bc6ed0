"""One request for something of a linked registry, and how far nginx has come with it."""

from enum import StrEnum

from aiohttp import web
from attrs import frozen

from authsvc.audit.upstream_pull import UpstreamImage
from authsvc.spec.pull_path import PullPath
from authsvc.upstreams.link import UpstreamLink

STEP, DIGEST, METHOD = "X-Authsvc-Step", "X-Authsvc-Digest", "X-Authsvc-Method"
STATUS, LOCATION, ORIGIN, HOP = "X-Authsvc-Status", "X-Authsvc-Location", "X-Authsvc-Origin", "X-Authsvc-Hop"
LIMITED, RETRY_AFTER = "X-Authsvc-Limited", "X-Authsvc-Retry-After"


class PullStep(StrEnum):
    """How far nginx has come when it asks."""

    FIRST = ""
    """A client has asked."""

    MANIFEST = "manifest"
    """The cache does not have the manifest."""

    TARGET = "target"
    """The cache does not have the blob."""

    ANSWER = "answer"
    """The linked registry has not given the blob but said something else."""


@frozen
class Pull:
    """One request that may be answered.

    Attributes:
        request: as it came.
        path: what it asks for.
        link: through which.
        repository: as the linked registry names it.
        subject: of the token.
    """

    request: web.Request
    path: PullPath
    link: UpstreamLink
    repository: str
    subject: str

    @property
    def upstream_image(self) -> UpstreamImage:
        """What it asks for, as the audit names it."""
        link, path = self.link, self.path
        return UpstreamImage(link.team, link.app, link.name, str(path.repository), path.reference)

    def said(self, name: str) -> str:
        """Return what nginx said."""
        return self.request.headers.get(name, "")
