"""Two vendors with docker and skopeo: clients, API, command line and audit agree on pushes, pulls and deletions."""

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import pytest
from attrs import frozen

from tests.support.docker_engine import DockerEngine
from tests.support.http_client import Reply, ask
from tests.support.oci import Image
from tests.support.skopeo import Skopeo
from tests.support.stack import Stack
from tests.support.tenants import Account, License, make_license, make_member, make_team, unique
from tests.support.waiting import until

pytestmark = pytest.mark.system

OURS, THEIRS = "Initech Incorporated", "Hooli Limited"
"""The customers of the two vendors."""


@frozen
class Vendor:
    """A vendor with one app, one customer and an owner who has a token for the API.

    Attributes:
        stack: where.
        app: slug, and that of the team.
        owner: who pushes and deletes.
        owner_id: subject of the owner.
        customer: name.
        license: of the customer.
        token: of the owner, for the API.
    """

    stack: Stack
    app: str
    owner: Account
    owner_id: str
    customer: str
    license: License
    token: str

    @property
    def repository(self) -> str:
        """The one repository."""
        return f"{self.app}/worker"

    @property
    def names(self) -> tuple[str, ...]:
        """What nobody of another team may read."""
        return (self.app, self.owner.username, self.owner_id, self.customer, self.license.id)

    def ask(self, method: str, path: str, **headers: str) -> Reply:
        """Ask the API as the owner."""
        sent = {"Authorization": f"Bearer {self.token}", **headers}
        return ask(self.stack.port, method, f"/api/v1{path}", headers=sent)

    def image(self, method: str, reference: str, query: str = "", **headers: str) -> Reply:
        """Ask the API about one image of any repository."""
        return self.ask(method, f"/images/{quote(reference, safe='')}{query}", **headers)

    def read(self, path: str) -> Any:
        """Return what the API answers."""
        reply = self.ask("GET", path)
        assert reply.status == 200, reply
        return reply.json()


def make_vendor(stack: Stack, word: str, customer: str) -> Vendor:
    """Make a vendor."""
    app = unique(word)
    make_team(stack, app, slug=app)
    owner = make_member(stack, app, "owner")
    (member,) = stack.json("member", "list", "--team", app)
    token = stack.json("token", "create", "ci", "--member", owner.username, "--api", "manage")["token"]
    license_ = make_license(stack, app, "--customer", customer)
    return Vendor(stack, app, owner, f"member:{member['id']}", customer, license_, token)


@pytest.fixture(scope="module")
def vendors(stack: Stack) -> tuple[Vendor, Vendor]:
    """Return two vendors."""
    return make_vendor(stack, "ours", OURS), make_vendor(stack, "theirs", THEIRS)


Digests = Mapping[str, str]
"""By reference, as docker printed them, or as the image was made that skopeo pushed."""


@pytest.fixture(scope="module")
def done(vendors: tuple[Vendor, Vendor], engine: DockerEngine, tmp_path_factory: pytest.TempPathFactory) -> Digests:
    """Push and pull with docker at one vendor, and with skopeo at the other."""
    ours, theirs = vendors
    engine.make_image("made", b"an image of docker")
    name = f"{ours.stack.name}/{ours.repository}"
    sign_in(engine, ours, ours.owner)
    digests = {}
    for tag in ("1.0", "latest"):
        engine.docker("tag", "made", f"{name}:{tag}", check=True)
        said = engine.docker("push", f"{name}:{tag}", check=True).out
        digests[f"{ours.repository}:{tag}"] = re.findall(r"digest: (sha256:[0-9a-f]{64})", said)[0]
        engine.docker("rmi", f"{name}:{tag}", check=True)
    sign_in(engine, ours, ours.license.account)
    pulled = engine.docker("pull", f"{name}:1.0", check=True).out
    assert f"Digest: {digests[f'{ours.repository}:1.0']}" in pulled

    image = Image(b"an image of skopeo")
    folders = [tmp_path_factory.mktemp(who) for who in ("vendor", "holder")]
    vendor, holder = (Skopeo(theirs.stack, folder) for folder in folders)
    assert vendor.log_in(theirs.owner).code == holder.log_in(theirs.license.account).code == 0
    assert vendor.push(image, f"{theirs.repository}:1.0").code == 0
    assert holder.pull(f"{theirs.repository}:1.0").code == 0
    digests[f"{theirs.repository}:1.0"] = image.digest
    return digests


def sign_in(engine: DockerEngine, vendor: Vendor, account: Account) -> None:
    """Sign docker in."""
    engine.docker(
        "login", vendor.stack.name, "-u", account.username, "--password-stdin", stdin=account.password, check=True
    )


def recorded(vendor: Vendor, reference: str) -> Any:
    """Return an image by the API, when its push and its pull are recorded."""

    def look() -> Any:
        reply = vendor.image("GET", reference)
        shown = reply.json()
        return shown if reply.status == 200 and shown["pushed_at"] and shown["pulled_at"] else None

    return until(look, f"push and pull of {reference} are recorded")


def listed(vendor: Vendor) -> Digests | None:
    """Return the digests of every tag by the API, when the command line says the same of every image."""
    items = vendor.read(f"/images?app={vendor.app}")["items"]
    shown = json.loads(vendor.image("GET", f"{vendor.repository}:1.0").body)
    run = vendor.stack.json
    if run("image", "list", "--app", vendor.app) != items or run("image", "show", f"{vendor.repository}:1.0") != shown:
        return None  # the index was read again between the two
    return {f"{one['repository']}:{one['tag']}": one["digest"] for one in items}


