"""Licenses in the management API, from a new one to its end."""

import json

from tests.support.api_server import ApiServer
from tests.support.installation import APP, OTHER_APP
from tests.web.api.conftest import People

NEW = {
    "app": APP,
    "customer": "Globex",
    "expires": "2027-01-31",
    "repositories": ["worker", "api/*"],
    "fields": {"seats": 25, "trial": False, "note": "1"},
    "contact": "sales@acme.test",
    "reference": "order-1001",
    "customer_reference": "crm-7",
}


async def test_a_license_from_its_beginning_to_its_end(api: ApiServer, people: People) -> None:
    """A program creates one for a customer with a reference, downloads it, renews it, rotates it and revokes it."""
    token = people["machine"]
    made = await api.ask("POST", "/licenses", token, NEW)
    assert made.status == 201, made
    license_ = made.json()
    assert made.headers["location"] == f"/api/v1/licenses/{license_['id']}"
    assert license_["expires_at"] == "2027-01-31T00:00:00Z"
    assert license_["fields"] == NEW["fields"]
    assert license_["state"] == "active"

    shown = await api.ask("GET", "/licenses/order-1001", token)
    assert (shown.json(), shown.etag) == (license_, made.etag)

    file = await api.ask("GET", f"/licenses/{license_['id']}/file", token)
    content = json.loads(file.body)["license"]
    assert (content["id"], content["repositories"]) == (license_["id"], ["worker", "api/*"])
    name = f"{APP}-{license_['id']}.license.json"
    assert file.headers["content-disposition"] == f'attachment; filename="{name}"'
    assert "pull" == await api.house.gets(content["registry_token"], scope=f"repository:{APP}/worker:pull")

    renewed = await api.ask("POST", "/licenses/order-1001/extend", token, {"expires": "2028-01-31T12:00:00Z"})
    assert renewed.json()["expires_at"] == "2028-01-31T12:00:00Z"
    rotated = await api.ask("POST", "/licenses/order-1001/rotate", token, {"overlap": "0"})
    assert [one["generation"] for one in rotated.json()["tokens"]] == [2]
    changed = await api.ask(
        "PATCH",
        "/licenses/order-1001",
        token,
        {"contact": None, "repositories": None, "fields": {"seats": 50, "note": None}, "customer": "Initech"},
    )
    assert changed.json() == {
        **rotated.json(),
        "contact": None,
        "repositories": None,
        "fields": {"seats": 50, "trial": False},
        "customer": "Initech",
        "customer_id": changed.json()["customer_id"],
    }
    revoked = await api.ask("POST", "/licenses/order-1001/revoke", token)
    assert revoked.json()["state"] == "revoked"
    archived = await api.ask("POST", "/licenses/order-1001/archive", token)
    assert archived.json()["state"] == "archived"
    back = await api.ask("POST", "/licenses/order-1001/reinstate", token)
    assert back.json() == changed.json()


async def test_an_empty_change_changes_nothing(api: ApiServer, people: People) -> None:
    """What is left out stays, and no entry is written for nothing."""
    made = await api.ask("POST", "/licenses", people["developer"], NEW)
    before = len(api.house.told)
    changed = await api.ask("PATCH", "/licenses/order-1001", people["developer"], {})
    assert (changed.json(), changed.etag, len(api.house.told)) == (made.json(), made.etag, before)


async def test_pages_of_licenses(api: ApiServer, people: People) -> None:
    """A list is complete over its pages, each linked from the one before, and filters reach every page."""
    for number in range(7):
        body = {**NEW, "reference": f"order-{number}", "customer": f"Customer {number}"}
        del body["customer_reference"]
        await api.ask("POST", "/licenses", people["owner"], body)
    await api.ask("POST", "/licenses", people["owner"], {"app": OTHER_APP, "customer": "Ä Ö", "expires": "9d"})

    found, path = [], f"/licenses?limit=3&app={APP}&reference=order"
    while path:
        page = await api.ask("GET", path, people["viewer-read"])
        found += [one["reference"] for one in page.json()["items"]]
        link = page.headers.get("link", "")
        assert (page.json()["next"] is None) == (link == "")
        path = link.removeprefix("<").removesuffix('>; rel="next"')
    assert sorted(found) == [f"order-{number}" for number in range(7)]
    soon = await api.ask("GET", "/licenses?ends_within=30d", people["viewer"])
    assert [one["customer"] for one in soon.json()["items"]] == ["Ä Ö"]


async def test_what_a_license_cannot_be(api: ApiServer, people: People) -> None:
    """Everything that is wrong is named, by argument and code, and nothing is made."""
    token, before = people["developer"], len(api.house.told)
    for wrong, fields in (
        ({"expires": "tomorrow"}, {"expires": "date_invalid"}),
        ({"expires": "2020-01-01"}, {"expires": "date_not_in_future"}),
        ({"not_before": "2027-02-01"}, {"not_before": "period_invalid"}),
        ({"type": "free"}, {"type": "type_invalid"}),
        ({"customer": ""}, {"customer": "length_invalid"}),
        ({"customer": "a\u202eb"}, {"customer": "text_not_printable"}),
        ({"customer": "a\0b"}, {"customer": "text_not_printable"}),
        ({"repositories": ["../x"]}, {"repositories": "pattern_invalid"}),
        ({"repositories": "x"}, {"repositories": "type_invalid"}),
        ({"repositories": ["x", 5]}, {"repositories.1": "type_invalid"}),
        ({"fields": {"seats": [1]}}, {"fields.seats": "field_invalid"}),
        ({"fields": {"1": 1}}, {"fields": "field_invalid"}),
        ({"app": 7, "team": "x"}, {"app": "type_invalid", "team": "argument_unknown"}),
        ({"reference": ""}, {"reference": "length_invalid"}),
        ({"customer_email": "x"}, {"customer_email": "email_invalid"}),
        (
            {"expires": "x", "contact": "", "repositories": ["/"], "fields": {"a": {}}},
            {
                "expires": "date_invalid",
                "contact": "length_invalid",
                "repositories": "pattern_invalid",
                "fields.a": "field_invalid",
            },
        ),
    ):
        reply = await api.ask("POST", "/licenses", token, {**NEW, **wrong})
        assert (reply.status, reply.fields()) == (400, fields), (wrong, reply)
    missing = await api.ask("POST", "/licenses", token, {})
    assert missing.fields() == dict.fromkeys(("app", "customer", "expires"), "argument_missing")
    assert len(api.house.told) == before


async def test_filters_that_are_not_understood(api: ApiServer, people: People) -> None:
    """Each is named."""
    for query, fields in (
        ("state=gone", {"state": "type_invalid"}),
        ("ends_within=1y", {"ends_within": "span_invalid"}),
        ("customer=!", {"customer": "search_empty"}),
        ("customer=", {"customer": "length_invalid"}),
        ("reference=a%16b", {"reference": "text_not_printable"}),
        ("reference=", {"reference": "length_invalid"}),
        ("app=UPPER", {"app": "slug_invalid"}),
    ):
        reply = await api.ask("GET", f"/licenses?{query}", people["viewer"])
        assert (reply.status, reply.fields()) == (400, fields), (query, reply)


async def test_the_same_reference_twice(api: ApiServer, people: People) -> None:
    """A reference names one license of an app; with equal ones in two apps the app has to be said."""
    token = people["developer"]
    await api.ask("POST", "/licenses", token, NEW)
    again = await api.ask("POST", "/licenses", token, NEW)
    assert (again.status, again.code) == (409, "reference_taken")
    await api.ask("POST", "/licenses", token, {**NEW, "app": OTHER_APP})
    either = await api.ask("GET", "/licenses/order-1001", token)
    assert (either.status, either.code) == (409, "license_ambiguous")
    one = await api.ask("GET", f"/licenses/order-1001?app={OTHER_APP}", token)
    assert one.json()["app"] == OTHER_APP
    assert (await api.ask("GET", "/licenses/order-1001", people["limited"])).json()["app"] == APP


async def test_a_second_rotation_has_to_be_confirmed(api: ApiServer, people: People) -> None:
    """What it would end is said, with the mark that confirms it."""
    token = people["developer"]
    await api.ask("POST", "/licenses", token, NEW)
    await api.ask("POST", "/licenses/order-1001/rotate", token)
    asked = await api.ask("POST", "/licenses/order-1001/rotate", token, {"overlap": "1h"})
    assert (asked.status, asked.code) == (409, "confirmation_needed")
    mark = asked.json()["mark"].replace(" ", "%20").replace("+", "%2B")
    done = await api.ask("POST", f"/licenses/order-1001/rotate?confirm={mark}", token, {"overlap": "1h"})
    assert [one["generation"] for one in done.json()["tokens"]] == [3, 2]
