"""Records as versioned JSON.

The version is the record's own: a reader accepts the versions it knows and says so plainly when it meets a newer one,
so two versions of authsvc can stand side by side.
"""

import json
from collections.abc import Hashable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, Generic, TypeVar, cast

import cattrs
from attrs import frozen

from authsvc.errors import StoreUnavailable
from authsvc.redaction import Secret

T = TypeVar("T")

KEPT = 256
"""Records that stay decoded, unless more are asked for."""

VERSION = 1
"""Version that is written, and the newest that is read."""


@frozen
class Stored(Generic[T]):
    """A record together with its bytes in the store, so that a change can insist on exactly those.

    Attributes:
        record: the value.
        raw: what the store holds.
    """

    record: T
    raw: bytes


class Codec:
    """Turns records into JSON and back.

    What was just decoded is kept: a request reads its credential twice, the second time as of one instant with
    everything else, and the app of a license is the same for all its customers. Equal bytes are an equal record, and
    records are frozen.
    """

    def __init__(self, kept: int = KEPT) -> None:
        """Teach cattrs our two special types, aware datetimes and secrets; ``kept`` records stay decoded."""
        self._converter = cattrs.Converter(omit_if_default=True)
        self._converter.register_unstructure_hook(datetime, lambda at: at.astimezone(UTC).isoformat())
        self._converter.register_structure_hook(datetime, lambda text, _: datetime.fromisoformat(text))
        self._converter.register_unstructure_hook(Secret, Secret.reveal)
        self._converter.register_structure_hook(Secret, lambda text, _: Secret(text))
        self._decode_kept = lru_cache(kept)(self._decode)

    def encode(self, record: object) -> bytes:
        """Return ``record`` as JSON."""
        return json.dumps({"v": VERSION, **self._converter.unstructure(record)}, separators=(",", ":")).encode()

    def decode(self, raw: bytes, kind: type[T]) -> T:
        """Return the record in ``raw``.

        Raises:
            StoreUnavailable: it was written by a newer authsvc, or is damaged.
        """
        record: T = self._decode_kept(raw, cast("Hashable", kind))
        return record

    def _decode(self, raw: bytes, kind: type[T]) -> T:
        try:
            fields: dict[str, Any] = json.loads(raw)
            version = fields.pop("v")
            if version != VERSION:
                raise StoreUnavailable(
                    "the data was written by a newer authsvc; upgrade this one",
                    detail=f"{kind.__name__} v{version}",
                )
            return self._converter.structure(fields, kind)
        except (ValueError, KeyError, TypeError, AttributeError, cattrs.BaseValidationError) as error:
            raise StoreUnavailable("a stored record is damaged", detail=f"{kind.__name__}: {error!r}") from error

    def decode_optional(self, raw: bytes | None, kind: type[T]) -> T | None:
        """Return the record in ``raw``, or None for None.

        Raises:
            StoreUnavailable: it was written by a newer authsvc, or is damaged.
        """
        return None if raw is None else self.decode(raw, kind)


def decode_instant(raw: bytes) -> datetime:
    """Return the instant that is kept as text.

    Raises:
        StoreUnavailable: it is none.
    """
    try:
        at = datetime.fromisoformat(raw.decode("ascii"))
    except ValueError as error:
        raise StoreUnavailable("a stored record is damaged", detail=f"instant: {error!r}") from error
    if at.tzinfo is None:
        raise StoreUnavailable("a stored record is damaged", detail="instant: without a time zone")
    return at
