"""Queries of other packages to our own registry: whether it is up, and its manifests."""

from collections.abc import Callable
from datetime import datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus

from attrs import frozen

from authsvc.errors import RegistryUnavailable
from authsvc.images.manifest import NO_PLATFORM, Descriptor, Manifest, parse_manifest
from authsvc.preflight import FoundManifest
from authsvc.redaction import Secret
from authsvc.registries.reader import ACCEPT, ManifestContent, read_manifest
from authsvc.registries.session import RegistryReply, RegistrySession

PROBE_DEADLINE = 1.0
"""Deadline of a probe of the registry, in seconds."""

LOOKUP_DEADLINE = 5.0
"""Seconds in which one request about an image must be answered."""

MAX_MANIFEST = 128 * 1024
"""Longest manifest that is read for a preflight, in bytes, since a user waits. For a longer one only the size is
unknown."""

USUAL_PLATFORM = ("linux", "amd64")
"""The platform whose size is given when an image has several platforms and this one is among them."""


@frozen
class ServerProbe:
    """The result of probing another server.

    Attributes:
        state: ``up``, ``down``, or ``not watched`` when its address is not configured.
        date: its clock, in whole seconds; None when it is unknown.
    """

    state: str
    date: datetime | None = None


@frozen(eq=False, repr=False)
class OurRegistry:
    """Looks for images in our registry.

    Attributes:
        session: to the registry; None if there is none, so that nothing is known.
    """

    session: RegistrySession | None

    async def find(self, repository: str, reference: str, token: Secret) -> FoundManifest:
        """Return the manifest under a tag or digest. ``token`` must grant pulling from exactly ``repository``."""
        try:
            found = await self._manifest(repository, reference, token)
            if found is None:
                return FoundManifest(exists=False)
            manifest = _parsed(found)
            if manifest is None:
                # A manifest that is too long to be read, or malformed, exists nevertheless.
                return FoundManifest(exists=True, digest=found.digest)
            if not manifest.children:
                size = manifest.size if manifest.config is not None else None
                return FoundManifest(exists=True, digest=found.digest, size=size)
            child = _usual(manifest.children)
            of_child = await self._manifest(repository, child.digest, token)
            measured = None if of_child is None else _parsed(of_child)
            size = measured.size if measured is not None and measured.config is not None else None
            return FoundManifest(exists=True, digest=found.digest, size=size, platform="/".join(_platform(child)))
        except RegistryUnavailable:
            return FoundManifest(None)

    async def _manifest(self, repository: str, reference: str, token: Secret) -> ManifestContent | None:
        if self.session is None:
            raise RegistryUnavailable("no registry is known")
        path = f"/v2/{repository}/manifests/{reference}"
        reply = await self.session.request(
            "GET", path, token, headers={"Accept": ACCEPT}, longest=MAX_MANIFEST, deadline=LOOKUP_DEADLINE
        )
        return read_manifest(reply, path, reference)


def _parsed(found: ManifestContent) -> Manifest | None:
    return None if found.content is None else parse_manifest(found.content, found.media_type)


def _usual(children: tuple[Descriptor, ...]) -> Descriptor:
    """Return the image in an index whose size is reported; attestations (platform ``unknown``) do not count."""
    images = [child for child in children if child.platform != NO_PLATFORM] or list(children)
    return next((one for one in images if _platform(one) == USUAL_PLATFORM), images[0])


def _platform(child: Descriptor) -> tuple[str, str]:
    return ("any", "any") if child.platform is None else (child.platform.os, child.platform.architecture)


async def look_at_registry(url: str | None) -> ServerProbe:
    """Return the state of the registry at ``url``.

    It is up if it challenges an anonymous request, as required for ``GET /v2/`` by the specification.
    """
    return await _look(url, "/v2/", lambda reply: reply.status == HTTPStatus.UNAUTHORIZED)


async def look_at_nginx(url: str | None) -> ServerProbe:
    """Return the state of nginx at ``url``: it answers ``/-/`` itself, with TLS by a redirect or an error."""
    return await _look(url, "/-/", lambda _: True)


async def _look(url: str | None, path: str, is_up: Callable[[RegistryReply], bool]) -> ServerProbe:
    if url is None:
        return ServerProbe("not watched")
    reply = await _probe(url, None, path)
    if reply is None:
        return ServerProbe("down")
    return ServerProbe("up" if is_up(reply) else "down", _date(reply))


def _date(reply: RegistryReply) -> datetime | None:
    """Return the time in a reply's header ``Date`` (RFC 9110 §6.6.1), in whole seconds."""
    try:
        return parsedate_to_datetime(reply.headers.get("Date", ""))
    except (ValueError, OverflowError):  # the second one of an offset that no zone has
        return None


async def accepts(url: str, token: Secret) -> bool | None:
    """Return whether the registry at ``url`` accepts ``token``, or None when that is unknown."""
    reply = await _probe(url, token)
    verdicts = {int(HTTPStatus.OK): True, int(HTTPStatus.UNAUTHORIZED): False}
    return None if reply is None else verdicts.get(reply.status)


async def _probe(url: str, token: Secret | None, path: str = "/v2/") -> RegistryReply | None:
    try:
        async with RegistrySession(url) as session:
            return await session.request("GET", path, token, deadline=PROBE_DEADLINE)
    except RegistryUnavailable:
        return None
