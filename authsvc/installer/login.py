"""``authsvc-license login``: keep a license file, and let docker and podman use it from then on."""

from __future__ import annotations

import os
import re
import shutil

from authsvc.atomic_file import PRIVATE, PUBLIC
from authsvc.installer import client_files, existing_logins, host, keys
from authsvc.installer.client_config import ClientConfig, alone, paths, write_file
from authsvc.installer.credential_helper import PROGRAM
from authsvc.installer.license_selection import left_out, select
from authsvc.installer.license_store import KEY_SUFFIX, KEYS, LICENSES, SUFFIX, InstalledLicense, ToolError, own_folder
from authsvc.installer.verification import open_to_remove, usable

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_ID = re.compile(r"[0-9A-Za-z-]{1,64}", re.ASCII)


def log_in(
    license_: InstalledLicense, key_files: Sequence[str], environ: Mapping[str, str], now: float, *, replace: bool
) -> list[str]:
    """Keep the license and add the helper to the clients' files; return what was done, a line each.

    Args:
        license_: checked by the caller.
        key_files: what it was checked with, to be kept too; empty for the key folders.
        environ: where home is.
        now: in seconds since 1970.
        replace: whether other keys may take the place of those that are trusted for the registry, and a license that
            was not checked the place of another login.

    Raises:
        Refused: a client's file cannot be changed, or other keys or another login are there; then nothing was.
    """
    with alone(environ):
        done = _log_in(license_, key_files, environ, replace=replace)
    done += client_files.sentences(client_files.uses(license_.registry, environ))
    done += left_out(select(usable(environ, license_.registry)[0], license_.registry, now))
    if shutil.which(PROGRAM, path=environ.get("PATH")) is None:
        done.append(f"one thing is missing: {PROGRAM} is not on PATH, and docker and podman look for it there")
    return done


def _log_in(
    license_: InstalledLicense, key_files: Sequence[str], environ: Mapping[str, str], *, replace: bool
) -> list[str]:
    configs = _registered(license_.registry, environ)
    replaced = existing_logins.existing(license_, environ)
    if not replace:
        existing_logins.refuse_unverified(license_, replaced)
    key_file = _key_file(license_, key_files, environ, replace=replace)
    done = []
    if key_file is not None:
        text, sentences = key_file
        write_file(_key_path(license_.registry, environ), text, mode=PUBLIC)
        done += sentences
    kept = os.path.join(own_folder(environ), LICENSES, f"{_name(license_)}{SUFFIX}")
    if os.path.realpath(license_.path) != os.path.realpath(kept):
        write_file(kept, license_.text)
    os.chmod(kept, PRIVATE)
    os.utime(kept)  # of more licenses than a client gets, those that were logged in with last count
    done.append(f"kept the license as {kept}")
    for config in configs:
        changed = config.add(license_.registry)
        done.append(f"{config.path}: {'uses' if changed else 'already uses'} the helper for {license_.registry}")
    done += [f"replaced {what}; login --undo {license_.registry} brings it back" for what in replaced]
    return done


def undo(what: str, environ: Mapping[str, str]) -> list[str]:
    """Take back what :func:`log_in` did for a license file or for a whole registry; return what was done.

    Args:
        what: path of the license file that was given to ``login``, or of the kept one, even if it is damaged, or the
            registry's name.
        environ: where home is.

    Raises:
        Refused: nothing of it was found, or a file cannot be changed.
    """
    with alone(environ):
        return _undo(what, environ)


