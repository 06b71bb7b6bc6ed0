"""The vendors' public keys that this machine trusts: given on the command line, or kept in the two key folders.

Never from an address in the license itself: whoever forges a file would name their own.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os

from authsvc.installer import es256
from authsvc.installer.held import KEYS, SYSTEM_FOLDER, Refused, own_folder

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MAX_FILE = 256 * 1024
"""Longest key file that is read, in bytes."""

NO_KEY = 4
"""Exit code when there is no key to check with."""


class TrustedKeys:
    """Public keys by their ``kid``."""

    def __init__(self) -> None:
        """Start without any."""
        self._points: dict[str, bytes] = {}

    def __len__(self) -> int:
        return len(self._points)

    def __contains__(self, kid: object) -> bool:
        return kid in self._points

    def add(self, text: str) -> None:
        """Trust the keys in ``text``: a JWK set, one JWK (RFC 7517) or PEM.

        Raises:
            ValueError: none of those, or a key of another kind than ES256's.
        """
        if text.lstrip().startswith("-----BEGIN"):
            point = _point_of_pem(text)
            self._points[thumbprint(point)] = point
            return
        body = json.loads(text)
        entries = body.get("keys", [body]) if isinstance(body, dict) else None
        if not isinstance(entries, list):
            raise ValueError("neither a JWK set nor PEM")  # noqa: TRY004  callers tell by one type
        for entry in entries:
            point = _point_of_jwk(entry)
            kid = entry.get("kid")
            self._points[kid if isinstance(kid, str) else thumbprint(point)] = point

    def verify(self, kid: str, data: bytes, signature: bytes) -> bool:
        """Whether the key ``kid`` made the signature; False for an unknown key."""
        point = self._points.get(kid)
        return point is not None and es256.verify(point, data, signature)


def load(given: Iterable[str], environ: Mapping[str, str]) -> TrustedKeys:
    """Return the keys of the files ``given`` when there are any, else those of the key folders.

    Raises:
        Refused: a file can not be read or holds no key.
    """
    paths = list(given)
    for folder in () if paths else (os.path.join(place, KEYS) for place in (own_folder(environ), SYSTEM_FOLDER)):
        if os.path.isdir(folder):
            paths += [os.path.join(folder, name) for name in sorted(os.listdir(folder)) if name[0] != "."]
    keys = TrustedKeys()
    for path in paths:
        if os.path.isdir(path):
            continue
        _add(keys, path)
    return keys


def _add(keys: TrustedKeys, path: str) -> None:
    try:
        with open(path, "rb") as file:
            keys.add(file.read(MAX_FILE).decode("ascii"))
    except OSError as error:
        raise Refused(f"can not read the key file {path}: {error.strerror}", 2) from error
    except (ValueError, RecursionError) as error:
        raise Refused(f"{path} is no key file of a vendor: it is neither a JWK set nor a PEM public key", 2) from error


def thumbprint(point: bytes) -> str:
    """Return the RFC 7638 SHA-256 thumbprint of the key at ``point``: the ``kid`` that authsvc gives it."""
    x, y = point[1 : 1 + es256.COORDINATE_BYTES], point[1 + es256.COORDINATE_BYTES :]
    canonical = f'{{"crv":"P-256","kty":"EC","x":"{_base64url(x)}","y":"{_base64url(y)}"}}'
    return _base64url(hashlib.sha256(canonical.encode("ascii")).digest())


def _point_of_jwk(entry: Any) -> bytes:
    if not isinstance(entry, dict) or entry.get("kty") != "EC" or entry.get("crv") != "P-256" or "d" in entry:
        raise ValueError("not the public half of an ES256 key")
    halves = []
    for name in ("x", "y"):
        text = entry.get(name)
        if not isinstance(text, str):
            raise ValueError(f"the key has no {name}")  # noqa: TRY004  callers tell by one type
        half = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
        if len(half) != es256.COORDINATE_BYTES:
            raise ValueError(f"the key's {name} has another length than P-256's")
        halves.append(half)
    return b"\x04" + b"".join(halves)


def _point_of_pem(text: str) -> bytes:
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines[0] != "-----BEGIN PUBLIC KEY-----" or lines[-1] != "-----END PUBLIC KEY-----":
        raise ValueError("not a PEM public key")
    try:
        der = base64.b64decode("".join(lines[1:-1]), validate=True)
    except binascii.Error as error:
        raise ValueError("not base64") from error
    point = der[len(es256.SPKI_HEAD) :]
    if not der.startswith(es256.SPKI_HEAD) or len(point) != es256.POINT_BYTES or point[0] != 4:  # noqa: PLR2004
        raise ValueError("not a P-256 public key")
    return point


def _base64url(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")
