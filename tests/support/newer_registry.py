"""A stand-in for distribution 3.x, of which no binary is to be had: what its source says of manifests and tags.

Only what deleting needs, in memory: ``registry/handlers/manifests.go`` and ``tags.go`` of its main branch. A tag can be
deleted: 202, and 404 MANIFEST_UNKNOWN for one that is not there. A digest goes with its tags. Tags come in pages.
Without ``delete.enabled`` every DELETE is 405.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from aiohttp import web
from attrs import define, field

from authsvc.images.tag_changes import TagChange
from tests.support.oci import MANIFEST, digest_of
from tests.support.tag_reports import TagReports

PAGE = 2
"""Tags of one page."""


@define
class NewerRegistry:
    """One repository.

    Attributes:
        repository: name.
        deletes: whether it may be deleted from.
        tags: digests by tag.
        manifests: by digest.
        reports: what it reports.
        asked: methods and references, in order.
    """

    repository: str = "acme/x"
    deletes: bool = True
    tags: dict[str, str] = field(factory=dict)
    manifests: dict[str, bytes] = field(factory=dict)
    reports: TagReports = field(factory=TagReports)
    asked: list[str] = field(factory=list)

    def put(self, tag: str, manifest: bytes, *, own: bool = False) -> str:
        """Let a tag point at a manifest."""
        digest = digest_of(manifest)
        self.manifests[digest] = manifest
        self._report(TagChange(digest, tag, deleted=False, own=own))
        self.tags[tag] = digest
        return digest

    def untag(self, tag: str) -> None:
        """Remove a tag."""
        del self.tags[tag]
        self._report(TagChange(None, tag, deleted=True, own=True))

    def _report(self, change: TagChange) -> None:
        self.reports.changes.setdefault(self.repository, []).append(change)

    @asynccontextmanager
    async def serving(self, socket: Path) -> AsyncIterator[str]:
        """Serve on a socket, and yield the address."""
        app = web.Application()
        base = f"/v2/{self.repository}"
        app.router.add_get(f"{base}/tags/list", self._list)
        app.router.add_route("*", f"{base}/manifests/{{reference}}", self._manifest)
        runner = web.AppRunner(app)
        await runner.setup()
        try:
            await web.UnixSite(runner, str(socket)).start()
            yield f"unix://{socket}"
        finally:
            await runner.cleanup()

    async def _list(self, request: web.Request) -> web.Response:
        names = sorted(tag for tag in self.tags if tag > request.query.get("last", ""))
        page, more = names[:PAGE], len(names) > PAGE
        link = {"Link": f'<{request.path}?last={page[-1]}&n={PAGE}>; rel="next"'} if more else {}
        return web.json_response({"name": self.repository, "tags": page}, headers=link)

    async def _manifest(self, request: web.Request) -> web.Response:
        reference = request.match_info["reference"]
        self.asked.append(f"{request.method} {reference}")
        match request.method:
            case "DELETE":
                return self._delete(reference)
            case "PUT":
                digest = self.put(reference, await request.read(), own=True)
                return web.Response(status=201, headers={"Docker-Content-Digest": digest})
            case _:
                return self._get(reference, request.headers.get("If-None-Match", ""))

    def _get(self, reference: str, known: str) -> web.Response:
        digest = self.tags.get(reference, reference)
        if digest not in self.manifests:
            return _unknown()
        if known == f'"{digest}"':
            return web.Response(status=304)
        headers = {"Docker-Content-Digest": digest, "Content-Type": MANIFEST}
        return web.Response(body=self.manifests[digest], headers=headers)

    def _delete(self, reference: str) -> web.Response:
        if not self.deletes:
            return web.json_response({"errors": [{"code": "UNSUPPORTED"}]}, status=405)
        if ":" not in reference:
            if reference not in self.tags:
                return _unknown()
            self.untag(reference)
            return web.Response(status=202)
        if reference not in self.manifests:
            return _unknown()
        del self.manifests[reference]
        self._report(TagChange(reference, None, deleted=True, own=True))
        for tag in [tag for tag, digest in self.tags.items() if digest == reference]:
            self.untag(tag)
        return web.Response(status=202)


def _unknown() -> web.Response:
    return web.json_response({"errors": [{"code": "MANIFEST_UNKNOWN"}]}, status=404)
