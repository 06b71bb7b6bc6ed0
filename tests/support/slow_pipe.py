"""A pipe to a local port that lets only so much through: a vendor on a slow line."""

import asyncio

from tests.support.relay import Relay, Stream, pump

CHUNK = 8192


class SlowPipe(Relay):
    """Listens on a port of its own and forwards to another, slowly in the direction of the server.

    Attributes:
        port: where it listens, once it has begun.
    """

    def __init__(self, target: int, bytes_per_second: float) -> None:
        super().__init__()
        self.port = 0
        self._target = target
        self._rate = bytes_per_second

    async def listen(self) -> asyncio.Server:
        """Listen where a client tries `localhost` first."""
        server = await asyncio.start_server(self.connected, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        return server

    async def connect(self) -> Stream:
        """Connect to the port behind."""
        return await asyncio.open_connection("127.0.0.1", self._target)

    async def forward(self, client: Stream, server: Stream) -> None:
        """Forward slowly to the server, and fast to the client."""
        await asyncio.gather(pump(client[0], server[1], CHUNK, CHUNK / self._rate), pump(server[0], client[1], CHUNK))
