"""Changes to a license: what is refused, and what a license looks like afterwards."""

from collections.abc import Iterable
from typing import Any

import pytest
from attrs import evolve

from authsvc.errors import InputRefused
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.names import MAX_TEXT
from authsvc.tenancy.terms import MAX_FIELDS
from tests.support.builders import make_license

LICENSE = make_license(repositories=("worker",), fields={"seats": 25, "plan": "gold"}, reference="R-1")


def test_nothing_given_changes_nothing() -> None:
    """Every part of a license that is not mentioned stays as it is."""
    update = LicenseUpdate.parse()

    assert LicenseUpdate() == update
    assert update.applied(LICENSE) == LICENSE


def test_every_change() -> None:
    """What was typed becomes checked changes: text is trimmed, and values of fields get their types."""
    update = LicenseUpdate.parse(
        customer=" Initech ",
        customer_reference=" C-2 ",
        contact=" help@acme.test ",
        repositories=iter(["api/*", "worker"]),
        fields=["seats=50", "note=a=b", "trial=false", "plan="],
    )

    assert update == LicenseUpdate(
        customer="Initech",
        customer_reference="C-2",
        contact="help@acme.test",
        repositories=("api/*", "worker"),
        fields={"seats": 50, "note": "a=b", "trial": False},
        removed_fields=frozenset({"plan"}),
    )


def test_a_changed_license_keeps_everything_else() -> None:
    """Fields that are not mentioned stay; the customer is a record of its own, changed by the use case."""
    update = LicenseUpdate.parse(
        customer="Initech", contact="help@acme.test", repositories=["api/*"], fields=["seats=50", "tier=2", "plan="]
    )
    expected = evolve(LICENSE, contact="help@acme.test", repositories=("api/*",), fields={"seats": 50, "tier": 2})

    assert expected == update.applied(LICENSE)


def test_the_license_that_was_given_is_not_changed() -> None:
    """Its fields are still those that the audit compares with."""
    LicenseUpdate.parse(fields=["seats=50", "plan="]).applied(LICENSE)

    assert LICENSE.fields == {"seats": 25, "plan": "gold"}


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (["plan="], {"seats": 25}),
        (["tier=2"], {"seats": 25, "plan": "gold", "tier": 2}),
        (["unknown="], {"seats": 25, "plan": "gold"}),
        (["plan=null"], {"seats": 25, "plan": None}),
        ({"plan": None}, {"seats": 25}),
        ({"seats": "30", "plan": None}, {"seats": "30"}),
        ({}, {"seats": 25, "plan": "gold"}),
    ],
    ids=["removed", "added", "removed without being there", "null", "by name removed", "by name", "none"],
)
def test_fields(fields: Any, expected: dict[str, object]) -> None:
    """``name=`` and None by name remove a field; ``name=null`` sets it to null; values by name keep their types."""
    assert expected == LicenseUpdate.parse(fields=fields).applied(LICENSE).fields


def test_an_empty_contact_removes_it() -> None:
    """No contact is told apart from no change of it."""
    assert LicenseUpdate.parse(contact="").applied(LICENSE).contact is None
    assert LicenseUpdate.parse(contact=None).applied(LICENSE).contact == LICENSE.contact


@pytest.mark.parametrize(
    ("whole_app", "repositories", "expected"),
    [
        (False, None, ("worker",)),
        (False, [], ()),
        (False, ["api/*"], ("api/*",)),
        (True, None, None),
        (True, ["api/*"], None),
    ],
)
def test_repositories(whole_app: bool, repositories: list[str] | None, expected: tuple[str, ...] | None) -> None:
    """None is the whole app and an empty list no repository at all; the whole app includes any pattern."""
    update = LicenseUpdate.parse(whole_app=whole_app, repositories=repositories)

    assert expected == update.applied(LICENSE).repositories


@pytest.mark.parametrize(
    ("given", "code", "field"),
    [
        ({"customer": ""}, "length_invalid", "customer"),
        ({"customer": "x" * (MAX_TEXT + 1)}, "length_invalid", "customer"),
        ({"customer": "a\nb"}, "text_not_printable", "customer"),
        ({"customer_reference": " "}, "length_invalid", "customer_reference"),
        ({"customer_reference": "a\x1bb"}, "text_not_printable", "customer_reference"),
        ({"contact": " "}, "length_invalid", "contact"),
        ({"contact": "a\u202eb"}, "text_not_printable", "contact"),
        ({"repositories": ["Worker"]}, "pattern_invalid", "repositories"),
        ({"repositories": ["../other"]}, "pattern_invalid", "repositories"),
        ({"fields": ["seats"]}, "field_invalid", "fields"),
        ({"fields": ["=25"]}, "field_invalid", "fields"),
        ({"fields": ["9seats=25"]}, "field_invalid", "fields"),
        ({"fields": ["9seats="]}, "field_invalid", "fields"),
        ({"fields": ["seats=a\nb"]}, "text_not_printable", "fields.seats"),
        ({"fields": {"9seats": None, "x": [1]}}, "field_invalid", "fields.x"),
        ({"fields": {"seats\n": 1}}, "field_invalid", "fields"),
    ],
)
def test_refused(given: dict[str, Any], code: str, field: str) -> None:
    """Each refusal says which argument it is about."""
    with pytest.raises(InputRefused) as refused:
        LicenseUpdate.parse(**given)

    assert (code, field) == (refused.value.code, refused.value.field)


@pytest.mark.parametrize("again", ["seats=30", "seats="])
@pytest.mark.parametrize("first", ["seats=25", "seats="])
def test_a_field_given_twice(first: str, again: str) -> None:
    """Which of the two counts would be a guess, also when one of them removes the field."""
    with pytest.raises(InputRefused, match="the field 'seats' is given twice") as refused:
        LicenseUpdate.parse(fields=[first, again])

    assert (refused.value.code, refused.value.field) == ("field_duplicated", "fields")


def test_a_long_field_is_cut_in_the_message() -> None:
    """An error does not repeat any amount of what was typed."""
    with pytest.raises(InputRefused) as refused:
        LicenseUpdate.parse(fields=["x" * 10_000])

    assert f"'{'x' * 60}' is not a field; write name=value" in str(refused.value)
    assert len(str(refused.value)) < 200


def pairs(numbers: Iterable[int]) -> list[str]:
    """Return fields as the command line gives them."""
    return [f"f{number}=1" for number in numbers]


def test_as_many_fields_as_a_license_may_have() -> None:
    """It is the changed license that must not have too many: what is removed makes room."""
    full = evolve(LICENSE, fields={f"f{number}": 0 for number in range(MAX_FIELDS)})
    room = LicenseUpdate.parse(fields=["f0=", *pairs([MAX_FIELDS])]).applied(full)

    assert len(room.fields) == MAX_FIELDS
    with pytest.raises(InputRefused) as refused:
        LicenseUpdate.parse(fields=pairs([MAX_FIELDS])).applied(full)
    assert (refused.value.code, refused.value.field) == ("fields_too_many", "fields")
