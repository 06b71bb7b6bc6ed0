"""Redis keeps the cache current: right after a change, and through everything that happens to the connection."""

import asyncio
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from attrs import define

from authsvc.errors import StoreUnavailable
from authsvc.processes.waiting import ended
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.cached_reads import RecordReads
from authsvc.store.codec import Codec
from authsvc.store.connection import Connection
from authsvc.store.record_cache import CURRENT_FOR, RecordCache
from authsvc.store.record_tracking import RecordTracking
from authsvc.tenancy.records import App
from tests.support.builders import make_app
from tests.support.redis_server import RedisServer, connected, patient, redis_server
from tests.support.relay import Relay, Stream, pump
from tests.support.sentinel import watched_primary
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE

KEY = keys.app("acme")
CODEC = Codec()
CHANGES = 500


class Lines:
    """A log that keeps the names of its events."""

    def __init__(self) -> None:
        """Start empty."""
        self.events: list[tuple[str, str | None]] = []

    def info(self, event: str) -> None:
        """Keep a line."""
        self.events.append((event, None))

    def warning(self, event: str, *, reason: str) -> None:
        """Keep a line."""
        self.events.append((event, reason))


@define
class Worker:
    """What a worker has of the cache.

    Attributes:
        cache: the records.
        connection: to Redis.
        lines: its log.
    """

    cache: RecordCache
    connection: Connection
    lines: Lines

    async def name(self) -> str:
        """Return the team of the app, from the cache if it is current."""
        found = self.cache.current((KEY,)) or await RecordReads(self.connection, CODEC, self.cache).read((KEY,), (App,))
        return str(found[0].team if isinstance(found[0], App) else None)

    async def until(self, wanted: Callable[[], bool]) -> None:
        """Wait."""
        async with asyncio.timeout(PATIENCE):
            while not wanted():
                await asyncio.sleep(0.01)

    async def until_cached(self) -> None:
        """Ask until the answer is cached and current."""
        async with asyncio.timeout(PATIENCE):
            while self.cache.current((KEY,)) is None:
                with suppress(StoreUnavailable):
                    await self.name()
                await asyncio.sleep(0.01)


@asynccontextmanager
async def worker(connection: Connection) -> AsyncIterator[Worker]:
    """Yield one that follows the changes over ``connection``."""
    lines = Lines()
    cache = RecordCache(100, asyncio.get_running_loop().time)
    task = asyncio.create_task(RecordTracking(connection, cache, lines).run())  # type: ignore[arg-type]
    try:
        yield Worker(cache, connection, lines)
    finally:
        await ended(task)


async def put(connection: Connection, team: str) -> None:
    """Change the app, as another process does."""
    await connection.run(connection.redis.set(KEY, CODEC.encode(make_app("acme", team=team))))


async def trackers(connection: Connection) -> list[str]:
    """Return the ids of the connections that Redis reports changes to."""
    listed = await connection.read(connection.redis.client_list)
    return [str(one["id"]) for one in listed if "t" in one["flags"] or "B" in one["flags"]]


async def test_no_answer_from_before_a_change() -> None:
    """The first answer after Redis has acknowledged a change is the new one, each time, and a repeat is cached."""
    async with redis_server() as server:
        writer = patient(server)
        async with worker(patient(server)) as one, worker(patient(server)) as other:
            for number in range(CHANGES):
                await put(writer, f"t{number}")
                for each in (one, other):
                    assert await each.name() == f"t{number}"
                    if number < 2:
                        await each.until_cached()
            assert min(one.cache.hits, other.cache.hits) > 0
            for each in (one, other):
                await each.connection.close()
        await writer.close()


async def test_no_answer_from_before_a_change_while_others_read() -> None:
    """The same while eight readers ask without a pause: a read that is under way is not kept beyond the change."""
    async with connected() as connection, worker(connection) as one:
        await put(connection, "t0")
        newest = 0

        async def read() -> None:
            while True:
                least = newest
                assert int((await one.name())[1:]) >= least
                await asyncio.sleep(0)

        readers = [asyncio.create_task(read()) for _ in range(8)]
        for number in range(1, CHANGES):
            await put(connection, f"t{number}")
            newest = number
        assert not [reader.result() for reader in readers if reader.done()]
        await ended(*readers)


async def test_a_killed_connection() -> None:
    """Nothing is current from then on; it comes back by itself, and what was cached before is not used."""
    async with connected() as connection, worker(connection) as one:
        await put(connection, "old")
        await one.until_cached()
        for number in await trackers(connection):
            await connection.run(connection.redis.client_kill_filter(_id=number))
        await one.until(lambda: not one.cache.is_current())
        await put(connection, "new")
        assert await one.name() == "new"
        await one.until_cached()
        await put(connection, "newer")
        assert await one.name() == "newer"
        assert ["store.tracked", "store.untracked", "store.tracked"] == [event for event, _ in one.lines.events]


async def test_a_restarted_redis_and_one_that_hangs() -> None:
    """What changed while nobody could report it is seen, and nothing is current while Redis hangs."""
    async with redis_server() as server:
        writer = patient(server)
        async with worker(patient(server)) as one:
            await put(writer, "old")
            await one.until_cached()
            await server.stop()
            await one.until(lambda: not one.cache.is_current())
            await server.start()
            await put(writer, "new")
            assert await one.name() == "new"
            await one.until_cached()

            server.send(signal.SIGSTOP)
            stopped = asyncio.get_running_loop().time()
            await one.until(lambda: not one.cache.is_current())
            assert one.cache.recent(KEY) is not None, "believed while Redis is away"
            server.send(signal.SIGCONT)
            assert asyncio.get_running_loop().time() - stopped < PATIENCE
            await one.until_cached()
            await one.connection.close()
        await writer.close()


