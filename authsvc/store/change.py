"""Changes: checks and writes over several keys that happen together or not at all.

One Lua script applies every change of the program. It looks at all preconditions before the first write, because
Redis does not roll back; it writes records before indexes, because a refused first write (out of memory) leaves
nothing done; and it marks the operation's id, so that the same change sent again after a lost reply has no second
effect (docs/architecture.md, "Store").
"""

import json
from typing import Any

from attrs import Factory, define, frozen

from authsvc.errors import Conflict, StoreUnavailable
from authsvc.store import keys
from authsvc.store.connection import Connection

OPERATION_MARK_LIFE = 24 * 3600
"""Seconds for which an applied operation is known: far longer than anybody retries."""

_APPLY = """
local plan = cjson.decode(ARGV[1])
if redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
for place, check in ipairs(plan.checks) do
  local found = redis.call('GET', KEYS[check.key])
  if check.absent then
    if found then return place end
  elseif found ~= check.value then
    return place
  end
end
for _, write in ipairs(plan.writes) do
  redis.call(write.command, KEYS[write.key], unpack(write.arguments))
end
redis.call('SET', KEYS[1], '1', 'EX', ARGV[2])
return 0
"""


@frozen
class _Check:
    key: str
    value: str | None
    message: str


@define
class Change:
    """A change being put together.

    Attributes:
        operation_id: random; one per intention, the same for every attempt to carry it out.
    """

    operation_id: str
    _checks: list[_Check] = Factory(list)
    _writes: list[tuple[str, str, tuple[str, ...]]] = Factory(list)

    def expect_absent(self, key: str, message: str) -> None:
        """Refuse the change with ``message`` when ``key`` exists."""
        self._checks.append(_Check(key, None, message))

    def expect(self, key: str, raw: bytes, message: str) -> None:
        """Refuse the change with ``message`` when ``key`` does not hold exactly ``raw``."""
        self._checks.append(_Check(key, raw.decode(), message))

    def put(self, key: str, raw: bytes) -> None:
        """Set ``key``."""
        self._writes.append(("SET", key, (raw.decode(),)))

    def add_to_set(self, key: str, item: str) -> None:
        """Add ``item`` to the set at ``key``."""
        self._writes.append(("SADD", key, (item,)))

    def add_to_order(self, key: str, score: float, item: str) -> None:
        """Add ``item`` to the sorted set at ``key``."""
        self._writes.append(("ZADD", key, (repr(score), item)))

    async def apply(self, connection: Connection) -> None:
        """Carry the change out, once.

        Raises:
            Conflict: a precondition does not hold; nothing was written.
            StoreUnavailable: Redis did not answer, twice; sending the same change again is safe.
        """
        names = list(dict.fromkeys([*(c.key for c in self._checks), *(key for _, key, _ in self._writes)]))
        number = {name: place for place, name in enumerate(names, start=2)}
        plan: dict[str, Any] = {
            "checks": [{"key": number[c.key], "absent": c.value is None, "value": c.value} for c in self._checks],
            "writes": [{"command": w[0], "key": number[w[1]], "arguments": w[2]} for w in self._writes],
        }
        script = connection.redis.register_script(_APPLY)
        key_names = [keys.operation(self.operation_id), *names]
        arguments: list[str | int] = [json.dumps(plan), OPERATION_MARK_LIFE]
        try:
            failed = await connection.run(script(keys=key_names, args=arguments))
        except StoreUnavailable:
            # The reply may be lost and the change done: the operation's mark makes asking again harmless.
            failed = await connection.run(script(keys=key_names, args=arguments))
        if failed:
            raise Conflict(self._checks[failed - 1].message)
