"""Every client pulls an image of a linked registry with nothing but a license file, and no client pushes there."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.attached import platform_index
from tests.support.containerd import Containerd
from tests.support.docker_engine import DockerEngine
from tests.support.http_client import ask
from tests.support.oci import INDEX, Image, digest_of
from tests.support.stack import Stack, running_stack
from tests.support.tenants import License, make_license, make_team
from tests.support.upstream_registry import USERS, upstream_registry
from tests.support.upstream_tls import UpstreamAuthority
from tests.system.test_license_holder import CLIENTS, Holder

pytestmark = [pytest.mark.system, pytest.mark.timeout(240)]

IMAGE = Image(b"of the linked registry" * 10_000)


@pytest.fixture(scope="module")
def linked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Stack, License]]:
    """Return an installation that shows a registry with htpasswd and TLS, and a license for it."""
    authority = UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))
    settings = {"UPSTREAM_CA_FILE": str(authority.file), "UPSTREAM_PRIVATE_NETWORKS": "127.0.0.0/8"}
    with upstream_registry(authority) as upstream, running_stack(options=("--workers", "1"), **settings) as stack:
        upstream.push("org/image", "amd64", IMAGE)
        upstream.push_manifest("org/image", "1.0", INDEX, json.dumps(platform_index({"linux/amd64": IMAGE})).encode())
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
    """By tag and by digest."""
    name = f"{linked[0].name}/proxy/shop/hub/org/image"
    for reference in (f"{name}:1.0", f"{name}@{digest_of(IMAGE.manifest)}"):
        ran = CLIENTS[client](holder, reference)
        assert ran.code == 0, (client, ran)


def test_a_push_says_why_not(linked: tuple[Stack, License], holder: Holder, tmp_path: Path) -> None:
    """In the words of ours, not of the linked registry."""
    IMAGE.write_layout(tmp_path / "layout")
    target = f"docker://{linked[0].name}/proxy/shop/hub/org/image:mine"
    ran = holder.run("skopeo", "copy", "--dest-tls-verify=false", f"oci:{tmp_path / 'layout'}", target)

    assert ran.code != 0
    assert "denied" in ran.err or "can only be pulled" in ran.err
