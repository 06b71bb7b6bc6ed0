"""Verifies license files: whether a file may be used here, with the vendors' keys that this machine trusts.

Every command gets its licenses from here (tests/test_architecture.py), because the registry in a file is where its
token is sent and whose login it becomes:

- A file must have a good signature when a key is bound to the registry that it names, or when the key that its
  signature names is here, whatever registry it names. That key must be bound to the registry of the file.
- With neither, nothing can be checked. The file is refused when a verified file on this machine is for the same
  license, since then it was made from that one; otherwise it is used, and that is said.
"""

from __future__ import annotations

from authsvc.installer import keys
from authsvc.installer.license_store import UNCHECKED, InstalledLicense, ToolError, find, read
from authsvc.license_file import LicenseFileError, key_id, verify

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from authsvc.installer.trusted_key import TrustedKey

NOT_CHECKED = "signature not checked"
NO_KEY = "there is no key of the vendor to check with"
GET_KEY = "ask the vendor for their current key file, then: authsvc-license login --key KEYFILE LICENSE"


class Verifier:
    """Checks license files with some keys."""

    def __init__(
        self, trusted: keys.TrustedKeys, stored: Callable[[], Iterable[InstalledLicense]], *, required: bool = False
    ) -> None:
        """Check with ``trusted``.

        Args:
            trusted: the vendors' keys.
            stored: returns the license files on this machine; called only when a file cannot be checked.
            required: refuse what cannot be checked, instead of using it.
        """
        self._trusted = trusted
        self._stored = stored
        self._required = required

    def check(self, license_: InstalledLicense) -> None:
        """Accept the license, and set its ``key`` when its signature was checked.

        Raises:
            Refused: it is not genuine, or must be checked and cannot be (exit 4).
        """
        kid = key_id(license_.text)
        key, bound = self._trusted.get(kid), self._trusted.bound_to(license_.registry)
        if key is not None:
            _require_signature(license_, key)
            _require_binding(license_, key, bound)
            license_.key = key
        elif bound or (self._required and len(self._trusted)):
            raise ToolError(
                f"{license_.path}: signed by a key that is not here ({kid}); here for {license_.registry}: "
                f"{', '.join(one.kid for one in bound) or 'no key'}. If the vendor has a new key, {GET_KEY}",
                UNCHECKED,
            )
        elif self._required:
            raise ToolError(
                f"{license_.path}: {NO_KEY}: give it as --key FILE, or keep it in ~/.config/authsvc/keys/ or "
                "/etc/authsvc/keys/; the vendor hands it out with the license",
                UNCHECKED,
            )
        else:
            self._refuse_copy(license_)

    def _refuse_copy(self, license_: InstalledLicense) -> None:
        """Refuse a file that cannot be checked and is for the same license as one that can.

        Raises:
            Refused: it is.
        """
        for other in self._stored():
            if license_.ids & other.ids and self._is_verified(other):
                raise ToolError(
                    f"{license_.path}: not genuine: {other.path} is for the same license and has a good signature, "
                    f"this file has none of a known key and names {license_.registry}; ask the vendor"
                )

    def _is_verified(self, license_: InstalledLicense) -> bool:
        key = self._trusted.get(key_id(license_.text))
        if key is None:
            return False
        try:
            _require_signature(license_, key)
            _require_binding(license_, key, self._trusted.bound_to(license_.registry))
        except ToolError:
            return False
        return True


def open_license(
    path: str, environ: Mapping[str, str], key_files: Iterable[str] = (), *, required: bool = False
) -> tuple[InstalledLicense, list[str]]:
    """Return the license file at ``path``, checked, and warnings.

    Args:
        path: of the file.
        environ: where the key folders and the license files of this machine are.
        key_files: the only ones to check with; then the file must have a good signature of theirs.
        required: refuse a file that no key here can check.

    Raises:
        Refused: it cannot be read (exit 2), is not a license file or not genuine (1), or must be checked and cannot
            be (4).
    """
    license_, given = read(path), list(key_files)
    trusted, warnings = (keys.load_given(given), []) if given else keys.load(environ)
    Verifier(trusted, lambda: find(environ)[0], required=required or bool(given)).check(license_)
    return license_, [*warnings, *not_checked([license_])]


def usable(environ: Mapping[str, str], registry: str | None = None) -> tuple[list[InstalledLicense], list[str]]:
    """Return the license files on this machine that may be used, and a sentence about each that may not.

    Args:
        environ: where the files are.
        registry: return those of this registry alone; the others are not checked, which would take time.
    """
    trusted, problems = keys.load(environ)
    held, unreadable = find(environ)
    verifier = Verifier(trusted, lambda: held)
    accepted = []
    for license_ in held:
        if registry is not None and license_.registry != registry:
            continue
        try:
            verifier.check(license_)
        except ToolError as error:
            problems.append(str(error))
        else:
            accepted.append(license_)
    return accepted, [*unreadable, *problems, *not_checked(accepted)]


def open_to_remove(path: str) -> InstalledLicense:
    """Return the license file at ``path`` unchecked, for taking it away and nothing else.

    Raises:
        Refused: it cannot be read (exit 2), or is not a license file (1).
    """
    return read(path)


def not_checked(licenses: Iterable[InstalledLicense]) -> list[str]:
    """Return one sentence that names the licenses which no key here can check, or none."""
    paths = [license_.path for license_ in licenses if license_.key is None]
    return [f"{NOT_CHECKED}: {', '.join(paths)}: no key of the vendor is here"] if paths else []


def _require_signature(license_: InstalledLicense, key: TrustedKey) -> None:
    try:
        verify(license_.text, lambda kid, data, signature: kid == key.kid and key.verify(data, signature))
    except LicenseFileError as error:
        raise ToolError(f"{license_.path}: {error}", field=error.field) from error


def _require_binding(license_: InstalledLicense, key: TrustedKey, bound: list[TrustedKey]) -> None:
    """Refuse a file that the key of another registry signed.

    Raises:
        Refused: the key is bound to other registries, or to none while others are bound to this one.
    """
    if key in bound or not (key.registries or bound):
        return
    others = ", ".join(sorted(key.registries))
    signer = f"the key of {others}" if others else "a key that is bound to no registry"
    raise ToolError(
        f"{license_.path}: the license names {license_.registry}, and {signer} signed it ({key.kid} in "
        f"{', '.join(key.paths)}); if the vendor told you that this is right, {GET_KEY}"
    )
