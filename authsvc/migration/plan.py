"""The result of converting a configuration of docker_auth, and the parts that cannot be converted."""

from typing import Literal

from attrs import frozen

from authsvc.tenancy.machine_records import Grant
from authsvc.tenancy.records import Role

ProblemKind = Literal["not_converted", "narrowed", "note"]
"""Whether a part was left out, gives less than it did, or only is to be known."""


@frozen
class MigrationOptions:
    """What the file does not say.

    Attributes:
        apps: slugs of namespaces that the file does not name.
        emails: addresses of accounts whose names are none, by account.
        email_domain: what makes addresses of the names of all other accounts; None for nothing.
        machines: accounts that stay machines, whatever their names.
    """

    apps: tuple[str, ...] = ()
    emails: tuple[tuple[str, str], ...] = ()
    email_domain: str | None = None
    machines: frozenset[str] = frozenset()


@frozen
class MigrationProblem:
    """Something that is not as it was.

    Attributes:
        line: of the file; 0 when it is about no line.
        kind: what it means.
        text: what it is and what to do.
        accounts: whom it concerns, if only some.
    """

    line: int
    kind: ProblemKind
    text: str
    accounts: tuple[str, ...] = ()


@frozen
class MigratedAccount:
    """What an account becomes: a member when there are an address and a role, else a service account.

    Attributes:
        account: its name in docker_auth.
        line: where it is.
        grants: all that it may do.
        exact: whether it may do the same as before in the apps; else less.
        email: of the member; None for a service account.
        role: of the member.
        apps: that the member is limited to.
        name: of the service account.
    """

    account: str
    line: int
    grants: tuple[Grant, ...]
    exact: bool
    email: str | None = None
    role: Role | None = None
    apps: tuple[str, ...] = ()
    name: str | None = None


@frozen
class MigrationPlan:
    """What is to be made.

    Attributes:
        apps: slugs, sorted.
        accounts: in the order of the file.
        problems: in the order of the lines.
    """

    apps: tuple[str, ...]
    accounts: tuple[MigratedAccount, ...]
    problems: tuple[MigrationProblem, ...]
