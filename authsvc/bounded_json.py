"""JSON of a bounded length, for log lines and audit entries.

A client controls the size of its request, and must not control how much is written about it. Values that do not fit
are cut, the longest first, and a member ``cut`` tells for each how much is missing. The work is linear in the input.
"""

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

MARK = " ... "
"""Replaces the part that was cut out of the middle of a text: the end of a traceback says most."""

CUT = "cut"
_DIGITS = 10
"""Room for one count, with its separators."""


def bounded_json(encoder: json.JSONEncoder, facts: Mapping[str, Any], limit: int, whole: Collection[str] = ()) -> str:
    """Return ``facts`` as JSON of at most ``limit`` bytes.

    Args:
        encoder: makes ASCII.
        facts: a few members, whose values may be long.
        limit: in bytes; far more than the names and the ``whole`` members need.
        whole: names of members that are never cut. The caller bounds their length.
    """
    text = encoder.encode(facts)
    return text if len(text) <= limit else encoder.encode(_cut(encoder, facts, limit, whole))


def _cut(encoder: json.JSONEncoder, facts: Mapping[str, Any], limit: int, whole: Collection[str]) -> dict[str, Any]:
    sizes = {str(name): len(encoder.encode(value)) for name, value in facts.items()}
    # Each name may be needed twice, the second time in ``cut``.
    names = sum(2 * len(encoder.encode(name)) + 2 * _DIGITS for name in sizes) + 2 * _DIGITS
    needed = sum(size for name, size in sizes.items() if name in whole)
    share = _share([size for name, size in sizes.items() if name not in whole], limit - names - needed)
    kept: dict[str, Any] = {}
    missing: dict[str, int] = {}
    for name, value in facts.items():
        if name in whole or sizes[str(name)] <= share:
            kept[str(name)] = value
            continue
        kept[str(name)], gone = _shortened(encoder, value, share)
        if gone:
            missing[str(name)] = gone
    return {**kept, CUT: missing}


def _share(sizes: Iterable[int], room: int) -> int:
    """Return the most bytes that one value may take so that all fit; long values get the room that short ones leave."""
    left = sorted(sizes)
    for place, size in enumerate(left):
        share = max(0, room) // (len(left) - place)
        if size > share:
            return share
        room -= size
    return max(0, room)


def _shortened(encoder: json.JSONEncoder, value: object, share: int) -> tuple[object, int]:
    """Return the first items of a list or both ends of a text, and how many items or characters are missing."""
    if isinstance(value, Mapping):
        shown_members = _cut(encoder, value, share, ())
        return (shown_members, 0) if len(encoder.encode(shown_members)) <= share else ({}, len(value))
    if isinstance(value, Sequence) and not isinstance(value, str | bytes):
        return _first(encoder, value, share)
    text = str(value)
    length = min(len(text), share)
    while length > 0:
        shown = text[: length // 2] + MARK + text[len(text) - length // 2 :]
        if len(encoder.encode(shown)) <= share:
            return shown, len(text) - 2 * (length // 2)
        length = length * 3 // 4
    return "", len(text)


def _first(encoder: json.JSONEncoder, items: Sequence[object], share: int) -> tuple[list[object], int]:
    kept: list[object] = []
    room = share - 2
    for item in items:
        room -= len(encoder.encode(item)) + 2
        if room < 0:
            break
        kept.append(item)
    return kept, len(items) - len(kept)
