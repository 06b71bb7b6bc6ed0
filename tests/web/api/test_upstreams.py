"""Links to external registries in the management API."""

import pytest

from authsvc.upstreams.probe import ProbeStep
from authsvc.wiring.api import NoServiceKeys
from tests.support.api_server import ApiServer, api_server
from tests.support.installation import APP, OTHER_APP, Installation
from tests.web.api.conftest import People

SECRET, OTHER = "first-secret-of-the-vendor", "second-secret-of-the-vendor"
NEW = {
    "app": APP,
    "name": "quay",
    "provider": "quay",
    "username": "org+robot",
    "secret": SECRET,
    "repositories": ["org/**"],
    "credential_ends": "90d",
}


async def test_a_link_from_its_beginning_to_its_end(api: ApiServer, people: People) -> None:
    """Linked, read by all of the team, changed by what was read, purged and unlinked; no answer has the secret."""
    owner = people["owner"]
    made = await api.ask("POST", "/upstreams", owner, NEW)
    link = made.json()
    path = f"/upstreams/{link['id']}"
    assert (made.status, made.headers["location"]) == (201, f"/api/v1{path}")
    assert (link["url"], link["has_secret"], link["last_good_at"]) == ("https://quay.io", True, None)
    for name in ("viewer-read", "developer"):
        shown = await api.ask("GET", path, people[name])
        assert (shown.json(), shown.etag.partition("-")[0]) == (link, made.etag.partition("-")[0])

    body = {"secret": OTHER, "repositories": ["org/api"]}
    changed = await api.ask("PATCH", path, owner, body, headers={"If-Match": made.etag})
    assert (changed.json()["credential_version"], changed.json()["username"]) == (2, "org+robot")
    assert (changed.json()["repositories"], changed.json()["credential_ends_at"]) == (["org/api"], None)
    again = await api.ask("PATCH", path, owner, {"repositories": ["x"]}, headers={"If-Match": made.etag})
    assert (again.status, again.code) == (412, "version_conflict")
    removed = await api.ask("PATCH", path, owner, {"secret": None})
    assert (removed.json()["has_secret"], removed.json()["username"]) == (False, None)
    assert (await api.ask("POST", f"{path}/purge", owner)).json()["purges"] == 1

    terms = {"app": APP, "customer": "Globex", "expires": "90d", "repositories": ["proxy/quay/org/**"]}
    assert (await api.ask("POST", "/licenses", owner, terms)).status == 201
    asked = await api.ask("DELETE", path, owner)
    assert (asked.status, asked.code) == (409, "confirmation_needed")
    assert (await api.ask("DELETE", f"{path}?confirm={asked.json()['mark']}", owner)).status == 204
    assert (await api.ask("GET", path, owner)).code == "upstream_link_not_found"
    assert not any(secret in api.log.getvalue() for secret in (SECRET, OTHER))
    assert not any(secret in str(answer.body) for answer in (made, changed, removed) for secret in (SECRET, OTHER))


async def test_a_repeat_makes_one_link(api: ApiServer, people: People) -> None:
    """Under one key; another request with it is refused, and an ended link stays ended."""
    keyed = {"Idempotency-Key": "a-key-of-this-test"}
    made = [await api.ask("POST", "/upstreams", people["owner"], NEW, headers=keyed) for _ in range(2)]
    assert made[0].json() == made[1].json()
    other = await api.ask("POST", "/upstreams", people["owner"], {**NEW, "secret": OTHER}, headers=keyed)
    assert other.code == "idempotency_conflict"
    path, ending = f"/upstreams/{made[0].json()['id']}", {"Idempotency-Key": "another-key-of-this-test"}
    assert [(await api.ask("DELETE", path, people["owner"], headers=ending)).status for _ in range(2)] == [204, 204]


