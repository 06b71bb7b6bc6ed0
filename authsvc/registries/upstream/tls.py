"""TLS to external registries: who may vouch for them."""

import ssl
from pathlib import Path

from authsvc.errors import SetupRefused

SYSTEM_FILE = Path("/etc/ssl/certs/ca-certificates.crt")
"""Where Debian, Ubuntu and Alpine keep the system's authorities in one file."""


def upstream_tls(ca_file: Path | None) -> ssl.SSLContext:
    """Return how external registries are verified: their certificate, its name and its time; TLS 1.2 at least.

    Args:
        ca_file: the authorities; None for those of the system.

    Raises:
        SetupRefused: the file cannot be read, or has no certificate.
    """
    try:
        context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
    except OSError as error:  # an SSLError is one
        raise SetupRefused(
            f"AUTHSVC_UPSTREAM_CA_FILE: {ca_file} cannot be read as certificates in PEM: {error.strerror or error}"
        ) from error
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
