"""Transactions: atomic checks and writes of several keys.

One Lua script applies every change of the program. It checks all preconditions before the first write, because
Redis does not roll back; it writes records before indexes, because nothing has been changed when the first write is
refused (out of memory); it writes the audit entry in the same step; and it marks the operation's id, so that the same
change has no second effect when it is sent again after a lost reply (docs/architecture.md, "Store"). The log is also
written here, once the change is durable.
"""

import json
import secrets
from typing import Literal

from attrs import Factory, define, frozen

from authsvc.audit.entry import ChangeLog, Entry
from authsvc.error_codes import ErrorCode
from authsvc.errors import Conflict, StoreRefused, StoreUnavailable
from authsvc.store import keys
from authsvc.store.audit_index import ADD_TO_AUDIT
from authsvc.store.batched_writes import Argument, ScriptCall
from authsvc.store.connection import Connection
from authsvc.store.indexes import IndexEntry
from authsvc.store.operations import MARK_LIFE, OperationMark
from authsvc.store.ordered_index import INDEX_FUNCTIONS

UNCLEAR = "the service's database did not confirm the change, which may be done or not; look before you repeat it"

NOT_DONE = "the service's database does not answer, so nothing was changed; try again in a few seconds"

_APPLY = (
    ADD_TO_AUDIT
    + INDEX_FUNCTIONS
    + """
local plan = cjson.decode(ARGV[1])
local mark = redis.call('GET', KEYS[1])
if mark then return mark end
for place, check in ipairs(plan.checks) do
  local kind, key, value, most = check[1], KEYS[check[2]], ARGV[check[3]], check[4]
  if kind == 'fewer' then
    if redis.call('ZCOUNT', key, value, '+inf') >= most then return place end
  elseif kind == 'unlisted' then
    if index_find(key, value) then return place end
  else
    local found = redis.call('GET', key)
    if kind == 'absent' then
      if found then return place end
    elseif found ~= value then
      return place
    end
  end
end
for _, write in ipairs(plan.writes) do
  local command, key, first, last = write[1], KEYS[write[2]], write[3], write[4]
  if command == 'KEEP' then
    local newest, prefix = tonumber(ARGV[first]), ARGV[last]
    for _, item in ipairs(redis.call('ZREVRANGE', key, newest, -1)) do
      redis.call('DEL', prefix .. item)
    end
    redis.call('ZREMRANGEBYRANK', key, 0, -newest - 1)
  elseif command == 'INDEX' then
    index_add(key, ARGV[first])
  elseif command == 'UNINDEX' then
    index_remove(key, ARGV[first])
  else
    redis.call(command, key, unpack(ARGV, first, last))
  end
end
check_index(KEYS[2])
add_to_audit(KEYS[2], KEYS[3], {'entry', ARGV[3]}, ARGV[5])
redis.call('SET', KEYS[1], ARGV[4], 'EX', ARGV[2])
return 0
"""
)

_FIRST_VALUE = 6
"""Number of the first argument of the script that is a value of the plan: there values cost a tenth of what they cost
within its JSON."""

_APPLY_ALWAYS = f"#!lua flags=allow-oom\n{_APPLY}"
"""The same beyond ``maxmemory``: about 2 KB for each time that access ends."""


def unlogged(_entry: Entry) -> None:
    """Write nothing, for a change that only the audit records."""


@frozen
class _Precondition:
    kind: Literal["same", "absent", "fewer", "unlisted"]
    key: str
    message: str
    code: ErrorCode
    field: str | None = None
    value: str | bytes = ""
    most: int = 0


