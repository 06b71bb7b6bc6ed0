"""Links: which repositories they show, what their secrets are bound to, and what blobs are cached under."""

from collections.abc import Sequence
from datetime import UTC, datetime

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.spec.reference import Repository
from authsvc.tenancy.patterns import covers_proxied
from authsvc.upstreams.link import (
    UpstreamLink,
    blob_cache_key,
    credential_context,
    exposes,
    parse_exposed,
    parse_link_name,
    upstream_repository,
)
from authsvc.upstreams.origin import Origin
from authsvc.upstreams.providers import Provider

NOW = datetime(2026, 11, 27, tzinfo=UTC)
LINK = UpstreamLink(
    id="u1",
    team="acme",
    app="myapp",
    name="quay",
    provider=Provider.QUAY,
    origin=Origin("https", "quay.io", 443),
    token_hosts=(),
    repositories=("org/**",),
    username="org+robot",
    sealed_secret="sealed1.0.x",
    credential_version=1,
    purge_count=0,
    created_at=NOW,
    created_by=None,
    changed_at=NOW,
)
HUB = evolve(LINK, name="hub", provider=Provider.DOCKERHUB, origin=Origin("https", "registry-1.docker.io", 443))


@pytest.mark.parametrize("name", ["q", "quay", "docker", "library", "my-quay-2", "a" * 40])
def test_names(name: str) -> None:
    """A name is a component of an image name; words that are reserved for apps mean nothing there."""
    assert name == parse_link_name(name)


@pytest.mark.parametrize("name", ["", "Quay", "quay.io", "a/b", "-a", "a-", "a--b", "a_b", "*", "a" * 41, "quay\n"])
def test_refused_names(name: str) -> None:
    """Anything else is refused."""
    with pytest.raises(InputRefused, match="cannot name an upstream") as refused:
        parse_link_name(name)

    assert (refused.value.code, refused.value.field) == ("name_invalid", "name")


def test_patterns_are_kept_once() -> None:
    """A pattern that is given twice counts once."""
    assert parse_exposed(["org/**", "library/nginx", "org/**"]) == ("org/**", "library/nginx")


@pytest.mark.parametrize(
    ("patterns", "code"),
    [
        ([], "value_missing"),
        (["Org/x"], "pattern_invalid"),
        (["/org"], "pattern_invalid"),
        (["org/../x"], "pattern_invalid"),
        (["proxy/quay/org/**"], "pattern_invalid"),
        (["proxy"], "pattern_invalid"),
        (["a**"], "pattern_invalid"),
        ([f"a{n}" for n in range(101)], "patterns_too_many"),
    ],
)
def test_refused_patterns(patterns: list[str], code: str) -> None:
    """Patterns are relative to the upstream, bounded in number, and there is at least one."""
    with pytest.raises(InputRefused) as refused:
        parse_exposed(patterns)

    assert (refused.value.code, refused.value.field) == (code, "repositories")


@pytest.mark.parametrize(
    ("link", "patterns", "repository", "shown"),
    [
        (LINK, ["org/**"], "org/app", True),
        (LINK, ["org/**"], "org/app/deep", True),
        (LINK, ["org/**"], "org", False),
        (LINK, ["org/**"], "organ/app", False),
        (LINK, ["org/*"], "org/app/deep", False),
        (LINK, ["nginx"], "library/nginx", False),
        (LINK, ["library/nginx"], "nginx", False),
        (HUB, ["nginx"], "library/nginx", True),
        (HUB, ["nginx"], "nginx", True),
        (HUB, ["library/nginx"], "nginx", True),
        (HUB, ["library/*"], "nginx", True),
        (HUB, ["library/*"], "library/nginx", True),
        (HUB, ["library/*"], "other/nginx", False),
        (HUB, ["*"], "org/nginx", False),
        (HUB, ["library"], "library/library", True),
        (LINK, ["**"], "", False),
        (LINK, ["**"], "org/../x", False),
        (LINK, ["**"], "org//x", False),
        (LINK, ["**"], "Org/x", False),
        (LINK, ["**"], "host:5000/x", False),
        (LINK, ["**"], "org/x\n", False),
    ],
)
def test_what_a_link_exposes(link: UpstreamLink, patterns: Sequence[str], repository: str, *, shown: bool) -> None:
    """Only what its patterns cover; at Docker Hub a name of one component and the one in library/ are the same."""
    assert exposes(evolve(link, repositories=tuple(patterns)), repository) is shown


