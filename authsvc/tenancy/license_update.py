"""Changes to a license: the checked input of ``license set``."""

from collections.abc import Iterable, Mapping
from typing import Any, Self

from attrs import evolve, field, frozen

from authsvc.errors import InputRefused
from authsvc.tenancy.names import parse_text
from authsvc.tenancy.records import License
from authsvc.tenancy.terms import check_field_values, check_fields, is_field_name, parse_field, parse_repositories


@frozen
class LicenseUpdate:
    """Checked changes; attributes that are None do not change anything.

    Attributes:
        customer: name of the new holder, an existing or a new customer.
        customer_reference: the vendor's own key for the new holder.
        contact: the new contact; empty to remove it.
        repositories: the new patterns, relative to the app; empty for no repositories.
        whole_app: whether the license covers the whole app from now on, regardless of ``repositories``.
        fields: custom fields with their new values.
        removed_fields: names of the custom fields to remove.
    """

    customer: str | None = None
    customer_reference: str | None = None
    contact: str | None = None
    repositories: tuple[str, ...] | None = None
    whole_app: bool = False
    fields: Mapping[str, object] = field(factory=dict)
    removed_fields: frozenset[str] = frozenset()

    @classmethod
    def parse(
        cls,
        *,
        customer: str | None = None,
        customer_reference: str | None = None,
        contact: str | None = None,
        repositories: Iterable[str] | None = None,
        whole_app: bool = False,
        fields: Iterable[str] | Mapping[str, object] = (),
    ) -> Self:
        """Return the checked changes.

        Args:
            customer: one line of text.
            customer_reference: one line of text.
            contact: one line of text; empty to remove the contact.
            repositories: patterns relative to the app.
            whole_app: whether the license covers the whole app again.
            fields: ``name=value`` each, as in :meth:`authsvc.tenancy.terms.LicenseTerms.parse`, where ``name=`` removes
                the field; or values by name, where None removes it.

        Raises:
            InputRefused: something is not acceptable.
        """
        if isinstance(fields, Mapping):
            values = check_field_values({name: value for name, value in fields.items() if value is not None})
            removed = {name for name, value in fields.items() if value is None}
        else:
            values, removed = _parse_pairs(fields)
        return cls(
            customer=None if customer is None else parse_text(customer, "customer"),
            customer_reference=(
                None if customer_reference is None else parse_text(customer_reference, "customer_reference")
            ),
            contact=contact if not contact else parse_text(contact, "contact"),
            repositories=None if repositories is None else parse_repositories(repositories),
            whole_app=whole_app,
            fields=values,
            removed_fields=frozenset(removed),
        )

    def applied(self, license_: License) -> License:
        """Return the changed license; the customer is not changed here.

        Raises:
            InputRefused: it would have too many custom fields.
        """
        changes: dict[str, Any] = {}
        if self.contact is not None:
            changes["contact"] = self.contact or None
        if self.whole_app:
            changes["repositories"] = None
        elif self.repositories is not None:
            changes["repositories"] = self.repositories
        if self.fields or self.removed_fields:
            kept = {name: value for name, value in license_.fields.items() if name not in self.removed_fields}
            check_fields(changes.setdefault("fields", {**kept, **self.fields}))
        return evolve(license_, **changes)


def _parse_pairs(pairs: Iterable[str]) -> tuple[dict[str, object], set[str]]:
    """Return the fields with their new values, and the names of those to remove."""
    values, removed = dict[str, object](), set[str]()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not is_field_name(name):
            raise InputRefused(
                f"{pair[:60]!r} is not a field; write name=value, such as seats=25, or name= to remove it",
                code="field_invalid",
                field="fields",
            )
        if name in values or name in removed:
            raise InputRefused(f"the field {name!r} is given twice", code="field_duplicated", field="fields")
        if text:
            values[name] = parse_field(name, text)
        else:
            removed.add(name)
    return values, removed
