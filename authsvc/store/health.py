"""Checks the health of Redis: whether it answers, refuses writes, and can write its files."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.errors import StoreRefused, StoreUnavailable
from authsvc.store import keys
from authsvc.store.connection import Connection


@frozen(eq=False, repr=False)
class RedisHealth:
    """Asks Redis about itself."""

    connection: Connection

    async def ping(self) -> None:
        """Return when Redis answers reads, even if it refuses writes.

        Raises:
            StoreUnavailable: it does not.
        """
        await self.connection.get(keys.NONE)

    async def refusal(self) -> str | None:
        """Return Redis' own words if it refuses writes, as far as that can be determined without trying one.

        Raises:
            StoreUnavailable: it does not answer.
        """
        try:
            # Refused like a write when the disk fails (processCommand in Redis' server.c).
            await self.connection.read(self.connection.redis.ping)
        except StoreRefused as refused:
            return refused.detail
        return self.connection.refused

    async def time(self) -> float:
        """Return the clock of Redis, as a Unix time.

        Raises:
            StoreUnavailable: it does not answer.
            StoreRefused: its user may not ask for it.
        """
        seconds, microseconds = await self.connection.read(self.connection.redis.time)
        return float(seconds) + float(microseconds) / 1_000_000

    async def failing_upstreams(self, since: datetime) -> int:
        """Return how many linked registries failed last, and not before ``since``.

        Raises:
            StoreUnavailable: it does not answer.
        """
        redis = self.connection.redis
        count = await self.connection.read(lambda: redis.zcount(keys.UPSTREAMS_FAILING, since.timestamp(), "+inf"))
        return int(count)

    async def files(self) -> Mapping[str, Any] | None:
        """Return the state of Redis' files, or None when it is unknown (a managed Redis may forbid ``INFO``).

        A failing snapshot does not stop anything, so it would not be noticed otherwise.
        """
        try:
            facts = await self.connection.read(lambda: self.connection.redis.info("persistence"))
        except StoreUnavailable:
            return None
        return {
            "append_only_file": str(facts.get("aof_last_write_status", "unknown")),
            "append_only_file_bytes": int(facts.get("aof_current_size", 0)),
            "rewrite": str(facts.get("aof_last_bgrewrite_status", "unknown")),
            "snapshot": str(facts.get("rdb_last_bgsave_status", "unknown")),
        }
