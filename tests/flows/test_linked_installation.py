"""A linked registry that is an installation of another vendor: a stock registry behind its own authsvc and TLS."""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.support.attached import EMPTY, artifact, platform_index
from tests.support.oci import INDEX, Image, digest_of
from tests.support.ports import free_port
from tests.support.registry_client import Client
from tests.support.skopeo import Skopeo
from tests.support.stack import Stack, running_stack
from tests.support.tenants import License, make_license, make_member, make_team
from tests.support.tls_relay import TlsRelay
from tests.support.upstream_tls import UpstreamAuthority

IMAGES = {"linux/amd64": Image(b"amd" * 20_000), "linux/arm64": Image(b"arm" * 20_000)}
MULTI = json.dumps(platform_index(IMAGES)).encode()
CHART = b"a chart" * 1000
ARTIFACT = json.dumps(
    artifact(CHART, "application/vnd.example.chart.v1.tar+gzip", artifact_type="application/vnd.example.chart.v1")
).encode()


@frozen
class Vendors:
    """Two installations: ``ours`` links the other one with a license that the other vendor has sold.

    Attributes:
        ours: where customers pull.
        theirs: of the vendor that is linked.
        bought: the license of ours there.
        holder: a customer of ours.
    """

    ours: Stack
    theirs: Stack
    bought: License
    holder: License


@pytest.fixture(scope="module")
def vendors(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendors]:
    """Run both, and TLS in front of the one that is linked."""
    authority, port = UpstreamAuthority.make(tmp_path_factory.mktemp("ca")), free_port()
    address = f"https://localhost:{port}"
    settings = {"UPSTREAM_CA_FILE": str(authority.file), "UPSTREAM_PRIVATE_NETWORKS": "127.0.0.0/8"}
    with (
        running_stack(options=("--workers", "1", "--public-url", address)) as theirs,
        TlsRelay(authority.issue().server_context(), port, theirs.port),
        running_stack(options=("--workers", "1"), **settings) as ours,
    ):
        team = make_team(theirs, "parts")
        publisher = Client(theirs.port, make_member(theirs, team, "developer"), service=f"localhost:{port}")
        for platform, image in IMAGES.items():
            publisher.push("parts/engine", platform.replace("/", "-"), image)
        assert publisher.put_manifest("parts/engine", "1.0", MULTI, INDEX).status == 201
        publisher.push("parts/spare", "1.0", IMAGES["linux/amd64"])
        for blob in (EMPTY, CHART):
            publisher.push_blob("parts/chart", blob)
        assert publisher.put_manifest("parts/chart", "1.0", ARTIFACT).status == 201
        bought = make_license(theirs, "parts")
        make_team(ours, "shop")
        ours.authsvc(
            *("upstream", "link", "parts", "--app", "shop", "--provider", "other", "--url", address),
            *("--username", "license", "--secret-stdin", "--repository", "parts/**"),
            stdin=bought.token,
        )
        yield Vendors(ours, theirs, bought, make_license(ours, "shop", "--repository", "proxy/parts/**"))


def pulled(vendors: Vendors, repository: str, folder: Path) -> set[str]:
    """Return the SHA-256 of all that skopeo gets of an image, every platform of it."""
    skopeo = Skopeo(vendors.ours, folder)
    assert skopeo.log_in(vendors.holder.account).code == 0
    reference = f"docker://{vendors.ours.name}/proxy/shop/parts/{repository}:1.0"
    done = skopeo.run("copy", "--all", "--src-tls-verify=false", reference, f"dir:{folder / 'pulled'}")
    assert done.code == 0, done
    return {hashlib.sha256(file.read_bytes()).hexdigest() for file in (folder / "pulled").iterdir()}


def test_all_platforms(vendors: Vendors, tmp_path: Path) -> None:
    """The index and every image in it, byte for byte; the other vendor's token server was asked for the token."""
    parts = [MULTI, *(part for one in IMAGES.values() for part in (one.manifest, one.config, one.layer))]

    assert {digest_of(part).removeprefix("sha256:") for part in parts} <= pulled(vendors, "parts/engine", tmp_path)


def test_an_artifact(vendors: Vendors, tmp_path: Path) -> None:
    """What is no image, too."""
    parts = (ARTIFACT, CHART, EMPTY)

    assert {digest_of(part).removeprefix("sha256:") for part in parts} <= pulled(vendors, "parts/chart", tmp_path)


def test_the_license_that_was_bought_ends(vendors: Vendors) -> None:
    """What no token is left for cannot be had any more, and ours says whose license it was that ended."""
    vendors.theirs.authsvc("license", "revoke", vendors.bought.id)
    client = Client(vendors.ours.port, vendors.holder.account)
    reply = client.ask("GET", "/v2/proxy/shop/parts/parts/spare/manifests/1.0")

    assert (reply.status, reply.error()[0]) == (502, "UNAVAILABLE")
    tested = vendors.ours.authsvc("upstream", "test", "parts", "--app", "shop", check=False)
    assert (tested.code, "FAILED  token" in tested.out) == (1, True), tested
