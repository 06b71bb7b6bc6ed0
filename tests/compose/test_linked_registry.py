"""A real registry with TLS and htpasswd outside of Compose, whose images customers pull through the containers."""

import json
import re
from collections.abc import Iterator
from contextlib import ExitStack

import pytest
from attrs import frozen

from tests.compose.engine import ROOT, ComposeEngine, Project
from tests.support.oci import INDEX, Image, digest_of, index_of
from tests.support.upstream_registry import USERS, upstream_registry
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # the first one has an engine made, and the image

NAME, IMAGE = "elsewhere.test", Image(b"of the linked registry" * 10_000)
INDEX_OF_IT = index_of(IMAGE.manifest)
REFERENCE = "localhost:5000/proxy/myapp/elsewhere/org/image:1.0"

OVERRIDE = """
services:
  authsvc:
    extra_hosts: ["{name}:{address}"]
"""
"""In the place of a name server that knows the registry."""

LIST = "cd /var/cache/authsvc && stat -c '%F %u:%g %a %s' * */* */*/* */*/*/* | grep ^regular"


@frozen
class Linked:
    """A started project that has linked the registry.

    Attributes:
        project: Compose.
        upstream: ends the registry.
    """

    project: Project
    upstream: ExitStack

    def pull(self) -> str:
        """Pull as the customer, and return the digest that was pulled."""
        docker = self.project.engine.docker
        docker("image", "rm", "--force", REFERENCE)
        pulled = docker("pull", REFERENCE)
        assert pulled.code == 0, (pulled, self.project.compose("logs", "--tail", "20", "authsvc", "nginx").out[-3000:])
        found = re.search(r"sha256:[0-9a-f]{64}", pulled.out)
        assert found is not None, pulled
        return found[0]


@pytest.fixture(scope="module")
def linked(project: Project, engine: ComposeEngine) -> Iterator[Linked]:
    """Start everything with an authority of the vendor's own, and link the registry."""
    authority = UpstreamAuthority.make(engine.folder / "upstream-ca")
    authority.file.chmod(0o644)
    override = engine.folder / "override.yaml"
    override.write_text(OVERRIDE.format(name=NAME, address=engine.machine))
    started = project.with_settings(
        COMPOSE_FILE=f"{ROOT / 'compose.yaml'}:{override}",
        AUTHSVC_UPSTREAM_CA_FILE=str(authority.file),
        AUTHSVC_UPSTREAM_PRIVATE_NETWORKS=f"{engine.machine}/32",
    )
    with ExitStack() as ending:
        registry = ending.enter_context(upstream_registry(authority, address="0.0.0.0", name=NAME))
        registry.push("org/image", "amd64", IMAGE)
        registry.push_manifest("org/image", "1.0", INDEX, INDEX_OF_IT)
        started.up()
        started.authsvc("team", "create", "acme")
        started.authsvc("app", "create", "myapp", "--team", "acme")
        started.authsvc(
            *("upstream", "link", "elsewhere", "--app", "myapp", "--provider", "other"),
            *("--url", f"https://{NAME}:{registry.port}", "--repository", "org/**"),
            *("--username", "alice", "--secret-stdin"),
            stdin=USERS["alice"],
        )
        terms = ("--customer", "Globex", "--expires", "2031-01-31", "--repository", "proxy/elsewhere/**")
        file = started.authsvc("license", "create", "--app", "myapp", *terms, "--output", "-")
        sign_in = ("login", "localhost:5000", "-u", "license", "--password-stdin")
        assert engine.docker(*sign_in, stdin=json.loads(file)["license"]["registry_token"]).code == 0
        yield Linked(started, ending)


def test_a_customer_pulls(linked: Linked) -> None:
    """Name, certificate, token and manifest are good inside the containers; the cache is nginx' own, and all of it."""
    said = linked.project.authsvc("upstream", "test", "elsewhere", "--app", "myapp", "--repository", "org/image:1.0")
    assert f"org/image:1.0 is {digest_of(INDEX_OF_IT)}" in said
    assert linked.pull() == digest_of(INDEX_OF_IT)

    def cached() -> list[str]:
        return linked.project.compose("exec", "-T", "nginx", "sh", "-c", LIST).out.split("\n")[:-1]

    # Index, manifest, configuration, layer; a client has the last byte a moment before the cache has the file.
    files = until(lambda: found if len(found := cached()) >= 4 else [], "all of it is cached")
    assert len(files) == 4, files
    assert {line.rpartition(" ")[0] for line in files} == {"regular file 10001:10001 600"}
    assert max(int(line.rpartition(" ")[2]) for line in files) >= len(IMAGE.layer)


def test_the_cache_outlives_the_containers(linked: Linked) -> None:
    """After ``down`` and ``up`` it serves what was pulled, without the registry."""
    linked.pull()
    linked.upstream.close()
    linked.project.compose("down")
    linked.project.up()

    assert linked.pull() == digest_of(INDEX_OF_IT)
