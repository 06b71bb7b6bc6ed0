"""TLS to external registries: the authorities that are trusted."""

import ssl
from pathlib import Path

from authsvc.errors import SetupRefused

SYSTEM_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
"""The file with the system's authorities on Debian, Ubuntu and Alpine."""


def upstream_tls(ca_file: Path | None) -> ssl.SSLContext:
    """Return the TLS context for external registries: verifies certificate, name and period; requires TLS 1.2.

    Args:
        ca_file: the authorities; None for those of the system.

    Raises:
        SetupRefused: the file cannot be read, or has no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:  # includes SSLError
        raise SetupRefused(
            f"AUTHSVC_UPSTREAM_CA_FILE: {ca_file} cannot be read as certificates in PEM: {error.strerror or error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
