"""The facts of a change as people read them."""

from typing import Any

from authsvc.audit.change_facts import MAX_VALUE, ChangeFact, change_facts
from authsvc.bounded_json import CUT

ENTRY = {"at": "2026-11-27T10:00:00+00:00", "event": "license.changed", "actor": "member:x", "id": "op-1"}


def read(**facts: Any) -> list[tuple[str, str, str | None]]:
    """Return the facts of an entry as name, value and old value."""
    return [(one.name, one.value, one.old) for one in change_facts({**ENTRY, **facts})]


def test_who_and_when_are_not_among_them() -> None:
    """They have columns of their own."""
    assert read(address="192.0.2.1", on_behalf_of={"email": "kim@acme.test"}) == []


def test_values_are_words() -> None:
    """Lists, instants, yes and no, and what is missing."""
    assert read(
        app="acme",
        repositories=["api/*", "worker"],
        expires_at="2027-01-31T12:30:00+00:00",
        manifest_deleted=True,
        restored=False,
        tags=[],
        types=None,
        licenses=0,
    ) == [
        ("app", "acme", None),
        ("repositories", "api/*, worker", None),
        ("expires at", "2027-01-31 12:30 UTC", None),
        ("manifest deleted", "yes", None),
        ("restored", "no", None),
        ("tags", "nothing", None),
        ("licenses", "0", None),
    ]


def test_what_was_and_what_became() -> None:
    """For each field of the change, and of the customer that a license changed with it."""
    changed = {"role": ["owner", "viewer"], "apps": [None, ["acme"]], "ends_at": ["2027-01-31T00:00:00+00:00", None]}
    assert read(changed=changed, customer_changed={"email": [None, "it@globex.test"]}) == [
        ("email", "it@globex.test", "nothing"),
        ("role", "viewer", "owner"),
        ("apps", "acme", "nothing"),
        ("ends at", "nothing", "2027-01-31 00:00 UTC"),
    ]


def test_a_change_of_many() -> None:
    """It says which file it was in."""
    batch = {"kind": "import", "file": "new.csv", "rows": 2}
    assert read(batch=batch) == [("part of", "import of new.csv with 2 rows", None)]


def test_an_entry_that_was_cut() -> None:
    """What is left of it is read, and a long value ends somewhere."""
    assert read(changed={"fields.note": ["a"], CUT: {"x": 3}, "odd": "text"}) == [("fields.note", "(cut)", "a")]
    (found,) = change_facts({**ENTRY, "name": "x" * 500})
    assert found == ChangeFact("name", "x" * MAX_VALUE + "…")
