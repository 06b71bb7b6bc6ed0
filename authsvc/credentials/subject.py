"""Subjects: proven identities (a member, a service account, licenses), with their facts as of one instant."""

from collections.abc import Collection, Mapping

from attrs import evolve, field, frozen
from msgspec import Struct

from authsvc.tenancy.machine_records import PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.records import App, License, Member
from authsvc.tenancy.subjects import join_licenses


@frozen
class MemberSubject:
    """A member, by password, passkey, personal token or refresh token.

    Attributes:
        member: the record.
        apps: the requested apps, of any team, by slug.
        by: the token or passkey that was used; None for the password.
    """

    member: Member
    apps: Mapping[str, App] = field(factory=dict)
    by: Passkey | PersonalToken | RefreshToken | None = None

    @property
    def id(self) -> str:
        """The ``sub`` of its tokens."""
        return self.member.subject


@frozen
class ServiceAccountSubject:
    """A machine with a service account.

    Attributes:
        account: the record.
        apps: the requested apps, of any team, by slug.
        creator: the member who made the account; None when the operator did.
    """

    account: ServiceAccount
    apps: Mapping[str, App] = field(factory=dict)
    creator: Member | None = None

    @property
    def id(self) -> str:
        """The ``sub`` of its tokens."""
        return self.account.subject


class LicenseSubject(Struct, frozen=True):
    """A holder of a license's registry token.

    Attributes:
        license: the record.
        app: the license's app.
        stale: whether the store could not be asked, so that its data of the last minute is used.
    """

    license: License
    app: App
    stale: bool = False

    @property
    def id(self) -> str:
        """The ``sub`` of its tokens."""
        return self.license.subject


@frozen
class LicensesSubject:
    """A holder of several licenses, whose secrets were sent in one password (design #7).

    Attributes:
        licenses: the records that the secrets belong to, each once, by id; at least one.
        apps: those of the licenses' apps that were looked up, by slug.
        stale: as in :class:`LicenseSubject`, for all of them.
        unchecked: whether there were secrets that could not be checked, because the store could not be asked.
    """

    licenses: tuple[License, ...]
    apps: Mapping[str, App] = field(factory=dict)
    stale: bool = False
    unchecked: bool = False

    @property
    def id(self) -> str:
        """The ``sub`` of a token that all of these licenses grant."""
        return join_licenses(license_.id for license_ in self.licenses)

    def for_apps(self, slugs: Collection[str]) -> "LicensesSubject":
        """Return only the licenses for ``slugs``, or all licenses when there are none for them.

        One password can contain licenses of different vendors: the records about a request for one vendor's app must
        not mention another vendor's license.
        """
        licenses = tuple(license_ for license_ in self.licenses if license_.app in slugs)
        return evolve(self, licenses=licenses) if licenses else self


SingleSubject = MemberSubject | ServiceAccountSubject | LicenseSubject
"""A subject whose rights are determined by one record."""

Subject = SingleSubject | LicensesSubject
