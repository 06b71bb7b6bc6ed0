"""Deleting next to manifests that are long, strange or many, and from a registry that is slow."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any

import pytest

from authsvc.errors import RegistryUnavailable
from authsvc.images.manifest import parse_manifest
from authsvc.images.placeholder import ARTIFACT_TYPE, EMPTY_DIGEST, read_placeholder
from authsvc.registries import reader, repository_reader, tag_deletion
from tests.support.deletions import Scene, Variant, delete
from tests.support.oci import INDEX, MANIFEST, index_of
from tests.support.real_registry import INSTALLED, RealRegistry
from tests.support.tag_reports import TagReports, reporting

GOES, OTHER = Variant("goes"), Variant("other")

TAG = "1.0"


@pytest.fixture(scope="module")
def reported() -> Iterator[tuple[RealRegistry, TagReports]]:
    """Return a running registry and what it reports."""
    with reporting(INSTALLED) as running:
        yield running


@pytest.fixture
def scene(reported: tuple[RealRegistry, TagReports], monkeypatch: pytest.MonkeyPatch) -> Scene:
    """Return a repository with one image, which has one tag."""
    monkeypatch.setattr(tag_deletion, "PAUSES", (0.0, 0.0))
    scene = Scene(*reported)
    scene.upload()
    scene.put(TAG, GOES.manifest)
    return scene


def nested(*others: dict[str, Any], **members: object) -> bytes:
    """Return an index that contains an index that contains the image, behind other entries."""
    (row,) = json.loads(index_of(index_of(GOES.manifest)))["manifests"]
    rows = [*others, {**row, "mediaType": INDEX}]
    return json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows, **members}).encode()


def push_nested(scene: Scene, index: bytes) -> None:
    """Push it; the index within has no tag."""
    inner = index_of(GOES.manifest)
    scene.put("inner", inner, INDEX)
    scene.put("inner", OTHER.manifest)
    scene.put("multi", index, INDEX)


async def test_a_part_of_an_index_with_more_entries_than_are_read(scene: Scene) -> None:
    """It stays, as if it were known to be needed: the index is not understood, so it may contain anything."""
    push_nested(scene, nested(*json.loads(index_of(OTHER.manifest))["manifests"] * 1_000))
    async with scene.deleting() as (deletion, _):
        done = await delete(deletion, TAG)

    assert done is not None
    assert (done.tags, done.manifest, scene.get(GOES.digest)) == ((TAG,), False, GOES.manifest)


async def test_a_part_of_an_index_that_is_too_long(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """The same: parsing megabytes of what somebody pushed would hold up every other request of the worker."""
    lengths: list[int] = []

    def measured(content: bytes, media_type: str) -> object:
        lengths.append(len(content))
        return parse_manifest(content, media_type)

    monkeypatch.setattr(repository_reader, "parse_manifest", measured)
    push_nested(scene, nested(annotations={"note": "x" * (reader.MAX_MANIFEST + 1)}))
    async with scene.deleting() as (deletion, _):
        done = await delete(deletion, TAG)

    assert done is not None
    assert (done.manifest, scene.get(GOES.digest)) == (False, GOES.manifest)
    assert max(lengths, default=0) <= reader.MAX_MANIFEST


async def test_indexes_in_each_other_beyond_what_is_followed(scene: Scene) -> None:
    """What is in the innermost one stays: what is not looked at may contain it."""
    content = index_of(GOES.manifest)
    for _ in range(repository_reader.MAX_NESTED + 1):
        scene.put("multi", content, INDEX)
        (row,) = json.loads(index_of(content))["manifests"]
        rows = [{**row, "mediaType": INDEX}]
        content = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": rows}).encode()
    async with scene.deleting() as (deletion, _):
        done = await delete(deletion, TAG)

    assert done is not None
    assert (done.manifest, scene.get(GOES.digest)) == (False, GOES.manifest)


async def test_a_long_image(scene: Scene) -> None:
    """One of nearly four megabytes is deleted like any other."""
    manifest = {**json.loads(OTHER.manifest), "annotations": {"note": "x" * 4_000_000}}
    for tag in ("long", "longer"):
        scene.put(tag, json.dumps(manifest).encode())
    async with scene.deleting() as (deletion, _):
        first, last = await delete(deletion, "long"), await delete(deletion, "longer")

    assert first is not None
    assert last is not None
    assert (first.manifest, last.manifest, scene.content()) == (False, True, {TAG: GOES.manifest})


def test_a_long_placeholder_is_none() -> None:
    """Ours are short, and a long one is not even parsed."""
    config = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY_DIGEST, "size": 2}
    made = {"mediaType": MANIFEST, "artifactType": ARTIFACT_TYPE, "config": config, "layers": [config]}
    assert read_placeholder(json.dumps(made).encode(), MANIFEST) is not None
    assert read_placeholder(json.dumps({**made, "annotations": {"x": "x" * 5_000}}).encode(), MANIFEST) is None


async def test_a_registry_that_is_slow(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer is in time, and all of them together are not: it ends, and nothing was deleted."""
    monkeypatch.setattr(repository_reader, "DEADLINE", 0.3)
    async with scene.deleting() as (deletion, session):
        request = session.request

        async def slow(*arguments: Any, **more: Any) -> Any:
            await asyncio.sleep(0.2)
            return await request(*arguments, **more)

        monkeypatch.setattr(session, "request", slow)
        for number in range(20):
            scene.put(f"t{number}", GOES.manifest)
        with pytest.raises(RegistryUnavailable):
            await delete(deletion, TAG)

    assert len(scene.content()) == 21
