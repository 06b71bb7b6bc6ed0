"""What a change made of a record: every field, both values, and no secret."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from attrs import evolve

from authsvc.audit.entry import MAX_TEXT
from authsvc.audit.sentences import sentences, summary
from authsvc.manage.changed_fields import changed_fields
from authsvc.manage.operation import Operation
from authsvc.redaction import Secret
from authsvc.tenancy.machine_records import Grant
from authsvc.tenancy.records import LicenseType, Role, TokenDigest
from tests.manage.use_cases import CHANGING, EMAIL, SECRET, license_id
from tests.support.builders import (
    NOW,
    PASSWORD,
    make_app,
    make_license,
    make_member,
    make_personal_token,
    make_service_account,
)
from tests.support.installation import OPERATOR, Installation

LATER = NOW + timedelta(days=3)


@pytest.mark.parametrize(
    ("old", "changes", "changed"),
    [
        (make_app(), {}, {}),
        (make_app(), {"archived_at": NOW}, {"archived_at": [None, NOW.isoformat()]}),
        (make_app(archived_at=NOW), {"archived_at": None, "name": "New"}, {
            "name": ["App acme", "New"], "archived_at": [NOW.isoformat(), None],
        }),
        (make_member(), {"role": Role.VIEWER, "apps": ("acme",), "epoch": 2}, {
            "role": ["owner", "viewer"], "apps": [None, ["acme"]],
        }),
        (make_member(), {"password_hash": Secret("$argon2id$x"), "epoch": 2}, {"password": ["set", "set"]}),
        (make_license(fields={"seats": 25, "gone": "x", "same": 1}, repositories=("a", "b/*")),
         {"fields": {"seats": 30, "new": {"a": [1]}, "same": 1}, "repositories": (), "type": LicenseType.DEV}, {
            "type": ["paid", "dev"], "repositories": [["a", "b/*"], []],
            "fields.seats": [25, 30], "fields.gone": ["x", None], "fields.new": [None, {"a": [1]}],
        }),
        (make_license(fields={"a": 1, "b": True, "c": {"d": 0}, "e": None, "same": 1.0}),
         {"fields": {"a": True, "b": 1.0, "c": {"d": False}, "same": 1.0}}, {
            "fields.a": [1, True], "fields.b": [True, 1.0], "fields.c": [{"d": 0}, {"d": False}],
            "fields.e": [None, None],
        }),
        (make_license(), {"tokens": (TokenDigest(2, "ab" * 32), TokenDigest(1, "cd" * 32, LATER))}, {
            "tokens": [["generation 1"], ["generation 2", f"generation 1 until {LATER.isoformat()}"]],
        }),
        (make_personal_token(), {"sha256": "ab" * 32, "name": "new"}, {"name": ["ci", "new"]}),
        (make_service_account(Grant("acme", "**", ("pull",))), {"grants": (Grant("acme", "x", ("pull", "push")),)}, {
            "grants": [["acme/**:pull"], ["acme/x:pull,push"]],
        }),
    ],
)  # fmt: skip
def test_fields_that_differ(old: Any, changes: dict[str, Any], changed: dict[str, list[Any]]) -> None:
    """Each with both values, as JSON; the others are not named."""
    found = changed_fields(old, evolve(old, **changes))

    # Compared as JSON, where 1, 1.0 and true are three values.
    assert json.dumps(changed, sort_keys=True) == json.dumps(found, sort_keys=True)


CHANGED = {
    "team renamed": {"name"},
    "app archived": {"archived_at"},
    "member disabled": {"disabled_at"},
    "member's role": {"role"},
    "member's password": {"password"},
    "member removed": {"removed_at"},
    "account disabled": {"disabled_at"},
    "account revoked": {"revoked_at"},
    "account's grants": {"grants"},
    "license extended": {"expires_at"},
    "license rotated": {"tokens"},
    "license revoked": {"revoked_at"},
    "license archived": {"archived_at"},
    "account rotated": {"tokens"},
    "upstream changed": {"username", "secret", "credential_version"},
    "upstream purged": {"purge_count"},
}
"""Which fields each use case changes."""


@pytest.mark.parametrize("name", CHANGED)
async def test_every_change_records_old_and_new_values(filled: Installation, name: str) -> None:
    """The entry names the fields that the change set, in the audit and in the log, and holds no digest of a secret."""
    await {**CHANGING, **SECRET}[name](filled, filled.operation())
    entry = filled.told[-1]

    assert CHANGED[name] == set(entry.facts["changed"])
    assert all(len(values) == 2 for values in entry.facts["changed"].values())
    assert not re.search(r"argon2|[0-9a-f]{64}", entry.text())
    (sentence,) = [one for one in sentences(entry.to_json()) if one.startswith("Changed: ")]
    assert all(f"{field.replace('_', ' ')} from " in sentence for field in CHANGED[name])


def test_no_use_case_is_missing() -> None:
    """The table has every use case that changes something."""
    assert set(CHANGING) | {"account rotated"} == set(CHANGED)


async def test_tokens_and_a_redeemed_link(filled: Installation) -> None:
    """What has no name in the table: a token, a sign-in and a password by a link."""
    await filled.tokens.create("laptop", EMAIL, None, None, filled.operation())
    await filled.ask(PASSWORD, EMAIL, offline=True)
    for line in await filled.all_tokens(OPERATOR, EMAIL, filled.now):
        await filled.tokens.revoke(line.id, filled.operation())
    link = await filled.links.reset(EMAIL, filled.operation())
    await filled.links.redeem(link, PASSWORD, filled.operation())

    now = filled.now.isoformat()
    assert {
        "token.revoked": {"revoked_at": [None, now]},
        "sign-in.revoked": {"revoked_at": [None, now]},
        "member.password_reset": {"password": ["set", "set"]},
    } == {entry.event: entry.facts["changed"] for entry in filled.told if "changed" in entry.facts}


async def test_a_person_reads_both_values(filled: Installation) -> None:
    """In ``explain`` a sentence for all, in ``list`` the same words behind the other facts."""
    await filled.licenses.extend(license_id(filled), "2027-01-01", filled.operation())
    facts = filled.told[-1].to_json()
    changed = "expires at from 2026-10-30T12:00:00+00:00 to 2027-01-01T00:00:00+00:00"

    assert f"Changed: {changed}." in sentences(facts)
    assert summary(facts).endswith(f"state active; {changed}")


@pytest.mark.parametrize("length", [0, 100, 3000, 100_000])
def test_an_entry_stays_bounded(length: int) -> None:
    """However long the values are: what was cut is counted, and a reader is told."""
    old, new = make_license(fields={"a": "x" * length, "n": 1}), make_license(fields={"a": "y" * length + "z", "n": 2})
    operation = Operation(OPERATOR, NOW, "op", bytes)
    text = operation.entry_of_change("license.changed", old, new).text()
    said = sentences(json.loads(text))

    assert len(text) <= MAX_TEXT
    assert ("cut" in text) == (length >= MAX_TEXT / 2)
    assert [one for one in said if one.startswith("Changed: ")]
