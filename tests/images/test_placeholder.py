"""Placeholders: recognised by what they say, each with a digest of its own."""

import json

import pytest

from authsvc.images.manifest import parse_manifest
from authsvc.images.placeholder import (
    ARTIFACT_TYPE,
    EMPTY_BLOB,
    EMPTY_DIGEST,
    MEDIA_TYPE,
    Placeholder,
    is_placeholder,
    read_placeholder,
)
from tests.support.oci import INDEX, Image, digest_of

DIGEST = "sha256:" + "a" * 64


def test_each_has_a_digest_of_its_own() -> None:
    """Two placeholders for the same tag differ, so that deleting one takes no other tag."""
    first, second = (Placeholder.make("1.0", DIGEST, bytes([number]) * 16) for number in (1, 2))

    assert first.digest == digest_of(first.content)
    assert first.digest != second.digest


def test_the_empty_blob() -> None:
    """Its digest is written down, as the specification has it."""
    assert (digest_of(EMPTY_BLOB), len(EMPTY_BLOB)) == (EMPTY_DIGEST, 2)


@pytest.mark.parametrize("replaced", [DIGEST, None])
def test_one_is_recognised(replaced: str | None) -> None:
    """What a crash left says which tag it stands under, and for what."""
    made = Placeholder.make("1.0", replaced, bytes(16))

    assert read_placeholder(made.content, MEDIA_TYPE) == made


@pytest.mark.parametrize(
    "changes",
    [{"artifactType": "application/vnd.example"}, {"artifactType": None}, {"config": {"digest": DIGEST, "size": 2}}],
)
def test_other_artifacts_are_not_placeholders(changes: dict[str, object]) -> None:
    """An artifact that only resembles one, or misses a part, is an image like any other."""
    fields = json.loads(Placeholder.make("1.0", None, bytes(16)).content) | changes
    content = json.dumps({name: value for name, value in fields.items() if value is not None}).encode()

    assert read_placeholder(content, MEDIA_TYPE) is None


def test_images_are_not_placeholders() -> None:
    """Neither an image, nor an index of the same type, nor junk is one."""
    image = parse_manifest(Image(b"x").manifest, MEDIA_TYPE)
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "artifactType": ARTIFACT_TYPE, "manifests": []})

    assert image is not None
    assert not is_placeholder(image)
    assert read_placeholder(index.encode(), INDEX) is None
    assert read_placeholder(b"{", MEDIA_TYPE) is None
