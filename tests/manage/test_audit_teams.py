"""Two vendors ask the audit: each finds its own entries by every name, page by page, and never a name of the other."""

import itertools
import json
from collections.abc import Awaitable, Callable, Iterable
from datetime import UTC, datetime
from typing import Any

import pytest
from attrs import define, field

from authsvc.audit.recorder import AuditRecorder
from authsvc.audit.sentences import REMEDIES, sentences
from authsvc.audit.stored_entry import StoredEntry
from authsvc.credentials.machine_secret import derive_license_token
from authsvc.credentials.subject import LicensesSubject
from authsvc.errors import NotFound
from authsvc.issuance import Denied
from authsvc.logs import make_logger
from authsvc.manage import audit as audit_module
from authsvc.manage.actor import Actor
from authsvc.manage.audit import Audit, Explanation
from authsvc.manage.audit_query import AuditQuery
from authsvc.manage.audit_remedies import remedies_for
from authsvc.redaction import Secret
from authsvc.store.audit_stream import RedisAudit
from authsvc.tenancy.pages import Page
from authsvc.tenancy.records import App, License, Member
from authsvc.tenancy.terms import LicenseTerms
from tests.support.builders import PASSWORD, TOKEN_KEY
from tests.support.decisions import asked, issued
from tests.support.installation import OPERATOR, Installation, confirmed

SCOPES = "repository:{app}/x:pull,push"


@define
class Vendor:
    """One team with everything that can be asked about.

    Attributes:
        name: begins every name of the team, and stands in no name of the other.
        owner: of the whole team.
        developer: of the whole team.
        limited: a developer of the app ``NAME-b`` alone.
        license: of the app ``NAME-a``, with the reference ``NAME-order``, of the customer ``NAME-customer``.
        shown: request ids, by the kind of subject.
    """

    name: str
    owner: Member
    developer: Member
    limited: Member
    license: License
    customer: str
    account: str
    shown: dict[str, str] = field(factory=dict)

    @property
    def readers(self) -> dict[str, Actor]:
        """Everyone of the team who may have a request explained."""
        people = {"owner": self.owner, "developer": self.developer, "limited": self.limited}
        return {name: Actor.of_member(member) for name, member in people.items()}


@define
class Both:
    """An installation of two vendors, and what the audit has of them."""

    house: Installation
    recorder: AuditRecorder
    audit: Audit
    vendors: tuple[Vendor, ...] = ()

    async def ask(self, vendor: Vendor, kind: str, secret: Secret, app: str, username: str = "x") -> None:
        """Ask for a token, and record the decision under a new request id."""
        scope = SCOPES.format(app=app)
        request = asked(scope, at=self.house.now)
        vendor.shown[kind] = request.request_id
        try:
            self.recorder.record(request, await self.house.ask(secret, username, scope))
        except Denied as error:
            self.recorder.record(request, error)


async def make_vendor(both: Both, name: str) -> Vendor:
    """Make a team, and let each of its credentials ask for a token."""
    house, operation = both.house, both.house.operation
    await house.teams.create(name, None, operation())
    for app in (f"{name}-a", f"{name}-b"):
        await house.teams.create_app(app, name, None, operation())
    owner, developer, limited = [
        await house.members.add(f"{role}@{name}.test", name, role.partition(".")[0], apps, PASSWORD, operation())
        for role, apps in (("owner", ()), ("developer", ()), ("developer.b", (f"{name}-b",)))
    ]
    terms = LicenseTerms.parse(
        customer=f"{name}-customer", customer_reference=f"{name}-crm", expires="30d", now=house.now
    )
    license_, _ = await house.licenses.create_in(
        await house.licenses.open_app(OPERATOR, f"{name}-a"), terms, operation(), f"{name}-order"
    )
    account, secret = await house.service_accounts.create(
        f"{name}-ci", name, [f"{name}-b/**:pull"], None, None, operation()
    )
    vendor = Vendor(name, owner, developer, limited, license_, license_.customer_id or "", account.id)
    token = derive_license_token(TOKEN_KEY, license_.id, 1).text
    await both.ask(vendor, "license", token, f"{name}-a")
    await both.ask(vendor, "service account", secret, f"{name}-b")
    await both.ask(vendor, "member", PASSWORD, f"{name}-a", owner.email)
    return vendor


