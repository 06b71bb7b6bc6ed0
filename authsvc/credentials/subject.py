"""Subjects: proven identities (a member, a service account, licenses), with their facts as of one instant."""

from collections.abc import Collection, Mapping

from attrs import evolve, field, frozen

from authsvc.tenancy.machine_records import PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.passkey import Passkey
from authsvc.tenancy.records import App, License, Member
from authsvc.tenancy.subjects import join_licenses


@frozen
class MemberSubject:
    """A member, by password, passkey, personal token or refresh token.

    Attributes:
        member: the record.
        apps: the apps whose namespaces were asked for, of any team, by slug.
        by: the token or passkey that was shown; None for the password.
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
    """A machine with an account of its own.

    Attributes:
        account: the record.
        apps: the apps whose namespaces were asked for, of any team, by slug.
        creator: the member who made the account; None when the operator did.
    """

    account: ServiceAccount
    apps: Mapping[str, App] = field(factory=dict)
    creator: Member | None = None

    @property
    def id(self) -> str:
        """The ``sub`` of its tokens."""
        return self.account.subject


@frozen
class LicenseSubject:
    """A holder of a license's registry token.

    Attributes:
        license: the record.
        app: the app it is for.
        stale: whether the store could not be asked, and this is what it said within the last minute.
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
    """A holder of several licenses, whose secrets came in one password (design #7).

    Attributes:
        licenses: the records that the secrets opened, each once, by id; at least one.
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
        """The ``sub`` of a token for which all of these licenses count."""
        return join_licenses(license_.id for license_ in self.licenses)

    def for_apps(self, slugs: Collection[str]) -> "LicensesSubject":
        """Return the licenses for ``slugs`` alone, or all of them when none is.

        Licenses of different vendors can come in one password: what is recorded of a request for one vendor's app
        says nothing about a license of another vendor that came along.
        """
        licenses = tuple(license_ for license_ in self.licenses if license_.app in slugs)
        return evolve(self, licenses=licenses) if licenses else self


SingleSubject = MemberSubject | ServiceAccountSubject | LicenseSubject
"""A subject with one record that says what it may do."""

Subject = SingleSubject | LicensesSubject
