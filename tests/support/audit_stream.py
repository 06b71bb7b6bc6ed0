"""What tests do to the audit's stream besides what the product does."""

from collections.abc import Sequence

from authsvc.audit.stored_entry import StoredEntry
from authsvc.store.audit_stream import RedisAudit


async def forget(stream: RedisAudit, entries: Sequence[StoredEntry]) -> None:
    """Trim the oldest entries, as they were read."""
    teams = {entry.team for entry in entries if entry.team}
    await stream.trim(entries[-1].cursor, len(entries), sum(entry.size for entry in entries), teams)
