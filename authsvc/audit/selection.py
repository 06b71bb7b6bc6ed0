"""The selection of audit entries that the store makes while reading, and its result.

The store compares texts that an entry must contain, which costs a tenth of parsing its JSON. The caller must check the
returned entries: a text can be in a different field.
"""

from collections.abc import Sequence
from datetime import datetime

from attrs import frozen

from authsvc.audit.stored_entry import StoredEntry


@frozen
class EntrySelection:
    """Conditions that entries must fulfil.

    Attributes:
        team: slug of the team that they must belong to; None for entries of every team and of none.
        names: texts of which older entries, which do not name their team, must contain one: the slugs of the team and
            of its apps.
        clauses: an entry must contain at least one of the texts of each clause.
        request_id: 16 hexadecimal digits that must be among the packed request ids or in the text; None for no such
            condition.
        repeated: whether entries about a single event are left out.
        begun_by: entries that began in a later second are left out; None for no such condition.
    """

    team: str | None = None
    names: Sequence[str] = ()
    clauses: Sequence[Sequence[str]] = ()
    request_id: str | None = None
    repeated: bool = False
    begun_by: datetime | None = None


EVERYTHING = EntrySelection()


@frozen
class SelectedEntries:
    """The result of one reading.

    Attributes:
        entries: in the order of the reading.
        cursor: of the last entry that was examined; empty when none was.
        examined: number of entries that were examined.
        at_end: whether there are no more entries in this direction.
    """

    entries: list[StoredEntry]
    cursor: str
    examined: int
    at_end: bool
