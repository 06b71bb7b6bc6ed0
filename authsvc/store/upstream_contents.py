"""Stores data about fetched manifests of linked registries and their blobs, in Redis.

nginx keeps content for as long as its cache has room, so data about it is stored for long: one key for each, with a
limit per link, beyond which the least recently used ones are removed. A purge of the link, or a new credential, begins
with no data.
"""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta

from attrs import frozen

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.upstreams.link import UpstreamLink, cache_scope

MAX_CONTENTS = 20_000
"""Most manifests and blobs of one link that are stored, at about 250 bytes each."""

LIFE = timedelta(days=400)
"""After which one is forgotten that nobody has asked for."""

MANIFEST, BLOB = "manifest", "blob"

_REMEMBER = """
for place = 2, #KEYS do
  redis.call('SET', KEYS[place], ARGV[place + 2], 'EX', ARGV[3])
  redis.call('ZADD', KEYS[1], ARGV[1], KEYS[place])
end
redis.call('EXPIRE', KEYS[1], ARGV[3])
local over = redis.call('ZCARD', KEYS[1]) - tonumber(ARGV[2])
if over > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[1], over)
  for i = 1, #oldest, 2 do redis.call('DEL', oldest[i]) end
end
"""

_RECALL = """
local value = redis.call('GET', KEYS[2])
if value then
  redis.call('EXPIRE', KEYS[2], ARGV[2])
  redis.call('ZADD', KEYS[1], ARGV[1], KEYS[2])
  redis.call('EXPIRE', KEYS[1], ARGV[2])
end
return value
"""


@frozen(eq=False, repr=False)
class RedisUpstreamContents:
    """The known contents of one installation. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        life: after which unused ones expire.
        most: of one link.
        has_room: whether data that can wait may be written to Redis now; if not, nothing more is stored.
    """

    connection: Connection
    life: timedelta = LIFE
    most: int = MAX_CONTENTS
    has_room: Callable[[], bool] = lambda: True

    async def media_type_of(self, link: UpstreamLink, repository: str, digest: str, now: datetime) -> str | None:
        """Return the media type of a manifest that was fetched; None when it is not known."""
        value = await self._recall(link, MANIFEST, repository, digest, now)
        return None if value is None else value.decode()

    async def size_of(self, link: UpstreamLink, repository: str, digest: str, now: datetime) -> int | None:
        """Return the size of a blob in bytes as a manifest has it; None when it is not known."""
        value = await self._recall(link, BLOB, repository, digest, now)
        return None if value is None else int(value)

    async def remember(
        self,
        link: UpstreamLink,
        repository: str,
        digest: str,
        media_type: str,
        sizes: Mapping[str, int],
        now: datetime,
    ) -> None:
        """Remember a manifest, and the sizes of its blobs by their digests."""
        if not self.has_room():
            return
        scope = cache_scope(link)
        values: dict[str, str | int] = {
            keys.upstream_content(scope, BLOB, repository, blob): size for blob, size in sizes.items()
        }
        values[keys.upstream_content(scope, MANIFEST, repository, digest)] = media_type
        run = self.connection.redis.register_script(_REMEMBER)
        arguments: list[str | int] = [int(now.timestamp()), self.most, self._seconds(), *values.values()]
        await self.connection.run(run(keys=[keys.upstream_contents(scope), *values], args=arguments))

    async def _recall(self, link: UpstreamLink, kind: str, repository: str, digest: str, now: datetime) -> bytes | None:
        scope = cache_scope(link)
        run = self.connection.redis.register_script(_RECALL)
        names = [keys.upstream_contents(scope), keys.upstream_content(scope, kind, repository, digest)]
        value: bytes | None = await self.connection.run(run(keys=names, args=[int(now.timestamp()), self._seconds()]))
        return value

    def _seconds(self) -> int:
        return max(1, round(self.life.total_seconds()))
