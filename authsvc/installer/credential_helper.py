"""``docker-credential-authsvc``: the credential helper protocol of docker, with license files as the store.

The protocol is that of docker/docker-credential-helpers ``credentials/credentials.go``: one word on the command line,
a body on standard input, answers **and errors** on standard output, exit code 0 or 1. Clients compare the texts of
errors, so they are exactly those of that project.
"""

from __future__ import annotations

import json
import os
import sys
import time

from authsvc import __version__
from authsvc.installer import host
from authsvc.installer.license_selection import left_out, select
from authsvc.installer.license_store import ToolError, own_folder
from authsvc.installer.verification import usable
from authsvc.printable import accept_all_characters, printable

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping

PROGRAM = "docker-credential-authsvc"
HELPER = "authsvc"
"""Its name in ``credHelpers``: the program's name after ``docker-credential-``."""

USERNAME = "license"
"""User name sent with the registry token; the server ignores it (protocol notes B4: never ``<token>``)."""

NOT_FOUND = "credentials not found in native keychain"
NO_SERVER = "no credentials server URL"
MAX_INPUT = 64 * 1024
"""Most bytes that are read from standard input."""


def main() -> int:
    """Answer one call and return the exit code."""
    accept_all_characters(sys.stdout, sys.stderr)
    words = sys.argv[1:]
    if len(words) != 1:
        return _fail(f"Usage: {PROGRAM} <store|get|erase|list|version>")
    try:
        answer = _answer(words[0], os.environ, time.time())
    except ToolError as error:
        return _fail(str(error))
    except OSError as error:
        return _fail(f"cannot read the license files: {error.strerror}")
    if answer:
        sys.stdout.write(f"{answer}\n")
    return 0


def _answer(action: str, environ: Mapping[str, str], now: float) -> str:
    if action == "get":
        return get(_input(), environ, now)
    if action == "list":
        held, problems = usable(environ)
        _tell(problems)
        return json.dumps({license_.says["registry"]: USERNAME for license_ in held})
    if action == "store":
        store(_input(), environ, now)
        return ""
    if action == "erase":
        erase(_input(), environ, now)
        return ""
    if action in {"version", "--version", "-v"}:
        return f"{PROGRAM} (authsvc) v{__version__}"
    raise ToolError(f"{PROGRAM}: unknown action: {action}")


def get(server: str, environ: Mapping[str, str], now: float) -> str:
    """Return the credentials for ``server`` as JSON: one secret, or those of several licenses joined by dots.

    Raises:
        Refused: there are none.
    """
    wanted = server.strip()
    if not wanted:
        raise ToolError(NO_SERVER)
    held, problems = usable(environ, host.normalise(wanted))
    _tell(problems)
    selection = select(held, wanted, now)
    if not selection.licenses:
        raise ToolError(NOT_FOUND)
    _tell(left_out(selection))
    return json.dumps({"ServerURL": wanted, "Username": USERNAME, "Secret": selection.secret})


def store(body: str, environ: Mapping[str, str], now: float) -> None:
    """Accept credentials that exist already. Others are refused, since they would seem to be stored but would be lost.

    Raises:
        Refused: they are not the credentials that ``get`` would return.
    """
    try:
        given = json.loads(body)
        server, secret = given["ServerURL"], given["Secret"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ToolError("the credentials to store are not the JSON of the credential helper protocol") from error
    if not isinstance(server, str) or not server.strip():
        raise ToolError(NO_SERVER)
    selection = select(usable(environ, host.normalise(server))[0], server, now)
    ours = {selection.secret, *(text for one in selection.licenses for text in (one.token, one.text.strip()))}
    if not selection.licenses or not isinstance(secret, str) or secret.strip() not in ours:
        registry = host.normalise(server)
        raise ToolError(
            f"logins to {registry} come from license files here: keep a new file with `authsvc-license login FILE`, "
            f"or take the helper away with `authsvc-license login --undo {registry}` and sign in again"
        )


def erase(server: str, environ: Mapping[str, str], now: float) -> None:
    """Keep the license file, and print that: ``docker logout`` calls this for several spellings of a host."""
    wanted = server.strip()
    if not wanted:
        raise ToolError(NO_SERVER)
    if "://" in wanted:
        return
    for one in select(usable(environ, host.normalise(wanted))[0], wanted, now).licenses:
        mine = one.path.startswith(own_folder(environ))
        how = f"authsvc-license login --undo {one.registry}" if mine else f"rm {one.path}"
        _tell([f"the license file {one.path} still signs in; to end that: {how}"])


def _input() -> str:
    data = sys.stdin.buffer.read(MAX_INPUT + 1)
    try:
        text = data.decode("utf-8")
    except ValueError as error:
        raise ToolError("the input is not text") from error
    if len(data) > MAX_INPUT:
        raise ToolError("the input is too long")
    return text


def _tell(problems: list[str]) -> None:
    """Print a message for the user; clients pass standard error through and read only standard output."""
    for problem in problems:
        sys.stderr.write(f"{PROGRAM}: {printable(problem)}\n")


def _fail(text: str) -> int:
    sys.stdout.write(f"{printable(text)}\n")
    return 1
