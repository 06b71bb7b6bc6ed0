"""Images in the management API."""

import pytest

from authsvc.images.index import IndexChange
from authsvc.images.manifest import parse_manifest
from authsvc.images.summary import of_manifest
from authsvc.store.codec import Codec
from authsvc.store.image_index import RedisImageIndex
from authsvc.web.api.answer_etag import record_tag
from tests.support.api_server import ApiServer
from tests.support.builders import SERVICE
from tests.support.installation import APP, OTHER_APP
from tests.support.oci import MANIFEST, Image
from tests.web.api.conftest import THEIR_APP, People

ONE, TWO = Image(b"one"), Image(b"two")


async def index(api: ApiServer, repository: str, tag: str, image: Image) -> None:
    """Put a tag into the index."""
    manifest = parse_manifest(image.manifest, MANIFEST)
    assert manifest is not None
    app, writer = repository.partition("/")[0], RedisImageIndex(api.house.connection, Codec())
    await writer.save(app, [of_manifest(image.digest, manifest, None)])
    await writer.apply(repository, app, [IndexChange(tag, None, image.digest)], api.house.now)
    await writer.finish(repository, api.house.now, "", all_tags=True, unread=0)


@pytest.fixture
async def images(api: ApiServer) -> None:
    """Put images of both teams into the index."""
    await index(api, f"{APP}/api/worker", "1.0", ONE)
    await index(api, f"{APP}/api/worker", "latest", ONE)
    await index(api, f"{OTHER_APP}/web", "2", TWO)
    await index(api, f"{THEIR_APP}/web", "2", TWO)


@pytest.mark.usefixtures("images")
async def test_lists(api: ApiServer, people: People) -> None:
    """Of everything that the caller sees, of an app and of a repository, in pages."""

    async def listed(who: str, query: str = "") -> list[str]:
        reply = await api.ask("GET", f"/images{query}", people[who])
        return [f"{one['repository']}:{one['tag']}" for one in reply.json()["items"]]

    ours = [f"{APP}/api/worker:1.0", f"{APP}/api/worker:latest"]
    assert await listed("viewer-read") == [*ours, f"{OTHER_APP}/web:2"]
    assert await listed("machine-read", f"?app={OTHER_APP}") == [f"{OTHER_APP}/web:2"]
    assert await listed("limited", f"?repository={APP}/api/worker") == ours
    assert await listed("limited") == ours
    assert await listed("stranger") == [f"{THEIR_APP}/web:2"]
    first = await api.ask("GET", "/images?limit=1", people["viewer"])
    assert first.json()["next"] is not None
    assert "limit=1" in first.headers["link"]
    assert await listed("viewer", f"?limit=2&after={first.json()['next']}") == [ours[1], f"{OTHER_APP}/web:2"]


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    "name",
    [
        f"{APP}/api/worker:1.0",
        f"{APP}%2Fapi%2Fworker:1.0",
        f"{APP}%2Fapi%2Fworker%3A1.0",
        f"{APP}/api/worker@{ONE.digest}",
        f"{SERVICE}/{APP}/api/worker:1.0",
    ],
)
async def test_an_image(api: ApiServer, people: People, name: str) -> None:
    """By tag or digest, however its name is written; its entity tag is the digest, and what is unknown is null."""
    reply = await api.ask("GET", f"/images/{name}", people["viewer-read"])
    found = reply.json()
    assert record_tag(reply.etag) == f'"{ONE.digest}"'
    assert (found["digest"], found["tags"], found["from_registry"]) == (ONE.digest, ["1.0", "latest"], False)
    assert (found["pushed_at"], found["pulled_by"], found["signed"], found["customers"]) == (None, None, False, [])
    assert [layer["size"] for layer in found["manifests"][0]["layers"]] == [len(ONE.layer)]


@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(
    ("path", "status", "code"),
    [
        (f"/images/{THEIR_APP}/web:2", 404, "image_not_found"),
        ("/images/nowhere/web:2", 404, "image_not_found"),
        ("/images/nowhere/web:2%0A", 400, "image_invalid"),
        (f"/images/{APP}/api/worker", 400, "image_invalid"),
        (f"/images/{APP}/api/worker:1.0@{ONE.digest}", 400, "image_invalid"),
        ("/images/..%2f..%2fetc:1", 400, "image_invalid"),
        (f"/images/{APP}/api/worker:9", 503, "registry_unavailable"),
        (f"/images?repository={THEIR_APP}/web", 404, "image_not_found"),
        (f"/images?app={THEIR_APP}", 404, "app_not_found"),
        (f"/apps/{THEIR_APP}/images", 404, "app_not_found"),
        ("/images?limit=101", 400, "limit_invalid"),
        ("/images?after=x", 400, "cursor_invalid"),
    ],
)
async def test_what_is_refused(api: ApiServer, people: People, path: str, status: int, code: str) -> None:
    """Foreign and unknown alike; only what might be there needs the registry."""
    reply = await api.ask("GET", path, people["owner"])
    assert (reply.status, reply.code) == (status, code)


@pytest.mark.usefixtures("images")
async def test_what_an_app_adds_up_to(api: ApiServer, people: People) -> None:
    """It is null until it was added up."""
    reply = await api.ask("GET", f"/apps/{APP}/images", people["viewer"])
    assert (reply.json()["app"], reply.json()["tags"], reply.json()["crawled_at"]) == (APP, None, None)
