"""The way to the store: batches, what waits while it is away, and what is counted when too much does."""

import asyncio
import io
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import count
from typing import Any

import pytest
from attrs import define, field
from msgspec.structs import replace

from authsvc.audit import recorder
from authsvc.audit.entry import Entry
from authsvc.audit.pending_entry import AppendResult, PendingEntry
from authsvc.audit.recorder import AuditRecorder
from authsvc.errors import StoreUnavailable
from authsvc.logs import make_logger
from tests.support.builders import NOW, as_license, make_license
from tests.support.decisions import asked, denied, issued, refused
from tests.support.waiting import PATIENCE


@define
class Store:
    """A store in memory that can be away, lose its reply, be full, or be slow.

    Attributes:
        away: whether it answers nothing.
        loses: whether it writes and then answers nothing.
        full: whether it takes no decisions.
        slow: seconds that it takes.
        batches: what it has, by id.
        asked: set at the first attempt to write.
    """

    away: bool = False
    loses: bool = False
    full: bool = False
    slow: float = 0
    batches: dict[str, list[PendingEntry]] = field(factory=dict)
    asked: asyncio.Event = field(factory=asyncio.Event)

    async def append(self, batch_id: str, batch: Sequence[PendingEntry]) -> AppendResult:
        """Write a batch."""
        self.asked.set()
        await asyncio.sleep(self.slow)
        if self.away:
            raise StoreUnavailable("away", detail="test")
        refused = [one for one in batch if self.full and one.proven and not one.needed]
        self.batches.setdefault(batch_id, [one for one in batch if one not in refused])
        if self.loses:
            raise StoreUnavailable("away", detail="the reply was lost")
        return AppendResult(sum(one.count for one in refused))

    @property
    def entries(self) -> list[dict[str, Any]]:
        """Return the entries, in order."""
        return [json.loads(one.text) for batch in self.batches.values() for one in batch]

    @property
    def counted(self) -> int:
        """Return how many decisions its entries stand for."""
        return sum(entry["count"] for entry in self.entries if entry["event"].startswith("token."))

    @property
    def lost(self) -> int:
        """Return how many decisions its entries say are lost."""
        return sum(entry["lost"] for entry in self.entries if entry["event"] == "audit.lost")


@define
class Clock:
    """A clock that stands until it is moved."""

    now: datetime = NOW

    def __call__(self) -> datetime:
        """Return the present."""
        return self.now


def make_recorder(
    store: Store, log: io.StringIO | None = None, has_room: Callable[[], bool] = lambda: True
) -> AuditRecorder:
    """Return a trail to ``store``."""
    number = count(1)
    return AuditRecorder(
        store, make_logger("info", log or io.StringIO()), Clock(), lambda: f"batch-{next(number)}", has_room=has_room
    )


def someone(number: int) -> Any:
    """Return one of many licenses, proven."""
    return as_license(make_license(f"e{number:015d}"))


async def test_a_batch_is_written_in_order() -> None:
    """What is noted stands in the store after a flush, oldest first, and nothing waits."""
    store = Store()
    audit = make_recorder(store)
    for number in range(5):
        audit.record(asked(), denied(someone(number)))
    await audit.flush()

    assert [someone(number).id for number in range(5)] == [entry["actor"] for entry in store.entries]
    assert (0, 0) == (audit.waiting, audit.lost)


