"""The stored description of an image: a summary for lists, and its blobs. Both depend only on its content."""

from collections.abc import Iterable, Mapping

from attrs import frozen

from authsvc.images.evidence import Evidence, evidence_in, is_attestation
from authsvc.images.manifest import Descriptor, ImageKind, Manifest, Platform

MAX_PLATFORMS = 100
"""Most images of an index that are stored; a longer index counts as one with unknown platforms."""

MAX_ATTESTATIONS = 20
"""Most attestations of an index that are read."""

MAX_BLOBS = 1_000
"""Most blobs of an image that are stored, over all platforms; if there are more, blobs and size are unknown."""


@frozen
class PlatformImage:
    """One platform's image under a tag.

    Attributes:
        digest: of its manifest.
        platform: that it runs on; None when it does not name it.
        size: bytes of its configuration and layers; None when its manifest could not be read.
    """

    digest: str
    platform: Platform | None
    size: int | None


@frozen
class ImageSummary:
    """A summary of the image under a digest.

    Attributes:
        digest: of the manifest or index.
        media_type: of the manifest.
        kind: of the manifest.
        artifact_type: of an artifact, or None.
        size: bytes of its configurations and layers over all platforms, each blob once; None when that is unknown.
        platforms: its images; empty for an artifact, None when they are unknown.
        evidence: in its own index; for an artifact that is attached to an image, its kind.
        subject: digest of the manifest that an artifact is attached to, or None.
        complete: whether all referenced manifests could be read.
    """

    digest: str
    media_type: str
    kind: ImageKind
    artifact_type: str | None = None
    size: int | None = None
    platforms: tuple[PlatformImage, ...] | None = None
    evidence: tuple[Evidence, ...] = ()
    subject: str | None = None
    complete: bool = True


@frozen
class Blob:
    """A configuration or layer.

    Attributes:
        digest: of it.
        size: in bytes.
    """

    digest: str
    size: int


@frozen
class BlobList:
    """The blobs of one manifest.

    Attributes:
        digest: of the manifest.
        config: the configuration.
        layers: from the first to the last.
    """

    digest: str
    config: Blob
    layers: tuple[Blob, ...]

    @property
    def blobs(self) -> tuple[Blob, ...]:
        """All of them."""
        return (self.config, *self.layers)


@frozen
class DescribedImage:
    """A summary, and the blobs that belong to it.

    Attributes:
        summary: for lists.
        blobs: of each manifest in it that was read.
    """

    summary: ImageSummary
    blobs: tuple[BlobList, ...] = ()


def unreadable(digest: str, media_type: str) -> DescribedImage:
    """Return the description of content that cannot be parsed, or is too long to be read."""
    evidence = (Evidence.UNKNOWN,)
    return DescribedImage(ImageSummary(digest, media_type, ImageKind.UNKNOWN, evidence=evidence))


def of_manifest(digest: str, manifest: Manifest, platform: Platform | None) -> DescribedImage:
    """Return the description of an image of one platform, or of an artifact."""
    is_image = manifest.kind is ImageKind.IMAGE
    blobs = blobs_of(digest, manifest)
    known = _are_few((blobs,))
    size = manifest.size if known else None
    summary = ImageSummary(
        digest,
        manifest.media_type,
        manifest.kind,
        manifest.artifact_type,
        size,
        (PlatformImage(digest, platform, size),) if is_image else (),
        () if is_image else tuple(sorted(evidence_in(manifest))),
        manifest.subject,
    )
    return DescribedImage(summary, (blobs,) if known else ())


def of_index(
    digest: str, index: Manifest, read: Mapping[str, Manifest], platforms: Mapping[str, Platform | None]
) -> DescribedImage:
    """Return an index.

    Args:
        digest: of the index.
        index: the parsed index.
        read: the manifests in it that could be read, by digest; without other indexes.
        platforms: those that the index does not name, by digest.
    """
    images = images_in(index)
    lists = tuple(blobs_of(child.digest, read[child.digest]) for child in images if child.digest in read)
    complete = all(child.digest in read for child in (*images, *attestations_in(index)))
    shown = len(images) <= MAX_PLATFORMS
    known = _are_few(lists)
    sizes = {blob.digest: blob.size for one in lists for blob in one.blobs}
    every = all(child.digest in read for child in images)
    summary = ImageSummary(
        digest,
        index.media_type,
        ImageKind.INDEX,
        index.artifact_type,
        sum(sizes.values()) if known and shown and every else None,
        tuple(
            PlatformImage(
                child.digest,
                child.platform or platforms.get(child.digest),
                read[child.digest].size if child.digest in read else None,
            )
            for child in images
        )
        if shown
        else None,
        tuple(sorted(_evidence_within(index, read))),
        index.subject,
        complete,
    )
    return DescribedImage(summary, lists if known and shown else ())


def images_in(index: Manifest) -> tuple[Descriptor, ...]:
    """Return the images in an index, each once."""
    return tuple({child.digest: child for child in index.children if not is_attestation(child)}.values())


def attestations_in(index: Manifest) -> tuple[Descriptor, ...]:
    """Return the attestations in an index that are read, each once."""
    return tuple({child.digest: child for child in index.children if is_attestation(child)}.values())[:MAX_ATTESTATIONS]


def _evidence_within(index: Manifest, read: Mapping[str, Manifest]) -> Iterable[Evidence]:
    """Return the evidence in the attestations of an index; it is incomplete if there are too many."""
    attestations = attestations_in(index)
    unread = sum(map(is_attestation, index.children)) > len(attestations)
    found = {Evidence.UNKNOWN} if unread else set[Evidence]()
    return found.union(*(evidence_in(read.get(child.digest)) for child in attestations))


def blobs_of(digest: str, manifest: Manifest) -> BlobList:
    """Return the blobs of a manifest, which is not an index."""
    if manifest.config is None:
        raise ValueError("an index has no blobs")
    config = Blob(manifest.config.digest, manifest.config.size)
    return BlobList(digest, config, tuple(Blob(layer.digest, layer.size) for layer in manifest.layers))


def _are_few(lists: Iterable[BlobList]) -> bool:
    return sum(len(one.layers) + 1 for one in lists) <= MAX_BLOBS
