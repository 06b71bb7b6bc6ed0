"""Requests to replace the workers, and what became of each."""

import asyncio

from attrs import define, field, frozen


@frozen
class ReloadResult:
    """What became of a request.

    Attributes:
        reason: why the old workers stay, or None when new ones serve and the old ones have ended.
        workers: how many serve.
    """

    reason: str | None
    workers: int


@define
class Reloads:
    """Takes requests to replace the workers; those that come together are met by one replacement.

    Attributes:
        wanted: set while there is one that nobody has begun to meet.
    """

    wanted: asyncio.Event = field(factory=asyncio.Event)
    _waiting: list[asyncio.Future[ReloadResult]] = field(factory=list)

    def request(self) -> None:
        """Ask for other workers, as SIGHUP does."""
        self.wanted.set()

    async def request_and_wait(self) -> ReloadResult:
        """Ask for other workers and return what became of it."""
        result: asyncio.Future[ReloadResult] = asyncio.get_running_loop().create_future()
        self._waiting.append(result)
        self.request()
        return await result

    def take(self) -> list[asyncio.Future[ReloadResult]]:
        """Return those who wait for the replacement that begins now."""
        self.wanted.clear()
        waiting, self._waiting = self._waiting, []
        return waiting

    def end(self, reason: str) -> None:
        """Tell those who still wait that nothing comes of it."""
        answer(self.take(), ReloadResult(reason, 0))


def answer(waiting: list[asyncio.Future[ReloadResult]], result: ReloadResult) -> None:
    """Tell all who wait what became of their request; some may have gone."""
    for one in waiting:
        if not one.done():
            one.set_result(result)