def _undo(what: str, environ: Mapping[str, str]) -> list[str]:
    folder = os.path.join(own_folder(environ), LICENSES)
    kept, damaged = _kept(folder)
    named = next((path for path in damaged if os.path.exists(what) and os.path.samefile(path, what)), None)
    if named is not None:
        os.unlink(named)
        return [f"removed {named}"]
    if os.path.isfile(what):
        given = open_to_remove(what)
        registry = given.registry
        going = [one for one in kept if one.says["id"] == given.says["id"]]
    else:
        registry = host.normalise(what)
        going = [one for one in kept if one.registry == registry]
    others = [path for path in client_files.all_files(environ) if client_files.holds_something(path, registry)]
    configs = [ClientConfig(path) for path in dict.fromkeys((*paths(environ), *others))]
    done = []
    if not [one for one in kept if one.registry == registry and one not in going]:
        changed = [config.path for config in configs if config.remove(registry)]
        done += [f"{path}: no longer uses the helper for {registry}" for path in changed]
    gone = [path for one in going for path in (one.path, _older_key_path(one, environ))]
    for path in gone:
        if os.path.exists(path):
            os.unlink(path)
            done.append(f"removed {path}")
    if not done:
        raise ToolError(f"{what} is neither a license that was logged in with nor a registry of one; nothing to undo")
    # The key verifies the next license file from this vendor.
    key = _key_path(registry, environ)
    done += [f"left {key}, the vendor's key, for the next login"] if os.path.exists(key) else []
    return [*done, *(f"left {path}, which nothing can use: {why}" for path, why in damaged.items())]


def _registered(registry: str, environ: Mapping[str, str]) -> list[ClientConfig]:
    """Return the files to name the helper in, all of them read: a broken one stops us before anything is written."""
    configs = [ClientConfig(path) for path in client_files.files_to_edit(registry, environ, paths(environ))]
    for config in configs:
        config.refuse_other(registry)
    return configs


def _kept(folder: str) -> tuple[list[InstalledLicense], dict[str, str]]:
    """Return the licenses that were logged in with, and the damaged files beside them with what is wrong."""
    kept, damaged = [], {}
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    for path in (os.path.join(folder, name) for name in names if name.endswith(SUFFIX)):
        try:
            kept.append(open_to_remove(path))
        except ToolError as error:
            damaged[path] = str(error).removeprefix(f"{path}: ")
    return kept, damaged


def _key_file(
    license_: InstalledLicense, given: Sequence[str], environ: Mapping[str, str], *, replace: bool
) -> tuple[str, list[str]] | None:
    """Return the key file to keep for the license's registry, and what to say; None when there is nothing to keep.

    Raises:
        Refused: other keys are trusted for the registry.
    """
    registry, here = license_.registry, keys.load(environ)[0]
    if license_.key is None or not (given or not license_.key.registries):
        return None
    ours = (keys.load_given(given) if given else here).beside(license_.key)
    new, old = {key.kid for key in ours}, {key.kid for key in here.bound_to(registry)}
    if old and not new & old and not replace:
        raise ToolError(
            f"{registry} has other keys here ({', '.join(sorted(old))}) than the file that was given "
            f"({', '.join(sorted(new))}); if the vendor told you that theirs are new, repeat it with --replace"
        )
    done = [f"kept the vendor's {'key' if len(ours) == 1 else 'keys'} as {_key_path(registry, environ)}"]
    if not license_.key.registries:
        done.append(
            f"the key {license_.key.kid} is trusted for {registry} alone from now on; its file named no registry"
        )
    done += [f"{registry}: the key {kid} is no longer trusted" for kid in sorted(old - new)]
    return keys.key_file(registry, ours), done


def _key_path(registry: str, environ: Mapping[str, str]) -> str:
    return os.path.join(own_folder(environ), KEYS, f"{registry.replace(':', '_')}{KEY_SUFFIX}")


def _older_key_path(license_: InstalledLicense, environ: Mapping[str, str]) -> str:
    """Return where earlier versions kept the key: one file for each license."""
    return os.path.join(own_folder(environ), KEYS, f"{_name(license_)}{KEY_SUFFIX}")


def _name(license_: InstalledLicense) -> str:
    """Return the name under which a license is kept: its id, so that a newer file of it takes its place."""
    license_id = str(license_.says["id"])
    if not _ID.fullmatch(license_id):
        raise ToolError("the license's id is not a name for a file; ask the vendor for the file again")
    return f"{license_.says['app']}-{license_id}" if _ID.fullmatch(license_.says["app"]) else license_id
