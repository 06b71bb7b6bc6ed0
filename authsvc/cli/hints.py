"""What to type next: hints that name commands, by error code.

The core and the use cases serve the portal and the API too, so their sentences name no command; whoever reads the
command line gets the hint behind the sentence.
"""

from collections.abc import Mapping

from authsvc.errors import AuthsvcError, ErrorCode

HINTS: Mapping[ErrorCode, str] = {
    "keys_read_only": "with compose.yaml: docker compose run --rm keys, instead of: docker compose exec authsvc "
    "authsvc keys",
    "next_root_missing": "begin with: authsvc keys rotate --root prepare",
    "root_key_missing": "`authsvc keys issue` makes a leaf",
    "secret_missing": "`authsvc init` makes it",
}
"""A hint may name facts of the error in braces."""

REMEDIES: Mapping[str, str] = {
    "expired": "authsvc license extend {id} --expires WHEN",
    "revoked": "authsvc license reinstate {id}",
    "archived": "authsvc license reinstate {id}",
}
"""What restores the access of a license, by its state."""


def explained(error: AuthsvcError) -> str:
    """Return the sentence of ``error`` with the hint for its code, if there is one."""
    hint = HINTS.get(error.code)
    return str(error) if hint is None else f"{error}; {hint.format_map(error.facts)}"
