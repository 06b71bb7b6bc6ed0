"""The page to change the terms of a license: its customer, contact, repositories and custom fields."""

import json
from collections.abc import Mapping

from attrs import frozen

from authsvc.errors import AuthsvcError, Conflict, InputRefused, NotFound, PreconditionFailed
from authsvc.manage.licenses import Licenses
from authsvc.manage.permissions import Permission
from authsvc.tenancy.license_update import LicenseUpdate
from authsvc.tenancy.records import License
from authsvc.web.portal.answers import PageAnswer, PortalAnswer, RedirectAnswer, Visit, status_of
from authsvc.web.portal.route import PREFIX, Route

FIELDS = ("customer", "contact", "repositories", "custom")


@frozen(eq=False, repr=False)
class LicenseChangePages:
    """The form in which a license is changed. Only what differs from the license is sent to the use case.

    Attributes:
        licenses: changes them.
    """

    licenses: Licenses

    def routes(self) -> tuple[Route, ...]:
        """Return the addresses."""
        path = "/licenses/{license}/edit"
        return (
            Route("GET", path, self.form, Permission.LICENSE_SET),
            Route("POST", path, self.change, Permission.LICENSE_SET),
        )

    async def form(self, visit: Visit) -> PortalAnswer:
        """Show the license as it can be changed."""
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        return _page(license_, _shown(license_))

    async def change(self, visit: Visit) -> PortalAnswer:
        """Change what differs."""
        license_ = await self.licenses.show(visit.actor, visit.names["license"])
        typed = {name: visit.form.get(name, "").strip() for name in FIELDS}
        address = f"{PREFIX}/licenses/{license_.id}"
        try:
            operation = visit.operation()
            operation.require_match(license_)  # otherwise the differences are not those that were entered
            changes = _changes(license_, typed)
            if changes is None:
                return RedirectAnswer(address)
            await self.licenses.set(license_.id, changes, operation)
        except PreconditionFailed as error:
            return _page(license_, _shown(license_), error)
        except (InputRefused, Conflict, NotFound) as error:
            return _page(license_, typed, error)
        return RedirectAnswer(f"{address}?done=set")


def _shown(license_: License) -> dict[str, str]:
    """Return the fields of the form for a license as it is."""
    return {
        "customer": license_.customer,
        "contact": license_.contact or "",
        "repositories": "\n".join(license_.repositories or ()),
        "custom": "\n".join(_lines(license_)),
    }


def _lines(license_: License) -> list[str]:
    """Return the custom fields, as they are typed."""
    return [f"{name}={_text(value)}" for name, value in license_.fields.items()]


def _text(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _changes(license_: License, typed: Mapping[str, str]) -> LicenseUpdate | None:
    """Return what differs from the license; None when nothing does.

    A field that was left as it is keeps the type of its value: the text ``25`` does not become a number.

    Raises:
        InputRefused: something is not acceptable.
    """
    shown, patterns = _shown(license_), typed["repositories"].split()
    lines = [line.strip() for line in typed["custom"].splitlines() if line.strip()]
    new = [line for line in lines if line not in _lines(license_)]
    there = {line.partition("=")[0].strip() for line in lines}
    gone = [f"{name}=" for name in license_.fields if name not in there]
    changed = patterns != shown["repositories"].split()
    if not (changed or new or gone or any(typed[name] != shown[name] for name in ("customer", "contact"))):
        return None
    return LicenseUpdate.parse(
        customer=typed["customer"] if typed["customer"] != shown["customer"] else None,
        contact=typed["contact"] if typed["contact"] != shown["contact"] else None,
        repositories=patterns if changed and patterns else None,
        whole_app=changed and not patterns,
        fields=[*new, *gone],
    )


def _page(license_: License, typed: Mapping[str, str], error: AuthsvcError | None = None) -> PageAnswer:
    values = {"license": license_, "fields": typed, "error": None if error is None else str(error)}
    return PageAnswer("license_edit", values, status_of(error), refusal=error)
