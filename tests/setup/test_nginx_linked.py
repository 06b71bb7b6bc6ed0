"""What nginx does for linked registries: it fetches what authsvc names, and believes nobody else."""

import asyncio
import json
import random
import re
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.front import NGINX_SECRET
from tests.support.linked_front import BLOB, DIGEST, PATH, SECRET, Pulls, running_pulls, whole
from tests.support.waiting import PATIENCE


@pytest.fixture
async def pulls(folder: Path, free_port: int) -> AsyncIterator[Pulls]:
    """Run all three."""
    async with running_pulls(folder, free_port) as running:
        yield running


async def test_a_blob_is_fetched_once(pulls: Pulls) -> None:
    """Bytes, our own headers, one request to the linked registry for many; each pull is decided by authsvc."""
    answers = [await pulls.get(), *await asyncio.gather(*(pulls.get() for _ in range(10)))]

    assert {(answer.status, answer.body) for answer in answers} == {(200, BLOB)}
    assert len(pulls.linked.heads) == 1
    assert Counter(step.get("x-authsvc-step", "") for step in pulls.steps) == {"": 11, "target": 1}
    headers = answers[-1].headers
    assert headers["content-type"] == "application/octet-stream"
    assert headers["docker-content-digest"] == DIGEST
    assert "set-cookie" not in headers
    assert not [name for name in headers if name.startswith("x-linked")]


async def test_forty_cold_pulls_are_one_fetch(pulls: Pulls) -> None:
    """Those who come while a blob arrives wait for it."""
    answers = await asyncio.gather(*(pulls.get() for _ in range(40)))

    assert {(answer.status, answer.body) for answer in answers} == {(200, BLOB)}
    assert len(pulls.linked.heads) == 1


@pytest.mark.parametrize(
    "body",
    ["Content-Length: 5\r\n\r\nhello", "Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n"],
    ids=["length", "chunked"],
)
async def test_what_the_linked_registry_sees(pulls: Pulls, body: str) -> None:
    """The URI byte for byte, its own credential, and nothing of the client or of ours."""
    await pulls.get("Cookie: a=b", "X-Authsvc-Step: evil", "X-Forwarded-For: 6.6.6.6", "User-Agent: client/1", body)

    request, *lines = pulls.linked.heads[0].strip().split("\r\n")
    assert request == "GET /v2/org/image/blobs/x?a=%2F%20+;%25 HTTP/1.1"
    assert sorted(lines) == [
        "Accept-Encoding: identity",
        "Accept: */*",
        f"Authorization: {SECRET}",
        "Connection: close",
        "Host: upstream.example",
        "User-Agent: authsvc",
    ]


@pytest.mark.parametrize("path", [PATH, "/auth/token", "/api/v1/apps", "/livez"])
async def test_a_client_cannot_name_a_step(pulls: Pulls, path: str) -> None:
    """The headers between nginx and authsvc are overwritten everywhere."""
    names = ("Step", "Digest", "Status", "Location", "Hop", "Limited", "Origin", "Method", "Secret")
    await pulls.front.get(path, *(f"X-Authsvc-{name}: evil" for name in names))

    assert "evil" not in json.dumps(pulls.steps)


async def test_authsvc_is_shown_the_secret_for_linked_images_alone(pulls: Pulls) -> None:
    """At every step of a pull, and nowhere else: neither our registry nor a linked one sees it."""
    pulls.linked.answer = lambda _: whole(b"", "404 No")
    pulls.on_answer = lambda _: whole(b"{}", "404 ours")
    await pulls.get()
    assert [step.get("x-authsvc-step", "") for step in pulls.steps] == ["", "target", "answer"]
    assert {step["x-authsvc-secret"] for step in pulls.steps} == {NGINX_SECRET}
    del pulls.steps[:]
    for path in ("/auth/token", "/api/v1/apps", "/api/v1/images/x", "/livez"):
        await pulls.front.get(path)
    pulls.front.registry.talk = pulls.decide
    for path in ("/v2/", "/v2/acme/x/tags/list", "/v2"):
        await pulls.front.get(path)

    assert len(pulls.steps) == 7
    assert NGINX_SECRET not in json.dumps([pulls.steps, pulls.linked.heads])


@pytest.mark.parametrize("path", ["/-/blob", "/-/manifest", "/-/cached", "/-/", "/v2/../-/blob", "/%2d/blob"])
async def test_no_client_reaches_an_internal_location(pulls: Pulls, path: str) -> None:
    """They are for authsvc's redirects alone."""
    answer = await pulls.front.get(path, f"X-Linked-Address: http://127.0.0.1:{pulls.linked.port}", "X-Linked-Uri: /")

    assert answer.status == 404
    assert (pulls.linked.heads, pulls.steps) == ([], [])


