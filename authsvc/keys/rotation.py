"""Rotates keys: the license-signing key at once, the token root in three steps; it is safe to stop after each.

Rule 1: a public key is on the disk, to be published, before its private key signs, and before it is taken out of use.
Rule 2: this module uses neither clock nor network; the caller decides whether a step may be taken.
"""

import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from authsvc.errors import Conflict
from authsvc.keys.file_names import (
    NEXT_ROOT_KEY,
    TOKEN_ROOT_CERTIFICATE,
    TOKEN_ROOT_KEY,
)
from authsvc.keys.files import changing, create, load_ec_key, move, new_key_pem, replace
from authsvc.keys.secrets_dir import load_next_root, load_roots, load_token_root
from authsvc.signing.root import create_root


def prepare_root(directory: Path, now: datetime) -> x509.Certificate:
    """Make the next root and add its certificate to the bundle; the old one still signs. Return the new one.

    Raises:
        Conflict: another process is changing keys.
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


def switch_root(directory: Path) -> x509.Certificate:
    """Sign with the prepared root from now on and return it; the old one stays trusted, but its key is deleted.

    Raises:
        Conflict: none is prepared, or another process is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        prepared = load_next_root(directory)
        if prepared is None:
            raise Conflict("no next root is prepared", code="next_root_missing")
        move(directory / NEXT_ROOT_KEY, directory / TOKEN_ROOT_KEY)
        return prepared[0]


def drop_old_roots(directory: Path) -> list[x509.Certificate]:
    """Remove all roots but the one in use and the prepared one from the bundle, and return the removed ones.

    Raises:
        Conflict: another process is changing keys.
        SecretsRefused: something is unusable or cannot be written.
    """
    with changing(directory):
        prepared = load_next_root(directory)
        kept = [load_token_root(directory)[0], *([prepared[0]] if prepared else [])]
        old = [root for root in load_roots(directory) if root not in kept]
        if old:
            _write_roots(directory, kept)
        return old


def _write_roots(directory: Path, roots: Sequence[x509.Certificate]) -> None:
    replace(directory / TOKEN_ROOT_CERTIFICATE, b"".join(root.public_bytes(Encoding.PEM) for root in roots))
