"""Dates, license terms, and the states of a license."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import InputRefused
from authsvc.tenancy.dates import parse_instant, render_instant
from authsvc.tenancy.records import LicenseType
from authsvc.tenancy.terms import MAX_FIELDS, LicenseTerms
from tests.support.builders import NOW, make_license

INSTANTS = st.datetimes().map(lambda at: at.replace(tzinfo=UTC, microsecond=0))


@given(INSTANTS)
def test_an_instant_survives_its_text(at: datetime) -> None:
    """What is written is read back the same, in every year."""
    assert at == parse_instant(render_instant(at), "expires")


@given(INSTANTS)
def test_a_day_begins_at_midnight_utc(at: datetime) -> None:
    """A bare day is 00:00 UTC at its start (the contract of --expires)."""
    day = render_instant(at)[:10]

    assert f"{day}T00:00:00Z" == render_instant(parse_instant(day, "expires"))


@pytest.mark.parametrize(
    "text",
    ["", "2027", "2027-1-31", "2027-02-30", "2027-13-01", "31.01.2027", "2027-01-31 12:00:00", "2027-01-31T12:00:00",
     "2027-01-31T12:00:00+01:00", "2027-01-31T25:00:00Z", "2027-01-31T23:59:60Z", "2027-01-31\n", "tomorrow", "90d",
     "\u0662\u0660\u0662\u0667-01-31", "0000-01-01", "2027-01-31T12:00:00.5Z"],
)  # fmt: skip
def test_no_dates(text: str) -> None:
    """What is no date is refused with a sentence that names the option and shows a right one."""
    with pytest.raises(InputRefused, match=r"^expires: .* is not a date; write 2027-01-31"):
        parse_instant(text, "expires")


def test_terms() -> None:
    """What was typed becomes checked terms."""
    terms = LicenseTerms.parse(
        customer=" Globex ",
        expires="2031-01-31",
        type_="trial",
        not_before="2030-01-31T12:00:00Z",
        repositories=["worker", "api/*"],
        fields=["seats=25", "plan=gold", "ratio=0.5", "beta=true", "none=null", 'quoted="x"', "list=[1]", "eq=a=b"],
        contact="sales@acme.test",
        now=NOW,
    )
    expected = LicenseTerms(
        customer="Globex",
        expires_at=datetime(2031, 1, 31, tzinfo=UTC),
        type=LicenseType.TRIAL,
        not_before=datetime(2030, 1, 31, 12, tzinfo=UTC),
        repositories=("worker", "api/*"),
        fields={"seats": 25, "plan": "gold", "ratio": 0.5, "beta": True, "none": None, "quoted": '"x"', "list": "[1]",
                "eq": "a=b"},
        contact="sales@acme.test",
    )  # fmt: skip

    assert expected == terms


def test_days_from_now() -> None:
    """Both ends of a license may be given as days from now, as in every other command."""
    terms = LicenseTerms.parse(customer="x", expires="365d", not_before="10d", now=NOW)

    assert (NOW + timedelta(days=10), NOW + timedelta(days=365)) == (terms.not_before, terms.expires_at)


def test_no_repositories_and_all_of_them() -> None:
    """None is the whole app, an empty list is nothing: the two stay apart."""
    nothing = LicenseTerms.parse(customer="x", expires="2031-01-31", repositories=[], now=NOW)
    everything = LicenseTerms.parse(customer="x", expires="2031-01-31", repositories=None, now=NOW)

    assert ((), None) == (nothing.repositories, everything.repositories)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"customer": ""}, "the customer must have 1 to 200 characters"),
        ({"customer": "a\nb"}, "the customer holds a control character"),
        ({"contact": "x" * 201}, "the contact must have 1 to 200 characters"),
        ({"expires": "soon"}, "expires: 'soon' is not a date"),
        ({"type_": "free"}, "'free' is not a license type; use trial, paid, dev"),
        ({"not_before": "2031-01-31"}, "would end before it begins"),
        ({"not_before": "x"}, "not-before: 'x' is not a date"),
        ({"repositories": ["A"]}, "'A' is not a repository pattern"),
        ({"repositories": ["a"] * 101}, "at most 100 repository patterns"),
        ({"fields": ["seats"]}, "'seats' is not a field; write name=value"),
        ({"fields": ["=1"]}, "'=1' is not a field"),
        ({"fields": ["1a=1"]}, "'1a=1' is not a field"),
        ({"fields": ["a=1", "a=2"]}, "the field 'a' is given twice"),
        ({"fields": ["a="]}, "the field a must have 1 to 200 characters"),
        ({"fields": ["a=b\x1bc"]}, "the field a holds a control character"),
        ({"fields": [f"f{n}=1" for n in range(MAX_FIELDS + 1)]}, "at most 50 fields"),
    ],
)
def test_terms_refused(change: dict[str, Any], sentence: str) -> None:
    """Each bad term gives one sentence that names it."""
    with pytest.raises(InputRefused, match=sentence):
        LicenseTerms.parse(**{"customer": "Globex", "expires": "2031-01-31"} | change, now=NOW)


@given(st.one_of(st.text(min_size=1, max_size=60), st.floats().map(json.dumps), st.integers().map(str),
                 st.sampled_from(["1e400", "-1e999", "NaN", "Infinity", "[" * 5000, "1" * 150])))  # fmt: skip
def test_every_field_is_json(text: str) -> None:
    """Whatever value is accepted can stand in a license file that any JSON reader accepts."""
    try:
        terms = LicenseTerms.parse(customer="x", expires="2031-01-31", fields=[f"seats={text}"], now=NOW)
    except InputRefused:
        return

    value = terms.fields["seats"]
    assert value == json.loads(json.dumps(value, allow_nan=False))
    assert value is None or isinstance(value, str | int | float)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ({}, "active"),
        ({"expires_at": NOW}, "expired"),
        ({"expires_at": NOW + timedelta(microseconds=1)}, "active"),
        ({"not_before": NOW}, "active"),
        ({"not_before": NOW + timedelta(microseconds=1)}, "pending"),
        ({"revoked_at": NOW}, "revoked"),
        ({"archived_at": NOW}, "archived"),
        ({"archived_at": NOW, "revoked_at": NOW, "expires_at": NOW}, "archived"),
        ({"revoked_at": NOW, "not_before": NOW + timedelta(days=1)}, "revoked"),
        ({"revoked_at": NOW, "expires_at": NOW}, "revoked"),
    ],
)
def test_states(facts: dict[str, Any], expected: str) -> None:
    """Each end is the first instant that no longer counts, and what a person decided comes before the calendar."""
    assert expected == make_license(**facts).state(NOW)


def test_subjects() -> None:
    """A subject is its kind and its id, as it comes back in registry events."""
    assert "license:x" == make_license("x").subject
