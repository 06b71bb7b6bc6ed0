"""Checking an ES256 signature (RFC 7518 §3.4) with what is here: ``cryptography``, else the ``openssl`` command."""

from __future__ import annotations

import base64
import os
import shutil
import subprocess

from authsvc.installer.held import Refused

COORDINATE_BYTES = 32
"""Length of a P-256 coordinate, and of ``r`` and ``s``."""

POINT_BYTES = 1 + 2 * COORDINATE_BYTES
"""Length of an uncompressed point: 04 || x || y (SEC 1 §2.3.3)."""

SPKI_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""What stands before the point in a P-256 SubjectPublicKeyInfo (RFC 5480 §2): always the same 26 bytes."""

PEM_LINE = 64
"""Characters of a line of PEM (RFC 7468 §2)."""

UNCHECKED = 4
"""Exit code for a signature that nothing here can check."""

_DEADLINE = 10.0
"""Seconds that openssl may take."""


def verify(point: bytes, data: bytes, signature: bytes) -> bool:
    """Whether the key at ``point`` (04 || x || y) made the 64-byte ``signature`` (``r || s``) of ``data``.

    Raises:
        Refused: neither ``cryptography`` nor ``openssl`` is here.
    """
    if len(signature) != 2 * COORDINATE_BYTES:
        return False
    try:
        from cryptography.exceptions import InvalidSignature
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec
    except ImportError:
        return _verify_by_openssl(point, data, signature)
    try:
        key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
        key.verify(der_signature(signature), data, ec.ECDSA(hashes.SHA256()))
    except (InvalidSignature, ValueError):
        return False
    return True


def der_signature(signature: bytes) -> bytes:
    """Return ``r || s`` as the DER that openssl reads: a SEQUENCE of two INTEGERs (RFC 3279 §2.2.3)."""
    halves = signature[:COORDINATE_BYTES], signature[COORDINATE_BYTES:]
    body = b"".join(_der_integer(half) for half in halves)
    return b"\x30" + bytes([len(body)]) + body


def pem(point: bytes) -> bytes:
    """Return the key at ``point`` as PEM."""
    text = base64.b64encode(SPKI_HEAD + point)
    lines = [text[at : at + PEM_LINE] for at in range(0, len(text), PEM_LINE)]
    return b"\n".join((b"-----BEGIN PUBLIC KEY-----", *lines, b"-----END PUBLIC KEY-----", b""))


def _der_integer(number: bytes) -> bytes:
    """Return a positive number as DER: as few bytes as possible, and a zero before a first bit that is set."""
    digits = number.lstrip(b"\0")
    if not digits or digits[0] & 0x80:
        digits = b"\0" + digits
    return b"\x02" + bytes([len(digits)]) + digits


def _verify_by_openssl(point: bytes, data: bytes, signature: bytes) -> bool:
    program = shutil.which("openssl")
    if program is None:
        raise Refused(
            "the signature can not be checked: install the command openssl, or the Python package cryptography",
            UNCHECKED,
        )
    # Over pipes: a machine without a writable folder checks licenses too. Both fit into a pipe's buffer.
    key, mark = _piped(pem(point)), _piped(der_signature(signature))
    try:
        done = subprocess.run(
            (program, "dgst", "-sha256", "-verify", f"/dev/fd/{key}", "-signature", f"/dev/fd/{mark}"),
            input=data,
            capture_output=True,
            pass_fds=(key, mark),
            timeout=_DEADLINE,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise Refused(f"the signature can not be checked: openssl does not run ({error})", UNCHECKED) from error
    finally:
        os.close(key)
        os.close(mark)
    return done.returncode == 0 and done.stdout.strip() == b"Verified OK"


def _piped(content: bytes) -> int:
    reading, writing = os.pipe()
    try:
        os.write(writing, content)
    finally:
        os.close(writing)
    return reading
