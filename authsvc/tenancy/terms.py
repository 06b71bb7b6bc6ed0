"""Terms of a license: the checked input of a new license."""

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import Self, TypeVar

from attrs import field, frozen

from authsvc.errors import FieldProblem, InputRefused
from authsvc.tenancy.dates import parse_moment
from authsvc.tenancy.names import parse_email, parse_text
from authsvc.tenancy.patterns import MAX_PATTERNS, parse_pattern
from authsvc.tenancy.records import LicenseType

T = TypeVar("T")

MAX_FIELDS = 50
"""Most custom fields in one license."""

FIELD_NAMES = "1 to 63 of A-Z, a-z, 0-9, '_', '.' and '-', a letter first"
"""The grammar of the name of a custom field, in words."""

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)


@frozen
class LicenseTerms:
    """Checked terms; the attributes are those of :class:`authsvc.tenancy.records.License`.

    The customer is looked up by its reference first, then by its name. A customer without reference or e-mail gets
    those given.
    """

    customer: str
    expires_at: datetime
    type: LicenseType = LicenseType.PAID
    not_before: datetime | None = None
    repositories: tuple[str, ...] | None = None
    fields: Mapping[str, object] = field(factory=dict)
    contact: str | None = None
    customer_reference: str | None = None
    customer_email: str | None = None

    @classmethod
    def parse(
        cls,
        *,
        customer: str,
        expires: str,
        type_: str = "paid",
        not_before: str | None = None,
        repositories: Iterable[str] | None = None,
        fields: Iterable[str] | Mapping[str, object] = (),
        contact: str | None = None,
        customer_reference: str | None = None,
        customer_email: str | None = None,
        now: datetime,
    ) -> Self:
        """Return the checked terms.

        Args:
            customer: one line of text.
            expires: a day, an instant or a number of days from now such as ``365d``.
            type_: one of :class:`LicenseType`.
            not_before: in the same form, before ``expires``.
            repositories: patterns relative to the app; None for the whole app.
            fields: ``name=value`` each, where JSON numbers, true, false and null are parsed as such; or values by name.
            contact: one line of text.
            customer_reference: the vendor's own key for the customer.
            customer_email: of the customer.
            now: the time from which days are counted.

        Raises:
            InputRefused: something is not acceptable; the error lists all of it.
        """
        problems: list[FieldProblem] = []

        def checked(name: str, parse: Callable[[], T]) -> T | None:
            try:
                return parse()
            except InputRefused as error:
                place = error.field if error.field is not None and error.field.startswith(f"{name}.") else name
                problems.append(FieldProblem(place, error.code, str(error)))
                return None

        def optional(name: str, text: str | None, parse: Callable[[str], T]) -> T | None:
            return None if text is None else checked(name, lambda: parse(text))

        kind = checked("type", lambda: parse_type(type_))
        end = checked("expires", lambda: parse_moment(expires, now, "expires"))
        start = optional("not_before", not_before, lambda text: parse_moment(text, now, "not-before"))
        name = checked("customer", lambda: parse_text(customer, "customer"))
        patterns = None if repositories is None else checked("repositories", lambda: parse_repositories(repositories))
        values = checked("fields", lambda: _parse_fields(fields))
        contact = optional("contact", contact, lambda text: parse_text(text, "contact"))
        reference = optional(
            "customer_reference", customer_reference, lambda text: parse_text(text, "customer_reference")
        )
        email = optional("customer_email", customer_email, parse_email)
        if end is not None:
            checked("not_before", lambda: check_period(start, end))
        if problems or kind is None or end is None or name is None or values is None:
            raise refused_together(problems)
        return cls(name, end, kind, start, patterns, values, contact, reference, email)


def refused_together(problems: Sequence[FieldProblem]) -> InputRefused:
    """Return the error that lists several refused arguments; its sentence is that of the first one."""
    first, *others = problems
    more = f" (and {len(others)} more)" if others else ""
    return InputRefused(f"{first.detail}{more}", code=first.code, field=first.field, errors=problems)


