"""Reads a snapshot of Redis (an RDB file): its keys, and the values of some of them.

The format is read as far as it must be to find where each value ends: versions up to 12, which Redis 7 and 8 write,
with every type that has no modules (rdb.h and rdb.c of Redis). The file is read from front to back in little memory.
"""

from collections.abc import Callable, Iterator
from typing import BinaryIO

from attrs import define, frozen

MAGIC = b"REDIS"

NEWEST = 12
"""Newest version of the format that is read."""

EXPIRES_SECONDS, EXPIRES, DATABASE, SIZES, AUXILIARY, END = 0xFD, 0xFC, 0xFE, 0xFB, 0xFA, 0xFF
IDLE, FREQUENCY, FUNCTION, SLOT = 0xF8, 0xF9, 0xF5, 0xF4

STRING = 0
ONE_STRING = frozenset({9, 10, 11, 12, 13, 16, 17, 20})
"""Types whose value is one string: small lists, sets, sorted sets and hashes in one block."""

STREAMS = frozenset({15, 19, 21})

_INTEGERS = {0: 1, 1: 2, 2: 4}
_COMPRESSED = 3
_SPECIAL_DOUBLES = frozenset({253, 254, 255})
_LITERAL = 32
"""Control bytes of LZF below this announce literal bytes."""


class SnapshotDamaged(Exception):
    """The file is not a complete snapshot, or it is from a Redis that is too new."""


@frozen
class StoredText:
    """A key of a snapshot.

    Attributes:
        key: its name.
        value: the text of a string that was asked for, or the id of the last entry of a stream; else None.
        ends_at: Unix time in milliseconds at which Redis forgets it, or None.
    """

    key: str
    value: bytes | None
    ends_at: int | None