COMPONENTS = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=4)
PATTERNS = st.lists(st.sampled_from(["a", "b", "ab", "*", "a*", "**"]), min_size=1, max_size=4).map("/".join)


@given(st.lists(PATTERNS, min_size=1, max_size=3), COMPONENTS)
def test_a_link_and_a_license_read_a_pattern_alike(patterns: list[str], path: list[str]) -> None:
    """A link exposes by ``P`` what a license covers by ``proxy/quay/P``."""
    link = evolve(LINK, repositories=tuple(patterns))

    assert exposes(link, "/".join(path)) == any(covers_proxied(f"proxy/quay/{one}", "quay", path) for one in patterns)


@given(PATTERNS, COMPONENTS)
def test_two_spellings_of_one_repository(pattern: str, path: list[str]) -> None:
    """At Docker Hub what is pulled is exposed in the spelling that the client typed and in the upstream's alike."""
    link = evolve(HUB, repositories=(pattern,))

    assert exposes(link, "/".join(path)) == exposes(link, upstream_repository(link, path))


@pytest.mark.parametrize(
    ("link", "rest", "name"),
    [
        (HUB, ["nginx"], "library/nginx"),
        (HUB, ["org", "nginx"], "org/nginx"),
        (LINK, ["nginx"], "nginx"),
    ],
)
def test_the_name_at_the_upstream(link: UpstreamLink, rest: list[str], name: str) -> None:
    """Docker Hub alone has library/."""
    assert upstream_repository(link, rest) == name


SLUGS = st.text("ab-1", min_size=1, max_size=4)
COUNTS = st.integers(0, 12)
DIGESTS = st.text("0123456789abcdef", min_size=64, max_size=64).map(lambda digits: f"sha256:{digits}")
KEYS = st.tuples(
    SLUGS,
    SLUGS,
    COUNTS,
    COUNTS,
    COMPONENTS.map("/".join),
    st.sampled_from(["sha256:" + "0" * 64, "sha512:" + "0" * 128]),
)


def key_of(team: str, link_id: str, version: int, purges: int, repository: str, digest: str) -> str:
    """Return the cache key of these facts."""
    link = evolve(LINK, team=team, id=link_id, credential_version=version, purge_count=purges)
    return blob_cache_key(link, repository, digest)


@given(KEYS, KEYS)
def test_cache_keys_are_unambiguous(
    one: tuple[str, str, int, int, str, str], other: tuple[str, str, int, int, str, str]
) -> None:
    """Two keys are equal only if team, link, credential, purge, repository and digest all are."""
    assert (key_of(*one) == key_of(*other)) == (one == other)


def test_a_colon_in_a_repository_is_refused() -> None:
    """It could be taken for a separator."""
    with pytest.raises(ValueError, match="no colon"):
        blob_cache_key(LINK, "host:5000/x", "sha256:0")


def test_the_secret_is_bound_to_team_link_and_version() -> None:
    """Another team, link or version gives another context."""
    contexts = {
        credential_context(link)
        for link in (LINK, evolve(LINK, team="other"), evolve(LINK, id="u2"), evolve(LINK, credential_version=2))
    }
    assert len(contexts) == 4
    assert {context.kind for context in contexts} == {"upstream_credential"}


@given(COMPONENTS)
def test_what_is_exposed_is_a_repository(path: list[str]) -> None:
    """The names that the tests draw are names of repositories, so the properties above are about real ones."""
    assert Repository.parse("/".join(path)).components == tuple(path)
