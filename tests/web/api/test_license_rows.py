"""Many licenses in one request: all of it, or what is wrong with each row."""

import json
from typing import Any

from authsvc.web.api.license_rows import MAX_ROWS
from tests.support.api_server import ApiServer
from tests.support.installation import APP, OTHER_APP
from tests.web.api.conftest import People


def row(number: int, **more: Any) -> dict[str, Any]:
    """Return a row."""
    return {"customer": f"Customer {number}", "expires": "2027-01-31", "reference": f"order-{number}", **more}


def body(*rows: dict[str, Any], app: str = APP) -> dict[str, Any]:
    """Return the body of an import."""
    return {"app": app, "rows": list(rows)}


async def test_an_import_and_a_renewal(api: ApiServer, people: People) -> None:
    """Tried, done, and done again without effect."""
    token, rows = people["machine"], [row(number, fields={"seats": number}) for number in range(30)]
    tried = await api.ask("POST", "/licenses/import?dry_run=true", token, body(*rows))
    assert tried.json() == {"dry_run": True, "created": 30, "existing": 0, "changed": []}
    assert (await api.ask("GET", "/licenses", token)).json()["items"] == []
    done = await api.ask("POST", "/licenses/import", token, body(*rows))
    assert done.json() == {"dry_run": False, "created": 30, "existing": 0, "changed": []}
    again = await api.ask("POST", "/licenses/import", token, body(*rows, row(30)))
    assert again.json() == {"dry_run": False, "created": 1, "existing": 30, "changed": []}
    assert (await api.ask("GET", "/licenses/order-7", token)).json()["fields"] == {"seats": 7}

    ends = body(*({"reference": f"order-{number}", "expires": "2028-01-31"} for number in range(10)))
    tried = await api.ask("POST", "/licenses/renew?dry_run=true", token, ends)
    assert tried.json() == {"dry_run": True, "renewed": 10, "unchanged": 0}
    renewed = await api.ask("POST", "/licenses/renew", token, ends)
    assert renewed.json() == {"dry_run": False, "renewed": 10, "unchanged": 0}
    assert (await api.ask("POST", "/licenses/renew", token, ends)).json()["unchanged"] == 10
    assert (await api.ask("GET", "/licenses/order-7", token)).json()["expires_at"] == "2028-01-31T00:00:00Z"
    assert len({entry.id for entry in api.house.told}) == len(api.house.told)
    batches = [entry.facts.get("batch") for entry in api.house.told if entry.event.startswith("license.")]
    assert {"import", "renewal"} == {batch["kind"] for batch in batches if batch is not None}
    assert all(batch is not None and batch["rows"] > 0 and "file" not in batch for batch in batches)


async def test_problems_are_named_by_row(api: ApiServer, people: People) -> None:
    """All of them, and nothing is made."""
    token = people["developer"]
    wrong = [
        row(0),
        row(1, expires="tomorrow", contact="\x00"),
        row(2, repositories=["../x"], fields={"seats": [1]}),
        row(0),
        row(4, expires="2020-01-01"),
    ]
    reply = await api.ask("POST", "/licenses/import", token, body(*wrong))
    assert reply.status == 400
    assert reply.fields() == {
        "rows.1.expires": "date_invalid",
        "rows.1.contact": "text_not_printable",
        "rows.2.repositories": "pattern_invalid",
        "rows.2.fields.seats": "field_invalid",
        "rows.3.reference": "reference_duplicated",
        "rows.4.expires": "date_not_in_future",
    }
    formless = await api.ask("POST", "/licenses/import", token, body({"customer": 5, "x": 1}, row(1)))
    assert formless.fields() == {
        "rows.0.customer": "type_invalid",
        "rows.0.expires": "argument_missing",
        "rows.0.x": "argument_unknown",
    }
    assert (await api.ask("GET", "/licenses", token)).json()["items"] == []
    unknown = await api.ask("POST", "/licenses/renew", token, body({"reference": "no", "expires": "2028-01-01"}))
    assert (unknown.status, unknown.fields()) == (400, {"rows.0.reference": "license_not_found"})


