"""Ranges of names: together they have what the patterns cover, in order and each name once."""

from hypothesis import given
from hypothesis import strategies as st

from authsvc.tenancy.name_ranges import name_ranges
from authsvc.tenancy.patterns import covers_native

PIECES = st.text("ab*", min_size=1, max_size=4).filter(lambda text: "**" not in text)
PATTERNS = st.lists(st.lists(PIECES | st.just("**"), min_size=1, max_size=3).map("/".join), max_size=4)
NAMES = st.lists(st.text("ab", min_size=1, max_size=3), min_size=1, max_size=3).map("/".join)


@given(PATTERNS, st.lists(NAMES, max_size=20))
def test_they_have_what_is_covered(patterns: list[str], names: list[str]) -> None:
    """Read range by range, the names are sorted, and they are those that a pattern covers."""
    there = sorted({f"app/{name}" for name in names})
    read = [name for one in name_ranges("app", patterns) for name in there if one.covers(name)]
    assert read == [name for name in there if any(covers_native(one, name.split("/")[1:]) for one in patterns)]


def test_they_are_narrow() -> None:
    """What a pattern begins with is where it is looked for; what lies in another range is not looked for twice."""
    found = name_ranges("app", ["worker", "api/*/web", "api/v2/*", "api/v2/x", "proxy/hub/**", "worker"])
    assert [(one.prefix, one.is_name) for one in found] == [("app/api/", False), ("app/worker", True)]
    assert [(one.prefix, one.cost) for one in name_ranges("app", ["x", "*"])] == [("app/", 1)]
    assert [(one.prefix, one.patterns) for one in name_ranges("app", None)] == [("app/", None)]
    assert name_ranges("app", []) == ()
