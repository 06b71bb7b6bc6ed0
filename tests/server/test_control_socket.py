"""The control socket: who may use it, what it answers, and whose it is."""

import asyncio
import io
import socket
import stat
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from authsvc.errors import Conflict, NotFound
from authsvc.logs import make_logger
from authsvc.server.control_socket import control_socket, request_reload
from authsvc.server.reloads import ReloadResult, Reloads, answer
from tests.support.waiting import PATIENCE


@pytest.fixture
def path(folder: Path) -> Path:
    """Return where the socket is to be."""
    return folder / "serve.sock"


@asynccontextmanager
async def server(path: Path, result: ReloadResult | None = None) -> AsyncIterator[io.StringIO]:
    """Run a server that answers every request with ``result``, and yield its log."""
    log, reloads = io.StringIO(), Reloads()

    async def reload() -> None:
        while True:
            await reloads.wanted.wait()
            waiting = reloads.take()
            if result is not None:
                answer(waiting, result)

    async with control_socket(path, reloads, "127.0.0.1:8081", make_logger("info", log)):
        reloading = asyncio.create_task(reload())
        yield log
        reloading.cancel()


async def test_a_request_waits_for_its_result(path: Path) -> None:
    """The command hears what became of it, several at once too, and the socket is private and goes with the server."""
    result = ReloadResult(None, 2)
    async with server(path, result):
        status = path.stat()
        assert (stat.S_ISSOCK(status.st_mode), 0o600) == (True, status.st_mode & 0o777)
        assert [result] * 3 == await asyncio.gather(*(request_reload(path) for _ in range(3)))
    assert list(path.parent.iterdir()) == []
    with pytest.raises(NotFound, match="no server"):
        await request_reload(path)


async def test_a_refusal_says_why(path: Path) -> None:
    """The reason is the server's own sentence."""
    async with server(path, ReloadResult("AUTHSVC_LOG_LEVEL must be one of", 2)):
        assert (await request_reload(path)).reason == "AUTHSVC_LOG_LEVEL must be one of"


async def test_no_answer_in_time_is_an_error(path: Path) -> None:
    """A command does not wait for ever."""
    async with server(path):
        with pytest.raises(Conflict, match="within 0 s"):
            await request_reload(path, deadline=0.2)


@pytest.mark.parametrize("said", [b"nonsense\n", b"[]\n", b"{}\n", b'{"command": "stop"}\n', b"x" * 10_000, b""])
async def test_anything_else_is_hung_up_on(path: Path, said: bytes) -> None:
    """And harms nobody who comes after it."""
    async with server(path, ReloadResult(None, 1)):
        reader, writer = await asyncio.open_unix_connection(path)
        writer.write(said)
        writer.write_eof()
        with suppress(ConnectionError):  # hung up on before all was read
            assert await asyncio.wait_for(reader.read(), PATIENCE) == b""
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
        assert (await request_reload(path)).reason is None


async def test_a_socket_that_was_left_behind_is_replaced(path: Path) -> None:
    """After SIGKILL the name is still there, and nobody listens."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(path))
    async with server(path, ReloadResult(None, 1)):
        assert (await request_reload(path)).reason is None


async def test_a_second_server_leaves_the_first_ones_socket(path: Path) -> None:
    """It goes on without one and says so; its end does not take the other's away."""
    async with server(path, ReloadResult(None, 1)):
        async with server(path, ReloadResult(None, 7)) as log:
            assert "another server listens" in log.getvalue()
        assert (await request_reload(path)).workers == 1


async def test_a_server_without_a_place_for_its_socket_goes_on(path: Path) -> None:
    """A folder that is missing costs the command and not the service."""
    async with server(path.parent / "missing" / "serve.sock") as log:
        assert "control.unavailable" in log.getvalue()