def listed_tags(vendor: Vendor) -> tuple[list[str], list[str]]:
    """Return the tags that the API lists, and those that the command line lists."""
    by_api, by_command = vendor.read(f"/images?app={vendor.app}")["items"], vendor.stack.json("image", "list")
    of_command = [one["tag"] for one in by_command if one["repository"] == vendor.repository]
    return [one["tag"] for one in by_api], of_command


def counted(vendor: Vendor) -> set[tuple[str, str, str]] | None:
    """Return who pushed and pulled what, by the registry's events: of the API, when the command line says the same."""
    rows = vendor.read(f"/activity?app={vendor.app}")["items"]
    if vendor.stack.json("activity", "list", "--app", vendor.app) != rows:
        return None  # events arrived between the two
    manifests = [row for row in rows if row["bytes"] is None and row["action"] != "head"]
    return {(row["action"], row["subject"], row["digest"]) for row in manifests}


def test_everybody_agrees_on_pushes_and_pulls(vendors: tuple[Vendor, Vendor], done: Digests) -> None:
    """Digest, who pushed and who pulled: as the clients printed, in API and command line, and counted from events."""
    for vendor in vendors:
        reference, holder = f"{vendor.repository}:1.0", f"license:{vendor.license.id}"
        shown = recorded(vendor, reference)
        digests = {name: digest for name, digest in done.items() if name.startswith(vendor.repository)}
        assert (shown["digest"], shown["pushed_by"], shown["pulled_by"]) == (
            digests[reference],
            vendor.owner_id,
            holder,
        )
        assert (shown["pushed_by_name"], shown["pulled_by_name"]) == (vendor.owner.username, vendor.customer)
        assert [(one["license"], one["customer"]) for one in shown["customers"]] == [
            (vendor.license.id, vendor.customer)
        ]
        until(lambda vendor=vendor, digests=digests: listed(vendor) == digests, "both lists agree")  # type: ignore[misc]
        moved = {("push", vendor.owner_id, digest) for digest in digests.values()}
        moved.add(("pull", holder, digests[reference]))
        until(lambda vendor=vendor, moved=moved: counted(vendor) == moved, "the events are counted")  # type: ignore[misc]
        who = {vendor.owner_id, holder}
        until(lambda vendor=vendor, who=who: who <= asked(vendor), "the tokens are in the audit")  # type: ignore[misc]


def asked(vendor: Vendor) -> set[str]:
    """Return who asked for a token, by the audit: the other source of activity."""
    return {row["subject"] for row in vendor.read(f"/activity?app={vendor.app}&source=token")["items"]}


@pytest.mark.usefixtures("done")
def test_nothing_of_the_other_vendor(vendors: tuple[Vendor, Vendor]) -> None:
    """No answer of the API has a name, id or digest of the other vendor; what is asked for by name is not there."""
    for vendor, other in (vendors, vendors[::-1]):
        recorded(other, f"{other.repository}:1.0")
        reference = f"{vendor.repository}:1.0"
        answers = [
            vendor.image("GET", reference),
            *(
                vendor.ask("GET", path)
                for path in ("/images", "/activity", "/activity?source=token", "/audit", "/apps", "/customers")
            ),
            vendor.ask("GET", f"/apps/{vendor.app}/images"),
            vendor.ask("GET", f"/activity/images/{quote(vendor.repository, safe='')}"),
        ]
        assert {reply.status for reply in answers} == {200}
        said = b"".join(reply.body for reply in answers).decode()
        assert vendor.app in said
        assert not [name for name in other.names if name in said]
        for method in ("GET", "DELETE"):
            foreign = vendor.image(method, f"{other.repository}:1.0")
            unknown = vendor.image(method, f"{other.repository}x:1.0")
            assert foreign.status == 404
            assert without(foreign, other.repository) == without(unknown, f"{other.repository}x")


def without(reply: Reply, name: str) -> tuple[int, str]:
    """Return an answer without the name that it was asked for and without its request id."""
    facts = json.loads(reply.body)
    return reply.status, json.dumps({**facts, "request_id": None}).replace(name, "NAME")


@pytest.mark.usefixtures("done")
def test_a_deletion_by_the_api(vendors: tuple[Vendor, Vendor], engine: DockerEngine) -> None:
    """The customer who runs it is named first; then docker gets it no more, its sibling stays, and everybody agrees."""
    ours, theirs = vendors
    reference, name = f"{ours.repository}:1.0", f"{ours.stack.name}/{ours.repository}"
    digest = recorded(ours, reference)["digest"]
    refused = ours.image("DELETE", reference)
    question = json.loads(refused.body)
    assert (refused.status, question["code"]) == (409, "confirmation_needed")
    assert f"1 customer pulled it in the last 30 days: {OURS}" in question["detail"]
    confirmed = ours.image("DELETE", reference, f"?confirm={question['mark']}")
    assert (confirmed.status, confirmed.json()["tags_deleted"], confirmed.json()["tags_kept"]) == (
        *(200, ["1.0"]),
        ["latest"],
    )

    sign_in(engine, ours, ours.license.account)
    assert "manifest unknown" in engine.docker("pull", f"{name}:1.0").said
    assert digest in engine.docker("pull", f"{name}:latest", check=True).out
    until(lambda: listed_tags(ours) == (["latest"], ["latest"]), "API and command line list the sibling alone")
    entries = [one for one in ours.read("/audit")["items"] if one["event"] == "image.deleted"]
    assert [(one["actor"], one["facts"]["tag"], one["facts"]["digest"]) for one in entries] == [
        (ours.owner_id, "1.0", digest)
    ]
    assert recorded(theirs, f"{theirs.repository}:1.0")["tags"] == ["1.0"]
