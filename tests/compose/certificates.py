"""A certificate authority for tests, and certificates of it where an operator would put them."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509.oid import NameOID

CONTAINER_USER = 10001


@frozen
class Authority:
    """A self-signed authority.

    Attributes:
        key: its key.
        certificate: its certificate.
    """

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def make(cls) -> "Authority":
        """Return a new one."""
        key = ec.generate_private_key(ec.SECP256R1())
        return cls(key, _certificate("test authority", key.public_key(), key, "test authority", authority=True))

    @property
    def pem(self) -> bytes:
        """What a client trusts."""
        return self.certificate.public_bytes(Encoding.PEM)

    def sign(self, host: str, public_key: ec.EllipticCurvePublicKey) -> bytes:
        """Return a certificate of ``host`` in PEM."""
        return _certificate(host, public_key, self.key, "test authority", authority=False).public_bytes(Encoding.PEM)

    def write_pair(self, folder: Path, host: str) -> None:
        """Put a new fullchain.pem and privkey.pem into ``folder``, as docs/deploy.md says."""
        folder.mkdir(exist_ok=True)
        folder.chmod(0o755)
        key = ec.generate_private_key(ec.SECP256R1())
        private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        chain = self.sign(host, key.public_key()) + self.pem
        for name, content in (("privkey.pem", private), ("fullchain.pem", chain)):
            draft = folder / f".{name}"
            draft.write_bytes(content)
            draft.chmod(0o400)
            os.chown(draft, CONTAINER_USER, CONTAINER_USER)
            draft.replace(folder / name)


def _certificate(
    subject: str,
    public_key: ec.EllipticCurvePublicKey,
    key: ec.EllipticCurvePrivateKey,
    issuer: str,
    *,
    authority: bool,
) -> x509.Certificate:
    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, subject)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, issuer)]))
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(days=90))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(subject.replace(" ", "-"))]), critical=False)
        .sign(key, hashes.SHA256())
    )
