"""Entity tags of records (RFC 9110 §8.8.3), with which a client changes only the version that it has seen."""

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
"""Matches every tag: the record only has to exist."""


def etag(record: Any) -> str:
    """Return the strong entity tag of a record, with its quotes: equal for equal contents.

    It depends on the stored record only: changes with time, such as of the state of a license, do not affect it.

    Args:
        record: a record of :mod:`authsvc.tenancy`, an attrs class.
    """
    content = asdict(record, value_serializer=_plain)
    text = json.dumps([type(record).__name__, content], sort_keys=True, separators=(",", ":"))
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:ETAG_LENGTH]}"'


def _plain(_record: object, _field: object, value: Any) -> Any:
    match value:
        case Secret():
            return None  # changes of it also raise the record's epoch
        case datetime():
            return value.isoformat()
        case enum.Enum():
            return value.value
        case frozenset() | set():
            return sorted(value)
        case _:
            return value
