"""Finds what depends on an image in its repository: tags, indexes that contain it, and attached artifacts.

In a registry without referrers, artifacts of an image are stored under tags that are made from its digest (OCI
distribution specification 1.1, "Referrers Tag Schema"; cosign adds ``.sig``, ``.att`` or ``.sbom``).
"""

import re
from collections.abc import Iterable, Mapping

from attrs import field, frozen

_DIGESTS = re.compile(rb"sha(?:256:[0-9a-f]{64}|384:[0-9a-f]{96}|512:[0-9a-f]{128})")


@frozen
class RepositoryTags:
    """The digests that the tags of a repository point to.

    Attributes:
        digests: by tag; None for a tag whose manifest is gone.
    """

    digests: Mapping[str, str | None] = field(repr=False)

    def of(self, digest: str | None) -> tuple[str, ...]:
        """Return the tags of a manifest, sorted."""
        return tuple(sorted(tag for tag, found in self.digests.items() if digest is not None and found == digest))

    def tagged(self) -> tuple[str, ...]:
        """Return every manifest that has a tag, sorted."""
        return tuple(sorted({digest for digest in self.digests.values() if digest is not None}))


@frozen
class ContainingIndex:
    """A tagged index that contains an image.

    Attributes:
        digest: of the index.
        tags: of the index, sorted.
    """

    digest: str
    tags: tuple[str, ...]


@frozen
class ManifestUse:
    """What depends on one manifest.

    Attributes:
        digest: of the manifest; None if a tag's manifest is gone.
        tags: all of its tags, sorted.
        indexes: tagged ones that contain it, directly or within another index.
        attached: tags and digests of signatures and other artifacts that are attached to it, sorted.
        parts: entries of an index that have no tag and are in no other tagged index, sorted.
    """

    digest: str | None
    tags: tuple[str, ...] = ()
    indexes: tuple[ContainingIndex, ...] = ()
    attached: tuple[str, ...] = ()
    parts: tuple[str, ...] = ()

    def needs_manifest(self, without: str) -> bool:
        """Whether anything but the tag ``without`` needs the manifest."""
        return bool(set(self.tags) - {without} or self.indexes or self.attached)


def attached_tags(digest: str, tags: Iterable[str]) -> tuple[str, ...]:
    """Return the tags of artifacts that are attached to a manifest, sorted."""
    name = digest.replace(":", "-", 1)
    return tuple(sorted(tag for tag in tags if tag == name or tag.startswith(f"{name}.")))


def mentioned_digests(content: bytes) -> frozenset[str]:
    """Return every digest that a manifest of any length mentions, without parsing it.

    An index contains at most these. Parsing four megabytes of untrusted JSON would block other requests.
    """
    return frozenset(found.decode() for found in _DIGESTS.findall(content))
