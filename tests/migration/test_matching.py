"""Globs and regular expressions as docker_auth reads them, and sets of names against an enumeration."""

import itertools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.migration.match_condition import literal_of, matches
from authsvc.migration.name_region import NameRegion, parse_glob, parse_regex
from tests.support.docker_auth import translated


@pytest.mark.parametrize(
    ("condition", "text", "found"),
    [
        (None, "bob", True),
        ("bob", "bob", True),
        ("bob", "Bob", False),
        ("b*", "bob", True),
        ("*", "a/b", False),
        ("**", "a/b", False),
        ("*/*", "a/b", True),
        ("?ob", "bob", True),
        ("?", "/", False),
        ("", "", True),
        ("*", "", True),
        (r"b\*", "b*", True),
        (r"b\*", "bob", False),
        ("${account}", "bob", True),
        ("x-${account}", "x-bob", True),
        ("${type}", "repository", True),
        ("/bob/", "xbobx", True),
        ("/^bob$/", "bob", True),
        ("/^bob$/", "bob\n", False),
        ("/^(ann|bob)$/", "bob", True),
        ("/^b.+$/", "b", False),
        ("/o{2}/", "boob", None),
        ("/(?i)BOB/", "bob", None),
        ("/[b]ob/", "bob", None),
        ("/.*.*.*x/", "bob", None),
        ("/\\d/", "1", None),
        ("[ab]ob", "bob", None),
        ("bob\\", "bob", None),
        ("${service}", "x", None),
        ("${labels:group}", "x", None),
        ("x" * 301, "x", None),
        ("//", "//", True),
    ],
)
def test_conditions(condition: str | None, text: str, found: bool | None) -> None:
    """What matches, what does not, and what cannot be told."""
    assert matches(condition, text, "bob") is found


def test_what_an_account_is_called_is_no_pattern() -> None:
    """A name with special characters stands for itself where a variable is replaced."""
    assert matches("${account}", "a*b", "a*b") is True
    assert matches("${account}", "axb", "a*b") is False
    assert matches("/^${account}$/", "a.b", "a.b") is True
    assert matches("/^${account}$/", "axb", "a.b") is False


@pytest.mark.parametrize(
    ("condition", "literal"),
    [("bob", "bob"), (r"b\*", "b*"), ("b*", None), ("/bob/", None), ("${account}", None), ("", ""), (r"b\\*", None)],
)
def test_literals(condition: str, literal: str | None) -> None:
    """A condition that names one account."""
    assert literal_of(condition) == literal


@given(glob=st.text("ab*?/\\", max_size=8), text=st.text("ab/", max_size=6))
def test_globs_are_those_of_the_oracle(glob: str, text: str) -> None:
    """Matching by states agrees with a regular expression."""
    found = matches(glob, text, "")
    if found is not None and not (len(glob) > 2 and glob[0] == glob[-1] == "/"):
        assert found is (re.fullmatch(translated(glob), text) is not None)


components = st.text("ab*?", min_size=1, max_size=3)
regions = st.builds(NameRegion, st.lists(components, max_size=2).map(tuple), st.booleans())


def names() -> Iterator[tuple[str, ...]]:
    """Yield all names of up to three short components."""
    words = ["".join(letters) for size in (1, 2) for letters in itertools.product("abc", repeat=size)]
    for size in (1, 2):
        yield from itertools.product(words, repeat=size)
    yield from itertools.product(("a", "ab", "c"), repeat=3)


NAMES = tuple(names())


@given(one=regions, other=regions)
def test_covering_and_overlapping(one: NameRegion, other: NameRegion) -> None:
    """A set that covers another has all of its names, and sets that share a name overlap."""
    own = {name for name in NAMES if one.contains(name)}
    theirs = {name for name in NAMES if other.contains(name)}

    assert not one.covers(other) or theirs <= own
    assert one.overlaps(other) or not own & theirs
    assert one.overlaps(other) is other.overlaps(one)


@given(one=regions)
def test_a_set_covers_itself(one: NameRegion) -> None:
    """And overlaps itself."""
    assert one.covers(one)
    assert one.overlaps(one)


@pytest.mark.parametrize(
    ("text", "pattern", "exact"),
    [
        ("acme/*", "acme/*", True),
        ("acme/**", "acme/*", True),
        (r"ac\me\/api", "acme/api", True),
        ("acme/a?i", None, True),
        ("acme/[a]pi", "**", False),
        ("acme/api\\", "**", False),
        ("acme", "acme", True),
    ],
)
def test_globs_as_sets(text: str, pattern: str | None, exact: bool) -> None:
    """Two stars are one, and a class may be anything."""
    parsed = parse_glob(text)
    assert parsed.region is not None
    assert (parsed.region.pattern(), parsed.exact) == (pattern, exact)


@pytest.mark.parametrize("text", ["Acme/api", "acme//api", "acme/", "", "acme/-x", r"acme/\*", "acme/a b"])
def test_globs_that_no_repository_matches(text: str) -> None:
    """They describe nothing, which is certain."""
    assert parse_glob(text).region is None


@pytest.mark.parametrize(
    ("text", "pattern", "exact"),
    [
        (r"^acme\/", "acme/**", True),
        (r"^acme/.*$", "acme/**", True),
        (r"^acme\/api\.x\/.+", "acme/api.x/**", True),
        (r"^acme\/api$", "acme/api", True),
        (".*", "**", True),
        ("^.+$", "**", True),
        ("acme/.*", "**", False),
        ("^acme", "**", False),
        ("^ac.e/.*", "**", False),
        ("^acme/.*x", "**", False),
        ("^acme/.+x?$", "**", False),
        ("^acme/(a|b)$", "**", False),
    ],
)
def test_regular_expressions_as_sets(text: str, pattern: str, exact: bool) -> None:
    """Only a fixed path, and all below one, are certain."""
    parsed = parse_regex(text)
    assert parsed.region is not None
    assert (parsed.region.pattern(), parsed.exact) == (pattern, exact)
