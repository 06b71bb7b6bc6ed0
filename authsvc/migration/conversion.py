"""Converts a configuration of docker_auth into apps, members and service accounts with the same rights, never more."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence

from attrs import define, field

from authsvc.counts import counted
from authsvc.errors import InputRefused
from authsvc.migration.account_grants import AppGrants, AppliedEntry, WorkLimit, allowed_actions
from authsvc.migration.document import AUTHENTICATION, AclEntry, DockerAuthConfiguration
from authsvc.migration.entry_names import covered, is_own_namespace, namespace_of, namespace_problem
from authsvc.migration.entry_problems import (
    problem_of_span,
    problem_of_uncertain,
    problem_of_unknown_account,
    problems_of_file,
)
from authsvc.migration.match_condition import MAX_TEXT, literal_of, matches
from authsvc.migration.plan import MigratedAccount, MigrationOptions, MigrationPlan, MigrationProblem
from authsvc.policy import ROLE_ACTIONS
from authsvc.tenancy.machine_records import Grant
from authsvc.tenancy.names import parse_email, parse_slug
from authsvc.tenancy.patterns import MAX_PATTERNS
from authsvc.tenancy.records import Role

MAX_APPS = 200
"""Most apps of one conversion."""

MAX_ACCOUNT_NAME = 60
"""Longest name of a service account, in characters."""

WHOLE_APP = "**"


def convert(configuration: DockerAuthConfiguration, options: MigrationOptions) -> MigrationPlan:
    """Return what a configuration without problems becomes.

    Raises:
        InputRefused: an option is not acceptable, or the file is too much for one conversion.
    """
    return _Conversion(configuration, options).plan()


@define
class _Conversion:
    """One conversion.

    Attributes:
        configuration: as it was read.
        options: what it does not say.
        apps: that there will be, sorted.
        problems: found so far.
    """

    configuration: DockerAuthConfiguration
    options: MigrationOptions
    apps: tuple[str, ...] = ()
    problems: list[MigrationProblem] = field(factory=list)
    _limit: WorkLimit = field(factory=WorkLimit)
    _uncertain: dict[AclEntry, list[str]] = field(factory=lambda: defaultdict(list))
    _narrowed: dict[tuple[AclEntry, AclEntry], list[str]] = field(factory=lambda: defaultdict(list))
    _push_alone: dict[AclEntry, list[str]] = field(factory=lambda: defaultdict(list))
    _no_app: dict[AclEntry, list[str]] = field(factory=lambda: defaultdict(list))
    _taken: dict[str, str] = field(factory=dict)

    def plan(self) -> MigrationPlan:
        """Return the result."""
        self.apps = self._apps()
        lines = dict(self._accounts())
        self._check_options(lines)
        found = [self._account(account, line) for account, line in lines.items()]
        self.problems += problems_of_file(self.configuration)
        self._tell_of_entries()
        unique = {(one.line, one.text): one for one in self.problems}
        return MigrationPlan(
            self.apps,
            tuple(one for one in found if one is not None),
            tuple(sorted(unique.values(), key=lambda one: one.line)),
        )

    def _apps(self) -> tuple[str, ...]:
        given = {parse_slug(app, "app", "app") for app in self.options.apps}
        named = {name for entry in self.configuration.acl if (name := namespace_of(entry)) is not None}
        apps = given | {name for name in named if namespace_problem(name) is None}
        if len(apps) > MAX_APPS:
            raise InputRefused(
                f"the configuration names {counted(len(apps), 'namespace')}, and at most {MAX_APPS} are converted "
                "at once; split the file",
                code="configuration_invalid",
                field="file",
            )
        return tuple(sorted(apps))

    def _accounts(self) -> Iterator[tuple[str, int]]:
        """Yield each account with its line: users, and whom the ACL names when others than users can sign in."""
        known = set[str]()
        for user in self.configuration.users:
            known.add(user.account)
            if user.account and user.usable:
                yield user.account, user.line
        elsewhere = not AUTHENTICATION.isdisjoint(self.configuration.others)
        for entry in self.configuration.acl:
            account = None if entry.account is None else literal_of(entry.account)
            if not account or account in known:
                continue
            if elsewhere:
                known.add(account)
                yield account, entry.line
            else:
                self.problems.append(problem_of_unknown_account(entry, account))

    def _check_options(self, accounts: dict[str, int]) -> None:
        named = {account: "email" for account, _ in self.options.emails}
        named |= dict.fromkeys(self.options.machines, "machine")
        for account, option in named.items():
            if account not in accounts:
                raise InputRefused(
                    f"the configuration has no account {account[:60]!r}", code="value_unexpected", field=option
                )

    def _account(self, account: str, line: int) -> MigratedAccount | None:
        if len(account) > MAX_TEXT or not account.isprintable():
            self._left_out(line, account, "its name is too long, or has characters that cannot be printed")
            return None
        self._limit.spend(len(self.configuration.acl))
        by_app = [AppGrants.of(app, entries, self._limit) for app, entries in self._applied(account).items()]
        for found in by_app:
            self._note(account, found)
        exact = all(found.exact for found in by_app)
        grants = tuple(grant for found in by_app for grant in found.grants)
        if not grants:
            if self.apps:
                self._left_out(line, account, "it may do nothing in the apps, so nothing is made of it", note=exact)
            return None
        email = self._email(account, line)
        role = None if email is None else _role_of(grants)
        if email is not None and role is not None:
            if not self._take(email, account, line):
                return None
            apps = tuple(grant.app for grant in grants)
            return MigratedAccount(account, line, grants, exact, email=email, role=role, apps=apps)
        if email is not None:
            text = (
                f"{account[:60]!r} has rights that no role has, which are the same actions on all images of an app; it "
                "becomes a service account, and an invitation with a role is the alternative"
            )
            self.problems.append(MigrationProblem(line, "note", text))
        return self._service_account(account, line, grants, exact=exact)

    def _service_account(
        self, account: str, line: int, grants: tuple[Grant, ...], *, exact: bool
    ) -> MigratedAccount | None:
        name = re.sub(r"[^a-z0-9]+", "-", account.lower()).strip("-")
        if not 0 < len(name) <= MAX_ACCOUNT_NAME:
            why = f"a service account has a name of a-z, 0-9 and '-', and at most {MAX_ACCOUNT_NAME} characters"
        elif len(grants) > MAX_PATTERNS:
            why = f"it needs {counted(len(grants), 'grant')}, and a service account has at most {MAX_PATTERNS}"
        elif self._take(name, account, line):
            return MigratedAccount(account, line, grants, exact, name=name)
        else:
            return None
        self._left_out(line, account, why)
        return None

    def _applied(self, account: str) -> dict[str, list[AppliedEntry]]:
        """Return the entries that may match ``account``, by app."""
        applied: dict[str, list[AppliedEntry]] = {app: [] for app in self.apps}
        for entry in self.configuration.acl:
            whom = matches(entry.account, account, account)
            what = matches(entry.type, "repository", account)
            parsed = covered(entry, account)
            if whom is False or what is False or parsed.region is None:
                continue
            sure = bool(whom and what) and parsed.exact and not entry.limits
            self._limit.spend(len(self.apps))
            somewhere = False
            for app, entries in applied.items():
                region = parsed.region.within(app)
                if region is not None:
                    somewhere = True
                    entries.append(AppliedEntry(entry, region, sure and region.pattern() is not None))
            if not somewhere and allowed_actions(entry) and is_own_namespace(entry):
                self._no_app[entry].append(account)
        return applied

    def _email(self, account: str, line: int) -> str | None:
        """Return the address of a person; None for a machine."""
        given = dict(self.options.emails).get(account)
        if given is not None:
            return parse_email(given)
        if account in self.options.machines:
            return None
        try:
            return parse_email(account)
        except InputRefused:
            pass
        if self.options.email_domain is None:
            return None
        try:
            return parse_email(f"{account}@{self.options.email_domain}")
        except InputRefused as error:
            self.problems.append(MigrationProblem(line, "note", f"{error}; {account[:60]!r} becomes a service account"))
            return None

    def _take(self, name: str, account: str, line: int) -> bool:
        """Reserve an address or a name for one account."""
        other = self._taken.setdefault(name, account)
        if other != account:
            self._left_out(line, account, f"{other[:60]!r} becomes {name} already; rename one of them")
        return other == account

    def _left_out(self, line: int, account: str, why: str, *, note: bool = False) -> None:
        shown = f"account {account[:60]!r}: {why}"
        self.problems.append(MigrationProblem(line, "note" if note else "not_converted", shown))

    def _note(self, account: str, found: AppGrants) -> None:
        for lists, entries in ((self._uncertain, found.uncertain), (self._push_alone, found.push_alone)):
            for entry in entries:
                if account not in lists[entry][-1:]:
                    lists[entry].append(account)
        for pair in found.narrowed:
            if account not in self._narrowed[pair][-1:]:
                self._narrowed[pair].append(account)

    def _tell_of_entries(self) -> None:
        """Add what was found of entries while accounts were converted."""
        for entry in self.configuration.acl:
            span = problem_of_span(entry, self.apps)
            if span is not None:
                self.problems.append(span)
        for entry, accounts in self._uncertain.items():
            self.problems.append(problem_of_uncertain(entry, tuple(accounts)))
        for (entry, before), accounts in self._narrowed.items():
            text = (
                f"entry {entry.number} of acl gives only what entry {before.number} (line {before.line}) allows, too: "
                "that one comes first and matches some of the same images, and grants cannot take away; look at "
                "the grants, and add what is missing by name"
            )
            self.problems.append(MigrationProblem(entry.line, "narrowed", text, tuple(accounts)))
        for entry, accounts in self._push_alone.items():
            text = (
                f"entry {entry.number} of acl allows push without pull; whoever pushes here pulls, too, so push is "
                "left out"
            )
            self.problems.append(MigrationProblem(entry.line, "narrowed", text, tuple(accounts)))
        for entry, accounts in self._no_app.items():
            text = (
                f"entry {entry.number} of acl is for a namespace named like the account; --app ACCOUNT makes it an app"
            )
            self.problems.append(MigrationProblem(entry.line, "not_converted", text, tuple(accounts)))


def _role_of(grants: Sequence[Grant]) -> Role | None:
    """Return the role that gives the same as grants; None when there is none."""
    actions = {frozenset(grant.actions) for grant in grants}
    if len(actions) > 1 or any(grant.pattern != WHOLE_APP for grant in grants):
        return None
    return next((role for role, allowed in ROLE_ACTIONS.items() if {allowed} == actions), None)
