"""What depends on an image."""

import pytest

from authsvc.images.manifest_use import ContainingIndex, ManifestUse, RepositoryTags, attached_tags, mentioned_digests
from tests.support.oci import Image, digest_of, index_of

DIGEST = "sha256:" + "a" * 64
OTHER = "sha256:" + "b" * 64


def test_tags_of_a_manifest() -> None:
    """They are sorted; tags without a manifest are of none."""
    tags = RepositoryTags({"b": DIGEST, "a": DIGEST, "c": OTHER, "broken": None})

    assert (tags.of(DIGEST), tags.of(None), tags.tagged()) == (("a", "b"), (), (DIGEST, OTHER))


@pytest.mark.parametrize(
    ("tag", "attached"),
    [
        (f"sha256-{'a' * 64}", True),
        (f"sha256-{'a' * 64}.sig", True),
        (f"sha256-{'a' * 64}.att", True),
        (f"sha256-{'a' * 64}x", False),
        (f"sha256-{'b' * 64}.sig", False),
        (f"x-sha256-{'a' * 64}.sig", False),
    ],
)
def test_what_is_attached(tag: str, attached: bool) -> None:
    """A tag that is made of the digest belongs to it; one that only resembles it does not."""
    assert attached_tags(DIGEST, ["latest", tag]) == ((tag,) if attached else ())


def test_who_needs_the_manifest() -> None:
    """Another tag, an index or a signature does; the tag itself does not."""
    index = ContainingIndex(OTHER, ("multi",))

    assert not ManifestUse(DIGEST, ("1.0",)).needs_manifest("1.0")
    assert ManifestUse(DIGEST, ("1.0", "latest")).needs_manifest("1.0")
    assert ManifestUse(DIGEST, ("1.0",), (index,)).needs_manifest("1.0")
    assert ManifestUse(DIGEST, ("1.0",), (), ("sha256-x.sig",)).needs_manifest("1.0")


def test_mentioned_digests() -> None:
    """Those of an index are found without parsing it, whatever else is in it."""
    image = Image(b"x")
    index = index_of(image.manifest)

    assert mentioned_digests(index) == {image.digest}
    assert mentioned_digests(b"\xff" + index) == {image.digest}
    assert mentioned_digests(image.manifest) == {digest_of(image.config), digest_of(image.layer)}
