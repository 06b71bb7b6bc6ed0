"""Audit entries that are to be written to the store, and the result of writing them."""

from attrs import frozen


@frozen
class PendingEntry:
    """An entry, ready to be written.

    Attributes:
        text: JSON.
        ids: the request ids behind it, packed.
        count: how many events it counts.
        proven: whether identity was proven; entries without are trimmed first.
        needed: whether it is written even when the budget is used up, like the audit's entries about itself.
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
    """The result of writing a batch.

    Attributes:
        lost: number of decisions in the entries that were not written, because the budget was used up; needed and
            unproven entries are written nevertheless.
    """

    lost: int = 0
