"""One change of management: who makes it, when, and under which id."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.manage.actor import Actor


@frozen
class Operation:
    """The circumstances of one change.

    Attributes:
        actor: who makes it.
        now: the one reading of the clock for the whole change, aware UTC.
        operation_id: random; the same when the change is repeated after an unclear failure.
        entropy: returns that many random bytes.
    """

    actor: Actor
    now: datetime
    operation_id: str
    entropy: Callable[[int], bytes]

    def entry(self, event: str, **facts: Any) -> Entry:
        """Return the audit entry of this change: a constant ``noun.verb`` and its facts, never a secret."""
        person = self.actor.on_behalf_of
        behalf = {} if person is None else {"on_behalf_of": {"member": person.id, "email": person.email}}
        return Entry(self.operation_id, self.now, event, self.actor.subject, behalf | facts)