def parse_type(text: str) -> LicenseType:
    """Return the type.

    Raises:
        InputRefused: there is no such type.
    """
    if text not in list(LicenseType):
        raise InputRefused(
            f"{text[:40]!r} is not a license type; use {', '.join(LicenseType)}",
            code="license_type_invalid",
            field="type",
        )
    return LicenseType(text)


def check_period(start: datetime | None, end: datetime) -> None:
    """Accept a beginning and an end.

    Raises:
        InputRefused: it would end before it begins.
    """
    if start is not None and start >= end:
        raise InputRefused(
            "the license would end before it begins; let it begin earlier",
            code="period_invalid",
            field="not_before",
        )


def parse_repositories(texts: Iterable[str]) -> tuple[str, ...]:
    """Return the patterns.

    Raises:
        InputRefused: one is not a pattern, or there are too many.
    """
    patterns = tuple(parse_pattern(text) for text in texts)
    if len(patterns) > MAX_PATTERNS:
        raise InputRefused(
            f"a license has at most {MAX_PATTERNS} repository patterns; use '*' or '**'",
            code="patterns_too_many",
            field="repositories",
        )
    return patterns


def is_field_name(text: str) -> bool:
    """Whether a custom field may have this name."""
    return _FIELD_NAME.fullmatch(text) is not None


def check_fields(fields: Mapping[str, object]) -> None:
    """Accept the number of custom fields.

    Raises:
        InputRefused: there are too many.
    """
    if len(fields) > MAX_FIELDS:
        raise InputRefused(f"a license has at most {MAX_FIELDS} fields", code="fields_too_many", field="fields")


def parse_field(name: str, text: str) -> object:
    """Return the value of a custom field: a JSON number, true, false and null are parsed as such, else it is text.

    Raises:
        InputRefused: it is not one line of text.
    """
    try:
        value = json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        value = text
    return check_field(name, value if is_plain(value) else text)


def check_field(name: str, value: object) -> object:
    """Check and return the value of a custom field that has a type already.

    Raises:
        InputRefused: it is neither a number, true, false, null nor one line of text.
    """
    if is_plain(value):
        return value
    if not isinstance(value, str):
        raise InputRefused(
            f"the field {name} must be a text, a number, true, false or null", code="field_invalid", field=_of(name)
        )
    return parse_text(value, f"field {name}", _of(name))


def check_field_values(values: Mapping[str, object]) -> dict[str, object]:
    """Check and return custom fields whose values have a type already.

    Raises:
        InputRefused: a name or a value is not acceptable, or there are too many.
    """
    for name in values:
        if not is_field_name(name):
            raise InputRefused(
                f"{name[:60]!r} cannot name a field: use {FIELD_NAMES}",
                code="field_invalid",
                field="fields",
            )
    check_fields(values)
    return {name: check_field(name, value) for name, value in values.items()}


def is_plain(value: object) -> bool:
    """Whether a value is null, a boolean or a number that JSON can represent."""
    # 1e400 is read as infinity and cannot be written.
    return value is None or isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))


def _of(name: str) -> str:
    """Return the name of one custom field for an error's ``field``."""
    return f"fields.{name}"


def _parse_fields(pairs: Iterable[str] | Mapping[str, object]) -> dict[str, object]:
    if isinstance(pairs, Mapping):
        return check_field_values(pairs)
    fields: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not is_field_name(name):
            raise InputRefused(
                f"{pair[:60]!r} is not a field; write name=value, such as seats=25",
                code="field_invalid",
                field="fields",
            )
        if name in fields:
            raise InputRefused(f"the field {name!r} is given twice", code="field_duplicated", field=_of(name))
        fields[name] = parse_field(name, text)
    check_fields(fields)
    return fields