@pytest.mark.parametrize(
    ("changes", "status", "fields"),
    [
        ({"provider": "acr"}, 400, {"url": "value_missing"}),
        ({"provider": "acr", "secret": None}, 400, {"url": "value_missing", "secret": "value_missing"}),
        ({"url": "https://quay.io/v2"}, 400, {"url": "url_invalid"}),
        ({"provider": "dockerhub", "url": "https://quay.io"}, 400, {"url": "value_unexpected"}),
        ({"repositories": []}, 400, {"repositories": "value_missing"}),
        ({"repositories": ["proxy/quay/org"]}, 400, {"repositories": "pattern_invalid"}),
        ({"name": "Quay"}, 400, {"name": "name_invalid"}),
        ({"username": "a:b"}, 400, {"username": "username_invalid"}),
        ({"secret": "a\nb"}, 400, {"secret": "secret_invalid"}),
        ({"token_hosts": ["a/b"]}, 400, {"token_hosts": "url_invalid"}),
        ({"credential_ends": "2020-01-31"}, 400, {"credential_ends": "date_not_in_future"}),
        ({"app": "nowhere"}, 404, {"app": "app_not_found"}),
    ],
)
async def test_refused_links(
    api: ApiServer, people: People, changes: dict[str, object], status: int, fields: dict[str, str]
) -> None:
    """With the member of the body that is to blame."""
    body = {name: value for name, value in {**NEW, **changes}.items() if value is not None}
    reply = await api.ask("POST", "/upstreams", people["owner"], body)
    assert (reply.status, reply.fields()) == (status, fields)


async def test_a_link_is_tested(api: ApiServer, people: People) -> None:
    """Each step with its words; the last result is in the link's own answer. An address may be refused at once."""
    link = (await api.ask("POST", "/upstreams", people["owner"], NEW)).json()
    path = f"/upstreams/{link['id']}"
    failed = ProbeStep("token", ok=False, words="refused", remedy="set another secret")
    api.house.checks.steps = [failed, ProbeStep("manifest", None, "not tried")]
    reply = await api.ask("POST", f"{path}/test", people["owner"], {"repository": "org/api"})
    assert reply.json() == {
        "ok": False,
        "steps": [
            {"step": "token", "ok": False, "words": "refused", "remedy": "set another secret"},
            {"step": "manifest", "ok": None, "words": "not tried", "remedy": None},
        ],
    }
    shown = (await api.ask("GET", path, people["viewer"])).json()
    assert (shown["last_error_code"], shown["last_error"]) == ("token", "refused")

    api.house.checks.refused = {"quay.io"}
    refused = await api.ask("POST", "/upstreams", people["owner"], {**NEW, "name": "other"})
    assert (refused.status, refused.fields()) == (400, {"url": "upstream_address_refused"})


async def test_lists_are_of_the_team(api: ApiServer, people: People) -> None:
    """Of one app if that is asked for; another vendor sees none."""
    for app, name in ((OTHER_APP, "hub"), (APP, "quay"), (APP, "hub")):
        await api.ask("POST", "/upstreams", people["owner"], {**NEW, "app": app, "name": name})

    async def listed(query: str, who: str = "viewer") -> list[str]:
        reply = await api.ask("GET", f"/upstreams{query}", people[who])
        return [f"{one['app']}/{one['name']}" for one in reply.json()["items"]]

    assert await listed("") == [f"{APP}/hub", f"{APP}/quay", f"{OTHER_APP}/hub"]
    assert await listed(f"?app={OTHER_APP}") == [f"{OTHER_APP}/hub"]
    assert await listed("", "stranger") == []
    assert (await api.ask("GET", f"/upstreams?app={APP}", people["stranger"])).code == "app_not_found"


async def test_without_a_key_service(house: Installation, people: People) -> None:
    """Nothing is stored that could not be sealed; a registry that needs no secret can be linked."""
    house.keys = NoServiceKeys()  # type: ignore[assignment]
    async with api_server(house) as api:
        refused = await api.ask("POST", "/upstreams", people["owner"], NEW)
        assert (refused.status, refused.code) == (503, "signer_unavailable")
        assert (await api.ask("GET", "/upstreams", people["owner"])).json()["items"] == []
        public = {name: value for name, value in NEW.items() if name not in {"username", "secret"}}
        assert (await api.ask("POST", "/upstreams", people["owner"], public)).status == 201
