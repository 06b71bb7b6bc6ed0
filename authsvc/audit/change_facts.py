"""Renders the facts of a change for people: a name with a value, or with the old and the new value."""

from collections.abc import Iterator, Mapping
from datetime import UTC
from typing import Any

from attrs import frozen

from authsvc.audit.sentences import CHANGED, NOT_OF_A_CHANGE, batch_of
from authsvc.audit.stored_entry import instant
from authsvc.bounded_json import CUT

MAX_VALUE = 120
"""Most characters of a value; the explanation of the entry shows all of it."""

NOTHING = "nothing"
"""Stands in place of a missing value."""

_OLD_AND_NEW = 2


@frozen
class ChangeFact:
    """One fact of a change.

    Attributes:
        name: in words.
        value: the value, or the new value.
        old: the old value; None for a fact without one.
    """

    name: str
    value: str
    old: str | None = None


def change_facts(facts: Mapping[str, Any]) -> tuple[ChangeFact, ...]:
    """Return the facts of a change, in the order of the entry.

    Args:
        facts: of the entry; an entry that was cut may lack some.
    """
    return tuple(_found(facts))


def _found(facts: Mapping[str, Any]) -> Iterator[ChangeFact]:
    if batch := batch_of(facts):
        yield ChangeFact("part of", _cut(batch))
    for name, value in facts.items():
        if name in NOT_OF_A_CHANGE or value is None:
            continue
        if _is_change(value):
            yield from _changes(value)
        else:
            yield ChangeFact(_words(name), _text(value))
    changed = facts.get(CHANGED)
    if isinstance(changed, Mapping):
        yield from _changes(changed)


def _is_change(value: object) -> bool:
    """Whether a value contains old and new values by field, as for the customer of a license."""
    return isinstance(value, Mapping) and bool(value) and all(map(_is_pair, value.values()))


def _is_pair(value: object) -> bool:
    return isinstance(value, list) and len(value) == _OLD_AND_NEW


def _changes(changed: Mapping[str, Any]) -> Iterator[ChangeFact]:
    for name, values in changed.items():
        if name != CUT and isinstance(values, list):
            old, new = [*map(_text, values), "(cut)", "(cut)"][:_OLD_AND_NEW]
            yield ChangeFact(_words(name), new, old)


def _words(name: object) -> str:
    return str(name).replace("_", " ").replace("-", " ")


def _text(value: object) -> str:
    """Return a value as people read it: lists with commas, instants to the minute in UTC."""
    match value:
        case None | [] | "":
            return NOTHING
        case bool():
            return "yes" if value else "no"
        case list() | tuple():
            return _cut(", ".join(map(_text, value)))
        case Mapping():
            return _cut(", ".join(f"{_words(name)} {_text(one)}" for name, one in value.items()))
        case str() if (at := instant(value)) is not None:
            return f"{at.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
        case _:
            return _cut(str(value))


def _cut(text: str) -> str:
    return text if len(text) <= MAX_VALUE else f"{text[:MAX_VALUE]}…"