@define(eq=False, repr=False)
class Transaction:
    """A change that is being assembled.

    Attributes:
        entry: of the audit, written in the same step; its id is that of the operation, and the same for every attempt.
        log: gets the entry once the change is durable.
        result: id of the created or changed record, for a repeat of the same operation.
        ends_access: whether it ends access: then it is made even when the memory of Redis is full.
    """

    entry: Entry
    log: ChangeLog = unlogged
    result: str | None = None
    ends_access: bool = False
    _checks: list[_Precondition] = Factory(list)
    _writes: list[tuple[str, str, tuple[str | bytes, ...]]] = Factory(list)
    _attempt: str = Factory(lambda: secrets.token_hex(8))
    _logged: bool = False

    def expect_absent(
        self, key: str, message: str, code: ErrorCode = "version_conflict", field: str | None = None
    ) -> None:
        """Refuse the change with ``message``, ``code`` and ``field`` when ``key`` exists."""
        self._checks.append(_Precondition("absent", key, message, code, field))

    def expect(self, key: str, raw: bytes, message: str, code: ErrorCode = "version_conflict") -> None:
        """Refuse the change with ``message`` and ``code`` when the value of ``key`` is not exactly ``raw``."""
        self._checks.append(_Precondition("same", key, message, code, value=raw))

    def expect_fewer(self, key: str, most: int, since: float, message: str, code: ErrorCode) -> None:
        """Refuse the change when the sorted set at ``key`` has ``most`` items from ``since`` on."""
        self._checks.append(_Precondition("fewer", key, message, code, value=repr(since), most=most))

    def expect_unlisted(self, index: str, prefix: str, message: str, code: ErrorCode, field: str) -> None:
        """Refuse the change when an entry of the ordered index begins with ``prefix``."""
        self._checks.append(_Precondition("unlisted", index, message, code, field, value=prefix))

    def put(self, key: str, raw: bytes, life_seconds: int | None = None, *, keep_life: bool = False) -> None:
        """Set ``key``, to expire after ``life_seconds``, or with its present expiry if ``keep_life``."""
        life = ("KEEPTTL",) if keep_life else () if life_seconds is None else ("EX", str(life_seconds))
        self._writes.append(("SET", key, (raw, *life)))

    def remove(self, key: str) -> None:
        """Remove ``key``."""
        self._writes.append(("DEL", key, ()))

    def add_to_set(self, key: str, item: str) -> None:
        """Add ``item`` to the set at ``key``."""
        self._writes.append(("SADD", key, (item,)))

    def add_to_order(self, key: str, score: float, item: str) -> None:
        """Add ``item`` to the sorted set at ``key``."""
        self._writes.append(("ZADD", key, (repr(score), item)))

    def forget_after(self, key: str, seconds: int) -> None:
        """Let ``key`` expire ``seconds`` after this change, unless another change extends that."""
        self._writes.append(("EXPIRE", key, (str(seconds),)))

    def remove_from_order(self, key: str, item: str) -> None:
        """Remove ``item`` from the sorted set at ``key``."""
        self._writes.append(("ZREM", key, (item,)))

    def remove_from_set(self, key: str, item: str) -> None:
        """Remove ``item`` from the set at ``key``."""
        self._writes.append(("SREM", key, (item,)))

    def index(self, new: frozenset[IndexEntry], old: frozenset[IndexEntry] = frozenset()) -> None:
        """Add a record's ``new`` entries to their indexes, even those that should exist, and remove ``old`` ones.

        So a record that an older authsvc has written, without entries, gets them with its next change.
        """
        self._writes += [("INDEX", index, (entry,)) for index, entry in sorted(new)]
        self._writes += [("UNINDEX", index, (entry,)) for index, entry in sorted(old - new)]

    def keep_newest(self, key: str, newest: int, prefix: str) -> None:
        """Leave only the ``newest`` highest items in the sorted set at ``key``, and remove the others' records.

        This is decided in the store at the moment of the change, so that concurrent changes do not leave more.

        Args:
            key: of the sorted set.
            newest: how many items stay.
            prefix: of the keys of the items' records.
        """
        self._writes.append(("KEEP", key, (str(newest), prefix)))

    async def apply(self, connection: Connection) -> None:
        """Carry the change out, once, and then log it.

        Raises:
            OperationRepeated: another transaction carried out this operation, for the same request.
            Conflict: a precondition does not hold, or another transaction carried out an operation of this id for
                another request; nothing was written.
            StoreRefused: Redis refused the change; nothing was written.
            StoreUnavailable: Redis did not answer, twice; ``uncertain`` says whether the change may have been made.
                Sending the same change again is safe.
        """
        names = list(dict.fromkeys([*(c.key for c in self._checks), *(key for _, key, _ in self._writes)]))
        number = {name: place for place, name in enumerate(names, start=4)}
        # Records first, removals last: a full store refuses the first write, and then nothing was done.
        writes = sorted(self._writes, key=lambda write: write[0] in {"DEL", "KEEP", "UNINDEX"})
        values: list[Argument] = [check.value for check in self._checks]
        checks = [(c.kind, number[c.key], place, c.most) for place, c in enumerate(self._checks, start=_FIRST_VALUE)]
        steps = list[tuple[str, int, int, int]]()
        for command, key, arguments in writes:
            first = _FIRST_VALUE + len(values)
            values += arguments
            steps.append((command, number[key], first, first + len(arguments) - 1))
        plan = json.dumps({"checks": checks, "writes": steps})
        mark = OperationMark(self.entry.request_hash, self.result, self._attempt)
        key_names = [keys.operation(self.entry.id), keys.AUDIT, keys.AUDIT_SIZE, *names]
        said: list[Argument] = [plan, MARK_LIFE, self.entry.text(), mark.text(), self.entry.team, *values]
        script = _APPLY_ALWAYS if self.ends_access else _APPLY
        reply = await _run(connection, ScriptCall(script, key_names, said))
        if isinstance(reply, bytes):
            found = OperationMark.parse(reply)
            if found.attempt != self._attempt:  # otherwise the reply to the first attempt was lost
                raise found.error_for(self.entry.request_hash)
        elif reply:
            broken = self._checks[reply - 1]
            raise Conflict(broken.message, code=broken.code, field=broken.field)
        if not self._logged:
            self._logged = True
            self.log(self.entry)


async def _run(connection: Connection, call: ScriptCall) -> bytes | int:
    """Return the mark of an operation that was carried out before, the number of the check that failed, or 0.

    Raises:
        StoreRefused: Redis refused the change; nothing was written.
        StoreUnavailable: Redis did not answer, twice.
    """
    reply: bytes | int
    try:
        reply = await connection.run_script(call)
    except StoreRefused:
        raise
    except StoreUnavailable as first:
        # The change may have been made although the reply was lost: the operation's mark makes a retry harmless.
        try:
            reply = await connection.run_script(call)
        except StoreUnavailable as second:
            if first.uncertain or second.uncertain:
                raise StoreUnavailable(UNCLEAR, uncertain=True, detail=second.detail) from second
            raise StoreUnavailable(NOT_DONE, detail=second.detail) from second
    return reply
