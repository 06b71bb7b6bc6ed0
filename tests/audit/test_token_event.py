"""What an entry says of a decision: the facts of that moment, and never a secret."""

from datetime import timedelta
from typing import Any

import pytest
from msgspec.structs import replace

from authsvc.audit.token_event import AuditedRequest, TokenEvent, repeat_key, token_event_of
from authsvc.client import Client
from authsvc.credentials.subject import MemberSubject, ServiceAccountSubject, Subject
from authsvc.errors import Overloaded, StoreUnavailable, Throttled, WrongSecret
from authsvc.tenancy.machine_records import Grant, PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.records import LicenseType
from tests.support.builders import NOW, as_license, as_member, license_token, make_app, make_license, make_member
from tests.support.decisions import asked, denied, issued, refused

PERSONAL = PersonalToken("p1", "laptop", make_member().id, "00" * 32, NOW, NOW + timedelta(days=9))
SIGN_IN = RefreshToken("r1", make_member().id, 1, "00" * 32, NOW)
MACHINE = ServiceAccount("s1", "ci", "acme-team", (Grant("acme", "**", ("pull", "push")),), (), NOW, creator="m1")


def test_a_denial_tells_the_facts_of_its_moment() -> None:
    """An expired license's entry names state, end, customer and what the client was told."""
    ended = make_license(expires_at=NOW - timedelta(days=1), repositories=("x", "api/*"))
    request = asked("repository:acme/x:pull")
    told = token_event_of(request, denied(as_license(ended))).to_json()

    expected = {
        "at": NOW.isoformat(),
        "event": "token.denied",
        "actor": ended.subject,
        "id": request.request_id,
        "asked": ["repository:acme/x:pull"],
        "credential": {
            "kind": "license",
            "id": ended.id,
            "state": "expired",
            "ends_at": (NOW - timedelta(days=1)).isoformat(),
            "app": "acme",
            "customer": "Globex",
            "type": "paid",
            "repositories": ["x", "api/*"],
        },
        "kind": "Denied",
        "reason": "license c of Globex expired; contact sales@acme.test",
        "detail": f"{ended.subject} was denied",
        "address": "203.0.113.7",
        "client_id": "docker",
        "user_agent": "docker/27.5.1",
    }
    assert expected == told


def test_a_token_tells_what_it_lacks() -> None:
    """Each action that was asked for and not granted has its reason, beside what was granted."""
    request = asked("repository:acme/x:pull,push", "repository:other/y:pull")
    told = token_event_of(request, issued(request)).to_json()

    assert ["repository:acme/x:pull"] == told["granted"]
    assert [
        {"scope": "repository:acme/x:pull,push", "action": "push", "reason": "push is not among pull"},
        {"scope": "repository:other/y:pull", "action": "pull", "reason": "the license is for the app acme"},
    ] == told["refused"]
    assert ("token.issued", "t" * 32) == (told["event"], told["token_id"])


@pytest.mark.parametrize(
    ("subject", "kind", "identity"),
    [
        (as_license(make_license()), "license", make_license().id),
        (as_member(make_member()), "password", make_member().id),
        (MemberSubject(make_member(), by=PERSONAL), "personal token", "p1"),
        (MemberSubject(make_member(), by=SIGN_IN), "sign-in", "r1"),
        (ServiceAccountSubject(MACHINE, {}, make_member()), "service account", "s1"),
    ],
)
def test_every_credential_is_named(subject: Subject, kind: str, identity: str) -> None:
    """The entry says which credential proved the identity, down to the one token of many."""
    request = asked()
    credential = token_event_of(request, issued(request, subject)).to_json()["credential"]

    assert (kind, identity) == (credential["kind"], credential["id"])


@pytest.mark.parametrize(
    ("error", "event"),
    [
        (refused(), "token.refused"),
        (WrongSecret("no", detail="wrong"), "token.refused"),
        (Throttled("wait", 9.0), "token.throttled"),
        (denied(), "token.denied"),
        (StoreUnavailable("away"), "token.unanswered"),
        (Overloaded("busy"), "token.unanswered"),
        (KeyError("a fault of ours"), "token.unanswered"),
    ],
)
def test_every_outcome_has_its_event(error: Exception, event: str) -> None:
    """Whether identity was proven tells the events apart, and a fault is no refusal."""
    told = token_event_of(asked(), error)

    assert (event, event == "token.denied") == (told.event, told.proven)


