"""Requests to replace the workers, and the result of each."""

import asyncio

from attrs import define, field, frozen


@frozen
class ReloadResult:
    """The result of a request.

    Attributes:
        reason: why the old workers stay, or None when new ones serve and the old ones have ended.
        workers: how many serve.
    """

    reason: str | None
    workers: int


@define(eq=False, repr=False)
class Reloads:
    """Collects requests to replace the workers; simultaneous requests are met by one replacement.

    Attributes:
        wanted: set while a request waits for a replacement to begin.
    """

    wanted: asyncio.Event = field(factory=asyncio.Event)
    _waiting: list[asyncio.Future[ReloadResult]] = field(factory=list)

    def request(self) -> None:
        """Request new workers, as SIGHUP does."""
        self.wanted.set()

    async def request_and_wait(self) -> ReloadResult:
        """Request new workers and return the result."""
        result: asyncio.Future[ReloadResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(result)
        self.request()
        return await result

    def take(self) -> list[asyncio.Future[ReloadResult]]:
        """Return the requests that the replacement which begins now will meet."""
        self.wanted.clear()
        waiting, self._waiting = self._waiting, []
        return waiting

    def end(self, reason: str) -> None:
        """Answer the requests that still wait: they are not met."""
        answer(self.take(), ReloadResult(reason, 0))


def answer(waiting: list[asyncio.Future[ReloadResult]], result: ReloadResult) -> None:
    """Answer requests; some of the clients may have gone."""
    for one in waiting:
        if not one.done():
            one.set_result(result)
