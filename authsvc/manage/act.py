"""One act of management, and where it is told."""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from attrs import frozen


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


class Journal(Protocol):
    """Whoever writes down what was changed."""

    def __call__(self, event: str, **facts: object) -> None:
        """Write down one change: a constant ``noun.verb`` and its facts, never a secret."""
        ...