def test_a_fault_of_ours_tells_nothing_of_itself() -> None:
    """The text of an unexpected error may hold anything, so it is not told."""
    told = token_event_of(asked(), KeyError("asv_lic_everything"))

    assert ("KeyError", "something went wrong on our side") == (told.facts.kind, told.facts.reason)
    assert "asv_" not in str(told.to_json())


@pytest.mark.parametrize("field", ["client_id", "user_agent", "address"])
def test_text_of_the_client_is_cut_and_rid_of_secrets(field: str) -> None:
    """A secret in the wrong field is not told, and a long text is cut."""
    secret = license_token().text.reveal()
    values: dict[str, Any] = {"address": "203.0.113.7", field: f"me {secret} {'x' * 500}"}
    client = Client(**values)
    told = token_event_of(
        AuditedRequest("0" * 16, NOW, client, asked().request), refused(f"no member {secret}")
    ).to_json()

    assert secret not in str(told)
    assert "me <redacted> x" in told[field]
    assert len(told[field]) == 100


def test_a_license_with_a_hundred_patterns_stays_small() -> None:
    """An entry lists ten patterns and says how many more there are."""
    many = make_license(repositories=tuple(f"p{n}" for n in range(100)))
    request = asked()
    told = token_event_of(request, issued(request, as_license(many, make_app()))).to_json()

    assert (11, "and 90 more") == (len(told["credential"]["repositories"]), told["credential"]["repositories"][-1])


def test_equal_facts_are_equal_whoever_asks_from_where() -> None:
    """Repeats are told by their content: the address, the client and the time are no part of it."""
    first = token_event_of(asked(address="203.0.113.7"), denied())
    second = token_event_of(asked(address="198.51.100.1", client_id=None, at=NOW + timedelta(hours=1)), denied())

    assert first.facts == second.facts
    assert hash(first.facts) == hash(second.facts)
    assert isinstance(first, TokenEvent)


VARIANTS: list[dict[str, Any]] = [
    {},
    {"license_id": "d" * 16},
    {"expires_at": NOW + timedelta(days=5)},
    {"not_before": NOW - timedelta(days=5)},
    {"customer": "Initech"},
    {"type": LicenseType.TRIAL},
    {"repositories": ("x",)},
    {"repositories": ("x", "y")},
]
"""Licenses of which any two differ in a fact that an entry states."""


def test_a_repeat_is_known_without_its_facts() -> None:
    """The number of a fully granted token of a license is that of its event, and differs when any fact does."""
    keys = set()
    for variant in VARIANTS:
        for scopes in (("repository:acme/x:pull",), ("repository:acme/x:pull", "repository:acme/x:pull")):
            request = asked(*scopes)
            outcome = issued(request, as_license(make_license(**variant)))
            assert repeat_key(request, outcome) == token_event_of(request, outcome).key
            keys.add(repeat_key(request, outcome))
    other = asked("repository:acme/x/y:pull")
    keys.add(repeat_key(other, issued(other)))

    assert len(VARIANTS) + 1 == len(keys)


@pytest.mark.parametrize(
    ("scopes", "subject"),
    [
        (("repository:acme/x:pull,push",), as_license(make_license())),
        (("repository:acme/x:pull", "repository:other/y:pull"), as_license(make_license())),
        (("repository:acme/x:pull", "repository:acme/x"), as_license(make_license())),
        (("repository:acme/x:pull",), as_member(make_member(), make_app())),
    ],
)
def test_what_lacks_anything_has_facts_of_its_own(scopes: tuple[str, ...], subject: Subject) -> None:
    """A token that lacks something, or one of another subject, is recorded with all of its facts."""
    request = asked(*scopes)
    outcome = issued(request, subject)
    event = token_event_of(request, outcome)

    assert repeat_key(request, outcome) is None
    assert event.key == hash((event.event, event.actor, event.facts))


def test_a_denial_has_facts_of_its_own() -> None:
    """Nobody's refusal is counted as a repeat of a token, nor is a token that was issued from memory."""
    request = asked()
    token = issued(request)
    degraded = replace(token, claims=replace(token.claims, degraded=True))

    assert [None] * 3 == [repeat_key(request, outcome) for outcome in (denied(), refused(), degraded)]
    assert token_event_of(request, degraded).key != token_event_of(request, token).key
