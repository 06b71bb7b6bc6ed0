"""What nginx does to a request, seen from both of its sides."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.front import Answer, Front, running_front
from tests.support.html_page import read_page
from tests.support.upstream_tls import UpstreamAuthority
from tests.support.waiting import PATIENCE


@pytest.fixture
async def front(folder: Path, free_port: int) -> AsyncIterator[Front]:
    """Run nginx in front of two servers."""
    async with running_front(folder, free_port) as running:
        yield running


def message(answer: Answer) -> str:
    """Return the message of an error in the registry's form."""
    assert answer.headers["content-type"] == "application/json"
    (error,) = json.loads(answer.body)["errors"]
    return f"{error['code']}: {error['message']}"


async def test_paths_reach_their_servers(front: Front) -> None:
    """/v2/ is the registry's; tokens, portal and /livez are authsvc's."""
    for path in ("/v2", "/v2/", "/v2/a/b/manifests/1", "/v2//x"):
        assert f"GET {path} HTTP/1.1".encode() in (await front.get(path)).body
    assert (front.registry.asked, front.edge.asked) == (4, 0)

    ours = (
        "/auth/token?scope=a%20b",
        "/auth/license-keys.json",
        "/livez",
        "/readyz",
        "/",
        "/portal",
        "/portal/images?a=%20",
        "/portal/join",
        "/portal/join/x",
        "/portal/licenses/import",
        "/portal/licenses/import/files",
    )
    for path in ours:
        assert f"GET {path} HTTP/1.1".encode() in (await front.get(path)).body
    assert (front.registry.asked, front.edge.asked) == (4, len(ours))


@pytest.mark.parametrize(
    "path",
    ["//", "/portals", "//portal/", "/%70ortal/", "/portal/../readyz",
     "/metrics", "/events/registry", "/auth", "/v1/", "/v2x", "/livez/", "/auth/../readyz",
     "/%72eadyz", "//readyz", "/v2/../metrics", "/v2/%2e%2e/readyz", "/nginx-error", "/nginx-page"],
)  # fmt: skip
async def test_nothing_else_is_served(front: Front, path: str) -> None:
    """Everything else is 404 in JSON and reaches nobody, however it is spelt."""
    answer = await front.get(path)

    assert answer.status == 404
    assert message(answer) == "NOT_FOUND: nothing is served at this address"
    assert (front.registry.asked, front.edge.asked) == (0, 0)


@pytest.mark.parametrize("path", ["/v2/", "/auth/token"])
async def test_claims_of_the_client_are_overwritten(front: Front, path: str) -> None:
    """No forwarding header of the client arrives; ours do, once each."""
    liar = ["Forwarded: for=6.6.6.6;host=evil;proto=gopher"]
    for name in ("For", "Host", "Proto", "Port", "Prefix"):
        liar += [f"X-Forwarded-{name}: evil", f"x-forwarded-{name}: evil2"]
    answer = await front.get(path, *liar, "X-Real-IP: 6.6.6.6", "X-Request-Id: evil")

    head = answer.body.decode().lower()
    assert "evil" not in head
    assert "6.6.6.6" not in head
    assert "typed.example" not in head
    for line in (
        "host: public.example",
        "x-forwarded-for: 127.0.0.1",
        "x-forwarded-host: public.example",
        "x-forwarded-proto: https",
        "x-real-ip: 127.0.0.1",
    ):
        assert head.count(f"\r\n{line}\r\n") == 1


