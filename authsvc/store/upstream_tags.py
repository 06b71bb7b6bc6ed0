"""Stores the last known images of tags of linked registries, in Redis.

There is one key for each tag, which expires, and a limit per link, beyond which the tag that was looked up longest ago
is removed. A purge of the link, or a new credential, begins with no tags.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import frozen

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.upstreams.link import UpstreamLink, cache_scope
from authsvc.upstreams.tag_policy import RememberedTag

MAX_TAGS = 10_000
"""Most tags of one link that are stored, at about 250 bytes each."""

_REMEMBER = """
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[4])
redis.call('ZADD', KEYS[2], ARGV[2], KEYS[1])
redis.call('EXPIRE', KEYS[2], ARGV[4])
local over = redis.call('ZCARD', KEYS[2]) - tonumber(ARGV[3])
if over > 0 then
  local oldest = redis.call('ZPOPMIN', KEYS[2], over)
  for i = 1, #oldest, 2 do redis.call('DEL', oldest[i]) end
end
"""


@frozen(eq=False, repr=False)
class RedisUpstreamTags:
    """The remembered tags of one installation. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        life: after which unused tags expire.
        most: tags of one link.
        has_room: whether data that can wait may be written to Redis now; if not, a tag is looked up each time.
    """

    connection: Connection
    life: timedelta
    most: int = MAX_TAGS
    has_room: Callable[[], bool] = lambda: True

    async def get(self, link: UpstreamLink, repository: str, tag: str) -> RememberedTag | None:
        """Return the last known image of a tag."""
        value = await self.connection.get(keys.upstream_tag(cache_scope(link), repository, tag))
        if value is None:
            return None
        at, _, digest = value.decode("ascii").partition(" ")
        return RememberedTag(digest, datetime.fromtimestamp(int(at), UTC))

    async def put(self, link: UpstreamLink, repository: str, tag: str, remembered: RememberedTag) -> None:
        """Store the image of a tag."""
        if not self.has_room():
            return
        at = int(remembered.checked_at.timestamp())
        scope = cache_scope(link)
        key, index = keys.upstream_tag(scope, repository, tag), keys.upstream_tags(scope)
        run = self.connection.redis.register_script(_REMEMBER)
        life = max(1, round(self.life.total_seconds()))
        arguments: list[str | int] = [f"{at} {remembered.digest}", at, self.most, life]
        await self.connection.run(run(keys=[key, index], args=arguments))

    async def forget(self, link: UpstreamLink, repository: str, tag: str) -> None:
        """Remove a tag that the registry no longer has."""
        scope = cache_scope(link)
        key, index = keys.upstream_tag(scope, repository, tag), keys.upstream_tags(scope)
        await self.connection.run(self.connection.redis.delete(key))
        await self.connection.run(self.connection.redis.zrem(index, key))
