"""Answers that direct nginx to its cache, or to the target from which a blob is fetched.

nginx takes the headers below into variables of its own and passes none of them to a client; the locations are in
``registry-config/nginx.conf``. Once it has looked into its cache, nginx obeys no ``X-Accel-Redirect``: of a blob that
is there, that header would be a linked registry's. From then on a status that no linked registry can have in the cache
sends it on, and no client sees it.
"""

import hashlib

from aiohttp import web

from authsvc.registries.upstream.targets import BlobTarget
from authsvc.upstreams.link import UpstreamLink, blob_cache_key

OCTETS = "application/octet-stream"

FETCH_BLOB, FETCH_SIZE = 461, 462
"""Internal statuses with which nginx is made to fetch a blob, or its size."""


def send_to_cache(link: UpstreamLink, repository: str, digest: str, subject: str) -> web.Response:
    """Let nginx serve a blob from its cache to ``subject``; at the step ``target`` it asks for what is not there."""
    return _accel(
        "cached",
        {
            "X-Linked-Key": f"blob:{blob_cache_key(link, repository, digest)}",
            "X-Linked-Digest": digest,
            "X-Linked-Team": link.team,
            "X-Linked-Link": link.id,
            "X-Linked-Subject": hashlib.sha256(f"{link.team} {subject}".encode()).hexdigest()[:32],
        },
    )


def send_to_manifest(link: UpstreamLink, repository: str, digest: str, warning: str | None) -> web.Response:
    """Let nginx serve a manifest from its cache; what is not there it asks us for, at the step ``manifest``."""
    headers = {"X-Linked-Key": f"manifest:{blob_cache_key(link, repository, digest)}", "X-Linked-Digest": digest}
    return _accel("manifest", headers if warning is None else {**headers, "X-Linked-Warning": warning})


def send_to_registry(
    link: UpstreamLink, repository: str, digest: str, target: BlobTarget, *, head: bool, hop: int
) -> web.Response:
    """Let nginx fetch a blob from ``target`` and cache it.

    Args:
        link: the link.
        repository: as the upstream names it.
        digest: of the blob.
        target: a checked address, and what is sent there.
        head: whether only the size is wanted, which is not cached.
        hop: number of redirects of the linked registry so far.
    """
    headers = {
        "X-Linked-Address": f"{target.origin.scheme}://{target.address.authority}",
        "X-Linked-Uri": target.uri,
        "X-Linked-Host": target.origin.authority,
        "X-Linked-Name": target.origin.host,
        "X-Linked-Origin": target.origin.text,
        "X-Linked-Key": f"blob:{blob_cache_key(link, repository, digest)}",
        "X-Linked-Digest": digest,
        "X-Linked-Hop": str(hop),
    }
    if target.authorization is not None:
        headers["X-Linked-Authorization"] = target.authorization.reveal()
    status = FETCH_SIZE if head else FETCH_BLOB
    return web.Response(status=status, reason="Elsewhere", content_type=OCTETS, headers=headers)


def _accel(location: str, headers: dict[str, str]) -> web.Response:
    # Without a type: nginx would keep it, and it sets one itself.
    return web.Response(headers={"Content-Type": "", "X-Accel-Redirect": f"/-/{location}", **headers})
