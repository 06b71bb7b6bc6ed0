"""Reads our registry: the catalog, tags, manifests, configurations and referrers (OCI distribution specification).

Works with distribution 2.8, which lists all tags of a repository at once and unsorted, and with 3.x, which lists pages.
"""

import hashlib
from http import HTTPStatus
from urllib.parse import parse_qs, urlencode, urlsplit

from attrs import field, frozen

from authsvc.errors import RegistryUnavailable
from authsvc.images.manifest import INDEXES, MANIFESTS, is_digest, json_object
from authsvc.redaction import Secret
from authsvc.registries.access import RegistryAccess
from authsvc.registries.session import UNUSUAL, RegistryReply, RegistrySession, unusual

PING_DEADLINE = 1.0
"""Seconds in which the registry must answer a ping."""

LIST_DEADLINE = 60.0
"""Seconds for one page of a list: 2.8 looks through its whole storage for a page of the catalog."""

CATALOG_PAGE = 1_000
"""Repositories of one page: the most that the registry gives (``catalog.maxentries``)."""

TAGS_PAGE = 1_000

MAX_LIST = 8 * 1024 * 1024
"""Longest list that is read, in bytes: more than 100,000 tags. Parsing it takes about 50 ms, in which no other request
is served."""

MAX_MANIFEST = 512 * 1024
"""Longest manifest that is read, in bytes.

Registries accept 4 MB, and anyone with the right to push decides; reading and parsing those would block all other
requests. Usual manifests and indexes have less than 30 kB. Of a longer one only the digest is known.
"""

MAX_CONFIG = 512 * 1024
"""Longest configuration that is read, in bytes."""

PULL = "pull"

ACCEPT = ", ".join((*INDEXES, *MANIFESTS, "*/*;q=0.1"))

_HASHES = {"sha256": hashlib.sha256, "sha384": hashlib.sha384, "sha512": hashlib.sha512}


@frozen
class NamePage:
    """A page of names.

    Attributes:
        names: in the registry's order.
        last: the name after which the next page begins; None when there is none.
    """

    names: tuple[str, ...]
    last: str | None = None


@frozen
class ManifestContent:
    """A manifest as it is stored.

    Attributes:
        digest: of its bytes, checked; for a manifest that is too long to be read, as reported by the registry.
        media_type: as reported by the registry.
        content: the bytes; None when there are too many.
    """

    digest: str
    media_type: str
    content: bytes | None = field(default=None, repr=False)


