"""The append-only file of Redis 7: a manifest that names a snapshot and the commands after it (aof.c of Redis).

Redis reads what the manifest names when it starts. So data can be replaced atomically while Redis is stopped by
replacing the manifest: before that step Redis has the old data, after it the new data.
"""

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from authsvc import atomic_file

FOLDER, NAME = "appendonlydir", "appendonly.aof"
"""Defaults of Redis, which our configuration leaves as they are."""

MANIFEST = f"{NAME}.manifest"

_NUMBERED = re.compile(r"appendonly\.aof\.(\d+)\.(?:base|incr)\.(?:rdb|aof)")


def encoded(command: Sequence[str | bytes]) -> bytes:
    """Return a command as the append-only file has it (RESP, an array of bulk strings)."""
    parts = [part.encode("utf-8", "surrogateescape") if isinstance(part, str) else part for part in command]
    return b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts)


def install(redis: Path, snapshot: Path, commands: Path, old: str) -> Path | None:
    """Make a stopped Redis start with ``snapshot`` and the ``commands`` after it.

    Args:
        redis: the folder of Redis.
        snapshot: an RDB file in a folder on the same file system; it is moved.
        commands: a file of commands on the same file system; it is moved.
        old: name of a new folder in ``redis`` for the previous files.

    Returns:
        That folder, or None when there were no previous files.

    Raises:
        OSError: a file cannot be written; Redis has either its old data or all of the new data.
    """
    folder = redis / FOLDER
    folder.mkdir(mode=0o700, exist_ok=True)
    present = sorted(path for path in folder.iterdir() if _NUMBERED.fullmatch(path.name))
    kept = _keep(redis / old, [*present, *(path for path in [folder / MANIFEST] if path.exists())])
    number = max((int(found[1]) for path in present if (found := _NUMBERED.fullmatch(path.name))), default=0) + 1
    base, increment = f"{NAME}.{number}.base.rdb", f"{NAME}.{number}.incr.aof"
    for path in (snapshot, commands):
        _sync(path)
    atomic_file.move(snapshot, folder / base)
    atomic_file.move(commands, folder / increment)
    manifest = f"file {base} seq {number} type b\nfile {increment} seq {number} type i\n"
    _put_manifest(folder / MANIFEST, manifest.encode())
    for path in present:
        path.unlink(missing_ok=True)
    return kept


def write_commands(path: Path, commands: Iterable[Sequence[str | bytes]], database: int) -> None:
    """Write a file of commands for one database.

    Raises:
        OSError: it cannot be written.
    """

    def parts() -> Iterator[bytes]:
        yield encoded(("SELECT", str(database)))
        for command in commands:
            yield encoded(command)

    atomic_file.replace(path, parts())


def _put_manifest(path: Path, content: bytes) -> None:
    """Switch from the old data to the new data."""
    atomic_file.replace(path, content)


def _keep(folder: Path, files: Sequence[Path]) -> Path | None:
    """Give ``files`` a second name in a new folder; nothing is copied."""
    if not files:
        return None
    place = folder / FOLDER
    place.mkdir(mode=0o700, parents=True)
    for path in files:
        atomic_file.give_second_name(path, place / path.name)
    return folder


def _sync(path: Path) -> None:
    with path.open("rb") as file:
        os.fsync(file.fileno())
