"""Room in the audit on a real Redis: exported before it is trimmed, told before it is dropped, by one at a time."""

import asyncio
import io
import json
from collections.abc import AsyncIterator, Collection
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from attrs import define, evolve, field, frozen
from typing_extensions import override

from authsvc.audit import block_filter, retention
from authsvc.audit.entry import Entry
from authsvc.audit.pending_entry import PendingEntry
from authsvc.audit.retention import Retention
from authsvc.audit.stored_entry import StoredEntry
from authsvc.errors import StoreUnavailable
from authsvc.logs import make_logger
from authsvc.store import keys
from authsvc.store.audit_stream import RedisAudit
from authsvc.store.connection import Connection
from tests.support.builders import NOW
from tests.support.redis_server import connected
from tests.support.waiting import becomes

MIB = 1024 * 1024


@define
class Workshop:
    """A stream with a tiny budget, and who keeps it.

    Attributes:
        stream: of one MiB.
        told: entries that keepers told the audit.
        log: what they logged.
    """

    stream: RedisAudit
    told: list[Entry] = field(factory=list)
    log: io.StringIO = field(factory=io.StringIO)
    _number: Any = field(factory=lambda: count(1))

    def keeper(self, folder: Path | None) -> Retention:
        """Return one more keeper, as one more worker has it."""
        logger = make_logger("info", self.log)
        return Retention(self.stream, folder, self.told.append, logger, lambda: NOW, lambda: f"id-{next(self._number)}")

    def evolved(self, stream: RedisAudit) -> "Workshop":
        """Return the same workshop on another view of its stream."""
        return evolve(self, stream=stream, number=self._number)

    async def fill(self, part: float) -> None:
        """Write entries until that part of the budget is used, or as far as it lets us."""
        while (await self.stream.used()).bytes < part * self.stream.share:
            batch = [entry(next(self._number)) for _ in range(20)]
            if (await self.stream.append(f"batch-{next(self._number)}", batch)).lost:
                return

    async def numbers(self) -> list[int]:
        """Return the numbers of the entries that are in the stream."""
        found: list[int] = []
        cursor = ""
        while page := await self.stream.after(cursor, 500):
            found += [kept.facts["n"] for kept in page]
            cursor = page[-1].cursor
        return found

    def events(self) -> list[str]:
        """Return what the audit was told."""
        return [one.event for one in self.told]


@frozen
class Stops(RedisAudit):
    """The stream of a keeper that stops after a reading, until it is told to go on."""

    at: int
    stopped: asyncio.Event = field(factory=asyncio.Event)
    going_on: asyncio.Event = field(factory=asyncio.Event)
    _readings: Any = field(factory=lambda: count(1))

    @override
    async def after(self, cursor: str, count: int, *, proven: bool = True) -> list[StoredEntry]:
        found = await super().after(cursor, count, proven=proven)
        if next(self._readings) == self.at:
            self.stopped.set()
            await self.going_on.wait()
        return found


def entry(number: int) -> PendingEntry:
    """Return one entry of 400 bytes with a request id."""
    text = json.dumps({"n": number, "event": "token.denied", "at": NOW.isoformat(), "x": "x" * 300})
    return PendingEntry(text, number.to_bytes(8, "big"))


def exported(folder: Path) -> list[int]:
    """Return the numbers of all exported entries, in the order of the files' names."""
    files = sorted(folder.glob("*.jsonl"), key=lambda file: int(file.name.split("-")[1]))
    return [json.loads(line)["n"] for file in files for line in file.read_text().splitlines()]


@pytest.fixture
async def connection() -> AsyncIterator[Connection]:
    """Yield a connection to an empty server of this test's own."""
    async with connected() as opened:
        yield opened


@pytest.fixture
def shop(connection: Connection) -> Workshop:
    """Return a stream of one MiB on that server."""
    return Workshop(RedisAudit(connection, MIB))


async def test_one_worker_adds_filters_of_blocks(shop: Workshop, monkeypatch: pytest.MonkeyPatch) -> None:
    """The elected one, once for each block, beside its checks."""
    monkeypatch.setattr(block_filter, "MAX_ENTRIES", 5)
    redis, (one, other) = shop.stream.connection.redis, (shop.keeper(None), shop.keeper(None))
    for number, keeper in enumerate((one, other, one)):
        await shop.stream.append(f"b{number}", [entry(number) for _ in range(7)])
        await keeper.add_filters()
        assert (1, 1, 4)[number] == await redis.xlen(keys.AUDIT_BLOCKS)
    await redis.delete(keys.AUDIT_TRIMMER)
    await one.add_filters()
    assert not await redis.exists(keys.AUDIT_TRIMMER), "nothing new, and nothing is written"

    await shop.stream.append("more", [entry(9) for _ in range(5)])
    checks = list[int]()
    task = asyncio.create_task(one.run(lambda: checks.append(1)))
    await becomes(lambda: checks, "a check")
    task.cancel()
    assert 5 == await redis.xlen(keys.AUDIT_BLOCKS)


