"""Looking at our registry: every answer that it can give, and none."""

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest
from aiohttp import web

from authsvc.images.manifest import INDEXES, MANIFESTS
from authsvc.preflight import FoundManifest
from authsvc.redaction import Secret
from authsvc.registries import ours
from authsvc.registries.ours import MAX_MANIFEST, OurRegistry
from authsvc.registries.session import RegistrySession
from tests.support.oci import INDEX, MANIFEST, Image, digest_of

IMAGE = Image(b"content")
SIZE = len(IMAGE.layer) + len(IMAGE.config)
DIGEST = b"sha256:" + b"a" * 64
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
        async with RegistrySession(f"unix://{str(path).replace(' ', '%20').replace('?', '%3F')}") as session:
            yield OurRegistry(session)
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
    assert all(kind in request.headers["Accept"] for kind in (*INDEXES, *MANIFESTS))


@pytest.mark.parametrize("order", [1, -1])
async def test_the_usual_platform_of_an_index(tmp_path: Path, order: int) -> None:
    """Of several platforms linux/amd64 is measured, and attestations are none."""
    entries = [
        {"digest": "sha256:" + "a" * 64, "size": 1, "platform": {"os": "unknown", "architecture": "unknown"}},
        {"digest": "sha256:" + "b" * 64, "size": 1, "platform": {"os": "linux", "architecture": "arm64"}},
        {"digest": IMAGE.digest, "size": 1, "platform": {"os": "linux", "architecture": "amd64"}},
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
    ("status", "body", "size"),
    [
        (404, b"{}", None),
        (200, b"not json", None),
        (200, b"[]", None),
        (200, b"[" * 100_000, None),
        (200, b" " * (MAX_MANIFEST + 1), None),
        (200, b'{"config": 5, "layers": "x"}', None),
        (200, b'{"config": {"digest": "%b", "size": "x"}, "layers": []}' % DIGEST, None),
        (200, b'{"config": {"digest": "%b", "size": 7}, "layers": [5]}' % DIGEST, None),
        (200, b'{"config": {"digest": "%b", "size": 7}, "layers": null}' % DIGEST, 7),
    ],
)
async def test_strange_manifests(tmp_path: Path, status: int, body: bytes, size: int | None) -> None:
    """What the registry holds is there, whatever it is; only what can be understood has a size."""

    async def answer(_: web.Request) -> web.Response:
        return manifest(body) if status == 200 else web.Response(status=status)

    async with registry(answer, tmp_path) as asking:
        found = await asking.find("acme/x", "1", TOKEN)
    if status == 404:
        assert found == FoundManifest(exists=False)
    else:
        assert found == FoundManifest(exists=True, digest=digest_of(body), size=size)


@pytest.mark.parametrize(
    ("status", "headers"),
    [
        (401, {}),
        (307, {"Location": "http://127.0.0.1:1/"}),
        (500, {}),
        (200, {}),
        (200, {"Docker-Content-Digest": "sha256:" + "0" * 64}),
        (200, {"Docker-Content-Digest": "md5:" + "0" * 32}),
    ],
)
async def test_unusable_answers(tmp_path: Path, status: int, headers: dict[str, str]) -> None:
    """Another status, no digest, and one that is not that of the content: nothing is known then."""

    async def answer(_: web.Request) -> web.Response:
        return web.Response(status=status, body=IMAGE.manifest, headers={"Content-Type": MANIFEST, **headers})

    async with registry(answer, tmp_path) as asking:
        assert FoundManifest(None) == await asking.find("acme/x", "1", TOKEN)


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_long_manifest_is_there_and_not_read(tmp_path: Path, chunked: bool) -> None:
    """Of more than is read the digest is known, whether the registry says the length beforehand or not."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Docker-Content-Digest": IMAGE.digest})
        if chunked:
            response.enable_chunked_encoding()
        else:
            response.content_length = 100 * MAX_MANIFEST
        await response.prepare(request)
        with suppress(ConnectionError):
            for _ in range(100):
                await response.write(b" " * MAX_MANIFEST)
        return response

    async with registry(answer, tmp_path) as asking:
        assert FoundManifest(exists=True, digest=IMAGE.digest) == await asking.find("acme/x", "1", TOKEN)


async def test_a_digest_in_an_index_is_not_a_path(tmp_path: Path) -> None:
    """Whoever pushed the index wrote the digest; what is not one is not asked for."""
    seen: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        seen.append(request.path)
        return manifest(b'{"manifests": [{"digest": "../../../../metrics", "size": 1}]}', INDEX)

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
    for url in (f"unix://{tmp_path}/nobody.sock", "http://127.0.0.1:1"):
        async with RegistrySession(url) as session:
            assert FoundManifest(None) == await OurRegistry(session).find("acme/x", "1", TOKEN)
    assert FoundManifest(None) == await OurRegistry(None).find("acme/x", "1", TOKEN)
