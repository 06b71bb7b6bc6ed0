"""Images on the whole stack: what skopeo and docker's client push is listed, with who pushed and who runs it."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.attached import IN_TOTO, SPDX, artifact, attestation_row, platform_index
from tests.support.http_client import ask
from tests.support.oci import INDEX, MANIFEST, Image, digest_of
from tests.support.registry_client import Client
from tests.support.skopeo import Skopeo
from tests.support.stack import Stack
from tests.support.tenants import make_license, make_member, make_team, unique
from tests.support.waiting import until

ONE, TWO = Image(b"one"), Image(b"two")


@pytest.fixture
def app(stack: Stack) -> str:
    """Return an app, whose team has the same slug."""
    slug = unique("pictures")
    make_team(stack, slug, slug=slug)
    return slug


def listed(stack: Stack, app: str, *tags: str) -> dict[str, Any]:
    """Return the images of an app by tag, as soon as the list has all of these tags, and knows all about them."""

    def look() -> dict[str, Any]:
        found = {one["tag"]: one for one in stack.json("image", "list", "--app", app)}
        known = {tag for tag, one in found.items() if one["kind"] is not None and one["signed"] is not None}
        return found if set(tags) <= known else {}

    return until(look, f"the tags {tags} are listed")


def test_what_skopeo_pushed_and_pulled(stack: Stack, app: str, tmp_path: Path) -> None:
    """The list has the tag with who pushed it, and after a pull the customer that runs it."""
    owner = make_member(stack, app, "owner")
    (tmp_path / "vendor").mkdir()
    (tmp_path / "holder").mkdir()
    vendor, holder = Skopeo(stack, tmp_path / "vendor"), Skopeo(stack, tmp_path / "holder")
    vendor.log_in(owner)
    assert vendor.push(ONE, f"{app}/worker:1.0").code == 0
    found = listed(stack, app, "1.0")["1.0"]
    license_ = make_license(stack, app)
    holder.log_in(license_.account)
    assert holder.pull(f"{app}/worker:1.0").code == 0

    assert (found["repository"], found["kind"], found["digest"]) == (f"{app}/worker", "image", ONE.digest)
    assert [one["platform"] for one in found["platforms"]] == ["linux/amd64"]
    assert found["size"] == len(ONE.config) + len(ONE.layer)

    def pulled() -> Any:
        shown = stack.json("image", "show", f"{stack.name}/{app}/worker:1.0")
        return shown if shown["pulled_at"] and shown["pushed_at"] else None

    shown = until(pulled, "the pull is recorded")
    assert (shown["pushed_by_name"], shown["pulled_by"]) == (owner.username, f"license:{license_.id}")
    assert [(one["license"], one["customer"]) for one in shown["customers"]] == [(license_.id, "Globex")]
    assert [layer["digest"] for layer in shown["manifests"][0]["layers"]] == [digest_of(ONE.layer)]
    assert (shown["signed"], shown["sbom"], shown["from_registry"]) == (False, False, False)


def test_an_index_with_an_attestation(stack: Stack, app: str) -> None:
    """As docker buildx pushes it: platforms with their sizes, an SBOM, and the manifests in it are no tags."""
    client, repository = Client(stack.port, make_member(stack, app, "owner")), f"{app}/multi"
    for image in (ONE, TWO):
        client.push_blob(repository, image.layer)
        client.push_blob(repository, image.config)
        assert client.put_manifest(repository, image.digest, image.manifest).status == 201
    built = artifact(b"bill", IN_TOTO, annotations={"in-toto.io/predicate-type": SPDX})
    for blob in (b"{}", b"bill"):
        client.push_blob(repository, blob)
    content = json.dumps(built).encode()
    assert client.put_manifest(repository, digest_of(content), content, MANIFEST).status == 201
    index = platform_index({"linux/amd64": ONE, "linux/arm64/v8": TWO}, attestation_row(built, ONE.digest))
    assert client.put_manifest(repository, "2.0", json.dumps(index).encode(), INDEX).status == 201

    found = listed(stack, app, "2.0")
    assert set(found) == {"2.0"}
    assert (found["2.0"]["kind"], found["2.0"]["sbom"], found["2.0"]["signed"]) == ("index", True, False)
    assert [one["platform"] for one in found["2.0"]["platforms"]] == ["linux/amd64", "linux/arm64/v8"]
    shown = stack.json("image", "show", f"{repository}@{TWO.digest}")
    assert (shown["from_registry"], shown["tag"], shown["kind"]) == (True, None, "image")


def test_a_moved_and_a_deleted_tag(stack: Stack, app: str) -> None:
    """The list follows both, and what the app adds up to follows the list."""
    client, repository = Client(stack.port, make_member(stack, app, "owner")), f"{app}/moving"
    client.push(repository, "latest", ONE)
    client.push(repository, "1.0", ONE)
    listed(stack, app, "latest", "1.0")
    client.push(repository, "latest", TWO)
    until(lambda: listed(stack, app, "latest")["latest"]["digest"] == TWO.digest, "the tag is listed where it is")
    assert stack.json("image", "show", f"{repository}:1.0")["tags"] == ["1.0"]

    def total() -> Any:
        return stack.json("app", "show", app)["images"]

    both = len(ONE.config) + len(ONE.layer) + len(TWO.config) + len(TWO.layer)
    until(lambda: total()["size"] == both, "both images are added up")
    client.ask("DELETE", f"/v2/{repository}/manifests/{ONE.digest}")
    until(lambda: set(listed(stack, app, "latest")) == {"latest"}, "the deleted tag is not listed")
    until(lambda: (total()["tags"], total()["size"]) == (1, len(TWO.config) + len(TWO.layer)), "it does not count")
    assert "there is no image" in stack.authsvc("image", "show", f"{repository}:1.0", check=False).err


def test_what_people_read(stack: Stack, app: str) -> None:
    """Tables say what is known, and question marks what is not."""
    client, repository = Client(stack.port, make_member(stack, app, "owner")), f"{app}/worker"
    client.push(repository, "1.0", ONE)
    listed(stack, app, "1.0")
    table = stack.authsvc("image", "list", "--app", app).out.splitlines()
    assert table[0].split() == ["IMAGE", "DIGEST", "PLATFORMS", "SIZE", "PUSHED", "LAST", "PULL", "SIGNED", "SBOM"]
    assert table[1].split()[:3] == [f"{repository}:1.0", ONE.digest[7:19], "linux/amd64"]
    shown = stack.authsvc("image", "show", f"{repository}:1.0").out
    assert "PLATFORM" in shown
    assert digest_of(ONE.layer) in shown
    whole = stack.authsvc("image", "show", repository).out
    assert f"repository  {repository}" in whole
    until(lambda: "1 tag in 1 repository, 270 B" in stack.authsvc("app", "show", app).out, "it is added up")


def test_nothing_of_another_team(stack: Stack, app: str) -> None:
    """The operator sees every app; a list of one app is of that app, and an unknown name is refused."""
    other = unique("others")
    make_team(stack, other, slug=other)
    for slug in (app, other):
        Client(stack.port, make_member(stack, slug, "owner")).push(f"{slug}/api", "1", ONE)
        listed(stack, slug, "1")
    assert {one["repository"] for one in stack.json("image", "list", "--app", app)} == {f"{app}/api"}
    assert other not in stack.authsvc("image", "show", f"{app}/api:1", "--json").out
    for name, said in ((f"{app}/none:1", "there is no image"), ("x", "is not an image of this registry")):
        refused = stack.authsvc("image", "show", name, check=False)
        assert (refused.code, refused.out) == (1, "")
        assert said in refused.err


def test_the_crawl_is_in_metrics_and_log(stack: Stack) -> None:
    """When the last one ended, and what it found."""

    def crawled() -> bool:
        lines = ask(stack.inside, "GET", "/metrics").body.decode().splitlines()
        name = "authsvc_images_crawled_timestamp_seconds"
        return any(line.startswith(f"{name} ") and float(line.split()[1]) > 0 for line in lines)

    until(crawled, "the end of the first crawl is in the metrics")

    def ends() -> list[dict[str, Any]]:
        return [event for event in stack.events("serve.log") if event["event"] == "images.crawl_end"]

    until(ends, "it is in the log")  # which is written a moment later
    assert ends()[0].keys() >= {"seconds", "repositories", "outside", "errors"}
