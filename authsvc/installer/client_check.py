"""Checks whether a pull would work with the login that each client really uses: asks the server with stored logins."""

from __future__ import annotations

from authsvc.installer.client_files import LOGIN, OTHER_HELPER, UNREADABLE, Use
from authsvc.installer.license_store import ToolError

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Callable


class Checked:
    """The login that a client uses, and whether it suffices.

    Attributes:
        use: what it uses.
        ok: whether its own login gets every image that the licenses get; None when that was not checked.
        problem: a sentence when it would not, or that is unknown; else None.
    """

    def __init__(self, use: Use, *, ok: bool | None, problem: str | None = None) -> None:
        """Keep the results."""
        self.use = use
        self.ok = ok
        self.problem = problem

    def to_json(self) -> dict[str, Any]:
        """Return it for ``--json``."""
        return {**self.use.to_json(), "ok": self.ok}


def check(
    uses: Iterable[Use],
    secret: str,
    good: list[str],
    ask: Callable[[tuple[str, str], list[str]], dict[str, Any]],
) -> list[Checked]:
    """Return the result for each client.

    Args:
        uses: what each client uses for the registry.
        secret: of the license files, with which the server was asked already.
        good: the images that may be pulled with it; a client fails when it does not get one of them.
        ask: asks the server about images with other credentials.
    """
    return [_check(use, secret, good, ask) for use in uses]


def _check(
    use: Use, secret: str, good: list[str], ask: Callable[[tuple[str, str], list[str]], dict[str, Any]]
) -> Checked:
    if use.kind == UNREADABLE:
        return Checked(use, ok=False, problem=f"{use.client} {use.what()}")
    if use.kind == OTHER_HELPER or (use.kind == LOGIN and not (use.login and use.login[1])):
        return Checked(use, ok=None, problem=f"{use.client} {use.what()}; whether that would do was not checked")
    if use.login is None or use.login[1] == secret:
        return Checked(use, ok=True)
    if not good:
        return Checked(use, ok=None)
    problem = _problem(use.login, good, ask)
    return Checked(use, ok=not problem, problem=f"{use.client} {use.what()}; {problem}" if problem else None)


def _problem(
    login: tuple[str, str], good: list[str], ask: Callable[[tuple[str, str], list[str]], dict[str, Any]]
) -> str:
    """Return why a login does not get all of the ``good`` images; empty when it does."""
    try:
        answer = ask(login, good)
    except ToolError as error:
        return f"it would be refused: {error}"
    missing = [str(image.get("image")) for image in answer["images"] if image.get("may_pull") is not True]
    return f"it does not cover {', '.join(missing)}" if missing else ""
