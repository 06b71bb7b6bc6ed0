"""Entries of the audit on their way to the store, and what became of them."""

from attrs import frozen


@frozen
class PendingEntry:
    """An entry, ready to be written.

    Attributes:
        text: JSON.
        ids: the request ids behind it, packed.
        count: how many events it counts.
        proven: whether identity was proven; what is not is the first to be trimmed.
        needed: whether it is written even when the budget is used up: the audit's entries about itself.
        team: slug of the team that it belongs to; empty when it belongs to none.
    """

    text: str
    ids: bytes = b""
    count: int = 1
    proven: bool = True
    needed: bool = False
    team: str = ""


@frozen
class AppendResult:
    """What became of a batch.

    Attributes:
        lost: how many decisions stand in the entries that were not written, because from one entry on nothing fitted
            into the budget but what is needed or unproven.
    """

    lost: int = 0