async def test_large_batches_are_parted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Redis is never busy for long: a batch has a limit in entries and in bytes."""
    monkeypatch.setattr(recorder, "MAX_BATCH_ENTRIES", 10)
    store = Store()
    audit = make_recorder(store)
    for number in range(25):
        audit.record(asked(), denied(someone(number)))
    await audit.flush()
    monkeypatch.setattr(recorder, "MAX_BATCH_BYTES", 1500)
    for number in range(25, 35):
        audit.record(asked(), denied(someone(number)))
    await audit.flush()

    sizes = [len(batch) for batch in store.batches.values()]
    assert [10, 10, 5] == sizes[:3]
    assert 10 == sum(sizes[3:])
    assert max(sizes[3:]) <= 3


async def test_a_lost_reply_writes_nothing_twice() -> None:
    """A batch that was written though its reply was lost is sent again under the same id."""
    store = Store(loses=True)
    audit = make_recorder(store)
    audit.record(asked(), denied())
    await audit.flush()
    audit.record(asked(), denied(someone(1)))
    await audit.flush()
    store.loses = False
    await audit.flush()

    assert (2, 2) == (len(store.entries), store.counted)
    assert (0, 0) == (audit.waiting, audit.lost)


async def test_what_waits_is_written_when_the_store_is_back() -> None:
    """An outage delays entries; those within the backlog are all there afterwards, and the log tells of it once."""
    store, log = Store(away=True), io.StringIO()
    audit = make_recorder(store, log)
    for number in range(100):
        audit.record(asked(), denied(someone(number)))
        await audit.flush()
    store.away = False
    await audit.flush()

    assert (100, 0, 0) == (store.counted, store.lost, audit.lost)
    assert 1 == log.getvalue().count("audit.not_written")


async def test_a_long_outage_is_bounded_and_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not fit into the backlog is counted, and one entry says how many as soon as one can be written."""
    monkeypatch.setattr(recorder, "MAX_BACKLOG_BYTES", 20_000)
    store = Store(away=True)
    audit = make_recorder(store)
    for number in range(500):
        audit.record(asked(), denied(someone(number)))
        await audit.flush()
    before = audit.lost
    store.away = False
    await audit.flush()

    assert 400 < before < 500
    assert (500, before) == (store.counted + store.lost, store.lost)
    assert before == audit.lost
    assert 1 == sum(entry["event"] == "audit.lost" for entry in store.entries)


async def test_a_disk_without_room_is_not_written_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing reaches the store meanwhile; what does not fit in memory is counted with the reason; then all goes on."""
    monkeypatch.setattr(recorder, "MAX_BACKLOG_BYTES", 20_000)
    store, log, full = Store(), io.StringIO(), [True]
    audit = make_recorder(store, log, lambda: not full)
    for number in range(500):
        audit.record(asked(), denied(someone(number)))
        await audit.flush()
    assert [] == store.entries
    assert 400 < audit.losses[recorder.DISK] == audit.lost
    assert 1 == log.getvalue().count("the disk of Redis is nearly full")

    full.clear()
    await audit.flush()
    assert (500, audit.lost) == (store.counted + store.lost, store.lost)
    assert {"disk": audit.lost} == store.entries[0]["reasons"]


async def test_what_was_unproven_is_given_up_first(monkeypatch: pytest.MonkeyPatch) -> None:
    """A guesser's failures make room for decisions on proven identities."""
    monkeypatch.setattr(recorder, "MAX_BACKLOG_BYTES", 10_000)
    store = Store(away=True)
    audit = make_recorder(store)
    for number in range(40):
        audit.record(asked(address=f"198.51.{number}.1"), refused())
    for number in range(10):
        audit.record(asked(), denied(someone(number)))
    await audit.flush()
    store.away = False
    await audit.flush()

    assert {someone(number).id for number in range(10)} <= {entry["actor"] for entry in store.entries}
    assert 50 == store.counted + store.lost


async def test_a_full_budget_loses_decisions_and_says_so_once_there_is_room() -> None:
    """While nothing fits, losses add up; the audit's own entries are written all the same."""
    store = Store(full=True)
    audit = make_recorder(store)
    for number in range(7):
        audit.record(asked(), denied(someone(number)))
        await audit.flush()
    audit.append(Entry("x", NOW, "audit.nearly_full", "system:authsvc", {}))
    await audit.flush()
    assert ["audit.nearly_full"] == [entry["event"] for entry in store.entries]
    store.full = False
    await audit.flush()
    await audit.flush()

    assert (7, 7, 0) == (store.lost, audit.lost, store.counted)


async def test_more_subjects_than_fit_are_counted_together() -> None:
    """When there is no room for one more subject, nothing is lost but what is told of each."""
    store = Store()
    audit = AuditRecorder(store, make_logger("info", io.StringIO()), Clock(), lambda: "batch", max_groups=5)
    for number in range(30):
        audit.record(asked(), denied(someone(number)))
    await audit.flush()

    assert (30, 6, 0) == (store.counted, len(store.entries), audit.lost)


