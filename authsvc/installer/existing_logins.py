"""The logins that clients have for a registry before ``authsvc-license login`` replaces them by a license.

The author of a license file chooses its registry. Without a checked signature it must not take over the login of
another registry, nor a public one that is used without a login.
"""

from __future__ import annotations

import re
import shutil
import subprocess

from authsvc.installer import client_files
from authsvc.installer.license_store import InstalledLicense, ToolError

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping

PUBLIC_REGISTRIES = frozenset(
    {
        *("docker.io", "index.docker.io", "registry-1.docker.io", "ghcr.io", "quay.io", "gcr.io", "registry.k8s.io"),
        *("mcr.microsoft.com", "public.ecr.aws", "registry.gitlab.com", "nvcr.io", "registry.access.redhat.com"),
    }
)
"""Well-known registries that are pulled from without a login, so that a wrong one would break those pulls."""

DEADLINE = 10.0
"""Seconds that a credential store may take."""

_PROGRAM = re.compile(r"[0-9A-Za-z._-]+", re.ASCII)


def existing(license_: InstalledLicense, environ: Mapping[str, str]) -> list[str]:
    """Return what each client uses for the license's registry now, except logins with this same license.

    Logins from a variable or podman's registries.conf are not replaced, so they are not included.
    """
    found = []
    for use in client_files.uses(license_.registry, environ):
        if use.source.startswith("$"):
            continue
        if use.kind == client_files.LOGIN and not (use.login and license_.token in use.login[1]):
            found.append(f"the login of {use.name!r} in {use.source} ({use.client})")
        docker_store = use.kind == client_files.OTHER_HELPER and use.client == client_files.DOCKER
        if docker_store and _store_has(use, license_.registry, environ):
            found.append(f"the login in the credential store {use.name!r} ({use.client})")
    return found


def refuse_unverified(license_: InstalledLicense, found: list[str]) -> None:
    """Refuse a license whose signature was not checked when its registry has a login or is a well-known public one.

    Args:
        license_: to log in with.
        found: what :func:`existing` returned.

    Raises:
        Refused: one of these is true.
    """
    if license_.key is not None or not (found or license_.registry in PUBLIC_REGISTRIES):
        return
    why = "; ".join(found) or "it is a well-known public registry, which is pulled from without a login"
    raise ToolError(
        f"{license_.path} names the registry {license_.registry}, its signature was not checked, and it would replace "
        f"what works there now: {why}. Give the vendor's key with --key FILE, or, if you know that the vendor's "
        "registry is there, repeat it with --replace"
    )


def _store_has(use: client_files.Use, registry: str, environ: Mapping[str, str]) -> bool:
    """Whether docker's credential store has a login, according to the list of ``auths``, or else to the store."""
    if client_files.holds_something(use.source, registry):
        return True
    program = shutil.which(f"docker-credential-{use.name}", path=environ.get("PATH"))
    if program is None or not _PROGRAM.fullmatch(use.name):
        return False
    try:
        done = subprocess.run(
            (program, "get"), input=registry.encode(), capture_output=True, timeout=DEADLINE, check=False, env=environ
        )
    except (OSError, subprocess.SubprocessError):
        return False
    return done.returncode == 0