async def test_everything_flushed() -> None:
    """FLUSHALL names no key and forgets them all."""
    async with connected() as connection, worker(connection) as one:
        await put(connection, "old")
        await one.until_cached()
        await connection.run(connection.redis.flushall())
        await one.until(lambda: one.cache.current((KEY,)) is None)  # Redis may say it right after its answer
        assert await one.name() == "None"
        assert one.cache.recent(KEY) is None


class Valve(Relay):
    """Forwards to a Redis, and can hold back what Redis says without closing anything."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self.path = server.folder / "valve.sock"
        self._behind = server.folder / "redis.sock"
        self._open = asyncio.Event()
        self._open.set()

    @property
    def url(self) -> Secret:
        """Where it listens."""
        return Secret(f"unix://{self.path}")

    def hold(self) -> None:
        """Forward nothing any more."""
        self.loop.call_soon_threadsafe(self._open.clear)

    def release(self) -> None:
        """Forward what was held back, and everything after it."""
        self.loop.call_soon_threadsafe(self._open.set)

    async def listen(self) -> asyncio.Server:
        """Listen beside the server."""
        return await asyncio.start_unix_server(self.connected, self.path)

    async def connect(self) -> Stream:
        """Connect to the server."""
        return await asyncio.open_unix_connection(self._behind)

    async def forward(self, client: Stream, server: Stream) -> None:
        """Forward both directions, the server's through the valve."""

        async def held() -> None:
            while data := await server[0].read(65536):
                await self._open.wait()
                client[1].write(data)
                await client[1].drain()
            client[1].close()

        await asyncio.gather(pump(client[0], server[1], 65536), held())


async def test_a_connection_through_which_nothing_comes() -> None:
    """Two seconds after the last proof at most, although nothing was closed; what was held back proves nothing late."""
    async with redis_server() as server:
        writer = patient(server)
        with Valve(server) as valve:
            connection = Connection(valve.url, deadline=PATIENCE)
            async with worker(connection) as one:
                await put(writer, "old")
                await one.until_cached()
                valve.hold()
                changed = asyncio.get_running_loop().time()
                await put(writer, "new")
                await one.until(lambda: one.cache.current((KEY,)) is None)
                last = asyncio.get_running_loop().time()
                while last - changed < 2 * CURRENT_FOR:
                    assert one.cache.current((KEY,)) is None
                    await asyncio.sleep(0.05)
                    last = asyncio.get_running_loop().time()
                valve.release()
                assert await one.name() == "new"
                await one.until_cached()
            await connection.close()
        await writer.close()


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (("--user", "default", "on", "nopass", "~*", "+@all", "-client|tracking"), "NOPERM"),
        (("--rename-command", "CLIENT", ""), "unknown command"),
    ],
    ids=["forbidden", "unknown"],
)
async def test_a_redis_that_reports_nothing(options: tuple[str, ...], reason: str) -> None:
    """Everything is read from Redis, and the log says so once, with what Redis said."""
    async with connected(*options) as connection, worker(connection) as one:
        await one.until(lambda: bool(one.lines.events))
        for team in ("old", "new"):
            await put(connection, team)
            assert await one.name() == team
        assert one.cache.current((KEY,)) is None
        [(event, said)] = one.lines.events
        assert event == "store.untracked"
        assert reason in str(said)


@pytest.mark.parametrize("secure", [False, True], ids=["open", "TLS and users"])
async def test_another_primary(secure: bool, tmp_path: Path) -> None:
    """After a fail-over by Sentinel the new primary reports; nothing that the old one said is used."""
    async with watched_primary(UpstreamAuthority.make(tmp_path) if secure else None) as watched:
        connection = Connection(watched.url, deadline=PATIENCE)
        async with worker(connection) as one:
            await put(connection, "old")
            await one.until_cached()
            assert 1 == await connection.run(connection.redis.wait(1, 5000))
            assert ["OK"] == await watched.ask("SENTINEL", "FAILOVER", "main")
            await watched.until(str(watched.replica_port), "SENTINEL", "MASTER", "main")

            async with asyncio.timeout(PATIENCE):
                while "store.untracked" not in [event for event, _ in one.lines.events]:
                    await asyncio.sleep(0.05)
            await one.until_cached()
            for team in ("new", "newer"):
                await put(connection, team)
                assert await one.name() == team
                await one.until_cached()
        await connection.close()


async def test_a_primary_that_was_replaced_and_goes_on_answering() -> None:
    """Only the sentinel knows that it is not the primary any more; its word ends what is current."""
    async with watched_primary() as watched:
        connection = Connection(watched.url, deadline=PATIENCE)
        async with worker(connection) as one:
            await put(connection, "old")
            await one.until_cached()
            where = (await connection.primary(),)

            async def elsewhere() -> tuple[str, int]:
                return ("127.0.0.1", watched.replica_port)

            connection._pool.primary = elsewhere  # type: ignore[method-assign]
            await one.until(lambda: not one.cache.is_current())
            assert where != (await connection.primary(),)
        await connection.close()
