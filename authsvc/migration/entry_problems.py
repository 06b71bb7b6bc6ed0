"""The problems of entries of the ACL and of other parts of the file that have no equivalent."""

from collections.abc import Iterator

from authsvc.migration.account_grants import EVERY_ACTION, allowed_actions
from authsvc.migration.document import AUTHENTICATION, AclEntry, DockerAuthConfiguration
from authsvc.migration.entry_names import (
    covered,
    is_for_images,
    lacks_namespace,
    namespace_of,
    namespace_problem,
    spans_namespaces,
)
from authsvc.migration.match_condition import matches, regex_of
from authsvc.migration.plan import MigrationProblem, ProblemKind

_LIMITS = {
    "ip": "the address of the client; nothing here depends on it, so let people and machines sign in",
    "labels": "labels of the user; give those users roles or grants of their own",
    "service": "the name of the service; there is one for the whole installation",
}


def problems_of_file(configuration: DockerAuthConfiguration) -> Iterator[MigrationProblem]:
    """Yield what can be said of a configuration without looking at single accounts."""
    for user in configuration.users:
        if not user.usable:
            yield _problem(
                user.line, "note", f"user {_shown(user.account)} has no value, so docker_auth never let it in"
            )
        elif not user.account:
            yield _problem(
                user.line,
                "not_converted",
                "clients that do not sign in can pull nothing here; give those who did a license or a service account",
            )
        elif not user.has_password:
            yield _problem(
                user.line, "note", f"user {_shown(user.account)} was let in with any password; now it takes a secret"
            )
    for key, line in configuration.others.items():
        what = (
            f"the accounts of {key} are not in the file; those that acl names are converted, invite the others"
            if key in AUTHENTICATION
            else f"what {key} allows is not in the file; grant it to those who need it"
        )
        yield _problem(line, "not_converted", what)
    for key, line in configuration.unknown.items():
        yield _problem(line, "note", f"{key[:60]!r} is not a key of docker_auth that is known here; it was not read")
    for entry in configuration.acl:
        yield from _problems_of_entry(entry)


def problem_of_uncertain(entry: AclEntry, accounts: tuple[str, ...]) -> MigrationProblem:
    """Return why it is unknown when an entry that may decide matches, and the consequence."""
    reasons = [_LIMITS.get(limit, f"{limit}, which is not a condition that is known here") for limit in entry.limits]
    conditions = (("account", entry.account), ("type", entry.type))
    reasons += [
        f"{key} {_shown(text)}, which is not simple enough to be sure what it matches; write the names out"
        for key, text in conditions
        if text is not None and any(matches(text, one, one) is None for one in accounts)
    ]
    if entry.name is not None:
        reasons.append(_reason_of_name(entry, entry.name, accounts))
    lost = (
        "is not converted"
        if allowed_actions(entry)
        else "denies, and what it might deny is granted by no later entry either"
    )
    text = f"entry {entry.number} of acl {lost}: it depends on {reasons[0]}"
    return _problem(entry.line, "not_converted", text, accounts)


def _reason_of_name(entry: AclEntry, name: str, accounts: tuple[str, ...]) -> str:
    if "${" in name and any(not covered(entry, account).exact for account in accounts):
        return f"the variables of {_shown(name)}; write the names out"
    if regex_of(name) is not None:
        return (
            f"the regular expression {_shown(name)}; a grant has the form of a pattern, such as APP/** for everything "
            "below APP, so write the names out"
        )
    return f"the name {_shown(name)}, which no pattern says; a pattern has only '*' and '**', and a name of at most 255"


def _problems_of_entry(entry: AclEntry) -> Iterator[MigrationProblem]:
    where = f"entry {entry.number} of acl"
    namespace = namespace_of(entry)
    reason = None if namespace is None else namespace_problem(namespace)
    if reason is not None:
        yield _problem(
            entry.line, "not_converted", f"{where}: {reason}; its images have to move to a namespace that can be an app"
        )
    if not entry.actions:
        return
    if not is_for_images(entry):
        yield _problem(
            entry.line,
            "not_converted",
            f"{where} is for {_shown(entry.type)}, not for images; nobody gets the catalog, and lists of images are in "
            "the portal, the API and the command line",
        )
        return
    if entry.account == "":
        text = f"{where} is for clients that do not sign in; they get nothing here"
        yield _problem(entry.line, "not_converted", text)
    elif lacks_namespace(entry):
        yield _problem(
            entry.line,
            "not_converted",
            f"{where} is for images without a namespace ({_shown(entry.name)}); every image belongs to an app here, "
            "so push it as APP/NAME",
        )
    strange = [action for action in entry.actions if action not in EVERY_ACTION and entry.actions != ("*",)]
    if strange:
        yield _problem(
            entry.line,
            "note",
            f"{where}: {strange[0][:40]!r} adds nothing to what may be done with images; a '*' means everything only "
            "when it stands alone",
        )


def problem_of_span(entry: AclEntry, apps: tuple[str, ...]) -> MigrationProblem | None:
    """Return for how much of its namespaces an entry was converted; None when it names one."""
    if entry.limits or entry.account == "" or not (allowed_actions(entry) and is_for_images(entry)):
        return None
    if not spans_namespaces(entry):
        return None
    where = f"entry {entry.number} of acl is for any namespace"
    if not apps:
        return _problem(entry.line, "not_converted", f"{where}, and none is known; name them with --app")
    return _problem(entry.line, "note", f"{where}; it is converted for {', '.join(apps)}, name others with --app")


def problem_of_unknown_account(entry: AclEntry, account: str) -> MigrationProblem:
    """Return the problem that no account can have the name in an entry."""
    return _problem(
        entry.line,
        "note",
        f"entry {entry.number} of acl is for {account[:60]!r}, which is not one of users: nothing is lost",
    )


def _shown(text: str | None) -> str:
    return repr((text or "")[:80])


def _problem(line: int, kind: ProblemKind, text: str, accounts: tuple[str, ...] = ()) -> MigrationProblem:
    return MigrationProblem(line, kind, text, accounts)
