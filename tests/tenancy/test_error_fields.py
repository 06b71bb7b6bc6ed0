"""What the refusals of typed values say to a machine: which argument, and what is wrong with it."""

from collections.abc import Callable
from datetime import UTC, datetime
from functools import partial

import pytest

from authsvc.credentials.password import check_rules
from authsvc.errors import InputRefused
from authsvc.redaction import Secret
from authsvc.tenancy.dates import parse_end, parse_moment, parse_span
from authsvc.tenancy.names import parse_email, parse_slug, parse_text
from authsvc.tenancy.patterns import parse_pattern
from authsvc.tenancy.terms import LicenseTerms

NOW = datetime(2026, 11, 27, 12, tzinfo=UTC)
terms = partial(LicenseTerms.parse, customer="Acme Corp", now=NOW)


@pytest.mark.parametrize(
    ("parse", "code", "field"),
    [
        (lambda: parse_moment("soon", NOW, "not-before"), "date_invalid", "not_before"),
        (lambda: parse_end("2020-01-01", NOW, "expires"), "date_not_in_future", "expires"),
        (lambda: parse_span("91d", "--life"), "span_invalid", "life"),
        (lambda: parse_slug("Acme", "team"), "slug_invalid", "team"),
        (lambda: parse_slug("proxy", "app", "slug"), "slug_reserved", "slug"),
        (lambda: parse_email("nobody"), "email_invalid", "email"),
        (lambda: parse_email("m\u00e9@acme.test"), "email_invalid", "email"),
        (lambda: parse_text("", "contact"), "length_invalid", "contact"),
        (lambda: parse_text("a\nb", "name"), "text_not_printable", "name"),
        (lambda: parse_pattern("A", "grants"), "pattern_invalid", "grants"),
        (lambda: parse_pattern("proxy/*/x"), "pattern_invalid", "repositories"),
        (lambda: terms(expires="1d", type_="free"), "license_type_invalid", "type"),
        (lambda: terms(expires="1d", not_before="2d"), "period_invalid", "not_before"),
        (lambda: terms(expires="1d", repositories=["a"] * 101), "patterns_too_many", "repositories"),
        (lambda: terms(expires="1d", fields=["seats"]), "field_invalid", "fields"),
        (lambda: terms(expires="1d", fields=["seats=1", "seats=2"]), "field_duplicated", "fields.seats"),
        (lambda: terms(expires="1d", fields=["seats="]), "length_invalid", "fields.seats"),
        (lambda: terms(expires="1d", fields=[f"f{n}=1" for n in range(51)]), "fields_too_many", "fields"),
        (lambda: check_rules(Secret("short"), []), "password_length", "password"),
        (lambda: check_rules(Secret("{" * 20), []), "password_characters", "password"),
        (lambda: check_rules(Secret("passwordpassword"), []), "password_too_weak", "password"),
    ],
)
def test_refusals_say_which_argument(parse: Callable[[], object], code: str, field: str) -> None:
    """Each refused value has a code and the name of the argument."""
    with pytest.raises(InputRefused) as refused:
        parse()

    assert (refused.value.code, refused.value.field) == (code, field)
