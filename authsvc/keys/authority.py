"""The authority that signs tokens: the token root in the secrets directory, or a leaf issued by an offline root."""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import load_pem_public_key

from authsvc.errors import InputRefused, SecretsRefused
from authsvc.keys.file_names import TOKEN_ROOT_CERTIFICATE
from authsvc.keys.files import load_ec_key, read_outside
from authsvc.keys.secrets_dir import load_roots, load_token_root
from authsvc.keys.service_key_files import load_license_public_keys
from authsvc.signing import license_keys
from authsvc.signing.jws import Leaf
from authsvc.signing.root import issue_leaf, issuer_of

OWN_LEAF_LIFE = timedelta(minutes=10)
"""Lifetime of the leaf of a command: longer than any command and any of its tokens."""


@frozen
class Authority:
    """The keys of an installation, as its parent process loads them.

    Attributes:
        root: the root certificate in use.
        root_key: its key, or None when it is kept offline.
        published: the JWK set that verifies license files; empty when another container has the keys.
    """

    root: x509.Certificate
    root_key: ec.EllipticCurvePrivateKey | None = field(repr=False)
    published: dict[str, Any]


def load_authority(directory: Path, keys: Path | None, *, offline: bool) -> Authority:
    """Return the keys that are in the secrets directory now.

    Args:
        directory: the secrets directory.
        keys: folder with the license-signing key; None when a key service in another container has it.
        offline: whether the root key is kept elsewhere.

    Raises:
        SecretsRefused: a file in it is unusable.
    """
    published = license_keys.jwk_set([] if keys is None else load_license_public_keys(keys))
    if offline:
        return Authority(load_roots(directory)[0], None, published)
    return Authority(*load_token_root(directory), published)


def load_leaf_files(key_path: Path, certificate_path: Path, roots: Sequence[x509.Certificate]) -> Leaf:
    """Return the leaf that was issued with an offline root.

    Raises:
        SecretsRefused: a file is missing, readable by others or unusable, or the certificate is for another key or
            below another root.
    """
    key = load_ec_key(key_path, read_outside)
    try:
        certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
    except OSError as error:
        raise SecretsRefused(f"cannot read {certificate_path}: {error.strerror}") from error
    except ValueError as error:
        raise SecretsRefused(f"{certificate_path} is not a PEM certificate") from error
    if certificate.public_key() != key.public_key():
        raise SecretsRefused(f"{certificate_path} was issued for another key than {key_path}")
    if issuer_of(certificate, roots) is None:
        raise SecretsRefused(
            f"{certificate_path} was not issued by the root in {TOKEN_ROOT_CERTIFICATE}, so the registry would refuse "
            "its tokens"
        )
    return Leaf(key, certificate)


def make_own_leaf(root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey, now: datetime) -> Leaf:
    """Return a leaf for a process that has the root key and signs a few tokens itself."""
    key = ec.generate_private_key(ec.SECP256R1())
    serial = secrets.randbits(158) | 1
    return Leaf(key, issue_leaf(root, root_key, key.public_key(), serial=serial, now=now, life=OWN_LEAF_LIFE))


def issue_offline(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    request: bytes,
    now: datetime,
    life: timedelta,
) -> x509.Certificate:
    """Issue a certificate for a key whose private part stays with its owner.

    Args:
        root: the root certificate.
        root_key: its key.
        request: PEM: a certificate request (RFC 2986), of which only the key is used, or a public key.
        now: the time of creation, aware.
        life: how long it is valid.

    Raises:
        InputRefused: it is not a request, its signature is wrong, its key is not P-256, the leaf would end at once, or
            after the root.
    """
    if life <= timedelta():
        raise InputRefused("the leaf would end at once; give it a life such as 30d", code="span_invalid", field="life")
    if now + life > root.not_valid_after_utc:
        raise InputRefused(
            f"the root ends at {root.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, before the leaf would",
            code="root_ends_first",
            field="life",
        )
    key: object
    try:
        if b"CERTIFICATE REQUEST" in request:
            asked = x509.load_pem_x509_csr(request)
            if not asked.is_signature_valid:
                raise InputRefused(
                    "the certificate request is not signed by its own key", code="key_request_invalid", field="request"
                )
            key = asked.public_key()
        else:
            key = load_pem_public_key(request)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputRefused(
            "the request is neither a PEM certificate request nor a PEM public key",
            code="key_request_invalid",
            field="request",
        ) from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputRefused("the request must be for a P-256 (ES256) key", code="key_request_invalid", field="request")
    return issue_leaf(root, root_key, key, serial=secrets.randbits(158) | 1, now=now, life=life)