async def test_a_license_file_fits_into_the_header(front: Front) -> None:
    """8 KiB in base64, behind a user name, arrive whole; more than 16 KiB are refused in words."""
    secret = "x" * (8 * 1024 * 4 // 3 + 100)
    assert f"Basic {secret}\r\n".encode() in (await front.get("/auth/token", f"Authorization: Basic {secret}")).body

    answer = await front.get("/auth/token", f"Authorization: Basic {'x' * 17000}")

    assert answer.status == 431
    assert "is the password or the license file too long?" in message(answer)


@pytest.mark.parametrize(
    ("request_text", "status"),
    [
        ("nonsense\r\n\r\n", 400),
        ("GET /v2/ HTTP/1.1\r\n\r\n", 400),
        ("GET /v2/%00 HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("GET /../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", 400),
        ("TRACE / HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("FOO /auth/token HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("PROPFIND /v2/ HTTP/1.1\r\nHost: x\r\n\r\n", 405),
        ("POST /auth/token HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n", 413),
        ("GET /" + "a" * 17000 + " HTTP/1.1\r\nHost: x\r\n\r\n", 414),
        ("POST /v2/ HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: strange\r\n\r\n", 501),
    ],
)
async def test_refusals_are_never_pages(front: Front, request_text: str, status: int) -> None:
    """What nginx refuses by itself is said as a registry says it."""
    answer = await front.ask(request_text.encode())

    assert answer.status == status
    assert message(answer).startswith("UNSUPPORTED: ")
    assert answer.headers.get("allow") == ("GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS" if status == 405 else None)
    assert front.edge.asked == 0


async def test_the_api_says_which_methods_an_address_has(front: Front) -> None:
    """A method that the API does not serve is passed on below /api/ alone: its answer is a problem with `Allow`."""
    await front.ask(b"QUERY /api/v1/apps HTTP/1.1\r\nHost: x\r\n\r\n")
    assert front.edge.asked == 1


@pytest.mark.parametrize("method", ["FOO", "GETS", "BREW", "CONNECTION"])
async def test_a_made_up_method_is_a_problem(front: Front, method: str) -> None:
    """The HTTP parser of the API would refuse it as plain text."""
    answer = await front.ask(f"{method} /api/v1/apps HTTP/1.1\r\nHost: x\r\n\r\n".encode())

    assert (answer.status, answer.headers["content-type"]) == (405, "application/problem+json")
    assert json.loads(answer.body)["code"] == "method_not_allowed"
    assert answer.headers["allow"] == "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"
    assert front.edge.asked == 0


@pytest.mark.parametrize(
    ("path", "length", "advice"),
    [
        ("/portal/licenses/import", 2 * 1024 * 1024 + 1, "has at most 256 KiB and 1,000 rows. Split it"),
        ("/portal/licenses/renew?app=acme", 2 * 1024 * 1024 + 1, "has at most 256 KiB and 1,000 rows. Split it"),
        ("/portal/settings/name", 65537, "takes 64 KiB at most"),
        ("/portal", 65537, "takes 64 KiB at most"),
        ("/c/asv_page_secret/images", 1024 * 1024 + 1, "A pasted text has at most 256 KiB. Split it"),
    ],
)
async def test_people_get_a_page(front: Front, path: str, length: int, advice: str) -> None:
    """What is too long for the portal is said as its own pages say it, with the limit and what to do."""
    answer = await front.ask(f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n".encode())
    text = read_page(answer.body.decode()).text
    assert (answer.status, answer.headers["content-type"]) == (413, "text/html; charset=utf-8")
    assert "the request body is larger than this address accepts" in text
    assert advice in text
    assert answer.headers["content-security-policy"].startswith("default-src 'none';")
    assert (answer.headers["cache-control"], answer.headers["referrer-policy"]) == ("no-store", "no-referrer")
    assert b"asv_page" not in answer.body
    assert front.edge.asked == 0


@pytest.mark.parametrize("path", ["/v2/", "/auth/token", "/api/v1/apps", "/portal/images", "/c/asv_page_secret"])
async def test_tls_is_asked_for_with_every_answer(folder: Path, free_port: int, path: str) -> None:
    """Also what nginx answers by itself, in each of its three forms, tells browsers to come back with TLS alone."""
    authority = UpstreamAuthority.make(folder / "tls")
    files, tls = authority.issue("127.0.0.1"), ssl.create_default_context(cafile=str(authority.file))
    certificate, key = str(files.certificate), str(files.key)
    too_long = f"POST {path} HTTP/1.1\r\nHost: x\r\nContent-Length: {1024**5}\r\n\r\n".encode()
    async with running_front(folder, free_port, tls=tls, certificate=certificate, certificate_key=key) as front:
        answers = [await front.get(path)]
        front.edge_server.close()
        front.registry_server.close()
        answers += [await front.get(path), await front.ask(too_long)]

    assert [answer.status for answer in answers[:2]] == [200, 503]
    assert {answer.headers.get("strict-transport-security") for answer in answers} == {"max-age=31536000"}


async def test_a_page_while_a_part_restarts(front: Front) -> None:
    """The portal says so to people, and when to come back."""
    front.edge_server.close()
    answer = await front.get("/portal/images")
    assert (answer.status, answer.headers["retry-after"]) == (503, "5")
    assert "Try again in a few seconds." in read_page(answer.body.decode()).text
    assert "\n" in answer.body.decode()


@pytest.mark.parametrize("path", ["import", "renew", "import/files"])
async def test_a_file_of_licenses_passes(front: Front, path: str) -> None:
    """It is longer than what any other page takes; authsvc says itself what is too long."""
    body = "x" * 600_000

    async def read_all(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await reader.readexactly(len(body))  # else the connection would be reset while nginx is sending
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    front.edge.talk = read_all
    sent = f"POST /portal/licenses/{path} HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n\r\n{body}"
    answer = await front.ask(sent.encode())
    assert (answer.status, front.edge.asked) == (200, 1)


@pytest.mark.parametrize("path", ["/v2/", "/auth/token"])
async def test_a_missing_upstream_is_a_503(front: Front, path: str) -> None:
    """While a part restarts clients are told to come back, in the registry's form."""

    async def hang_up(reader: asyncio.StreamReader, _writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")

    front.registry.talk = front.edge.talk = hang_up
    died = await front.get(path)
    front.registry_server.close()
    front.edge_server.close()
    gone = await front.get(path)

    for answer in (died, gone):
        assert (answer.status, answer.headers["retry-after"]) == (503, "5")
        assert message(answer).startswith("UNAVAILABLE: a part of the registry is starting or restarting")


@pytest.mark.parametrize(
    ("said", "passed"),
    [("max-age=31536000", "private, max-age=31536000"), ("no-store", "no-store"), ("private", "private"), (None, None)],
)
async def test_a_layer_is_not_for_shared_caches(front: Front, said: str | None, passed: str | None) -> None:
    """The registry allows a year, and the layer is this customer's alone."""

    async def blob(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        header = f"Cache-Control: {said}\r\n" if said else ""
        writer.write(f"HTTP/1.1 200 OK\r\n{header}Content-Length: 4\r\nConnection: close\r\n\r\nours".encode())

    front.registry.talk = blob
    answer = await front.get("/v2/a/b/blobs/sha256:0")
    assert answer.headers.get("cache-control") == passed


@pytest.mark.parametrize("status_line", ["401 license of Globex was revoked", "404 x", "502 x", "503 x", "429 x"])
async def test_answers_of_upstreams_pass_as_they_are(front: Front, status_line: str) -> None:
    """Reason phrase and body of an upstream's own error reach the client: docker shows them."""

    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(f"HTTP/1.1 {status_line}\r\nContent-Length: 4\r\nConnection: close\r\n\r\nours".encode())

    front.registry.talk = front.edge.talk = refuse

    for path in ("/v2/", "/auth/token"):
        answer = await front.get(path)
        assert (answer.status_line, answer.body) == (f"HTTP/1.1 {status_line}", b"ours")


async def test_a_deletion_may_look_at_every_tag(folder: Path, free_port: int) -> None:
    """It may take longer than any other request, at the API and in the portal alike."""
    long, release = ("/api/v1/images/a/b:1", "/portal/images/a/b:1/-/delete"), asyncio.Event()

    async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await release.wait()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    def hurry(text: str) -> str:
        assert "proxy_read_timeout 30s;" in text
        return text.replace("proxy_read_timeout 30s;", "proxy_read_timeout 1s;")

    async with running_front(folder, free_port, hurry) as front:
        front.edge.talk = slow
        waiting = [asyncio.create_task(front.get(path)) for path in long]
        async with asyncio.timeout(PATIENCE):
            while front.edge.asked < len(long):
                await asyncio.sleep(0.02)
            shorter = await front.get("/portal/images/a/b:1")  # begun last, and given up first
            release.set()
            answers = [await one for one in waiting]

    assert (shorter.status, [one.status for one in answers]) == (503, [200, 200])


@pytest.mark.parametrize("request_line", ["PATCH /v2/x", "POST /c/x/images", "POST /portal/licenses/import"])
async def test_an_upload_is_not_stored_on_the_way(front: Front, request_line: str) -> None:
    """The first piece of a layer, a pasted text or a file arrives before the client has sent the last."""
    arrived = asyncio.Event()

    async def upload(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head.lower()
        await reader.readuntil(b"first")
        arrived.set()
        await reader.readuntil(b"last")
        writer.write(b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")

    front.registry.talk = front.edge.talk = upload
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(f"{request_line} HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nfirst\r\n".encode())
    async with asyncio.timeout(PATIENCE):
        await arrived.wait()

    writer.write(b"4\r\nlast\r\n0\r\n\r\n")

    assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 202 ")
    writer.close()


async def test_a_download_is_not_stored_on_the_way(front: Front) -> None:
    """The client sees the first piece of a layer before the registry has sent the last."""
    seen = asyncio.Event()

    async def download(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\nConnection: close\r\n\r\nfirst")
        await writer.drain()
        await seen.wait()
        writer.write(b"last")

    front.registry.talk = download
    reader, writer = await asyncio.open_connection("127.0.0.1", front.port)
    writer.write(b"GET /v2/x HTTP/1.1\r\nHost: x\r\n\r\n")
    async with asyncio.timeout(PATIENCE):
        await reader.readuntil(b"first")
    seen.set()

    assert await reader.readexactly(4) == b"last"
    writer.close()
