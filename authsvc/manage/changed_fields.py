"""The changed fields of a record, for its audit entry: the old and the new value of each field, but no secrets."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import fields

from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import Grant
from authsvc.tenancy.records import TokenDigest

UNSHOWN = frozenset({"epoch", "sha256", "changed_at"})
"""Fields that are not shown: consequences of other changes, and the digests of secrets."""

HIDDEN = frozenset({"sealed_secret", "old_sealed_secret", "path"})
"""Fields of which an entry shows only whether they are set: encrypted secrets, and the path of a receiver's URL, which
may contain a token."""

IS_SET = "set"
"""Stands for the value of a secret."""

NAMES = {"password_hash": "password", "sealed_secret": "secret", "old_sealed_secret": "old_secret"}
"""Fields that have another name for users."""


def changed_fields(old: Any, new: Any) -> dict[str, list[Any]]:
    """Return the fields in which two forms of a record differ, each with its old and its new value as JSON.

    A custom field of a license is ``fields.NAME``; a missing value is null.

    Args:
        old: a record, an attrs class.
        new: of the same class.
    """
    names = [attribute.name for attribute in fields(type(old)) if attribute.name not in UNSHOWN]
    before, after = _values(old, names), _values(new, names)
    return {
        NAMES.get(name, name): [_shown(before.get(name)), _shown(after.get(name))]
        for name in dict.fromkeys([*before, *after])
        if _differ(before, after, name)
    }


def _differ(before: Mapping[str, Any], after: Mapping[str, Any], name: str) -> bool:
    """Whether a field has different values, or exists in one form only. 1, 1.0 and true are different values."""
    old, new = before.get(name), after.get(name)
    if (name in before) != (name in after) or old != new:
        return True
    return json.dumps(_shown(old), sort_keys=True) != json.dumps(_shown(new), sort_keys=True)


def _values(record: Any, names: list[str]) -> dict[str, Any]:
    """Return the values of a record by field, those of a mapping one by one."""
    found: dict[str, Any] = {}
    for name in names:
        value = getattr(record, name)
        if isinstance(value, Mapping):
            found |= {f"{name}.{key}": inner for key, inner in value.items()}
        else:
            found[name] = _plain(name, value)
    return found


def _plain(name: str, value: Any) -> Any:
    """Return a value that can be compared and shown; for a hidden value only that it is set."""
    from authsvc.upstreams.origin import Origin  # noqa: PLC0415  most commands change nothing

    if isinstance(value, Origin):
        return value.text
    return Secret(value) if name in HIDDEN and value is not None else value


def _shown(value: Any) -> Any:
    """Return a value as readable JSON. A token is reduced to its generation and its end."""
    match value:
        case Secret():
            return IS_SET
        case TokenDigest():
            end = "" if value.ends_at is None else f" until {value.ends_at.isoformat()}"
            return f"generation {value.generation}{end}"
        case Grant():
            return value.render()
        case datetime():
            return value.isoformat()
        case tuple() | list():
            return [_shown(one) for one in value]
        case _:
            return value
