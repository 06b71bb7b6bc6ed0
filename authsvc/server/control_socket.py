"""The control socket of a server: a local command tells the parent what to do, and waits for the result.

A unix socket that only its own user may open (0600), so its users could send signals as well. One JSON line each way:
``{"command": "reload"}``, then ``{"reason": null, "workers": 2}`` when it is done; ``{"command": "address"}``, then
``{"inside": "127.0.0.1:8081"}`` or ``{"inside": "unix:/path"}``, where the server tells of its health.
"""

import asyncio
import json
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from attrs import asdict

from authsvc.errors import AuthsvcError, Conflict, NotFound
from authsvc.logs import Logger
from authsvc.server.reloads import ReloadResult, Reloads
from authsvc.server.unix_socket import unix_listener

MAX_LINE = 4096
SOCKET_MODE = 0o600
REQUEST_DEADLINE = 5.0
"""Seconds that a client may take to send its command."""

RELOAD_DEADLINE = 240.0
"""Seconds after which a command stops waiting. Longer than the longest replacement: workers of an earlier one leave,
new ones start, and the old ones finish their requests."""

CONNECT_DEADLINE = 5.0


Command = Callable[[], Awaitable[Mapping[str, Any]]]
"""Carries out one command and returns its answer."""


@asynccontextmanager
async def control_socket(path: Path | None, reloads: Reloads, inside: str, logger: Logger) -> AsyncIterator[None]:
    """Listen for commands while the context lasts; a server that cannot listen runs without, and logs it.

    Args:
        path: of the socket; None for none.
        reloads: takes requests to replace the workers.
        inside: address at which the server reports its health: ``HOST:PORT``, or ``unix:`` and a path.
        logger: the server's.
    """

    async def reload() -> Mapping[str, Any]:
        return asdict(await reloads.request_and_wait())

    async def address() -> Mapping[str, Any]:
        return {"inside": inside}

    commands = {"reload": reload, "address": address}
    async with AsyncExitStack() as stack:
        try:
            if path is not None:
                await stack.enter_async_context(_listening(path, commands))
        except (OSError, AuthsvcError) as error:
            logger.warning("control.unavailable", reason=str(error))
        yield


async def request_reload(path: Path, deadline: float = RELOAD_DEADLINE) -> ReloadResult:
    """Ask the server at ``path`` to replace its workers and return the result.

    Raises:
        NotFound: no server listens there.
        Conflict: it ended before it answered, or did not answer in time.
    """
    ended = "the server ended before its workers were replaced; its log says why"
    try:
        answer = await _ask(path, "reload", deadline)
        return ReloadResult(answer["reason"], answer["workers"])
    except TimeoutError as error:
        raise Conflict(
            f"the workers were not replaced within {deadline:.0f} s; the server's log says why",
            code="reload_unfinished",
        ) from error
    except (ConnectionError, ValueError, KeyError) as error:
        raise Conflict(ended, code="reload_unfinished") from error


async def inside_address(path: Path, deadline: float = REQUEST_DEADLINE) -> str:
    """Return the address at which the server at ``path`` reports its health: ``HOST:PORT``, or ``unix:`` and a path.

    Raises:
        NotFound: no server listens there.
        Conflict: it does not say so in time.
    """
    try:
        return str((await _ask(path, "address", deadline))["inside"])
    except (TimeoutError, ConnectionError, ValueError, KeyError) as error:
        raise Conflict(
            f"the server at {path} does not report its state: it is stopping, hangs, or is older; see its log",
            code="status_unavailable",
        ) from error


async def _ask(path: Path, command: str, deadline: float) -> dict[str, Any]:
    """Return the server's answer to one command.

    Raises:
        NotFound: no server listens there.
        TimeoutError: there was no answer in time.
        ConnectionError: the server hung up.
        ValueError: the answer is not one.
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
            writer.write(json.dumps({"command": command}).encode() + b"\n")
            await writer.drain()
            answer = json.loads(await reader.readline())
        if not isinstance(answer, dict):
            raise ValueError("not an answer")  # noqa: TRY004  a bad value on the wire, whatever its type
        return answer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


@asynccontextmanager
async def _listening(path: Path, commands: Mapping[str, Command]) -> AsyncIterator[None]:
    """Listen at ``path``, in the place of a socket without a server.

    Raises:
        Conflict: another server listens there.
        OSError: the socket cannot be made.
    """
    if _answers(path):
        raise Conflict(f"another server listens at {path}", code="server_running")
    handlers = set[asyncio.Task[None]]()

    def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        handler = asyncio.create_task(_handle(reader, writer, commands))
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


async def _handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Mapping[str, Command]) -> None:
    try:
        with suppress(ConnectionError, TimeoutError, ValueError):
            await _serve(reader, writer, commands)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def _serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, commands: Mapping[str, Command]) -> None:
    async with asyncio.timeout(REQUEST_DEADLINE):
        line = await reader.readline()
    if not line:  # a probe whether a server listens
        return
    message = json.loads(line)
    command = commands.get(str(message.get("command"))) if isinstance(message, dict) else None
    if command is None:
        raise ValueError("not a command")
    writer.write(json.dumps(await command()).encode() + b"\n")
    await writer.drain()
