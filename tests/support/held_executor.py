"""An executor whose work waits until a test lets it go: a machine as slow as the test wants."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future
from typing import Any

from authsvc.errors import AuthsvcError


async def settle() -> None:
    """Let every task of this loop go as far as it can."""
    for _ in range(8):
        await asyncio.sleep(0)


class HeldExecutor(Executor):
    """An executor whose work waits until it is let go: a machine as slow as the test wants.

    Attributes:
        asked: the hash of every check that was started, the salt of every new password.
    """

    def __init__(self) -> None:
        """Hold everything."""
        self.asked: list[Any] = []
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Take work and hold it."""
        future: Future[Any] = Future()
        self.asked.append(args[-1])
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    async def let_go(self, most: int = 1000) -> None:
        """Do what waits, so much at most, and let its askers hear of it."""
        await settle()
        while self._waiting and most:
            future, work = self._waiting.pop(0)
            most -= 1
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except (ValueError, AuthsvcError) as error:
                future.set_exception(error)
            await settle()
