"""Speaks TLS in front of a server that does not, as a load balancer does."""

import asyncio
import ssl

from typing_extensions import override

from tests.support.relay import Relay, Stream, pump


class TlsRelay(Relay):
    """Listens with TLS and forwards what is inside.

    Attributes:
        port: where it listens.
    """

    def __init__(self, context: ssl.SSLContext, port: int, behind: int) -> None:
        """Listen on ``port`` and forward to the port ``behind``, both of 127.0.0.1."""
        super().__init__()
        self.port = port
        self._context = context
        self._behind = behind

    @override
    async def listen(self) -> asyncio.Server:
        return await asyncio.start_server(self.connected, "127.0.0.1", self.port, ssl=self._context)

    @override
    async def connect(self) -> Stream:
        return await asyncio.open_connection("127.0.0.1", self._behind)

    @override
    async def forward(self, client: Stream, server: Stream) -> None:
        await asyncio.gather(pump(client[0], server[1], 65536), pump(server[0], client[1], 65536))
