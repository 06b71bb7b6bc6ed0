"""What a vendor agrees with a customer: the checked input of a new license."""

import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Self

from attrs import field, frozen

from authsvc.errors import InputRefused
from authsvc.tenancy.dates import parse_instant
from authsvc.tenancy.names import parse_text
from authsvc.tenancy.patterns import MAX_PATTERNS, parse_pattern
from authsvc.tenancy.records import LicenseType

MAX_FIELDS = 50
"""Most custom fields in one license."""

_FIELD_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]{0,62}", re.ASCII)


@frozen
class LicenseTerms:
    """Checked terms; the attributes mean what they mean in :class:`authsvc.tenancy.records.License`."""

    customer: str
    expires_at: datetime
    type: LicenseType = LicenseType.PAID
    not_before: datetime | None = None
    repositories: tuple[str, ...] | None = None
    fields: Mapping[str, object] = field(factory=dict)
    contact: str | None = None

    @classmethod
    def parse(
        cls,
        *,
        customer: str,
        expires: str,
        type_: str = "paid",
        not_before: str | None = None,
        repositories: Iterable[str] | None = None,
        fields: Iterable[str] = (),
        contact: str | None = None,
    ) -> Self:
        """Return the terms that were typed.

        Args:
            customer: one line of text.
            expires: a day or an instant.
            type_: one of :class:`LicenseType`.
            not_before: a day or an instant, before ``expires``.
            repositories: patterns relative to the app; None is the whole app.
            fields: ``name=value`` each; a value that is a JSON number, true, false or null is that.
            contact: one line of text.

        Raises:
            InputRefused: something is not acceptable.
        """
        if type_ not in list(LicenseType):
            raise InputRefused(f"{type_!r} is no license type; use {', '.join(LicenseType)}")
        end = parse_instant(expires, "expires")
        start = None if not_before is None else parse_instant(not_before, "not-before")
        if start is not None and start >= end:
            raise InputRefused("the license would end before it begins; give a --not-before that is earlier")
        patterns = None if repositories is None else tuple(parse_pattern(text) for text in repositories)
        if patterns is not None and len(patterns) > MAX_PATTERNS:
            raise InputRefused(f"a license has at most {MAX_PATTERNS} repository patterns; use '*' or '**'")
        return cls(
            customer=parse_text(customer, "customer"),
            expires_at=end,
            type=LicenseType(type_),
            not_before=start,
            repositories=patterns,
            fields=_parse_fields(fields),
            contact=None if contact is None else parse_text(contact, "contact"),
        )


def _parse_fields(pairs: Iterable[str]) -> dict[str, object]:
    fields: dict[str, object] = {}
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not _FIELD_NAME.fullmatch(name):
            raise InputRefused(f"{pair[:60]!r} is no field; write name=value, such as seats=25")
        if name in fields:
            raise InputRefused(f"the field {name!r} is given twice")
        fields[name] = _value(name, text)
    if len(fields) > MAX_FIELDS:
        raise InputRefused(f"a license has at most {MAX_FIELDS} fields")
    return fields


def _value(name: str, text: str) -> object:
    try:
        value = json.loads(text, parse_constant=lambda _: text)
    except (ValueError, RecursionError):
        value = text
    number = isinstance(value, bool | int) or (isinstance(value, float) and math.isfinite(value))  # 1e400 is no JSON
    return value if value is None or number else parse_text(text, f"field {name}")
