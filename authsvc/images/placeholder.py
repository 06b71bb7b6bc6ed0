"""Placeholders: temporary manifests for deleting a tag from a registry that can only delete digests.

Distribution 2.8 deletes manifests only by digest, together with all their tags. To delete one tag and keep the others,
a manifest that no other tag points to is pushed under the tag, and then that manifest is deleted. It is marked as a
placeholder, so that one that a crash left behind is recognised.
"""

import hashlib
import json
from typing import Self

from attrs import frozen

from authsvc.images.manifest import Manifest, parse_manifest

MEDIA_TYPE = "application/vnd.oci.image.manifest.v1+json"

ARTIFACT_TYPE = "application/vnd.authsvc.placeholder.v1+json"
"""``artifactType`` of a placeholder. Container engines do not run artifacts: a pull of the tag at that moment fails."""

EMPTY_BLOB = b"{}"
"""The only blob of a placeholder (OCI image specification 1.1, "Guidance for an Empty Descriptor")."""

EMPTY_DIGEST = "sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"

NONCE_BYTES = 16

MAX_LENGTH = 2_048
"""Bytes that every placeholder is shorter than; longer manifests are not parsed."""

_EMPTY = {"mediaType": "application/vnd.oci.empty.v1+json", "digest": EMPTY_DIGEST, "size": 2}
_TAG, _REPLACED, _NONCE = "authsvc-tag", "authsvc-replaced", "authsvc-nonce"


@frozen
class Placeholder:
    """A manifest that is under ``tag`` for a moment.

    Attributes:
        tag: under which it is pushed.
        replaced: digest that the tag pointed to before; None when that is unknown.
        content: the manifest's bytes.
    """

    tag: str
    replaced: str | None
    content: bytes

    @classmethod
    def make(cls, tag: str, replaced: str | None, nonce: bytes) -> Self:
        """Return a placeholder, whose digest is unique if ``nonce`` is :data:`NONCE_BYTES` random bytes."""
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
    """Whether a manifest is a placeholder; one under a tag was left behind by an unfinished deletion."""
    config = manifest.config
    return manifest.artifact_type == ARTIFACT_TYPE and config is not None and config.digest == EMPTY_DIGEST


def replaced_by(manifest: Manifest) -> str | None:
    """Return the digest that a placeholder replaced; None when it does not contain it."""
    return manifest.annotations.get(_REPLACED) or None


def read_placeholder(content: bytes, media_type: str) -> Placeholder | None:
    """Return the placeholder in ``content``; None when it is another manifest.

    Anyone with the right to push can push a placeholder, so its annotations are shown to people, but no decision
    depends on them.
    """
    manifest = parse_manifest(content, media_type) if len(content) < MAX_LENGTH else None
    if manifest is None or not is_placeholder(manifest):
        return None
    return Placeholder(manifest.annotations.get(_TAG, ""), replaced_by(manifest), content)
