"""What tells a running container that another configuration was rendered for it: the file that follow.sh reads.

A new version renders some files differently, and most containers are not made anew for it. They notice by a digest,
and take it up only if it is for the settings that they were made with: those of another .env are for new containers.
"""

import hashlib
from collections.abc import Mapping

from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE
from authsvc.setup import render

RENDERED_FOR = "RENDERED_FOR"
"""In this variable compose.yaml says on which settings the rendering depends. It is none of ours, so that any version
of authsvc may be given it."""

FOLDERS = ("registry", "redis", "nginx")
"""Those of services that follow. authsvc does not: with a new version its image is another one."""

DIGEST_FILES = frozenset({"follow.sh", "rendering"})
"""What each of these folders has for it."""


def with_digests(files: Mapping[str, str], environ: Mapping[str, str]) -> dict[str, str]:
    """Return ``files``, by FOLDER/NAME, with those of :data:`DIGEST_FILES`; the ones that say what is new come last.

    The token root does not count: its change has steps of its own, and `init --token-root` writes it alone.
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
