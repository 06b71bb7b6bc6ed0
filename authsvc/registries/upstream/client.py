"""Requests to linked external registries (OCI distribution specification): manifests, tags, referrers.

All answers are checked before they are passed on: a manifest against its digest, names against their grammar, the URL
of a next page against that of the request. Blobs are fetched by nginx; for them this module returns the URL and the
header.
"""

import hashlib
import re
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any
from urllib.parse import urlencode, urlsplit

from attrs import field, frozen

from authsvc.errors import UpstreamNotFound, UpstreamUnavailable
from authsvc.images.manifest import INDEXES, MANIFESTS, is_digest, json_object
from authsvc.redaction import Secret
from authsvc.registries.upstream.access import UpstreamAccess, requester_of
from authsvc.registries.upstream.answers import failure
from authsvc.registries.upstream.session import UpstreamReply, UpstreamSession
from authsvc.registries.upstream.targets import MAX_HOPS, BlobTarget, redirect_target
from authsvc.spec.reference import is_tag
from authsvc.upstreams.link import UpstreamLink, exposes
from authsvc.upstreams.origin import Origin

MAX_MANIFEST = 4 * 1024 * 1024
"""Longest manifest that is passed on, in bytes; distribution's own limit."""

MAX_TAGS, TAGS_PAGE, MAX_TAGS_PAGES = 20_000, 1_000, 40
"""Most tags of one repository that are listed, and of one page."""

MAX_LIST = 2 * 1024 * 1024

ACCEPT = ", ".join((*INDEXES, *MANIFESTS))

OCI_INDEX = "application/vnd.oci.image.index.v1+json"

_REDIRECTS = (301, 302, 303, 307, 308)

_MEDIA_TYPE = re.compile(r"[A-Za-z0-9!#$&^_.+-]{1,127}/[A-Za-z0-9!#$&^_.+-]{1,127}", re.ASCII)
_NEXT = re.compile(r'\s*<([!-;=?-~]{1,4000})>\s*;[^,]*\brel="?next"?', re.ASCII)
_SIZE = re.compile(r"[0-9]{1,12}", re.ASCII)
_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


@frozen
class UpstreamManifestHeaders:
    """The headers of a registry's answer about a manifest.

    Attributes:
        digest: of it; not checked yet.
        media_type: of it.
        size: in bytes, or None when it is not given.
    """

    digest: str
    media_type: str
    size: int | None = None


@frozen
class UpstreamManifest:
    """A manifest, whose digest was checked.

    Attributes:
        digest: of its bytes.
        media_type: as reported by the registry.
        content: its bytes.
    """

    digest: str
    media_type: str
    content: bytes = field(repr=False)


@frozen
class UpstreamTags:
    """The tags of a repository.

    Attributes:
        names: sorted, each once.
        complete: whether these are all of them.
    """

    names: tuple[str, ...]
    complete: bool


@frozen
class _UpstreamQuestion:
    """One request to an external registry.

    Attributes:
        link: to the registry.
        repository: as the registry names it.
        method: of the request.
        target: path and query.
        accept: media types.
        longest: most bytes of an answer.
    """

    link: UpstreamLink
    repository: str
    method: str
    target: str
    accept: str = "application/json"
    longest: int = MAX_LIST


