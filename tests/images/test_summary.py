"""Summaries: what follows from a manifest, an index and what is in it, whoever wrote them."""

import json
from typing import Any

from authsvc.images.evidence import Evidence
from authsvc.images.manifest import CONFIGS, INDEXES, MANIFESTS, ImageKind, Manifest, Platform, parse_manifest
from authsvc.images.summary import (
    MAX_ATTESTATIONS,
    MAX_BLOBS,
    MAX_PLATFORMS,
    PlatformImage,
    of_index,
    of_manifest,
    unreadable,
)
from tests.support.oci import digest_of

AMD, ARM = Platform("linux", "amd64"), Platform("linux", "arm64", "v8")
ATTESTED = {"platform": {"os": "unknown", "architecture": "unknown"}}


def name(number: int) -> str:
    """Return a digest."""
    return digest_of(str(number).encode())


def image(*layers: int, config: int = 0) -> Manifest:
    """Return an image; a blob has as many bytes as its number, and a configuration one."""
    rows = [{"mediaType": "x/layer", "digest": name(number), "size": number} for number in layers]
    body = {"config": {"mediaType": CONFIGS[0], "digest": name(config), "size": 1}, "layers": rows}
    found = parse_manifest(json.dumps(body).encode(), MANIFESTS[0])
    assert found is not None
    return found


def index(*children: tuple[int, dict[str, Any]]) -> Manifest:
    """Return an index of manifests, each with what else is said of it."""
    rows = [{"mediaType": MANIFESTS[0], "digest": name(number), "size": 1, **more} for number, more in children]
    found = parse_manifest(json.dumps({"manifests": rows}).encode(), INDEXES[0])
    assert found is not None
    return found


def runs(platform: Platform) -> dict[str, Any]:
    """Return how an index says what an image runs on."""
    variant = {} if platform.variant is None else {"variant": platform.variant}
    return {"platform": {"os": platform.os, "architecture": platform.architecture, **variant}}


def attestation() -> Manifest:
    """Return an attestation of BuildKit's with a bill."""
    notes = {"in-toto.io/predicate-type": "https://spdx.dev/Document"}
    body = {
        "config": {"mediaType": CONFIGS[0], "digest": name(0), "size": 1},
        "layers": [{"mediaType": "application/vnd.in-toto+json", "digest": name(1), "size": 1, "annotations": notes}],
    }
    found = parse_manifest(json.dumps(body).encode(), MANIFESTS[0])
    assert found is not None
    return found


def test_an_image() -> None:
    """One platform, with the size of it all."""
    found = of_manifest(name(9), image(20, 300, 20), AMD)
    assert (found.summary.kind, found.summary.size) == (ImageKind.IMAGE, 321)
    assert found.summary.platforms == (PlatformImage(name(9), AMD, 321),)
    assert [blob.size for blob in found.blobs[0].blobs] == [1, 20, 300, 20]


def test_an_index_counts_shared_layers_once() -> None:
    """Each platform has its own size; together a layer that both have counts once."""
    both = index((1, runs(AMD)), (2, runs(ARM)))
    read = {name(1): image(100, 20, config=6), name(2): image(100, 3, config=7)}
    found = of_index(name(9), both, read, {}).summary
    assert found.platforms == (PlatformImage(name(1), AMD, 121), PlatformImage(name(2), ARM, 104))
    assert (found.kind, found.size, found.complete, found.evidence) == (ImageKind.INDEX, 125, True, ())


def test_a_part_that_is_missing() -> None:
    """Its size is unknown, and so is that of the whole; the rest is known, and it is read again some time."""
    both = index((1, runs(AMD)), (2, runs(ARM)))
    found = of_index(name(9), both, {name(1): image(100)}, {}).summary
    assert found.platforms == (PlatformImage(name(1), AMD, 101), PlatformImage(name(2), ARM, None))
    assert (found.size, found.complete) == (None, False)


def test_a_platform_that_only_the_configuration_says() -> None:
    """An index need not name it."""
    found = of_index(name(9), index((1, {})), {name(1): image(100)}, {name(1): ARM}).summary
    assert found.platforms == (PlatformImage(name(1), ARM, 101),)


def test_attestations_are_not_platforms() -> None:
    """They say what they are, and their size does not count."""
    found = of_index(
        name(9), index((1, runs(AMD)), (2, ATTESTED)), {name(1): image(100), name(2): attestation()}, {}
    ).summary
    assert found.platforms is not None
    assert [one.platform for one in found.platforms] == [AMD]
    assert (found.size, found.evidence) == (101, (Evidence.SBOM,))


def test_an_attestation_that_is_missing_is_unknown() -> None:
    """It may be anything."""
    found = of_index(name(9), index((1, runs(AMD)), (2, ATTESTED)), {name(1): image(100)}, {}).summary
    assert (found.evidence, found.complete) == ((Evidence.UNKNOWN,), False)


def test_too_much_of_everything() -> None:
    """Beyond each bound the answer is unknown: platforms, attestations, and blobs over all platforms."""
    many = index(*((number, runs(AMD)) for number in range(MAX_PLATFORMS + 1)))
    found = of_index(name(9), many, {}, {})
    assert (found.summary.platforms, found.summary.size, found.blobs) == (None, None, ())

    attested = index((1, runs(AMD)), *((number, ATTESTED) for number in range(2, MAX_ATTESTATIONS + 3)))
    read = {name(1): image(100), **{name(number): attestation() for number in range(2, MAX_ATTESTATIONS + 3)}}
    assert Evidence.UNKNOWN in of_index(name(9), attested, read, {}).summary.evidence

    long = of_manifest(name(9), image(*range(1, MAX_BLOBS + 1)), AMD)
    assert (long.summary.size, long.blobs) == (None, ())


def test_what_cannot_be_read() -> None:
    """It has a digest and a media type, and everything else is unknown."""
    found = unreadable(name(9), "text/html").summary
    assert (found.kind, found.size, found.platforms, found.evidence) == (
        ImageKind.UNKNOWN,
        None,
        None,
        (Evidence.UNKNOWN,),
    )
