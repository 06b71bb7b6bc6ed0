"""What a Redis must be before we trust it with licenses: new enough, the primary, durable, and never evicting."""

import re
from collections.abc import Mapping
from typing import Any

from redis.exceptions import ResponseError

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.store.connection import Connection

OLDEST = (7, 0)
"""Scripts declare ``allow-oom`` (audit_stream.py), which an older server takes for a comment it can not run."""

_STOPS = "stop-writes-on-bgsave-error"


async def check_server(connection: Connection) -> tuple[str, ...]:
    """Return warnings about what could not be checked, or should be otherwise.

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
        found = await connection.read(lambda: connection.redis.config_get("appendfsync", "save", _STOPS))
    except StoreUnavailable as error:
        if isinstance(error.__cause__, ResponseError):  # managed services forbid CONFIG
            return (
                "could not check appendfsync; with anything but always, a power cut may undo the last changes",
                f"could not check {_STOPS}; with anything but no, a snapshot that fails stops all changes",
            )
        raise
    settings = {_text(name): _text(value) for name, value in found.items()}
    if settings.get("appendfsync") != "always":
        raise SetupRefused(
            "Redis acknowledges changes before they are on disk, so a power cut would undo revocations; set: "
            "appendfsync always"
        )
    if settings.get("save") and settings.get(_STOPS) == "yes":
        return (f"Redis refuses every change, revocations too, once a snapshot has failed; set: {_STOPS} no",)
    return ()


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def check_version(version: str) -> None:
    """Accept a server's version.

    Raises:
        SetupRefused: it is older than we need, or says nothing that is a version.
    """
    parts = re.match(r"([0-9]+)\.([0-9]+)", version, re.ASCII)
    if parts is None or (int(parts[1]), int(parts[2])) < OLDEST:
        said = f"Redis {version[:20]}" if parts else "this server"
        raise SetupRefused(f"{said} is too old; authsvc needs Redis {OLDEST[0]}.{OLDEST[1]} or newer")
