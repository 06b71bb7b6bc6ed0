"""Formats for the export of audit entries: CSV for spreadsheets, and JSON Lines for programs."""

import json
from collections.abc import AsyncIterator, Callable, Mapping

from attrs import frozen

from authsvc.audit.entry import ON_BEHALF_OF
from authsvc.audit.sentences import summary
from authsvc.audit.stored_entry import StoredEntry
from authsvc.spreadsheet_csv import MEDIA_TYPE as CSV
from authsvc.spreadsheet_csv import csv_line

JSON_LINES = "application/jsonl"

COLUMNS = (
    *("cursor", "at", "last_at", "event", "actor", "on_behalf_of", "count", "summary", "id", "address", "facts"),
)
"""The columns of an export as CSV; ``facts`` is JSON."""

OWN_MEMBERS = frozenset(
    ("cursor", "at", "event", "actor", "id", "count", "last_at", "last_id", "requests", ON_BEHALF_OF)
)
"""The members of an entry as it is shown; everything else is among its facts."""


@frozen
class ExportFormat:
    """One format of an export.

    Attributes:
        media_type: of the file.
        ending: of its name.
        begin: its beginning.
        render: makes a line from an entry.
    """

    media_type: str
    ending: str
    begin: str
    render: Callable[[StoredEntry], str]


def _csv_row(entry: StoredEntry) -> str:
    said = entry.to_json()
    person = said.get(ON_BEHALF_OF)
    return csv_line(
        (
            *(said[name] for name in ("cursor", "at")),
            said.get("last_at"),
            *(said[name] for name in ("event", "actor")),
            person["email"] if isinstance(person, dict) else None,
            *(said.get("count", 1), summary(entry.facts), said["id"], said.get("address")),
            json.dumps({name: value for name, value in said.items() if name not in OWN_MEMBERS}),
        )
    )


EXPORT_FORMATS: Mapping[str, ExportFormat] = {
    one.media_type: one
    for one in (
        ExportFormat(CSV, "csv", f"{','.join(COLUMNS)}\r\n", _csv_row),
        ExportFormat(JSON_LINES, "jsonl", "", lambda entry: f"{entry.line()}\n"),
    )
}
"""Every format, by media type."""


async def exported(pages: AsyncIterator[list[StoredEntry]], form: ExportFormat) -> AsyncIterator[str]:
    """Yield the text of an export, a page of entries at a time."""
    is_first = True
    async for page in pages:
        text = "".join(map(form.render, page))
        yield f"{form.begin}{text}" if is_first else text
        is_first = False
