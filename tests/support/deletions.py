"""One repository of a real registry: pushed to by others, and deleted from as authsvc does, request by request."""

import itertools
import json
import random
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

from attrs import field, frozen
from typing_extensions import override

from authsvc.errors import RegistryUnavailable
from authsvc.images.placeholder import read_placeholder
from authsvc.redaction import Secret
from authsvc.registries.access import RegistryAccess
from authsvc.registries.deletion import Deleted, Deletion
from authsvc.registries.reader import RegistryReader
from authsvc.registries.repository_reader import RepositoryReader
from authsvc.registries.session import RegistryReply, RegistrySession
from authsvc.registries.tag_deletion import TagDeletion
from authsvc.registries.writer import RepositoryWriter
from authsvc.signing.jws import Signer
from authsvc.system_token import SystemTokens
from tests.support.builders import SERVICE
from tests.support.forgeries import make_claims
from tests.support.oci import INDEX, MANIFEST, Image, digest_of
from tests.support.real_registry import RealRegistry, Reply
from tests.support.registry_rules import real_now
from tests.support.tag_reports import TagReports

_NUMBERS = itertools.count()

BASE = Image(b"what is in every image here")

ANY_MANIFEST = f"{MANIFEST}, {INDEX}"


class Killed(Exception):
    """The process that deletes was killed."""


@frozen
class Variant:
    """An image that shares its blobs with all others here.

    Attributes:
        name: what makes it another one.
    """

    name: str

    @property
    def manifest(self) -> bytes:
        """Its manifest."""
        return json.dumps({**json.loads(BASE.manifest), "annotations": {"name": self.name}}).encode()

    @property
    def digest(self) -> str:
        """The manifest's digest."""
        return digest_of(self.manifest)


@frozen
class Free:
    """A lock that nobody else wants."""

    async def extend(self) -> None:
        """Keep it."""


def _nothing(_number: int) -> None:
    """Do nothing between two requests."""


class SteppedSession(RegistrySession):
    """Sends requests, and lets a test act between them: ``before`` and ``after`` are called with their numbers."""

    def __init__(self, url: str) -> None:
        """Send requests to ``url``."""
        super().__init__(url)
        self.before: Callable[[int], None] = _nothing
        self.after: Callable[[int], None] = _nothing
        self.sent: list[str] = []

    @override
    async def request(self, method: str, path: str, token: Secret | None = None, **more: Any) -> RegistryReply:
        number = len(self.sent)
        self.sent.append(f"{method} {path}")
        self.before(number)
        reply = await super().request(method, path, token, **more)
        self.after(number)
        return reply

    def kill(self, number: int, *, answered: bool) -> None:
        """Let the process die at one request: before it is sent, or when it is answered. Nothing is sent afterwards."""

        def die(now: int) -> None:
            if now >= number:
                raise Killed

        self.before = (lambda now: die(now - 1)) if answered else die
        self.after = die if answered else _nothing

    def fail(self, numbers: Callable[[int], bool], *, answered: bool) -> None:
        """Let requests go unanswered: unseen by the registry, or carried out by it."""

        def lose(now: int) -> None:
            if numbers(now):
                raise RegistryUnavailable("no answer")

        self.before, self.after = (_nothing, lose) if answered else (lose, _nothing)


@frozen
class Scene:
    """One repository, of which others push and delete with tokens of their own.

    Attributes:
        registry: a running one.
        reports: what it reports.
        repository: name, of this scene's own.
    """

    registry: RealRegistry
    reports: TagReports
    repository: str = field(factory=lambda: f"acme/r{next(_NUMBERS)}-{random.getrandbits(32):x}")
    signer: Signer = field(init=False)

    @signer.default
    def _signer(self) -> Signer:
        return self.registry.root.leaf(real_now())

    def ask(self, method: str, rest: str, **more: Any) -> Reply:
        """Send one request as a developer with every right."""
        access = [{"type": "repository", "name": self.repository, "actions": ["pull", "push", "delete"]}]
        token = self.signer.sign(make_claims(real_now(), sub="member:dev", access=access))
        return self.registry.ask(method, f"/v2/{self.repository}/{rest}", token, **more)

    def upload(self) -> None:
        """Upload the blobs that every manifest of a :class:`Variant` names."""
        for blob in (BASE.layer, BASE.config):
            begun = self.ask("POST", "blobs/uploads/")
            place = begun.headers["location"].removeprefix(f"/v2/{self.repository}/")
            assert self.ask("PUT", f"{place}&digest={digest_of(blob)}", body=blob).status == 201

    def put(self, tag: str, manifest: bytes, media_type: str = MANIFEST) -> str:
        """Let a tag point at a manifest, as the last step of a push does."""
        headers = {"Content-Type": media_type}
        reply = self.ask("PUT", f"manifests/{tag}", body=manifest, headers=headers)
        assert reply.status == 201, reply
        return digest_of(manifest)

    def delete(self, digest: str) -> None:
        """Delete a manifest and all of its tags, as skopeo does."""
        assert self.ask("DELETE", f"manifests/{digest}").status in {202, 404}

    def get(self, reference: str) -> bytes | None:
        """Return the manifest under a tag or digest."""
        reply = self.ask("GET", f"manifests/{reference}", headers={"Accept": ANY_MANIFEST})
        return reply.body if reply.status == 200 else None

    def content(self) -> dict[str, bytes | None]:
        """Return every tag with its manifest; None for one whose manifest is gone."""
        listed = self.ask("GET", "tags/list")
        tags = sorted(json.loads(listed.body)["tags"] or []) if listed.status == 200 else []
        return {tag: self.get(tag) for tag in tags}

    def placeholders(self) -> list[str]:
        """Return the tags that show a placeholder."""
        return [tag for tag, content in self.content().items() if content and read_placeholder(content, MANIFEST)]

    @asynccontextmanager
    async def deleting(self, kind: type[Deletion] = Deletion) -> AsyncIterator[tuple[Deletion, SteppedSession]]:
        """Yield what deletes, and its session."""
        tokens = SystemTokens(self.signer, SERVICE, lambda: "t1")
        async with SteppedSession(f"unix://{self.registry.folder}/r.sock") as session:
            access = RegistryAccess(tokens, real_now)
            reading = RepositoryReader(
                RegistryReader(session, access), RepositoryWriter(session, access, self.repository)
            )
            yield kind(reading, Free(), random.randbytes, self.reports), session


class Careless(TagDeletion):
    """Deletes the digest that the tag points at, as a plain registry client does."""

    async def take_away(self, tag: str, original: object) -> None:  # noqa: ARG002
        """Delete all tags of the manifest."""
        digest = await self.reading.digest(tag)
        assert digest is not None
        await self.reading.writer.delete(digest)


async def delete(deletion: Deletion, tag: str | None, digest: str | None = None) -> Deleted | None:
    """Plan a deletion and carry it out; None when there is nothing to delete."""
    plan = await deletion.plan(tag, digest, {})
    return None if plan is None else await deletion.carry_out(plan)
