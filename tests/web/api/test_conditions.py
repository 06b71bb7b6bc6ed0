"""Reads in the API: HEAD, and reading again only what is different."""

from datetime import timedelta

import pytest

from authsvc.web.api import application
from tests.support.api_server import ApiServer
from tests.support.installation import Installation
from tests.web.api.conftest import People
from tests.web.api.test_licenses import NEW

CSV = {"Accept": "text/csv"}


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("/apps", {}),
        ("/apps/acme", {}),
        ("/licenses/order-1001", {}),
        ("/licenses/order-1001/file", {}),
        ("/customers?limit=1", {}),
        ("/api/openapi.json", {}),
        ("/audit", CSV),
        ("/audit?limit=0", CSV),
        ("/apps/nowhere", {}),
        ("/licenses/order-1001", {"If-Match": "*"}),
    ],
)
async def test_head_is_get_without_a_body(api: ApiServer, people: People, path: str, headers: dict[str, str]) -> None:
    """The same status and headers, of errors too."""
    assert (await api.ask("POST", "/licenses", people["developer"], NEW)).status == 201
    got = await api.ask("GET", path, people["owner"], headers=headers, checked="If-Match" not in headers)
    head = await api.ask("HEAD", path, people["owner"], headers=headers)
    other = {"date", "x-request-id", "content-length", "transfer-encoding"}

    assert (got.status, b"") == (head.status, head.body)
    assert {name: value for name, value in got.headers.items() if name not in other} == {
        name: value for name, value in head.headers.items() if name not in other
    }
    assert head.headers.get("content-length") in {None, got.headers.get("content-length")}


async def test_head_needs_what_get_needs(api: ApiServer, people: People) -> None:
    """The token, and the permission; and nothing that changes something has it."""
    assert 401 == (await api.ask("HEAD", "/apps")).status
    assert 403 == (await api.ask("HEAD", "/audit", people["developer"])).status
    refused = await api.ask("HEAD", "/licenses/x/revoke", people["owner"], checked=False)
    assert (405, "POST") == (refused.status, refused.headers["allow"])
    allowed = await api.ask("DELETE", "/licenses", people["owner"], checked=False)
    assert {"GET", "HEAD", "POST"} == set(allowed.headers["allow"].split(","))


async def test_what_is_the_same_is_not_sent_again(api: ApiServer, people: People) -> None:
    """304 with the tag and no body; after a change the whole answer."""
    token = people["developer"]
    tag = (await api.ask("POST", "/licenses", token, NEW)).etag
    for sent in (tag, f'W/{tag}, "x"', f'"other", {tag}', "*"):
        for method in ("GET", "HEAD"):
            same = await api.ask(method, "/licenses/order-1001", token, headers={"If-None-Match": sent})
            assert (304, b"", tag) == (same.status, same.body, same.etag), sent
    for sent in ('"other"', "nonsense", tag.strip('"'), f'{tag[:20]}"', '"' * 5000):
        whole = await api.ask("GET", "/licenses/order-1001", token, headers={"If-None-Match": sent})
        assert (200, tag) == (whole.status, whole.etag), sent
    await api.ask("PATCH", "/licenses/order-1001", token, {"contact": "x"})
    changed = await api.ask("GET", "/licenses/order-1001", token, headers={"If-None-Match": tag})
    assert (200, "x") == (changed.status, changed.json()["contact"])


async def test_a_state_that_follows_from_the_clock(api: ApiServer, people: People, house: Installation) -> None:
    """A license that has expired is sent again, and can be changed by the tag from before."""
    token = people["developer"]
    tag = (await api.ask("POST", "/licenses", token, NEW)).etag
    house.now += timedelta(days=4000)
    expired = await api.ask("GET", "/licenses/order-1001", token, headers={"If-None-Match": tag})
    assert (200, "expired") == (expired.status, expired.json()["state"])
    assert expired.etag != tag
    done = await api.ask("POST", "/licenses/order-1001/revoke", token, headers={"If-Match": tag})
    assert done.status == 200
    late = await api.ask("POST", "/licenses/order-1001/reinstate", token, headers={"If-Match": expired.etag})
    assert late.status == 412


async def test_a_tag_opens_nothing(api: ApiServer, people: People) -> None:
    """What the client may not read is refused as without a condition, and a change takes none."""
    tag = (await api.ask("POST", "/licenses", people["developer"], NEW)).etag
    for sent in (tag, "*"):
        foreign = await api.ask("GET", "/licenses/order-1001", people["stranger"], headers={"If-None-Match": sent})
        assert (404, "license_not_found") == (foreign.status, foreign.code)
        assert 401 == (await api.ask("GET", "/licenses/order-1001", headers={"If-None-Match": sent})).status
        change = await api.ask(
            "POST", "/licenses/order-1001/revoke", people["developer"], headers={"If-None-Match": sent}
        )
        assert (400, {"If-None-Match": "header_invalid"}) == (change.status, change.fields())


async def test_the_seeded_bug(
    api: ApiServer, people: People, house: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A tag of what is stored alone would hide that a license has expired."""
    monkeypatch.setattr(application, "tag_of_answer", lambda tag, _body: tag)
    with pytest.raises(ValueError, match="Expecting value"):
        await test_a_state_that_follows_from_the_clock(api, people, house)
