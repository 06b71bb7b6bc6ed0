"""A certificate authority for stubs of external registries, and certificates as good and as bad as a test wants."""

import ipaddress
import ssl
from datetime import datetime, timedelta
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

from tests.support.registry_rules import real_now

LOCAL_HOSTS = ("localhost", "127.0.0.1", "::1")

_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "authority of external registries")])


@frozen
class CertificateFiles:
    """Where a certificate and its key are.

    Attributes:
        certificate: PEM file.
        key: PEM file.
    """

    certificate: Path
    key: Path

    def server_context(self) -> ssl.SSLContext:
        """Return what a server needs."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.certificate, self.key)
        return context


@frozen
class UpstreamAuthority:
    """An authority that vouches for stubs.

    Attributes:
        folder: for its files; ``ca.pem`` is what clients trust.
        key: its key.
        certificate: its certificate.
    """

    folder: Path
    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls, folder: Path) -> "UpstreamAuthority":
        """Return a new one, with its certificate in ``folder``."""
        folder.mkdir(parents=True, exist_ok=True)
        key = ec.generate_private_key(ec.SECP256R1())
        builder = _builder(_NAME, key.public_key(), real_now(), days=1)
        constraints = x509.BasicConstraints(ca=True, path_length=1)
        certificate = builder.add_extension(constraints, critical=True).sign(key, hashes.SHA256())
        (folder / "ca.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
        return cls(folder, key, certificate)

    def intermediate(self) -> "UpstreamAuthority":
        """Return an authority that this one vouches for."""
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "intermediate authority")])
        builder = _builder(name, key.public_key(), real_now(), days=1, issuer=self.certificate.subject)
        constraints = x509.BasicConstraints(ca=True, path_length=0)
        certificate = builder.add_extension(constraints, critical=True).sign(self.key, hashes.SHA256())
        return UpstreamAuthority(self.folder, key, certificate)

    @property
    def file(self) -> Path:
        """What a client trusts."""
        return self.folder / "ca.pem"

    def issue(
        self,
        *hosts: str,
        expired: bool = False,
        trusted: bool = True,
        begins_in: int = 0,
        days: int = 1,
        named: bool = True,
        extension: x509.ExtensionType | None = None,
    ) -> CertificateFiles:
        """Return a certificate of ``hosts``, or of this machine's loopback addresses.

        Args:
            hosts: names and addresses.
            expired: whether it ended yesterday.
            trusted: whether the authority has signed it, and not itself.
            begins_in: days from now on which it begins.
            days: that it lives.
            named: whether it says so where clients look, and not in its subject alone.
            extension: that it has besides.
        """
        names = hosts or LOCAL_HOSTS
        key = ec.generate_private_key(ec.SECP256R1())
        begins = real_now() - timedelta(days=2 if expired else -begins_in)
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        issuer = self.certificate.subject if trusted else subject
        builder = _builder(subject, key.public_key(), begins, days=days, issuer=issuer)
        if named:
            names_of_host = x509.SubjectAlternativeName([_san(name) for name in names])
            builder = builder.add_extension(names_of_host, critical=False)
        if extension is not None:
            builder = builder.add_extension(extension, critical=False)
        certificate = builder.sign(self.key if trusted else key, hashes.SHA256())
        stem = f"{certificate.serial_number:x}"[:16]
        files = CertificateFiles(self.folder / f"{stem}.crt", self.folder / f"{stem}.key")
        files.certificate.write_bytes(certificate.public_bytes(Encoding.PEM))
        files.key.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        return files


def _builder(
    subject: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    begins: datetime,
    *,
    days: int,
    issuer: x509.Name = _NAME,
) -> x509.CertificateBuilder:
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(begins - timedelta(hours=1))
        .not_valid_after(begins + timedelta(days=days))
    )


def _san(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
