"""How keys change: the license-signing key at once, the token root in three steps, each safe to stop after.

Rule 1: a public key is on the disk, to be published, before its private key signs, and before it is taken out of use.
Rule 2: nothing here asks a clock or a network; whether a step may be taken is decided by who calls it.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from attrs import field, frozen
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from authsvc.errors import Conflict, InputRefused, SecretsRefused
from authsvc.keys.secret_files import (
    changing,
    create,
    load_ec_key,
    move,
    new_key_pem,
    public_pem,
    read,
    read_outside,
    replace,
)
from authsvc.keys.secrets_dir import (
    LICENSE_SIGNING_KEY,
    NEXT_ROOT_KEY,
    RETIRED_LICENSE_KEYS,
    TOKEN_ROOT_CERTIFICATE,
    TOKEN_ROOT_KEY,
    load_license_signing_key,
    load_roots,
    load_token_root,
)
from authsvc.signing import license_keys
from authsvc.signing.jws import Leaf
from authsvc.signing.root import create_root, issue_leaf

_PEM_END = b"-----END PUBLIC KEY-----"


@frozen
class Authority:
    """All that the parent knows of keys.

    Attributes:
        root: the root certificate in use.
        root_key: its key, or None when it is kept offline.
        published: the JWK set that verifies license files.
    """

    root: x509.Certificate
    root_key: ec.EllipticCurvePrivateKey | None = field(repr=False)
    published: dict[str, Any]


def load_authority(directory: Path, *, offline: bool) -> Authority:
    """Return what the secrets directory holds now.

    Raises:
        SecretsRefused: something in it is unusable.
    """
    published = license_keys.jwk_set(load_license_public_keys(directory))
    if offline:
        return Authority(load_roots(directory)[0], None, published)
    return Authority(*load_token_root(directory), published)


def load_license_public_keys(directory: Path) -> list[ec.EllipticCurvePublicKey]:
    """Return the public keys that verify license files: the one in use, then retired ones, newest first.

    Raises:
        SecretsRefused: one is unusable.
    """
    newest = load_license_signing_key(directory).public_key()
    path = directory / RETIRED_LICENSE_KEYS
    if not path.exists():
        return [newest]
    retired = []
    for block in read(path).split(_PEM_END)[:-1]:
        try:
            key = load_pem_public_key(block.strip() + b"\n" + _PEM_END + b"\n")
        except ValueError as error:
            raise SecretsRefused(f"{path} must hold PEM public keys only") from error
        if not isinstance(key, ec.EllipticCurvePublicKey):
            raise SecretsRefused(f"{path} must hold P-256 public keys only")
        retired.append(key)
    return [newest, *(key for key in retired if key != newest)]


def rotate_license_key(directory: Path) -> str:
    """Put a new license-signing key in use and return its ``kid``; the old public key stays published.

    Raises:
        Conflict: somebody else is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        known = load_license_public_keys(directory)
        # A crash between the two writes leaves the old key in use and also listed as retired, which harms nothing.
        replace(directory / RETIRED_LICENSE_KEYS, b"".join(map(public_pem, known)))
        replace(directory / LICENSE_SIGNING_KEY, new_key_pem())
        return license_keys.key_id(load_license_signing_key(directory).public_key())


def prepare_root(directory: Path, now: datetime) -> x509.Certificate:
    """Make the next root and add its certificate to the bundle; the old one goes on signing. Return the new one.

    Raises:
        Conflict: somebody else is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        load_token_root(directory)
        create(directory / NEXT_ROOT_KEY, new_key_pem)
        key = load_ec_key(directory / NEXT_ROOT_KEY)
        roots = load_roots(directory)
        for known in roots:
            if known.public_key() == key.public_key():
                return known
        root = create_root(key, serial=secrets.randbits(158) | 1, now=now)
        _write_roots(directory, [*roots, root])
        return root


def load_next_root(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None:
    """Return the root that is prepared, with its key, or None.

    Raises:
        SecretsRefused: it is unusable.
    """
    path = directory / NEXT_ROOT_KEY
    if not path.exists():
        return None
    key = load_ec_key(path)
    found = [root for root in load_roots(directory) if root.public_key() == key.public_key()]
    return (found[0], key) if found else None


def switch_root(directory: Path) -> x509.Certificate:
    """Sign with the prepared root from now on; the old one stays trusted. Its key is gone then. Return the new one.

    Raises:
        Conflict: none is prepared, or somebody else is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        prepared = load_next_root(directory)
        if prepared is None:
            raise Conflict("no next root is prepared; begin with: authsvc keys rotate --root prepare")
        move(directory / NEXT_ROOT_KEY, directory / TOKEN_ROOT_KEY)
        return prepared[0]


def drop_old_roots(directory: Path) -> list[x509.Certificate]:
    """Take every root but the one in use and the prepared one out of the bundle, and return those taken out.

    Raises:
        Conflict: somebody else is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        prepared = load_next_root(directory)
        kept = [load_token_root(directory)[0], *([prepared[0]] if prepared else [])]
        old = [root for root in load_roots(directory) if root not in kept]
        if old:
            _write_roots(directory, kept)
        return old


def load_leaf_files(key_path: Path, certificate_path: Path, roots: Sequence[x509.Certificate]) -> Leaf:
    """Return the leaf that somebody with an offline root issued.

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


def issue_offline(
    root: x509.Certificate,
    root_key: ec.EllipticCurvePrivateKey,
    request: bytes,
    now: datetime,
    life: timedelta,
) -> x509.Certificate:
    """Return a leaf for a key that somebody else keeps.

    Args:
        root: the root certificate.
        root_key: its key.
        request: PEM: a certificate request (RFC 2986), of which nothing but the key is taken, or a public key.
        now: the time of making, aware.
        life: how long it is valid.

    Raises:
        InputRefused: the request is none, its signature is wrong, its key is not P-256, the leaf would end at once, or
            after the root.
    """
    if life <= timedelta():
        raise InputRefused("the leaf would end at once; give it a life such as 30d")
    if now + life > root.not_valid_after_utc:
        raise InputRefused(f"the root ends at {root.not_valid_after_utc:%Y-%m-%d %H:%M} UTC, before the leaf would")
    key: object
    try:
        if b"CERTIFICATE REQUEST" in request:
            asked = x509.load_pem_x509_csr(request)
            if not asked.is_signature_valid:
                raise InputRefused("the certificate request is not signed by its own key")
            key = asked.public_key()
        else:
            key = load_pem_public_key(request)
    except (ValueError, UnsupportedAlgorithm) as error:
        raise InputRefused("the request is neither a PEM certificate request nor a PEM public key") from error
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise InputRefused("the request must be for a P-256 (ES256) key")
    return issue_leaf(root, root_key, key, serial=secrets.randbits(158) | 1, now=now, life=life)


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


def _write_roots(directory: Path, roots: Sequence[x509.Certificate]) -> None:
    replace(directory / TOKEN_ROOT_CERTIFICATE, b"".join(root.public_bytes(Encoding.PEM) for root in roots))
