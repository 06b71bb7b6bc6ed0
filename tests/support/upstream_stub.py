"""A stand-in for an external registry, with real TLS, that is as hostile as its data says.

It speaks HTTP/1.1 itself, so that it can send what no library would: a wrong length, a body without end, a header of a
megabyte. By default it is a good registry: manifests, blobs with Range, tags, referrers, behind no credential, behind
Basic or behind Bearer tokens of its own token server. ``answers`` replaces what is said under a path.
"""

import asyncio
import base64
import json
import ssl
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit

from attrs import define, field, frozen

from tests.support.oci import MANIFEST, Image, digest_of
from tests.support.waiting import PATIENCE

Headers = tuple[tuple[str, str], ...]


@frozen
class Answer:
    """What is sent.

    Attributes:
        status: of the reply.
        headers: in order; they may repeat.
        body: what is sent.
        length: what ``Content-Length`` says; None for the truth.
        delay: seconds before anything is sent.
        drip: seconds between two bytes of the body.
        endless: whether the body is repeated until the client leaves.
        raw: all of the reply, instead of everything else.
    """

    status: int = 200
    headers: Headers = ()
    body: bytes = b""
    length: int | None = None
    delay: float = 0.0
    drip: float = 0.0
    endless: bool = False
    raw: bytes | None = None


@frozen
class Seen:
    """A request as it arrived.

    Attributes:
        method: of the request.
        target: path and query, byte for byte.
        headers: names in lower case; of one that is repeated the last.
        body: as sent.
    """

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes = b""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]

    @property
    def query(self) -> dict[str, list[str]]:
        """The parameters."""
        return parse_qs(urlsplit(self.target).query)

    @property
    def authorization(self) -> str | None:
        """What was shown."""
        return self.headers.get("authorization")


