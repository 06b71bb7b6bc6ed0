"""Which audit entries a reading returns, as far as that is decided where the entries are, and what came of it.

The choice is made by texts that an entry must have, because that costs a tenth of reading its JSON. The caller
checks the entries that come back: a text can be in another field than the one meant.
"""

from collections.abc import Sequence

from attrs import frozen

from authsvc.audit.stored_entry import StoredEntry


@frozen
class EntrySelection:
    """Which entries.

    Attributes:
        team: slug of the team that they must belong to; None for entries of every team and of none.
        names: of entries that were written before they named their team, those with one of these texts: the slugs of
            the team and of its apps.
        clauses: of the texts of each clause, an entry must have at least one.
        request_id: 16 hexadecimal digits that must be among the packed request ids or in the text; None for no such
            condition.
        repeated: whether entries that count a single event are left out.
    """

    team: str | None = None
    names: Sequence[str] = ()
    clauses: Sequence[Sequence[str]] = ()
    request_id: str | None = None
    repeated: bool = False


EVERYTHING = EntrySelection()


@frozen
class SelectedEntries:
    """What one reading found.

    Attributes:
        entries: in the order of the reading.
        cursor: of the last entry that was looked at; empty when none was.
        examined: how many entries were looked at.
        at_end: whether there is nothing more in this direction.
    """

    entries: list[StoredEntry]
    cursor: str
    examined: int
    at_end: bool
