"""Garbage collection of ``authsvc up``: what it frees and keeps, and what pushes, pulls and a kill see of it."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from attrs import frozen

from authsvc.local.programs import find_binaries
from authsvc.local.registry_locks import is_held_alone
from tests.support.attached import platform_index
from tests.support.http_client import Reply
from tests.support.oci import INDEX, Image, digest_of
from tests.support.registry_client import Client
from tests.support.stack import GOOD_PATH, Stack, running_stack
from tests.support.tenants import make_member, make_team, unique
from tests.support.waiting import PATIENCE, until

SLOW = """#!/bin/sh
while [ -e '{hold}' ]; do sleep 0.05; done
exec '{registry}' "$@"
"""
"""The registry's program, which waits before it begins."""


@frozen
class Vendor:
    """An app with an owner on a stack of its own, whose registry starts again and again.

    Attributes:
        stack: that nobody else uses.
        app: with the repository ``APP/worker``.
        client: of the owner.
    """

    stack: Stack
    app: str
    client: Client

    @property
    def repository(self) -> str:
        """Where images are pushed to."""
        return f"{self.app}/worker"

    def blobs(self) -> set[str]:
        """Return the digests of all blobs on the disk."""
        folder = self.stack.data_dir / "registry/docker/registry/v2/blobs/sha256"
        return {f"sha256:{path.parent.name}" for path in folder.glob("*/*/data")}

    def begin_upload(self) -> Reply:
        """Begin to push a blob."""
        return self.client.ask("POST", f"/v2/{self.repository}/blobs/uploads/")

    def until_answered(self, status: int) -> None:
        """Wait until a push is answered so; the registry starts again meanwhile."""
        until(lambda: self.begin_upload().status == status, f"a push is answered with {status}")

    def delete(self, image: Image) -> None:
        """Delete a manifest, which leaves its blobs on the disk."""
        assert self.client.ask("DELETE", f"/v2/{self.repository}/manifests/{image.digest}").status == 202


@pytest.fixture(scope="module")
def seller() -> Iterator[Vendor]:
    """Return a vendor on a running stack."""
    with running_stack() as stack:
        app = unique("shop")
        team = make_team(stack, app)
        yield Vendor(stack, app, Client(stack.port, make_member(stack, team, "owner")))


@pytest.fixture
def vendor(seller: Vendor) -> Vendor:
    """Return the vendor when no garbage is left and the registry writes, whatever the test before has collected."""
    seller.until_answered(202)
    seller.stack.json("gc")
    seller.until_answered(202)
    return seller


