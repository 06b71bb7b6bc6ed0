"""Reading manifests: what each kind is, and what strangers may write without harm."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.images.manifest import (
    CONFIGS,
    EMPTY_CONFIG,
    INDEXES,
    MANIFESTS,
    MAX_DESCRIPTORS,
    Descriptor,
    ImageKind,
    Manifest,
    Platform,
    parse_manifest,
    parse_platform,
)
from tests.support.oci import Image, digest_of

HELM = "application/vnd.cncf.helm.config.v1+json"
D1, D2, D3 = (digest_of(bytes([number])) for number in range(3))


def described(digest: str = D1, size: Any = 7, media_type: str = CONFIGS[0], **more: Any) -> dict[str, Any]:
    """Return a descriptor as JSON."""
    return {"mediaType": media_type, "digest": digest, "size": size, **more}


def read(media_type: str, **body: Any) -> Manifest | None:
    """Return what is read of a manifest with these members."""
    return parse_manifest(json.dumps(body).encode(), media_type)


@pytest.mark.parametrize("media_type", MANIFESTS)
def test_an_image(media_type: str) -> None:
    """Configuration and layers in order; a blob that is named twice is counted once."""
    layers = [described(D2, 20, "layer"), described(D3, 300, "layer"), described(D2, 20, "layer")]
    found = read(media_type, schemaVersion=2, config=described(), layers=layers)

    assert found is not None
    assert (found.kind, found.media_type, found.size) == (ImageKind.IMAGE, media_type, 327)
    assert [layer.digest for layer in found.layers] == [D2, D3, D2]


def test_an_image_of_the_builder() -> None:
    """What the tests push is an image."""
    image = Image(b"x")
    found = parse_manifest(image.manifest, MANIFESTS[0])
    assert found is not None
    assert found.size == len(image.layer) + len(image.config)
    assert parse_platform(image.config) == Platform("linux", "amd64")


@pytest.mark.parametrize("media_type", INDEXES)
def test_an_index(media_type: str) -> None:
    """Children with their platforms and annotations."""
    arm = described(media_type=MANIFESTS[0], platform={"os": "linux", "architecture": "arm64", "variant": "v8"})
    other = described(D2, media_type=MANIFESTS[0], annotations={"a": "b", "n": 5}, artifactType="x/y")
    found = read(media_type, manifests=[arm, other], annotations={"c": "d"})

    assert found is not None
    assert found.kind is ImageKind.INDEX
    assert found.children == (
        Descriptor(D1, 7, MANIFESTS[0], Platform("linux", "arm64", "v8")),
        Descriptor(D2, 7, MANIFESTS[0], None, "x/y", {"a": "b"}),
    )
    assert str(found.children[0].platform) == "linux/arm64/v8"
    assert found.annotations == {"c": "d"}


@pytest.mark.parametrize(
    ("config", "artifact_type", "kind", "shown"),
    [
        (CONFIGS[1], None, ImageKind.IMAGE, None),
        (CONFIGS[0], "application/spdx+json", ImageKind.ARTIFACT, "application/spdx+json"),
        (EMPTY_CONFIG, "application/x", ImageKind.ARTIFACT, "application/x"),
        (EMPTY_CONFIG, None, ImageKind.ARTIFACT, None),
        (HELM, None, ImageKind.ARTIFACT, HELM),
    ],
)
def test_what_is_an_artifact(config: str, artifact_type: str | None, kind: ImageKind, shown: str | None) -> None:
    """Anything but the configuration of an image: by its own type, or else by that of its configuration."""
    more = {} if artifact_type is None else {"artifactType": artifact_type}
    found = read(MANIFESTS[0], config=described(media_type=config), layers=[], subject=described(D3), **more)
    assert found is not None
    assert (found.kind, found.artifact_type, found.subject) == (kind, shown, D3)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"config": None, "layers": []},
        {"config": described(size="7"), "layers": []},
        {"config": described(size=True), "layers": []},
        {"config": described(size=-1), "layers": []},
        {"config": described(size=1 << 60), "layers": []},
        {"config": described(digest="sha256:x"), "layers": []},
        {"config": described(digest=D1 + "\n"), "layers": []},
        {"config": described(), "layers": {}},
        {"config": described(), "layers": [5]},
        {"config": described(), "layers": [described()] * (MAX_DESCRIPTORS + 1)},
        {"config": described(), "layers": [], "subject": 5},
        {"config": described(), "layers": [], "mediaType": INDEXES[0]},
    ],
)
def test_what_is_not_understood(body: dict[str, Any]) -> None:
    """A part that counts and has another form makes the whole unknown, and so does a contradiction."""
    assert read(MANIFESTS[0], **body) is None


@pytest.mark.parametrize("media_type", ["", "text/html", "application/vnd.docker.distribution.manifest.v1+prettyjws"])
def test_other_media_types(media_type: str) -> None:
    """They are not read."""
    assert read(media_type, config=described(), layers=[]) is None


@pytest.mark.parametrize(
    "platform",
    [5, {}, {"os": "linux"}, {"os": "", "architecture": "x"}, {"os": "\x1b[31m", "architecture": "x"},
     {"os": "l" * 101, "architecture": "x"}],
)  # fmt: skip
def test_strange_platforms(platform: object) -> None:
    """One that is not made of short plain words is not known; the rest is read."""
    found = read(INDEXES[0], manifests=[described(media_type=MANIFESTS[0], platform=platform)])
    assert found is not None
    assert found.children[0].platform is None
    assert parse_platform(json.dumps(platform).encode()) is None


@given(st.binary() | st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["mediaType", D1, *MANIFESTS, *INDEXES]),
    lambda inner: st.lists(inner) | st.dictionaries(
        st.sampled_from(["config", "layers", "manifests", "digest", "size", "platform", "subject", "annotations"]),
        inner,
    ),
).map(lambda value: json.dumps(value).encode()))  # fmt: skip
def test_nothing_breaks_the_reader(content: bytes) -> None:
    """Any bytes give a manifest or nothing, and no error."""
    for media_type in (*MANIFESTS, *INDEXES):
        parse_manifest(content, media_type)
    parse_platform(content)
