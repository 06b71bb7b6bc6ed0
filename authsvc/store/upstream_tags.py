"""What the tags of linked registries meant when they were last looked up, in Redis.

One key for each tag, which Redis forgets by itself, and of each link at most so many: when another one comes, the one
that was looked up longest ago goes. A purge of the link, or another credential, begins anew.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from attrs import frozen

from authsvc.store import keys
from authsvc.store.connection import Connection
from authsvc.upstreams.link import UpstreamLink, cache_scope
from authsvc.upstreams.tag_policy import RememberedTag

MAX_TAGS = 10_000
"""Tags of one link that are remembered, at about 250 bytes each."""

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


@frozen
class RedisUpstreamTags:
    """The remembered tags of one installation. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        life: after which a tag is forgotten that nobody has looked up.
        most: tags of one link.
        has_room: whether what can wait may be written to Redis now: when not, a tag is looked up each time.
    """

    connection: Connection
    life: timedelta
    most: int = MAX_TAGS
    has_room: Callable[[], bool] = lambda: True

    async def get(self, link: UpstreamLink, repository: str, tag: str) -> RememberedTag | None:
        """Return what a tag meant."""
        value = await self.connection.get(keys.upstream_tag(cache_scope(link), repository, tag))
        if value is None:
            return None
        at, _, digest = value.decode("ascii").partition(" ")
        return RememberedTag(digest, datetime.fromtimestamp(int(at), UTC))

    async def put(self, link: UpstreamLink, repository: str, tag: str, remembered: RememberedTag) -> None:
        """Remember what a tag means."""
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
        """Forget a tag that the registry does not have any more."""
        scope = cache_scope(link)
        key, index = keys.upstream_tag(scope, repository, tag), keys.upstream_tags(scope)
        await self.connection.run(self.connection.redis.delete(key))
        await self.connection.run(self.connection.redis.zrem(index, key))
