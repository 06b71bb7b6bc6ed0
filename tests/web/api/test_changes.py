"""Changes through the management API: repeated, under a condition, and by those who may."""

import asyncio

import pytest

from tests.support.api_server import ApiServer
from tests.support.installation import APP
from tests.web.api.conftest import People
from tests.web.api.test_licenses import NEW


def keyed(key: str) -> dict[str, str]:
    """Return the header with an idempotency key."""
    return {"Idempotency-Key": key}


async def test_a_repeat_gets_the_first_result(api: ApiServer, people: People) -> None:
    """Also ten at once, and by another token of the same member; another member's equal key is another change."""
    replies = await asyncio.gather(
        *(api.ask("POST", "/licenses", people["developer"], NEW, headers=keyed("k")) for _ in range(10))
    )
    assert {reply.status for reply in replies} == {201}
    assert len({reply.body for reply in replies}) == 1
    other = await api.ask("POST", "/licenses", people["owner"], {**NEW, "reference": "x"}, headers=keyed("k"))
    assert other.status == 201
    assert other.json()["id"] != replies[0].json()["id"]


async def test_another_request_under_the_same_key(api: ApiServer, people: People) -> None:
    """Another body, query or address is refused, and changes nothing."""
    await api.ask("POST", "/licenses", people["developer"], NEW, headers=keyed("k"))
    before = len(api.house.told)
    for path, body in (
        ("/licenses", {**NEW, "expires": "2027-02-01"}),
        ("/licenses/order-1001/extend", {"expires": "2029-01-01"}),
        ("/licenses/order-1001/revoke", None),
    ):
        reply = await api.ask("POST", path, people["developer"], body, headers=keyed("k"))
        assert (reply.status, reply.code) == (409, "idempotency_conflict")
    assert len(api.house.told) == before


async def test_a_repeat_after_a_change_under_a_condition(api: ApiServer, people: People) -> None:
    """The condition no longer holds because of the first attempt; the repeat is answered all the same."""
    made = await api.ask("POST", "/licenses", people["developer"], NEW)
    headers = {**keyed("k"), "If-Match": made.etag}
    first = await api.ask("POST", "/licenses/order-1001/revoke", people["developer"], headers=headers)
    again = await api.ask("POST", "/licenses/order-1001/revoke", people["developer"], headers=headers)
    assert (first.status, again.status, again.body) == (200, 200, first.body)


@pytest.mark.parametrize("key", ["", " ", "x" * 256, "ä"])
async def test_unusable_keys(api: ApiServer, people: People, key: str) -> None:
    """A key that cannot be told from another is refused instead of ignored."""
    reply = await api.ask("POST", "/licenses", people["developer"], NEW, headers=keyed(key))
    assert (reply.status, reply.code) == (400, "header_invalid")


async def test_a_change_of_what_was_read(api: ApiServer, people: People) -> None:
    """With If-Match a change is made to the record that was read, or refused with 412."""
    token = people["developer"]
    first = (await api.ask("POST", "/licenses", token, NEW)).etag
    second = (await api.ask("PATCH", "/licenses/order-1001", token, {"contact": "x"}, headers={"If-Match": first})).etag
    assert second != first
    for path, body in (
        ("/licenses/order-1001", {"contact": "y"}),
        ("/licenses/order-1001/extend", {"expires": "2029-01-01"}),
        ("/licenses/order-1001/rotate", {}),
        ("/licenses/order-1001/revoke", None),
        ("/licenses/order-1001/archive", None),
        ("/licenses/order-1001/reinstate", None),
    ):
        method = "PATCH" if path.endswith("1001") else "POST"
        stale = await api.ask(method, path, token, body, headers={"If-Match": first})
        assert (stale.status, stale.code) == (412, "version_conflict"), path
    assert (await api.ask("GET", "/licenses/order-1001", token)).etag == second
    for good in ("*", second, f'"other", {second}'):
        done = await api.ask("POST", "/licenses/order-1001/reinstate", token, headers={"If-Match": good})
        assert done.status == 200
    app = await api.ask("GET", f"/apps/{APP}", people["owner"])
    stale = await api.ask("POST", f"/apps/{APP}/archive", people["owner"], headers={"If-Match": '"x"'})
    assert (stale.status, app.status) == (412, 200)


