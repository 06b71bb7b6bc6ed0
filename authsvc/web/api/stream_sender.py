"""Sends files that are made while they are sent: exports of the management API."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.hdrs import METH_HEAD
from attrs import field, frozen

from authsvc.errors import AuthsvcError, Overloaded
from authsvc.fair_share import FairShare
from authsvc.logs import Logger
from authsvc.outcomes import REQUEST_FAILED
from authsvc.web.api.endpoint import StreamAnswer
from authsvc.web.middleware import REQUEST_ID, add_headers, fault_facts

ABORTED = web.RequestKey("aborted", bool)
"""Whether an answer ended before it was whole."""

SEND_DEADLINE = 30.0
"""Seconds that a client may take to receive one part of a stream."""

MAX_STREAMS = 4
"""Most streams of one team at once, in one worker: a slow reader costs the memory of a part each, up to some MB."""


@frozen
class StreamSender:
    """Sends streams, a part at a time.

    Attributes:
        share: lets so many parts be made at once; teams take turns.
        logger: for faults.
    """

    share: FairShare
    logger: Logger
    _running: Counter[str] = field(factory=Counter, init=False)

    async def send(
        self, request: web.Request, answer: StreamAnswer, team: str, still_allowed: Callable[[], Awaitable[None]]
    ) -> web.StreamResponse:
        """Send a file with chunked coding: if a part cannot be made or sent, its end is missing.

        Args:
            request: to be answered.
            answer: what is sent.
            team: slug of who asks.
            still_allowed: called before each part but the first; raises what ends the stream.

        Raises:
            AuthsvcError: the first part is refused.
        """
        pages, response = aiter(answer.pages), web.StreamResponse()

        async def next_page() -> str | None:
            async with self.share.slot(team):  # a slow client takes no turn
                return await anext(pages, None)

        with self._counted(team):
            page = await next_page()
            response.content_type, response.charset = answer.media_type, "utf-8"
            response.headers["Content-Disposition"] = f'attachment; filename="{answer.name}"'
            add_headers(response, request[REQUEST_ID])
            await response.prepare(request)
            if request.method == METH_HEAD:
                return response
            try:
                while page is not None:
                    async with asyncio.timeout(SEND_DEADLINE):
                        await response.write(page.encode())
                    await still_allowed()
                    page = await next_page()
            except Exception as error:
                # The status is sent already. Without the last chunk, a client knows that the file is not whole.
                if not isinstance(error, ConnectionError | TimeoutError | AuthsvcError):
                    self.logger.error(REQUEST_FAILED, **fault_facts(request), exc_info=error)
                request[ABORTED] = True
                if request.transport is not None:
                    request.transport.abort()
            return response

    @contextmanager
    def _counted(self, team: str) -> Iterator[None]:
        """Count a stream while the context lasts.

        Raises:
            Overloaded: the team has as many as it may.
        """
        if self._running[team] >= MAX_STREAMS:
            raise Overloaded("too many exports of your team are being sent; try again when one of them has ended")
        self._running[team] += 1
        try:
            yield
        finally:
            self._running[team] -= 1
            if not self._running[team]:
                del self._running[team]
