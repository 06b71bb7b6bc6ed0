"""Checks that a Redis is fit for licenses: new enough, the primary, durable, and never evicting."""

import re
from collections.abc import Mapping
from typing import Any

from attrs import frozen
from redis.exceptions import ResponseError

from authsvc.errors import SetupRefused, StoreUnavailable
from authsvc.store.connection import Connection

OLDEST = (7, 0)
"""Scripts declare ``allow-oom`` (audit_stream.py), which an older server takes for a comment it cannot run."""

FIXED = {(7, 2): 11, (7, 4): 6, (8, 0): 4, (8, 2): 2}
"""By branch, the first version without CVE-2025-49844: a client that may send Redis a script runs code in it."""

PATCHED = frozenset({"7.0.15", "8.0.2"})
"""Versions that Debian and Ubuntu patch without a new number (12 and 24.04; 13): a patched one looks the same."""

_STOPS = "stop-writes-on-bgsave-error"


@frozen
class ServerProblem:
    """Something that is wrong with a Redis, or cannot be checked.

    Attributes:
        code: stable name.
        sentence: what and why.
        is_fatal: whether the Redis must not be used.
        is_unknown: whether it could not be checked.
    """

    code: str
    sentence: str
    is_fatal: bool = True
    is_unknown: bool = False


async def check_server(connection: Connection) -> tuple[str, ...]:
    """Return warnings about conditions that could not be checked, or should be different.

    Raises:
        SetupRefused: it is too old, a replica, loses acknowledged writes, or evicts keys.
        StoreUnavailable: it does not answer.
    """
    problems = await examine_server(connection)
    for problem in problems:
        if problem.is_fatal:
            raise SetupRefused(problem.sentence)
    return tuple(problem.sentence for problem in problems)


async def examine_server(connection: Connection) -> tuple[ServerProblem, ...]:
    """Return all problems, including conditions that cannot be checked.

    Raises:
        StoreUnavailable: it does not answer.
    """
    facts: Mapping[str, Any] = await connection.read(lambda: connection.redis.info("everything"))
    found = [*_of_version(str(facts.get("redis_version", "")))]
    if facts.get("role") != "master":
        found.append(ServerProblem("replica", "Redis is a replica; point AUTHSVC_REDIS_URL at the primary"))
    if not facts.get("aof_enabled"):
        sentence = "Redis does not write an append-only file, so a crash would undo revocations; set: appendonly yes"
        found.append(ServerProblem("appendonly", sentence))
    policy = facts.get("maxmemory_policy", "noeviction")
    if policy != "noeviction":
        sentence = f"Redis may evict licenses ({policy}); set: maxmemory-policy noeviction"
        found.append(ServerProblem("maxmemory-policy", sentence))
    return (*found, *await _of_settings(connection))


async def _of_settings(connection: Connection) -> tuple[ServerProblem, ...]:
    try:
        read = await connection.read(lambda: connection.redis.config_get("appendfsync", "save", _STOPS))
    except StoreUnavailable as error:
        if isinstance(error.__cause__, ResponseError):  # managed services forbid CONFIG
            sync = "could not check appendfsync; with anything but always, a power cut may undo the last changes"
            stops = f"could not check {_STOPS}; with anything but no, a snapshot that fails stops all changes"
            return (_unknown("appendfsync", sync), _unknown("bgsave", stops))
        raise
    settings, found = {_text(name): _text(value) for name, value in read.items()}, list[ServerProblem]()
    if settings.get("appendfsync") != "always":
        sentence = (
            "Redis acknowledges changes before they are on disk, so a power cut would undo revocations; set: "
            "appendfsync always"
        )
        found.append(ServerProblem("appendfsync", sentence))
    if settings.get("save") and settings.get(_STOPS) == "yes":
        sentence = f"Redis refuses every change, revocations too, once a snapshot has failed; set: {_STOPS} no"
        found.append(ServerProblem("bgsave", sentence, is_fatal=False))
    return tuple(found)


def _unknown(code: str, sentence: str) -> ServerProblem:
    return ServerProblem(code, sentence, is_fatal=False, is_unknown=True)


def _of_version(version: str) -> tuple[ServerProblem, ...]:
    try:
        check_version(version)
    except SetupRefused as error:
        return (ServerProblem("too-old", str(error)),)
    return tuple(ServerProblem("hole", sentence, is_fatal=False) for sentence in known_holes(version))


def _text(value: str | bytes) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else value


def known_holes(version: str) -> tuple[str, ...]:
    """Return a warning about a version of Redis with a known hole, unless a distribution patches that version."""
    parts = re.match(r"([0-9]+)\.([0-9]+)\.([0-9]+)", version, re.ASCII)
    if parts is None or version in PATCHED:
        return ()
    major, minor, patch = map(int, parts.groups())
    fixed = FIXED.get((major, minor))
    if fixed is None or patch >= fixed:
        return ()
    hole = f"Redis {version} has a hole through which scripts run code (CVE-2025-49844)"
    return (f"{hole}, unless its distribution has patched it; update it to {major}.{minor}.{fixed} or newer",)


def check_version(version: str) -> None:
    """Check a server's version.

    Raises:
        SetupRefused: it is older than required, or not a version.
    """
    parts = re.match(r"([0-9]+)\.([0-9]+)", version, re.ASCII)
    if parts is None or (int(parts[1]), int(parts[2])) < OLDEST:
        said = f"Redis {version[:20]}" if parts else "this server"
        raise SetupRefused(f"{said} is too old; authsvc needs Redis {OLDEST[0]}.{OLDEST[1]} or newer")
