"""Deliveries of events to webhooks in Redis: waiting ones, attempts, and results.

A delivery is changed only if it is still in the state that was read, so the result of an attempt counts once, and a
slow sender cannot overwrite newer changes. Distributing events and beginning an attempt also require the lease of the
sender: a sender that was suspended and has lost it begins nothing more.

The limits are per webhook, so a receiver that is down takes no room from other webhooks.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import evolve, frozen

from authsvc.store import webhook_keys as keys
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.keys import PREFIX
from authsvc.webhooks.delivery import MAX_LISTED, Delivery, DeliveryCounts, DeliveryState

MAX_WAITING, MAX_WAITING_BYTES = 500, 1024 * 1024
"""Most waiting deliveries of one webhook, and most bytes of their bodies; further ones are dropped and counted."""

KEPT_FOR = 40 * 24 * 3600
"""Seconds after which what is known of a webhook's deliveries is forgotten when there are no new ones."""

MAX_COUNTED = 1_000
"""Most webhooks whose deliveries are counted at one time."""

LONGEST_PAUSE = 60
"""Longest pause of a webhook after a failed attempt, in seconds; it begins with 2, and doubles."""

STEP = 50

_COMMON = f"""#!lua flags=allow-oom
local function key(what, webhook) return '{PREFIX}webhook-' .. what .. ':' .. webhook end
local function reschedule(place, webhook)
  local first = redis.call('ZRANGE', key('pending', webhook), 0, 0, 'WITHSCORES')
  if not first[1] then
    redis.call('ZREM', '{keys.WEBHOOKS_DUE}', place)
  else
    local paused = tonumber(redis.call('HGET', key('counts', webhook), 'paused') or 0)
    redis.call('ZADD', '{keys.WEBHOOKS_DUE}', string.format('%.0f', math.max(tonumber(first[2]), paused)), place)
  end
  for _, what in ipairs({{'deliveries', 'bodies', 'pending', 'finished', 'counts'}}) do
    redis.call('EXPIRE', key(what, webhook), {KEPT_FOR})
  end
end
local function finished(webhook, event, now)
  redis.call('ZREM', key('pending', webhook), event)
  redis.call('HINCRBY', key('counts', webhook), 'bytes', -redis.call('HSTRLEN', key('bodies', webhook), event))
  redis.call('HDEL', key('bodies', webhook), event)
  redis.call('ZADD', key('finished', webhook), now, event)
  for _, old in ipairs(redis.call('ZRANGE', key('finished', webhook), 0, {-MAX_LISTED - 1})) do
    redis.call('HDEL', key('deliveries', webhook), old)
    redis.call('ZREM', key('finished', webhook), old)
  end
end
"""
"""Lua: beyond ``maxmemory`` too, since what is written takes the place of something or is bounded by the queue."""

_SHARE_OUT = (
    _COMMON
    + f"""
local holder, team, raw, now = ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('GET', KEYS[1]) ~= holder then return -1 end
if redis.call('LINDEX', KEYS[2], 0) ~= raw then return -1 end
local dropped = 0
for place = 5, #ARGV, 4 do
  local webhook, event, delivery, body = unpack(ARGV, place, place + 3)
  local counts = key('counts', webhook)
  if redis.call('HEXISTS', key('deliveries', webhook), event) == 0 then
    local bytes = tonumber(redis.call('HGET', counts, 'bytes') or 0)
    if redis.call('ZCARD', key('pending', webhook)) >= {MAX_WAITING} or bytes + #body > {MAX_WAITING_BYTES} then
      redis.call('HINCRBY', counts, 'dropped', 1)
      dropped = dropped + 1
    else
      redis.call('HSET', key('deliveries', webhook), event, delivery)
      redis.call('HSET', key('bodies', webhook), event, body)
      redis.call('HINCRBY', counts, 'bytes', #body)
      redis.call('ZADD', key('pending', webhook), now, event)
    end
    reschedule(team .. '/' .. webhook, webhook)
  end
end
redis.call('LPOP', KEYS[2])
if redis.call('LLEN', KEYS[2]) == 0 then redis.call('SREM', KEYS[3], team) end
return dropped
"""
)

