"""A proven identity, with the facts about it as of one instant."""

from collections.abc import Mapping

from attrs import field, frozen

from authsvc.tenancy.records import App, License, Member


@frozen
class MemberSubject:
    """A member who showed the password.

    Attributes:
        member: the record.
        apps: the apps whose namespaces were asked for, of any team, by slug.
    """

    member: Member
    apps: Mapping[str, App] = field(factory=dict)

    @property
    def id(self) -> str:
        """The ``sub`` of its tokens."""
        return self.member.subject


@frozen
class LicenseSubject:
    """A holder of a license's registry token.

    Attributes:
        license: the record.
        app: the app it is for.
    """

    license: License
    app: App

    @property
    def id(self) -> str:
        """The ``sub`` of its tokens."""
        return self.license.subject


Subject = MemberSubject | LicenseSubject
