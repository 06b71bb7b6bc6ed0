"""Webhooks in the management API."""

import pytest

from authsvc.webhooks.delivery import DeliveryAttempt
from authsvc.wiring.api import NoServiceKeys
from tests.support.api_server import ApiServer, api_server
from tests.support.builders import NOW
from tests.support.installation import APP, TEAM, Installation
from tests.web.api.conftest import People

NEW = {"url": "https://hooks.example.com/in?token=1", "app": APP, "types": ["image.pushed", "license.ending"]}


async def test_a_webhook_from_its_beginning_to_its_end(api: ApiServer, people: People) -> None:
    """Added, read by all of the team, tested and removed; the secret is in the first answer alone."""
    owner = people["owner"]
    made = await api.ask("POST", "/webhooks", owner, NEW)
    secret, path = made.json()["secret"], f"/webhooks/{made.json()['id']}"
    assert (made.status, made.headers["location"]) == (201, f"/api/v1{path}")
    assert secret.startswith("whsec_")
    shown = await api.ask("GET", path, people["viewer-read"])
    for name in ("developer", "owner"):
        assert (await api.ask("GET", path, people[name])).json() == shown.json()
        assert shown.etag.partition("-")[0] == made.etag.partition("-")[0]
    view = shown.json()
    assert (view["url"], view["app"], view["team"], view["types"]) == (NEW["url"], APP, TEAM, NEW["types"])
    assert (view["waiting"], view["failing_since"], view["disabled_at"]) == (0, None, None)
    assert (await api.ask("GET", f"{path}/deliveries", people["viewer"])).json() == {"items": [], "next": None}

    assert (await api.ask("POST", f"{path}/test", owner)).json() == {
        "ok": True, "status": 204, "reason": None, "milliseconds": 12
    }  # fmt: skip
    assert api.house.receivers.sent[0][1][0].reveal() == secret
    stale = await api.ask("DELETE", path, owner, headers={"If-Match": '"other"'})
    assert (stale.status, stale.code) == (412, "version_conflict")
    assert (await api.ask("DELETE", path, owner, headers={"If-Match": shown.etag})).status == 204
    assert (await api.ask("GET", path, owner)).code == "webhook_not_found"
    assert secret not in api.log.getvalue()


async def test_a_webhook_is_changed(api: ApiServer, people: People) -> None:
    """Address, types, secret, and whether anything is sent."""
    owner = people["owner"]
    made = (await api.ask("POST", "/webhooks", owner, NEW)).json()
    path = f"/webhooks/{made['id']}"
    changed = await api.ask("PATCH", path, owner, {"url": "https://hooks.example.com/v2"})
    assert (changed.json()["url"], changed.json()["types"]) == ("https://hooks.example.com/v2", NEW["types"])
    assert (await api.ask("PATCH", path, owner, {"types": None})).json()["types"] is None
    assert (await api.ask("PATCH", path, owner, {})).json()["url"] == "https://hooks.example.com/v2"
    refused = await api.ask("PATCH", path, owner, {"url": "https://me:pw@hooks.example.com/"})
    assert (refused.status, refused.fields()) == (400, {"url": "url_invalid"})

    rotated = await api.ask("POST", f"{path}/rotate", owner, {"overlap": "2h"})
    assert rotated.json()["secret"].startswith("whsec_")
    assert rotated.json()["secret"] != made["secret"]
    assert (await api.ask("GET", path, owner)).json()["old_secret_until"] is not None
    again = await api.ask("POST", f"{path}/rotate", owner, {"overlap": "2h"})
    assert (again.status, again.code) == (409, "confirmation_needed")
    assert (await api.ask("POST", f"{path}/rotate", owner, {"overlap": "0"})).status == 200
    assert (await api.ask("GET", path, owner)).json()["old_secret_until"] is None

    off = await api.ask("POST", f"{path}/disable", owner)
    assert off.json()["disabled_reason"] == "it was disabled by hand"
    assert (await api.ask("POST", f"{path}/enable", owner)).json()["disabled_at"] is None
    for what in ("rotate", "disable"):
        assert (await api.ask("POST", f"{path}/{what}", people["developer"])).status == 403


