"""Finds the credential that each client will use for a registry, in that client's order of files. Read-only.

The behaviour of each client was observed with the real programs (docker 28.2, podman 4.3, buildah 1.28, skopeo 1.9):

- **docker**, and what shares its configuration (compose, buildx, nerdctl, oras): ``DOCKER_AUTH_CONFIG`` from 28.3 on,
  then one file, ``$DOCKER_CONFIG/config.json`` or ``~/.docker/config.json``. In it a ``credHelpers`` entry for the
  registry comes before ``credsStore``, and that before ``auths``.
- **podman, buildah, skopeo** read files one after the other until one has a credential (containers-auth.json(5)):
  ``$REGISTRY_AUTH_FILE``, else for podman and buildah ``$DOCKER_CONFIG/config.json``, else
  ``$XDG_RUNTIME_DIR/containers/auth.json``; then ``~/.config/containers/auth.json``, docker's ``config.json`` and
  ``~/.dockercfg``. In each file ``credHelpers`` comes before ``auths``; ``credsStore`` is not read. A file that is not
  JSON ends the search. ``credential-helpers`` in registries.conf can put helpers before the files.
"""

from __future__ import annotations

import base64
import binascii
import json
import os
import re
import sys

from authsvc.installer.credential_helper import HELPER
from authsvc.installer.license_store import home_folder

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

DOCKER, PODMAN, SKOPEO = "docker", "podman and buildah", "skopeo"
CLIENTS = (DOCKER, PODMAN, SKOPEO)

LICENSE, LOGIN, OTHER_HELPER, UNREADABLE, NOTHING = "license", "login", "helper", "unreadable", "nothing"
"""Kinds of credentials: the license files, a stored login, another helper; or an unreadable file, or none."""

DOCKER_VARIABLE = "DOCKER_AUTH_CONFIG"
MAX_FILE = 4 * 1024 * 1024
"""Longest file that is read, in bytes."""

FILES = "containers-auth.json"
"""The entry for the files in ``credential-helpers`` of registries.conf."""

_HELPERS = re.compile(r"^\s*credential-helpers\s*=\s*\[([^\]]*)\]", re.MULTILINE)
_TEXT = re.compile(r"\"([^\"]*)\"|'([^']*)'")


class Use:
    """The credential with which a client will sign in to the registry.

    Attributes:
        client: one of :data:`CLIENTS`.
        kind: ``license``, ``login``, ``helper``, ``unreadable`` or ``nothing``.
        source: the file or variable that decides; empty for nothing.
        name: of the user of a login, or of another helper; else empty.
        login: user name and password of a stored login, as far as they can be read.
    """

    def __init__(
        self, client: str, kind: str, source: str = "", name: str = "", login: tuple[str, str] | None = None
    ) -> None:
        """Keep the values."""
        self.client = client
        self.kind = kind
        self.source = source
        self.name = name
        self.login = login

    def what(self) -> str:
        """Return what the client does, as the predicate of a sentence."""
        if self.kind == LICENSE:
            return f"uses the license files here, by the helper in {self.source}"
        if self.kind == LOGIN:
            return f"uses the login of {self.name!r} in {self.source}, not the license files"
        if self.kind == OTHER_HELPER:
            return f"asks the helper {self.name!r} of {self.source}, not the license files"
        if self.kind == UNREADABLE:
            return f"cannot read {self.source} and fails; correct that file"
        return "has no login"

    def to_json(self) -> dict[str, str]:
        """Return it for ``--json``, without passwords."""
        return {"client": self.client, "uses": self.kind, "source": self.source, "name": self.name}


def uses(registry: str, environ: Mapping[str, str]) -> list[Use]:
    """Return what each client will use for ``registry``, in the order of :data:`CLIENTS`."""
    return [_docker(registry, environ), *(_containers(client, registry, environ) for client in CLIENTS[1:])]


def sentences(found: Iterable[Use]) -> list[str]:
    """Return one sentence for all clients that will use the same credential."""
    grouped: dict[str, list[str]] = {}
    for use in found:
        grouped.setdefault(use.what(), []).append(use.client)
    return [f"{', '.join(clients)}: {what}" for what, clients in grouped.items()]


def files(client: str, environ: Mapping[str, str]) -> list[str]:
    """Return the files that a client reads, in its order, whether they exist or not."""
    home = home_folder(environ)
    docker = os.path.join(environ.get("DOCKER_CONFIG") or os.path.join(home, ".docker"), "config.json")
    if client == DOCKER:
        return [docker]
    config = environ.get("XDG_CONFIG_HOME") or os.path.join(home, ".config")
    own = os.path.join(config, "containers", "auth.json")
    if environ.get("REGISTRY_AUTH_FILE"):
        first = environ["REGISTRY_AUTH_FILE"]
    elif client == PODMAN and environ.get("DOCKER_CONFIG"):
        first = docker
    else:
        first = own if sys.platform == "darwin" else _runtime_file(environ)
    return list(dict.fromkeys((first, own, docker, os.path.join(home, ".dockercfg"))))


def all_files(environ: Mapping[str, str]) -> list[str]:
    """Return every file that any client reads, each once."""
    return list(dict.fromkeys(path for client in CLIENTS for path in files(client, environ)))


def files_to_edit(registry: str, environ: Mapping[str, str], usual: Iterable[str]) -> list[str]:
    """Return the files in which our helper must be configured so that every client uses it for ``registry``.

    These are the ``usual`` ones, and those that have an entry for the registry and are read before them: in each file a
    helper takes precedence over a stored login, so nothing has to be removed.
    """
    wanted = list(usual)
    for client in CLIENTS[1:]:
        for path in files(client, environ):
            if path in wanted:
                break
            if holds_something(path, registry):
                wanted.append(path)
    return wanted


