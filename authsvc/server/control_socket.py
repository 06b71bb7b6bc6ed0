"""The control socket of a server: a local command asks the parent to replace its workers, and waits for the result.

A unix socket that only its own user may open (0600), so its users could send signals as well. One JSON line
each way: ``{"command": "reload"}``, then ``{"reason": null, "workers": 2}`` when it is done.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path

from attrs import asdict

from authsvc.errors import AuthsvcError, Conflict, NotFound
from authsvc.logs import Logger
from authsvc.server.reloads import ReloadResult, Reloads
from authsvc.server.unix_socket import unix_listener

MAX_LINE = 4096
SOCKET_MODE = 0o600
REQUEST_DEADLINE = 5.0
"""Seconds that a command may take to say what it wants."""

RELOAD_DEADLINE = 240.0
"""Seconds after which a command stops waiting. Longer than the longest replacement: workers of an earlier one leave,
new ones start, and the old ones finish their requests."""

CONNECT_DEADLINE = 5.0


@asynccontextmanager
async def control_socket(path: Path | None, reloads: Reloads, logger: Logger) -> AsyncIterator[None]:
    """Listen for commands while the context lasts; a server that cannot listen goes on without, and logs it.

    Args:
        path: of the socket; None for none.
        reloads: takes requests to replace the workers.
        logger: the server's.
    """
    async with AsyncExitStack() as stack:
        try:
            if path is not None:
                await stack.enter_async_context(_listening(path, reloads))
        except (OSError, AuthsvcError) as error:
            logger.warning("control.unavailable", reason=str(error))
        yield


async def request_reload(path: Path, deadline: float = RELOAD_DEADLINE) -> ReloadResult:
    """Ask the server at ``path`` to replace its workers and return the result.

    Raises:
        NotFound: no server listens there.
        Conflict: it ended before it answered, or did not answer in time.
    """
    try:
        async with asyncio.timeout(CONNECT_DEADLINE):
            reader, writer = await asyncio.open_unix_connection(path, limit=MAX_LINE)
    except (OSError, TimeoutError) as error:
        raise NotFound(
            f"no server of this installation answers at {path}; is it running here?", code="server_not_found"
        ) from error
    try:
        async with asyncio.timeout(deadline):
            writer.write(b'{"command": "reload"}\n')
            await writer.drain()
            line = await reader.readline()
        if not line.endswith(b"\n"):
            raise Conflict(
                "the server ended before its workers were replaced; its log says why", code="reload_unfinished"
            )
        answer = json.loads(line)
        return ReloadResult(answer["reason"], answer["workers"])
    except TimeoutError as error:
        raise Conflict(
            f"the workers were not replaced within {deadline:.0f} s; the server's log says why",
            code="reload_unfinished",
        ) from error
    except (ConnectionError, ValueError, KeyError) as error:
        raise Conflict(
            "the server ended before its workers were replaced; its log says why", code="reload_unfinished"
        ) from error
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


def _unfinished(sentence: str) -> Conflict:
    return Conflict(sentence, code="reload_unfinished")


@asynccontextmanager
async def _listening(path: Path, reloads: Reloads) -> AsyncIterator[None]:
    """Listen at ``path``, in the place of a socket without a server.

    Raises:
        Conflict: another server listens there.
        OSError: the socket cannot be made.
    """
    if _answers(path):
        raise Conflict(f"another server listens at {path}", code="server_running")
    handlers = set[asyncio.Task[None]]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(_handle(reader, writer, reloads))
        handlers.add(handler)
        handler.add_done_callback(handlers.discard)

    with unix_listener(path, SOCKET_MODE) as listener:
        server = await asyncio.start_unix_server(connected, sock=listener, limit=MAX_LINE)
        try:
            yield
        finally:
            server.close()
            for handler in handlers:
                handler.cancel()
            await asyncio.gather(*handlers, return_exceptions=True)


def _answers(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(CONNECT_DEADLINE)
        try:
            probe.connect(os.fspath(path))
        except OSError:
            return False
    return True


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reloads: Reloads) -> None:
    try:
        with suppress(ConnectionError, TimeoutError, ValueError):
            await _serve(reader, writer, reloads)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, reloads: Reloads) -> None:
    async with asyncio.timeout(REQUEST_DEADLINE):
        line = await reader.readline()
    if not line:  # a probe whether a server listens
        return
    message = json.loads(line)
    if not isinstance(message, dict) or message.get("command") != "reload":
        raise ValueError("not a command")
    result = await reloads.request_and_wait()
    writer.write(json.dumps(asdict(result)).encode() + b"\n")
    await writer.drain()
