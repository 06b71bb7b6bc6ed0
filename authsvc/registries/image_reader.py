"""Describes images of our registry: reads a manifest, and all content that its description requires."""

from attrs import frozen

from authsvc.images.manifest import ImageKind, Manifest, Platform, parse_manifest, parse_platform
from authsvc.images.summary import (
    MAX_PLATFORMS,
    DescribedImage,
    attestations_in,
    images_in,
    of_index,
    of_manifest,
    unreadable,
)
from authsvc.registries.reader import ManifestContent, RegistryReader


@frozen(eq=False, repr=False)
class ImageReader:
    """Describes images. Every method raises RegistryUnavailable when there is no answer that can be used.

    Attributes:
        reader: reads the registry.
    """

    reader: RegistryReader

    async def find(self, repository: str, reference: str) -> DescribedImage | None:
        """Return the image under a tag or digest; None without one."""
        content = await self.reader.manifest(repository, reference)
        return None if content is None else await self.describe(repository, content)

    async def count_tags(self, repository: str) -> int:
        """Return how many tags a repository has; 0 when there is no such repository."""
        count, last = 0, None
        while True:
            page = await self.reader.tags(repository, last)
            if page is None:
                return count
            count += len(page.names)
            if page.last is None or page.last == last:
                return count
            last = page.last

    async def describe(self, repository: str, content: ManifestContent) -> DescribedImage:
        """Describe a manifest. One that cannot be parsed is unknown, which is not an error."""
        manifest = _parsed(content)
        if manifest is None:
            return unreadable(content.digest, content.media_type)
        if manifest.kind is ImageKind.INDEX:
            return await self._describe_index(repository, content.digest, manifest)
        platform = await self._platform(repository, manifest) if manifest.kind is ImageKind.IMAGE else None
        return of_manifest(content.digest, manifest, platform)

    async def _describe_index(self, repository: str, digest: str, index: Manifest) -> DescribedImage:
        images = images_in(index)
        if len(images) > MAX_PLATFORMS:
            images = ()
        read: dict[str, Manifest] = {}
        platforms: dict[str, Platform | None] = {}
        for child in (*images, *attestations_in(index)):
            content = await self.reader.manifest(repository, child.digest)
            manifest = None if content is None else _parsed(content)
            if manifest is None or manifest.config is None:
                continue
            read[child.digest] = manifest
            if child.platform is None and manifest.kind is ImageKind.IMAGE:
                platforms[child.digest] = await self._platform(repository, manifest)
        return of_index(digest, index, read, platforms)

    async def _platform(self, repository: str, manifest: Manifest) -> Platform | None:
        """Return the platform of an image from its configuration."""
        config = None
        if manifest.config is not None:
            config = await self.reader.config(repository, manifest.config.digest)
        return None if config is None else parse_platform(config)


def _parsed(content: ManifestContent) -> Manifest | None:
    return None if content.content is None else parse_manifest(content.content, content.media_type)