@pytest.mark.parametrize(
    ("asked", "status", "part"),
    [
        ("0-9", 206, BLOB[:10]),
        ("1000-", 206, BLOB[1000:]),
        ("-5", 206, BLOB[-5:]),
        ("0-9,20-29", 200, BLOB),
        (f"{len(BLOB)}-", 416, None),
    ],
)
async def test_ranges(pulls: Pulls, asked: str, status: int, part: bytes | None) -> None:
    """A part of a blob, cached or not."""
    for _ in range(2):
        answer = await pulls.get(f"Range: bytes={asked}")
        assert answer.status == status
        assert part is None or answer.body == part
    # A range that lies outside of an unknown blob is answered, and what follows of the blob is not kept.
    assert len(pulls.linked.heads) == (1 if part else 2)


async def test_a_head_is_no_fetch(pulls: Pulls) -> None:
    """The size comes from the linked registry, and no byte of the blob."""
    for _ in range(2):
        answer = await pulls.get(method="HEAD")
        assert (answer.status, answer.headers["content-length"]) == (200, str(len(BLOB)))
    assert [head.split()[0] for head in pulls.linked.heads] == ["HEAD"] * 2
    # A client has the last byte a moment before the cache has the blob, and a second one waits for that.
    for _ in range(2):
        await pulls.get()
    answer = await pulls.get(method="HEAD")
    assert (answer.status, answer.headers["content-length"]) == (200, str(len(BLOB)))
    assert len(pulls.linked.heads) == 3


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_followed_by_authsvc(pulls: Pulls, status: int) -> None:
    """Nginx asks authsvc, which answers with a new address; the credential does not go there."""
    place = "https://cdn.example/x?sig=a%2Fb+c"

    def linked(head: str) -> bytes:
        return whole(BLOB) if "GET /cdn" in head else whole(b"", f"{status} There", f"Location: {place}")

    pulls.linked.answer = linked
    pulls.on_answer = lambda _: pulls.target(uri="/cdn", hop="1")

    assert (await pulls.get()).body == BLOB
    step = pulls.steps[2]
    assert step["request"] == f"GET {PATH} HTTP/1.1"
    assert (step["x-authsvc-location"], step["x-authsvc-origin"]) == (place, "http://upstream.example")
    assert (step["x-authsvc-hop"], step["x-authsvc-method"]) == ("0", "GET")
    assert step["x-authsvc-status"].endswith(str(status))
    assert step["authorization"] == "Bearer ours"
    assert "Authorization" not in pulls.linked.heads[1]
    # What came by a redirect is cached under the same name.
    assert (await pulls.get()).body == BLOB
    assert len(pulls.linked.heads) == 2


async def test_four_hops_and_no_more(pulls: Pulls) -> None:
    """An endless redirect ends, also when authsvc would go on."""
    pulls.linked.answer = lambda _: whole(b"", "302 There", "Location: /x")
    pulls.on_answer = lambda step: pulls.target(hop=str(int(step["x-authsvc-hop"]) + 1))

    assert (await pulls.get()).status == 500
    assert 5 == len(pulls.linked.heads)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 416, 429, 500, 502, 503])
async def test_an_error_of_the_linked_registry_is_told_by_authsvc(pulls: Pulls, status: int) -> None:
    """Its own words reach no client, and it is not cached."""
    pulls.linked.answer = lambda _: whole(b"secret words", f"{status} No")
    pulls.on_answer = lambda _: whole(b"{}", "404 ours", "Content-Type: application/json")
    answers = [await pulls.get(), await pulls.get()]

    if status == 416:  # what nginx says for itself of a range, too
        assert {answer.status for answer in answers} == {416}
        return
    assert {(answer.status_line, answer.body) for answer in answers} == {("HTTP/1.1 404 ours", b"{}")}
    assert pulls.steps[2]["x-authsvc-status"].split()[-1] == str(status)
    assert len(pulls.linked.heads) == 2


@pytest.mark.parametrize(
    "broken",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(BLOB) + BLOB[:100_000],
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n10\r\nabcdefghijklmnop\r\n",
        b"HTTP/1.1 200 OK\r\n\r\n" + BLOB[:100_000],
    ],
    ids=["short", "chunks", "endless"],
)
async def test_half_a_blob_is_not_kept(pulls: Pulls, broken: bytes) -> None:
    """A connection that breaks is a broken pull, and the next one fetches again."""
    pulls.linked.answer = lambda _: broken
    with pytest.raises((asyncio.IncompleteReadError, AssertionError)):
        assert (await pulls.get()).body == BLOB
    pulls.linked.answer = lambda _: whole(BLOB)

    async with asyncio.timeout(PATIENCE):
        while (await pulls.get()).body != BLOB:
            pass