@frozen(eq=False, repr=False)
class RegistryReader:
    """Reads one registry. Every method raises RegistryUnavailable when there is no answer that can be used.

    Attributes:
        session: to the registry.
        access: gives the tokens.
    """

    session: RegistrySession
    access: RegistryAccess

    async def ping(self) -> None:
        """Return when the registry answers at all."""
        reply = await self.session.request("GET", "/v2/", deadline=PING_DEADLINE)
        if reply.status != HTTPStatus.UNAUTHORIZED:
            raise unusual(reply, "/v2/")

    async def catalog(self, last: str | None = None) -> NamePage:
        """Return a page of the names of all repositories, after ``last``."""
        query = {"n": str(CATALOG_PAGE), **({} if last is None else {"last": last})}
        path = f"/v2/_catalog?{urlencode(query)}"
        reply = await self.session.request(
            "GET", path, self.access.to_catalog(), longest=MAX_LIST, deadline=LIST_DEADLINE
        )
        return _names(reply, path, "repositories")

    async def tags(self, repository: str, last: str | None = None) -> NamePage | None:
        """Return a page of the tags of a repository, after ``last``; None when there is no such repository.

        2.8 does not support pages and returns all of them, in any order.
        """
        query = {"n": str(TAGS_PAGE), **({} if last is None else {"last": last})}
        path = f"/v2/{repository}/tags/list?{urlencode(query)}"
        reply = await self.session.request(
            "GET", path, self._token(repository), longest=MAX_LIST, deadline=LIST_DEADLINE
        )
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        return _names(reply, path, "tags")

    async def manifest(self, repository: str, reference: str, known: str | None = None) -> ManifestContent | None:
        """Return the manifest under a tag or digest; None when there is none.

        Args:
            repository: name.
            reference: tag or digest.
            known: a digest whose manifest is not sent again; the answer then has no content, and the registry does not
                report a pull.
        """
        path = f"/v2/{repository}/manifests/{reference}"
        headers = {"Accept": ACCEPT, **({} if known is None else {"If-None-Match": f'"{known}"'})}
        reply = await self.session.request("GET", path, self._token(repository), headers=headers, longest=MAX_MANIFEST)
        if reply.status == HTTPStatus.NOT_MODIFIED and known is not None:
            return ManifestContent(known, "")
        return read_manifest(reply, path, reference)

    async def digest(self, repository: str, reference: str, known: str | None = None) -> str | None:
        """Return the digest under a tag or digest; None when there is none. ``known`` as in :meth:`manifest`."""
        path = f"/v2/{repository}/manifests/{reference}"
        headers = {"Accept": ACCEPT, **({} if known is None else {"If-None-Match": f'"{known}"'})}
        reply = await self.session.request("HEAD", path, self._token(repository), headers=headers)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status == HTTPStatus.NOT_MODIFIED and known is not None:
            return known
        found = reply.headers.get("Docker-Content-Digest")
        if reply.status != HTTPStatus.OK or not is_digest(found):
            raise unusual(reply, path)
        return found

    async def config(self, repository: str, digest: str) -> bytes | None:
        """Return the configuration blob with this digest; None when there is none, or a longer one than is read."""
        path = f"/v2/{repository}/blobs/{digest}"
        reply = await self.session.request("GET", path, self._token(repository), longest=MAX_CONFIG)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status != HTTPStatus.OK:
            raise unusual(reply, path)
        if reply.content is None or digest_of(reply.content, digest) != digest:
            return None
        return reply.content

    async def referrers(self, repository: str, digest: str) -> bytes | None:
        """Return the index of the referrers of a manifest; None when the registry has no such interface (2.8, 3.1)."""
        path = f"/v2/{repository}/referrers/{digest}"
        reply = await self.session.request("GET", path, self._token(repository), longest=MAX_MANIFEST)
        if reply.status == HTTPStatus.NOT_FOUND:
            return None
        if reply.status != HTTPStatus.OK or reply.content is None:
            raise unusual(reply, path)
        return reply.content

    def _token(self, repository: str) -> Secret:
        return self.access.to(repository, PULL)


def read_manifest(reply: RegistryReply, path: str, reference: str) -> ManifestContent | None:
    """Return the manifest in a reply; None when there is none under that tag or digest.

    Raises:
        RegistryUnavailable: it is another answer, or the content is not that of the digest.
    """
    if reply.status == HTTPStatus.NOT_FOUND:
        return None
    if reply.status != HTTPStatus.OK:
        raise unusual(reply, path)
    said = reply.headers.get("Docker-Content-Digest", "")
    media_type = reply.headers.get("Content-Type", "").partition(";")[0].strip()
    if not is_digest(said) or (is_digest(reference) and said != reference):
        raise unusual(reply, path)
    if reply.content is not None and digest_of(reply.content, said) != said:
        raise RegistryUnavailable(UNUSUAL, detail=f"{path[:200]}: the content is not that of its digest")
    return ManifestContent(said, media_type, reply.content)


def _names(reply: RegistryReply, path: str, member: str) -> NamePage:
    body = json_object(reply.content) if reply.status == HTTPStatus.OK and reply.content is not None else None
    names = None if body is None else body.get(member)
    if body is None or not isinstance(names, list | None) or not all(isinstance(name, str) for name in names or ()):
        raise unusual(reply, path)
    return NamePage(tuple(names or ()), _last(reply.headers.get("Link", "")))


def _last(link: str) -> str | None:
    """Return the name after which the page of a ``Link`` header (RFC 8288) begins; its URL is not used."""
    address, _, parameters = link.partition(">")
    if not address.startswith("<") or "next" not in parameters:
        return None
    return next(iter(parse_qs(urlsplit(address[1:]).query).get("last", [])), None)


def digest_of(content: bytes, like: str) -> str:
    """Return the digest of ``content`` by the algorithm of the digest ``like``."""
    algorithm = like.partition(":")[0]
    return f"{algorithm}:{_HASHES[algorithm](content).hexdigest()}"
