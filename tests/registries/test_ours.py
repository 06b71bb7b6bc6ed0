"""Looking at our registry: every answer that it can give, and none."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from authsvc.preflight import FoundManifest
from authsvc.redaction import Secret
from authsvc.registries import ours
from authsvc.registries.ours import OurRegistry
from tests.support.oci import INDEX, MANIFEST, Image, digest_of

IMAGE = Image(b"content")
SIZE = len(IMAGE.layer) + len(IMAGE.config)
TOKEN = Secret("header.payload.signature")

Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def registry(answer: Answer, folder: Path) -> AsyncIterator[OurRegistry]:
    """Yield our side of a registry that gives ``answer`` on a unix socket."""
    web_app = web.Application()
    web_app.router.add_get("/v2/{name:.+}/manifests/{reference}", answer)
    runner = web.AppRunner(web_app)
    await runner.setup()
    # A socket's path may have 107 bytes only; a blank and a question mark in it must not end the URL.
    path = folder / "r ?.sock"
    await web.UnixSite(runner, str(path)).start()
    try:
        async with OurRegistry(f"unix://{str(path).replace(' ', '%20').replace('?', '%3F')}") as asking:
            yield asking
    finally:
        await runner.cleanup()


def manifest(body: bytes, media_type: str = MANIFEST) -> web.Response:
    """Return a manifest as the registry sends it."""
    return web.Response(body=body, headers={"Content-Type": media_type, "Docker-Content-Digest": digest_of(body)})


async def test_an_image(tmp_path: Path) -> None:
    """Digest and size are told; the token opens the request, and every kind of manifest is accepted."""
    seen: list[web.Request] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request)
        return manifest(IMAGE.manifest)

    async with registry(answer, tmp_path) as asking:
        assert FoundManifest(exists=True, digest=IMAGE.digest, size=SIZE) == await asking.find(
            "acme/api/x", "1.0", TOKEN
        )

    (request,) = seen
    assert "/v2/acme/api/x/manifests/1.0" == request.path
    assert f"Bearer {TOKEN.reveal()}" == request.headers["Authorization"]
    assert all(kind in request.headers["Accept"] for kind in (*ours.INDEXES, *ours.MANIFESTS))


@pytest.mark.parametrize("order", [1, -1])
async def test_the_usual_platform_of_an_index(tmp_path: Path, order: int) -> None:
    """Of several platforms linux/amd64 is measured, and attestations are none."""
    entries = [
        {"digest": "sha256:" + "a" * 64, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": "sha256:" + "b" * 64, "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": IMAGE.digest, "platform": {"os": "linux", "architecture": "amd64"}},
    ][::order]
    index = json.dumps({"manifests": entries}).encode()

    async def answer(request: web.Request) -> web.Response:
        wanted = request.match_info["reference"]
        if wanted == "1":
            return manifest(index, INDEX)
        return manifest(IMAGE.manifest) if wanted == IMAGE.digest else web.Response(status=404)

    async with registry(answer, tmp_path) as asking:
        expected = FoundManifest(exists=True, digest=digest_of(index), size=SIZE, platform="linux/amd64")
        assert expected == await asking.find("acme/x", "1", TOKEN)


@pytest.mark.parametrize(
    ("status", "body", "found"),
    [
        (404, b"{}", FoundManifest(exists=False)),
        (401, b"{}", FoundManifest(None)),
        (307, b"{}", FoundManifest(None)),
        (500, b"{}", FoundManifest(None)),
        (200, b"not json", FoundManifest(None)),
        (200, b"[]", FoundManifest(None)),
        (200, b"[" * 100_000, FoundManifest(None)),
        (200, b" " * (ours.MAX_MANIFEST + 1), FoundManifest(None)),
        (200, b'{"config": 5, "layers": "x"}', FoundManifest(exists=True)),
        (200, b'{"config": {"size": "x"}, "layers": [{"size": 7}, 5]}', FoundManifest(exists=True, size=7)),
        (200, b'{"manifests": [5], "config": {"size": 1}}', FoundManifest(exists=True, size=1)),
    ],
)
async def test_other_answers(tmp_path: Path, status: int, body: bytes, found: FoundManifest) -> None:
    """Only a 404 means that an image is missing; what cannot be understood is no answer."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=body, headers={"Location": "http://127.0.0.1:1/"})

    async with registry(answer, tmp_path) as asking:
        assert found == await asking.find("acme/x", "1", TOKEN)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_long_manifest_is_there_and_not_read(tmp_path: Path, chunked: bool) -> None:
    """Of more than is read the digest is known, whether the registry says the length beforehand or not."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Docker-Content-Digest": IMAGE.digest})
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = 100 * ours.MAX_MANIFEST
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(100):
                await response.write(b" " * ours.MAX_MANIFEST)
        return response

    async with registry(answer, tmp_path) as asking:
        assert FoundManifest(exists=True, digest=IMAGE.digest) == await asking.find("acme/x", "1", TOKEN)


async def test_a_digest_in_an_index_is_not_a_path(tmp_path: Path) -> None:
    """Whoever pushed the index wrote the digest; what is not one is not asked for."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return manifest(b'{"manifests": [{"digest": "../../../../metrics"}]}', INDEX)

    async with registry(answer, tmp_path) as asking:
        assert (await asking.find("acme/x", "1", TOKEN)).size is None
    assert ["/v2/acme/x/manifests/1"] == seen


async def test_no_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registry that hangs, one that is down and one that is not known give no answer, within the deadline."""
    monkeypatch.setattr(ours, "LOOKUP_DEADLINE", 0.2)
    never = asyncio.Event()

    async def answer(_: web.Request) -> web.Response:
        with suppress(TimeoutError):
            await asyncio.wait_for(never.wait(), 5)
        return web.Response()

    async with registry(answer, tmp_path) as asking:
        assert FoundManifest(None) == await asking.find("acme/x", "1", TOKEN)
        never.set()
    for url in (f"unix://{tmp_path}/nobody.sock", "http://127.0.0.1:1", None):
        async with OurRegistry(url) as asking:
            assert FoundManifest(None) == await asking.find("acme/x", "1", TOKEN)
