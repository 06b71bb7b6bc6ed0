"""Reading a real registry with tokens of our own."""

from authsvc.images.manifest import INDEXES, ImageKind, parse_manifest
from authsvc.registries.reader import ManifestContent, NamePage
from tests.support.oci import INDEX, MANIFEST, Image, digest_of, index_of
from tests.support.real_registry import RealRegistry
from tests.support.registry_content import Content

IMAGE = Image(b"reading")
ABSENT = "sha256:" + "0" * 64


async def test_what_is_there_and_what_is_not(registry: RealRegistry) -> None:
    """Repositories, tags and manifests are found by name, tag and digest; what is missing is no error."""
    content = Content(registry)
    for tag in ("v2", "v10", "v1"):
        content.push("reading/api", tag, IMAGE)
    async with content.reader() as reader:
        catalog, tags = await reader.catalog(), await reader.tags("reading/api")
        found = await reader.manifest("reading/api", "v1")

        assert "reading/api" in catalog.names
        assert tags is not None
        assert (sorted(tags.names), tags.last) == (["v1", "v10", "v2"], None)
        assert found == ManifestContent(IMAGE.digest, MANIFEST, IMAGE.manifest)
        assert await reader.manifest("reading/api", IMAGE.digest) == found
        assert await reader.digest("reading/api", "v1") == IMAGE.digest
        assert await reader.config("reading/api", digest_of(IMAGE.config)) == IMAGE.config
        assert await reader.tags("reading/nothing") is None
        assert await reader.manifest("reading/api", "v3") is None
        assert await reader.manifest("reading/api", ABSENT) is None
        assert await reader.digest("reading/api", "v3") is None
        assert await reader.config("reading/api", ABSENT) is None
        assert await reader.referrers("reading/api", IMAGE.digest) is None


async def test_a_known_digest_is_not_sent_again(registry: RealRegistry) -> None:
    """Whether a tag still names it is answered without content, and so without an event of the registry."""
    content = Content(registry)
    content.push("reading/known", "v1", IMAGE)
    other = Image(b"other")
    async with content.reader() as reader:
        assert await reader.manifest("reading/known", "v1", IMAGE.digest) == ManifestContent(IMAGE.digest, "")
        assert await reader.digest("reading/known", "v1", IMAGE.digest) == IMAGE.digest
        content.push("reading/known", "v1", other)
        assert await reader.manifest("reading/known", "v1", IMAGE.digest) == ManifestContent(
            other.digest, MANIFEST, other.manifest
        )
        assert await reader.digest("reading/known", "v1", IMAGE.digest) == other.digest


async def test_every_page_of_the_catalog(registry: RealRegistry) -> None:
    """The registry says where the next page begins; a repository that lost its tags is still listed, without any."""
    content = Content(registry)
    for name in ("pages/a", "pages/a/b", "pages/a-b"):
        content.push(name, "v1", IMAGE)
    content.delete("pages/a", IMAGE.digest)
    async with content.reader() as reader:
        names, last = set[str](), None
        while True:
            part = await reader.catalog(last)
            names.update(part.names)
            if part.last is None:
                break
            last = part.last
        assert {"pages/a", "pages/a/b", "pages/a-b"} <= names
        assert await reader.tags("pages/a") == NamePage(())


async def test_an_index(registry: RealRegistry) -> None:
    """An index is sent as it is, and not as one of its images."""
    content = Content(registry)
    content.push("reading/index", "one", IMAGE)
    index = index_of(IMAGE.manifest)
    digest = content.put("reading/index", "all", index, INDEX)
    async with content.reader() as reader:
        found = await reader.manifest("reading/index", "all")
        assert found == ManifestContent(digest, INDEXES[0], index)
        parsed = parse_manifest(index, INDEXES[0])
        assert parsed is not None
        assert (parsed.kind, [child.digest for child in parsed.children]) == (ImageKind.INDEX, [IMAGE.digest])