_NEXT = f"""
local function key(what) return '{PREFIX}webhook-' .. what .. ':' .. ARGV[1] end
local first = redis.call('ZRANGEBYSCORE', key('pending'), '-inf', ARGV[2], 'LIMIT', 0, 1)[1]
if not first then return nil end
return {{first, redis.call('HGET', key('deliveries'), first), redis.call('HGET', key('bodies'), first)}}
"""

_BEGIN = (
    _COMMON
    + """
local holder, place, webhook, event, old, new, again = unpack(ARGV)
if redis.call('GET', KEYS[1]) ~= holder then return 0 end
if redis.call('HGET', key('deliveries', webhook), event) ~= old then return 0 end
redis.call('HSET', key('deliveries', webhook), event, new)
redis.call('ZADD', key('pending', webhook), again, event)
reschedule(place, webhook)
return 1
"""
)

_END = (
    _COMMON
    + f"""
local place, webhook, event, old, new, again, now, outcome = unpack(ARGV)
local counts = key('counts', webhook)
if redis.call('HGET', key('deliveries', webhook), event) ~= old then return '-' end
redis.call('HSET', key('deliveries', webhook), event, new)
if again ~= '' then
  redis.call('ZADD', key('pending', webhook), again, event)
else
  finished(webhook, event, now)
  redis.call('HINCRBY', counts, outcome, 1)
end
if outcome == 'delivered' then
  redis.call('HDEL', counts, 'failing_since', 'failures', 'paused')
elseif outcome == 'failed' then
  redis.call('HSETNX', counts, 'failing_since', now)
  local seconds = math.min({LONGEST_PAUSE}, 2 ^ math.min(redis.call('HINCRBY', counts, 'failures', 1), 10))
  redis.call('HSET', counts, 'paused', string.format('%.0f', now + 1000 * seconds))
end
reschedule(place, webhook)
return redis.call('HGET', counts, 'failing_since') or ''
"""
)

_PAUSE = (
    _COMMON
    + """
redis.call('HSET', key('counts', ARGV[2]), 'paused', ARGV[3])
reschedule(ARGV[1], ARGV[2])
"""
)


@frozen
class DueWebhook:
    """A webhook with a delivery that is due.

    Attributes:
        team: slug.
        webhook: id.
    """

    team: str
    webhook: str

    def __str__(self) -> str:
        """Return it as the set of what is due has it."""
        return f"{self.team}/{self.webhook}"


@frozen
class StoredDelivery:
    """A delivery as it was read.

    Attributes:
        delivery: as it is listed.
        body: of the request.
        raw: exactly as stored.
    """

    delivery: Delivery
    body: bytes
    raw: bytes


@frozen
class NewDelivery:
    """An event for one webhook.

    Attributes:
        webhook: id.
        delivery: what is listed of it.
        body: what is sent.
    """

    webhook: str
    delivery: Delivery
    body: bytes