@pytest.fixture
async def both(house: Installation) -> Both:
    """Return two vendors whose decisions are recorded, and a request that licenses of both granted together."""
    house.now = datetime.now(UTC).replace(microsecond=0)  # as Redis has it, which gives entries their cursors
    numbers = itertools.count()
    stream = RedisAudit(house.connection, 1 << 26)
    recorder = AuditRecorder(stream, make_logger("error"), lambda: house.now, lambda: f"batch-{next(numbers)}")
    made = Both(house, recorder, Audit(stream, house.stores))
    made.vendors = (await make_vendor(made, "acmex"), await make_vendor(made, "globex"))
    apps = {vendor.license.app: await app_of(house, vendor.license.app) for vendor in made.vendors}
    request = asked(*(SCOPES.format(app=app) for app in apps), at=house.now)
    subject = LicensesSubject(tuple(vendor.license for vendor in made.vendors), apps)
    recorder.record(request, issued(request, subject))
    await recorder.flush(everything=True)
    return made


async def app_of(house: Installation, slug: str) -> App:
    """Return an app."""
    return (await house.licenses.open_app(OPERATOR, slug)).record


def texts(entries: Iterable[StoredEntry], actor: Actor) -> str:
    """Return everything that a reader gets to see of some entries."""
    shown = [[entry.to_json(), sentences(entry.facts, remedies_for(actor))] for entry in entries]
    return json.dumps(shown)


def pairs(both: Both) -> list[tuple[Vendor, Vendor]]:
    """Return each vendor with the other one."""
    first, second = both.vendors
    return [(first, second), (second, first)]


async def test_no_list_and_no_copy_has_a_name_of_the_other_team(both: Both) -> None:
    """Each owner reads some entries of every kind, all of its own team; what licenses of both got is the operator's."""
    for vendor, other in pairs(both):
        owner = vendor.readers["owner"]
        page = await both.audit.entries(owner, AuditQuery(), both.house.now)
        copied = [kept async for part in both.audit.pages(owner, AuditQuery(), both.house.now) for kept in part]
        followed, _ = await both.audit.follow(owner, AuditQuery(), "0-1", both.house.now)

        assert page.next is None
        assert len(page.items) == len(copied) == len(followed) > 10
        assert {"token.issued", "license.created", "team.created"} <= {kept.facts["event"] for kept in page.items}
        assert other.name not in texts((*page.items, *copied, *followed), owner)
    everything = await both.audit.entries(OPERATOR, AuditQuery(), both.house.now)
    both_licenses = ",".join(sorted(vendor.license.id for vendor in both.vendors))
    assert 1 == sum(kept.facts["actor"] == f"license:{both_licenses}" for kept in everything.items)


Name = Callable[[Vendor], str]
NAMES: dict[str, tuple[str, Name]] = {
    "license subject": ("license", lambda v: f"license:{v.license.id}"),
    "license id": ("license", lambda v: v.license.id),
    "license reference": ("license", lambda v: f"{v.name}-order"),
    "customer subject": ("license", lambda v: f"customer:{v.customer}"),
    "customer id": ("license", lambda v: v.customer),
    "customer reference": ("license", lambda v: f"{v.name}-crm"),
    "customer name": ("license", lambda v: f"{v.name}-customer"),
    "member subject": ("member", lambda v: f"member:{v.owner.id}"),
    "address": ("member", lambda v: v.owner.email.upper()),
    "account subject": ("service account", lambda v: f"service-account:{v.account}"),
    "account id": ("service account", lambda v: v.account),
    "account name": ("service account", lambda v: f"{v.name}-ci"),
}
"""How people name whom they ask about, and on which request the decision is."""


@pytest.mark.parametrize("name", NAMES)
async def test_decisions_are_found_by_every_name(both: Both, name: str) -> None:
    """Owners and developers find the one decision; of the other team nothing, and that is not told from nothing."""
    kind, text = NAMES[name]
    for vendor, other in pairs(both):
        for role in ("owner", "developer"):
            actor = vendor.readers[role]
            found = await both.audit.decisions(actor, text(vendor), both.house.now)
            assert [vendor.shown[kind]] == [kept.facts["id"] for kept in found.items]
            assert other.name not in texts(found.items, actor)
            assert await outcome(both, actor, text(other)) in {"()", nothing_named(text(other))}
    vendor = both.vendors[0]
    team = vendor.name if name in {"customer reference", "customer name", "account name"} else None
    found = await both.audit.decisions(OPERATOR, text(vendor), both.house.now, team=team)
    assert vendor.shown[kind] in [kept.facts["id"] for kept in found.items]


async def outcome(both: Both, actor: Actor, subject: str) -> str:
    """Return what asking about a subject brings."""
    try:
        return str((await both.audit.decisions(actor, subject, both.house.now)).items)
    except NotFound as error:
        return str(error)


