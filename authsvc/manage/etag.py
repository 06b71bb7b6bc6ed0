"""Entity tags of records (RFC 9110 §8.8.3): what a client sends back to change only what it has seen."""

import enum
import hashlib
import json
from datetime import datetime
from typing import Any

from attrs import asdict

from authsvc.redaction import Secret

ETAG_LENGTH = 32
"""Hexadecimal digits of the opaque part."""

ANY = "*"
"""Stands for every tag: the record only has to exist."""


def etag(record: Any) -> str:
    """Return the strong entity tag of a record, with its quotes: equal for equal contents.

    It stands for what is stored. What follows from the clock, such as the state of a license, does not change it.

    Args:
        record: a record of :mod:`authsvc.tenancy`, an attrs class.
    """
    content = asdict(record, value_serializer=_plain)
    text = json.dumps([type(record).__name__, content], sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:ETAG_LENGTH]}"'


def _plain(_record: object, _field: object, value: Any) -> Any:
    match value:
        case Secret():
            return None  # what depends on it raises the record's epoch
        case datetime():
            return value.isoformat()
        case enum.Enum():
            return value.value
        case frozenset() | set():
            return sorted(value)
        case _:
            return value
