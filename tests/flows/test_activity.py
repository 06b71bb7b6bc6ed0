"""What skopeo and a client push and pull is what the command line shows, to the byte, and each vendor's alone."""

import csv
import io
import json
from typing import Any

import pytest
from attrs import frozen

from tests.support.oci import INDEX, MANIFEST, Image, digest_of, index_of
from tests.support.registry_client import Client
from tests.support.skopeo import Skopeo
from tests.support.stack import Stack
from tests.support.tenants import License, make_license, make_member, make_team, unique
from tests.support.waiting import until

IMAGE, SINGLE = Image(b"in an index"), Image(b"on its own")


@frozen
class Vendor:
    """A vendor whose two customers pull.

    Attributes:
        stack: where.
        app: slug.
        licenses: of the customers.
    """

    stack: Stack
    app: str
    licenses: tuple[License, License]

    def activity(self, *arguments: str) -> Any:
        """Return the JSON of a command of the group."""
        return self.stack.json("activity", *arguments)

    def rows(self, *arguments: str) -> list[dict[str, Any]]:
        """Return the rows of the app."""
        found: list[dict[str, Any]] = self.activity("list", "--app", self.app, *arguments)
        return found


@pytest.fixture(scope="module")
def vendor(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Vendor:
    """Return a vendor after a day's work: a push of an index and of an image, pulls of both, and a rival's pull."""
    app, rival = unique("shop"), unique("rival")
    team, other = make_team(stack, app), make_team(stack, rival)
    owner, stranger = Client(stack.port, make_member(stack, team, "owner")), make_member(stack, other, "owner")
    first = make_license(stack, app, "--customer", "=Initech, Inc.")
    second = make_license(stack, app, "--customer", "Hooli")
    foreign = make_license(stack, rival, "--customer", "Hooli")
    repository, index = f"{app}/worker", index_of(IMAGE.manifest)
    owner.push(repository, "part", IMAGE)
    owner.push(repository, "never", SINGLE)
    assert owner.put_manifest(repository, "1.0", index, INDEX).status == 201
    Client(stack.port, stranger).push(f"{rival}/worker", "1.0", SINGLE)

    customer = Client(stack.port, first.account)
    accept = {"Accept": f"{INDEX}, {MANIFEST}"}
    for _ in range(2):  # as docker does
        assert customer.ask("HEAD", f"/v2/{repository}/manifests/1.0", headers=accept).status == 200
        assert customer.ask("GET", f"/v2/{repository}/manifests/{digest_of(index)}", headers=accept).status == 200
        customer.pull(repository, IMAGE.digest, IMAGE)
    with_skopeo = Skopeo(stack, tmp_path_factory.mktemp("skopeo"))
    assert with_skopeo.log_in(second.account).code == 0
    assert with_skopeo.pull(f"{repository}:1.0").code == 0
    Client(stack.port, foreign.account).pull(f"{rival}/worker", "1.0", SINGLE)

    made = Vendor(stack, app, (first, second))
    until(lambda: sum(row["bytes"] or 0 for row in made.rows()) >= 3 * size(IMAGE), "all blobs are counted")
    return made


def size(image: Image) -> int:
    """Return the bytes of an image's blobs."""
    return len(image.layer) + len(image.config)


def test_rows_are_what_was_done(vendor: Vendor) -> None:
    """Who, what, how often and how much; the manifest in the index is no pull of its own."""
    first, second = (one.id for one in vendor.licenses)
    rows = vendor.rows()
    counts = {(row["license"], row["action"], row["tag"]): row["count"] for row in rows if row["bytes"] is None}
    assert counts == {
        (None, "push", "part"): 1,
        (None, "push", "never"): 1,
        (None, "push", "1.0"): 1,
        (first, "head", "1.0"): 2,
        (first, "pull", None): 2,
        (second, "pull", "1.0"): 1,
    }
    sizes = {row["license"]: row["bytes"] for row in rows if row["bytes"] is not None}
    assert sizes == {first: 2 * size(IMAGE), second: size(IMAGE)}
    assert {"=Initech, Inc.", "Hooli", None} == {row["customer"] for row in rows}
    assert {f"{vendor.app}/worker"} == {row["repository"] for row in rows}
    by_hour = vendor.rows("--resolution", "hour")
    assert sum(row["count"] for row in rows) == sum(row["count"] for row in by_hour)


def test_summaries_agree_with_the_rows(vendor: Vendor) -> None:
    """Of the license, the customer, the app and the image."""
    first, second = vendor.licenses
    license_ = vendor.activity("license", first.id)
    (use,) = license_["licenses"]
    assert (2, 2 * size(IMAGE), 1) == (use["pulls"], use["bytes"], use["networks"])
    versions = {version["digest"]: version for version in license_["versions"]}
    index = digest_of(index_of(IMAGE.manifest))
    assert {index, IMAGE.digest} == set(versions)
    assert (["1.0"], 2, False) == tuple(versions[index][name] for name in ("tags", "pulls", "is_part"))
    assert (0, True) == (versions[IMAGE.digest]["pulls"], versions[IMAGE.digest]["is_part"])
    customer = vendor.activity("customer", use["customer_id"])
    assert customer["versions"] == license_["versions"]

    (day,) = vendor.activity("app", vendor.app)
    assert (3, 2, 3, 0, 3 * size(IMAGE)) == tuple(
        day[name] for name in ("pulls", "heads", "pushes", "deletes", "bytes")
    )
    users = vendor.activity("image", f"{vendor.app}/worker:1.0")["users"]
    assert {first.id, second.id} == {user["license"] for user in users}
    (tag,) = vendor.activity("image", f"{vendor.app}/worker", "--unused", "1d")
    assert tag["tag"] == "never"


def test_the_spreadsheet_has_the_same_rows(vendor: Vendor) -> None:
    """As text, with a name that is not taken for a formula; ``--limit`` and ``--after`` work as in every list."""
    text = vendor.stack.authsvc("activity", "list", "--app", vendor.app, "--csv").out
    rows = list(csv.DictReader(io.StringIO(text, newline="")))
    assert [{name: "" if value is None else str(value) for name, value in row.items()} for row in vendor.rows()] == [
        {**row, "customer": row["customer"].removeprefix("'")} for row in rows
    ]
    assert "'=Initech, Inc." in {row["customer"] for row in rows}

    begun = vendor.stack.authsvc("activity", "list", "--app", vendor.app, "--csv", "--limit", "2")
    cursor = begun.err.strip().removeprefix("next: ")
    rest = vendor.stack.authsvc("activity", "list", "--app", vendor.app, "--csv", "--after", cursor)
    assert text.splitlines() == begun.out.splitlines() + rest.out.splitlines()[1:]


def test_tokens_are_the_other_source(vendor: Vendor) -> None:
    """They name repositories; a customer who asked is there, whatever the registry's events say."""

    def issued() -> dict[str, set[str]]:
        found: dict[str, set[str]] = {}
        for row in vendor.rows("--source", "token"):
            found.setdefault(row["license"] or "others", set()).add(row["repository"])
        return found

    until(lambda: {one.id for one in vendor.licenses} <= issued().keys(), "the tokens are in the audit")
    assert {f"{vendor.app}/worker"} == issued()[vendor.licenses[0].id]
    assert {None} == {row["tag"] for row in vendor.rows("--source", "token")}


def test_nothing_of_the_rival_appears(vendor: Vendor) -> None:
    """Its app, its license and its team are in no answer, in any form."""
    said = [json.dumps(vendor.rows()), json.dumps(vendor.activity("app", vendor.app))]
    said += [json.dumps(vendor.activity("image", f"{vendor.app}/worker"))]
    said += [vendor.stack.authsvc("activity", "list", "--app", vendor.app).out]
    assert not [text for text in said if "rival" in text]


def test_tables_are_for_people(vendor: Vendor) -> None:
    """Headings, and a sentence where there is nothing."""
    run = vendor.stack.authsvc
    head, *lines = (line.split() for line in run("activity", "list", "--app", vendor.app).out.splitlines())
    assert head[:2] == ["PERIOD", "ACTION"]
    count, size = (head.index(name) - len(head) for name in ("COUNT", "BYTES"))
    assert {True, False} == {line[size] == "-" for line in lines}
    assert not [line for line in lines if (line[count] == "-") == (line[size] == "-")], "either a count or bytes"
    assert "no activity matches" in run("activity", "list", "--app", vendor.app, "--until", "300d").err
    shown = run("activity", "license", vendor.licenses[0].id).out
    assert "counted since" in shown
    assert "IMAGE" in shown
    assert "VERSIONS" in run("activity", "image", f"{vendor.app}/worker").out
    assert "DAY" in run("activity", "app", vendor.app).out
    assert "TAG" in run("activity", "image", f"{vendor.app}/worker", "--unused", "1d").out


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (("list", "--csv", "--json"), 2),
        (("list", "--since", "soon"), 1),
        (("list", "--after", "x"), 1),
        (("image", "no-app/worker"), 1),
        (("image", "acme"), 1),
        (("image", "acme/x", "--since", "1d", "--unused", "1d"), 2),
        (("license", "0" * 16), 1),
        (("customer", "Nobody"), 1),
    ],
)
def test_what_cannot_be_shown_is_refused(stack: Stack, arguments: tuple[str, ...], code: int) -> None:
    """In one sentence."""
    ran = stack.authsvc("activity", *arguments, check=False)
    assert (code, "") == (ran.code, ran.out)
    assert ran.err.strip()


