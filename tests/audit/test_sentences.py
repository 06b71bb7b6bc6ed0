"""Entries in sentences: what a tired person reads."""

from typing import Any

import pytest

from authsvc.audit.sentences import sentences, summary, when
from authsvc.audit.token_event import token_event_of
from authsvc.credentials.subject import LicensesSubject
from authsvc.errors import StoreUnavailable
from authsvc.manage.operation import RowBatch
from tests.support.builders import NOW, as_license, as_member, make_app, make_license, make_member
from tests.support.decisions import asked, denied, issued, refused


def entry(request: Any, outcome: Any, **more: Any) -> dict[str, Any]:
    """Return the entry of one decision."""
    return {**token_event_of(request, outcome).to_json(), "count": 1, **more}


def test_a_denied_license() -> None:
    """The sentence of the client, the credential, the facts of then, and the way out."""
    ended = as_license(make_license(expires_at=NOW))

    assert [
        "2026-08-01 12:00:00 UTC: No token: the account is known, but may not be used.",
        "The client was told: license c of Globex expired; contact sales@acme.test",
        "Asked for: repository:acme/x:pull.",
        f"Who: {ended.id}, by the registry token of license {ended.license.id}.",
        "True at that time: state expired, ends at 2026-08-01 12:00:00 UTC, app acme, customer Globex, type paid.",
        f"To restore access: extend the license {ended.license.id}",
        "From: 203.0.113.7, which calls itself docker docker/27.5.1.",
    ] == sentences(entry(asked(), denied(ended)))


def test_several_licenses() -> None:
    """Each license is told with its own facts and its own way out; of those for other apps nothing is said."""
    good, ended = make_license("c1", repositories=("y",)), make_license("c2", revoked_at=NOW)
    apps = {"acme": make_app("acme"), "rival": make_app("rival")}
    request = asked("repository:acme/x:pull,push", "repository:acme/y:pull")
    holder = LicensesSubject((good, ended, make_license("c3", app="rival", customer="Initech")), apps)
    said = sentences(entry(request, issued(request, holder)))
    rest = "ends at 2026-11-09 12:00:00 UTC, app acme, customer Globex, type paid"

    assert [
        "Who: license:c1, by the registry tokens of licenses c1,c2.",
        f"True at that time of license c1: state active, {rest}, repositories y.",
        f"True at that time of license c2: state revoked, {rest}.",
        "To restore access: reinstate the license c2",
    ] == said[5:9]
    assert not [sentence for sentence in said if "Initech" in sentence or "c3" in sentence]


def test_a_token_that_lacks_something() -> None:
    """Each refused action has its reason, though the request succeeded."""
    request = asked("repository:acme/x:pull,push", "repository:other/y:pull")
    told = entry(request, issued(request, as_member(make_member(), make_app())))

    said = sentences(told)
    assert said[0].endswith("A token was issued, with less than was asked for.")
    assert said[1] == "Refused: pull in repository:other/y:pull, because there is no such app."
    assert said[3] == "Granted: repository:acme/x:pull,push."
    assert said[4].endswith("by the password of me@acme.test.")
    assert summary(told) == "refused pull in repository:other/y:pull: there is no such app"


def test_a_token_that_allows_nothing() -> None:
    """A pull of somebody else's image ends in a token without access, and that is said."""
    request = asked("repository:other/y:pull")

    assert "everything asked for was refused" in sentences(entry(request, issued(request)))[0]


def test_a_change_that_is_one_of_many() -> None:
    """Which file it came from, and how many rows that has."""
    facts = {"at": NOW.isoformat(), "event": "license.created", "actor": "system:authsvc", "id": "op", "license": "c1"}
    for batch, text in (
        ({"kind": "import", "rows": 250, "file": "orders.csv"}, "import of orders.csv with 250 rows"),
        ({"kind": "renewal", "rows": 1}, "renewal with 1 row"),
    ):
        assert f"Part of the {text}." == sentences({**facts, "batch": batch})[1]
        assert summary({**facts, "batch": batch}).startswith(f"{text}; license c1")
    assert "license c1" == summary({**facts, "batch": "nonsense"})
    assert {"file": "a?b<redacted>", "kind": "import", "rows": 1} == RowBatch("import", 1, "a\x1bbasv_lic_x").facts()


def test_a_failure_before_identity() -> None:
    """What the client was not told stands in the audit."""
    said = sentences(entry(asked(), refused("wrong password of member:m1")))

    assert "The client was not told: wrong password of member:m1" in said
    assert not any(sentence.startswith("Who:") for sentence in said)


def test_an_outage() -> None:
    """A request that could not be answered is no refusal, and is told as what it was."""
    assert "nothing was decided" in sentences(entry(asked(), StoreUnavailable("the database does not answer")))[0]


def test_repeats() -> None:
    """How often, from when to when, and from where."""
    told = entry(asked(), denied(), count=312, last_at="2026-08-01T12:05:00+00:00", addresses=["203.0.113.7", "::1"])

    assert (
        "The same happened 312 times from 2026-08-01 12:00:00 UTC to 2026-08-01 12:05:00 UTC; first seen from "
        "203.0.113.7, ::1."
    ) == sentences(told)[-1]


def test_a_change() -> None:
    """A change is told with who made it and its facts."""
    told = {
        "at": NOW.isoformat(), "event": "license.changed", "actor": "system:authsvc", "id": "op",
        "license": "c1", "app": "acme", "apps": ["a", "b"], "api": None,
    }  # fmt: skip

    assert [
        "2026-08-01 12:00:00 UTC: license.changed, by system:authsvc.",
        "With: license c1, app acme, apps a, b.",
    ] == sentences(told)
    assert "license c1, app acme, apps a, b" == summary(told)


def test_a_change_of_the_server_itself_says_why() -> None:
    """The reason is a fact of it, and not an answer to a client."""
    facts = {"at": NOW.isoformat(), "event": "webhook.disabled", "actor": "system:authsvc", "id": "op-1"}
    told = {**facts, "team": "acme", "webhook": "w1", "reason": "the receiver answered 410"}

    assert "team acme, webhook w1, reason the receiver answered 410" == summary(told)
    assert sentences(told)[1] == "With: team acme, webhook w1, reason the receiver answered 410."


@pytest.mark.parametrize("text", ["", "yesterday", "2026-99-99"])
def test_a_damaged_time_is_no_error(text: str) -> None:
    """An entry that was damaged is shown as far as it goes."""
    assert "at an unknown time" == when(text)