async def test_nothing_happens_while_there_is_room(shop: Workshop, tmp_path: Path) -> None:
    """Below seven tenths nobody is elected, exports or alarms."""
    await shop.fill(0.6)
    keeper = shop.keeper(tmp_path)
    await keeper.check()

    assert 0.6 <= keeper.fill < 0.7
    assert ([], [], "") == (list(tmp_path.iterdir()), shop.told, shop.log.getvalue())
    assert not await shop.stream.connection.redis.exists(keys.AUDIT_TRIMMER)


async def test_entries_are_on_the_disk_before_they_are_trimmed(shop: Workshop, tmp_path: Path) -> None:
    """What is exported and what is left are together everything, without a gap or a double, and no alarm is raised."""
    folder = tmp_path / "made" / "here"
    await shop.fill(0.75)
    everything = await shop.numbers()
    await shop.keeper(folder).check()

    left = await shop.numbers()
    assert everything == exported(folder) + left
    assert 0.4 < (await shop.stream.used()).bytes / shop.stream.share < 0.55
    (file,) = folder.iterdir()
    assert ((0o600, 0o700), ["audit.trimmed"]) == (
        (file.stat().st_mode & 0o777, folder.stat().st_mode & 0o777),
        shop.events(),
    )
    assert {"entries": len(everything) - len(left), "until": NOW.isoformat(), "file": str(file)} == shop.told[0].facts
    first = json.loads(file.read_text().splitlines()[0])
    assert [everything[0].to_bytes(8, "big").hex()] == first["requests"]


async def test_many_rounds_export_everything_in_order(shop: Workshop, tmp_path: Path) -> None:
    """Over several budgets' worth of entries, nothing is lost, doubled or out of order."""
    keeper = shop.keeper(tmp_path)
    everything = list[int]()
    for _ in range(4):
        await shop.fill(0.75)
        everything += [n for n in await shop.numbers() if n not in set(everything)]
        await keeper.check()

    assert everything == exported(tmp_path) + await shop.numbers()
    assert 4 == len(list(tmp_path.iterdir()))


async def test_a_crash_before_trimming_exports_nothing_twice(shop: Workshop, tmp_path: Path) -> None:
    """A worker that dies between the file and the trimming leaves a file that the next one writes anew."""
    await shop.fill(0.75)
    everything = await shop.numbers()

    class Dies(RedisAudit):
        async def trim(self, cursor: str, entries: int, size: int, teams: Collection[str]) -> None:
            raise StoreUnavailable("away", detail=f"{cursor} {entries} {size} {teams}")

    dying = Workshop(Dies(shop.stream.connection, MIB))
    with pytest.raises(StoreUnavailable):
        await dying.keeper(tmp_path).check()
    assert len(exported(tmp_path)) > 100
    await shop.stream.connection.redis.delete(keys.AUDIT_TRIMMER)
    await shop.fill(0.85)
    everything += [n for n in await shop.numbers() if n > everything[-1]]
    await shop.keeper(tmp_path).check()

    assert everything == exported(tmp_path) + await shop.numbers()
    assert 1 == len(list(tmp_path.iterdir()))


