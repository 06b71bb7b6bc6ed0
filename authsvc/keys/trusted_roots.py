"""The token roots that a worker trusts: the registry's bundle, read again whenever its file changes."""

import os
from pathlib import Path

from cryptography import x509

from authsvc.errors import SecretsRefused
from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE
from authsvc.keys.secrets_dir import load_roots


class TrustedRoots:
    """Reads the certificates of the roots, but not their keys."""

    def __init__(self, directory: Path) -> None:
        """Use the secrets directory; it is not read before :meth:`current` is called."""
        self._directory = directory
        self._seen: tuple[int, int, int] | None = None
        self._roots: tuple[x509.Certificate, ...] = ()

    def current(self) -> tuple[x509.Certificate, ...]:
        """Return the roots in the file now; while it cannot be read, those that were read last."""
        try:
            status = os.stat(self._directory / TOKEN_ROOT_CERTIFICATE)  # noqa: PTH116  one call on every request
            seen = (status.st_ino, status.st_mtime_ns, status.st_size)
            if seen != self._seen:
                self._roots, self._seen = tuple(load_roots(self._directory)), seen
        except (OSError, SecretsRefused):
            return self._roots
        return self._roots