def holds_something(path: str, registry: str) -> bool:
    """Whether a file has a helper or a login for ``registry``, or has no readable content.

    A file that this user may not open does not count.
    """
    try:
        body = _read(path)
    except ValueError as error:
        return not isinstance(error.__cause__, PermissionError)
    entries = {**_mapping(body, "auths"), **body} if _is_legacy(path) else _mapping(body, "auths")
    named = [key for key in entries if _key(key) == registry or _key(key).startswith(f"{registry}/")]
    return registry in _mapping(body, "credHelpers") or bool(named)


def _docker(registry: str, environ: Mapping[str, str]) -> Use:
    if environ.get(DOCKER_VARIABLE):
        login = _login(_mapping(_parsed(environ[DOCKER_VARIABLE]), "auths"), registry)
        if login is not None:
            return Use(DOCKER, LOGIN, f"${DOCKER_VARIABLE}", login[0], login)
    (path,) = files(DOCKER, environ)
    try:
        body = _read(path)
    except ValueError:
        return Use(DOCKER, UNREADABLE, path)
    helper = _mapping(body, "credHelpers").get(registry) or body.get("credsStore")
    if helper:
        return _helper(DOCKER, str(helper), path)
    login = _login(_mapping(body, "auths"), registry)
    return Use(DOCKER, NOTHING) if login is None else Use(DOCKER, LOGIN, path, login[0], login)


def _containers(client: str, registry: str, environ: Mapping[str, str]) -> Use:
    helpers, conf = _registries_conf(client, environ)
    for helper in helpers:
        if helper != FILES:
            return _helper(client, helper, conf)
        found = _in_files(client, registry, environ)
        if found is not None:
            return found
    return Use(client, NOTHING)


def _in_files(client: str, registry: str, environ: Mapping[str, str]) -> Use | None:
    for path in files(client, environ):
        try:
            body = _read(path)
        except ValueError:
            return Use(client, UNREADABLE, path)
        helper = _mapping(body, "credHelpers").get(registry)
        if helper:
            return _helper(client, str(helper), path)
        login = _login(body if _is_legacy(path) else _mapping(body, "auths"), registry)
        if login is not None:
            return Use(client, LOGIN, path, login[0], login)
    return None


def _helper(client: str, name: str, source: str) -> Use:
    return Use(client, LICENSE, source, name) if name == HELPER else Use(client, OTHER_HELPER, source, name)


def _login(auths: Mapping[str, Any], registry: str) -> tuple[str, str] | None:
    """Return user name and password of the entry for ``registry``; each is empty unless it is stored in clear text."""
    for key in sorted(auths, key=lambda key: key != registry):
        entry = auths[key]
        if _key(key) != registry or not isinstance(entry, dict):
            continue
        try:
            text = base64.b64decode(str(entry.get("auth") or ""), validate=True).decode("utf-8")
        except (binascii.Error, ValueError):
            text = ""
        user, _, password = text.rstrip("\0").partition(":")
        user = user or str(entry.get("username") or "")
        if user or password or entry.get("identitytoken") or entry.get("registrytoken"):
            return user, password or str(entry.get("password") or "")
    return None


def _key(key: str) -> str:
    """Return a key of ``auths`` without scheme and API version, which docker and podman skip when they compare."""
    name = key.partition("://")[2] or key
    return re.sub(r"/v[12]/?\Z", "", name).rstrip("/")


def _is_legacy(path: str) -> bool:
    return os.path.basename(path) == ".dockercfg"


def _runtime_file(environ: Mapping[str, str]) -> str:
    if environ.get("XDG_RUNTIME_DIR"):
        return os.path.join(environ["XDG_RUNTIME_DIR"], "containers", "auth.json")
    return f"/run/containers/{os.getuid()}/auth.json"


def _registries_conf(client: str, environ: Mapping[str, str]) -> tuple[list[str], str]:
    """Return ``credential-helpers`` and the file that sets them; by default only the files."""
    home = home_folder(environ)
    named = environ.get("CONTAINERS_REGISTRIES_CONF") if client == PODMAN else None  # skopeo does not read it
    own = os.path.join(home, ".config", "containers", "registries.conf")
    path = named or (own if os.path.exists(own) else "/etc/containers/registries.conf")
    try:
        with open(path, encoding="utf-8") as file:
            found = _HELPERS.search(file.read(MAX_FILE))
    except (OSError, ValueError):
        found = None
    if found is None:
        return [FILES], path
    return [one or other for one, other in _TEXT.findall(found.group(1))], path


def _mapping(body: Any, name: str) -> dict[str, Any]:
    value = body.get(name) if isinstance(body, dict) else None
    return value if isinstance(value, dict) else {}


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _read(path: str) -> dict[str, Any]:
    """Return a file's JSON object; a missing or empty file is an empty one.

    Raises:
        ValueError: it cannot be read, or a client could not use it.
    """
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE + 1).decode("utf-8")  # clients cannot use a file with a byte-order mark
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ValueError(str(error)) from error
    body = _parsed(text) if text.strip() else {}
    sections = ("auths", "credHelpers")
    if not isinstance(body, dict) or not all(isinstance(body.get(name) or {}, dict) for name in sections):
        raise ValueError("not the JSON of a client's configuration")
    return dict(body)
