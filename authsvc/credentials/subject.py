"""A proven identity, with the facts about it as of one instant."""

from collections.abc import Mapping

from attrs import field, frozen

from authsvc.tenancy.machine_records import PersonalToken, RefreshToken, ServiceAccount
from authsvc.tenancy.records import App, License, Member


@frozen
class MemberSubject:
    """A member, by password, personal token or refresh token.

    Attributes:
        member: the record.
        apps: the apps whose namespaces were asked for, of any team, by slug.
        by: the token that was shown; None for the password.
    """

    member: Member
    apps: Mapping[str, App] = field(factory=dict)
    by: PersonalToken | RefreshToken | None = None

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


Subject = MemberSubject | ServiceAccountSubject | LicenseSubject
