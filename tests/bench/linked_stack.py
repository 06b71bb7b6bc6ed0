"""A stack that links a registry over TLS, with plain nginx before the same registry."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from attrs import frozen

from tests.bench.linked_pulls import BlobPull, Cost, growth, measure, measure_rest
from tests.bench.linked_servers import REPOSITORY, FileRegistry, Nginx, file_registry, plain_nginxes
from tests.support.oci import CONFIG, LAYER, MANIFEST
from tests.support.registry_client import Client
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team

APP, LINK = "bench", "files"
OTHERS = ("dead", "slow")
"""Links of registries that hardly answer."""

MISS, HIT = "linked image, fetched", "linked image, cached"
AUTHSVC, NGINX = "authsvc", "nginx"

SMALL = 8 << 20
"""Bytes of a blob of which many are pulled at once."""

REST = 2.0
"""Seconds for which authsvc is watched while nobody pulls."""

LICENSES = 2
"""One may pull 128 blobs at the same time."""

Round = Mapping[str, Cost]
"""What each kind of pull took."""


@frozen
class Bench:
    """A stack with a linked registry, and plain nginx before the same registry.

    Attributes:
        stack: of authsvc.
        registry: linked there.
        plain: nginx of each kind.
        member: pushes images of our own.
        licenses: pull.
        at_rest: processor seconds that authsvc takes in a second.
    """

    stack: Stack
    registry: FileRegistry
    plain: Mapping[str, Nginx]
    member: Account
    licenses: Sequence[License]
    at_rest: float

    @property
    def servers(self) -> dict[str, int]:
        """The processes that serve pulls."""
        return {AUTHSVC: self.stack.pid("serve"), NGINX: self.stack.pid("nginx")}

    def client(self, license_: int = 0) -> Client:
        """Return a new client of a license."""
        return Client(self.stack.port, self.licenses[license_].account)

    def round(self, number: int, blobs: int) -> Round:
        """Measure each kind of pull of as many new blobs, and forget them."""
        digests = [_digest(f"{number}-{blob}") for blob in range(blobs)]
        found = {
            kind: measure(self._plain(nginx, digests), {NGINX: nginx.process}) for kind, nginx in self.plain.items()
        }
        pulls = self.linked(REPOSITORY, digests, self.registry.size)
        self._name_in_manifest(digests)
        found |= {kind: measure(pulls, self.servers, {AUTHSVC: self.at_rest}) for kind in (MISS, HIT)}
        self.forget()
        return found

    def linked(
        self, repository: str, digests: Sequence[str], size: int, license_: int = 0, upstream: str = LINK
    ) -> list[BlobPull]:
        """Return pulls through the link."""
        name = f"proxy/{APP}/{upstream}/{repository}"
        token = self.client(license_).token(f"repository:{name}:pull")
        return [BlobPull(self.stack.port, f"/v2/{name}/blobs/{digest}", size, token) for digest in digests]

    def growth(self, number: int, parallel: int, *, cached: bool) -> dict[str, float]:
        """Return the MiB that so many pulls at the same time take of each server, of blobs that are cached or new."""
        pulls = []
        for license_ in range(LICENSES):
            digests = [_digest(f"small-{number}-{license_}-{blob}") for blob in range(parallel // LICENSES)]
            pulls += self.linked(f"{REPOSITORY}/small", digests, SMALL, license_)
        if cached:
            measure(pulls, {})
        return growth(pulls, self.servers)

    def forget(self) -> None:
        """Delete what was cached: nginx finds that it is gone."""
        caches = (self.stack.data_dir / "nginx" / "linked", *(one.folder / "cache" for one in self.plain.values()))
        for cache in caches:
            for entry in cache.glob("*"):
                shutil.rmtree(entry)

    def _plain(self, nginx: Nginx, digests: Sequence[str]) -> list[BlobPull]:
        return [BlobPull(nginx.port, f"/v2/{REPOSITORY}/blobs/{digest}", self.registry.size) for digest in digests]

    def _name_in_manifest(self, digests: Sequence[str]) -> None:
        """Have the blobs named by a manifest that was pulled: without one, authsvc would not count them."""
        layers = [{"mediaType": LAYER, "digest": digest, "size": self.registry.size} for digest in digests]
        config = {"mediaType": CONFIG, "digest": digests[0], "size": self.registry.size}
        document = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
        digest = self.registry.put_manifest(json.dumps(document).encode())
        reply = self.client().ask("GET", f"/v2/proxy/{APP}/{LINK}/{REPOSITORY}/manifests/{digest}")
        assert reply.status == 200, reply


def _digest(text: str) -> str:
    return f"sha256:{hashlib.sha256(text.encode()).hexdigest()}"


@contextmanager
def bench(folder: Path, size: int) -> Iterator[Bench]:
    """Run all of it, with blobs of ``size`` bytes."""
    with file_registry(folder / "upstream", size, SMALL) as registry, plain_nginxes(folder, registry) as plain:
        ca_file = str(registry.authority.file)
        with running_stack(UPSTREAM_CA_FILE=ca_file, UPSTREAM_PRIVATE_NETWORKS="127.0.0.0/8") as stack:
            team = make_team(stack, APP)
            link(stack, LINK, registry.url)
            shown = [f"proxy/{name}/**" for name in (LINK, *OTHERS)]
            patterns = [argument for pattern in ("**", *shown) for argument in ("--repository", pattern)]
            licenses = [make_license(stack, APP, *patterns) for _ in range(LICENSES)]
            member = make_member(stack, team, "developer")
            at_rest = measure_rest(stack.pid("serve"), REST)
            yield Bench(stack, registry, plain, member, licenses, at_rest)


def link(stack: Stack, name: str, url: str) -> None:
    """Link a registry that wants no credential."""
    where = ("--app", APP, "--provider", "other", "--url", url, "--repository", f"{REPOSITORY}/**")
    stack.authsvc("upstream", "link", name, *where, "--repository", REPOSITORY)
