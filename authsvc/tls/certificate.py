"""Reads the certificate of a server: with the verification of a client, and if that fails, without."""

import asyncio
import ssl
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.x509.oid import ExtensionOID, NameOID

HTTP_1 = ("http/1.1",)

PROTOCOLS = ("h2", *HTTP_1)
"""What clients written in Go offer; the server chooses (RFC 7301)."""


@frozen
class TlsServer:
    """A server that speaks TLS.

    Attributes:
        host: to connect to, a name or an address.
        port: to connect to.
        name: that is asked for, and that the certificate must be for; a name or an address.
    """

    host: str
    port: int
    name: str


@frozen
class SeenCertificate:
    """The certificate that a server shows, and the result of its verification.

    Attributes:
        names: that it is for; clients ignore others, such as its subject.
        issuer: its signer.
        begins: aware.
        ends: aware.
        error: OpenSSL's number of why it is not accepted; 0 when it is.
        detail: OpenSSL's words.
        protocol: the one that the server chose among HTTP/2 and HTTP/1.1, or None.
        own_error: OpenSSL's number of a problem with the certificate itself, regardless of its issuer: its host, its
            dates, its purpose; 0 for nothing.
        own_detail: OpenSSL's words on that.
    """

    names: tuple[str, ...]
    issuer: str
    begins: datetime
    ends: datetime
    error: int
    detail: str
    protocol: str | None
    own_error: int = 0
    own_detail: str = ""


def client_context(
    authorities: Path | None = None, *, verified: bool = True, protocols: tuple[str, ...] = HTTP_1
) -> ssl.SSLContext:
    """Return a context for TLS connections as a client.

    Args:
        authorities: PEM file of further authorities than those of the system.
        verified: whether a certificate must be accepted.
        protocols: that are offered.

    Raises:
        OSError: the file cannot be read; ssl.SSLError is one.
    """
    context = ssl.create_default_context()
    if authorities is not None:
        context.load_verify_locations(authorities)
    if not verified:
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    context.hostname_checks_common_name = False
    context.set_alpn_protocols(list(protocols))
    return context


async def see_certificate(server: TlsServer, trusting: ssl.SSLContext, deadline: float) -> SeenCertificate:
    """Return the certificate of a server.

    Args:
        server: that is looked at.
        trusting: a context that verifies.
        deadline: seconds for each handshake; there are two or three.

    Raises:
        OSError: the server cannot be reached, or there is no handshake with it.
        ValueError: what it shows cannot be read.
    """
    error, detail = await _verification(server, trusting, deadline)
    unverified = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    unverified.check_hostname, unverified.verify_mode = False, ssl.CERT_NONE
    unverified.set_alpn_protocols(list(PROTOCOLS))
    raw, protocol = await _handshake(server, unverified, deadline)
    certificate = x509.load_der_x509_certificate(raw)
    own_error, own_detail = await _verification(server, _trusting_alone(raw), deadline) if error else (0, "")
    return SeenCertificate(
        names=_names(certificate),
        issuer=_common_name(certificate.issuer),
        begins=certificate.not_valid_before_utc,
        ends=certificate.not_valid_after_utc,
        error=error,
        detail=detail,
        protocol=protocol,
        own_error=own_error,
        own_detail=own_detail,
    )


def _trusting_alone(raw: bytes) -> ssl.SSLContext:
    """Return a context that trusts this certificate, so that it reports only the certificate's own problems."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=raw)
    context.hostname_checks_common_name = False
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    return context


async def _verification(server: TlsServer, context: ssl.SSLContext, deadline: float) -> tuple[int, str]:
    """Return OpenSSL's number and words of why the certificate is not accepted; 0 and nothing when it is."""
    try:
        await _handshake(server, context, deadline)
    except ssl.SSLCertVerificationError as refused:
        return refused.verify_code, refused.verify_message
    return 0, ""


async def _handshake(server: TlsServer, context: ssl.SSLContext, deadline: float) -> tuple[bytes, str | None]:
    async with asyncio.timeout(deadline):
        connecting = asyncio.open_connection(server.host, server.port, ssl=context, server_hostname=server.name)
        _, writer = await connecting
        try:
            tls: ssl.SSLObject = writer.get_extra_info("ssl_object")
            return tls.getpeercert(binary_form=True) or b"", tls.selected_alpn_protocol()
        finally:
            await hang_up(writer)


async def hang_up(writer: asyncio.StreamWriter) -> None:
    """End a connection at once: what is still to be sent, or a farewell of TLS, would keep it open."""
    writer.transport.abort()
    with suppress(OSError):
        await writer.wait_closed()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    with suppress(x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType):
        names = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
        if isinstance(names, x509.SubjectAlternativeName):
            return tuple(str(name.value) for name in names)
    return ("no host",)


def _common_name(name: x509.Name) -> str:
    found = name.get_attributes_for_oid(NameOID.COMMON_NAME) or list(name)
    return str(found[0].value) if found else "nobody"