@frozen(eq=False, repr=False)
class UpstreamClient:
    """Queries linked external registries. Every method raises UpstreamFailed when there is nothing to pass on.

    Attributes:
        session: to them.
        access: authorizes requests.
    """

    session: UpstreamSession = field(repr=False)
    access: UpstreamAccess = field(repr=False)

    async def head_manifest(self, link: UpstreamLink, repository: str, reference: str) -> UpstreamManifestHeaders:
        """Return the headers of the manifest under a tag or digest."""
        target = _manifest_target(repository, reference)
        reply = await self._ask(_UpstreamQuestion(link, repository, "HEAD", target, ACCEPT))
        digest = reply.headers.get("Docker-Content-Digest", "")
        if not is_digest(digest):  # optional by the specification
            found = await self.get_manifest(link, repository, reference)
            return UpstreamManifestHeaders(found.digest, found.media_type, len(found.content))
        if is_digest(reference) and digest != reference:
            raise _unusable(link, "is about another manifest than was asked for")
        said = reply.headers.get("Content-Length", "")
        return UpstreamManifestHeaders(digest, _media_type(link, reply), int(said) if _SIZE.fullmatch(said) else None)

    async def get_manifest(self, link: UpstreamLink, repository: str, reference: str) -> UpstreamManifest:
        """Return the manifest under a tag or digest."""
        target = _manifest_target(repository, reference)
        reply = await self._ask(_UpstreamQuestion(link, repository, "GET", target, ACCEPT, MAX_MANIFEST))
        said = reply.headers.get("Docker-Content-Digest", "")
        expected = reference if is_digest(reference) else said
        digest = digest_of(reply.content, expected if is_digest(expected) else "sha256:")
        if is_digest(expected) and digest != expected:
            raise _unusable(link, "is not the manifest of its digest")
        return UpstreamManifest(digest, _media_type(link, reply), reply.content)

    async def list_tags(self, link: UpstreamLink, repository: str) -> UpstreamTags:
        """Return the tags of a repository, page after page."""
        path = f"/v2/{repository}/tags/list"
        target: str | None = f"{path}?{urlencode({'n': TAGS_PAGE})}"
        names: set[str] = set()
        for _ in range(MAX_TAGS_PAGES):
            if target is None or len(names) > MAX_TAGS:
                break
            reply = await self._ask(_UpstreamQuestion(link, repository, "GET", target))
            answer = json_object(reply.content)
            listed = None if answer is None else answer.get("tags")
            if answer is None or not isinstance(listed, list | None):
                raise _unusable(link, "is not a list of tags")
            names |= {name for name in listed or () if isinstance(name, str) and is_tag(name)}
            target = _next_page(link, path, reply)
        return UpstreamTags(tuple(sorted(names)[:MAX_TAGS]), target is None and len(names) <= MAX_TAGS)

    async def referrers(
        self, link: UpstreamLink, repository: str, digest: str, artifact_type: str | None = None
    ) -> bytes:
        """Return the index of the referrers of a manifest.

        Raises:
            UpstreamNotFound: the registry has no such interface; clients then look for a tag.
        """
        if not is_digest(digest):
            raise UpstreamNotFound(f"{digest[:100]!r} is not a digest")
        query = "" if artifact_type is None else f"?{urlencode({'artifactType': artifact_type[:255]})}"
        target = f"/v2/{repository}/referrers/{digest}{query}"
        reply = await self._ask(_UpstreamQuestion(link, repository, "GET", target, OCI_INDEX, MAX_MANIFEST))
        answer = json_object(reply.content)
        if answer is None or not isinstance(answer.get("manifests"), list):
            raise _unusable(link, "is not an index")
        return reply.content

    async def blob_target(self, link: UpstreamLink, repository: str, digest: str) -> BlobTarget:
        """Return the target from which a blob is fetched, and the header."""
        if not is_digest(digest):
            raise UpstreamNotFound(f"{digest[:100]!r} is not a digest")
        _check(link, repository)
        authorization = await self.access.authorization(link, repository)
        address = await self.session.resolver.resolve(link.origin, link.team)
        return BlobTarget(link.origin, address, f"/v2/{repository}/blobs/{digest}", authorization)

    async def redirect_target(self, link: UpstreamLink, location: str, base: str | None = None) -> BlobTarget:
        """Return the target of a redirect, without a credential; the caller must stop at :data:`MAX_HOPS`.

        Args:
            link: whose registry has redirected.
            location: value of that header.
            base: URL of the request that was redirected; None for one to the registry itself.
        """
        return await redirect_target(self.session.resolver, link, location, base)

    async def renew(self, link: UpstreamLink, repository: str) -> Secret | None:
        """Return a new header for a request that was answered 401."""
        _check(link, repository)
        return await self.access.renewed(link, repository)

    async def _ask(self, asked: _UpstreamQuestion) -> UpstreamReply:
        """Return the answer with status 200, after one retry with a new token and after redirects."""
        link = asked.link
        _check(link, asked.repository)
        authorization = await self.access.authorization(link, asked.repository)
        reply = await self._send(asked, link.origin, asked.target, authorization)
        if reply.status == HTTPStatus.UNAUTHORIZED:
            authorization = await self.access.renewed(link, asked.repository, reply.challenges)
            reply = await self._send(asked, link.origin, asked.target, authorization)
        reply = await self._follow(asked, reply)
        if reply.status == HTTPStatus.OK:
            return reply
        basic = authorization is not None and authorization.reveal().startswith("Basic ")
        raise failure(link.origin, asked.repository, asked.target, reply, basic=basic)

    async def _follow(self, asked: _UpstreamQuestion, reply: UpstreamReply) -> UpstreamReply:
        base: str | None = f"{asked.link.origin.text}{asked.target}"
        for _ in range(MAX_HOPS):
            if reply.status not in _REDIRECTS:
                return reply
            target = await self.redirect_target(asked.link, reply.headers.get("Location", ""), base)
            reply, base = await self._send(asked, target.origin, target.uri, None), target.url
        if reply.status in _REDIRECTS:
            raise _unusable(asked.link, "is a redirect after many others")
        return reply

    async def _send(
        self, asked: _UpstreamQuestion, origin: Origin, target: str, authorization: Secret | None
    ) -> UpstreamReply:
        headers: Mapping[str, str] = {"Accept": asked.accept}
        return await self.session.request(
            requester_of(asked.link), origin, asked.method, target,
            authorization=authorization, headers=headers, longest=asked.longest,
        )  # fmt: skip


