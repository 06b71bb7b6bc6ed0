"""How much one request, one connection and one address get of nginx."""

import asyncio
from pathlib import Path

import pytest

from tests.support.front import running_front
from tests.support.waiting import PATIENCE


async def echo_after(event: asyncio.Event, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer with the head that arrived, and not before ``event``."""
    head = await reader.readuntil(b"\r\n\r\n")
    await event.wait()
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%b" % (len(head), head))


@pytest.mark.parametrize("chunked", [True, False])
async def test_an_upload_has_a_limit(folder: Path, free_port: int, *, chunked: bool) -> None:
    """What a client announces is refused at once, and what it only sends ends there: nobody uploads for ever."""
    arrived = 0

    async def upload(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        nonlocal arrived
        while piece := await reader.read(65536):
            arrived += len(piece)

    async with running_front(folder, free_port, upload_size=1) as front, asyncio.timeout(PATIENCE):
        front.registry.talk = upload
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        length = "Transfer-Encoding: chunked" if chunked else f"Content-Length: {1024 * 1024 + 1}"
        writer.write(f"PATCH /v2/a/blobs/uploads/x HTTP/1.1\r\nHost: x\r\n{length}\r\n\r\n".encode())
        answer = asyncio.create_task(reader.readuntil(b"]}\n"))
        while chunked and not answer.done():
            writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
            await writer.drain()
            await asyncio.sleep(0)
        text = await answer
        writer.close()

    assert text.startswith(b"HTTP/1.1 413 ")
    assert b"this registry takes 1 MiB at most in one request" in text
    assert (arrived > 0) == chunked
    assert arrived < 1.1 * 1024 * 1024


@pytest.mark.parametrize("path", ["/v2/a/blobs/x", "/auth/token", "/api/v1/apps", "/portal/apps"])
async def test_an_address_has_so_many_requests_at_once(folder: Path, free_port: int, path: str) -> None:
    """Who has them all running is told to wait; every other address is served, and nobody counts as a private one."""
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo_after(release, reader, writer)

    # Behind a proxy on this machine, which says whose requests they are.
    busy, other = "X-Forwarded-For: 198.51.100.1", "X-Forwarded-For: 198.51.100.2"
    async with running_front(folder, free_port, connections=2, trusted_proxies=("127.0.0.0/8",)) as front:
        front.registry.talk = front.edge.talk = slow
        running = [asyncio.create_task(front.get(path, header)) for header in (busy, busy, other)]
        async with asyncio.timeout(PATIENCE):
            while front.registry.asked + front.edge.asked < len(running):
                await asyncio.sleep(0.02)
        refused = await front.get(path, busy)
        release.set()
        served = [(await one).status for one in running]
        # A client has its answer a moment before nginx no longer counts the request.
        async with asyncio.timeout(PATIENCE):
            while (again := await front.get(path, busy)).status == 429:
                await asyncio.sleep(0.02)

    assert (refused.status, refused.headers["retry-after"]) == (429, "5")
    assert b"your address has more requests running than it may have at once" in refused.body
    assert (served, again.status) == ([200, 200, 200], 200)


async def test_private_addresses_are_not_counted_without_a_proxy(folder: Path, free_port: int) -> None:
    """They may be those of a balancer or of an engine's network, and everybody's; nobody gets another by a claim."""
    release = asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await echo_after(release, reader, writer)

    async with running_front(folder, free_port, connections=2) as front:
        front.registry.talk = slow
        running = [asyncio.create_task(front.get("/v2/", "X-Forwarded-For: 198.51.100.1")) for _ in range(5)]
        async with asyncio.timeout(PATIENCE):
            while front.registry.asked < len(running):
                await asyncio.sleep(0.02)
        release.set()
        answers = [await one for one in running]

    assert [answer.status for answer in answers] == [200] * 5
    assert all(b"X-Forwarded-For: 127.0.0.1\r\n" in answer.body for answer in answers)


async def test_half_a_header_ends_soon(folder: Path, free_port: int) -> None:
    """A connection that sends no request counts for no address; it ends after seconds."""

    def hurry(text: str) -> str:
        assert "client_header_timeout 10s;" in text
        return text.replace("client_header_timeout 10s;", "client_header_timeout 1s;")

    async with running_front(folder, free_port, hurry) as front, asyncio.timeout(PATIENCE):
        reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
        writer.write(b"GET /v2/ HTTP/1.1\r\nHost: x\r\n")
        assert await reader.read() == b""
        writer.close()
