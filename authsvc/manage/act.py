"""One act of management, and where it is told."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.audit.entry import Entry


@frozen
class Act:
    """The circumstances of one change.

    Attributes:
        actor: who does it: ``system:authsvc`` for the command line on the machine itself.
        now: the one reading of the clock for the whole act, aware UTC.
        operation_id: random; the same when the act is repeated after an unclear failure.
        entropy: returns that many random bytes.
    """

    actor: str
    now: datetime
    operation_id: str
    entropy: Callable[[int], bytes]

    def entry(self, event: str, **facts: Any) -> Entry:
        """Return the audit's line of this act: a constant ``noun.verb`` and its facts, never a secret."""
        return Entry(self.operation_id, self.now, event, self.actor, facts)


Journal = Callable[[Entry], None]
"""Whoever writes down what was changed, after it was."""
