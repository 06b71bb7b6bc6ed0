"""What a Redis must be before we trust it with licenses: the primary, durable, and never evicting."""

from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.store.connection import Connection


async def check_server(connection: Connection) -> tuple[str, ...]:
    """Return warnings about what could not be checked.

    Raises:
        SetupRefused: it is a replica, loses acknowledged writes, or evicts keys.
        StoreUnavailable: it does not answer.
    """
    facts: Mapping[str, Any] = await connection.run(connection.redis.info("everything"))
    if facts.get("role") != "master":
        raise SetupRefused("Redis is a replica; point AUTHSVC_REDIS_URL at the primary")
    if not facts.get("aof_enabled"):
        raise SetupRefused(
            "Redis does not write an append-only file, so a crash would undo revocations; set: appendonly yes"
        )
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        raise SetupRefused(f"Redis may evict licenses ({policy}); set: maxmemory-policy noeviction")
    try:
        found = await connection.run(connection.redis.config_get("appendfsync"))
    except StoreUnavailable as error:
        if isinstance(error.__cause__, RedisError):  # managed services forbid CONFIG
            return ("could not check appendfsync; with anything but always, a power cut may undo the last changes",)
        raise
    if found.get("appendfsync", found.get(b"appendfsync")) not in {"always", b"always"}:
        raise SetupRefused(
            "Redis acknowledges changes before they are on disk, so a power cut would undo revocations; set: "
            "appendfsync always"
        )
    return ()
