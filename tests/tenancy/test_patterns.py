"""Repository patterns, against a definition that is slow and plain."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.spec.reference import Repository
from authsvc.tenancy.patterns import covers_native, covers_proxied, matches, matches_glob, parse_pattern


def says_component(pattern: str, text: str) -> bool:
    """Define ``*`` by recursion: nothing at all, or one character and again."""
    if not pattern:
        return not text
    if pattern[0] == "*":
        return says_component(pattern[1:], text) or (bool(text) and says_component(pattern, text[1:]))
    return bool(text) and pattern[0] == text[0] and says_component(pattern[1:], text[1:])


def says(pattern: Sequence[str], path: Sequence[str]) -> bool:
    """Define ``**`` by recursion: at the end one component or more, elsewhere any number of them."""
    if not pattern:
        return not path
    if pattern[0] != "**":
        return bool(path) and says_component(pattern[0], path[0]) and says(pattern[1:], path[1:])
    if len(pattern) == 1:
        return bool(path)
    return says(pattern[1:], path) or (bool(path) and says(pattern, path[1:]))


PIECES = st.text("ab*", min_size=1, max_size=5).filter(lambda text: "**" not in text)
PATTERNS = st.lists(PIECES | st.just("**"), min_size=1, max_size=5).map("/".join)
PATHS = st.lists(st.text("ab", min_size=1, max_size=4), min_size=1, max_size=5)
UPSTREAMS = st.sampled_from(["hub", "quay", "a"])


@given(PATTERNS, PATHS)
def test_matching_is_what_the_definition_says(pattern: str, path: list[str]) -> None:
    """The greedy algorithm and the recursive definition agree on every pattern and path."""
    assert says(pattern.split("/"), path) == matches(pattern, path)


@given(st.text("ab*", max_size=8), st.text("ab", max_size=10))
def test_the_star_is_what_the_definition_says(pattern: str, text: str) -> None:
    """The same algorithm inside one component agrees with its definition."""
    assert says_component(pattern, text) == matches_glob(pattern, text, star="*", same=str.__eq__)


@given(PATHS.filter(lambda path: path[0] != "proxy"))
def test_a_plain_pattern_covers_itself_alone(path: list[str]) -> None:
    """Without a star a pattern is one name."""
    pattern = "/".join(path)

    assert covers_native(pattern, path)
    assert not covers_native(pattern, [*path, "x"])
    assert not covers_native(pattern, path[:-1])


@pytest.mark.parametrize(
    ("pattern", "covered", "not_covered"),
    [
        ("worker", ["worker"], ["worker/x", "workers", "x/worker", "Worker"]),
        ("api/*", ["api/v1", "api/v2"], ["api", "api/v1/x", "apis/v1"]),
        ("api/**", ["api/v1", "api/v1/x/y"], ["api", "apis/v1"]),
        ("**", ["a", "a/b", "proxy/hub/x"], []),
        ("**/debug", ["debug", "a/debug", "a/b/debug"], ["a/debug/b", "debugger"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["a", "z", "a/b"]),
        ("a/**/**", ["a/b", "a/b/c"], ["a"]),
        ("*-beta", ["x-beta", "x-y-beta"], ["beta", "x-beta/y"]),
        ("v*.*", ["v1.2", "v.x"], ["v1", "x1.2"]),
    ],
)
def test_examples(pattern: str, covered: list[str], not_covered: list[str]) -> None:
    """What people write covers what they mean."""
    names = [*covered, *not_covered]

    assert [name in covered for name in names] == [covers_native(pattern, name.split("/")) for name in names]


@given(st.just("proxy/") | st.just(""), PATTERNS, UPSTREAMS, PATHS)
def test_no_pattern_covers_both_kinds(prefix: str, pattern: str, upstream: str, path: list[str]) -> None:
    """Whatever a pattern covers, it covers native images or pulled-through ones, never both."""
    whole = prefix + pattern
    native = [covers_native(whole, rest) for rest in (path, ["proxy", upstream, *path])]
    proxied = covers_proxied(whole, upstream, path)

    assert not (any(native) and proxied)
    assert not any(native) or not whole.startswith("proxy/")
    assert not proxied or whole.startswith("proxy/")


@given(UPSTREAMS, UPSTREAMS, PATTERNS, PATHS)
def test_a_proxy_pattern_covers_its_own_upstream(named: str, other: str, pattern: str, path: list[str]) -> None:
    """A pattern names one upstream and covers what the rest of it says there."""
    expected = named == other and says(pattern.split("/"), path)

    assert expected == covers_proxied(f"proxy/{named}/{pattern}", other, path)


@pytest.mark.parametrize(
    "text",
    ["worker", "api/*", "**", "*", "a/**/b", "v*.*", "*-x", "proxy/hub/**", "proxy/hub/library/redis", "a" * 255],
)
def test_patterns(text: str) -> None:
    """A pattern is kept as it was typed."""
    assert text == parse_pattern(text)


@pytest.mark.parametrize(
    "text",
    ["", "/", "a/", "/a", "a//b", "a/../b", "..", ".", "A", "acme/Worker", "a b", "a\n", "a**b", "***", "a/b**", "a?b",
     "[ab]", "{a,b}", "a:b", "a@b", "-a", "a-", "\u0430", "a\u200b", "proxy", "proxy/hub", "proxy/*/x", "proxy/h*b/x",
     "proxy/**/x", "proxy/**", "a" * 256, "*/" * 200 + "*"],
)  # fmt: skip
def test_patterns_refused(text: str) -> None:
    """Anything else is refused with a sentence that shows what was typed."""
    with pytest.raises(InputRefused, match=r"is not a repository pattern|must name one upstream"):
        parse_pattern(text)


@given(st.text(st.sampled_from("ab*./-_A") | st.characters(), max_size=30))
def test_a_pattern_without_stars_is_a_name(text: str) -> None:
    """Whatever is accepted is ASCII without empty components; a name of the grammar is always accepted."""
    try:
        parse_pattern(text)
    except InputRefused:
        with pytest.raises(ValueError, match="repository name"):
            _native(text)
        return

    assert text.isascii()
    assert all(text.split("/"))


def _native(text: str) -> None:
    """Parse ``text`` as a path inside an app, outside ``proxy``."""
    if text.split("/", maxsplit=1)[0] == "proxy" or Repository.parse(text).domain is not None:
        raise ValueError("not a repository name inside an app")


@pytest.mark.parametrize(
    ("pattern", "items"),
    [
        ("a*" * 60 + "b", "a" * 254),
        (["**", "*a*"] * 30 + ["b"], ["aaa"] * 64),
    ],
    ids=["in a component", "in a path"],
)
def test_no_pattern_is_slow(pattern: Sequence[str], items: Sequence[str]) -> None:
    """The classic killers of backtracking cost at most pattern x text comparisons."""
    steps = 0

    def same(left: str, right: str) -> bool:
        nonlocal steps
        steps += 1
        return says_component(left, right)

    assert not matches_glob(pattern, items, star="*" if isinstance(pattern, str) else "**", same=same)
    assert steps <= len(pattern) * len(items)
