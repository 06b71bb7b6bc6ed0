"""Client of our own registry: whether it is up, and which manifests it holds."""

import json
import re
from http import HTTPStatus
from typing import Any, Self
from urllib.parse import unquote, urlsplit

import aiohttp

from authsvc.preflight import FoundManifest
from authsvc.redaction import Secret
from authsvc.spec.reference import DIGEST

PROBE_DEADLINE = 1.0
"""Deadline of a probe of the registry, in seconds."""

LOOKUP_DEADLINE = 5.0
"""Seconds in which one request about an image must be answered."""

MAX_MANIFEST = 128 * 1024
"""Longest manifest that is read, in bytes.

A registry takes 4 MB, and whoever pushes decides; reading and parsing those would hold up every other request. Usual
manifests and indexes have less than 30 kB. Of a longer one only its size stays unknown.
"""

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")

USUAL_PLATFORM = ("linux", "amd64")
"""The platform whose size is given when an image has several platforms and this one is among them."""

_DIGEST = re.compile(DIGEST, re.ASCII)


class OurRegistry:
    """Asks our registry about images. One connection pool per worker; close it at the end."""

    def __init__(self, url: str | None) -> None:
        """Ask at ``url``, http or unix; None gives no answers."""
        connector: aiohttp.BaseConnector | None = None
        self._base: str | None = None
        if url is not None:
            self._base, connector = _reach(url)
        timeout = aiohttp.ClientTimeout(total=LOOKUP_DEADLINE)
        self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def find(self, repository: str, reference: str, token: Secret) -> FoundManifest:
        """Return what is there under a tag or digest. ``token`` must open exactly ``repository`` for pulling."""
        if self._base is None:
            return FoundManifest(None)
        try:
            status, digest, manifest = await self._manifest(repository, reference, token)
            if status != HTTPStatus.OK or manifest is None:
                # One that is too long to be read is there all the same.
                there = True if status == HTTPStatus.OK and digest is not None else None
                return FoundManifest(exists=False if status == HTTPStatus.NOT_FOUND else there, digest=digest)
            children = _children(manifest)
            if not children:
                return FoundManifest(exists=True, digest=digest, size=_size(manifest))
            child = next((one for one in children if _platform(one) == USUAL_PLATFORM), children[0])
            size = await self._size_of(repository, str(child.get("digest")), token)
            return FoundManifest(exists=True, digest=digest, size=size, platform="/".join(_platform(child)))
        except (TimeoutError, aiohttp.ClientError, OSError):
            return FoundManifest(None)

    async def _size_of(self, repository: str, digest: str, token: Secret) -> int | None:
        """Return the size of one platform's image; whoever pushed the index wrote the digest."""
        if not _DIGEST.fullmatch(digest):
            return None
        _, _, manifest = await self._manifest(repository, digest, token)
        return None if manifest is None else _size(manifest)

    async def _manifest(
        self, repository: str, reference: str, token: Secret
    ) -> tuple[int, str | None, dict[str, Any] | None]:
        """Return status, digest and body of a manifest; the body only when it is one."""
        async with self._session.get(
            f"{self._base}/v2/{repository}/manifests/{reference}",
            headers={"Accept": ", ".join((*INDEXES, *MANIFESTS)), "Authorization": f"Bearer {token.reveal()}"},
            allow_redirects=False,
        ) as response:
            if response.status != HTTPStatus.OK:
                return response.status, None, None
            digest = response.headers.get("Docker-Content-Digest")
            if (response.content_length or 0) > MAX_MANIFEST:
                return response.status, digest, None  # leaving closes the connection, so the body is not read
            content = bytearray()
            async for chunk in response.content.iter_any():
                content += chunk
                if len(content) > MAX_MANIFEST:
                    return response.status, digest, None
            return response.status, digest, _json_object(bytes(content))


async def registry_state(url: str | None) -> str:
    """Return ``up``, ``down``, or ``not watched`` when ``url`` is None.

    Up means that it challenges an anonymous request, as the specification's ``GET /v2/`` must.
    """
    if url is None:
        return "not watched"
    base, connector = _reach(url)
    timeout = aiohttp.ClientTimeout(total=PROBE_DEADLINE)
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
            session.get(f"{base}/v2/", allow_redirects=False) as response,
        ):
            return "up" if response.status == HTTPStatus.UNAUTHORIZED else "down"
    except (TimeoutError, aiohttp.ClientError, OSError):
        return "down"


async def accepts(url: str, token: str) -> bool | None:
    """Return whether the registry at ``url`` accepts ``token``, or None when it does not say."""
    base, connector = _reach(url)
    timeout = aiohttp.ClientTimeout(total=PROBE_DEADLINE)
    headers = {"Authorization": f"Bearer {token}"}
    try:
        async with (
            aiohttp.ClientSession(connector=connector, timeout=timeout, trust_env=False) as session,
            session.get(f"{base}/v2/", headers=headers, allow_redirects=False) as response,
        ):
            verdicts = {HTTPStatus.OK: True, HTTPStatus.UNAUTHORIZED: False}
            return verdicts.get(HTTPStatus(response.status))
    except (TimeoutError, aiohttp.ClientError, OSError, ValueError):
        return None


def _reach(url: str) -> tuple[str, aiohttp.BaseConnector]:
    """Return the base of requests to ``url`` and what connects them."""
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return "http://registry", aiohttp.UnixConnector(unquote(parts.path))
    return url, aiohttp.TCPConnector()


def _json_object(content: bytes) -> dict[str, Any] | None:
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _children(manifest: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the images in an index; attestations (platform ``unknown``) are none."""
    entries = manifest.get("manifests")
    found = [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [entry for entry in found if "unknown" not in _platform(entry)] or found


def _platform(entry: dict[str, Any]) -> tuple[str, str]:
    platform = entry.get("platform")
    facts = platform if isinstance(platform, dict) else {}
    return str(facts.get("os", "any")), str(facts.get("architecture", "any"))


def _size(manifest: dict[str, Any]) -> int | None:
    """Return the bytes of the configuration and the layers; whoever pushed the manifest wrote them."""
    layers = manifest.get("layers")
    blobs = [manifest.get("config"), *(layers if isinstance(layers, list) else [])]
    sizes = [blob.get("size") for blob in blobs if isinstance(blob, dict)]
    return sum(size for size in sizes if isinstance(size, int)) if sizes else None
