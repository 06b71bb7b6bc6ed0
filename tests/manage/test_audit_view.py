"""What a team sees of the audit: what is certainly its own, and nothing else."""

import json
from typing import Any

import pytest

from authsvc.audit.stored_entry import StoredEntry
from authsvc.manage.actor import Actor
from authsvc.manage.audit import Audit
from authsvc.manage.audit_query import AuditQuery
from authsvc.manage.audit_view import AuditView
from authsvc.store.audit_stream import RedisAudit
from authsvc.tenancy.records import Role
from tests.support.builders import PASSWORD, make_member
from tests.support.installation import APP, OPERATOR, TEAM, Installation

OWNER = AuditView(Actor.of_member(make_member()), frozenset({"acme", "annex"}))
DEVELOPER = AuditView(Actor.of_member(make_member(Role.DEVELOPER)), frozenset({"acme", "annex"}))
LIMITED = AuditView(Actor.of_member(make_member(Role.DEVELOPER, apps=("acme",))), frozenset({"acme"}))
EVERYBODY = "operator owner developer limited"


def entry(*, proven: bool = True, event: str = "token.issued", **facts: Any) -> StoredEntry:
    """Return an entry as it is read back."""
    said = {"at": "2026-08-01T12:00:00+00:00", "event": event, "actor": "somebody", "id": "x", **facts}
    text = json.dumps(said).encode()
    return StoredEntry("1-1", text, proven=proven, length=len(text))


LICENSE = {"kind": "license", "id": "c1", "app": "acme", "customer": "Initech"}
MEMBER = {"kind": "password", "id": "m1", "member": "me@acme.test", "team": "acme-team"}


@pytest.mark.parametrize(
    ("found", "seen_by"),
    [
        (entry(credential=LICENSE, asked=["repository:acme/x:pull"]), EVERYBODY),
        (entry(credential=LICENSE, asked=["repository:annex/x:pull"]), "operator owner developer"),
        (entry(credential=LICENSE | {"app": "annex"}), "operator owner developer"),
        (entry(credential=LICENSE | {"app": "globex"}, asked=["repository:acme/x:pull"]), "operator"),
        (entry(credential=MEMBER, asked=["repository:acme/x:pull"]), EVERYBODY),
        (entry(credential=MEMBER, asked=["repository:globex/x:pull"]), "operator owner developer"),
        (entry(credential=MEMBER), "operator owner developer"),
        (entry(credential=MEMBER | {"team": "globex-team"}, asked=["repository:acme/x:pull"]), "operator"),
        (entry(credential={"kind": "licenses", "licenses": [LICENSE, LICENSE | {"app": "annex"}]}),
         "operator owner developer"),
        (entry(credential={"kind": "licenses", "licenses": [LICENSE, LICENSE | {"app": "globex"}]}), "operator"),
        (entry(app="acme", examples=[{"id": "y", "actor": "license:c1", "asked": ""}]), EVERYBODY),
        (entry(app="globex"), "operator"),
        (entry(), "operator"),
        (entry(event="token.refused", asked=["repository:acme/x:pull"], proven=False), "operator"),
        (entry(event="license.created", app="acme", team="acme-team", license="c1"), "operator owner"),
        (entry(event="license.created", app="acme", team="globex-team", license="c1"), "operator"),
        (entry(event="member.added", team="acme-team"), "operator owner"),
        (entry(event="member.added", team="globex-team"), "operator"),
        (entry(event="member.added", team="acme-team", credential=MEMBER | {"team": "globex-team"}), "operator"),
        (entry(event="keys.rotated"), "operator"),
        (entry(event="audit.trimmed", count=7), "operator"),
        (StoredEntry("1-1", b"junk", length=4), "operator"),
    ],
)  # fmt: skip
def test_an_entry_is_seen_by_whose_it_is(found: StoredEntry, seen_by: str) -> None:
    """Names of the team and of its apps decide, never what somebody asked for; changes are the owners' to see."""
    views = {"operator": AuditView(OPERATOR), "owner": OWNER, "developer": DEVELOPER, "limited": LIMITED}

    assert [name for name, view in views.items() if view.shows(found)] == seen_by.split()


async def test_a_team_reads_its_own_changes(house: Installation) -> None:
    """On a real stream: lists, copies and explanations leave out the other team, and its ids look unknown."""
    await house.teams.create("globex-team", None, house.operation())
    await house.teams.create_app("globex", "globex-team", None, house.operation())
    owner = Actor.of_member(await house.members.add("me@x.test", TEAM, "owner", (), PASSWORD, house.operation()))
    theirs = next(entry.id for entry in house.told if entry.facts.get("app") == "globex")
    ours = next(entry.id for entry in house.told if entry.facts.get("app") == APP)
    audit = Audit(RedisAudit(house.connection, 1 << 26), house.stores)

    listed = (await audit.entries(owner, AuditQuery(), house.now)).items
    copied = [kept async for page in audit.pages(owner, AuditQuery(), house.now) for kept in page]
    followed, _ = await audit.follow(owner, AuditQuery(), "0-1", house.now)

    assert len(listed) == len(copied) == len(followed) > 3
    assert {kept.facts["team"] for kept in (*listed, *copied, *followed)} == {TEAM}
    assert (await audit.explain(owner, theirs)).kept is None
    assert (await audit.explain(OPERATOR, theirs)).kept is not None
    assert (await audit.explain(owner, ours)).kept is not None
