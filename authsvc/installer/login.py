"""``authsvc-license login``: keep a license file, and let docker and podman use it from then on."""

from __future__ import annotations

import os
import re
import shutil

from authsvc.installer import host
from authsvc.installer.client_config import ClientConfig, paths, write_private
from authsvc.installer.credential_helper import PROGRAM
from authsvc.installer.held import KEYS, LICENSES, SUFFIX, HeldLicense, Refused, own_folder, read

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping

_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


def log_in(license_: HeldLicense, key: str | None, environ: Mapping[str, str]) -> list[str]:
    """Keep the license and add the helper to the clients' files; return what was done, a line each.

    Args:
        license_: checked by the caller.
        key: text of the vendor's public key, to be kept too, or None.
        environ: where home is.

    Raises:
        Refused: a client's file can not be changed; then nothing was.
    """
    configs = _registered(license_.registry, environ)
    done = []
    if key is not None:
        path = _key_path(license_, environ)
        write_private(path, key)
        done.append(f"kept the vendor's key as {path}")
    kept = os.path.join(own_folder(environ), LICENSES, f"{_name(license_)}{SUFFIX}")
    if os.path.realpath(license_.path) != os.path.realpath(kept):
        write_private(kept, license_.text)
    os.chmod(kept, 0o600)
    done.append(f"kept the license as {kept}")
    for config in configs:
        changed = config.add(license_.registry)
        done.append(f"{config.path}: {'uses' if changed else 'used already'} the helper for {license_.registry}")
    if shutil.which(PROGRAM, path=environ.get("PATH")) is None:
        done.append(f"one thing is missing: {PROGRAM} is not on PATH, and docker and podman look for it there")
    return done


def undo(what: str, environ: Mapping[str, str]) -> list[str]:
    """Take back what :func:`log_in` did for a license file or for a whole registry; return what was done.

    Args:
        what: path of the license file that was given to ``login``, or of the kept one, or the registry's name.
        environ: where home is.

    Raises:
        Refused: nothing of it was found, or a file can not be changed.
    """
    folder = os.path.join(own_folder(environ), LICENSES)
    kept = [read(os.path.join(folder, name)) for name in _names(folder)]
    if os.path.isfile(what):
        given = read(what)
        registry = given.registry
        going = [one for one in kept if one.says["id"] == given.says["id"]]
    else:
        registry = host.normalise(what)
        going = [one for one in kept if one.registry == registry]
    configs = [ClientConfig(path) for path in paths(environ)]
    done = []
    if not [one for one in kept if one.registry == registry and one not in going]:
        changed = [config.path for config in configs if config.remove(registry)]
        done += [f"{path}: no longer uses the helper for {registry}" for path in changed]
    for one in going:
        for path in (one.path, _key_path(one, environ)):
            if os.path.exists(path):
                os.unlink(path)
                done.append(f"removed {path}")
    if not done:
        raise Refused(f"{what} is neither a license that was logged in with nor a registry of one; nothing to undo")
    return done


def _registered(registry: str, environ: Mapping[str, str]) -> list[ClientConfig]:
    """Return the clients' files, all of them read, so that a broken one stops us before anything is written."""
    configs = [ClientConfig(path) for path in paths(environ)]
    for config in configs:
        config.refuse_other(registry)
    return configs


def _names(folder: str) -> list[str]:
    return [name for name in sorted(os.listdir(folder)) if name.endswith(SUFFIX)] if os.path.isdir(folder) else []


def _key_path(license_: HeldLicense, environ: Mapping[str, str]) -> str:
    return os.path.join(own_folder(environ), KEYS, f"{_name(license_)}.license-key.json")


def _name(license_: HeldLicense) -> str:
    """Return the name under which a license is kept: its id, so that a newer file of it takes its place."""
    license_id = str(license_.says["id"])
    if not _ID.fullmatch(license_id):
        raise Refused("the license's id is no name for a file; ask the vendor for the file again")
    return f"{license_.says['app']}-{license_id}" if _ID.fullmatch(license_.says["app"]) else license_id