async def test_without_an_app_it_is_of_the_whole_team(api: ApiServer, people: People) -> None:
    """Without types every type is sent."""
    made = await api.ask("POST", "/webhooks", people["owner"], {"url": "https://hooks.example.com"})
    view = (await api.ask("GET", f"/webhooks/{made.json()['id']}", people["owner"])).json()
    assert (view["team"], view["app"], view["types"], view["url"]) == (TEAM, None, None, "https://hooks.example.com/")


async def test_a_failed_test_is_an_answer(api: ApiServer, people: People) -> None:
    """The request did what it was asked to do."""
    made = await api.ask("POST", "/webhooks", people["owner"], NEW)
    api.house.receivers.attempt = DeliveryAttempt(NOW, None, "hooks.example.com did not answer in time", 10_000)
    reply = await api.ask("POST", f"/webhooks/{made.json()['id']}/test", people["owner"])
    assert (reply.status, reply.json()["ok"], reply.json()["status"]) == (200, False, None)
    assert reply.json()["reason"] == "hooks.example.com did not answer in time"


async def test_a_repeat_adds_one_webhook(api: ApiServer, people: People) -> None:
    """Its secret is not shown again."""
    keyed = {"Idempotency-Key": "a-key-of-this-test"}
    made = [await api.ask("POST", "/webhooks", people["owner"], NEW, headers=keyed) for _ in range(2)]
    assert [one.status for one in made] == [201, 409]
    assert made[1].code == "operation_repeated"
    assert len((await api.ask("GET", "/webhooks", people["owner"])).json()["items"]) == 1


@pytest.mark.parametrize(
    ("changes", "status", "fields"),
    [
        ({"url": "hooks.example.com"}, 400, {"url": "url_invalid"}),
        ({"url": "https://me:pw@hooks.example.com/"}, 400, {"url": "url_invalid"}),
        ({"types": []}, 400, {"types": "value_missing"}),
        ({"types": ["webhook.test"]}, 400, {"types": "webhook_type_invalid"}),
        ({"types": ["license.unknown"]}, 400, {"types.0": "type_invalid"}),
        ({"app": "nowhere"}, 404, {"app": "app_not_found"}),
        ({"url": "https://inside.example.com"}, 400, {"url": "upstream_address_refused"}),
    ],
)
async def test_refused_webhooks(
    api: ApiServer, people: People, changes: dict[str, object], status: int, fields: dict[str, str]
) -> None:
    """With the member of the body that is to blame."""
    api.house.receivers.refused = {"inside.example.com"}
    reply = await api.ask("POST", "/webhooks", people["owner"], {**NEW, **changes})
    assert (reply.status, reply.fields()) == (status, fields)
    assert "pw" not in reply.json()["detail"]


async def test_lists_are_of_the_team(api: ApiServer, people: People) -> None:
    """Page by page."""
    made = [(await api.ask("POST", "/webhooks", people["owner"], NEW)).json()["id"] for _ in range(3)]
    first = (await api.ask("GET", "/webhooks?limit=2", people["viewer"])).json()
    rest = (await api.ask("GET", f"/webhooks?limit=2&after={first['next']}", people["viewer"])).json()
    assert {one["id"] for one in first["items"] + rest["items"]} == set(made)
    assert rest["next"] is None


async def test_without_a_key_service_nothing_is_added(house: Installation, people: People) -> None:
    """No secret can be sealed."""
    async with api_server(house, sealer=NoServiceKeys()) as api:
        reply = await api.ask("POST", "/webhooks", people["owner"], NEW)
        assert (reply.status, reply.code) == (503, "signer_unavailable")
        assert (await api.ask("GET", "/webhooks", people["owner"])).json()["items"] == []
