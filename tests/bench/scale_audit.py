"""A full audit: what lists, filters and explanations cost this process and Redis.

Its entries are spread over some days, as if tokens had been asked for all the time.
"""

import json
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

from attrs import frozen

from authsvc.audit.aggregator import Aggregator
from authsvc.audit.block_filter_writer import BlockFilterWriter
from authsvc.audit.token_event import TokenEvent, token_event_of
from authsvc.manage.audit_query import AuditQuery
from authsvc.store import keys
from authsvc.store.audit_size import ENTRY_OVERHEAD, INDEX_BYTES, OVERHEAD_SHARE, StreamSize
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.connection import Connection
from authsvc.tenancy.records import License
from authsvc.wiring.management import Management
from tests.bench.figure import Figure
from tests.bench.installation import APP
from tests.bench.load import processor_seconds
from tests.support.builders import as_license
from tests.support.decisions import asked, denied, issued

FILLING = f"{keys.PREFIX}bench:"
"""Key of the stream while it is filled, so that no worker writes a newer entry meanwhile; that of the team's index
begins so."""

DAYS = 7
BATCH = 500
FULL = 0.94
"""Part of the budget that is filled: at 95 % room is made."""

DENIED_PART = 5
"""One in so many entries is a refusal, and stands for three requests."""

EXPLAINED = 20
MOST_LIST, MOST_EXPLAIN = 1000, 100
"""Milliseconds."""


@frozen
class Full:
    """What the audit was filled with.

    Attributes:
        entries: how many.
        request_ids: of some requests from its beginning to its end, by what they are.
    """

    entries: int
    request_ids: Mapping[str, Sequence[str]]


def _templates(license_: License, at: datetime) -> Iterator[tuple[str, str]]:
    """Yield the text of an entry about a token, and of one about a refusal; each with its request id."""
    subject = as_license(license_)
    request = asked(f"repository:{APP}/worker:pull", at=at)
    for outcome in (issued(request, subject), denied(subject)):
        event: TokenEvent = token_event_of(request, outcome)
        aggregator = Aggregator()
        aggregator.add(event)
        (entry,) = aggregator.take(at.timestamp(), everything=True)
        yield entry.text, request.request_id


def _made(at: datetime, number: int, part: int) -> str:
    """Return the id of a request of that time."""
    return f"{int(at.timestamp()):08x}{number:07x}{part}"


def _size(length: int) -> int:
    """Return the bytes of the budget that an entry takes, with its request ids and the slug of its team."""
    length += 64
    return length + length // OVERHEAD_SHARE + ENTRY_OVERHEAD + INDEX_BYTES


async def fill_audit(connection: Connection, budget: int, license_: License, ids: list[str], now: datetime) -> Full:
    """Replace the audit by as many entries as it can have without being trimmed.

    Args:
        connection: to Redis.
        budget: bytes.
        license_: after which entries are made.
        ids: of the licenses that the entries are about.
        now: the time of the newest entry.
    """
    audit, began = RedisAudit(connection, budget), now - timedelta(days=DAYS)
    templates = list(_templates(license_, now))
    most = int(audit.share * FULL) // _size(max(len(text) for text, _ in templates))
    step = most // EXPLAINED // DENIED_PART * DENIED_PART
    request_ids, at, cursor = defaultdict[str, list[str]](list), began, ""
    for start in range(0, most, BATCH):
        pipe = connection.redis.pipeline(transaction=False)
        for number in range(start, start + BATCH):
            at = began + (now - began) * number / (most + BATCH)
            text, template_id = templates[number % DENIED_PART == 0]
            new = [_made(at, number, part) for part in range(3)]
            text = text.replace(template_id, new[0]).replace(license_.id, ids[number % len(ids)])
            text = text.replace(now.isoformat(), at.isoformat())
            fields: dict[Any, Any] = {"entry": text}
            if number % step == 0:
                new[2] = _made(at - timedelta(days=1), number, 2)
                request_ids["the first of an entry"].append(new[0])
                request_ids["recorded a day later"].append(new[2])
                request_ids["unknown"].append(_made(at, number, 3))
            if number % DENIED_PART == 0:
                fields["ids"] = b"".join(map(bytes.fromhex, new))
            fields["team"] = license_.team
            cursor = f"{int(at.timestamp() * 1000)}-{number}"
            _ = pipe.xadd(FILLING, fields, id=cursor)
            _ = pipe.xadd(f"{FILLING}{license_.team}", {"e": ""}, id=cursor)
        await pipe.execute()
    pipe = connection.redis.pipeline()
    _ = pipe.rename(FILLING, keys.AUDIT)
    _ = pipe.rename(f"{FILLING}{license_.team}", f"{keys.AUDIT_TEAM}{license_.team}")
    _ = pipe.hset(keys.AUDIT_INDEX, mapping={"since": "0-0", "last": cursor})
    _ = pipe.delete(keys.AUDIT_BLOCKS)
    await pipe.execute()
    await StreamSize(connection, keys.AUDIT, keys.AUDIT_SIZE).recount()
    return Full(most, request_ids)


