"""Marks of operations that were carried out, which make it harmless to repeat a change (design #18)."""

import json
from contextlib import suppress
from typing import Self

from attrs import frozen

from authsvc.errors import Conflict, OperationRepeated, StoreUnavailable
from authsvc.store import keys
from authsvc.store.connection import Connection

MARK_LIFE = 24 * 3600
"""Seconds for which the mark of an operation is stored: far longer than any client retries."""

REPEATED = "this was done already, by the same request"

OTHER_REQUEST = "another request was sent with this idempotency key; use a new key for each change"


@frozen
class OperationMark:
    """The mark of an operation that was carried out.

    Attributes:
        request: hash of the request; empty when it came without an idempotency key.
        result: id of what was created or changed; None in a mark of an older version.
        attempt: identifies the transaction that carried it out.
    """

    request: str
    result: str | None
    attempt: str

    @classmethod
    def parse(cls, raw: bytes) -> Self:
        """Return the mark; one of an older version contains only that the operation was carried out.

        Raises:
            StoreUnavailable: it is damaged.
        """
        try:
            fields = json.loads(raw)
            return cls("", None, "") if fields == 1 else cls(fields["request"], fields["result"], fields["attempt"])
        except (ValueError, KeyError, TypeError) as error:
            raise StoreUnavailable("a stored record is damaged", detail=f"operation mark: {error!r}") from error

    def text(self) -> str:
        """Return the mark as it is stored."""
        return json.dumps({"request": self.request, "result": self.result, "attempt": self.attempt})

    def error_for(self, request_hash: str) -> Conflict:
        """Return the error for a later attempt with the given hash of its request."""
        if self.request and request_hash and self.request != request_hash:
            return Conflict(OTHER_REQUEST, code="idempotency_conflict")
        return OperationRepeated(REPEATED, self.result)


@frozen(eq=False, repr=False)
class RedisOperations:
    """The marks of one installation.

    Attributes:
        connection: to Redis.
    """

    connection: Connection

    async def require_new(self, operation_id: str, request_hash: str) -> None:
        """Check that an operation was not carried out within the last day.

        Raises:
            OperationRepeated: it was, by the same request.
            Conflict: it was, by another request (code ``idempotency_conflict``).
            StoreUnavailable: Redis does not answer.
        """
        raw = await self.connection.get(keys.operation(operation_id))
        if raw is not None:
            raise OperationMark.parse(raw).error_for(request_hash)

    async def note(self, operation_id: str, request_hash: str, result: str) -> None:
        """Record an operation that found nothing to change, unless it is recorded already.

        Raises:
            Conflict: it was carried out by another request (code ``idempotency_conflict``).
            StoreUnavailable: Redis does not answer.
        """
        key, mark = keys.operation(operation_id), OperationMark(request_hash, result, "").text()
        if await self.connection.run(self.connection.redis.set(key, mark, ex=MARK_LIFE, nx=True)) is None:
            with suppress(OperationRepeated):
                await self.require_new(operation_id, request_hash)
