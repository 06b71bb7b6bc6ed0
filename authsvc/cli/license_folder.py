"""A folder of license files. Files are written atomically, and never overwritten."""

import json
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path

from authsvc import atomic_file
from authsvc.errors import InputRefused
from authsvc.license_file import MAX_BYTES
from authsvc.tenancy.dates import render_instant
from authsvc.tenancy.license_names import KEYS, file_name
from authsvc.tenancy.records import License


def is_older_key_file(path: Path, text: str) -> bool:
    """Whether the file at ``path`` holds keys of the key file ``text``, which may then take its place.

    A newer set contains the retired keys too, so it verifies everything that the older one did.
    """
    try:
        older = {key["kid"] for key in json.loads(path.read_bytes())["keys"]}
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return not older or bool(older & {key["kid"] for key in json.loads(text)["keys"]})


class LicenseFolder:
    """Keeps ``REFERENCE-ID.license.json`` for each license, 0600."""

    def __init__(self, folder: Path) -> None:
        """Keep the files in ``folder``, which is created with mode 0700 if it does not exist.

        Raises:
            InputRefused: it cannot be created.
        """
        self._folder = folder
        self._made = not os.path.lexists(folder)
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            atomic_file.remove_leftovers(folder)
        except OSError as error:
            raise InputRefused(f"cannot use {folder}: {error.strerror}", code="file_unusable", field="file") from error

    def remove_unused(self) -> None:
        """Remove the folder if it was created for this and is empty."""
        if self._made:
            with suppress(OSError):  # it has files
                self._folder.rmdir()

    def path(self, license_: License) -> Path:
        """Return the path of the file of a license."""
        return self._folder / file_name(license_)

    def obstacle(self, license_: License) -> str | None:
        """Return why the file of this license cannot be written there, or None."""
        path = self.path(license_)
        if not os.path.lexists(path) or self._id_in(path) == license_.id:
            return None
        return f"{path} is not the file of license {license_.id}; move it away"

    async def put(self, license_: License, text: Callable[[], Awaitable[str]]) -> str:
        """Write the file if it does not exist; return ``written``, ``kept`` or ``outdated``.

        Raises:
            InputRefused: it cannot be written, or another file has its name.
        """
        path = self.path(license_)
        if self._is_taken(path):
            return self._compared(path, license_)
        content = (await text()).encode("ascii")
        try:
            # Not forced to the disk one by one: a file that is lost is written again by the next import.
            written = atomic_file.create(path, content, sync=False)
        except OSError as error:
            raise InputRefused(
                f"cannot write {path}: {error.strerror}; import the file again when it can be",
                code="file_unusable",
                field="file",
            ) from error
        return "written" if written else self._compared(path, license_)

    def put_keys(self, text: str) -> None:
        """Write the public keys that verify the files; replacing an older set of authsvc makes no file invalid.

        Raises:
            InputRefused: it cannot be written, or another file has its name.
        """
        path = self._folder / KEYS
        if os.path.lexists(path) and not is_older_key_file(path, text):
            raise InputRefused(
                f"{path} is not a key file of this installation; move it away", code="file_unusable", field="file"
            )
        try:
            atomic_file.replace(path, text.encode("ascii"), mode=atomic_file.PUBLIC)
        except OSError as error:
            raise InputRefused(f"cannot write {path}: {error.strerror}", code="file_unusable", field="file") from error

    def _is_taken(self, path: Path) -> bool:
        return os.path.lexists(path)

    def _compared(self, path: Path, license_: License) -> str:
        obstacle = self.obstacle(license_)
        if obstacle:
            raise InputRefused(obstacle, code="file_unusable", field="file")
        said = self._said(path)
        return "kept" if said.get("expires_at") == render_instant(license_.expires_at) else "outdated"

    def _id_in(self, path: Path) -> object:
        return self._said(path).get("id")

    def _said(self, path: Path) -> dict[str, object]:
        """Return the content of a license file, empty when it is not one; its signature is not verified."""
        try:
            with path.open("rb") as file:
                said = json.loads(file.read(2 * MAX_BYTES))["license"]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            return {}
        return said if isinstance(said, dict) else {}
