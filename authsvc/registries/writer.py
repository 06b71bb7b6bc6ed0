"""Changing our registry: upload a small blob, put a manifest, delete a manifest or a tag (OCI distribution spec 1.1).

Distribution 2.8 deletes only by digest, and 3.x also by tag; the answer shows which one it is.
"""

import enum
import hashlib
from http import HTTPStatus
from urllib.parse import urlsplit

from attrs import field, frozen

from authsvc.errors import Conflict
from authsvc.redaction import Secret
from authsvc.registries.access import RegistryAccess
from authsvc.registries.reader import ACCEPT, ManifestContent, read_manifest
from authsvc.registries.session import RegistrySession, unusual

MAX_MANIFEST = 4 * 1024 * 1024
"""Longest manifest that a registry takes, in bytes (distribution ``maxManifestBodySize``)."""

WRITE_DEADLINE = 10.0
"""Seconds in which a change must be answered: 2.8 reads every tag of the repository when it deletes a manifest."""

READ_ONLY = (
    "the registry refuses changes: it is read-only for now, or its storage.delete.enabled is off; nothing was deleted"
)

_ACTIONS = ("pull", "push", "delete")


class DeleteReply(enum.Enum):
    """The answers of a registry to a request to delete."""

    DELETED = "deleted"
    MISSING = "missing"
    NOT_BY_TAG = "not by tag"
    """It only deletes by digest."""

    REFUSED = "refused"
    """It refuses to delete, at least now."""


@frozen(eq=False, repr=False)
class RepositoryWriter:
    """Changes one repository. Every method raises RegistryUnavailable when there is no answer that can be used.

    After that error a change may have been made or not, or may be made later.

    Attributes:
        session: to the registry.
        access: gives the tokens.
        repository: name.
    """

    session: RegistrySession = field(repr=False)
    access: RegistryAccess = field(repr=False)
    repository: str

    async def original(self, reference: str) -> ManifestContent | None:
        """Return a whole manifest, so that it can be restored; None when there is none."""
        path = self._path(reference)
        headers = {"Accept": ACCEPT}
        reply = await self.session.request("GET", path, self._token, headers=headers, longest=MAX_MANIFEST)
        found = read_manifest(reply, path, reference)
        if found is not None and found.content is None:
            raise unusual(reply, path)
        return found

    async def put_blob(self, content: bytes) -> None:
        """Upload a small blob; the registry may have it already."""
        begin = f"/v2/{self.repository}/blobs/uploads/"
        reply = await self.session.request("POST", begin, self._token, deadline=WRITE_DEADLINE)
        # An absolute URL could send one of our tokens to another server.
        parts = urlsplit(reply.headers.get("Location", ""))
        if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
            raise Conflict(READ_ONLY, code="registry_read_only")
        if reply.status != HTTPStatus.ACCEPTED or not parts.path.startswith("/v2/"):
            raise unusual(reply, begin)
        digest = f"digest=sha256:{hashlib.sha256(content).hexdigest()}"
        end = f"{parts.path}?{'&'.join(filter(None, (parts.query, digest)))}"
        headers = {"Content-Type": "application/octet-stream"}
        reply = await self.session.request(
            "PUT", end, self._token, headers=headers, body=content, deadline=WRITE_DEADLINE
        )
        if reply.status != HTTPStatus.CREATED:
            raise unusual(reply, begin)

    async def put(self, reference: str, manifest: ManifestContent) -> None:
        """Put a manifest under a tag or its digest.

        Raises:
            Conflict: the registry is read-only.
        """
        path = self._path(reference)
        reply = await self.session.request(
            "PUT",
            path,
            self._token,
            headers={"Content-Type": manifest.media_type},
            body=manifest.content,
            deadline=WRITE_DEADLINE,
        )
        if reply.status == HTTPStatus.METHOD_NOT_ALLOWED:
            raise Conflict(READ_ONLY, code="registry_read_only")
        if reply.status != HTTPStatus.CREATED:
            raise unusual(reply, path)

    async def delete(self, reference: str) -> DeleteReply:
        """Delete a manifest with all of its tags by its digest, or one tag where the registry can."""
        path = self._path(reference)
        reply = await self.session.request("DELETE", path, self._token, deadline=WRITE_DEADLINE)
        match reply.status:
            case HTTPStatus.ACCEPTED | HTTPStatus.OK | HTTPStatus.NO_CONTENT:
                return DeleteReply.DELETED
            case HTTPStatus.NOT_FOUND:
                return DeleteReply.MISSING
            case HTTPStatus.BAD_REQUEST if ":" not in reference:
                return DeleteReply.NOT_BY_TAG
            case HTTPStatus.METHOD_NOT_ALLOWED:
                return DeleteReply.REFUSED
            case _:
                raise unusual(reply, path)

    def _path(self, reference: str) -> str:
        return f"/v2/{self.repository}/manifests/{reference}"

    @property
    def _token(self) -> Secret:
        return self.access.to(self.repository, *_ACTIONS)
