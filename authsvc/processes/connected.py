"""Runs a child process that is connected to this one by a socket pair, by which each notices the other's end."""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from typing import Any

from authsvc.processes.stopping import Step, stop_process
from authsvc.processes.waiting import first_of


async def run_connected(
    start: Callable[[socket.socket], Awaitable[asyncio.subprocess.Process]],
    attend: Callable[[asyncio.subprocess.Process, socket.socket], Iterable[Coroutine[Any, Any, None]]],
    *,
    asked: Callable[[], Awaitable[object]],
    steps: Callable[[], Sequence[Step]],
    hurry: asyncio.Event | None = None,
    kind: socket.SocketKind = socket.SOCK_STREAM,
) -> int:
    """Run a child until it ends by itself or is stopped, and return its exit code, negative for a signal.

    Args:
        start: starts it with its end of the pair, which is then closed in this process.
        attend: returns the coroutine to run meanwhile, with the other end of the pair; it is cancelled at the end.
        asked: waits until the child must be stopped.
        steps: returns the signals that stop it.
        hurry: set to shorten the steps.
        kind: of the sockets.

    Raises:
        OSError: it cannot be started.
    """
    near, far = socket.socketpair(socket.AF_UNIX, kind)
    with near:
        with far:
            process = await start(far)
        tasks = [asyncio.create_task(one) for one in attend(process, near)]
        ended = asyncio.create_task(process.wait())
        try:
            await first_of(asyncio.shield(ended), asked())
            if not ended.done():
                await stop_process(process, ended, steps(), hurry or asyncio.Event())
            return await ended
        finally:
            for task in (*tasks, ended):
                task.cancel()
            await asyncio.gather(*tasks, ended, return_exceptions=True)
