"""A real nginx between a client, an authsvc that says what a test wants, and a linked registry."""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from authsvc.web.proxy.accel import FETCH_BLOB, FETCH_SIZE
from tests.support.front import Answer, Front, running_front

BLOB = bytes(range(256)) * 4000
DIGEST = f"sha256:{hashlib.sha256(BLOB).hexdigest()}"
PATH = f"/v2/proxy/acme/hub/org/image/blobs/{DIGEST}"
SECRET = "Bearer of-the-upstream"


@define
class Linked:
    """A linked registry: one TCP server that answers each request as the test says."""

    answer: Callable[[str], bytes] = field(init=False)
    port: int = 0
    heads: list[str] = field(factory=list)

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        self.heads.append(head)
        writer.write(self.answer(head))
        await writer.drain()
        writer.close()


def whole(body: bytes, status: str = "200 OK", *headers: str) -> bytes:
    """Return a response with a length."""
    lines = "".join(f"{line}\r\n" for line in headers)
    return f"HTTP/1.1 {status}\r\n{lines}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


@define
class Pulls:
    """Nginx, a linked registry behind it, and an authsvc that says what the test wants."""

    front: Front
    linked: Linked
    steps: list[dict[str, str]] = field(factory=list)
    key: str = "acme:link-1:1:0:org/image:" + DIGEST
    redirects: bool = False
    """Whether authsvc uses X-Accel-Redirect where it should use a status."""
    on_answer: Callable[[dict[str, str]], bytes] = lambda _: whole(b"", "502 Bad Gateway")

    async def decide(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer as authsvc does: where to go at first, and what then at the later steps."""
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        request, *lines = head.strip().split("\r\n")
        step = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        step["request"] = request
        self.steps.append(step)
        match step.get("x-authsvc-step", ""):
            case "answer":
                answer = self.on_answer(step)
            case "target":
                answer = self.target()
            case _:
                answer = self.cached()
        writer.write(answer)
        await writer.drain()

    def cached(self) -> bytes:
        """Return the first answer: where it would be if it were here."""
        return whole(
            b"",
            "200 OK",
            "X-Accel-Redirect: /-/cached",
            "Content-Type: ",
            f"X-Linked-Key: {self.key}",
            "X-Linked-Team: acme",
            "X-Linked-Link: link-1",
            "X-Linked-Subject: abc",
            f"X-Linked-Digest: {DIGEST}",
        )

    def target(self, uri: str = "/v2/org/image/blobs/x?a=%2F%20+;%25", hop: str = "0") -> bytes:
        """Return the answer that sends nginx to the linked registry, by its status."""
        head = self.steps[-1]["x-authsvc-method"] == "HEAD"
        if not self.redirects:
            way = [f"{FETCH_SIZE if head else FETCH_BLOB} Elsewhere"]
        else:
            way = ["200 OK", f"X-Accel-Redirect: /-/{'blob-head' if head else 'blob'}"]
        return whole(
            b"",
            *way,
            "Content-Type: application/octet-stream",
            f"X-Linked-Address: http://127.0.0.1:{self.linked.port}",
            f"X-Linked-Uri: {uri}",
            "X-Linked-Host: upstream.example",
            "X-Linked-Name: upstream.example",
            *([f"X-Linked-Authorization: {SECRET}"] if hop == "0" else []),
            f"X-Linked-Key: {self.key}",
            "X-Linked-Origin: http://upstream.example",
            f"X-Linked-Digest: {DIGEST}",
            f"X-Linked-Hop: {hop}",
        )

    async def get(self, *headers: str, method: str = "GET") -> Answer:
        """Ask for the blob."""
        lines = "".join(f"{line}\r\n" for line in ("Authorization: Bearer ours", *headers))
        request = f"{method} {PATH} HTTP/1.1\r\nHost: typed.example\r\n{lines}\r\n"
        return await self.front.ask(request.encode(), bodiless=method == "HEAD")


@asynccontextmanager
async def running_pulls(
    folder: Path, port: int, change: Callable[[str], str] = lambda text: text, **values: Any
) -> AsyncIterator[Pulls]:
    """Run all three."""
    linked = Linked()
    linked.answer = lambda _: whole(BLOB, "200 OK", "Content-Type: text/html", "Set-Cookie: a=b")
    server = await asyncio.start_server(linked, "127.0.0.1", 0)
    linked.port = server.sockets[0].getsockname()[1]
    async with server, running_front(folder, port, change, **values) as front:
        pulls = Pulls(front, linked)
        front.edge.talk = pulls.decide
        yield pulls
