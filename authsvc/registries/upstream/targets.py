"""The targets from which nginx fetches blobs, and the checks of redirects of external registries.

A ``Location`` is controlled by the upstream. It is followed to another host only with TLS, to an address that is
checked again, and never with a credential. It is passed on byte for byte, because content delivery networks sign it.
"""

import re
from urllib.parse import urlsplit

from attrs import field, frozen

from authsvc.errors import InputRefused, UpstreamUnavailable
from authsvc.redaction import Secret
from authsvc.registries.upstream.resolver import UpstreamResolver, VettedAddress, vetted
from authsvc.upstreams.link import UpstreamLink
from authsvc.upstreams.origin import Origin, parse_origin

MAX_LOCATION = 8 * 1024
"""Longest address of a redirect, in characters."""

MAX_HOPS = 3
"""Most redirects for one request; of a blob a new token counts as one. nginx ends a request after ten redirects inside
itself, of which each of these takes two, and the beginning and the error at the end three."""

_LOCATION = re.compile(rf"[!-~]{{1,{MAX_LOCATION}}}", re.ASCII)


@frozen
class BlobTarget:
    """One request for a blob, to be made by nginx.

    Attributes:
        origin: of the target; its host is the name for TLS, its authority the value of ``Host``.
        address: to connect to; checked.
        uri: path and query, byte for byte.
        authorization: value of that header; None for none.
    """

    origin: Origin
    address: VettedAddress
    uri: str = field(repr=False)
    authorization: Secret | None = None

    @property
    def url(self) -> str:
        """The whole URL, as the base of a redirect."""
        return f"{self.origin.text}{self.uri}"


async def redirect_target(
    resolver: UpstreamResolver, link: UpstreamLink, location: str, base: str | None = None
) -> BlobTarget:
    """Return the target of a redirect.

    Args:
        resolver: checks addresses.
        link: to the registry that has redirected.
        location: value of that header.
        base: URL of the request that was redirected; None for one to the registry itself.

    Raises:
        UpstreamUnavailable: its target is not allowed.
    """
    origin, uri = _parsed(link, location, link.origin if base is None else _origin_of(link, base))
    address = (await resolver.addresses(origin, link.team))[0]
    if resolver.rules.is_exception(address) and not await _is_inside(resolver, link):
        raise _refused(link, location)
    return BlobTarget(origin, vetted(address, origin.port), uri)


async def _is_inside(resolver: UpstreamResolver, link: UpstreamLink) -> bool:
    """Whether the registry of a link is itself in a private network that the operator has allowed.

    A public registry has no reason to redirect into a private network.
    """
    return all(map(resolver.rules.is_exception, await resolver.addresses(link.origin, link.team)))


def _parsed(link: UpstreamLink, location: str, base: Origin) -> tuple[Origin, str]:
    if not _LOCATION.fullmatch(location) or "\\" in location:
        raise _refused(link, location)
    text = location.partition("#")[0]
    if text.startswith("/") and not text.startswith("//"):
        return base, text
    origin = _origin_of(link, text)
    if base.scheme == "https" and origin.scheme != "https":
        raise _refused(link, location)
    uri = text[len(_base(text)) :]
    return origin, uri if uri.startswith("/") else f"/{uri}"


def _origin_of(link: UpstreamLink, url: str) -> Origin:
    try:
        return parse_origin(_base(url), plain_http=link.origin.scheme == "http")
    except (InputRefused, ValueError) as error:
        raise _refused(link, url) from error


def _base(url: str) -> str:
    """Return scheme and authority of a URL as they are spelled in it."""
    parts = urlsplit(url)
    base = f"{parts.scheme}://{parts.netloc}"
    return base if url[: len(base)].lower() == base.lower() else ""


def _refused(link: UpstreamLink, location: str) -> UpstreamUnavailable:
    # Path and query are left out: they may give readers of the log access to a blob.
    try:
        parts = urlsplit(location)
        place = f"{parts.scheme}://{parts.hostname or ''}"
    except ValueError:
        place = "not a URL"
    return UpstreamUnavailable(
        f"{link.origin.authority} redirects to where no request may go", code="upstream_answer_invalid",
        detail=repr(place[:300]),
    )  # fmt: skip