@pytest.mark.parametrize("tag", ['W/"x"', "x", '"x', "", "*, *", '"a" "b"', ",".join(['"x"'] * 21)])
async def test_unusable_tags(api: ApiServer, people: People, tag: str) -> None:
    """A condition that cannot be read is refused instead of ignored, and so is a weak tag, which matches nothing."""
    await api.ask("POST", "/licenses", people["developer"], NEW)
    reply = await api.ask("POST", "/licenses/order-1001/revoke", people["developer"], headers={"If-Match": tag})
    assert (reply.status, reply.code) == (400, "header_invalid")


async def test_of_two_changes_of_one_version_one_is_made(api: ApiServer, people: People) -> None:
    """Ten at once with the same tag: one is carried out, the others get 412, also those that lose a race."""
    token = people["developer"]
    tag = {"If-Match": (await api.ask("POST", "/licenses", token, NEW)).etag}
    replies = await asyncio.gather(
        *(
            api.ask("PATCH", "/licenses/order-1001", token, {"contact": f"c{number}"}, headers=tag)
            for number in range(10)
        )
    )
    assert sorted(reply.status for reply in replies) == [200, *[412] * 9]


async def test_a_change_is_recorded_with_its_request(api: ApiServer, people: People) -> None:
    """Log and audit name the member and the request, by the id in the answer's header."""
    made = await api.ask("POST", "/licenses", people["developer"], NEW)
    entry = api.house.told[-1]
    assert (entry.event, entry.actor.partition(":")[0]) == ("license.created", "member")
    assert entry.facts["request_id"] == made.headers["x-request-id"]


async def test_who_may_not(api: ApiServer, people: People) -> None:
    """A denial comes before the body is looked at, and says who may."""
    await api.ask("POST", "/licenses", people["developer"], NEW)
    for name in ("viewer", "viewer-read", "developer-read", "machine-read"):
        for method, path in (
            ("POST", "/licenses"),
            ("PATCH", "/licenses/order-1001"),
            ("POST", "/licenses/order-1001/revoke"),
            ("GET", "/licenses/order-1001/file"),
        ):
            reply = await api.ask(method, path, people[name], raw=None if method == "GET" else b"{")
            assert (reply.status, reply.code) == (403, "permission_denied"), (name, path)
    assert (await api.ask("POST", "/apps", people["developer"], {"slug": "x1"})).status == 403
    assert (await api.ask("POST", "/apps", people["machine"], {"slug": "x1"})).status == 403


async def test_archiving_an_app_has_to_be_confirmed(api: ApiServer, people: People) -> None:
    """Its mark stands for what the sentence says, and counts no more when that has changed."""
    token = people["owner"]
    await api.ask("POST", "/licenses", people["developer"], NEW)
    asked = await api.ask("POST", f"/apps/{APP}/archive", token)
    assert (asked.status, asked.code) == (409, "confirmation_needed")
    await api.ask("POST", "/licenses", people["developer"], {**NEW, "reference": "another"})
    mark = asked.json()["mark"].replace(" ", "%20")
    assert (await api.ask("POST", f"/apps/{APP}/archive?confirm={mark}", token)).code == "confirmation_needed"
    mark = (await api.ask("POST", f"/apps/{APP}/archive", token)).json()["mark"].replace(" ", "%20")
    archived = await api.ask("POST", f"/apps/{APP}/archive?confirm={mark}", token)
    assert archived.json()["archived_at"] is not None
    assert [one["slug"] for one in (await api.ask("GET", "/apps", token)).json()["items"]] == ["annex"]
    assert (await api.ask("POST", f"/apps/{APP}/reinstate", token)).json()["archived_at"] is None


async def test_a_header_that_would_not_be_heeded(api: ApiServer, people: People) -> None:
    """It is refused instead of ignored: the client believes that it guards the request. Nothing is changed."""
    token = people["owner"]
    await api.ask("POST", "/licenses", token, NEW)
    before = len(api.house.told)
    rows = {"app": APP, "rows": [{"customer": "Acme", "expires": "2027-01-31"}]}
    for header, method, path, body in (
        ("If-Match", "POST", "/licenses", {**NEW, "reference": "another"}),
        ("If-Match", "GET", "/licenses/order-1001", None),
        ("If-Match", "POST", "/licenses/import", rows),
        ("Idempotency-Key", "POST", "/licenses/import", rows),
        ("Idempotency-Key", "GET", "/licenses", None),
    ):
        reply = await api.ask(method, path, token, body, headers={header: "*"})
        assert (reply.status, reply.fields()) == (400, {header: "header_invalid"}), (header, path)
        assert header in reply.json()["detail"]
    assert len(api.house.told) == before
