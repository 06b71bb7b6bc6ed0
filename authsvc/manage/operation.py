"""One act of management, and where it is told."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from attrs import frozen

from authsvc.audit.entry import Entry
from authsvc.errors import InputRefused

OPERATOR = "system:authsvc"
"""Who acts on the machine itself: whoever may read the secrets directory."""

_MEMBER = "member:"


@frozen
class Operation:
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


def acting_member(actor: str) -> str | None:
    """Return the id of the member whose rights bound what this act makes; None for the operator.

    Raises:
        InputRefused: it is neither, so that what it made would be bound by nobody.
    """
    if actor.startswith(_MEMBER):
        return actor.removeprefix(_MEMBER)
    if actor != OPERATOR:
        raise InputRefused("only a member or the operator can do this", code="permission_denied", field=None)
    return None
