"""The ``credHelpers`` entry in docker's ``config.json`` and podman's ``auth.json``: one line in, one line out.

Everything else is preserved: the order of names, the indentation, links to the file and its mode.
"""

from __future__ import annotations

import json
import os
import re
from contextlib import contextmanager

from authsvc import atomic_file
from authsvc.installer.credential_helper import HELPER
from authsvc.installer.license_store import ToolError, home_folder, own_folder

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any

SECTION = "credHelpers"
LOCK_SECONDS = 30.0
"""Seconds that a login waits for another one."""

MAX_FILE = 4 * 1024 * 1024
"""Longest client configuration that is edited, in bytes."""


def paths(environ: Mapping[str, str]) -> list[str]:
    """Return the files of docker and of podman, skopeo and buildah, in that order.

    podman's default file is in ``XDG_RUNTIME_DIR`` and is lost at a restart of the machine; the one in ``~/.config`` is
    read next and is permanent (containers-auth.json(5)).
    """
    home = home_folder(environ)
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    docker = environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker")
    podman = environ.get("REGISTRY_AUTH_FILE") or os.path.join(config, "containers", "auth.json")
    return [os.path.join(docker, "config.json"), podman]


@contextmanager
def alone(environ: Mapping[str, str]) -> Iterator[None]:
    """Lock the clients' files and ours against other logins, from reading them to writing them.

    Raises:
        Refused: another login does not end, or a folder cannot be used.
    """
    own = own_folder(environ)
    try:
        os.makedirs(own, mode=0o700, exist_ok=True)
        folders = [os.path.dirname(os.path.realpath(path)) for path in paths(environ)]
        with atomic_file.locked([own, *filter(os.path.isdir, folders)], LOCK_SECONDS):
            yield
    except TimeoutError as error:
        raise ToolError(f"{error}; try again when that is done") from error
    except OSError as error:
        raise ToolError(f"cannot use {error.filename}: {error.strerror}") from error


class ClientConfig:
    """One such file, as it was read."""

    def __init__(self, path: str) -> None:
        """Read the file; one that does not exist is empty.

        Raises:
            Refused: it cannot be read, or is not a JSON object, so it must not be changed.
        """
        self.path = os.path.realpath(path)  # otherwise a symbolic link would be replaced by a file
        self._is_linked = os.path.islink(path)
        self._text = ""
        try:
            with open(self.path, "rb") as file:
                self._text = file.read(MAX_FILE + 1).decode("utf-8")
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            raise ToolError(f"cannot read {self.path}: {error}") from error
        if self._text.startswith("\ufeff"):
            raise ToolError(
                f"{self.path} begins with a byte-order mark, which docker and podman do not accept; save it as UTF-8 "
                "without one; nothing was changed"
            )
        try:
            self._body: dict[str, Any] = json.loads(self._text) if self._text.strip() else {}
            json.dumps(self._body, allow_nan=False)  # fails for values that JSON cannot represent, such as 1e999
            if self._body.get(SECTION, {}) is None:  # docker and podman treat null like a missing section
                self._body[SECTION] = {}
            good = isinstance(self._body.get(SECTION, {}), dict) and len(self._text) <= MAX_FILE
        except (ValueError, RecursionError, AttributeError):
            good = False
        if not good:
            raise ToolError(
                f"{self.path} is not the JSON that docker and podman write; fix it first; nothing was changed"
            )

    def helper(self, registry: str) -> str | None:
        """Return the helper that is configured for ``registry`` now, or None."""
        name: str | None = self._body.get(SECTION, {}).get(registry)
        return name

    def refuse_other(self, registry: str) -> None:
        """Refuse when another credential helper is configured for ``registry``.

        Raises:
            Refused: there is one.
        """
        other = self.helper(registry)
        if other is not None and other != HELPER:
            raise ToolError(f"{self.path} has {other!r} as the helper for {registry}; take that entry out first")

    def add(self, registry: str) -> bool:
        """Configure our helper for ``registry``; return whether the file changed.

        Raises:
            Refused: it cannot be written, or another helper is configured for this registry.
        """
        self.refuse_other(registry)
        if self.helper(registry) == HELPER:
            return False
        self._body.setdefault(SECTION, {})[registry] = HELPER
        self._write()
        return True

    def remove(self, registry: str) -> bool:
        """Remove our helper again; return whether the file changed.

        Raises:
            Refused: it cannot be written.
        """
        if self.helper(registry) != HELPER:
            return False
        del self._body[SECTION][registry]
        if not self._body[SECTION]:
            del self._body[SECTION]
        if self._body or self._is_linked:
            self._write()
        else:
            os.unlink(self.path)
        return True

    def _write(self) -> None:
        # docker and podman indent by a tab; people's own files may differ.
        found = re.search(r"\{\r?\n([ \t]+)\"", self._text)
        indent = found.group(1) if found else None if self._text.strip() else "\t"
        text = json.dumps(self._body, indent=indent, ensure_ascii=False)
        if any("\ud800" <= character <= "\udfff" for character in text):  # has no UTF-8, and stays an escape
            text = json.dumps(self._body, indent=indent)
        ending = "\n" if self._text.endswith("\n") else ""
        write_file(self.path, f"{text}{ending}", keep_mode=True)


def write_file(path: str, text: str, *, mode: int = atomic_file.PRIVATE, keep_mode: bool = False) -> None:
    """Write a file atomically (:func:`authsvc.atomic_file.replace`), and create the folders above it.

    Raises:
        Refused: it cannot be written.
    """
    try:
        os.makedirs(os.path.dirname(path), mode=0o700, exist_ok=True)
        atomic_file.replace(path, text.encode("utf-8"), mode=mode, keep_mode=keep_mode)
    except OSError as error:
        raise ToolError(f"cannot write {path}: {error.strerror}") from error
