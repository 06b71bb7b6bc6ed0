"""Signatures of Standard Webhooks 1.0: HMAC-SHA256 over ``ID.TIMESTAMP.BODY``, in base64 behind ``v1,``."""

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence

from authsvc.redaction import Secret

PREFIX = "whsec_"
SECRET_BYTES = 32
"""Random bytes of a new secret."""

MIN_SECRET_BYTES, MAX_SECRET_BYTES = 24, 64
"""Fewest and most bytes of a secret that the specification allows."""

ID_HEADER, TIMESTAMP_HEADER, SIGNATURE_HEADER = "webhook-id", "webhook-timestamp", "webhook-signature"

_ID = re.compile(r"[0-9A-Za-z_-]{1,64}", re.ASCII)


def new_secret(entropy: bytes) -> Secret:
    """Return a signing secret in the form in which people copy it.

    Args:
        entropy: :data:`SECRET_BYTES` random bytes.

    Raises:
        ValueError: there are fewer or more bytes than the specification allows.
    """
    if not MIN_SECRET_BYTES <= len(entropy) <= MAX_SECRET_BYTES:
        raise ValueError(f"a signing secret has {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES} bytes")
    return Secret(PREFIX + base64.b64encode(entropy).decode("ascii"))


def signing_key(secret: Secret) -> bytes:
    """Return the key that a secret encodes.

    Raises:
        ValueError: it is not a signing secret.
    """
    text = secret.reveal()
    try:
        key = base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not text.startswith(PREFIX) or not MIN_SECRET_BYTES <= len(key) <= MAX_SECRET_BYTES:
        raise ValueError(f"a signing secret is {PREFIX} and base64")
    return key


def signed_headers(secrets: Sequence[Secret], event_id: str, seconds: int, body: bytes) -> Mapping[str, str]:
    """Return the headers by which a receiver can check the sender and the time of a request.

    Args:
        secrets: of the webhook, one or more: there is a signature with each, so that a receiver can use any of them.
        event_id: of the event.
        seconds: Unix time of this attempt; a receiver refuses one that is minutes old.
        body: exactly as it is sent.

    Raises:
        ValueError: the id contains the separator, or a secret is malformed.
    """
    if not _ID.fullmatch(event_id):
        raise ValueError("the id of an event has letters, digits, '_' and '-'")
    content = b"%b.%d.%b" % (event_id.encode("ascii"), seconds, body)
    digests = (hmac.digest(signing_key(secret), content, hashlib.sha256) for secret in secrets)
    signatures = " ".join(f"v1,{base64.b64encode(digest).decode('ascii')}" for digest in digests)
    return {ID_HEADER: event_id, TIMESTAMP_HEADER: str(seconds), SIGNATURE_HEADER: signatures}
