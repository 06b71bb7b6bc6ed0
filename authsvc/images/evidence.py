"""Evidence for an image: signatures, bills of materials (SBOM) and provenance, as the common tools attach them.

=====================================  =================================================================
who                                    where
=====================================  =================================================================
BuildKit (``docker buildx``)           manifests in the image's own index, for platform ``unknown/unknown``
cosign 1 and 2                         the tags ``sha256-<hex>.sig``, ``.att`` and ``.sbom`` of the repository
cosign 3, notation, oras               manifests whose ``subject`` is the image: listed by the registry's
                                       referrers interface, or in an index under the tag ``sha256-<hex>``
                                       (OCI distribution specification 1.1, "Referrers Tag Schema")
=====================================  =================================================================

Only its existence is read. Nothing is verified: that requires the keys that the user of the image trusts.
"""

import enum
from collections.abc import Collection, Iterable, Mapping

from authsvc.images.manifest import INDEXES, NO_PLATFORM, Descriptor, ImageKind, Manifest

REFERENCE_TYPE = "vnd.docker.reference.type"
ATTESTATION = "attestation-manifest"
"""Annotation with which BuildKit marks an attestation in an index."""

_PREDICATES = ("in-toto.io/predicate-type", "predicateType", "dev.sigstore.bundle.predicateType")
"""Annotations with the type of a statement: those of BuildKit, cosign, and Sigstore bundles."""

_BUNDLE = "application/vnd.dev.sigstore.bundle"
_BUNDLE_CONTENT = "dev.sigstore.bundle.content"
_MESSAGE_SIGNATURE = "message-signature"

_SIGNATURES = frozenset(
    {
        "application/vnd.cncf.notary.signature",
        "application/vnd.dev.cosign.simplesigning.v1+json",
        "application/vnd.dev.cosign.artifact.sig.v1+json",
        "https://sigstore.dev/cosign/sign/v1",
    }
)

_BILLS = frozenset(
    {
        *("text/spdx", "text/spdx+xml", "text/spdx+json", "application/spdx+json", "application/spdx+xml"),
        *("application/vnd.cyclonedx", "application/vnd.cyclonedx+xml", "application/vnd.cyclonedx+json"),
        *("application/vnd.syft+json", "application/vnd.dev.cosign.artifact.sbom.v1+json"),
    }
)
_BILL_PREDICATES = ("https://spdx.dev/", "https://cyclonedx.org/", "https://syft.dev/")
_PROVENANCE_PREDICATES = ("https://slsa.dev/provenance",)


class Evidence(enum.StrEnum):
    """Kinds of evidence for an image."""

    SIGNATURE = "signature"
    SBOM = "sbom"
    PROVENANCE = "provenance"
    OTHER = "other"
    UNKNOWN = "unknown"
    """It could not be read, or has no known type: it may be any of the others."""


COSIGN_TAGS: Mapping[str, Evidence | None] = {
    ".sig": Evidence.SIGNATURE,
    ".sbom": Evidence.SBOM,
    ".att": None,
    "": None,
}
"""Endings of the tags of a digest, with the kind of evidence; None if only the manifest under the tag tells it."""


def tag_of(digest: str) -> str:
    """Return the prefix of the tags under which evidence for a digest is stored."""
    return digest.replace(":", "-", 1)[:128]


def present(found: Collection[Evidence], sought: Evidence, *, complete: bool) -> bool | None:
    """Whether there is evidence of some kind; None when that is unknown.

    Args:
        found: the evidence that was found.
        sought: the kind that is asked for.
        complete: whether every place was examined.
    """
    if sought in found:
        return True
    return False if complete and Evidence.UNKNOWN not in found else None


def is_attestation(child: Descriptor) -> bool:
    """Whether an entry of an index is not an image, but an artifact, whose manifest tells its type."""
    is_artifact = child.artifact_type is not None and child.platform is None
    return is_artifact or child.platform == NO_PLATFORM or child.annotations.get(REFERENCE_TYPE) == ATTESTATION


def evidence_in(manifest: Manifest | None) -> frozenset[Evidence]:
    """Return the evidence in a manifest that was attached to an image, or in an index of such manifests.

    None, which stands for a manifest that cannot be parsed, is unknown evidence.
    """
    if manifest is None:
        return frozenset({Evidence.UNKNOWN})
    if manifest.kind is ImageKind.INDEX:
        return frozenset().union(*(_of_listed(child) for child in manifest.children))
    by_annotation = _of_predicates(manifest.annotations)
    found = {*by_annotation, *_of_type(manifest.artifact_type or "", manifest.annotations)}
    for layer in manifest.layers:
        found |= {*_of_predicates(layer.annotations), *_of_type(layer.media_type, layer.annotations)}
    return frozenset(found - {Evidence.UNKNOWN} or {Evidence.UNKNOWN})


def _of_listed(child: Descriptor) -> frozenset[Evidence]:
    """Return the evidence in one of the manifests that refer to an image, by its entry in their index."""
    if child.media_type in INDEXES:
        return frozenset({Evidence.UNKNOWN})
    found = {*_of_predicates(child.annotations), *_of_type(child.artifact_type or "", child.annotations)}
    return frozenset(found - {Evidence.UNKNOWN} or {Evidence.UNKNOWN})


def _of_predicates(annotations: Mapping[str, str]) -> Iterable[Evidence]:
    for name in _PREDICATES:
        predicate = annotations.get(name)
        if predicate is None:
            continue
        if predicate.startswith(_BILL_PREDICATES):
            yield Evidence.SBOM
        elif predicate.startswith(_PROVENANCE_PREDICATES):
            yield Evidence.PROVENANCE
        elif predicate in _SIGNATURES:
            yield Evidence.SIGNATURE
        else:
            yield Evidence.OTHER


def _of_type(media_type: str, annotations: Mapping[str, str]) -> Iterable[Evidence]:
    if media_type in _SIGNATURES:
        yield Evidence.SIGNATURE
    elif media_type in _BILLS:
        yield Evidence.SBOM
    elif media_type.startswith(_BUNDLE) and annotations.get(_BUNDLE_CONTENT) == _MESSAGE_SIGNATURE:
        yield Evidence.SIGNATURE
    else:
        yield Evidence.UNKNOWN
