"""Hints that name the next command, by error code.

The core and the use cases serve the portal and the API too, so their sentences name no command; the command
line adds a hint to them.
"""

import string
from collections.abc import Mapping

from authsvc.error_codes import ErrorCode
from authsvc.errors import AuthsvcError

HINTS: Mapping[ErrorCode, tuple[str, ...]] = {
    "app_not_found": (
        "make it with: authsvc app create {app} --team TEAM",
        "see: authsvc app list --team {team}",
    ),
    "credential_needed": ("`authsvc upstream set LINK --secret-stdin` reads it from standard input",),
    "customer_not_found": ("see: authsvc customer list --team TEAM",),
    "email_taken": ("for a new password use: authsvc member reset {email}",),
    "keys_read_only": (
        "with compose.yaml: docker compose run --rm keys, instead of: docker compose exec authsvc authsvc keys",
    ),
    "license_ambiguous": ("for instance: authsvc license show REFERENCE --app APP",),
    "license_not_found": ("see: authsvc license list",),
    "member_not_found": ("see: authsvc member list --team TEAM",),
    "next_root_missing": ("begin with: authsvc keys rotate --root prepare",),
    "next_root_unconfirmed": (
        "when you know that it was restarted since `prepare`, repeat: authsvc keys rotate --root switch --force",
    ),
    "old_root_in_use": ("run: authsvc keys rotate",),
    "root_key_missing": ("`authsvc keys issue` makes a leaf",),
    "secret_missing": ("`authsvc init` makes it",),
    "service_account_not_found": ("see: authsvc service-account list --team {team}",),
    "upstream_link_not_found": ("see: authsvc upstream list --app {app}", "see: authsvc upstream list"),
    "webhook_not_found": ("see: authsvc webhook list",),
    "team_not_found": ("make it with: authsvc team create {team}",),
    "token_not_found": ("see: authsvc token list --member EMAIL",),
}
"""A hint may contain facts of the error in braces; the first hint whose facts are all known is shown."""

REMEDIES: Mapping[str, str] = {
    "expired": "authsvc license extend {id} --expires WHEN",
    "revoked": "authsvc license reinstate {id}",
    "archived": "authsvc license reinstate {id}",
    "archived with its app": "authsvc app reinstate {app}",
}
"""How to restore the access of a license, by its state."""


def explained(error: AuthsvcError) -> str:
    """Return the sentence of ``error`` with a hint for its code, if there is one."""
    for hint in HINTS.get(error.code, ()):
        if named_facts(hint) <= error.facts.keys():
            return f"{error}; {hint.format_map(error.facts)}"
    return str(error)


def named_facts(hint: str) -> set[str]:
    """Return the facts that a hint shows."""
    return {name for _, name, _, _ in string.Formatter().parse(hint) if name}


def secret_hint(registry: str, user: str, *, api: bool, registry_too: bool = True) -> str:
    """Return a hint on the use of a secret that was just printed.

    Args:
        registry: host and port that clients log in to.
        user: user name to log in with.
        api: whether the secret is for the management API.
        registry_too: whether it is for the registry, if it is for the API.
    """
    login = f"as the password: docker login {registry} -u {user}"
    bearer = "at the management API: 'Authorization: Bearer TOKEN'"
    uses = [login] if not api else [bearer, login] if registry_too else [bearer]
    return f"shown once; use it {', or '.join(uses)}"