def _check(link: UpstreamLink, repository: str) -> None:
    """Check that the link exposes ``repository``; callers have also checked that.

    Raises:
        UpstreamNotFound: it does not, or this is not the name of a repository.
    """
    if not exposes(link, repository):
        raise UpstreamNotFound(f"this link does not show the repository {repository[:255]!r}")


def _manifest_target(repository: str, reference: str) -> str:
    if not is_tag(reference) and not is_digest(reference):
        raise UpstreamNotFound(f"{reference[:150]!r} is neither a tag nor a digest")
    return f"/v2/{repository}/manifests/{reference}"


def _media_type(link: UpstreamLink, reply: UpstreamReply) -> str:
    said = reply.headers.get("Content-Type", "").partition(";")[0].strip()
    if _MEDIA_TYPE.fullmatch(said):
        return said
    inside: Any = (json_object(reply.content) or {}).get("mediaType") if reply.content else None
    if isinstance(inside, str) and _MEDIA_TYPE.fullmatch(inside):
        return inside
    raise _unusable(link, "does not say what kind of manifest it is")


def _next_page(link: UpstreamLink, path: str, reply: UpstreamReply) -> str | None:
    """Return the target of the next page (RFC 8288); it is the same list of the same registry, or refused."""
    found = _NEXT.match(reply.headers.get("Link", ""))
    if found is None:
        return None
    parts = urlsplit(found[1])
    elsewhere = (parts.scheme or parts.netloc) and f"{parts.scheme}://{parts.netloc}".lower() != link.origin.text
    if elsewhere or parts.path != path:
        raise _unusable(link, "leads to another place for its next page")
    return f"{path}?{parts.query}"


def digest_of(content: bytes, like: str) -> str:
    """Return the digest of ``content`` by the algorithm of the digest ``like``."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{_HASHES[algorithm](content).hexdigest()}"


def _unusable(link: UpstreamLink, why: str) -> UpstreamUnavailable:
    return UpstreamUnavailable(f"an answer of {link.origin.authority} {why}", code="upstream_answer_invalid")
