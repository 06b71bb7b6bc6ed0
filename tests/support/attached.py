"""What tools attach to images, and images for several platforms, as JSON and blobs for a registry client."""

import json
from typing import Any

from tests.support.oci import INDEX, MANIFEST, Image, descriptor, digest_of

EMPTY = b"{}"
EMPTY_TYPE = "application/vnd.oci.empty.v1+json"
SIMPLE_SIGNING = "application/vnd.dev.cosign.simplesigning.v1+json"
DSSE = "application/vnd.dsse.envelope.v1+json"
IN_TOTO = "application/vnd.in-toto+json"
SPDX = "https://spdx.dev/Document"
PROVENANCE = "https://slsa.dev/provenance/v1"


def artifact(
    content: bytes,
    media_type: str,
    *,
    annotations: dict[str, str] | None = None,
    artifact_type: str | None = None,
    subject: bytes | None = None,
) -> dict[str, Any]:
    """Return a manifest with one blob and an empty configuration; ``subject`` is the manifest that it refers to."""
    return {
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        **({} if artifact_type is None else {"artifactType": artifact_type}),
        "config": descriptor(EMPTY_TYPE, EMPTY),
        "layers": [{**descriptor(media_type, content), "annotations": annotations or {}}],
        **({} if subject is None else {"subject": descriptor(MANIFEST, subject)}),
    }


def platform_index(images: dict[str, Image], *others: dict[str, Any]) -> dict[str, Any]:
    """Return an index of images by their platforms, such as ``linux/arm64/v8``, and of other manifests."""
    rows = []
    for name, image in images.items():
        system, architecture, *variant = name.split("/")
        platform = {"os": system, "architecture": architecture, **({"variant": variant[0]} if variant else {})}
        rows.append({**descriptor(MANIFEST, image.manifest), "platform": platform})
    return {"schemaVersion": 2, "mediaType": INDEX, "manifests": [*rows, *others]}


def attestation_row(manifest: dict[str, Any], about: str) -> dict[str, Any]:
    """Return how BuildKit's index names an attestation about the image with this digest."""
    return {
        **descriptor(MANIFEST, json.dumps(manifest).encode()),
        "annotations": {"vnd.docker.reference.digest": about, "vnd.docker.reference.type": "attestation-manifest"},
        "platform": {"os": "unknown", "architecture": "unknown"},
    }


def cosign_tag(digest: str, ending: str = "") -> str:
    """Return the tag under which something is attached to a digest."""
    return f"{digest.replace(':', '-')}{ending}"


def manifest_digest(manifest: dict[str, Any]) -> str:
    """Return the digest of a manifest as the tests push it."""
    return digest_of(json.dumps(manifest).encode())
