"""Makes a backup of the data in Redis during operation."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager

import authsvc
from authsvc.backup_file import BackupDescription, backup_parts
from authsvc.settings import Settings
from authsvc.store.connection import Connection
from authsvc.store.server_check import check_server
from authsvc.store.snapshot import take_snapshot
from authsvc.wiring import clock
from authsvc.wiring.management import PATIENCE


@asynccontextmanager
async def backup(settings: Settings) -> AsyncIterator[Iterator[bytes]]:
    """Have Redis write a snapshot, and yield the bytes of a backup, part by part.

    Raises:
        SetupRefused: Redis does not meet the requirements, or its folder is not accessible from here.
        StoreUnavailable: Redis does not answer.
        Conflict: Redis could not write a snapshot.
    """
    connection = Connection(settings.redis_url, deadline=max(PATIENCE, settings.redis_deadline))
    try:
        await check_server(connection)
        server = await connection.read(lambda: connection.redis.info("server"))
        began_at = clock()
        snapshot = await take_snapshot(connection, settings.redis_disk)
    finally:
        await connection.close()

    def describe(size: int, sha256: str) -> BackupDescription:
        address = settings.public_url.text
        return BackupDescription(began_at, address, authsvc.__version__, str(server.get("redis_version")), size, sha256)

    with snapshot:
        yield backup_parts(snapshot, describe)
