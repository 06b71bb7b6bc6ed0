"""Every client pulls an image of a linked registry with nothing but a license file, and no client pushes there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.attached import EMPTY, artifact, platform_index
from tests.support.containerd import Containerd
from tests.support.docker_engine import DockerEngine
from tests.support.http_client import ask
from tests.support.oci import INDEX, MANIFEST, Image, digest_of
from tests.support.stack import Stack, running_stack
from tests.support.tenants import License, make_license, make_team
from tests.support.upstream_registry import USERS, upstream_registry
from tests.support.upstream_tls import UpstreamAuthority
from tests.system.test_license_holder import CLIENTS, Holder

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

IMAGE, OF_ARM = Image(b"of the linked registry" * 10_000), Image(b"for another machine" * 10_000)
CHART = b"a chart" * 10_000
ARTIFACT = json.dumps(
    artifact(CHART, "application/vnd.example.chart", artifact_type="application/vnd.example")
).encode()
PLATFORMS = json.dumps(platform_index({"linux/arm64": OF_ARM, "linux/amd64": IMAGE})).encode()


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, License]]:
    """Return an installation that shows a registry with htpasswd and TLS, and a license for it."""
    authority = UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))
    settings = {"UPSTREAM_CA_FILE": str(authority.file), "UPSTREAM_PRIVATE_NETWORKS": "127.0.0.0/8"}
    with upstream_registry(authority) as upstream, running_stack(options=("--workers", "1"), **settings) as stack:
        upstream.push("org/image", "amd64", IMAGE)
        upstream.push("org/image", "arm64", OF_ARM)
        upstream.push_manifest("org/image", "1.0", INDEX, PLATFORMS)
        for blob in (EMPTY, CHART):
            upstream.push_blob("org/chart", blob)
        upstream.push_manifest("org/chart", "1.0", MANIFEST, ARTIFACT)
        make_team(stack, "shop")
        stack.authsvc(
            *("upstream", "link", "hub", "--app", "shop", "--provider", "other", "--url", upstream.url),
            *("--username", "alice", "--secret-stdin", "--repository", "org/**"),
            stdin=USERS["alice"],
        )
        yield stack, make_license(stack, "shop", "--repository", "proxy/hub/org/**")


@pytest.fixture(scope="module")
def holder(
    linked: tuple[Stack, License],
    engine: DockerEngine,
    daemon: Containerd,
    tmp_path_factory: pytest.TempPathFactory,
) -> Holder:
    """Return the customer, logged in with the file."""
    stack, license_ = linked
    made = Holder(tmp_path_factory.mktemp("holder"), license_, engine, daemon)
    (made.folder / "acme.license.json").write_text(license_.file)
    (made.folder / "key.json").write_bytes(ask(stack.port, "GET", "/auth/license-keys.json").body)
    made.login()
    return made


@pytest.mark.parametrize("client", sorted(CLIENTS))
def test_every_client_pulls(linked: tuple[Stack, License], holder: Holder, client: str) -> None:
    """Its own platform of two by tag and by digest, and one image by its digest."""
    name = f"{linked[0].name}/proxy/shop/hub/org/image"
    for reference in (f"{name}:1.0", f"{name}@{digest_of(PLATFORMS)}", f"{name}@{digest_of(IMAGE.manifest)}"):
        ran = CLIENTS[client](holder, reference)
        assert ran.code == 0, (client, ran)


def test_an_artifact(linked: tuple[Stack, License], holder: Holder, tmp_path: Path) -> None:
    """What is no image arrives byte for byte; containerd gets it, too, though it cannot run it."""
    name = f"{linked[0].name}/proxy/shop/hub/org/chart:1.0"
    ran = holder.run("skopeo", "copy", "--src-tls-verify=false", f"docker://{name}", f"dir:{tmp_path / 'pulled'}")
    assert ran.code == 0, ran
    assert {CHART, EMPTY, ARTIFACT} <= {file.read_bytes() for file in (tmp_path / "pulled").iterdir()}

    token = holder.run("authsvc-license", "token", "acme.license.json", check=True).out.strip()
    certs = f"{holder.folder}/certs.d"
    holder.run("authsvc-license", "containerd", "--directory", certs, "acme.license.json", check=True)
    ran = holder.daemon.ctr("content", "fetch", "--hosts-dir", certs, "--user", f"license:{token}", name)
    assert ran.code == 0, ran
    for part in (CHART, EMPTY, ARTIFACT):
        assert holder.daemon.ctr("content", "get", digest_of(part)).out == part.decode()


def test_a_push_says_why_not(linked: tuple[Stack, License], holder: Holder, tmp_path: Path) -> None:
    """In the words of ours, not of the linked registry."""
    IMAGE.write_layout(tmp_path / "layout")
    target = f"docker://{linked[0].name}/proxy/shop/hub/org/image:mine"
    ran = holder.run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{tmp_path / 'layout'}", target)

    assert ran.code != 0
    assert "denied" in ran.err or "can only be pulled" in ran.err
