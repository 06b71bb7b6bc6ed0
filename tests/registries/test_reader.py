"""Reading a registry that answers in every way: pages as 3.x gives them, too much, nonsense, nothing."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import web

from authsvc.errors import RegistryUnavailable
from authsvc.registries import reader as reading
from authsvc.registries.access import RegistryAccess
from authsvc.registries.reader import MAX_CONFIG, MAX_MANIFEST, ManifestContent, NamePage, RegistryReader
from authsvc.registries.session import RegistrySession
from authsvc.system_token import SystemTokens
from tests.support.builders import NOW, SERVICE, Root
from tests.support.oci import INDEX, MANIFEST, Image, digest_of
from tests.support.waiting import PATIENCE

IMAGE = Image(b"content")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def registry(answer: Answer, folder: Path, at_once: int = 8) -> AsyncIterator[RegistryReader]:
    """Yield our side of a registry that gives ``answer`` on a unix socket."""
    web_app = web.Application()
    web_app.router.add_route("*", "/{path:.*}", answer)
    runner = web.AppRunner(web_app)
    await runner.setup()
    await web.UnixSite(runner, str(folder / "r.sock")).start()
    access = RegistryAccess(SystemTokens(Root.make().leaf(), SERVICE, lambda: "t1"), lambda: NOW)
    try:
        async with RegistrySession(f"unix://{folder}/r.sock", at_once) as session:
            yield RegistryReader(session, access)
    finally:
        await runner.cleanup()


def pages(member: str, *names: str) -> Answer:
    """Return a registry of 3.x with these names and pages of two."""

    async def answer(request: web.Request) -> web.Response:
        rest = [name for name in sorted(names) if name > request.query.get("last", "")]
        headers = {"Link": f'<{request.path}?last={rest[1]}&n=2>; rel="next"'} if len(rest) > 2 else {}
        return web.json_response({member: rest[:2]}, headers=headers)

    return answer


async def test_pages(tmp_path: Path) -> None:
    """The next page goes on where the registry says; a repository may hold any tag that the grammar has."""
    async with registry(pages("tags", "a", "b", "c.d", "e_f-g"), tmp_path) as reader:
        first = await reader.tags("acme/api")
        assert first == NamePage(("a", "b"), "b")
        assert await reader.tags("acme/api", "b") == NamePage(("c.d", "e_f-g"))


async def test_pages_of_repositories(tmp_path: Path) -> None:
    """As with tags."""
    async with registry(pages("repositories", "acme/a", "acme/b", "acme/c"), tmp_path) as reader:
        assert await reader.catalog() == NamePage(("acme/a", "acme/b"), "acme/b")
        assert await reader.catalog("acme/b") == NamePage(("acme/c",))


@pytest.mark.parametrize(
    "link",
    ["", "x", "<>", '<>; rel="next"', '<http://127.0.0.1:1/?n=2>; rel="next"', '</v2/?last=b>; rel="prev"'],
)
async def test_strange_links(tmp_path: Path, link: str) -> None:
    """A link without a place to go on is the end of the list; its address is never used."""

    async def answer(_: web.Request) -> web.Response:
        return web.json_response({"tags": ["a"]}, headers={"Link": link} if link else {})

    async with registry(answer, tmp_path) as reader:
        assert await reader.tags("acme/api") == NamePage(("a",))


@pytest.mark.parametrize("body", [b"", b"[]", b"{}x", b'{"tags": "x"}', b'{"tags": [5]}', b"null"])
async def test_strange_lists(tmp_path: Path, body: bytes) -> None:
    """A list that is not one is no answer, and not an empty list; one that is not there is empty, as Go writes it."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body)

    async with registry(answer, tmp_path) as reader:
        with pytest.raises(RegistryUnavailable):
            await reader.tags("acme/api")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 429, 500, 503])
