"""Linked registries that want more of nginx than to pass on their bytes, and what it would do if it believed them."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.linked_front import BLOB, PATH, Pulls, running_pulls, whole
from tests.support.waiting import PATIENCE

SMUGGLED = b"HTTP/1.1 200 OK\r\nSet-Cookie: evil\r\nContent-Length: 4\r\n\r\nevil"
LAYER_OF_ANOTHER = b"a layer of another team"
TARGETS = ("/-/blob-head", "/-/blob", "/-/cached", "/-/manifest", "/livez", "/nginx-error", "@linked-answer")

HITS, MOST_PULLS = 2, 100
"""How often a hostile blob is pulled from the cache, and how many pulls that may take."""


@pytest.fixture
async def pulls(folder: Path, free_port: int) -> AsyncIterator[Pulls]:
    """Run all three."""
    async with running_pulls(folder, free_port) as running:
        yield running


def hostile(pulls: Pulls, target: str, *headers: str) -> bytes:
    """Return a blob whose headers would have nginx read a foreign one, and fetch what no client can reach."""
    return whole(
        BLOB,
        "200 OK",
        f"X-Accel-Redirect: {target}",
        "X-Linked-Key: another",
        f"X-Linked-Address: http://127.0.0.1:{pulls.linked.port}",
        "X-Linked-Uri: /metadata",
        "X-Linked-Host: metadata.internal",
        "X-Linked-Name: x",
        *headers,
    )


async def gained(pulls: Pulls, target: str, *headers: str) -> set[str]:
    """Return what a linked registry gains from pulls of its blob, until two came from the cache."""
    pulls.linked.answer = lambda head: whole(b"inside") if "/metadata" in head else hostile(pulls, target, *headers)
    pulls.key = f"own:{target}"
    found, hits = set(), 0
    for _ in range(MOST_PULLS):
        misses = fetches_of(pulls)
        try:
            answer = await pulls.get()
        except (asyncio.IncompleteReadError, ConnectionError):
            found.add("broken")
            break
        found |= {"foreign"} if answer.body == LAYER_OF_ANOTHER else set()
        found |= set() if (answer.status, answer.body) == (200, BLOB) else {"answer"}
        hits += fetches_of(pulls) == misses
        if hits == HITS:
            break
        await asyncio.sleep(0.01)  # the client has the last byte a moment before the cache has the blob
    else:
        found.add("never from the cache")
    return found | ({"fetch"} if any("GET /metadata" in head for head in pulls.linked.heads) else set())


def fetches_of(pulls: Pulls) -> int:
    """Return how often authsvc was asked where a blob is fetched."""
    return [step.get("x-authsvc-step") for step in pulls.steps].count("target")


async def pull_of_another(pulls: Pulls) -> None:
    """Have a blob of another team in the cache."""
    pulls.linked.answer = lambda _: whole(LAYER_OF_ANOTHER)
    pulls.key = "another"
    assert (await pulls.get()).body == LAYER_OF_ANOTHER


async def test_a_hostile_x_accel_redirect(pulls: Pulls) -> None:
    """An upstream's own X-Accel-Redirect is only a header, when it comes and on every hit of the cache."""
    await pull_of_another(pulls)

    slow = ("X-Accel-Limit-Rate: 1", "X-Accel-Expires: 1")
    assert {target: await gained(pulls, target, *slow) for target in TARGETS} == {key: set() for key in TARGETS}


async def test_the_trap_is_real(folder: Path, free_port: int) -> None:
    """Without the one directive the same upstream has nginx fetch whatever it names."""

    def broken(text: str) -> str:
        directive = "proxy_ignore_headers X-Accel-Redirect X-Accel-Expires"
        assert text.count(directive) == 1
        return text.replace(directive, "proxy_ignore_headers X-Accel-Expires")

    async with running_pulls(folder, free_port, broken) as pulls:
        assert "fetch" in await gained(pulls, "/-/blob-head")


async def test_the_trap_of_the_cache_is_real(folder: Path, free_port: int) -> None:
    """When the location of cached blobs obeys X-Accel-Redirect, as it once did, a hit obeys the linked registry."""

    def broken(text: str) -> str:
        directive = "recursive_error_pages on;\n            send_timeout 900s;\n            proxy_pass http://edge"
        assert text.count(directive) == 1
        return text.replace(directive, f"proxy_ignore_headers Vary; {directive}")

    async with running_pulls(folder, free_port, broken) as pulls:
        pulls.redirects = True
        await pull_of_another(pulls)

        assert "foreign" in await gained(pulls, "/-/cached")


