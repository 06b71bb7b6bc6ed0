"""The token root and the leaf certificates under it.

The registry trusts every certificate that chains to a root in ``rootcertbundle``, whatever its key usage, and checks
no revocation (distribution ``registry/auth/token/token.go``). So this root signs only leaves for authsvc, and a leaf is
valid for a day.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

BACKDATED = timedelta(minutes=10)
"""How long before its creation a certificate is already valid.

The registry's 60 s leeway covers a token's own times, not those of its certificates (measured on 2.8.2 and 3.x).
"""

ROOT_LIFE = timedelta(days=20 * 365)
"""Lifetime of a root certificate: replacing one requires a registry restart, so it outlives most installations."""

LEAF_LIFE = timedelta(hours=24)
"""Default lifetime of a leaf certificate, counted from its creation."""


def create_root(key: ec.EllipticCurvePrivateKey, *, serial: int, now: datetime) -> x509.Certificate:
    """Return the self-signed certificate of a new token root.

    Args:
        key: the root's P-256 key.
        serial: a random positive number of at most 159 bits (RFC 5280 §4.1.2.2).
        now: the time of creation, aware.
    """
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authsvc token root {serial:x}"[:64])])
    return (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + ROOT_LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(cert_sign=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )


def issue_leaf(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    leaf_key: ec.EllipticCurvePublicKey,
    *,
    serial: int,
    now: datetime,
    life: timedelta = LEAF_LIFE,
) -> x509.Certificate:
    """Return a certificate for ``leaf_key`` under ``root``: no CA, valid from ten minutes ago for ``life``.

    It is never valid beyond the end of the root.
    """
    return (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"authsvc token leaf {serial:x}"[:64])]))
        .issuer_name(root.subject)
        .public_key(leaf_key)
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + life, root.not_valid_after_utc))
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(cert_sign=False), critical=True)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(root_key.public_key()), critical=False)
        .sign(root_key, hashes.SHA256())
    )


def issuer_of(certificate: x509.Certificate, roots: Sequence[x509.Certificate]) -> x509.Certificate | None:
    """Return which of ``roots`` issued ``certificate``."""
    for root in roots:
        try:
            certificate.verify_directly_issued_by(root)
        except (InvalidSignature, ValueError, TypeError):
            continue
        return root
    return None


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of a certificate, hexadecimal."""
    return certificate.fingerprint(hashes.SHA256()).hex()


def _key_usage(*, cert_sign: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not cert_sign,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=cert_sign,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