@frozen(eq=False, repr=False)
class RedisWebhookDeliveries:
    """The deliveries of one installation. Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        codec: reads and writes them.
    """

    connection: Connection
    codec: Codec

    # --- what the sender does ---------------------------------------------------------------------------------------

    async def share_out(
        self, holder: str, team: str, raw: bytes, deliveries: Sequence[NewDelivery], now: datetime
    ) -> int | None:
        """Make deliveries of the oldest event of a team's queue, and take it out of there.

        Args:
            holder: who has the lease.
            team: slug.
            raw: the event, as it waits.
            deliveries: to the webhooks that want it.
            now: the current time; they are due at once.

        Returns:
            How many of the deliveries were dropped because too many wait; None when nothing was done, because the
            lease is lost or the event is not the oldest one any more.
        """
        arguments: list[str | bytes | int] = [holder, team, raw, _ms(now)]
        for one in deliveries:
            arguments += [one.webhook, one.delivery.event, self.codec.encode(one.delivery), one.body]
        names = [keys.WEBHOOK_LEASE, keys.webhook_events(team), keys.WEBHOOK_TEAMS]
        dropped = int(await self._run(_SHARE_OUT, names, arguments))
        return None if dropped < 0 else dropped

    async def count_drops(self, webhook_ids: Sequence[str], count: int) -> None:
        """Note that events for some webhooks were dropped before they were shared out."""
        redis = self.connection.redis
        async with redis.pipeline(transaction=True) as change:
            for one in webhook_ids:
                _ = change.hincrby(keys.webhook_counts(one), "dropped", count)
                _ = change.expire(keys.webhook_counts(one), KEPT_FOR)
            await self.connection.run(change.execute())

    async def due(self, now: datetime, limit: int) -> list[DueWebhook]:
        """Return webhooks with a delivery that is due, those first that are due for the longest time."""
        redis = self.connection.redis
        found = await self.connection.read(
            lambda: redis.zrangebyscore(keys.WEBHOOKS_DUE, "-inf", _ms(now), start=0, num=limit)
        )
        return [DueWebhook(*one.decode().split("/", 1)) for one in found]

    async def next_due(self, webhook_id: str, now: datetime) -> StoredDelivery | None:
        """Return the delivery of a webhook that is due for the longest time; None when none is."""
        script = self.connection.redis.register_script(_NEXT)
        found = await self.connection.read(lambda: script(keys=[], args=[webhook_id, _ms(now)]))
        return None if found is None else self._stored(found[1], found[2])

    async def begin(
        self, holder: str, place: DueWebhook, old: StoredDelivery, now: datetime, again: datetime
    ) -> StoredDelivery | None:
        """Note that an attempt begins; None when it may not, because the lease is lost or another sender was faster.

        Args:
            holder: who has the lease.
            place: the webhook.
            old: the delivery.
            now: the current time.
            again: when it is tried again if this sender ends before the attempt does.
        """
        attempts = old.delivery.attempts + 1
        begun = evolve(old.delivery, attempts=attempts, attempted_at=now, next_at=again, status=None, reason=None)
        raw = self.codec.encode(begun)
        arguments: list[str | bytes | int] = [holder, str(place), place.webhook, begun.event, old.raw, raw, _ms(again)]
        if not await self._run(_BEGIN, [keys.WEBHOOK_LEASE], arguments):
            return None
        return StoredDelivery(begun, old.body, raw)

    async def end(self, place: DueWebhook, begun: StoredDelivery, ended: Delivery, now: datetime) -> datetime | None:
        """Store the result of an attempt, unless the delivery has changed meanwhile.

        After a failed attempt the webhook pauses for some seconds, and longer after each further one.

        Args:
            place: which webhook.
            begun: the delivery, as it was when the attempt began.
            ended: as it is now.
            now: the current time.

        Returns:
            Since when every attempt to this webhook has failed; None when the last one worked.
        """
        outcome = "delivered" if ended.state is DeliveryState.DELIVERED else "failed"
        again = "" if ended.next_at is None else _ms(ended.next_at)
        arguments: list[str | bytes | int] = [str(place), place.webhook, ended.event, begun.raw]
        arguments += [self.codec.encode(ended), again, _ms(now), outcome]
        found = await self._run(_END, [], arguments)
        return None if found in {b"", b"-"} else _instant(found)

    async def pause(self, place: DueWebhook, until: datetime) -> None:
        """Send nothing to a webhook for a while."""
        await self._run(_PAUSE, [], [str(place), place.webhook, _ms(until)])

    async def give_up(self, place: DueWebhook, reason: str, now: datetime) -> None:
        """End every delivery to a webhook that still waits, as failed."""
        redis = self.connection.redis
        while found := await self.connection.read(
            lambda: redis.zrange(keys.webhook_pending(place.webhook), 0, STEP - 1)
        ):
            raws = await self.connection.read(lambda: redis.hmget(keys.webhook_deliveries(place.webhook), found))
            for raw in raws:
                old = self._stored(raw, b"")
                ended = evolve(old.delivery, state=DeliveryState.FAILED, next_at=None, reason=reason)
                await self.end(place, old, ended, now)

    async def forget(self, place: DueWebhook) -> None:
        """Forget every delivery to a webhook that is gone."""
        redis = self.connection.redis
        async with redis.pipeline(transaction=True) as change:
            _ = change.delete(*delivery_keys(place.webhook))
            _ = change.zrem(keys.WEBHOOKS_DUE, str(place))
            await self.connection.run(change.execute())

    async def count_waiting(self) -> int:
        """Return how many deliveries wait, of at most :data:`MAX_COUNTED` webhooks."""
        redis = self.connection.redis

        async def count() -> list[int]:
            places: list[Any] = await redis.zrange(keys.WEBHOOKS_DUE, 0, MAX_COUNTED - 1)
            async with redis.pipeline(transaction=False) as pipeline:
                for place in places:
                    _ = pipeline.zcard(keys.webhook_pending(place.decode().partition("/")[2]))
                found: list[int] = await pipeline.execute()
                return found

        return sum(await self.connection.read(count))

    # --- what is listed ---------------------------------------------------------------------------------------------

    async def newest(self, webhook_id: str, limit: int = MAX_LISTED) -> list[Delivery]:
        """Return the newest deliveries to a webhook, those that wait among them, newest first."""
        redis = self.connection.redis
        found = await self.connection.read(lambda: redis.hvals(keys.webhook_deliveries(webhook_id)))
        deliveries = [self.codec.decode(raw, Delivery) for raw in found]
        return sorted(deliveries, key=lambda one: (one.at, one.event), reverse=True)[:limit]

    async def counts(self, webhook_ids: Sequence[str]) -> list[DeliveryCounts]:
        """Return the totals of the deliveries to each webhook, in order."""
        if not webhook_ids:
            return []
        redis = self.connection.redis

        async def read() -> list[Any]:
            async with redis.pipeline(transaction=False) as pipeline:
                for one in webhook_ids:
                    _ = pipeline.hgetall(keys.webhook_counts(one))
                    _ = pipeline.zcard(keys.webhook_pending(one))
                found: list[Any] = await pipeline.execute()
                return found

        found = await self.connection.read(read)
        return [_counts(fields, waiting) for fields, waiting in zip(found[::2], found[1::2], strict=True)]

    def _stored(self, raw: bytes, body: bytes | None) -> StoredDelivery:
        return StoredDelivery(self.codec.decode(raw, Delivery), body or b"", raw)

    async def _run(self, text: str, names: Sequence[str], arguments: Sequence[str | bytes | int]) -> Any:
        script = self.connection.redis.register_script(text)
        return await self.connection.run(script(keys=list(names), args=list(arguments)))


def delivery_keys(webhook_id: str) -> tuple[str, ...]:
    """Return the keys of everything that is known of the deliveries to a webhook."""
    made = (keys.webhook_deliveries, keys.webhook_bodies, keys.webhook_pending, keys.webhook_finished)
    return (*(one(webhook_id) for one in made), keys.webhook_counts(webhook_id))


def _ms(at: datetime) -> int:
    return round(at.timestamp() * 1000)


def _instant(text: bytes) -> datetime:
    return datetime.fromtimestamp(int(text) / 1000, UTC)


def _counts(fields: Mapping[bytes, bytes], waiting: int) -> DeliveryCounts:
    numbers = {name: int(fields.get(name.encode(), 0)) for name in ("delivered", "failed", "dropped", "failures")}
    since = fields.get(b"failing_since")
    return DeliveryCounts(**numbers, waiting=waiting, failing_since=None if since is None else _instant(since))
