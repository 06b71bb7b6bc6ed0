"""Addresses of pulls: one spelling each, and nothing else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.spec.pull_path import PullKind, PullPath, parse_pull_path
from authsvc.spec.reference import Repository

DIGEST = "sha256:" + "a" * 64
BASE = "/v2/proxy/acme/hub/org/image"


@pytest.mark.parametrize(
    ("target", "kind", "reference", "query"),
    [
        ("/manifests/1.0", PullKind.MANIFEST, "1.0", ""),
        (f"/manifests/{DIGEST}", PullKind.MANIFEST, DIGEST, ""),
        (f"/manifests/{DIGEST.replace(':', '%3A')}", PullKind.MANIFEST, DIGEST, ""),
        (f"/blobs/{DIGEST}", PullKind.BLOB, DIGEST, ""),
        (f"/blobs/{DIGEST}?ns=docker.io", PullKind.BLOB, DIGEST, "ns=docker.io"),
        ("/tags/list?n=5&last=a%2Fb", PullKind.TAGS, "list", "n=5&last=a%2Fb"),
        (f"/referrers/{DIGEST}?artifactType=x", PullKind.REFERRERS, DIGEST, "artifactType=x"),
    ],
)
def test_addresses(target: str, kind: PullKind, reference: str, query: str) -> None:
    """Each kind of address, with and without a query."""
    name = Repository(("proxy", "acme", "hub", "org", "image"))

    assert parse_pull_path(BASE + target) == PullPath(name, kind, reference, query)


def test_the_digest() -> None:
    """A reference is a digest or has none; a tag never counts as one."""
    digests = [PullPath(Repository(("a",)), PullKind.MANIFEST, reference).digest for reference in (DIGEST, "1.0")]

    assert [DIGEST, None] == digests


def test_components_that_look_like_an_address() -> None:
    """A repository may have a component named like a part of an address."""
    path = parse_pull_path("/v2/proxy/acme/hub/blobs/manifests/tags/manifests/list")

    assert path is not None
    assert (str(path.repository), path.reference) == ("proxy/acme/hub/blobs/manifests/tags", "list")


TRICKS = [
    f"{start}{end}"
    for start in (
        "/v2/proxy/acme/hub/../other/x",
        "/v2/proxy/acme/hub/./x",
        "/v2/proxy/acme/hub/%2e%2e/x",
        "/v2/proxy/acme/hub/%252e%252e/x",
        "/v2/proxy/acme/hub/..%2fother/x",
        "/v2/proxy/acme%2fhub/x",
        "/v2/proxy/acme//hub/x",
        "/v2//proxy/acme/hub/x",
        "//v2/proxy/acme/hub/x",
        "/v2/x/../proxy/acme/hub/x",
        "/v2/%70roxy/acme/hub/x",
        "/v2/proxy/acme/hub/x;a=b",
        "/v2/proxy/acme/hub/X",
        "/v2/proxy/acme/hub/x\\..\\y",
        "/v2/proxy/acme/hub/x%00",
        "/v2/proxy/acme/hub/x\n",
        "/v2/proxy/acme/hub/x ",
        "/v2/proxy/acme/hub/\u2179",
        "http://evil/v2/proxy/acme/hub/x",
        "/V2/proxy/acme/hub/x",
    )
    for end in ("/manifests/1", f"/blobs/{DIGEST}", "/tags/list")
] + [
    BASE + end
    for end in (
        *("/manifests/", "/manifests/..", "/manifests/%2e%2e", "/manifests/a%2Fb", "/manifests/.a", "/manifests/1/"),
        *("/manifests/a\r\nX: y", "/manifests/1%0d%0a", f"/manifests/{DIGEST}0", "/manifests/" + "a" * 129),
        *("/blobs/1.0", f"/blobs/{DIGEST.upper()}", "/blobs/sha256:../../x", f"/blobs/{DIGEST}/"),
        *("/blobs/md5:" + "a" * 32, "/blobs/sha256:" + "a" * 63),
        *("/blobs/uploads/", "/tags/lists", "/tags/list/", "/referrers/1", "/manifest/1", "", "/", "/_catalog"),
        *(f"/blobs/{DIGEST}%3F", f"/blobs/{DIGEST.replace(':', '%253A')}", "/manifests/1%3a"),
    )
]  # fmt: skip


@pytest.mark.parametrize("target", TRICKS)
def test_path_tricks(target: str) -> None:
    """Attack 40: another spelling is not an address."""
    assert parse_pull_path(target) is None


@given(st.text(alphabet="/.:%2fev2proxy-manifstblobga?#;\\", max_size=80))
def test_what_is_parsed_is_canonical(text: str) -> None:
    """Whatever parses is spelt exactly as it would be written again."""
    path = parse_pull_path(f"/v2/{text}")

    if path is not None and "%" not in text.partition("?")[0]:
        query = f"?{path.query}" if "?" in text else ""
        assert f"/v2/{path.repository}/{path.kind}/{path.reference}{query}" == f"/v2/{text}"