async def measure_audit(manage: Management, redis: int, full: Full, license_id: str) -> list[Figure]:
    """Return what lists and explanations take."""
    now, figures = datetime.now(UTC), [Figure("audit: entries", full.entries, "entries")]
    cost, filters = await _cost(redis, partial(_filtered, manage.connection))
    figures.append(Figure(f"audit: {filters} filters of blocks", 1000 * cost / full.entries, "µs an entry"))
    queries = {
        "everything": AuditQuery(),
        "by event": AuditQuery(events=("token.denied",)),
        "by actor": AuditQuery(actor=f"license:{license_id}"),
        "by app": AuditQuery(app=APP),
        "by subject": AuditQuery(subject=f"license:{license_id}"),
        "since a day": AuditQuery(since="24h"),
        "until six days ago": AuditQuery(until="6d"),
        "by an event that there is not": AuditQuery(events=("member.disabled",)),
        "before identity": AuditQuery(events=("token.refused",)),
    }
    for name, query in queries.items():
        cost, found = await _cost(redis, partial(_listed, manage, query, now))
        figures.append(Figure(f"audit list, {name}: {found} entries", cost, "ms of CPU", MOST_LIST))
    for what, ids in full.request_ids.items():
        costs = []
        for request_id in ids:
            cost, found = await _cost(redis, partial(_explained, manage, request_id))
            assert found == (what != "unknown"), request_id
            costs.append(cost)
        name = f"audit explain, an id that is {what}: slowest of {len(costs)}"
        figures.append(Figure(name, max(costs), "ms of CPU", MOST_EXPLAIN))
    return figures


async def _cost(redis: int, work: Callable[[], Awaitable[int]]) -> tuple[float, int]:
    before = time.process_time() + processor_seconds(redis)
    found = await work()
    return 1000 * (time.process_time() + processor_seconds(redis) - before), found


async def _filtered(connection: Connection) -> int:
    """Make the filters of all blocks, as the server does in the background, and return their number."""
    writer = BlockFilterWriter(RedisAudit(connection, 0))
    while await writer.extend():
        pass
    return int(await connection.redis.xlen(keys.AUDIT_BLOCKS))


async def _listed(manage: Management, query: AuditQuery, now: datetime) -> int:
    """Read as ``authsvc audit list`` does: 50 entries, page by page."""
    found, after = list[str](), None
    while len(found) < LISTED:
        page = await manage.audit.entries(manage.actor, query, now, after=after, limit=LISTED - len(found))
        found += [json.dumps(entry.to_json()) for entry in page.items]
        after = page.next
        if after is None:
            break
    return len(found)


async def _explained(manage: Management, request_id: str) -> int:
    found = await manage.audit.explain(manage.actor, request_id)
    while found.next is not None:
        found = await manage.audit.explain(manage.actor, request_id, found.next)
    return int(found.kept is not None)


LISTED = 50
"""Entries that ``authsvc audit list`` shows."""