async def test_rows_that_differ_from_their_licenses(api: ApiServer, people: People) -> None:
    """They refuse the request, or are left out when that is asked for; a license is never changed by an import."""
    token = people["developer"]
    await api.ask("POST", "/licenses/import", token, body(row(0), row(1)))
    changed = body(row(0, contact="new"), row(2))
    refused = await api.ask("POST", "/licenses/import", token, changed)
    assert (refused.status, refused.fields()) == (409, {"rows.0": "license_differs"})
    done = await api.ask("POST", "/licenses/import?skip_changed=true", token, changed)
    license_ = (await api.ask("GET", "/licenses/order-0", token)).json()
    assert done.json() == {
        "dry_run": False,
        "created": 1,
        "existing": 1,
        "changed": [{"row": 0, "license": license_["id"], "members": ["contact"]}],
    }
    assert license_["contact"] is None


async def test_too_many_rows(api: ApiServer, people: People) -> None:
    """A request is bounded in rows as in bytes."""
    many = body(*(row(number) for number in range(MAX_ROWS + 1)))
    for path in ("/licenses/import", "/licenses/renew"):
        rows = many if "import" in path else body(*({"reference": "x", "expires": "2027-01-01"},) * (MAX_ROWS + 1))
        reply = await api.ask("POST", path, people["developer"], rows)
        assert (reply.status, reply.fields()) == (400, {"rows": "rows_too_many"})
    nothing = await api.ask("POST", "/licenses/import", people["developer"], body())
    assert (nothing.status, nothing.fields()) == (400, {"rows": "argument_missing"})


async def test_who_may_import(api: ApiServer, people: People) -> None:
    """Who may create licenses of the app, for that app."""
    for name, status in (("viewer", 403), ("machine-read", 403), ("limited", 200), ("stranger", 404)):
        assert (await api.ask("POST", "/licenses/import", people[name], body(row(1)))).status == status
    other = await api.ask("POST", "/licenses/import", people["limited"], body(row(1), app=OTHER_APP))
    assert (other.status, other.code) == (404, "app_not_found")


async def test_trying_takes_read_access_only(api: ApiServer, people: People) -> None:
    """Who may read licenses may check rows; carrying them out is denied before anything else of it is looked at."""
    await api.ask("POST", "/licenses/import", people["developer"], body(row(0)))
    ends = body({"reference": "order-0", "expires": "2028-01-31"})
    before = await api.house.everything_stored()
    for name in ("viewer-read", "developer-read", "machine-read"):
        tried = await api.ask("POST", "/licenses/import?dry_run=true", people[name], body(row(0), row(1)))
        assert (tried.status, tried.json().get("created"), tried.json().get("existing")) == (200, 1, 1), name
        tried = await api.ask("POST", "/licenses/renew?dry_run=true", people[name], ends)
        assert (tried.status, tried.json().get("renewed")) == (200, 1), name
        for path in ("/licenses/import", "/licenses/renew"):
            for query in ("", "?dry_run=false", "?dry_run=1", "?dry_run=true&dry_run=false", "?skip_changed=true"):
                reply = await api.ask("POST", path + query, people[name], raw=b"{")
                assert (reply.status, reply.code) == (403, "permission_denied"), (name, path, query)
    assert await api.house.everything_stored() == before


async def test_what_is_no_name_of_a_field(api: ApiServer, people: People) -> None:
    """It is called what it is in the body, and not a column; a row beyond a line of a file is refused too."""
    reply = await api.ask("POST", "/licenses/import", people["developer"], body(row(0), row(1, fields={"": 1})))
    assert (reply.status, reply.fields()) == (400, {"rows.1.fields.": "field_invalid"})
    raw = json.dumps(body(row(0, contact="é" * 12_000)), ensure_ascii=False).encode()
    long = await api.ask("POST", "/licenses/import", people["developer"], raw=raw)
    assert (long.status, long.code) == (400, "row_unreadable")