async def test_the_registry_has_no_redirects_either(pulls: Pulls) -> None:
    """Our own registry, which S3 or a plug-in may answer through, opens nothing."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(hostile(pulls, "/-/blob-head"))
        writer.close()

    pulls.front.registry.talk = answer
    await pulls.front.get("/v2/acme/x/blobs/y")

    assert pulls.linked.heads == []


MOST = 1024 * 1024
"""Bytes of a blob that a cache of 4 MiB keeps."""
SHORT = "Content-Length: 5"
LONG = f"Content-Length: {MOST + 1}"
CHUNKED = "Transfer-Encoding: chunked"


@pytest.mark.parametrize(
    ("headers", "asked", "is_kept"),
    [
        ([f"Content-Length: {MOST}"], "bytes=0-", True),
        ([LONG], "bytes=0-", False),
        ([SHORT, LONG], "bytes=0-", False),
        ([SHORT, LONG], "bytes=0-9", False),
        ([SHORT, LONG], "bytes=0-0,2-9", False),
        ([SHORT, CHUNKED], "bytes=0-", False),
    ],
    ids=["most", "more", "two", "range", "ranges", "chunked"],
)
async def test_a_large_blob_is_not_kept(
    folder: Path, free_port: int, headers: list[str], asked: str, *, is_kept: bool
) -> None:
    """What takes more than a quarter of the cache, or hides how much it takes, is passed on and never written."""
    async with running_pulls(folder, free_port, cache_size=4) as pulls:
        lines = "".join(f"{line}\r\n" for line in headers)
        body = b"5\r\nbytes\r\n0\r\n\r\n" if CHUNKED in headers else bytes(int(headers[-1].split()[-1]))
        pulls.linked.answer = lambda _: f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode() + body
        for _ in range(2):
            assert (await pulls.get(f"Range: {asked}")).status in {200, 206}

    assert len(pulls.linked.heads) == (1 if is_kept else 2)


async def test_headers_that_a_browser_or_a_client_obeys(pulls: Pulls) -> None:
    """The client gets the bytes, and no instruction of a linked registry, neither at first nor from the cache."""
    names = ["Content-Encoding", "Access-Control-Allow-Origin", "Access-Control-Allow-Credentials", "NEL", "Report-To"]
    names += [
        "Cache-Control",
        "Vary",
        "Upgrade",
        "Content-Range",
        "Reporting-Endpoints",
        "Service-Worker-Allowed",
        "X-Linked-Key",
        "X-Linked-Authorization",
        "Set-Cookie",
    ]
    pulls.linked.answer = lambda _: whole(BLOB, "200 OK", *(f"{name}: evil" for name in names))
    for method in ("HEAD", "GET", "GET"):
        assert "evil" not in (await pulls.get(method=method)).headers.values()


@pytest.mark.parametrize("header", ["Range: bytes=1024000-", 'If-Match: "x"'])
async def test_a_condition_that_does_not_hold(pulls: Pulls, header: str) -> None:
    """It is told in the words of a registry, of a blob that is fetched and of one that is cached."""
    for _ in range(2):
        answer = await pulls.get(header)
        (error,) = json.loads(answer.body)["errors"]
        assert (answer.status, error["code"]) == (416 if "Range" in header else 412, "UNSUPPORTED")
        pulls.linked.answer = lambda _: whole(BLOB)
        assert (await pulls.get()).body == BLOB


@pytest.mark.parametrize("path", ["/-/cached", "/%2d/cached", "/%2d/blob", "/-/manifest?x=|200", "/-/none"])
async def test_an_internal_address_is_nothing(pulls: Pulls, path: str) -> None:
    """And that is told in the words of a registry, too."""
    answer = await pulls.front.get(path)

    assert (answer.status, json.loads(answer.body)["errors"][0]["code"]) == (404, "NOT_FOUND")
    assert pulls.steps == []


@pytest.mark.parametrize("status", [310, 430, 461, 462, 463, 498, 599])
async def test_a_status_that_nobody_knows(pulls: Pulls, status: int) -> None:
    """It is told by authsvc; also one by which authsvc sends nginx on is an error when a linked registry says it."""
    pulls.linked.answer = lambda _: whole(
        b"", f"{status} Elsewhere", "X-Linked-Key: another", "X-Linked-Uri: /metadata"
    )
    answer = await pulls.get()

    assert answer.status == 502
    assert [step.get("x-authsvc-step", "") for step in pulls.steps] == ["", "target", "answer"]
    assert len(pulls.linked.heads) == 1


CHALLENGE = b'HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Bearer realm="https://evil.example"\r\n\r\n'
BEFORE = b"HTTP/1.1 102 Processing\r\nDate: now\r\n\r\n" + CHALLENGE
OLD = CHALLENGE.replace(b"HTTP/1.1", b"HTTP/0.9")
"""Go's library reads any version of one digit; nginx reads no version 0, and takes it for bytes of HTTP/0.9."""


