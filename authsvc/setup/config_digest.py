"""Digests by which a running container notices that a new configuration was rendered for it (read by follow.sh).

A new version renders some files differently, and most containers are not recreated for it. They notice the change by a
digest, and load the new configuration only if it belongs to the settings that they were created with: one for another
.env is for new containers.
"""

import hashlib
from collections.abc import Mapping

from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE
from authsvc.setup import render

RENDERED_FOR = "RENDERED_FOR"
"""The variable in which compose.yaml passes the settings that the rendering depends on. It is not one of authsvc's
settings, so that every version accepts it."""

FOLDERS = ("registry", "redis", "nginx")
"""The digest files of services that follow. authsvc does not: with a new version it has a new image."""

DIGEST_FILES = frozenset({"follow.sh", "rendering"})
"""The files of each of these folders."""


def with_digests(files: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``files``, by FOLDER/NAME, with those of :data:`DIGEST_FILES`, which come last.

    The token root is not included: its rotation has separate steps, and `init --token-root` writes only that.
    """
    script = render.copy_script("follow.sh")
    all_files = {**files, **{f"{folder}/follow.sh": script for folder in FOLDERS}}
    settings = " ".join(environ.get(RENDERED_FOR, "").split())
    for folder in FOLDERS:
        digest = hashlib.sha256()
        for name, text in sorted(all_files.items()):
            if name.startswith(f"{folder}/") and name != f"{folder}/{TOKEN_ROOT_CERTIFICATE}":
                digest.update(repr((name, text)).encode())
        all_files[f"{folder}/rendering"] = f"{settings}\n{digest.hexdigest()}\n"
    return all_files
