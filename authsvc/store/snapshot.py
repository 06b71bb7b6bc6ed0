"""A snapshot of Redis as of one instant, taken while it serves: Redis writes it in a second process (``BGSAVE``)."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO

from authsvc.errors import Conflict, SetupRefused, StoreUnavailable
from authsvc.store.connection import Connection

LOOK_EVERY = 0.1
"""Seconds between two checks whether it is written."""


async def take_snapshot(connection: Connection, folders: Sequence[Path]) -> BinaryIO:
    """Have Redis write a snapshot, and return the file, opened for reading.

    The opened file does not change: Redis replaces it by a new file.

    Args:
        connection: to Redis.
        folders: possible places of the folder of Redis, as this process sees it.

    Raises:
        SetupRefused: no folder of Redis can be seen from here.
        StoreUnavailable: Redis does not answer, or may not be asked for a snapshot.
        Conflict: Redis could not write one.
    """
    if not folders:
        raise SetupRefused(
            "the folder of Redis cannot be seen from here (AUTHSVC_REDIS_DISK is not set); back up a Redis elsewhere "
            "with the tools of its provider"
        )
    redis = connection.redis
    name = (await connection.read(lambda: redis.config_get("dbfilename")))["dbfilename"]
    files = [folder / (name.decode() if isinstance(name, bytes) else name) for folder in folders]
    await _idle(connection)
    before, seen = await _facts(connection), {file: _identity(file) for file in files}
    await connection.run(redis.bgsave(schedule=True))
    after = before
    # Counted when it begins (rdbSaveBackground in rdb.c).
    while after["rdb_saves"] == before["rdb_saves"] or after["rdb_bgsave_in_progress"]:
        await asyncio.sleep(LOOK_EVERY)
        after = await _facts(connection)
    if after["rdb_last_bgsave_status"] != "ok":
        raise Conflict(
            "Redis could not write a snapshot; its log says why (a full disk, or too little memory)",
            code="snapshot_failed",
        )
    changed = [file for file in files if (found := _identity(file)) is not None and found != seen[file]]
    if not changed:
        raise SetupRefused(f"Redis wrote its snapshot, but not to {files[0]}: AUTHSVC_REDIS_DISK names another folder")
    newest = max(changed, key=lambda file: file.stat().st_mtime_ns)
    try:
        return newest.open("rb")
    except OSError as error:
        raise SetupRefused(f"cannot read {newest}: {error.strerror}") from error


async def _idle(connection: Connection) -> None:
    """Wait until Redis writes no other snapshot: it may have begun before changes that must be in ours."""
    facts = await _facts(connection)
    while facts["rdb_bgsave_in_progress"]:
        await asyncio.sleep(LOOK_EVERY)
        facts = await _facts(connection)


async def _facts(connection: Connection) -> dict[str, Any]:
    facts: dict[str, Any] = await connection.read(lambda: connection.redis.info("persistence"))
    if "rdb_saves" not in facts:
        raise StoreUnavailable("the service's database does not say whether a snapshot is written")
    return facts


def _identity(file: Path) -> tuple[int, int] | None:
    try:
        found = file.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns
