"""Customers in the management API, with their licenses."""

from tests.support.api_server import ApiServer
from tests.support.installation import APP, OTHER_APP
from tests.web.api.conftest import People

NEW = {"name": "Globex Corp", "reference": "crm-4711", "email": "IT@globex.test"}


async def test_a_customer_and_its_licenses(api: ApiServer, people: People) -> None:
    """Created, found by each of its names, changed, and listed with what it holds."""
    token = people["machine"]
    made = await api.ask("POST", "/customers", token, NEW)
    customer = made.json()
    assert (made.status, customer["email"]) == (201, "it@globex.test")
    assert made.headers["location"] == f"/api/v1/customers/{customer['id']}"
    for name in (customer["id"], "crm-4711", "Globex%20Corp"):
        shown = await api.ask("GET", f"/customers/{name}", people["viewer-read"])
        assert (shown.json(), shown.etag) == (customer, made.etag)
    changed = await api.ask(
        "PATCH",
        "/customers/crm-4711",
        token,
        {"name": "Globex Inc", "email": None},
        headers={"If-Match": made.etag},
    )
    assert changed.json() == {**customer, "name": "Globex Inc", "email": None}
    assert (await api.ask("PATCH", "/customers/crm-4711", token, {}, headers={"If-Match": made.etag})).status == 412
    for app in (APP, OTHER_APP):
        body = {"app": app, "customer": "x", "customer_reference": "crm-4711", "expires": "90d"}
        assert (await api.ask("POST", "/licenses", token, body)).status == 201
    licenses = await api.ask("GET", "/customers/crm-4711/licenses?limit=1", token)
    assert (len(licenses.json()["items"]), licenses.json()["next"] is None) == (1, False)
    assert [one["name"] for one in (await api.ask("GET", "/customers?text=glo", token)).json()["items"]] == [
        "Globex Inc"
    ]
    limited = await api.ask("GET", "/customers/crm-4711/licenses", people["limited"])
    assert [one["app"] for one in limited.json()["items"]] == [APP]


async def test_two_customers_of_one_name(api: ApiServer, people: People) -> None:
    """Name and reference are unique in the team."""
    await api.ask("POST", "/customers", people["developer"], NEW)
    for body, code in (
        (NEW, "name_taken"),
        ({**NEW, "name": "Other"}, "reference_taken"),
        ({"name": ""}, "length_invalid"),
        ({"name": "x", "email": "x"}, "email_invalid"),
    ):
        assert (await api.ask("POST", "/customers", people["developer"], body)).code == code


async def test_who_sees_which_customers(api: ApiServer, people: People) -> None:
    """Another vendor none, somebody who is limited to an app those with a license of it."""
    made = (await api.ask("POST", "/customers", people["developer"], NEW)).json()
    for name in ("stranger", "limited"):
        assert (await api.ask("GET", "/customers", people[name])).json()["items"] == []
        for named in (made["id"], "crm-4711"):
            assert (await api.ask("GET", f"/customers/{named}", people[name])).code == "customer_not_found"
    for name in ("viewer", "machine-read", "limited"):
        assert (await api.ask("POST", "/customers", people[name], NEW)).status == 403


async def test_the_keys_that_verify_licenses(api: ApiServer, people: People) -> None:
    """Every token reads them, as a file."""
    reply = await api.ask("GET", "/license-keys", people["viewer-read"])
    assert reply.headers["content-type"].startswith("application/jwk-set+json")
    assert [key["kty"] for key in reply.json()["keys"]] == ["EC"]
