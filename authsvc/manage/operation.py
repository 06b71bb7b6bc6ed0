"""The circumstances of one change of management: the actor, the time, and the id."""

import hashlib
from collections.abc import Callable
from datetime import datetime
from typing import Any, Literal, Self, TypeVar

from attrs import frozen

from authsvc.audit.entry import BATCH, ON_BEHALF_OF, REQUEST_ID, Entry
from authsvc.errors import PreconditionFailed
from authsvc.manage.actor import Actor
from authsvc.manage.changed_fields import changed_fields
from authsvc.manage.etag import ANY, etag
from authsvc.redaction import unsecret

T = TypeVar("T")

OPERATION_ID_LENGTH = 32
"""Hexadecimal digits."""


BatchKind = Literal["import", "renewal"]

MAX_FILE_NAME = 100
"""Most characters of a file's name in the audit."""


@frozen
class RowBatch:
    """The batch that a change is part of.

    Attributes:
        kind: of the batch.
        rows: number of all rows, including those that change nothing.
        file: name of its file without the folder, or None.
    """

    kind: BatchKind
    rows: int
    file: str | None = None

    def facts(self) -> dict[str, Any]:
        """Return its facts for an audit entry."""
        if self.file is None:
            return {"kind": self.kind, "rows": self.rows}
        shown = "".join(character if character.isprintable() else "?" for character in self.file)
        return {"kind": self.kind, "rows": self.rows, "file": unsecret(shown)[:MAX_FILE_NAME]}


@frozen
class Operation:
    """The circumstances of one change.

    Attributes:
        actor: the caller.
        now: the one reading of the clock for the whole change, aware UTC.
        operation_id: random, or derived from an idempotency key: the same when the change is repeated.
        entropy: returns the given number of random bytes.
        request_hash: identifies the request when it came with an idempotency key, else empty.
        if_match: entity tags, one of which the record that is changed must have; None for any record.
        request_id: of the HTTP request, or None.
        batch: that the change is part of, or None.
    """

    actor: Actor
    now: datetime
    operation_id: str
    entropy: Callable[[int], bytes]
    request_hash: str = ""
    if_match: tuple[str, ...] | None = None
    request_id: str | None = None
    batch: RowBatch | None = None

    @classmethod
    def keyed(
        cls, actor: Actor, now: datetime, idempotency_key: str, request: bytes, entropy: Callable[[int], bytes]
    ) -> Self:
        """Begin a change, or repeat it: the same actor's same key is the same operation.

        Args:
            actor: the caller; equal keys of two actors are unrelated.
            now: the current time.
            idempotency_key: chosen by the client, one for each change; hard to guess when the request has a password.
            request: the complete request: the method, the path and the body. Another one with the same key is refused.
            entropy: returns the given number of random bytes.
        """
        operation_id = _digest(actor.subject.encode(), idempotency_key.encode())[:OPERATION_ID_LENGTH]
        # The hash is stored, and a request may contain a password: the key is not stored, and without it a guess of the
        # password cannot be checked with the hash.
        return cls(actor, now, operation_id, entropy, _digest(idempotency_key.encode(), request))

    def require_match(self, record: Any) -> None:
        """Check that the record to be changed, which was just read, is unchanged since the client read it.

        Raises:
            PreconditionFailed: it has none of the given entity tags.
        """
        if self.if_match is not None and ANY not in self.if_match and etag(record) not in self.if_match:
            raise PreconditionFailed("this was changed since you read it; read it again, and repeat the change on that")

    def entry(self, event: str, **facts: Any) -> Entry:
        """Return the audit entry of this change: a constant ``noun.verb`` and its facts, never a secret."""
        request = {} if self.request_id is None else {REQUEST_ID: self.request_id}
        batch = {} if self.batch is None else {BATCH: self.batch.facts()}
        whole = self.behalf | facts | batch | request
        return Entry(self.operation_id, self.now, event, self.actor.subject, whole, self.request_hash)

    @property
    def behalf(self) -> dict[str, Any]:
        """Facts for an audit entry about the member for whom the operator acts; empty when there is none."""
        person = self.actor.on_behalf_of
        if person is None:
            return {}
        return {ON_BEHALF_OF: {"member": person.id, "email": person.email, "team": person.team}}

    def entry_of_change(self, event: str, old: T, new: T, **facts: Any) -> Entry:
        """Return the audit entry of this change of a record: like :meth:`entry`, with the changed fields.

        ``changed`` has the old and the new value of each (:func:`changed_fields`).
        """
        return self.entry(event, **facts, changed=changed_fields(old, new))


def _digest(*parts: bytes) -> str:
    """Return the SHA-256 of parts of any length; different sequences of parts have different digests."""
    return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()