@define
class SnapshotReader:
    """Reads one snapshot, once.

    Attributes:
        file: at its beginning, buffered and seekable.
        wanted: whether the value of a key is needed.
        database: number of the database whose keys are returned.
    """

    file: BinaryIO
    wanted: Callable[[str], bool]
    database: int = 0

    def read(self) -> Iterator[StoredText]:
        """Yield every key of the database.

        Raises:
            SnapshotDamaged: the file ends too early, is not a snapshot, or has something in it that is not known.
        """
        version = self._version()
        database, ends_at = 0, None
        while (code := self._take(1)[0]) != END:
            if code == EXPIRES:
                ends_at = int.from_bytes(self._take(8), "little")
            elif code == EXPIRES_SECONDS:
                ends_at = int.from_bytes(self._take(4), "little") * 1000
            elif code == DATABASE:
                database = self._length()
            elif not self._skip_remark(code):
                key = self._string().decode("utf-8", "surrogateescape")
                value = self._value(code, is_wanted=database == self.database and self.wanted(key))
                if database == self.database:
                    yield StoredText(key, value, ends_at)
                ends_at = None
        if version >= 5:  # noqa: PLR2004  since then there is a checksum
            self._take(8)

    def _version(self) -> int:
        if self._take(5) != MAGIC:
            raise SnapshotDamaged("it is not a snapshot of Redis")
        version = self._take(4)
        if not version.isdigit() or int(version) > NEWEST:
            raise SnapshotDamaged(f"it was written by a newer Redis (format {version.decode('ascii', 'replace')})")
        return int(version)

    def _skip_remark(self, code: int) -> bool:
        """Skip what is not a key; return whether it was that."""
        if code == AUXILIARY:
            self._skip_strings(2)
        elif code == SIZES:
            self._lengths(2)
        elif code == SLOT:
            self._lengths(3)
        elif code == FUNCTION:
            self._skip_strings(1)
        elif code == IDLE:
            self._lengths(1)
        elif code == FREQUENCY:
            self._skip(1)
        else:
            return False
        return True

    def _value(self, kind: int, *, is_wanted: bool) -> bytes | None:
        if kind == STRING and is_wanted:
            return self._string()
        if kind in STREAMS:
            last = self._skip_stream(kind)
            return last if is_wanted else None
        self._skip_value(kind)
        return None

    def _skip_value(self, kind: int) -> None:
        if kind == STRING or kind in ONE_STRING:
            self._skip_strings(1)
        elif kind in {1, 2, 14}:  # lists and sets
            self._skip_strings(self._length())
        elif kind == 4:  # noqa: PLR2004  a hash
            self._skip_strings(2 * self._length())
        elif kind in {3, 5, 18}:
            for _ in range(self._length()):
                if kind == 18:  # noqa: PLR2004  a list in blocks: how each is packed stands before it
                    self._length()
                self._skip_strings(1)
                if kind == 5:  # noqa: PLR2004  a sorted set with binary scores
                    self._skip(8)
                elif kind == 3:  # noqa: PLR2004  one with scores as text
                    size = self._take(1)[0]
                    self._skip(0 if size in _SPECIAL_DOUBLES else size)
        else:
            raise SnapshotDamaged(f"it has a value of the unknown type {kind}")

    def _skip_stream(self, kind: int) -> bytes:
        """Skip a stream, and return the id of its last entry."""
        self._skip_strings(2 * self._length())
        self._length()
        last = b"%d-%d" % (self._length(), self._length())
        self._lengths(0 if kind == 15 else 5)  # noqa: PLR2004  15 is the oldest form
        for _ in range(self._length()):
            self._skip_strings(1)
            self._lengths(2 if kind == 15 else 3)  # noqa: PLR2004
            for _ in range(self._length()):
                self._skip(16 + 8)
                self._length()
            for _ in range(self._length()):
                self._skip_strings(1)
                self._skip(16 if kind == 21 else 8)  # noqa: PLR2004  21 is the newest form
                self._skip(16 * self._length())
        return last

    def _skip_strings(self, count: int) -> None:
        for _ in range(count):
            length, special = self._size()
            if not special:
                self._skip(length)
            elif length == _COMPRESSED:
                packed, _ = self._length(), self._length()
                self._skip(packed)
            else:
                self._skip(_integer_size(length))

    def _string(self) -> bytes:
        length, special = self._size()
        if not special:
            return self._take(length)
        if length == _COMPRESSED:
            packed, size = self._length(), self._length()
            return _decompressed(self._take(packed), size)
        return str(int.from_bytes(self._take(_integer_size(length)), "little", signed=True)).encode()

    def _lengths(self, count: int) -> None:
        for _ in range(count):
            self._length()

    def _length(self) -> int:
        length, special = self._size()
        if special:
            raise SnapshotDamaged("a length is not one")
        return length

    def _size(self) -> tuple[int, bool]:
        """Return a length, or the kind of a special string and True."""
        first = self._take(1)[0]
        kind, rest = first >> 6, first & 0x3F
        if kind == 0:
            return rest, False
        if kind == 1:
            return rest << 8 | self._take(1)[0], False
        if kind == 3:  # noqa: PLR2004  the largest of two bits
            return rest, True
        if rest > 1:
            raise SnapshotDamaged("a length is not one")
        return int.from_bytes(self._take(8 if rest else 4), "big"), False

    def _take(self, count: int) -> bytes:
        found = self.file.read(count)
        if len(found) != count:
            raise SnapshotDamaged("it ends too early")
        return found

    def _skip(self, count: int) -> None:
        self.file.seek(count, 1)


def _integer_size(kind: int) -> int:
    if kind not in _INTEGERS:
        raise SnapshotDamaged("a text has an unknown form")
    return _INTEGERS[kind]


def _decompressed(packed: bytes, size: int) -> bytes:
    """Return a text that was compressed with LZF (lzf_d.c of Redis)."""
    found, place = bytearray(), 0
    try:
        while place < len(packed):
            control = packed[place]
            place += 1
            if control < _LITERAL:
                found += packed[place : place + control + 1]
                place += control + 1
                continue
            length = control >> 5
            if length == 7:  # noqa: PLR2004  all three bits: more in the next byte
                length += packed[place]
                place += 1
            start = len(found) - ((control & 0x1F) << 8) - packed[place] - 1
            place += 1
            if start < 0:
                raise SnapshotDamaged("a compressed text is damaged")
            for offset in range(length + 2):  # source and target may overlap
                found.append(found[start + offset])
    except IndexError as error:
        raise SnapshotDamaged("a compressed text is damaged") from error
    if len(found) != size:
        raise SnapshotDamaged("a compressed text is damaged")
    return bytes(found)
