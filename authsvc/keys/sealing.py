"""Sealed secrets: AES-256-GCM under the sealing key, bound to the context of each secret.

A sealed secret is ``sealed1.KEY.DATA``: the id of the sealing key, then nonce and ciphertext in base64url. The
associated data names the key and the context, so a sealed secret cannot be unsealed when it was moved to another team
or record, or restored after it was replaced by a newer one.

The nonce is 96 random bits, so one key may seal 2^32 secrets (NIST SP 800-38D §8.3); rotate it long before that.
"""

import base64
import binascii
import hashlib
import hmac
import json
import re
from collections.abc import Sequence

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from authsvc.errors import Conflict, InputRefused
from authsvc.keys.seal_context import MAX_SECRET, SealContext

SEALING_KEY_BYTES = 32
NONCE_BYTES = 12

_PREFIX = "sealed1"
_KEY_ID_LENGTH = 16
_FORM = re.compile(rf"{_PREFIX}\.([0-9a-f]{{{_KEY_ID_LENGTH}}})\.([0-9A-Za-z_-]{{38,}})", re.ASCII)


def sealing_key_id(key: bytes) -> str:
    """Return the name of a sealing key, which reveals nothing about it."""
    return hmac.digest(key, b"authsvc sealing key id", hashlib.sha256).hex()[:_KEY_ID_LENGTH]


def seal(key: bytes, secret: bytes, context: SealContext, nonce: bytes) -> str:
    """Return ``secret`` sealed.

    Args:
        key: the sealing key in use, 32 bytes.
        secret: at most :data:`MAX_SECRET` bytes.
        context: what it is for.
        nonce: 12 random bytes, never used before.

    Raises:
        InputRefused: the secret is too long.
        ValueError: key or nonce have another length.
    """
    if len(key) != SEALING_KEY_BYTES or len(nonce) != NONCE_BYTES:
        raise ValueError("a sealing key has 32 bytes and a nonce 12")
    if len(secret) > MAX_SECRET:
        raise InputRefused(f"the secret is longer than {MAX_SECRET} bytes", code="length_invalid", field="secret")
    name = sealing_key_id(key)
    ciphertext = AESGCM(key).encrypt(nonce, secret, _associated_data(name, context))
    return f"{_PREFIX}.{name}.{_text(nonce + ciphertext)}"


def unseal(keys: Sequence[bytes], sealed: str, context: SealContext) -> bytes:
    """Return the secret in ``sealed``.

    Args:
        keys: the sealing keys, retired ones too.
        sealed: what :func:`seal` returned.
        context: what it is for.

    Raises:
        Conflict: it is damaged, was sealed for another context, or its key is not among ``keys``.
    """
    form = _FORM.fullmatch(sealed)
    if form is None:
        raise Conflict("this is not a sealed secret", code="sealed_secret_invalid")
    for key in keys:
        if hmac.compare_digest(sealing_key_id(key), form[1]):
            break
    else:
        raise Conflict(
            f"the secret was sealed under the key {form[1]}, which is not in the sealing key file",
            code="sealing_key_missing",
        )
    damaged = Conflict("the sealed secret is damaged, or was sealed for something else", code="sealed_secret_invalid")
    try:
        data = base64.b64decode(form[2] + "=" * (-len(form[2]) % 4), altchars=b"-_", validate=True)
        secret = AESGCM(key).decrypt(data[:NONCE_BYTES], data[NONCE_BYTES:], _associated_data(form[1], context))
    except (InvalidTag, binascii.Error) as error:
        raise damaged from error
    if _text(data) != form[2]:  # the last character may have bits that are not used
        raise damaged
    return secret


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _associated_data(name: str, context: SealContext) -> bytes:
    """Return the associated data: JSON, so that it is different for every context."""
    return json.dumps([_PREFIX, name, context.kind, context.team, context.id, context.version]).encode("ascii")