async def test_nothing_that_goes_wrong_reaches_a_request() -> None:
    """A fault of the audit is logged and counted; the request hears nothing."""
    store, log = Store(), io.StringIO()
    audit = make_recorder(store, log)
    audit.record(replace(asked(), client=None), denied())

    assert 1 == audit.lost
    assert "audit.failed" in log.getvalue()


async def test_a_slow_store_holds_no_request_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """While a batch waits for a store that does not come to an end, ten thousand tokens are noted."""
    monkeypatch.setattr(recorder, "FLUSH_EVERY", 0.01)
    store = Store(slow=3600)
    audit = make_recorder(store)
    flushing = asyncio.create_task(audit.run())
    request = asked()
    token = issued(request)
    audit.record(request, token)
    async with asyncio.timeout(PATIENCE):
        await store.asked.wait()
    for _ in range(10_000):
        audit.record(asked(), token)
    store.slow = 0
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    await audit.finish()

    assert 10_001 == store.counted + store.lost


async def test_the_end_writes_everything() -> None:
    """At a clean stop, repeats that would have waited for minutes are written too."""
    store = Store()
    audit = make_recorder(store)
    flushing = asyncio.create_task(audit.run())
    await asyncio.sleep(0)
    for _ in range(3):
        audit.record(asked(), denied())
        await audit.flush()
    assert 1 == store.counted
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    await audit.finish()

    assert (3, 0) == (store.counted, audit.waiting)


async def test_what_cannot_be_written_at_the_end_is_counted() -> None:
    """A worker that ends while the store is away counts what it leaves unwritten, and logs how many and why."""
    store, log = Store(away=True), io.StringIO()
    audit = make_recorder(store, log)
    for number in range(3):
        audit.record(asked(), denied(someone(number)))
    await audit.flush()
    audit.record(asked(), denied(someone(7)))
    await audit.finish()

    assert {"stopped": 4} == audit.losses
    assert 4 == json.loads(log.getvalue().splitlines()[-1])["lost"]
    assert '"reasons":{"stopped":4}' in log.getvalue().splitlines()[-1]


@pytest.mark.parametrize("number", [1, 25])
async def test_the_end_with_a_full_budget_says_what_is_lost(number: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything that waits is lost, in however many batches, and one entry of the store says how much."""
    monkeypatch.setattr(recorder, "MAX_BATCH_ENTRIES", 10)
    store = Store(full=True)
    audit = make_recorder(store)
    audit.record(asked(), denied(someone(99)))
    await audit.flush()
    for each in range(number):
        audit.record(asked(), denied(someone(each)))
    await audit.finish()

    assert {"budget": number + 1} == audit.losses
    assert (number + 1, 0, 0) == (store.lost, store.counted, audit.waiting)


async def test_what_is_grouped_when_the_store_is_down_at_the_end_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Also groups that no batch had room for yet are counted as lost."""
    monkeypatch.setattr(recorder, "MAX_BATCH_ENTRIES", 10)
    audit = make_recorder(Store(away=True))
    for number in range(25):
        audit.record(asked(), denied(someone(number)))
    await audit.finish()

    assert {"stopped": 25} == audit.losses


async def test_many_new_entries_are_written_before_the_second_is_over(monkeypatch: pytest.MonkeyPatch) -> None:
    """A burst wakes the writer, so that memory stays small."""
    monkeypatch.setattr(recorder, "FLUSH_EVERY", 60.0)
    monkeypatch.setattr(recorder, "FLUSH_AT", 20)
    store = Store()
    audit = make_recorder(store)
    flushing = asyncio.create_task(audit.run())
    for number in range(20):
        audit.record(asked(), denied(someone(number)))
    for _ in range(10):
        await asyncio.sleep(0)
    flushing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await flushing
    await audit.finish()

    assert [20] == [len(batch) for batch in store.batches.values()]