async def test_a_torn_file_has_no_name(shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that could not be written to its end is no export, trims nothing, and is written anew."""
    await shop.fill(0.75)
    everything = await shop.numbers()
    keeper = shop.keeper(tmp_path)

    def refuses(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr("os.fsync", refuses)
        with pytest.raises(OSError, match="No space left"):
            await keeper.check()
    assert ([], everything) == (exported(tmp_path), await shop.numbers())
    assert [] == list(tmp_path.iterdir())
    (tmp_path / "audit-1-0.id-of-one-who-crashed.part").write_text("{")
    await keeper.check()

    assert everything == exported(tmp_path) + await shop.numbers()
    assert [".jsonl"] == [file.suffix for file in tmp_path.iterdir()]


async def test_a_folder_that_can_not_be_written_ends_in_an_alarm_and_no_loss(shop: Workshop, tmp_path: Path) -> None:
    """While exporting fails, nothing is trimmed however full it gets, and the alarm is raised once an hour."""
    (tmp_path / "file").write_text("")
    keeper = shop.keeper(tmp_path / "file" / "folder")
    await shop.fill(1.2)
    everything = await shop.numbers()
    for _ in range(3):
        with pytest.raises(NotADirectoryError):
            await keeper.check()

    assert everything == await shop.numbers()
    assert ["audit.nearly_full"] == shop.events()
    assert {"used", "budget", "exports"} == set(shop.told[0].facts)
    assert shop.told[0].facts["exports"]
    assert 0.99 < keeper.fill <= 1


async def test_without_a_folder_the_alarm_comes_before_the_loss(shop: Workshop) -> None:
    """At 80 % one is told, at 95 % the oldest are dropped, and the audit tells how many."""
    keeper = shop.keeper(None)
    await shop.fill(0.82)
    everything = await shop.numbers()
    await keeper.check()
    assert ["audit.nearly_full"] == shop.events()
    assert everything == await shop.numbers()
    await shop.fill(0.96)
    everything = await shop.numbers()
    await keeper.check()

    left = await shop.numbers()
    assert ["audit.nearly_full", "audit.trimmed"] == shop.events()
    assert everything[-len(left) :] == left
    assert (len(everything) - len(left), None) == (shop.told[1].facts["entries"], shop.told[1].facts["file"])
    assert 0.85 < keeper.fill < 0.9


async def test_a_stream_of_an_older_version_is_counted_and_trimmed(shop: Workshop, tmp_path: Path) -> None:
    """Entries that nobody counted, however large, are found at the first look; a count that is right is left alone."""
    redis = shop.stream.connection.redis
    for number in range(6):
        size = 400_000 if number % 2 else 300
        text = json.dumps({"n": number, "event": "token.issued", "at": NOW.isoformat(), "refused": "x" * size})
        await redis.xadd(keys.AUDIT, {"entry": text, "ids": b"12345678"})
    keeper = shop.keeper(tmp_path)
    await keeper.check()
    await keeper.check()

    assert ["audit.trimmed"] == shop.events()
    assert (4, 2) == (shop.told[0].facts["entries"], await redis.xlen(keys.AUDIT))
    assert 400_000 < keeper.used < 0.5 * shop.stream.share
    assert 1 == shop.log.getvalue().count("audit.recounted")


async def test_an_older_version_that_still_writes_is_counted_once_a_minute(shop: Workshop) -> None:
    """While workers are being replaced, the stream is not read over and over."""
    keeper = shop.keeper(None)
    for number in range(5):
        await shop.stream.connection.redis.xadd(keys.AUDIT, {"entry": f'{{"n": {number}}}'})
        await keeper.check()

    assert 1 == shop.log.getvalue().count("audit.recounted")


async def test_two_workers_do_not_trim_at_once(shop: Workshop, tmp_path: Path) -> None:
    """Of many keepers that look at the same time one works, and every entry is in one file."""
    await shop.fill(0.75)
    everything = await shop.numbers()
    await asyncio.gather(*(shop.keeper(tmp_path).check() for _ in range(8)))

    assert everything == exported(tmp_path) + await shop.numbers()
    assert ["audit.trimmed"] == shop.events()


async def test_whoever_is_not_elected_any_more_stops(shop: Workshop, tmp_path: Path) -> None:
    """A keeper that was replaced while it worked trims nothing."""
    await shop.fill(0.75)
    everything = await shop.numbers()

    class Replaced(RedisAudit):
        async def after(self, cursor: str, count: int, *, proven: bool = True) -> list[Any]:
            await self.connection.redis.set(keys.AUDIT_TRIMMER, "another")
            return await super().after(cursor, count, proven=proven)

    await Workshop(Replaced(shop.stream.connection, MIB)).keeper(tmp_path).check()

    assert everything == await shop.numbers()
    assert [] == exported(tmp_path)


async def test_one_who_was_stopped_for_long_destroys_nothing(shop: Workshop, tmp_path: Path) -> None:
    """A keeper that comes back after another one took its place leaves the other's file and the stream alone."""
    await shop.fill(0.75)
    everything = await shop.numbers()

    async def begun(stream: Stops) -> asyncio.Task[None]:
        looking = asyncio.create_task(shop.evolved(stream).keeper(tmp_path).check())
        await stream.stopped.wait()
        return looking

    first, second = Stops(shop.stream.connection, MIB, 4), Stops(shop.stream.connection, MIB, 2)
    looks = [await begun(first)]
    await shop.stream.connection.redis.delete(keys.AUDIT_TRIMMER)  # as when its time is over
    looks.append(await begun(second))
    first.going_on.set()
    await asyncio.gather(looks[0], return_exceptions=True)
    second.going_on.set()
    await looks[1]

    assert everything == exported(tmp_path) + await shop.numbers()
    assert 1 == len(list(tmp_path.iterdir()))


async def test_it_goes_on_after_every_trouble(shop: Workshop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder that appears later, or a Redis that comes back, is used at the next look."""
    monkeypatch.setattr(retention, "CHECK_EVERY", 0.05)
    blocked = tmp_path / "folder"
    blocked.write_text("")
    await shop.fill(0.75)
    everything = await shop.numbers()
    keeping = asyncio.create_task(shop.keeper(blocked).run())
    await becomes(lambda: "audit.not_exported" in shop.log.getvalue(), "it cannot be exported")
    blocked.unlink()
    await becomes(lambda: "audit.trimmed" in shop.log.getvalue(), "it is exported and trimmed")
    keeping.cancel()
    with pytest.raises(asyncio.CancelledError):
        await keeping

    assert everything == exported(blocked) + await shop.numbers()
