"""Records as versioned JSON.

Two versions of authsvc can work on the same store. A newer one may add optional fields without raising a record's
version ``v``: an older one ignores them, but keeps them when it changes another field
(:meth:`Codec.encode_change`). ``v`` of a kind of record is raised only when an older authsvc would misread the record;
it then refuses the record, and only that one.
"""

import json
from collections.abc import Hashable
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, TypeVar, cast

import cattrs

from authsvc.errors import StoreUnavailable
from authsvc.redaction import Secret

T = TypeVar("T")

KEPT = 256
"""Most records that stay decoded, by default."""

VERSION = 1
"""Version of every kind of record: the one that is written, and the newest one that can be read."""


class Codec:
    """Turns records into JSON and back.

    Records that were just decoded are cached: a request reads its credential twice, the second time at the same instant
    as everything else, and many licenses have the same app. Equal bytes are an equal record, and records are frozen.
    """

    def __init__(self, kept: int = KEPT) -> None:
        """Register our two special types, aware datetimes and secrets, with cattrs; ``kept`` records stay decoded."""
        self._converter = cattrs.Converter(omit_if_default=True)
        self._converter.register_unstructure_hook(datetime, lambda at: at.astimezone(UTC).isoformat())
        self._converter.register_structure_hook(datetime, lambda text, _: _instant(text))
        self._converter.register_unstructure_hook(Secret, Secret.reveal)
        self._converter.register_structure_hook(Secret, lambda text, _: Secret(text))
        self._decode_kept = lru_cache(kept)(self.decode_once)

    def encode(self, record: object) -> bytes:
        """Return ``record`` as JSON."""
        return json.dumps({"v": VERSION, **self._converter.unstructure(record)}, separators=(",", ":")).encode()

    def encode_change(self, old: bytes, record: object) -> bytes:
        """Return ``record``, a changed form of the one in ``old``, as JSON with the fields that only ``old`` has.

        Fields of ``old`` that this version does not know are kept, even in nested records. Decoding ignores them, so
        reading costs nothing more.

        Raises:
            StoreUnavailable: ``old`` was written by a newer authsvc, or is damaged.
        """
        known = self._converter.unstructure(self.decode(old, type(record)))
        merged = _merged(json.loads(old), known, self._converter.unstructure(record))
        return json.dumps({"v": VERSION, **merged}, separators=(",", ":")).encode()

    def decode(self, raw: bytes, kind: type[T]) -> T:
        """Return the record in ``raw``.

        Raises:
            StoreUnavailable: it was written by a newer authsvc (code ``record_too_new``), or is damaged.
        """
        record: T = self._decode_kept(raw, cast("Hashable", kind))
        return record

    def decode_once(self, raw: bytes, kind: type[T]) -> T:
        """Return the record in ``raw`` like :meth:`decode`, for a caller that caches it.

        Raises:
            StoreUnavailable: it was written by a newer authsvc, or is damaged.
        """
        try:
            fields: dict[str, Any] = json.loads(raw)
            version = fields.pop("v")
            if version != VERSION:
                raise StoreUnavailable(
                    "the data was written by a newer authsvc; upgrade this one",
                    code="record_too_new",
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


@lru_cache(256)
def _instant(text: str) -> datetime:
    """Return the instant: the same object for the same end of many licenses, of which thousands are cached."""
    return datetime.fromisoformat(text)


def decode_instant(raw: bytes) -> datetime:
    """Return the instant that is stored as text.

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


def _merged(old: Any, known: Any, new: Any) -> Any:
    """Return ``new`` with what is in ``old`` but not in ``known``, which is ``old`` as this version understands it."""
    if isinstance(old, dict) and isinstance(known, dict) and isinstance(new, dict):
        merged = {name: _merged(old.get(name), known.get(name), value) for name, value in new.items()}
        return {**{name: value for name, value in old.items() if name not in known and name != "v"}, **merged}
    if isinstance(old, list) and isinstance(known, list | tuple) and isinstance(new, list | tuple):
        pairs = list(zip(old, known, strict=True))
        return [_merged(*_same_part(pairs, part), part) for part in new]
    return new


def _same_part(pairs: list[tuple[Any, Any]], part: Any) -> tuple[Any, Any]:
    """Return the old form of one part of a list, and its known fields: an equal part, else one of the same name.

    The name of a nested record is its first field, such as the generation of a token.
    """
    equal = next((pair for pair in pairs if pair[1] == part), None)
    if equal is not None or not isinstance(part, dict):
        return equal or (None, None)
    name = next(iter(part.items()), None)
    return next((pair for pair in pairs if next(iter(pair[1].items()), None) == name), (None, None))
