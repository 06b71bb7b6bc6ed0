"""Writes the index of images: the content of the registry. It is read with :mod:`authsvc.store.images`.

For each repository two ordered indexes hold its tags, one by tag and one by digest. A change contains what the index
had when the registry was asked; if another process has written to it meanwhile, the change is refused, and the caller
asks again. So newer data is never overwritten by older data.

Summaries of images are stored for :data:`LIFE` after a crawl has last seen a tag of them.
"""

import json
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, cast

from attrs import Factory, field, frozen

from authsvc.images.evidence import Evidence
from authsvc.images.index import IndexChange
from authsvc.images.summary import DescribedImage
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.image_format import encode_blobs, read_tag_entry, read_tags_of, repository_entry, short
from authsvc.store.ordered_index import INDEX_FUNCTIONS, OrderedIndexes

STEP = 100
"""Most tags, or images, that are read, or stored, with one script: about a millisecond of Redis."""

WRITE_STEP = 20
"""Most tags that one script changes: each is moved in two ordered indexes, while Redis is blocked."""

LIFE = 14 * 24 * 3600
"""Seconds for which an image is stored after a crawl has last seen it."""

INCOMPLETE_LIFE = 12 * 3600
"""The same for an incomplete image: a later crawl reads it again."""

MAX_APP_TAGS = 200_000
"""Most tags of an app that are in the index."""

MAX_APP_BYTES = 256 * 1024 * 1024
"""Most bytes that are stored about an app's images: a member with the right to push must not be able to fill Redis."""

_FIND = (
    "#!lua flags=no-writes\n"
    + INDEX_FUNCTIONS
    + """
local found = {}
for number, tag in ipairs(ARGV) do found[number] = index_find(KEYS[1], tag .. '\\0') or '' end
return found
"""
)

_APPLY = (
    INDEX_FUNCTIONS
    + """
local tags, digests, state, repositories, uncounted = unpack(KEYS)
local app, entry, now = ARGV[1], ARGV[2], ARGV[3]
local refused, count = {}, 0
for number, item in ipairs(cjson.decode(ARGV[4])) do
  local found = index_find(tags, item.tag .. '\\0')
  local current = found and string.sub(found, #item.tag + 2) or ''
  if current ~= item.old then
    refused[#refused + 1] = number - 1
  elseif current ~= item.new then
    if found then
      index_remove(tags, found)
      index_remove(digests, current .. '\\0' .. item.tag)
      count = count - 1
    end
    if item.new ~= '' then
      index_add(tags, item.tag .. '\\0' .. item.new)
      index_add(digests, item.new .. '\\0' .. item.tag)
      count = count + 1
    end
    redis.call('HSET', state, 'changed_at', now)
    redis.call('SADD', uncounted, app)
  end
end
if redis.call('EXISTS', state) == 1 then
  if redis.call('HINCRBY', state, 'tags', count) > 0 then
    index_add(repositories, entry)
  else
    redis.call('DEL', state)
    index_remove(repositories, entry)
  end
end
return refused
"""
)

# Images that expire within ARGV[1] seconds count as missing as well: they are read again, and stored for longer.
_KEEP = """
local missing = {}
for number, key in ipairs(KEYS) do
  local left = redis.call('TTL', key)
  if left <= tonumber(ARGV[1]) then
    missing[#missing + 1] = number - 1
  elseif left < tonumber(ARGV[2]) / 2 then
    redis.call('EXPIRE', key, ARGV[2])
  end
end
return missing
"""

_SAVE = """
for number, key in ipairs(KEYS) do redis.call('SET', key, ARGV[2 * number - 1], 'EX', ARGV[2 * number]) end
"""

_FINISH = """
if redis.call('EXISTS', KEYS[1]) == 1 then redis.call('HSET', KEYS[1], unpack(ARGV)) end
"""

_TAKE = """
local taken = redis.call('SPOP', KEYS[1], ARGV[1])
if #taken > 0 then redis.call('SADD', KEYS[2], unpack(taken)) end
return taken
"""