@define
class StubUpstream:
    """A registry. Used as a context manager; it runs in a thread of its own.

    Attributes:
        tls: None for plain http.
        host: the address that it listens on.
        auth: ``none``, ``basic`` or ``bearer``.
        users: passwords by name; nobody else gets a token or passes Basic. Empty: a token for anybody.
        realm: of the Bearer challenge; None for its own token server.
        token_life: seconds that tokens say they live.
        answers: by ``METHOD PATH`` or ``PATH``; they go before everything else.
        answers_of: by user and path: what this user alone is told, of Bearer tokens.
        manifests: by repository and tag or digest: media type and bytes.
        blobs: by repository and digest.
        seen: all requests, in order.
        connections: how many were accepted.
        tokens: those that are valid, with the repository each opens.
        owners: whose they are.
    """

    tls: ssl.SSLContext | None = None
    host: str = "127.0.0.1"
    auth: str = "none"
    users: dict[str, str] = field(factory=dict)
    realm: str | None = None
    token_life: int = 300
    answers: dict[str, Answer] = field(factory=dict)
    answers_of: dict[tuple[str, str], Answer] = field(factory=dict)
    manifests: dict[tuple[str, str], tuple[str, bytes]] = field(factory=dict)
    blobs: dict[tuple[str, str], bytes] = field(factory=dict)
    seen: list[Seen] = field(factory=list)
    connections: int = 0
    tokens: dict[str, str] = field(factory=dict)
    owners: dict[str, str] = field(factory=dict)
    port: int = 0
    _issued: int = 0
    _loop: asyncio.AbstractEventLoop = field(factory=asyncio.new_event_loop, repr=False)
    _started: threading.Event = field(factory=threading.Event, repr=False)
    _stop: asyncio.Event = field(factory=asyncio.Event, repr=False)
    _thread: threading.Thread | None = field(default=None, repr=False)
    _running: "set[asyncio.Task[None]]" = field(factory=set, repr=False)

    @property
    def url(self) -> str:
        """Where it is, by ``localhost``."""
        return f"{'http' if self.tls is None else 'https'}://localhost:{self.port}"

    def put(self, repository: str, tag: str, image: Image) -> str:
        """Let it have an image, and return its digest."""
        self.blobs |= {(repository, digest_of(blob)): blob for blob in (image.config, image.layer)}
        return self.put_manifest(repository, tag, MANIFEST, image.manifest)

    def put_manifest(self, repository: str, tag: str, media_type: str, content: bytes) -> str:
        """Let a tag point at a manifest, and return its digest."""
        digest = digest_of(content)
        self.manifests[repository, digest] = self.manifests[repository, tag] = (media_type, content)
        return digest

    def asked(self, text: str) -> list[Seen]:
        """Return the requests whose target has ``text`` in it."""
        return [one for one in self.seen if text in one.target]

    def hang_up(self) -> None:
        """Cut all connections, also those whose answer is still due."""

        def cut() -> None:
            for task in list(self._running):
                task.cancel()

        self._loop.call_soon_threadsafe(cut)

    def __enter__(self) -> Self:
        self._thread = threading.Thread(target=self._run)
        self._thread.start()
        assert self._started.wait(PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        assert self._thread is not None
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        try:
            self._loop.run_until_complete(self._serve())
        finally:
            self._loop.close()

    async def _serve(self) -> None:
        server = await asyncio.start_server(self._connected, self.host, self.port, ssl=self.tls)
        self.port = server.sockets[0].getsockname()[1]
        self._started.set()
        await self._stop.wait()
        server.close()
        for task in list(self._running):
            task.cancel()
        await asyncio.gather(*self._running, return_exceptions=True)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._running.add(task)
        self.connections += 1
        try:
            while (request := await _read(reader)) is not None:
                self.seen.append(request)
                if not await _send(reader, writer, self._answer(request), head=request.method == "HEAD"):
                    break
        except (OSError, asyncio.CancelledError, asyncio.IncompleteReadError, ValueError):
            writer.transport.abort()  # the client has left, or the test is over
        finally:
            writer.close()
            with suppress(OSError, asyncio.CancelledError):
                await writer.wait_closed()
            self._running.discard(task)

    def _answer(self, request: Seen) -> Answer:
        for key in (f"{request.method} {request.path}", request.path):
            if key in self.answers:
                return self.answers[key]
        if request.path == "/token":
            return self._token(request)
        repository, kind, name = _parts(request.path)
        if not self._lets_in(request, repository):
            return Answer(401, (("WWW-Authenticate", self._challenge(repository)),), _errors("UNAUTHORIZED"))
        user = self.owners.get((request.authorization or "").partition(" ")[2], "")
        return self.answers_of.get((user, request.path)) or self._content(request, repository, kind, name)

    def _content(self, request: Seen, repository: str, kind: str, name: str) -> Answer:
        if request.path == "/v2/":
            return Answer(200, (), b"{}")
        if kind == "manifests" and (repository, name) in self.manifests:
            media_type, content = self.manifests[repository, name]
            return Answer(200, (("Content-Type", media_type), ("Docker-Content-Digest", digest_of(content))), content)
        if kind == "blobs" and (repository, name) in self.blobs:
            return _ranged(self.blobs[repository, name], request.headers.get("range"))
        if kind == "tags" and any(known == repository for known, _ in self.manifests):
            tags = sorted(tag for known, tag in self.manifests if known == repository and ":" not in tag)
            return _json({"name": repository, "tags": tags})
        return Answer(404, (), _errors("MANIFEST_UNKNOWN" if kind == "manifests" else "NAME_UNKNOWN"))

    def _challenge(self, repository: str) -> str:
        if self.auth == "basic":
            return 'Basic realm="stub, the registry"'
        realm = self.realm or f"{self.url}/token"
        scope = f',scope="repository:{repository}:pull"' if repository else ""
        return f'Bearer realm="{realm}",service="stub"{scope}'

    def _lets_in(self, request: Seen, repository: str) -> bool:
        if self.auth == "none":
            return True
        scheme, _, shown = (request.authorization or "").partition(" ")
        if self.auth == "basic":
            return scheme == "Basic" and self._knows(shown)
        return scheme == "Bearer" and self.tokens.get(shown) in {repository, "*"}

    def _knows(self, basic: str) -> bool:
        name, _, password = base64.b64decode(basic).decode().partition(":")
        return self.users.get(name) == password

    def _token(self, request: Seen) -> Answer:
        scheme, _, shown = (request.authorization or "").partition(" ")
        if self.users and not (scheme == "Basic" and self._knows(shown)):
            return Answer(401, (), _errors("UNAUTHORIZED"))
        self._issued += 1
        scope = request.query.get("scope", ["repository:*:pull"])[0]
        token = f"stub-token-{self.port}-{self._issued}"
        self.tokens[token] = scope.split(":")[1]
        if shown:
            self.owners[token] = base64.b64decode(shown).decode().partition(":")[0]
        return _json({"token": token, "expires_in": self.token_life})


async def _read(reader: asyncio.StreamReader) -> Seen | None:
    head = await reader.readuntil(b"\r\n\r\n")
    first, *lines = head.decode("latin-1").removesuffix("\r\n\r\n").split("\r\n")
    method, target, _ = first.split(" ", 2)
    headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
    body = await reader.readexactly(int(headers.get("content-length", "0")))
    return Seen(method, target, headers, body)


async def _send(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, answer: Answer, *, head: bool) -> bool:
    """Send an answer; return whether the connection can be used again."""
    with suppress(TimeoutError):
        async with asyncio.timeout(answer.delay):
            if answer.delay and not await reader.read(1):
                raise ConnectionResetError("the client has left")
    if answer.raw is not None:
        writer.write(answer.raw)
        await writer.drain()
        return False
    length = len(answer.body) if answer.length is None else answer.length
    lines = [f"HTTP/1.1 {answer.status} Stub", *(f"{name}: {value}" for name, value in answer.headers)]
    if not answer.endless:
        lines.append(f"Content-Length: {length}")
    writer.write(("\r\n".join(lines) + "\r\n\r\n").encode("latin-1"))
    while not head:
        if answer.drip:
            for at in range(len(answer.body)):
                writer.write(answer.body[at : at + 1])
                await writer.drain()
                await asyncio.sleep(answer.drip)
        else:
            writer.write(answer.body)
        await writer.drain()
        await asyncio.sleep(0)  # TLS does not say that the client has left before the loop has had its turn
        if not answer.endless:
            break
    return not answer.endless and length == len(answer.body)


def _parts(path: str) -> tuple[str, str, str]:
    """Return repository, kind and name of a path such as ``/v2/org/app/manifests/latest``."""
    for kind in ("manifests", "blobs", "tags", "referrers"):
        before, found, name = path.removeprefix("/v2/").rpartition(f"/{kind}/")
        if found:
            return before, kind, name
    return "", "", ""


def _ranged(content: bytes, wanted: str | None) -> Answer:
    kind = ("Content-Type", "application/octet-stream")
    if wanted is None:
        return Answer(200, (kind,), content)
    first, _, last = wanted.removeprefix("bytes=").partition("-")
    start, end = int(first), min(int(last or len(content) - 1), len(content) - 1)
    part = ("Content-Range", f"bytes {start}-{end}/{len(content)}")
    return Answer(206, (kind, part), content[start : end + 1])


def _errors(code: str) -> bytes:
    return json.dumps({"errors": [{"code": code, "message": "stub"}]}).encode()


def _json(value: Any, *headers: tuple[str, str]) -> Answer:
    return Answer(200, (("Content-Type", "application/json"), *headers), json.dumps(value).encode())
