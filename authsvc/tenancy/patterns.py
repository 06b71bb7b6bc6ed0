"""Repository patterns of licenses (design #11).

``*`` stands for any text within one component, ``**`` as a whole component for any number of components: at the end of
a pattern at least one (``api/**`` is everything inside ``api``), elsewhere possibly none. No other character is
special. A pattern is relative to the app. One that begins with ``proxy/UPSTREAM/`` matches images that are pulled
through from that upstream, and no other pattern does.
"""

import re
from collections.abc import Callable, Sequence

from authsvc.errors import InputRefused
from authsvc.spec.reference import MAX_NAME_LENGTH

MAX_PATTERNS = 100
"""Most patterns in one license."""

PROXY = "proxy"
"""First component of every pulled-through repository, and of every pattern that matches one."""

MIN_PROXY_COMPONENTS = 3

_COMPONENT = re.compile(r"\*\*|[a-z0-9*](?:[a-z0-9._*-]*[a-z0-9*])?", re.ASCII)


def is_pattern(text: str) -> bool:
    """Whether ``text`` is a well-formed pattern."""
    components = text.split("/")
    whole = all(_COMPONENT.fullmatch(c) and ("**" not in c or c == "**") for c in components)
    return 0 < len(text) <= MAX_NAME_LENGTH and whole


def parse_pattern(text: str, field: str = "repositories") -> str:
    """Return ``text`` if it is a well-formed pattern.

    Args:
        text: as typed.
        field: the argument that contains it.

    Raises:
        InputRefused: not of the grammar.
    """
    if not is_pattern(text):
        raise InputRefused(
            f"{text[:80]!r} is not a repository pattern: lower-case components joined by '/', with '*' inside one "
            "component and '**' for any depth, relative to the app, such as worker or api/*",
            code="pattern_invalid",
            field=field,
        )
    components = text.split("/")
    if components[0] == PROXY and (len(components) < MIN_PROXY_COMPONENTS or "*" in components[1]):
        raise InputRefused(
            f"{text[:80]!r} must name one upstream and what of it, such as proxy/hub/**",
            code="pattern_invalid",
            field=field,
        )
    return text


def matches(pattern: str, components: Sequence[str]) -> bool:
    """Whether ``pattern`` covers the repository whose path inside the app is ``components``.

    For pulled-through images ``components`` begins with ``proxy`` and the upstream; for native ones the caller never
    passes such a path as native: see :func:`covers_native` and :func:`covers_proxied`.
    """
    wanted: list[str] = pattern.split("/")
    if wanted[-1] == "**":  # at the end: at least one component
        wanted[-1:] = ["*", "**"]
    return matches_glob(wanted, components, star="**", same=_component_matches)


def covers_native(pattern: str, rest: Sequence[str]) -> bool:
    """Whether ``pattern`` covers the native repository ``<app>/<rest>``."""
    return pattern.partition("/")[0] != PROXY and matches(pattern, rest)


def covers_proxied(pattern: str, upstream: str, rest: Sequence[str]) -> bool:
    """Whether ``pattern`` covers the pulled-through repository ``proxy/<app>/<upstream>/<rest>``."""
    return pattern.partition("/")[0] == PROXY and matches(pattern, (PROXY, upstream, *rest))


def _component_matches(pattern: str, component: str) -> bool:
    return matches_glob(pattern, component, star="*", same=str.__eq__)


def matches_glob(pattern: Sequence[str], items: Sequence[str], *, star: str, same: Callable[[str, str], bool]) -> bool:
    """Match ``items`` against ``pattern``, where ``star`` stands for any run of items.

    The greedy two-pointer algorithm: on a mismatch only the latest star takes one more item. It takes at most
    len(pattern) x len(items) steps, so no pattern is slow.
    """
    at = item = 0
    star_at, taken = -1, 0
    while item < len(items):
        if at < len(pattern) and pattern[at] == star:
            star_at, taken = at, item
            at += 1
        elif at < len(pattern) and same(pattern[at], items[item]):
            at += 1
            item += 1
        elif star_at >= 0:
            taken += 1
            at, item = star_at + 1, taken
        else:
            return False
    return all(rest == star for rest in pattern[at:])