def test_a_license_and_a_customer_are_shown_with_what_they_pulled(vendor: Vendor) -> None:
    """The last pull, the versions and the networks; a license that pulled nothing has none, and nobody else's."""
    stack, (first, second) = vendor.stack, vendor.licenses
    shown = stack.json("license", "show", first.id)
    used = shown["activity"]
    assert vendor.activity("license", first.id)["last_pull_at"] == used["last_pull_at"] is not None
    assert (2, 2 * size(IMAGE), False) == tuple(used[name] for name in ("pulls", "bytes", "more_versions"))
    assert {digest_of(index_of(IMAGE.manifest)), IMAGE.digest} == {version["digest"] for version in used["versions"]}
    assert len(used["networks"]) == 1
    customer = stack.json("customer", "show", shown["customer_id"], "--team", shown["team"])
    assert customer["activity"] == used
    for command in (("license", "show", first.id), ("customer", "show", "=Initech, Inc.", "--team", shown["team"])):
        table = stack.authsvc(*command).out
        assert f"{vendor.app}/worker:1.0" in table
        assert used["last_pull_at"] in table
        assert f"1: {used['networks'][0]}" in table

    idle = stack.json("license", "show", make_license(stack, vendor.app, "--customer", "Hooli").id)
    names = ("last_pull_at", "versions", "networks", "pulls", "bytes", "more_versions")
    assert [None, [], [], 0, 0, False] == [idle["activity"][name] for name in names]
    hooli = stack.json("customer", "show", "Hooli", "--team", shown["team"])["activity"]
    assert (1, size(IMAGE)) == (hooli["pulls"], hooli["bytes"]), "the other vendor has a customer of that name"
    assert second.id != idle["id"]
