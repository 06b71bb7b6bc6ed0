"""Sends files that are made while they are sent: exports of the management API and the portal."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import contextmanager

from aiohttp import web
from aiohttp.hdrs import METH_HEAD
from attrs import field, frozen

from authsvc.errors import AuthsvcError, Overloaded
from authsvc.fair_share import FairShare
from authsvc.logs import Logger
from authsvc.outcomes import REQUEST_FAILED
from authsvc.web.middleware import REQUEST_ID, add_headers, fault_facts

ABORTED = web.RequestKey("aborted", bool)
"""Whether an answer ended before it was whole."""

SEND_DEADLINE = 30.0
"""Seconds that a client may take to receive one part of a stream."""

LONGEST = 1800.0
"""Seconds that a stream may take in total, so that a slow reader does not keep it open for ever."""

MAX_STREAMS = 4
"""Most streams of one team at once, in one worker: each slow reader takes the memory of a part, up to some MB."""


@frozen
class StreamAnswer:
    """A file that is made while it is sent.

    Attributes:
        pages: its content, a part at a time; what is not acceptable is refused by the first one.
        name: of the file.
        media_type: of the content; text is sent as UTF-8.
    """

    pages: AsyncIterator[str] | AsyncIterator[bytes]
    name: str
    media_type: str


@frozen(eq=False, repr=False)
class StreamSender:
    """Sends streams, a part at a time.

    Attributes:
        share: limits how many parts are made at once; teams take turns.
        logger: for internal errors.
        on_answer: sees an answer before it begins, to add headers.
    """

    share: FairShare
    logger: Logger
    on_answer: Callable[[web.StreamResponse], None] = lambda _response: None
    _running: Counter[str] = field(factory=Counter, init=False)

    async def send(
        self, request: web.Request, answer: StreamAnswer, team: str, still_allowed: Callable[[], Awaitable[None]]
    ) -> web.StreamResponse:
        """Send a file with chunked coding: if a part cannot be made or sent, its end is missing.

        Args:
            request: to be answered.
            answer: what is sent.
            team: slug of the caller's team.
            still_allowed: called before each part but the first; raises what ends the stream.

        Raises:
            AuthsvcError: the first part is refused.
        """
        response = web.StreamResponse()
        pages: AsyncIterator[str | bytes] = aiter(answer.pages)

        async def next_page() -> str | bytes | None:
            async with self.share.slot(team):  # a slow client takes no turn
                return await anext(pages, None)

        with self._counted(team):
            latest = asyncio.get_running_loop().time() + LONGEST
            page = await next_page()
            response.content_type = answer.media_type
            if not isinstance(page, bytes):
                response.charset = "utf-8"
            response.headers["Content-Disposition"] = f'attachment; filename="{answer.name}"'
            add_headers(response, request[REQUEST_ID])
            self.on_answer(response)
            await response.prepare(request)
            if request.method == METH_HEAD:
                return response
            try:
                while page is not None:
                    async with asyncio.timeout(SEND_DEADLINE), asyncio.timeout_at(latest):
                        await response.write(page if isinstance(page, bytes) else page.encode())
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
