"""The license files on this machine: their paths and contents.

Files are only read here, not verified: the registry in a file decides where its token is sent. Commands get their
licenses from :mod:`authsvc.installer.verification`, which checks the signature.
"""

from __future__ import annotations

import os
import re
import time

from authsvc.installer import host
from authsvc.installer.file_text import decoded
from authsvc.license_file import MAX_BYTES, LicenseFileError, parse

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from authsvc.installer.trusted_key import TrustedKey

VARIABLE = "AUTHSVC_LICENSE"
"""Names a license file or a folder of them; several are joined as in PATH."""

SYSTEM_FOLDER = "/etc/authsvc"
LICENSES, KEYS = "licenses", "keys"
SUFFIX, KEY_SUFFIX = ".license.json", ".license-key.json"

PROXY = "proxy"
"""First component of every pulled-through repository; the app's slug is the second."""

UNCHECKED = 4
"""Exit code for a license whose signature could not be checked, since its key is not on this machine."""

_TOKEN_ID = re.compile(r"asv_lic_([0-9A-Za-z]+)_", re.ASCII)
_TEXTS = ("id", "app", "customer", "type", "issued_at", "expires_at", "registry", "registry_token")


class ToolError(Exception):
    """The request cannot be carried out; the text is for the user.

    Attributes:
        code: the exit code.
        field: the field of a license file that is wrong, when one is.
    """

    def __init__(self, message: str, code: int = 1, field: str | None = None) -> None:
        """Keep the sentence, the exit code and the name of the field."""
        super().__init__(message)
        self.code = code
        self.field = field


class InstalledLicense:
    """A license file that was read.

    Attributes:
        path: of the file.
        text: the file.
        says: the ``license`` object.
        key: the vendor's key that made the signature; None when it was not checked.
        named: whether ``AUTHSVC_LICENSE`` names it, or the folder that it is in.
    """

    def __init__(self, path: str, text: str, says: dict[str, Any]) -> None:
        """Take what was read, not checked yet."""
        self.path = path
        self.text = text
        self.says = says
        self.key: TrustedKey | None = None
        self.named = False

    @property
    def registry(self) -> str:
        """The registry's ``host[:port]``."""
        return host.normalise(self.says["registry"])

    @property
    def token(self) -> str:
        """The secret that logs in."""
        token: str = self.says["registry_token"]
        return token

    @property
    def ids(self) -> set[str]:
        """The license's id, and the one in its registry token: two files that share one are for one license."""
        found = _TOKEN_ID.match(self.token)
        return {self.says["id"], found.group(1) if found else self.token}

    def in_force(self, now: float) -> bool:
        """Whether the dates allow its use at ``now``, in seconds since 1970."""
        at = instant(now)
        return bool((self.says["not_before"] or "") <= at < self.says["expires_at"])

    @property
    def age(self) -> tuple[str, str, float]:
        """Sort key for the newest file: when the license was made, when it ends, when the file was stored here."""
        try:
            came = os.stat(self.path).st_mtime
        except OSError:
            came = 0.0
        return self.says["issued_at"], self.says["expires_at"], came


def instant(seconds: float) -> str:
    """Return a time as license files write it; such texts compare as the times do."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def home_folder(environ: Mapping[str, str]) -> str:
    """Return this user's home; the root folder for a user without one, as containers with any number have.

    Never a relative path: keys and licenses would be taken from whatever folder we are called in.
    """
    found = environ.get("HOME") or os.path.expanduser("~")
    return found if os.path.isabs(found) else "/"


def own_folder(environ: Mapping[str, str]) -> str:
    """Return the folder of this user's files."""
    return os.path.join(home_folder(environ), ".config", "authsvc")


def read(path: str) -> InstalledLicense:
    """Return the license file at ``path``.

    Raises:
        Refused: it cannot be read (exit 2), or is none (exit 1).
    """
    try:
        # More than allowed, so that a longer file is seen (CRLF does not count, and UTF-16 has two bytes for each
        # character); a device is never read to its end.
        with open(path, "rb") as file:
            text = decoded(file.read(4 * MAX_BYTES))
    except OSError as error:
        raise ToolError(f"cannot read {path}: {error.strerror}", 2) from error
    except ValueError as error:
        raise ToolError(f"{path}: this is not a license file: it is not text") from error
    try:
        says = parse(text)["license"]
        check_form(says)
    except LicenseFileError as error:
        raise ToolError(f"{path}: {error}", field=error.field) from error
    return InstalledLicense(path, text, says)


def check_form(says: dict[str, Any]) -> None:
    """Check that the fields which these tools use are there and are texts.

    Raises:
        LicenseFileError: one is not; the error names it.
    """
    for name in _TEXTS:
        if not (isinstance(says.get(name), str) and says[name].isprintable() and says[name]):
            raise LicenseFileError(f"this is not a license file: {name!r} is missing or no text", name)
    if not host.is_registry(says["registry"]):
        raise LicenseFileError("this is not a license file: its 'registry' is not the name of a registry", "registry")
    for name in ("not_before", "contact"):
        if not isinstance(says.setdefault(name, None), (str, type(None))):
            raise LicenseFileError(f"this is not a license file: {name!r} is not a text", name)


def find(environ: Mapping[str, str]) -> tuple[list[InstalledLicense], list[str]]:
    """Return the license files on this machine, and a sentence about each that could not be used."""
    held, problems = [], []
    for path, named in _paths(environ):
        try:
            license_ = read(path)
        except ToolError as error:
            problems.append(str(error))
        else:
            license_.named = named
            held.append(license_)
    return held, problems


def _paths(environ: Mapping[str, str]) -> list[tuple[str, bool]]:
    """Return the files to read, each once, and whether ``AUTHSVC_LICENSE`` names it."""
    named = [place for place in environ.get(VARIABLE, "").split(os.pathsep) if place]
    usual = [os.path.join(folder, LICENSES) for folder in (own_folder(environ), SYSTEM_FOLDER)]
    paths: dict[str, bool] = {}
    for place, is_named in (*((place, True) for place in named), *((place, False) for place in usual)):
        found = []
        if os.path.isdir(place):
            try:
                names = sorted(os.listdir(place))
            except OSError:
                continue
            # A mounted Kubernetes secret has its files as links beside "..data"; its names are the user's choice.
            names = [name for name in names if name.endswith(".json") and name[0] != "."]
            found = [os.path.join(place, name) for name in names if not name.endswith(KEY_SUFFIX)]
        elif is_named or os.path.exists(place):
            found = [place]
        for path in found:
            paths.setdefault(path, is_named)
    return list(paths.items())