_TAKE_BACK = """
if redis.call('EXISTS', KEYS[2]) == 1 then
  redis.call('SUNIONSTORE', KEYS[1], KEYS[1], KEYS[2])
  redis.call('DEL', KEYS[2])
end
"""

_LEASE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
return holder and 1 or 2
"""

_RELEASE = """
if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end
"""


@frozen(eq=False, repr=False)
class RedisImageIndex:
    """The index of one installation. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        codec: turns summaries into JSON.
    """

    connection: Connection
    codec: Codec
    _indexes: OrderedIndexes = field(
        init=False, repr=False, default=Factory(lambda self: OrderedIndexes(self.connection), takes_self=True)
    )

    # --- who writes -------------------------------------------------------------------------------------------------

    async def lease(self, holder: str, seconds: int) -> bool:
        """Whether ``holder``, a random name, has the lease to write for the given seconds from now.

        Changes that an earlier holder did not finish must then be read again.
        """
        got = await self._run(_LEASE, [keys.IMAGES_LEASE], holder, seconds)
        if got > 1:
            await self.take_back()
        return bool(got)

    async def release(self, holder: str) -> None:
        """Let another worker write."""
        await self._run(_RELEASE, [keys.IMAGES_LEASE], holder)

    # --- what has changed -------------------------------------------------------------------------------------------

    async def take_changed(self, limit: int) -> list[bytes]:
        """Take some changes (:data:`authsvc.store.keys.IMAGES_CHANGED`); :meth:`done` removes them."""
        taken: list[bytes] = await self._run(_TAKE, [keys.IMAGES_CHANGED, keys.IMAGES_TAKEN], limit)
        return taken

    async def take_back(self) -> None:
        """Make changes available again that were taken and are not done."""
        await self._run(_TAKE_BACK, [keys.IMAGES_CHANGED, keys.IMAGES_TAKEN])

    async def done(self, changed: Collection[bytes]) -> None:
        """Remove changes that were taken and read."""
        if changed:
            redis = self.connection.redis
            await self.connection.run(redis.srem(keys.IMAGES_TAKEN, *changed))

    async def changed(self) -> int:
        """Return the number of changes that have not been taken yet."""
        redis = self.connection.redis
        return int(await self.connection.read(lambda: redis.scard(keys.IMAGES_CHANGED)))

    async def mark_changed(self, changed: str) -> None:
        """Mark an image or a repository to be read again."""
        await self.connection.run(self.connection.redis.sadd(keys.IMAGES_CHANGED, changed))

    # --- the tags of a repository -----------------------------------------------------------------------------------

    async def digests(self, repository: str, tags: Sequence[str]) -> dict[str, str]:
        """Return the digests of those of some tags, at most :data:`STEP`, that are in the index."""
        found = await self._run(_FIND, [keys.index("image-tags", repository)], *tags)
        entries = (entry.decode() for entry in found if entry)
        return dict(read_tag_entry(entry) for entry in entries)

    async def tags(self, repository: str, after: str) -> list[tuple[str, str]]:
        """Return the next tags in the index behind a tag, at most :data:`STEP`, with their digests."""
        index = keys.index("image-tags", repository)
        entries = await self._indexes.entries(index, after=f"{after}\0\x7f" if after else "", limit=STEP)
        return [read_tag_entry(entry) for entry in entries]

    async def tags_of(self, repository: str, digest: str, after: str) -> list[str]:
        """Return the next tags of a digest in the index behind a tag, at most :data:`STEP`."""
        return await read_tags_of(self._indexes, repository, digest, after, STEP)

    async def apply(self, repository: str, app: str, changes: Sequence[IndexChange], now: datetime) -> list[str]:
        """Write changes; return the tags of those that were refused because others changed them first."""
        refused: list[str] = []
        for start in range(0, len(changes), WRITE_STEP):
            refused += await self._apply(repository, app, changes[start : start + WRITE_STEP], now)
        return refused

    async def _apply(self, repository: str, app: str, changes: Sequence[IndexChange], now: datetime) -> list[str]:
        items = [
            {"tag": one.tag, "old": short(one.old) if one.old else "", "new": short(one.new) if one.new else ""}
            for one in changes
        ]
        names = [
            keys.index("image-tags", repository),
            keys.index("image-digests", repository),
            keys.repository(repository),
            keys.index("repositories", app),
            keys.IMAGES_UNCOUNTED,
        ]
        plan = json.dumps(items)
        refused = await self._run(_APPLY, names, app, repository_entry(repository), now.isoformat(), plan)
        return [changes[number].tag for number in refused]

    async def finish(self, repository: str, read_at: datetime, crawl: str, *, all_tags: bool, unread: int) -> None:
        """Record that a repository was compared completely; one without tags does not exist.

        Args:
            repository: name.
            read_at: when that began.
            crawl: in which crawl; empty for none.
            all_tags: whether every tag is in the index.
            unread: how many tags could not be read.
        """
        fields: list[str | int] = ["read_at", read_at.isoformat(), "all_tags", int(all_tags), "unread", unread]
        of_crawl = ["crawl", crawl] if crawl else []
        await self._run(_FINISH, [keys.repository(repository)], *fields, *of_crawl)

    async def is_new(self, repository: str, most: int) -> bool:
        """Whether a repository is in the index, with ``most`` tags or fewer, and was never compared completely."""
        redis, key = self.connection.redis, keys.repository(repository)
        tags, read_at = await self.connection.read(lambda: redis.hmget(key, ["tags", "read_at"]))
        return tags is not None and int(tags) <= most and read_at is None

    async def has_room(self, app: str) -> bool:
        """Whether the index has room for more images of an app, as of when they were last added up."""
        redis = self.connection.redis
        tags, size = await self.connection.read(lambda: redis.hmget(keys.app_images(app), ["tags", "bytes"]))
        return int(tags or 0) < MAX_APP_TAGS and int(size or 0) < MAX_APP_BYTES

    # --- images -----------------------------------------------------------------------------------------------------

    async def missing(self, app: str, digests: Sequence[str]) -> set[str]:
        """Return those of some images that must be read again; the others are stored for longer."""
        found = set[str]()
        for start in range(0, len(digests), STEP):
            part = [*digests[start : start + STEP]]
            names = [name for digest in part for name in _names(app, digest)]
            numbers = await self._run(_KEEP, names, INCOMPLETE_LIFE, LIFE)
            found |= {part[number // 2] for number in numbers}
        return found

    async def save(self, app: str, images: Sequence[DescribedImage]) -> None:
        """Store descriptions of images."""
        for start in range(0, len(images), STEP):
            part = images[start : start + STEP]
            names = [name for one in part for name in _names(app, one.summary.digest)]
            values: list[bytes | int] = []
            for one in part:
                life = LIFE if one.summary.complete else INCOMPLETE_LIFE
                values += [self.codec.encode(one.summary), life, encode_blobs(one.blobs), life]
            await self._run(_SAVE, names, *values)

    async def save_referrers(self, repository: str, found: Mapping[str, Collection[Evidence]]) -> None:
        """Replace the referrers of the manifests of a repository; empty means that the registry does not list them."""
        redis, key = self.connection.redis, keys.referrers(repository)
        rows = {short(digest): json.dumps(sorted(evidence)) for digest, evidence in found.items()}
        async with redis.pipeline(transaction=True) as change:
            _ = change.delete(key)
            if rows:
                _ = change.hset(key, mapping=cast("Mapping[Any, Any]", rows))
                _ = change.expire(key, LIFE)
            await self.connection.run(change.execute())

    async def _run(self, text: str, names: Sequence[str], *arguments: str | bytes | int) -> Any:
        script = self.connection.redis.register_script(text)
        return await self.connection.run(script(keys=list(names), args=list(arguments)))


def _names(app: str, digest: str) -> tuple[str, str]:
    return keys.image(app, short(digest)), keys.image_blobs(app, short(digest))