async def is_shown(pulls: Pulls, method: str, sent: bytes, redirected: bytes | None = None) -> bool:
    """Whether a client sees the challenge that a linked registry sends, or where it redirects to."""
    pulls.linked.answer = lambda head: redirected if redirected and " /cdn " in head else sent
    for _ in range(2):
        reader, writer = await asyncio.open_connection("127.0.0.1", pulls.front.port)
        writer.write(f"{method} {PATH} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(PATIENCE):
            got = await reader.read()
        writer.close()
        while got.startswith(b"HTTP/1.1 1"):  # such a one comes before the answer (RFC 9110, section 15.2)
            got = got.partition(b"\r\n\r\n")[2]
        head = got.partition(b"\r\n\r\n")[0].lower()
        if re.match(rb"http/\d.\d 401 ", head) and b"evil" in head:
            return True
    return False


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize("sent", [BEFORE, BEFORE.replace(b"102", b"199"), OLD, OLD.lower(), b"HTTP/" + OLD, CHALLENGE])
async def test_no_challenge_of_a_linked_registry(pulls: Pulls, method: str, sent: bytes) -> None:
    """None reaches a client, which would bring its license there: neither before the answer nor in its place."""
    pulls.on_answer = lambda _: whole(b"{}", "502 ours")
    assert not await is_shown(pulls, method, sent)

    # Nor from where it has redirected to.
    pulls.on_answer = lambda step: pulls.target("/cdn") if step["x-authsvc-hop"] == "0" else whole(b"{}", "502 ours")
    assert not await is_shown(pulls, method, whole(b"", "307 X", "Location: /cdn"), sent)


@pytest.mark.parametrize(
    ("sent", "safe", "broken"),
    [(BEFORE, "=200 /-/blob", "= /-/blob"), (OLD, 'sub_filter $linked_no_http "refused: ";', "")],
)
async def test_the_traps_of_a_challenge_are_real(
    folder: Path, free_port: int, sent: bytes, safe: str, broken: str
) -> None:
    """Without what keeps it back, a customer's client would see it."""

    def changed(text: str) -> str:
        assert safe in text
        return text.replace(safe, broken)

    async with running_pulls(folder, free_port, changed) as pulls:
        assert await is_shown(pulls, "GET", sent)


@pytest.mark.parametrize("status", ["099", "201", "206", "499", "600", "777", "999"])
async def test_a_status_that_nginx_has_no_page_for(pulls: Pulls, status: str) -> None:
    """To the client it is a blob of other bytes, which it sees by the digest; it is never kept."""
    pulls.linked.answer = lambda _: whole(b"secret words", f"{status} X", "WWW-Authenticate: evil", "Upgrade: evil")
    answer = await pulls.get()
    assert answer.status_line == "HTTP/1.1 200 OK"
    assert "evil" not in answer.headers.values()
    pulls.linked.answer = lambda _: whole(BLOB)

    assert (await pulls.get()).body == BLOB


@pytest.mark.parametrize("length", ["Content-Length", "X-Length"])
async def test_the_word_http_in_a_blob(pulls: Pulls, length: str) -> None:
    """Bytes of a blob are left alone, whatever they are."""
    body = b"HTTP/1.1 401\r\nhttp/\r\n\r\n" + BLOB
    pulls.linked.answer = lambda _: whole(body, "200 OK", "Date: now").replace(b"Content-Length", length.encode())

    assert [(await pulls.get()).body for _ in range(2)] == [body, body]


def beginning(status: str, *headers: str) -> bytes:
    """Return a response that goes on with another one."""
    return "".join(f"{line}\r\n" for line in (f"HTTP/1.1 {status}", *headers, "")).encode() + SMUGGLED


@pytest.mark.parametrize("method", ["GET", "HEAD"])
@pytest.mark.parametrize(
    "answer",
    [
        beginning("100 Continue", f"Content-Length: {len(SMUGGLED)}"),
        beginning("101 Switching Protocols", "Upgrade: h2c", "Connection: upgrade"),
        beginning("103 Early Hints", "Link: </x>"),
        beginning("099 No"),
        beginning("199 No"),
        beginning("204 No Content", "Content-Length: 1"),
        beginning("304 Not Modified", "Content-Length: 1"),
        beginning("600 No"),
        b"HTTPS/1.1 200 OK\r\n\r\n" + SMUGGLED,
    ],
    ids=["100", "101", "103", "099", "199", "204", "304", "600", "no-status"],
)
async def test_it_writes_no_answer_of_ours(pulls: Pulls, method: str, answer: bytes) -> None:
    """Neither the head of the answer to the pull, nor that of the next one on a connection that clients share."""
    pulls.linked.answer = lambda _: answer
    reader, writer = await asyncio.open_connection("127.0.0.1", pulls.front.port)
    for line in (f"{method} {PATH} HTTP/1.1", "Host: a", "Connection: upgrade", "Upgrade: h2c", ""):
        writer.write(f"{line}\r\n".encode())
    writer.write(b"GET /livez HTTP/1.1\r\nHost: a\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        received = await reader.read()
    writer.close()

    head = received.partition(b"\r\n\r\n")[0]
    assert b"evil" not in head
    if answer.startswith(b"HTTP/"):
        assert head.startswith((b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 502 "))
        assert b"\r\nConnection: close" in head
    assert [step for step in pulls.steps if "/livez" in step["request"]] == []
