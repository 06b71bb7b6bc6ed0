"""Checks the certificate that clients see, with the authorities that this machine trusts."""

import ssl
from pathlib import Path

from attrs import frozen

from authsvc.doctor.http_question import DEADLINE, ServerAddress
from authsvc.errors import SetupRefused
from authsvc.tls.certificate import HTTP_1, SeenCertificate, TlsServer, client_context, see_certificate


@frozen
class TrustedAuthorities:
    """The certificate authorities that this machine trusts.

    Attributes:
        file: certificates of further authorities, in PEM.
    """

    file: Path | None = None

    def context(self, *, verified: bool = True, protocols: tuple[str, ...] = HTTP_1) -> ssl.SSLContext:
        """Return a context for TLS connections.

        Raises:
            SetupRefused: the file cannot be read.
        """
        try:
            return client_context(self.file, verified=verified, protocols=protocols)
        except OSError as error:
            raise SetupRefused(f"--ca-file: {self.file} cannot be read as certificates in PEM ({error})") from error


async def certificate_of(server: ServerAddress, authorities: TrustedAuthorities) -> SeenCertificate | None:
    """Return the certificate of a server; None when it shows none.

    Raises:
        SetupRefused: the file of authorities cannot be read.
    """
    context = authorities.context()
    try:
        return await see_certificate(TlsServer(server.host, server.port, server.host), context, DEADLINE)
    except (OSError, ValueError):
        return None
