"""What a crawl says of an image: its platforms and size, and what is attached to it."""

import json

import pytest

from authsvc.images.evidence import Evidence
from authsvc.images.manifest import ImageKind
from tests.image_index.world import World, size_of
from tests.support.attached import (
    DSSE,
    EMPTY,
    IN_TOTO,
    PROVENANCE,
    SIMPLE_SIGNING,
    SPDX,
    artifact,
    attestation_row,
    cosign_tag,
    platform_index,
)
from tests.support.oci import INDEX, MANIFEST, Image

ONE, TWO, THREE = Image(b"one"), Image(b"two"), Image(b"three")


async def test_platforms_of_an_index(world: World) -> None:
    """Every platform with its own size; the whole with each blob once; what is in it is no tag."""
    images = {"linux/amd64": ONE, "linux/arm64/v8": TWO}
    for image in images.values():
        world.content.push_blob("acme/api", image.layer)
        world.content.push_blob("acme/api", image.config)
        world.content.put("acme/api", image.digest, image.manifest)
    index = world.content.push_json("acme/api", "v1", platform_index(images))
    await world.crawl()

    listed = await world.only("acme/api", "v1")
    assert listed.summary is not None
    assert (listed.digest, listed.summary.kind, listed.summary.size) == (index, ImageKind.INDEX, size_of(ONE, TWO))
    assert {str(one.platform): (one.digest, one.size) for one in listed.summary.platforms or ()} == {
        "linux/amd64": (ONE.digest, size_of(ONE)),
        "linux/arm64/v8": (TWO.digest, size_of(TWO)),
    }
    blobs = await world.images.blobs("acme", index)
    assert blobs is not None
    assert [one.digest for one in blobs] == [ONE.digest, TWO.digest]
    assert await world.names() == ["acme/api:v1"]


async def test_signed_and_with_a_bill(world: World) -> None:
    """Attestations in an index, cosign's tags and the fallback tag of referrers are found; the rest has neither."""
    push = world.content
    for tag, image in (("plain", ONE), ("signed", TWO), ("attested", THREE), ("listed", Image(b"4"))):
        push.push("acme/api", tag, image)
    push.push_json("acme/api", cosign_tag(TWO.digest, ".sig"), artifact(b"s", SIMPLE_SIGNING), EMPTY, b"s")
    bill = artifact(b"a", DSSE, annotations={"predicateType": SPDX})
    push.push_json("acme/api", cosign_tag(THREE.digest, ".att"), bill, EMPTY, b"a")
    signature = artifact(b"n", "application/jose+json", artifact_type="application/vnd.cncf.notary.signature")
    digest = push.push_json("acme/api", "", signature, EMPTY, b"n")
    row = {
        "mediaType": MANIFEST,
        "digest": digest,
        "size": len(json.dumps(signature)),
        "artifactType": "application/vnd.cncf.notary.signature",
    }
    fallback = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [row]}
    push.push_json("acme/api", cosign_tag(Image(b"4").digest), fallback)
    built = artifact(b"b", IN_TOTO, annotations={"in-toto.io/predicate-type": SPDX})
    push.push_json("acme/api", "", built, EMPTY, b"b")
    index = platform_index({"linux/amd64": ONE}, attestation_row(built, ONE.digest))
    push.push_json("acme/api", "built", index)
    await world.crawl()

    found = {one.tag: (one.signed, one.sbom) for one in await world.listed() if "-" not in one.tag}
    assert found == {
        "plain": (False, False),
        "signed": (True, False),
        "attested": (False, True),
        "listed": (True, False),
        "built": (False, True),
    }
    built_now = await world.only("acme/api", "built")
    assert built_now.summary is not None
    assert [str(one.platform) for one in built_now.summary.platforms or ()] == ["linux/amd64"]


async def test_an_attestation_that_does_not_say_what_it_is(world: World) -> None:
    """Whether the image has a bill, or a signature, is unknown then, and not no."""
    world.content.push("acme/api", "v1", ONE)
    world.content.push_json("acme/api", cosign_tag(ONE.digest, ".att"), artifact(b"a", DSSE), EMPTY, b"a")
    built = artifact(b"b", IN_TOTO, annotations={"in-toto.io/predicate-type": PROVENANCE})
    world.content.push_json("acme/api", "", built, EMPTY, b"b")
    index = platform_index({"linux/amd64": ONE}, attestation_row(built, ONE.digest))
    world.content.push_json("acme/api", "v2", index)
    await world.crawl()

    one, two = await world.only("acme/api", "v1"), await world.only("acme/api", "v2")
    assert (one.signed, one.sbom, one.evidence) == (None, None, frozenset({Evidence.UNKNOWN}))
    assert (two.signed, two.sbom, two.evidence) == (False, False, frozenset({Evidence.PROVENANCE}))


async def test_artifacts_and_what_cannot_be_read(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """A chart is an artifact with its type; a manifest that is too long is there, and nothing of it is known."""
    chart = artifact(
        b"chart", "application/vnd.cncf.helm.chart.content.v1.tar+gzip", artifact_type="application/x.helm"
    )
    world.content.push_json("acme/chart", "1.0.0", chart, EMPTY, b"chart")
    long = artifact(b"long", "x/layer")
    long["annotations"] = {"note": "x" * 5_000}
    world.content.push_json("acme/long", "v1", long, EMPTY, b"long")
    monkeypatch.setattr("authsvc.registries.reader.MAX_MANIFEST", 5_000)
    await world.crawl()

    found = {one.repository: one for one in await world.listed()}
    of_chart, of_long = found["acme/chart"].summary, found["acme/long"].summary
    assert of_chart is not None
    assert of_long is not None
    assert (of_chart.kind, of_chart.artifact_type, of_chart.platforms) == (ImageKind.ARTIFACT, "application/x.helm", ())
    assert (of_long.kind, of_long.size, of_long.platforms) == (ImageKind.UNKNOWN, None, None)
    assert (found["acme/long"].signed, found["acme/long"].sbom) == (None, None)
    assert (await world.sum("acme")).unsized == 1
