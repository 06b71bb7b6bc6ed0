"""A pipe to a local port that lets only so much through: a vendor on a slow line."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

CHUNK = 8192
JOIN = 10.0
"""Seconds that the pipe may take to end."""


class SlowPipe:
    """Listens on a port of its own and forwards to another, slowly in the direction of the server."""

    def __init__(self, target: int, bytes_per_second: float) -> None:
        self.port = 0
        self._target = target
        self._rate = bytes_per_second
        self._loop = asyncio.new_event_loop()
        self._started = threading.Event()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        self._loop.run_until_complete(self._serve())
        self._loop.close()

    async def _serve(self) -> None:
        # `localhost` as a client resolves it: the port is the name's, on the address that the client tries.
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        running = asyncio.all_tasks() - {asyncio.current_task()}
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there_reader, there_writer = await asyncio.open_connection("127.0.0.1", self._target)
        await asyncio.gather(
            self._pump(reader, there_writer, CHUNK / self._rate), self._pump(there_reader, writer, 0.0)
        )

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, pause: float) -> None:
        with suppress(OSError):
            while data := await reader.read(CHUNK):
                writer.write(data)
                await writer.drain()
                await asyncio.sleep(pause * len(data) / CHUNK)
        with suppress(OSError):
            writer.close()

    def start(self) -> None:
        """Listen."""
        self._thread.start()
        assert self._started.wait(JOIN)

    def stop(self) -> None:
        """Cut everything."""
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(JOIN)
        assert not self._thread.is_alive()


@contextmanager
def slow_pipe(target: int, bytes_per_second: float) -> Iterator[SlowPipe]:
    """Run a pipe for the length of a block."""
    pipe = SlowPipe(target, bytes_per_second)
    pipe.start()
    try:
        yield pipe
    finally:
        pipe.stop()