def nothing_named(text: str) -> str:
    """Return the sentence for what has no name here."""
    return (
        f"nothing is named {text!r}: neither a license nor a customer nor a service account; write license:ID, "
        "member:ID, service-account:ID, an e-mail address or a reference"
    )


async def test_who_is_limited_to_an_app_sees_decisions_of_that_app(both: Both) -> None:
    """Of the other app there is nothing, by whatever name, and by the request id neither."""
    for vendor, other in pairs(both):
        limited = vendor.readers["limited"]
        for name, (_, text) in NAMES.items():
            if name in {"account subject", "account id"}:
                (found,) = (await both.audit.decisions(limited, text(vendor), both.house.now)).items
                assert vendor.shown["service account"] == found.facts["id"]
            else:
                assert await outcome(both, limited, text(vendor)) in {"()", nothing_named(text(vendor))}
        for kind in ("license", "member"):
            assert (await both.audit.explain(limited, vendor.shown[kind])).kept is None
        assert (await both.audit.explain(limited, other.shown["service account"])).kept is None


async def test_a_request_id_is_explained_to_its_own_team(both: Both) -> None:
    """To the other team it is as unknown as one that was never shown, to the letter."""
    for vendor, other in pairs(both):
        for actor in (vendor.readers["owner"], vendor.readers["developer"]):
            for request_id in vendor.shown.values():
                kept = (await both.audit.explain(actor, request_id)).kept
                assert kept is not None
                assert request_id == kept.facts["id"]
                assert other.name not in texts([kept], actor)
            theirs = await both.audit.explain(actor, other.shown["license"])
            never = await both.audit.explain(actor, f"{other.shown['license'][:8]}ffffffff")
            assert theirs == Explanation(
                other.shown["license"], None, never.around, never.made_at, never.trimmed, never.next
            )


async def test_a_change_is_explained_to_owners_alone(both: Both) -> None:
    """By the id of the operation; a developer, who may not list changes, gets the answer for an unknown one."""
    vendor, other = both.vendors
    change = next(entry for entry in both.house.told if entry.facts.get("team") == vendor.name)
    owner, developer = vendor.readers["owner"], vendor.readers["developer"]

    assert (await both.audit.explain(owner, change.id)).kept is not None
    for actor in (developer, other.readers["owner"]):
        assert Explanation(change.id, None) == await both.audit.explain(actor, change.id)


async def test_a_person_of_another_team_is_not_named(both: Both) -> None:
    """The operator acted for a member of the one team on the other: that team sees the operator alone."""
    vendor, other = both.vendors
    person = await both.house.members.person(OPERATOR, other.owner.email)
    await both.house.licenses.revoke(vendor.license.id, both.house.operation(Actor.operator(person)))
    owner = vendor.readers["owner"]
    (entry,) = (await both.audit.entries(owner, AuditQuery(events=("license.changed",)), both.house.now)).items
    (whole,) = (await both.audit.entries(OPERATOR, AuditQuery(events=("license.changed",)), both.house.now)).items

    assert "on_behalf_of" not in entry.facts
    assert other.name not in texts([entry], owner)
    assert other.owner.email == whole.facts["on_behalf_of"]["email"]
    assert () == (await both.audit.entries(owner, AuditQuery(actor=other.owner.email), both.house.now)).items
    own = await both.house.members.person(OPERATOR, vendor.owner.email)
    await both.house.licenses.reinstate(vendor.license.id, both.house.operation(Actor.operator(own)))
    (newest,) = (
        await both.audit.entries(owner, AuditQuery(actor=vendor.owner.email, events=("license",)), both.house.now)
    ).items
    assert vendor.owner.email == newest.facts["on_behalf_of"]["email"]


# --- bounded work -----------------------------------------------------------------------------------------------------


async def all_of(page_after: Callable[[str | None], Awaitable[Page[StoredEntry]]]) -> tuple[list[StoredEntry], int]:
    """Return everything, page by page, and how many pages it took."""
    found, after, pages = list[StoredEntry](), None, 0
    while True:
        page = await page_after(after)
        found += page.items
        after, pages = page.next, pages + 1
        if after is None:
            return found, pages


