"""Lists of licenses and customers, and changes in bulk, as a vendor types them on a running installation."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from tests.support.http_client import claims_of, get_token
from tests.support.stack import Ran, Stack
from tests.support.tenants import Account, make_license, make_team, unique

SOON = f"{datetime.now(UTC) + timedelta(days=20):%Y-%m-%d}"
HEAD = "customer,expires,reference,customer_reference,customer_email\n"


@pytest.fixture(scope="module")
def app(stack: Stack) -> str:
    """Return an app with five licenses of three customers; its team, of the same name, has another one, ``APP-2``."""
    slug = unique("app")
    make_team(stack, slug, f"{slug}-2", slug=slug)
    rows = [
        f"Acme Corp,{SOON},ORDER-1,CRM-1,it@acme.example",
        "Acme Corp,2031-01-31,ORDER-2,CRM-1,",
        "Ünal Søfteware GmbH,2032-01-31,ORDER-3,,",
        "Globex,2033-01-31,PO-4,CRM-2,",
        "Globex,2034-01-31,PO-5,CRM-2,",
    ]
    imported(stack, slug, HEAD + "\n".join(rows))
    return slug


def imported(stack: Stack, app: str, text: str) -> None:
    """Import rows from standard input."""
    stack.authsvc("license", "import", "-", "--app", app, stdin=text)


def references(listed: list[dict[str, Any]]) -> list[str]:
    """Return the references of listed licenses, in their order."""
    return [str(one["reference"]) for one in listed]


@pytest.mark.parametrize(
    ("filters", "found"),
    [
        ((), {"ORDER-1", "ORDER-2", "ORDER-3", "PO-4", "PO-5"}),
        (("--customer", "acme"), {"ORDER-1", "ORDER-2"}),
        (("--customer", "ACM co"), {"ORDER-1", "ORDER-2"}),
        (("--customer", "unal"), {"ORDER-3"}),
        (("--customer", "nobody"), set()),
        (("--reference", "po-"), {"PO-4", "PO-5"}),
        (("--reference", "order-3", "--customer", "gmbh"), {"ORDER-3"}),
        (("--ends-within", "30d"), {"ORDER-1"}),
        (("--state", "active"), {"ORDER-1", "ORDER-2", "ORDER-3", "PO-4", "PO-5"}),
        (("--state", "revoked"), set()),
        (("--state", "archived"), set()),
    ],
)
def test_filters(stack: Stack, app: str, filters: tuple[str, ...], found: set[str]) -> None:
    """Each filter finds what it names in this app, in a table and as JSON."""
    listed = stack.json("license", "list", "--app", app, *filters)
    table = stack.authsvc("license", "list", "--app", app, *filters)

    assert found == set(references(listed))
    assert len(listed) == len(found)
    assert len(found) == max(0, len(table.out.splitlines()) - 1)
    assert found or f"authsvc: no license for {app} matches\n" == table.err


def test_cursors_lead_through_a_list(stack: Stack, app: str) -> None:
    """Pages of two are the list, without a gap or a repetition, and without a cursor at the end."""
    whole = references(stack.json("license", "list", "--app", app))
    seen: list[str] = []
    arguments: tuple[str, ...] = ()
    while True:
        ran = stack.authsvc("license", "list", "--app", app, "--limit", "2", "--json", *arguments)
        seen += references(json.loads(ran.out))
        if not ran.err:
            break
        word, cursor = ran.err.split()
        assert ("next:", True) == (word, len(json.loads(ran.out)) == 2)
        arguments = ("--after", cursor)
    assert whole == seen

    for foreign in ("nonsense", arguments[1]):
        ran = stack.authsvc("license", "list", "--app", f"{app}-2", "--after", foreign, check=False)
        assert (1, "", 1) == (ran.code, ran.out, len(ran.err.splitlines()))
        assert "is not a cursor of this list" in ran.err


def test_a_list_across_apps_names_them(stack: Stack, app: str) -> None:
    """Without --app there are the licenses of all apps, and a column that tells them apart."""
    second = make_license(stack, f"{app}-2")
    listed = {one["id"]: one["app"] for one in stack.json("license", "list")}
    table = stack.authsvc("license", "list").out.splitlines()

    assert listed[second.id] == f"{app}-2"
    assert {app, f"{app}-2"} <= set(listed.values())
    assert ["ID", "APP", "CUSTOMER", "REFERENCE", "TYPE", "STATE", "ENDS"] == table[0].split()
    assert "APP" not in stack.authsvc("license", "list", "--app", app).out.splitlines()[0].split()


def test_a_license_from_its_creation_to_its_renewal(stack: Stack, app: str, tmp_path: Path) -> None:
    """Create, list, renew from a file, change, and see all of it at the customer; the first file logs in throughout."""
    own = f"{app}-2"
    imported(stack, own, "customer,expires,reference\nInitech,2031-01-31,LIFE-1\n")
    first = tmp_path / "first.license.json"
    stack.authsvc("license", "download", "LIFE-1", "--app", own, "--output", str(first))
    account = Account("license", first.read_text())
    renewals = tmp_path / "renewals.csv"
    renewals.write_text("reference,expires\nLIFE-1,2033-03-31\n")

    def renew(*options: str) -> Ran:
        return stack.authsvc("license", "renew", str(renewals), "--app", own, *options)

    assert "1 license would be renewed, 0 unchanged; the last day is 2033-03-30\n" == renew("--dry-run").out
    assert "2031-01-31T00:00:00Z" == stack.json("license", "show", "LIFE-1")["expires_at"]
    assert "1 license renewed, 0 unchanged; the last day is 2033-03-30\n" == renew().out
    assert "0 licenses renewed, 1 unchanged\n" == renew().out
    id_ = stack.json("license", "show", "LIFE-1")["id"]
    entries = stack.json("audit", "list", "--app", own, "--event", "license")  # the app is also that of other tests
    changed, made = (entry for entry in entries if id_ in json.dumps(entry))
    assert ({"kind": "renewal", "rows": 1, "file": "renewals.csv"}, "license.changed") == (
        changed["batch"],
        changed["event"],
    )
    assert {"kind": "import", "rows": 1} == made["batch"], "it came through standard input"
    assert "renewal of renewals.csv with 1 row" in stack.authsvc("audit", "list", "--app", own).out

    changed = stack.json(
        *("license", "set", "LIFE-1", "--customer", "Initech Europe", "--contact", "sales@vendor.example"),
        *("--repository", "worker", "--field", "seats=5"),
    )
    assert ("Initech Europe", "sales@vendor.example", ["worker"], {"seats": 5}, "2033-03-31T00:00:00Z") == tuple(
        changed[name] for name in ("customer", "contact", "repositories", "fields", "expires_at")
    )
    claims = claims_of(get_token(stack.port, account, f"repository:{own}/worker:pull").json()["token"])
    assert [f"{own}/worker"] == [entry["name"] for entry in claims["access"]]
    back = stack.json("license", "set", changed["id"], "--whole-app", "--field", "seats=", "--contact", "")
    assert (None, None, {}) == (back["repositories"], back["contact"], back["fields"])

    customer = stack.json("customer", "show", "Initech Europe", "--team", app)
    assert [changed["id"]] == [one["id"] for one in customer["licenses"]]
    assert [] == stack.json("customer", "show", "Initech", "--team", app)["licenses"]
    table = stack.authsvc("customer", "show", customer["id"], "--team", app).out
    assert table.startswith("FIELD ")
    assert "LIFE-1" in table.splitlines()[-1]


def test_a_license_is_created_with_a_reference(stack: Stack, app: str) -> None:
    """It is found and changed by that, and no other license of the app gets it."""
    create = ("license", "create", "--app", f"{app}-2", "--customer", "Umbrella", "--expires", "2031-01-31")
    made = stack.json(*create, "--reference", "  PO 7/2026 ")
    again = stack.authsvc(*create, "--reference", "PO 7/2026", check=False)

    assert "PO 7/2026" == made["reference"]
    assert made["id"] == stack.json("license", "show", "PO 7/2026")["id"]
    assert [made["id"]] == [one["id"] for one in stack.json("license", "list", "--reference", "PO 7")]
    assert (1, True) == (again.code, "for the reference 'PO 7/2026' already" in again.err), again
    assert "revoked" == stack.json("license", "revoke", "PO 7/2026")["state"]


def test_problems_of_a_renewal(stack: Stack, app: str) -> None:
    """Every bad row is named by its line and column, and no license is changed, not even those of good rows."""
    before = stack.json("license", "list", "--app", app)
    text = "reference,expires\nORDER-2,2035-01-31\nORDER-2,2036-01-31\nNONE,2035-01-31\nORDER-3,soon\nPO-4,2020-01-31\n"
    command = ("license", "renew", "-", "--app", app)
    ran = stack.authsvc(*command, stdin=text, check=False)
    as_json = json.loads(stack.authsvc(*command, "--json", stdin=text, check=False).out)

    assert (1, "") == (ran.code, ran.out)
    places = [(3, "reference"), (4, "reference"), (5, "expires"), (6, "expires")]
    assert places == [(problem["line"], problem["column"]) for problem in as_json["problems"]]
    assert [f"authsvc: -:{line}: {column}" for line, column in places] == [
        ": ".join(line.split(": ")[:3]) for line in ran.err.splitlines()[:-1]
    ]
    assert "authsvc: 4 problems in 5 rows; no license was renewed" == ran.err.splitlines()[-1]
    assert before == stack.json("license", "list", "--app", app)


def test_references_of_several_apps(stack: Stack, app: str) -> None:
    """A reference of one app names its license in every command; one of two apps needs --app."""
    imported(stack, f"{app}-2", "customer,expires,reference\nTwice,2031-01-31,ORDER-1\n")
    ran = stack.authsvc("license", "revoke", "ORDER-1", check=False)
    assert (1, "", True) == (ran.code, ran.out, f"{app}, {app}-2" in ran.err), ran
    assert "--app" in ran.err
    own = ("ORDER-1", "--app", f"{app}-2")

    for command, state in (("revoke", "revoked"), ("archive", "archived"), ("reinstate", "active"), ("show", "active")):
        assert state == stack.json("license", command, *own)["state"], command
    assert "2035-05-31T00:00:00Z" == stack.json("license", "extend", *own, "--expires", "2035-05-31")["expires_at"]
    rotated = stack.json("license", "rotate", *own)
    assert (2, f"{app}-2") == (len(rotated["tokens"]), rotated["app"])
    assert "active" == stack.json("license", "show", "ORDER-1", "--app", app)["state"]
    ran = stack.authsvc("license", "show", "ORDER-9", check=False)
    assert (1, True) == (ran.code, "there is no license 'ORDER-9'" in ran.err)


def test_customers(stack: Stack, app: str) -> None:
    """Create, list with filters, change and refuse; a rename changes no license."""
    team = ("--team", app)
    made = stack.json("customer", "create", "Hooli", *team, "--reference", "CRM-9", "--email", "IT@Hooli.example")
    assert ("Hooli", "CRM-9", "it@hooli.example", app) == tuple(
        made[name] for name in ("name", "reference", "email", "team")
    )
    assert {"Acme Corp", "Globex", "Hooli", "Ünal Søfteware GmbH"} <= {
        one["name"] for one in stack.json("customer", "list", *team)
    }
    assert ["CRM-1"] == [one["reference"] for one in stack.json("customer", "list", *team, "--name", "corp ac")]
    assert ["Acme Corp"] == [one["name"] for one in stack.json("customer", "list", *team, "--reference", "crm-1")]
    assert "it@acme.example" == stack.json("customer", "show", "CRM-1", *team)["email"]
    page = stack.authsvc("customer", "list", *team, "--limit", "1")
    assert (2, True) == (len(page.out.splitlines()), page.err.startswith("next: "))

    renamed = stack.json("customer", "set", "CRM-1", *team, "--name", "Acme Holding", "--email", "")
    assert ("Acme Holding", None, "CRM-1") == (renamed["name"], renamed["email"], renamed["reference"])
    licenses = stack.json("customer", "show", "Acme Holding", *team)["licenses"]
    # Licenses of one import have the same second; which one is the older is not said.
    assert [("Acme Corp", "ORDER-1"), ("Acme Corp", "ORDER-2")] == sorted(
        (one["customer"], one["reference"]) for one in licenses
    )
    listed = stack.json("license", "list", "--app", app, "--customer", "holding")
    assert ["ORDER-1", "ORDER-2"] == sorted(references(listed))
    stack.authsvc("customer", "set", "CRM-1", *team, "--name", "Acme Corp", "--email", "it@acme.example")


@pytest.mark.parametrize(
    ("arguments", "code", "reason"),
    [
        (("customer", "create", "Globex", "--team", "TEAM"), 1, "has a customer 'Globex' already"),
        (("customer", "create", "New", "--team", "TEAM", "--reference", "CRM-2"), 1, "the reference 'CRM-2' already"),
        (("customer", "create", "New", "--team", "TEAM", "--email", "nonsense"), 1, "e-mail"),
        (("customer", "create", "New", "--team", "nowhere"), 1, "there is no team 'nowhere'"),
        (("customer", "show", "Nobody", "--team", "TEAM"), 1, "see: authsvc customer list --team"),
        (("customer", "set", "Globex", "--team", "TEAM"), 2, "say what to change"),
        (("license", "set", "PO-4"), 2, "say what to change"),
        (("license", "set", "PO-4", "--repository", "a", "--whole-app"), 2, "contradict"),
        (("license", "set", "PO-4", "--field", "seats"), 1, "write name=value"),
        (("license", "set", "PO-4", "--app", "APP", "--customer-reference", "CRM-404"), 1, "CRM-404"),
        (("license", "list", "--app", "nowhere"), 1, "there is no app 'nowhere'"),
        (("license", "list", "--state", "lost"), 2, "is not one of"),
        (("license", "list", "--ends-within", "soon"), 1, "span of time"),
        (("license", "list", "--limit", "0"), 2, "--limit"),
        (("license", "list", "--customer", "-"), 1, "no letter or digit"),
        (("license", "list", "--reference", "\u0301"), 1, "no letter or digit"),
        (("license", "list", "--reference", "PO\udcff"), 1, "control character"),
        (("license", "list", "--after", "\udcff"), 1, "is not a cursor"),
        (("license", "show", "PO-4\udcff"), 1, "there is no license"),
        (("customer", "show", "\udcff", "--team", "TEAM"), 1, "there is no customer"),
        (("license", "renew", "absent.csv", "--app", "APP"), 2, "does not exist"),
    ],
)
def test_what_is_refused(stack: Stack, app: str, arguments: tuple[str, ...], code: int, reason: str) -> None:
    """One reason each, and nothing on standard output."""
    words = [app if word in {"TEAM", "APP"} else word for word in arguments]
    ran = stack.authsvc(*words, check=False)
    assert (code, "", True) == (ran.code, ran.out, reason in ran.err), ran