@contextmanager
def slow_collection(stack: Stack, folder: Path) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """Yield a running ``authsvc gc`` that does not end before the file is gone that comes with it."""
    hold, program = folder / "hold", folder / "docker-registry"
    hold.touch()
    program.write_text(SLOW.format(hold=hold, registry=find_binaries(GOOD_PATH).registry))
    program.chmod(0o700)
    command = (*stack.command, "gc", "--json", "--data-dir", str(stack.data_dir))
    environ = {**stack.environ, "PATH": f"{folder}:{GOOD_PATH}"}
    with subprocess.Popen(
        command, env=environ, cwd=stack.folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process, hold
        finally:
            hold.unlink(missing_ok=True)
            process.kill()


def finish(process: subprocess.Popen[str], hold: Path) -> int:
    """Let a slow collection go on and return how many blobs it freed."""
    hold.unlink()
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, err
    blobs: int = json.loads(out)["blobs"]
    return blobs


def test_a_deleted_image_is_freed_and_the_rest_stays(vendor: Vendor) -> None:
    """Its three blobs go, and their sizes are said; an image of two platforms stays whole, whose parts have no tag."""
    stack, client = vendor.stack, vendor.client
    old, parts = Image(b"an old release" * 1000), {"linux/amd64": Image(b"amd"), "linux/arm64": Image(b"arm")}
    client.push(vendor.repository, "old", old)
    for part in parts.values():
        client.push(vendor.repository, part.digest, part)
    index = json.dumps(platform_index(parts)).encode()
    assert client.put_manifest(vendor.repository, "multi", index, INDEX).status == 201
    before, registry = vendor.blobs(), stack.pid("registry")
    vendor.delete(old)
    size = len(old.manifest) + len(old.config) + len(old.layer)

    looked = stack.json("gc", "--dry-run")
    assert (looked, vendor.blobs()) == ({"dry_run": True, "blobs": 3, "bytes": size}, before)
    assert stack.pid("registry") == registry
    assert stack.json("gc") == {"dry_run": False, "blobs": 3, "bytes": size}

    assert vendor.blobs() == before - old.digests
    assert digest_of(index) in vendor.blobs()
    vendor.until_answered(202)
    for part in parts.values():
        client.pull(vendor.repository, part.digest, part)
    client.push(vendor.repository, "old", old)
    client.pull(vendor.repository, "old", old)
    said = stack.err.read_text()
    assert "the registry is read-only while garbage is collected" in said
    assert "the registry writes again" in said
    assert "starting it again" not in said


def test_pushes_are_refused_meanwhile_and_pulls_are_not(vendor: Vendor, tmp_path: Path) -> None:
    """A push that had begun is refused too, and works when it is repeated; a second collection is refused."""
    stack, client, image = vendor.stack, vendor.client, Image(b"pushed meanwhile")
    sold = Image(b"sold")
    client.push(vendor.repository, "sold", sold)
    client.push_blob(vendor.repository, image.layer)
    begun = vendor.begin_upload().headers["location"]
    with slow_collection(stack, tmp_path) as (process, hold):
        vendor.until_answered(405)
        ended = client.ask("PUT", f"{begun}&digest={digest_of(image.config)}", body=image.config)
        refused = (
            vendor.begin_upload(),
            ended,
            client.put_manifest(vendor.repository, "sold", sold.manifest),
            client.ask("DELETE", f"/v2/{vendor.repository}/manifests/{sold.digest}"),
        )
        unknown = client.ask("POST", f"/v2/{vendor.repository}/manifests/sold")
        client.pull(vendor.repository, "sold", sold)
        second = stack.authsvc("gc", check=False)
        freed = finish(process, hold)

    for reply in refused:
        (error,) = json.loads(reply.body)["errors"]
        assert (reply.status, error["code"]) == (405, "UNSUPPORTED")
        assert "read-only, as it is while garbage is collected" in error["message"]
    assert unknown.status == 405
    assert "read-only" not in str(unknown.body)
    assert second.code == 1
    assert "another garbage collection is running" in second.err
    assert freed == 1
    assert digest_of(image.layer) not in vendor.blobs()
    vendor.until_answered(202)
    client.push(vendor.repository, "meanwhile", image)
    client.pull(vendor.repository, "meanwhile", image)
    client.pull(vendor.repository, "sold", sold)


def test_a_killed_command_leaves_no_read_only_registry(vendor: Vendor, tmp_path: Path) -> None:
    """Its locks end with it, and so does the registry's program that it ran."""
    image = Image(b"unharmed")
    vendor.client.push(vendor.repository, "unharmed", image)
    with slow_collection(vendor.stack, tmp_path) as (process, hold):
        vendor.until_answered(405)
        process.kill()
        process.wait(PATIENCE)
        vendor.until_answered(202)
        assert hold.exists()

    vendor.client.pull(vendor.repository, "unharmed", image)
    assert vendor.stack.json("gc")["dry_run"] is False


def test_without_up_and_a_start_meanwhile(vendor: Vendor, tmp_path: Path) -> None:
    """It collects while nothing runs; a registry that is started then is read-only until it has ended."""
    stack, image, kept = vendor.stack, Image(b"deleted, then stopped"), Image(b"kept")
    vendor.client.push(vendor.repository, "deleted", image)
    vendor.client.push(vendor.repository, "kept", kept)
    vendor.delete(image)
    assert stack.stop() == 0

    with slow_collection(stack, tmp_path) as (process, hold):
        until(lambda: is_held_alone(stack.data_dir / "run/gc-lock"), "it has begun")
        stack.start()
        vendor.until_answered(405)
        freed = finish(process, hold)

    assert freed == 3
    assert image.digests.isdisjoint(vendor.blobs())
    vendor.until_answered(202)
    vendor.client.pull(vendor.repository, "kept", kept)
    assert stack.stop() == 0
    assert stack.json("gc")["blobs"] == 0
    stack.start()
