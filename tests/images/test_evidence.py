"""What counts as a signature or a bill of materials, by the marks that the tools leave."""

import json
from typing import Any

import pytest

from authsvc.images.evidence import Evidence, evidence_in, is_attestation, present, tag_of
from authsvc.images.manifest import EMPTY_CONFIG, INDEXES, MANIFESTS, Manifest, parse_manifest
from tests.support.oci import digest_of

DIGEST = digest_of(b"x")
BUNDLE = "application/vnd.dev.sigstore.bundle.v0.3+json"
DSSE = "application/vnd.dsse.envelope.v1+json"


def artifact(
    *layers: tuple[str, dict[str, str]], artifact_type: str | None = None, annotations: dict[str, str] | None = None
) -> Manifest:
    """Return an artifact with layers of these media types and annotations."""
    body: dict[str, Any] = {
        "config": {"mediaType": EMPTY_CONFIG, "digest": DIGEST, "size": 2},
        "layers": [
            {"mediaType": media_type, "digest": DIGEST, "size": 1, "annotations": notes} for media_type, notes in layers
        ],
        "annotations": annotations or {},
    }
    if artifact_type is not None:
        body["artifactType"] = artifact_type
    found = parse_manifest(json.dumps(body).encode(), MANIFESTS[0])
    assert found is not None
    return found


def listing(*children: dict[str, Any]) -> Manifest:
    """Return an index of what refers to an image."""
    rows = [{"mediaType": MANIFESTS[0], "digest": DIGEST, "size": 1, **child} for child in children]
    found = parse_manifest(json.dumps({"manifests": rows}).encode(), INDEXES[0])
    assert found is not None
    return found


CASES: list[tuple[str, Manifest | None, set[Evidence]]] = [
    ("cosign's signature", artifact(("application/vnd.dev.cosign.simplesigning.v1+json", {})), {Evidence.SIGNATURE}),
    ("notation's signature", artifact(artifact_type="application/vnd.cncf.notary.signature"), {Evidence.SIGNATURE}),
    (
        "a bundle that signs a message",
        artifact(artifact_type=BUNDLE, annotations={"dev.sigstore.bundle.content": "message-signature"}),
        {Evidence.SIGNATURE},
    ),
    (
        "a bundle with cosign's own statement",
        artifact(
            artifact_type=BUNDLE,
            annotations={
                "dev.sigstore.bundle.content": "dsse-envelope",
                "dev.sigstore.bundle.predicateType": "https://sigstore.dev/cosign/sign/v1",
            },
        ),
        {Evidence.SIGNATURE},
    ),
    (
        "a bundle with a bill",
        artifact(
            artifact_type=BUNDLE, annotations={"dev.sigstore.bundle.predicateType": "https://spdx.dev/Document/v2.3"}
        ),
        {Evidence.SBOM},
    ),
    ("a bundle that does not say", artifact(artifact_type=BUNDLE), {Evidence.UNKNOWN}),
    (
        "buildkit's attestations",
        artifact(
            ("application/vnd.in-toto+json", {"in-toto.io/predicate-type": "https://spdx.dev/Document"}),
            ("application/vnd.in-toto+json", {"in-toto.io/predicate-type": "https://slsa.dev/provenance/v1"}),
        ),
        {Evidence.SBOM, Evidence.PROVENANCE},
    ),
    ("cosign's attestation", artifact((DSSE, {"predicateType": "https://cyclonedx.org/bom"})), {Evidence.SBOM}),
    ("an attestation of another kind", artifact((DSSE, {"predicateType": "https://x.test/"})), {Evidence.OTHER}),
    ("an attestation that does not say", artifact((DSSE, {})), {Evidence.UNKNOWN}),
    ("a bill by its type", artifact(("text/spdx+json", {})), {Evidence.SBOM}),
    ("a bill of oras", artifact(artifact_type="application/vnd.cyclonedx+json"), {Evidence.SBOM}),
    ("a helm chart", artifact(artifact_type="application/vnd.cncf.helm.config.v1+json"), {Evidence.UNKNOWN}),
    ("what cannot be read", None, {Evidence.UNKNOWN}),
    ("an empty list", listing(), set()),
    (
        "a list of both",
        listing({"artifactType": "application/vnd.cncf.notary.signature"}, {"artifactType": "application/spdx+json"}),
        {Evidence.SIGNATURE, Evidence.SBOM},
    ),
    ("a list in a list", listing({"mediaType": INDEXES[0]}), {Evidence.UNKNOWN}),
    ("a list that does not say", listing({}), {Evidence.UNKNOWN}),
]


@pytest.mark.parametrize(("manifest", "found"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_what_is_there(manifest: Manifest | None, found: set[Evidence]) -> None:
    """Each tool's marks are known; what has none is unknown, and never nothing."""
    assert evidence_in(manifest) == found


@pytest.mark.parametrize(
    ("found", "complete", "answer"),
    [
        ({Evidence.SIGNATURE}, True, True),
        ({Evidence.SIGNATURE, Evidence.UNKNOWN}, False, True),
        (set(), True, False),
        ({Evidence.SBOM, Evidence.OTHER}, True, False),
        ({Evidence.UNKNOWN}, True, None),
        (set(), False, None),
    ],
)
def test_three_answers(found: set[Evidence], complete: bool, answer: bool | None) -> None:
    """No is an answer only when every place was looked at and everything there was understood."""
    assert present(found, Evidence.SIGNATURE, complete=complete) is answer


@pytest.mark.parametrize(
    ("child", "is_one"),
    [
        ({"platform": {"os": "unknown", "architecture": "unknown"}}, True),
        ({"annotations": {"vnd.docker.reference.type": "attestation-manifest"}}, True),
        ({"artifactType": "application/spdx+json"}, True),
        ({"platform": {"os": "linux", "architecture": "amd64"}}, False),
        ({"platform": {"os": "linux", "architecture": "amd64"}, "artifactType": "x/y"}, False),
        ({}, False),
    ],
)
def test_attestations_in_an_index(child: dict[str, Any], is_one: bool) -> None:
    """What does not run is an attestation, however it says so."""
    assert is_attestation(listing(child).children[0]) is is_one


def test_the_tags_of_a_digest() -> None:
    """As cosign and the specification name them; a long digest is cut to the length of a tag."""
    assert tag_of("sha256:ab") == "sha256-ab"
    assert len(tag_of("sha512:" + "0" * 128)) == 128