async def test_other_statuses(tmp_path: Path, status: int) -> None:
    """Nothing but 404 means that something is missing, and 304 only where it was asked for."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, headers={"Location": "http://127.0.0.1:1/"})

    async with registry(answer, tmp_path) as reader:
        for question in (
            reader.catalog(),
            reader.tags("acme/api"),
            reader.manifest("acme/api", "v1", IMAGE.digest),
            reader.digest("acme/api", "v1", IMAGE.digest),
            reader.config("acme/api", IMAGE.digest),
            reader.referrers("acme/api", IMAGE.digest),
        ):
            with pytest.raises(RegistryUnavailable):
                await question


async def test_more_than_is_read(tmp_path: Path) -> None:
    """Of a long manifest the digest is known, of a long configuration nothing, and a long list is no answer."""

    async def answer(request: web.Request) -> web.Response:
        longest = {"manifests": MAX_MANIFEST, "blobs": MAX_CONFIG, "tags": 2000}[request.path.split("/")[-2]]
        return web.Response(body=b" " * (longest + 1), headers={"Docker-Content-Digest": IMAGE.digest})

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "MAX_LIST", 2000)
        async with registry(answer, tmp_path) as reader:
            found = await reader.manifest("acme/api", "v1")
            assert found is not None
            assert (found.digest, found.content) == (IMAGE.digest, None)
            assert await reader.config("acme/api", IMAGE.digest) is None
            with pytest.raises(RegistryUnavailable):
                await reader.tags("acme/api")


@pytest.mark.parametrize(
    ("reference", "said"),
    [("v1", digest_of(b"other")), (digest_of(b"other"), IMAGE.digest), (IMAGE.digest, digest_of(b"other")), ("v1", "")],
)
async def test_content_of_another_digest(tmp_path: Path, reference: str, said: str) -> None:
    """Content that is not that of the digest asked for, or said, is no answer."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=IMAGE.manifest, headers={"Docker-Content-Digest": said, "Content-Type": MANIFEST})

    async with registry(answer, tmp_path) as reader:
        with pytest.raises(RegistryUnavailable):
            await reader.manifest("acme/api", reference)


async def test_a_configuration_of_another_digest(tmp_path: Path) -> None:
    """It is not used."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=IMAGE.config)

    async with registry(answer, tmp_path) as reader:
        assert await reader.config("acme/api", digest_of(b"other")) is None
        assert await reader.config("acme/api", digest_of(IMAGE.config)) == IMAGE.config


async def test_digests_of_other_algorithms(tmp_path: Path) -> None:
    """Content is checked by the algorithm of its digest; a ``Content-Type`` may have parameters."""
    digest = f"sha512:{hashlib.sha512(IMAGE.manifest).hexdigest()}"

    async def answer(_: web.Request) -> web.Response:
        headers = {"Docker-Content-Digest": digest, "Content-Type": f"{MANIFEST}; charset=utf-8"}
        return web.Response(body=IMAGE.manifest, headers=headers)

    async with registry(answer, tmp_path) as reader:
        assert await reader.manifest("acme/api", digest) == ManifestContent(digest, MANIFEST, IMAGE.manifest)


async def test_referrers(tmp_path: Path) -> None:
    """A registry that has the interface answers with an index."""
    index = json.dumps({"schemaVersion": 2, "mediaType": INDEX, "manifests": []}).encode()

    async def answer(request: web.Request) -> web.Response:
        assert request.path == f"/v2/acme/api/referrers/{IMAGE.digest}"
        return web.Response(body=index)

    async with registry(answer, tmp_path) as reader:
        assert await reader.referrers("acme/api", IMAGE.digest) == index


async def test_few_requests_at_a_time(tmp_path: Path) -> None:
    """The others wait for their turn; nothing redirects and no more than asked run."""
    running, most = 0, 0

    async def answer(_: web.Request) -> web.Response:
        nonlocal running, most
        running += 1
        most = max(most, running)
        await asyncio.sleep(0.01)
        running -= 1
        return web.json_response({"tags": []})

    async with registry(answer, tmp_path, at_once=3) as reader:
        await asyncio.gather(*(reader.tags("acme/api") for _ in range(12)))
    assert most == 3


async def test_a_registry_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The deadline counts for all of a request, also when the body comes in drops."""
    monkeypatch.setattr(reading, "LIST_DEADLINE", 0.2)
    ended = asyncio.Event()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse()
        await response.prepare(request)
        try:
            while True:
                await response.write(b" ")
                await asyncio.sleep(0.02)
        finally:
            ended.set()

    async with registry(answer, tmp_path) as reader:
        with pytest.raises(RegistryUnavailable):
            await reader.tags("acme/api")
        await asyncio.wait_for(ended.wait(), PATIENCE)