async def test_pages_are_short_rather_than_long(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """With little work for each page every question is answered by more of them, and by the same entries."""
    owner, now = both.vendors[0].readers["owner"], both.house.now
    questions: list[Callable[[str | None], Awaitable[Page[StoredEntry]]]] = [
        lambda after: both.audit.entries(owner, AuditQuery(), now, after=after),
        lambda after: both.audit.entries(owner, AuditQuery(events=("license.created",)), now, after=after),
        lambda after: both.audit.entries(OPERATOR, AuditQuery(subject="globex-order"), now, after=after),
        lambda after: both.audit.entries(OPERATOR, AuditQuery(), now, after=after, unproven=True),
        lambda after: both.audit.decisions(owner, "acmex-crm", now, after=after),
    ]
    whole = [await all_of(question) for question in questions]
    monkeypatch.setattr(audit_module, "MAX_EXAMINED", 4)
    parts = [await all_of(question) for question in questions]

    assert [entries for entries, _ in whole] == [entries for entries, _ in parts]
    assert all(entries for entries, _ in whole)
    assert all(few == 1 < many for (_, few), (_, many) in zip(whole, parts, strict=True))


async def test_an_explanation_goes_on_where_it_stopped(both: Both, monkeypatch: pytest.MonkeyPatch) -> None:
    """However little is looked at for each answer, the last one is the same, for a request and for a change."""
    monkeypatch.setattr(audit_module, "MAX_EXAMINED", 3)
    change, answers = both.house.told[1].id, 0
    for wanted in (*both.vendors[1].shown.values(), change):
        found, answers = await both.audit.explain(OPERATOR, wanted), 1
        while found.next is not None:
            assert found.kept is None
            found, answers = await both.audit.explain(OPERATOR, wanted, found.next), answers + 1
        assert found.kept is not None
        assert found.kept.is_about(wanted)
    assert answers > 1
    unknown = await both.audit.explain(OPERATOR, "f" * 16)
    while unknown.next is not None:
        unknown = await both.audit.explain(OPERATOR, "f" * 16, unknown.next)
    assert unknown.kept is None


# --- what the sentences say -------------------------------------------------------------------------------------------


async def explained(both: Both, actor: Actor, request_id: str) -> list[str]:
    """Return the sentences on a request, for a reader."""
    found = (await both.audit.explain(actor, request_id)).kept
    assert found is not None
    return sentences(found.facts, remedies_for(actor))


async def test_a_license_of_an_archived_app_is_not_called_active(both: Both) -> None:
    """The state is that of the app, and what helps is to reinstate it, for which a developer asks an owner."""
    vendor = both.vendors[0]
    await confirmed(both.house.teams.archive_app, vendor.license.app, both.house.operation())
    token = derive_license_token(TOKEN_KEY, vendor.license.id, 1).text
    await both.ask(vendor, "archived", token, vendor.license.app)
    await both.recorder.flush(everything=True)
    said = {
        name: await explained(both, actor, vendor.shown["archived"])
        for name, actor in vendor.readers.items()
        if name != "limited"
    }

    assert all("state active" not in " ".join(lines) for lines in said.values())
    assert all("state archived with its app" in " ".join(lines) for lines in said.values())
    assert "To restore access: reinstate the app acmex-a" in said["owner"]
    assert "To restore access: ask an owner of the team to reinstate the app acmex-a" in said["developer"]


def test_an_older_entry_of_an_archived_app_does_not_say_active() -> None:
    """What an older version wrote is explained like what is written now."""
    credential = {"kind": "license", "id": "c1", "state": "active", "app": "acme"}
    facts: dict[str, Any] = {
        "at": "",
        "event": "token.denied",
        "actor": "license:c1",
        "id": "x",
        "credential": credential,
    }
    said = sentences(facts)

    assert "True at that time: state archived with its app, app acme." in said
    assert "To restore access: reinstate the app acme" in said
    assert "state active" in " ".join(sentences({**facts, "event": "token.issued"}))


async def test_no_reader_is_sent_to_a_command(both: Both) -> None:
    """Words of the interface are the interface's; whoever may read an explanation is told what they may do."""
    vendor = both.vendors[0]
    await both.house.licenses.revoke(vendor.license.id, both.house.operation())
    both.house.pass_time(seconds=1)
    token = derive_license_token(TOKEN_KEY, vendor.license.id, 1).text
    await both.ask(vendor, "revoked", token, vendor.license.app)
    await both.recorder.flush(everything=True)
    for name in ("owner", "developer"):
        lines = await explained(both, vendor.readers[name], vendor.shown["revoked"])
        assert f"To restore access: reinstate the license {vendor.license.id}" in lines
        assert "authsvc " not in " ".join(lines)
    assert set(REMEDIES) == set(remedies_for(OPERATOR))
