"""Filling a real registry with images as any client would, and reading it as authsvc does."""

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from attrs import field, frozen

from authsvc.registries.access import RegistryAccess
from authsvc.registries.reader import RegistryReader
from authsvc.registries.session import RegistrySession
from authsvc.signing.jws import Signer
from authsvc.system_token import SystemTokens
from tests.support.builders import SERVICE
from tests.support.oci import MANIFEST, Image, digest_of
from tests.support.real_registry import RealRegistry, Reply
from tests.support.registry_rules import real_now


@frozen
class Content:
    """What a registry holds; every push has a token of its own.

    Attributes:
        registry: a running one.
        signer: signs for its root.
    """

    registry: RealRegistry
    signer: Signer = field(init=False)

    @signer.default
    def _signer(self) -> Signer:
        return self.registry.root.leaf(real_now())

    @property
    def tokens(self) -> SystemTokens:
        """What makes tokens."""
        return SystemTokens(self.signer, SERVICE, lambda: "t1")

    def ask(self, method: str, repository: str, rest: str, **more: Any) -> Reply:
        """Ask for something in a repository, with a token that opens it."""
        token = self.tokens.for_repository(repository, ("pull", "push", "delete"), real_now()).reveal()
        return self.registry.ask(method, f"/v2/{repository}/{rest}", token, **more)

    def push_blob(self, repository: str, content: bytes) -> None:
        """Upload one blob."""
        begun = self.ask("POST", repository, "blobs/uploads/")
        assert begun.status == 202, begun
        place = begun.headers["location"].removeprefix(f"/v2/{repository}/")
        sign = "&" if "?" in place else "?"
        ended = self.ask("PUT", repository, f"{place}{sign}digest={digest_of(content)}", body=content)
        assert ended.status == 201, ended

    def put(self, repository: str, reference: str, manifest: bytes, media_type: str = MANIFEST) -> str:
        """Upload a manifest whose blobs are there, and return its digest."""
        reply = self.ask(
            "PUT", repository, f"manifests/{reference}", body=manifest, headers={"Content-Type": media_type}
        )
        assert reply.status == 201, reply
        return digest_of(manifest)

    def push(self, repository: str, tag: str, image: Image) -> str:
        """Upload an image and return its digest."""
        self.push_blob(repository, image.layer)
        self.push_blob(repository, image.config)
        return self.put(repository, tag, image.manifest)

    def push_json(self, repository: str, reference: str, manifest: Mapping[str, Any], *blobs: bytes) -> str:
        """Upload the blobs and a manifest that names them, and return its digest; without a reference, by digest."""
        for blob in blobs:
            self.push_blob(repository, blob)
        content = json.dumps(manifest).encode()
        return self.put(repository, reference or digest_of(content), content, manifest["mediaType"])

    def delete(self, repository: str, digest: str) -> None:
        """Delete a manifest, and with it every tag of it."""
        assert self.ask("DELETE", repository, f"manifests/{digest}").status == 202

    @asynccontextmanager
    async def reader(self) -> AsyncIterator[RegistryReader]:
        """Yield what reads the registry."""
        async with RegistrySession(f"unix://{self.registry.folder}/r.sock") as session:
            yield RegistryReader(session, RegistryAccess(self.tokens, real_now))
