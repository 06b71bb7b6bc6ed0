"""Looks at the certificate that a server shows, as a client does that accepts it, and then as it is."""

import asyncio
import ssl
from contextlib import suppress
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

from authsvc.doctor.http_question import DEADLINE, ServerAddress, hang_up
from authsvc.doctor.outside_replies import SeenCertificate
from authsvc.errors import SetupRefused

PROTOCOLS = ("h2", "http/1.1")
"""What clients written in Go offer; the server chooses (RFC 7301)."""


@frozen
class TrustedAuthorities:
    """Whom this machine trusts.

    Attributes:
        file: certificates of further authorities, in PEM.
    """

    file: Path | None = None

    def context(self, *, verified: bool = True, protocols: tuple[str, ...] = PROTOCOLS[1:]) -> ssl.SSLContext:
        """Return what connects over TLS.

        Raises:
            SetupRefused: the file cannot be read.
        """
        context = ssl.create_default_context()
        try:
            if self.file is not None:
                context.load_verify_locations(self.file)
        except (OSError, ssl.SSLError) as error:
            raise SetupRefused(f"--ca-file: {self.file} cannot be read as certificates in PEM ({error})") from error
        if not verified:
            context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        context.set_alpn_protocols(list(protocols))
        return context


async def see_certificate(server: ServerAddress, authorities: TrustedAuthorities) -> SeenCertificate | None:
    """Return the certificate of a server; None when it shows none.

    Raises:
        SetupRefused: the file of authorities cannot be read.
    """
    error, detail = 0, ""
    try:
        await _handshake(server, authorities.context())
    except ssl.SSLCertVerificationError as refused:
        error, detail = refused.verify_code, refused.verify_message
    except (OSError, TimeoutError):
        return None
    try:
        raw, protocol = await _handshake(server, authorities.context(verified=False, protocols=PROTOCOLS))
        certificate = x509.load_der_x509_certificate(raw)
    except (OSError, TimeoutError, ValueError):
        return None
    return SeenCertificate(
        names=_names(certificate),
        issuer=_common_name(certificate.issuer),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        error=error,
        detail=detail,
        protocol=protocol,
    )


async def _handshake(server: ServerAddress, context: ssl.SSLContext) -> tuple[bytes, str | None]:
    async with asyncio.timeout(DEADLINE):
        _, writer = await asyncio.open_connection(server.host, server.port, ssl=context)
        try:
            tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
            return tls.getpeercert(binary_form=True) or b"", tls.selected_alpn_protocol()
        finally:
            await hang_up(writer)


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    with suppress(x509.ExtensionNotFound):
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        if isinstance(names, x509.SubjectAlternativeName):
            return tuple(str(name.value) for name in names)
    return (_common_name(certificate.subject),)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or list(name)
    return str(found[0].value) if found else "nobody"
