"""The questions that tell running from working."""

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from authsvc.listen_address import ListenAddress
from authsvc.local import probes
from authsvc.local.probes import Answer, parse_answer
from authsvc.metrics.catalogue import REGISTRY_NOTIFICATIONS
from authsvc.processes.supervisor import Loading, NotReady
from authsvc.public_url import parse_public_url

URL = parse_public_url("http://localhost:5000")
SERIES = REGISTRY_NOTIFICATIONS.name
CHALLENGE = (
    b"HTTP/1.1 401 Unauthorized\r\n"
    b'Www-Authenticate: Bearer realm="http://localhost:5000/auth/token",service="localhost:5000"\r\n\r\n'
)


@asynccontextmanager
async def answering(reply: Callable[[bytes], bytes], path: Path | None = None) -> AsyncIterator[int]:
    """Serve a reply to each question, on a socket path or on a free port."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(reply(await reader.readuntil(b"\r\n")))
        writer.close()

    if path is not None:
        server = await asyncio.start_unix_server(talk, path)
    else:
        server = await asyncio.start_server(talk, "127.0.0.1", 0)
    async with server:
        yield 0 if path is not None else server.sockets[0].getsockname()[1]


async def test_redis_must_say_pong(folder: Path) -> None:
    """A redis that still loads its data is not ready."""
    path = folder / "redis.sock"
    with pytest.raises(NotReady, match="No such file"):
        await probes.redis_answers(path)
    async with answering(lambda _: b"-LOADING Redis is loading the dataset in memory\r\n", path):
        with pytest.raises(Loading):
            await probes.redis_answers(path)
    async with answering(lambda _: b"-NOAUTH Authentication required.\r\n", path):
        with pytest.raises(NotReady, match="PING is answered with '-NOAUTH"):
            await probes.redis_answers(path)
    async with answering(lambda question: b"+PONG\r\n" if question == b"PING\r\n" else b"-ERR\r\n", path):
        await probes.redis_answers(path)


async def test_the_registry_must_send_clients_to_us(folder: Path) -> None:
    """An open registry, or one with another realm, is not ready."""
    path = folder / "registry.sock"
    async with answering(lambda _: b"HTTP/1.1 200 OK\r\n\r\n", path):
        with pytest.raises(NotReady, match="answers 200 with '' instead of 401 with our realm"):
            await probes.registry_challenges(path, URL)
    async with answering(lambda _: CHALLENGE.replace(b"5000/", b"5001/"), path):
        with pytest.raises(NotReady, match="instead of 401 with our realm"):
            await probes.registry_challenges(path, URL)
    async with answering(lambda _: CHALLENGE, path):
        await probes.registry_challenges(path, URL)


async def test_serve_must_be_ready(folder: Path) -> None:
    """A 503 of /readyz is its status in the reason."""
    path = folder / "inside.sock"
    async with answering(lambda _: b"HTTP/1.1 503 Service Unavailable\r\n\r\n", path):
        with pytest.raises(NotReady, match="/readyz answers 503"):
            await probes.serve_is_ready(path)
    async with answering(lambda _: b"HTTP/1.1 200 OK\r\n\r\n", path):
        await probes.serve_is_ready(path)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Type: application/json; charset=utf-8\r\n\r\n", None),
        (b"HTTP/1.1 401 Unauthorized\r\nContent-Type: text/html\r\n\r\n", r"answers 401 \(text/html\)"),
        (b"HTTP/1.1 503 x\r\nContent-Type: application/json\r\n\r\n", "answers 503"),
        (b"", "closes the connection"),
    ],
)
async def test_a_push_needs_challenge_and_token_endpoint(token: bytes, reason: str | None) -> None:
    """Both are asked through the same address."""
    async with answering(lambda question: CHALLENGE if b" /v2/ " in question else token) as port:
        asking = probes.push_would_work(ListenAddress("0.0.0.0", port), URL)
        if reason is None:
            await asking
        else:
            with pytest.raises(NotReady, match=reason):
                await asking


async def test_silence_ends(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A listener that accepts and says nothing does not hold the start."""
    monkeypatch.setattr(probes, "_TIMEOUT", 0.1)

    gone = asyncio.Event()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()
        await writer.wait_closed()
        gone.set()

    async with await asyncio.start_unix_server(silent, folder / "sock"):
        with pytest.raises(NotReady, match=r"no answer within 0\.1 s"):
            await probes.redis_answers(folder / "sock")
        await gone.wait()


async def test_events_have_arrived_when_no_more_come(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked as long as the number of recorded notifications grows; others do not count."""
    monkeypatch.setattr(probes, "_QUIET", 0.01)
    answers = [b"HTTP/1.1 200 OK\r\n\r\n# TYPE a counter\n"]
    for unauthorized, recorded in enumerate((7, 8, 9, 9)):
        text = f'{SERIES}{{answer="unauthorized"}} {unauthorized}\n{SERIES}{{answer="recorded"}} {recorded}.0\n'
        answers.append(answers[0] + text.encode())
    asked = iter(answers[1:])
    async with answering(lambda _: next(asked), folder / "inside.sock"):
        await probes.events_have_arrived(folder / "inside.sock")
    assert list(asked) == []


async def test_a_slow_server_is_given_longer(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an answer takes long, so does an event: one that comes some answers later is waited for."""
    monkeypatch.setattr(probes, "_QUIET", 0.001)
    began, numbers = time.monotonic(), list[int]()

    def slow(_: bytes) -> bytes:
        time.sleep(0.05)
        numbers.append(7 if time.monotonic() < began + 0.3 else 8)
        return f'\r\n\r\n{SERIES}{{answer="recorded"}} {numbers[-1]}\n'.encode()

    async with answering(slow, folder / "inside.sock"):
        await probes.events_have_arrived(folder / "inside.sock")
    assert numbers[-1] == 8


async def test_events_that_never_end_are_not_waited_for(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """There is a limit, and a server that is gone is not waited for."""
    monkeypatch.setattr(probes, "_QUIET", 0.001)
    monkeypatch.setattr(probes, "_ARRIVED_WITHIN", 0.2)
    numbers = itertools.count()
    path = folder / "inside.sock"
    async with answering(lambda _: f'\r\n\r\n{SERIES}{{answer="recorded"}} {next(numbers)}\n'.encode(), path):
        await probes.events_have_arrived(folder / "inside.sock")
    assert next(numbers) > 1
    await probes.events_have_arrived(folder / "inside.sock")


def test_parse_answer() -> None:
    """Status and headers are read; what is not HTTP is refused."""
    assert parse_answer(b"HTTP/1.1 401 no - way\r\nA: b: c\r\n\r\nbody") == Answer(401, {"a": "b: c"})
    assert parse_answer(b"HTTP/1.0 200\r\n\r\n") == Answer(200, {})
    for raw in (b"", b"SSH-2.0-OpenSSH\r\n\r\n", b"HTTP/1.1 abc\r\n\r\n", b"HTTP/1.1 \xb2\xb2\xb2\r\n\r\n"):
        with pytest.raises(NotReady, match="is not HTTP"):
            parse_answer(raw)
