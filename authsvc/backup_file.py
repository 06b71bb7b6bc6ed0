"""The file of a backup: a tar archive of a snapshot of Redis, ``redis.rdb``, and a description of it, ``backup.json``.

It holds the data of Redis only: no keys or other secrets, and no images. Nobody can log in with the data of Redis
without the keys. ``tar xf FILE`` unpacks it where authsvc is not at hand.
"""

import hashlib
import json
import tarfile
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any, BinaryIO

from attrs import asdict, frozen

from authsvc.errors import InputRefused

SNAPSHOT, DESCRIPTION = "redis.rdb", "backup.json"

KIND, VERSION = "authsvc-backup", 1

BLOCK = 512
"""Bytes of a tar header; every file in the archive takes whole blocks (POSIX, pax, "ustar Interchange Format")."""

PART = 1024 * 1024
"""Most bytes that are held in memory at once."""

MAX_DESCRIPTION = 64 * 1024


@frozen
class BackupDescription:
    """What is in a backup.

    Attributes:
        began_at: when the snapshot was requested from Redis; it contains every change made before.
        public_url: of the installation.
        authsvc: version that made it.
        redis: version of Redis.
        size: bytes of the snapshot.
        sha256: of the snapshot, hexadecimal.
    """

    began_at: datetime
    public_url: str
    authsvc: str
    redis: str
    size: int
    sha256: str


def backup_parts(snapshot: BinaryIO, describe: Callable[[int, str], BackupDescription]) -> Iterator[bytes]:
    """Yield the bytes of a backup.

    Args:
        snapshot: the open file, positioned at its beginning.
        describe: returns the description for the size and the SHA-256 of the snapshot.
    """
    size = snapshot.seek(0, 2)
    snapshot.seek(0)
    digest, left = hashlib.sha256(), size
    yield _header(SNAPSHOT, size)
    while left:
        part = snapshot.read(min(PART, left))
        if not part:
            raise OSError("the snapshot became shorter")
        digest.update(part)
        left -= len(part)
        yield part
    yield _padding(size)
    facts = asdict(describe(size, digest.hexdigest()))
    text = (
        json.dumps({"kind": KIND, "version": VERSION, **facts}, default=datetime.isoformat, indent=2).encode() + b"\n"
    )
    yield _header(DESCRIPTION, len(text))
    yield text + _padding(len(text)) + b"\0" * (2 * BLOCK)


def unpack_backup(backup: BinaryIO, snapshot: BinaryIO) -> BackupDescription:
    """Copy the snapshot of a backup to ``snapshot``, check that it is complete, and return the description.

    Raises:
        InputRefused: it is not a backup, or not a complete one; discard what was copied.
    """
    try:
        digest, left = hashlib.sha256(), _size_of(backup, SNAPSHOT)
        size = left
        while left:
            part = _take(backup, min(PART, left))
            digest.update(part)
            snapshot.write(part)
            left -= len(part)
        _take(backup, len(_padding(size)))
        length = _size_of(backup, DESCRIPTION)
        if length > MAX_DESCRIPTION:
            raise _refused("it is not a backup of authsvc")
        description = _description(_take(backup, length))
        _take(backup, len(_padding(length)) + 2 * BLOCK)
    except tarfile.TarError as error:
        raise _refused("it is not a backup of authsvc") from error
    if (description.size, description.sha256) != (size, digest.hexdigest()):
        raise _refused("it is damaged: what is in it is not what was written")
    return description


def _description(text: bytes) -> BackupDescription:
    try:
        facts: dict[str, Any] = json.loads(text)
        kind, version = facts.pop("kind"), facts.pop("version")
        if kind != KIND:
            raise _refused("it is not a backup of authsvc")
        if version != VERSION:
            raise _refused("it was made by a newer authsvc; upgrade this one")
        names = ("public_url", "authsvc", "redis", "size", "sha256")
        began_at = datetime.fromisoformat(facts["began_at"])
        if began_at.tzinfo is None:
            raise _refused("it is damaged: its description cannot be read")
        return BackupDescription(began_at, **{name: facts[name] for name in names})
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise _refused("it is damaged: its description cannot be read") from error


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = size, 0o600
    return info.tobuf(tarfile.GNU_FORMAT)


def _padding(size: int) -> bytes:
    return b"\0" * (-size % BLOCK)


def _size_of(backup: BinaryIO, name: str) -> int:
    """Return the size of the next file in the archive, which must be ``name``."""
    info = tarfile.TarInfo.frombuf(_take(backup, BLOCK), "utf-8", "replace")
    if info.name != name or not info.isreg():
        raise _refused("it is not a backup of authsvc")
    return info.size


def _take(backup: BinaryIO, count: int) -> bytes:
    found = backup.read(count)
    if len(found) != count:
        raise _refused("it ends too early: it was not copied whole")
    return found


def _refused(why: str) -> InputRefused:
    return InputRefused(
        f"this file cannot be restored, and nothing was changed: {why}", code="file_unusable", field="file"
    )
