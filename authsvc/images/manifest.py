"""Manifests and indexes as a registry stores them (OCI image specification v1.1; Docker image manifest v2, schema 2).

The content comes from the person who pushed it, so every field is checked and limited here, once for all callers.
"""

import enum
import json
import re
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import field, frozen

from authsvc.spec.reference import DIGEST

INDEXES = ("application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json")
MANIFESTS = ("application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json")
CONFIGS = ("application/vnd.oci.image.config.v1+json", "application/vnd.docker.container.image.v1+json")
"""Media types of the configurations of runnable images; a manifest with another one is an artifact."""

EMPTY_CONFIG = "application/vnd.oci.empty.v1+json"
"""Media type of the configuration of an artifact without one."""

MAX_DESCRIPTORS = 1_000
"""Most layers of a manifest, or manifests of an index, that are read: container engines refuse more than 127 layers."""

MAX_SIZE = 1 << 50
"""Largest size of a blob that is accepted, in bytes."""

MAX_WORD = 100
"""Longest media type, operating system, or other short text that is kept, in characters."""

MAX_ANNOTATION = 300
"""Longest annotation that is kept, in characters."""

_DIGEST = re.compile(DIGEST, re.ASCII)
_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9!#$&^_.+/-]*", re.ASCII)


class ImageKind(enum.StrEnum):
    """The kind of a manifest."""

    IMAGE = "image"
    INDEX = "index"
    ARTIFACT = "artifact"
    UNKNOWN = "unknown"


@frozen
class Platform:
    """The platform that an image runs on.

    Attributes:
        os: such as ``linux``.
        architecture: such as ``arm64``.
        variant: such as ``v8``, or None.
    """

    os: str
    architecture: str
    variant: str | None = None

    def __str__(self) -> str:
        """Return it as docker writes it: ``linux/arm64/v8``."""
        return "/".join(filter(None, (self.os, self.architecture, self.variant)))


NO_PLATFORM = Platform("unknown", "unknown")
"""The platform of an entry of an index that cannot be run, such as an attestation."""


@frozen
class Descriptor:
    """The reference of a manifest to a blob or to another manifest.

    Attributes:
        digest: of its content.
        size: in bytes, as the manifest claims.
        media_type: empty when it has no usable one.
        platform: of an image in an index, or None.
        artifact_type: of an artifact in an index, or None.
        annotations: texts by name.
    """

    digest: str
    size: int
    media_type: str = ""
    platform: Platform | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(factory=dict, hash=False)


@frozen
class Manifest:
    """A manifest or an index.

    Attributes:
        kind: of the manifest.
        media_type: of the manifest.
        config: the configuration, or None.
        layers: from the first to the last.
        children: the entries of an index.
        subject: digest of the manifest that this one refers to, or None.
        artifact_type: of an artifact, or None.
        annotations: texts by name.
    """

    kind: ImageKind
    media_type: str
    config: Descriptor | None = None
    layers: tuple[Descriptor, ...] = ()
    children: tuple[Descriptor, ...] = ()
    subject: str | None = None
    artifact_type: str | None = None
    annotations: Mapping[str, str] = field(factory=dict, hash=False)

    @property
    def size(self) -> int:
        """Bytes of the configuration and the layers, each blob once."""
        blobs = (*((self.config,) if self.config else ()), *self.layers)
        return sum({blob.digest: blob.size for blob in blobs}.values())


def parse_manifest(content: bytes, media_type: str) -> Manifest | None:
    """Return the manifest in ``content``; None when it cannot be parsed.

    Args:
        content: as the registry sent it, of a length that was checked.
        media_type: the ``Content-Type`` with which it was sent; a ``mediaType`` inside must be the same.
    """
    body = json_object(content)
    if body is None or body.get("mediaType", media_type) != media_type:
        return None
    try:
        if media_type in INDEXES:
            return _index(body, media_type)
        if media_type in MANIFESTS:
            return _manifest(body, media_type)
    except _UnreadablePart:
        pass
    return None


def parse_platform(config: bytes) -> Platform | None:
    """Return the platform in an image's configuration; None when it has none."""
    body = json_object(config)
    return None if body is None else _platform(body)


def json_object(content: bytes) -> dict[str, Any] | None:
    """Return the JSON object in ``content``, or None."""
    try:
        value = json.loads(content)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def is_digest(text: object) -> bool:
    """Whether ``text`` is a digest, and so can be part of a URL or a key."""
    return isinstance(text, str) and _DIGEST.fullmatch(text) is not None


class _UnreadablePart(Exception):
    """An essential part is not of the specified form."""


def _index(body: Mapping[str, Any], media_type: str) -> Manifest:
    return Manifest(
        ImageKind.INDEX,
        media_type,
        children=tuple(map(_descriptor, _list(body.get("manifests", [])))),
        subject=_subject(body),
        artifact_type=_word(body.get("artifactType")),
        annotations=_annotations(body.get("annotations")),
    )


def _manifest(body: Mapping[str, Any], media_type: str) -> Manifest:
    config = _descriptor(body.get("config"))
    artifact_type = _word(body.get("artifactType"))
    if artifact_type is None and config.media_type not in (*CONFIGS, EMPTY_CONFIG):
        artifact_type = config.media_type or None
    is_image = config.media_type in CONFIGS and artifact_type is None
    return Manifest(
        ImageKind.IMAGE if is_image else ImageKind.ARTIFACT,
        media_type,
        config=config,
        layers=tuple(map(_descriptor, _list(body.get("layers", [])))),
        subject=_subject(body),
        artifact_type=artifact_type,
        annotations=_annotations(body.get("annotations")),
    )


def _list(value: object) -> Iterable[object]:
    if value is None:  # Go writes an empty list as null
        return ()
    if not isinstance(value, list) or len(value) > MAX_DESCRIPTORS:
        raise _UnreadablePart
    return value


def _descriptor(value: object) -> Descriptor:
    if not isinstance(value, dict):
        raise _UnreadablePart
    digest, size = value.get("digest"), value.get("size")
    if not isinstance(digest, str) or not is_digest(digest):
        raise _UnreadablePart
    if not isinstance(size, int) or isinstance(size, bool) or not 0 <= size <= MAX_SIZE:
        raise _UnreadablePart
    return Descriptor(
        digest,
        size,
        _word(value.get("mediaType")) or "",
        _platform(value.get("platform")),
        _word(value.get("artifactType")),
        _annotations(value.get("annotations")),
    )


def _platform(value: object) -> Platform | None:
    if not isinstance(value, dict):
        return None
    system, architecture = _word(value.get("os")), _word(value.get("architecture"))
    if system is None or architecture is None:
        return None
    return Platform(system, architecture, _word(value.get("variant")))


def _subject(body: Mapping[str, Any]) -> str | None:
    return None if body.get("subject") is None else _descriptor(body["subject"]).digest


def _word(value: object) -> str | None:
    """Return a short text of plain characters, such as a media type; None for anything else."""
    return value if isinstance(value, str) and len(value) <= MAX_WORD and _WORD.fullmatch(value) else None


def _annotations(value: object) -> dict[str, str]:
    if not isinstance(value, dict):
        return {}
    return {
        name: text
        for name, text in value.items()
        if isinstance(text, str) and len(name) <= MAX_ANNOTATION and len(text) <= MAX_ANNOTATION
    }
