"""Errors with which Redis refuses a command before it changes anything, and what they mean.

Redis checks these before a command, and in a script before its first write (scriptVerifyWriteCommandAllow in its
script.c), so a refused change has changed nothing. Any other error reply may come after a part of a script is done.
"""

from attrs import frozen
from redis.exceptions import RedisError

REASONS = {
    "MISCONF": "it cannot write to its disk",
    "OOM": "its memory is full",
    "READONLY": "it is a replica, which accepts no changes",
    "NOREPLICAS": "too few of its replicas are connected",
    "NOPERM": "its access rules forbid the command",
    "NOAUTH": "it requires a password that authsvc does not have",
    "WRONGPASS": "it does not accept our user name and password",
    "LOADING": "it is still loading its data",
    "MASTERDOWN": "it is a replica that has lost its primary",
    "BUSY": "it is busy with a script",
    "EXECABORT": "it refused a part of the transaction",
    "CLUSTERDOWN": "its cluster is down",
    "MOVED": "it is part of a Redis Cluster, which is not supported",
    "ASK": "it is part of a Redis Cluster, which is not supported",
    "TRYAGAIN": "it is part of a Redis Cluster, which is not supported",
    "CROSSSLOT": "it is part of a Redis Cluster, which is not supported",
}
"""By the first word of the error reply, its code."""

MAX_REPLY = 300
"""Most characters of a reply in a log line."""


@frozen
class RedisRefusal:
    """A refusal of Redis, and its meaning."""

    reason: str
    """A clause for people, without details of this installation."""
    reply: str
    """Redis' own words, the code first; for the operator."""


def refusal_of(error: BaseException | None) -> RedisRefusal | None:
    """Return the refusal if ``error`` is one, or was raised because of one."""
    while error is not None:
        if isinstance(error, RedisError):
            reply = reply_of(error)
            reason = REASONS.get(reply.partition(" ")[0])
            if reason is not None:
                return RedisRefusal(reason, reply)
        error = error.__cause__ or error.__context__
    return None


def reply_of(error: RedisError) -> str:
    """Return the reply that became ``error``: redis-py takes the code off those that it knows."""
    return " ".join(part for part in (error.status_code, str(error)) if part)[:MAX_REPLY]
