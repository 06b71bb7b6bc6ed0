"""Placeholders: the manifest that stands under a tag while the tag is deleted from a registry that only knows digests.

Distribution 2.8 deletes manifests by digest alone, with every tag of them. To take one tag and leave its siblings, a
manifest that nothing else points at is put under the tag, and then that manifest is deleted. It says what it is, so
that one that a crash left behind is recognised.
"""

import hashlib
import json
from typing import Self

from attrs import frozen

from authsvc.images.manifest import Manifest, parse_manifest

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

ARTIFACT_TYPE = "application/vnd.authsvc.placeholder.v1+json"
"""``artifactType`` of a placeholder. No engine runs an artifact: who pulls the tag at that moment gets an error."""

EMPTY_BLOB = b"{}"
"""The one blob that a placeholder names (OCI image specification 1.1, "Guidance for an Empty Descriptor")."""

EMPTY_DIGEST = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

NONCE_BYTES = 16

MAX_LENGTH = 2_048
"""Bytes that no placeholder reaches; what is longer is not parsed."""

_EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY_DIGEST, "size": 2}
_TAG, _REPLACED, _NONCE = "authsvc-tag", "authsvc-replaced", "authsvc-nonce"


@frozen
class Placeholder:
    """A manifest that stands under ``tag`` for a moment.

    Attributes:
        tag: under which it is put.
        replaced: digest of what the tag pointed at before; None when that was unknown.
        content: the manifest's bytes.
    """

    tag: str
    replaced: str | None
    content: bytes

    @classmethod
    def make(cls, tag: str, replaced: str | None, nonce: bytes) -> Self:
        """Return a placeholder; no other one has its digest if ``nonce`` is :data:`NONCE_BYTES` random bytes."""
        annotations = {_TAG: tag, _REPLACED: replaced or "", _NONCE: nonce.hex()}
        manifest = {
            "schemaVersion": 2,
            "mediaType": MEDIA_TYPE,
            "artifactType": ARTIFACT_TYPE,
            "config": _EMPTY,
            "layers": [_EMPTY],
            "annotations": annotations,
        }
        return cls(tag, replaced, json.dumps(manifest, separators=(",", ":")).encode())

    @property
    def digest(self) -> str:
        """Its digest."""
        return f"sha256:{hashlib.sha256(self.content).hexdigest()}"


def is_placeholder(manifest: Manifest) -> bool:
    """Whether a manifest is a placeholder: under a tag, one that a deletion left behind which did not finish."""
    config = manifest.config
    return manifest.artifact_type == ARTIFACT_TYPE and config is not None and config.digest == EMPTY_DIGEST


def replaced_by(manifest: Manifest) -> str | None:
    """Return the digest of what a placeholder stands for; None when it does not say."""
    return manifest.annotations.get(_REPLACED) or None


def read_placeholder(content: bytes, media_type: str) -> Placeholder | None:
    """Return the placeholder in ``content``; None when it is something else.

    Anyone who may push can push a placeholder too, so its annotations are shown to people and decide nothing.
    """
    manifest = parse_manifest(content, media_type) if len(content) < MAX_LENGTH else None
    if manifest is None or not is_placeholder(manifest):
        return None
    return Placeholder(manifest.annotations.get(_TAG, ""), replaced_by(manifest), content)
