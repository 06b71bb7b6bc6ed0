"""What a Redis must be before we trust it with licenses: new enough, the primary, durable, and never evicting."""

import re
from collections.abc import Mapping
from typing import Any

from redis.exceptions import RedisError

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.store.connection import Connection

OLDEST = (7, 0)
"""Scripts declare ``allow-oom`` (audit_stream.py), which an older server takes for a comment it can not run."""


async def check_server(connection: Connection) -> tuple[str, ...]:
    """Return warnings about what could not be checked.

    Raises:
        SetupRefused: it is too old, a replica, loses acknowledged writes, or evicts keys.
        StoreUnavailable: it does not answer.
    """
    facts: Mapping[str, Any] = await connection.read(lambda: connection.redis.info("everything"))
    check_version(str(facts.get("redis_version", "")))
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
        found = await connection.read(lambda: connection.redis.config_get("appendfsync"))
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


def check_version(version: str) -> None:
    """Accept a server's version.

    Raises:
        SetupRefused: it is older than we need, or says nothing that is a version.
    """
    parts = re.match(r"([0-9]+)\.([0-9]+)", version, re.ASCII)
    if parts is None or (int(parts[1]), int(parts[2])) < OLDEST:
        said = f"Redis {version[:20]}" if parts else "this server"
        raise SetupRefused(f"{said} is too old; authsvc needs Redis {OLDEST[0]}.{OLDEST[1]} or newer")
