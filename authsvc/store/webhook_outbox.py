"""The outbox of webhooks: events that wait to be distributed, one bounded queue for each team, and the sender's lease.

An event is added in the same transaction as the change that it reports, or by the process that detects it. A team
without webhooks has no queue. Only the sender with the lease takes events out, which each script that writes for it
checks (fencing).
"""

import json
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from attrs import field, frozen

from authsvc.store import webhook_keys as keys
from authsvc.store.connection import Connection
from authsvc.webhooks.event import EventType, WebhookEvent

MAX_EVENTS_OF_TEAM = 1_000
"""Most events of a team that wait to be shared out; newer ones are dropped and counted."""

REMEMBERED_FOR = timedelta(days=2)
"""How long an event is recognised when it is added again, by default."""

OFFER = f"""
local function offer(team, text)
  if redis.call('EXISTS', '{keys.TEAM_WEBHOOKS}' .. team) == 0 then return 'unwanted' end
  local queue = '{keys.WEBHOOK_EVENTS}' .. team
  if redis.call('LLEN', queue) >= {MAX_EVENTS_OF_TEAM} then
    redis.call('HINCRBY', '{keys.WEBHOOK_DROPS}', team, 1)
    return 'dropped'
  end
  redis.call('RPUSH', queue, text)
  redis.call('SADD', '{keys.WEBHOOK_TEAMS}', team)
  return 'taken'
end
"""
"""Lua: a function that puts an event into its team's queue, for all scripts that cause events."""

_ADD = (
    OFFER
    + """
local taken = 0
for place, team in ipairs(cjson.decode(ARGV[1])) do
  if redis.call('EXISTS', KEYS[place]) == 0 then
    local outcome = offer(team, ARGV[place + 2])
    if outcome ~= 'unwanted' then redis.call('SET', KEYS[place], '', 'EX', ARGV[2]) end
    if outcome == 'taken' then taken = taken + 1 end
  end
end
return taken
"""
)

_LEASE = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then redis.call('DEL', KEYS[1]) end"

_TAKE_DROPS = """
local found = redis.call('HGETALL', KEYS[1])
redis.call('DEL', KEYS[1])
return found
"""


@frozen(eq=False, repr=False)
class WebhookOutbox:
    """The queues of events, and the lease of the sender.

    Every method raises StoreUnavailable when Redis does not answer.

    Attributes:
        connection: to Redis.
        has_room: whether there is room for data that can wait.
    """

    connection: Connection
    has_room: Callable[[], bool] = field(default=lambda: True, repr=False)

    async def add(self, events: Sequence[WebhookEvent], remembered_for: timedelta = REMEMBERED_FOR) -> int:
        """Put events into the queues of their teams, each once: an event that was added before is recognised by its id.

        Events are neither accepted nor remembered while there is no room for data that can wait, or for teams without
        webhooks.

        Args:
            events: some; a script is short, so not thousands.
            remembered_for: for how long they are recognised.

        Returns:
            How many were accepted now.
        """
        if not events or not self.has_room():
            return 0
        seen = [keys.webhook_event_seen(event.id) for event in events]
        texts = [_encoded(event) for event in events]
        life = int(remembered_for.total_seconds())
        script = self.connection.redis.register_script(_ADD)
        teams = json.dumps([event.team for event in events])
        return int(await self.connection.run(script(keys=seen, args=[teams, life, *texts])))

    async def teams(self, limit: int) -> list[str]:
        """Return some of the teams whose events wait, in no order."""
        redis = self.connection.redis
        found = await self.connection.read(lambda: redis.srandmember(keys.WEBHOOK_TEAMS, limit))
        return [one.decode() for one in found]

    async def waiting(self, team: str, limit: int) -> list[bytes]:
        """Return the oldest events of a team that wait, as they are stored."""
        redis = self.connection.redis
        found: list[bytes] = await self.connection.read(lambda: redis.lrange(keys.webhook_events(team), 0, limit - 1))
        return found

    async def count(self, teams: Sequence[str]) -> int:
        """Return how many events of some teams wait."""
        redis = self.connection.redis

        async def lengths() -> list[int]:
            async with redis.pipeline(transaction=False) as pipeline:
                for team in teams:
                    _ = pipeline.llen(keys.webhook_events(team))
                found: list[int] = await pipeline.execute()
                return found

        return sum(await self.connection.read(lengths)) if teams else 0

    async def take_drops(self) -> Mapping[str, int]:
        """Return how many events of each team were dropped since the last call."""
        script = self.connection.redis.register_script(_TAKE_DROPS)
        found = await self.connection.run(script(keys=[keys.WEBHOOK_DROPS]))
        return {team.decode(): int(count) for team, count in zip(found[::2], found[1::2], strict=True)}

    async def lease(self, holder: str, seconds: float) -> bool:
        """Whether ``holder``, a random name, has the lease to send for the given seconds from now."""
        script = self.connection.redis.register_script(_LEASE)
        return bool(await self.connection.run(script(keys=[keys.WEBHOOK_LEASE], args=[holder, round(seconds * 1000)])))

    async def release(self, holder: str) -> None:
        """Let another worker send."""
        script = self.connection.redis.register_script(_RELEASE)
        await self.connection.run(script(keys=[keys.WEBHOOK_LEASE], args=[holder]))


def _encoded(event: WebhookEvent) -> str:
    """Return an event as it waits; what the activity's script writes itself has ``note`` in place of ``id``."""
    facts: dict[str, Any] = {
        "id": event.id,
        "type": event.type.value,
        "at": event.at.isoformat(),
        "team": event.team,
        "app": event.app,
        "data": event.data,
    }
    return json.dumps(facts, separators=(",", ":"))


def read_event(facts: Mapping[str, Any]) -> WebhookEvent:
    """Return an event that waited.

    Args:
        facts: decoded JSON.

    Raises:
        ValueError: it has another form, as a later authsvc may write it.
    """
    try:
        return WebhookEvent(
            id=str(facts["id"]),
            type=EventType(facts["type"]),
            at=datetime.fromisoformat(facts["at"]),
            team=str(facts["team"]),
            app=None if facts["app"] is None else str(facts["app"]),
            data=dict(facts["data"]),
        )
    except (KeyError, TypeError) as error:
        raise ValueError(f"an event that waits is damaged: {error!r}") from error
