"""The result of converting a configuration of docker_auth, and the parts that cannot be converted."""

from typing import Literal

from attrs import frozen

from authsvc.tenancy.machine_records import Grant
from authsvc.tenancy.records import Role

ProblemKind = Literal["not_converted", "narrowed", "note"]
"""Whether a part was left out, gives less than before, or is only worth knowing."""


@frozen
class MigrationOptions:
    """Information that the file does not contain.

    Attributes:
        apps: slugs of namespaces that the file does not name.
        emails: addresses of accounts whose names are none, by account.
        email_domain: the domain that turns the names of all other accounts into addresses; None for none.
        machines: accounts that stay machines, whatever their names.
    """

    apps: tuple[str, ...] = ()
    emails: tuple[tuple[str, str], ...] = ()
    email_domain: str | None = None
    machines: frozenset[str] = frozenset()


@frozen
class MigrationProblem:
    """A difference from the old configuration.

    Attributes:
        line: of the file; 0 when it is about no line.
        kind: its consequence.
        text: the difference, and what to do.
        accounts: the accounts that it affects, if only some.
    """

    line: int
    kind: ProblemKind
    text: str
    accounts: tuple[str, ...] = ()


@frozen
class MigratedAccount:
    """The result for an account: a member if there are an address and a role, else a service account.

    Attributes:
        account: its name in docker_auth.
        line: where it is.
        grants: all its rights.
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
    """What the migration creates.

    Attributes:
        apps: slugs, sorted.
        accounts: in the order of the file.
        problems: in the order of the lines.
    """

    apps: tuple[str, ...]
    accounts: tuple[MigratedAccount, ...]
    problems: tuple[MigrationProblem, ...]
