"""One request for content of a linked registry, and the step that nginx has reached."""

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
    """The step that nginx has reached when it sends a request."""

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
        link: to the registry.
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
        """The requested image, as the audit names it."""
        link, path = self.link, self.path
        return UpstreamImage(link.team, link.app, link.name, str(path.repository), path.reference)

    def said(self, name: str) -> str:
        """Return a header that nginx sent."""
        return self.request.headers.get(name, "")