async def test_a_connection_that_breaks_anywhere(pulls: Pulls) -> None:
    """At fifty places: the client sees that it broke, never other bytes, and the next pull has all of them."""
    places = random.Random(20261127).sample(range(len(BLOB)), 50)
    for place in places:
        pulls.key, cut = str(place), whole(BLOB)[: -len(BLOB)] + BLOB[:place]
        pulls.linked.answer = lambda _, cut=cut: cut  # type: ignore[misc]
        with pytest.raises(asyncio.IncompleteReadError) as broken:
            await pulls.get()
        assert BLOB.startswith(broken.value.partial) or not broken.value.partial
        pulls.linked.answer = lambda _: whole(BLOB)
        assert (await pulls.get()).body == BLOB


async def test_a_cached_blob_outlives_its_registry(pulls: Pulls) -> None:
    """What is known by its digest needs no linked registry any more; what is not, is told by authsvc."""
    await pulls.get()
    pulls.linked.port = 1
    pulls.on_answer = lambda step: whole(step["x-authsvc-status"].encode(), "503 ours")

    assert (await pulls.get()).body == BLOB
    pulls.key = "another"
    answer = await pulls.get()
    assert (answer.status, answer.body.split()[-1]) == (503, b"502")


async def test_keys_keep_credentials_apart(pulls: Pulls) -> None:
    """Another team, link, credential or repository is another fetch."""
    for key in ("a", "b", "a", "b"):
        pulls.key = key
        assert (await pulls.get()).body == BLOB

    assert len(pulls.linked.heads) == 2


async def test_a_manifest_comes_from_authsvc_once(pulls: Pulls) -> None:
    """Nginx asks authsvc for it with the client's token, and keeps it; HEAD and GET are one fetch."""
    key = "manifest"

    async def decide(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
        pulls.linked.heads.append(head)
        manifest = whole(b'{"m":1}', "200 OK", "Content-Type: application/x", "Cache-Control: no-store")
        accel = (
            "X-Accel-Redirect: /-/manifest",
            f"X-Linked-Digest: {DIGEST}",
            f"X-Linked-Key: {key}",
            'X-Linked-Warning: 110 - "stale"',
        )
        writer.write(manifest if "X-Authsvc-Step: manifest" in head else whole(b"", "200 OK", *accel))

    pulls.front.edge.talk = decide
    answers = [await pulls.get(method=method) for method in ("HEAD", "GET", "GET")]

    assert [(answer.status, answer.body) for answer in answers] == [(200, b""), (200, b'{"m":1}'), (200, b'{"m":1}')]
    assert {answer.headers["content-length"] for answer in answers} == {"7"}
    assert {answer.headers["warning"] for answer in answers} == {'110 - "stale"'}
    fetches = [head for head in pulls.linked.heads if "X-Authsvc-Step: manifest" in head]
    assert len(fetches) == 1
    assert fetches[0].startswith(f"GET {PATH} HTTP/1.1\r\n")
    assert f"X-Authsvc-Digest: {DIGEST}\r\n" in fetches[0]
    assert "Authorization: Bearer ours\r\n" in fetches[0]
    assert f"X-Authsvc-Secret: {NGINX_SECRET}\r\n" in fetches[0]


@pytest.mark.parametrize("zone", ["linked_subject", "linked_team", "linked_link", "linked_all"])
async def test_more_transfers_than_allowed(folder: Path, free_port: int, zone: str) -> None:
    """One above the limit of a customer, a team, a link or all is told by authsvc, and the others go on."""

    def one(text: str) -> str:
        changed, count = re.subn(rf"limit_conn {zone} \d+;", f"limit_conn {zone} 1;", text)
        assert count == 1
        return changed

    async with running_pulls(folder, free_port, one) as pulls:
        may_go_on = asyncio.Event()

        async def slow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await reader.readuntil(b"\r\n\r\n")
            arrived.set()
            await may_go_on.wait()
            writer.write(whole(BLOB))
            await writer.drain()
            writer.close()

        arrived = asyncio.Event()
        async with await asyncio.start_server(slow, "127.0.0.1", 0) as server:
            pulls.linked.port = server.sockets[0].getsockname()[1]
            pulls.on_answer = lambda step: whole(step["x-authsvc-limited"].encode(), "429 ours")
            first = asyncio.ensure_future(pulls.get())
            async with asyncio.timeout(PATIENCE):
                await arrived.wait()
            second = await pulls.get()
            may_go_on.set()

            assert (second.status, second.body) == (429, b"REJECTED")
            assert (await first).body == BLOB
            # There is room again, as soon as nginx has done with the first, and nobody is told of a limit.
            async with asyncio.timeout(PATIENCE):
                while (await pulls.get()).body != BLOB:
                    await asyncio.sleep(0.01)
