"""The vendors' public keys that this machine trusts: given on the command line, or kept in the two key folders.

Never from a URL in the license itself: a forger would name their own. And never under an arbitrary name: if a key's
``kid`` is not its RFC 7638 thumbprint, the file is refused. A key is bound to the registry that its file names; a file
from before there was such a member is bound by ``authsvc-license login``.
"""

from __future__ import annotations

import base64
import binascii
import json
import os

from authsvc.installer import es256, host
from authsvc.installer.file_text import decoded
from authsvc.installer.license_store import KEYS, SYSTEM_FOLDER, ToolError, own_folder
from authsvc.installer.trusted_key import TrustedKey, thumbprint

TYPE_CHECKING = False  # see authsvc.license_file
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any

MAX_FILE = 256 * 1024
"""Longest key file that is read, in bytes."""

_SPKI_HEAD = bytes.fromhex("3059301306072a8648ce3d020106082a8648ce3d030107034200")
"""The bytes before the point in a P-256 SubjectPublicKeyInfo (RFC 5480 §2): always the same 26 bytes."""


class TrustedKeys:
    """Public keys by their ``kid``."""

    def __init__(self) -> None:
        """Start without keys."""
        self._keys: dict[str, TrustedKey] = {}

    def __len__(self) -> int:
        return len(self._keys)

    def __contains__(self, kid: object) -> bool:
        return kid in self._keys

    def get(self, kid: str | None) -> TrustedKey | None:
        """Return the key with this thumbprint, or None."""
        return None if kid is None else self._keys.get(kid)

    def bound_to(self, registry: str) -> list[TrustedKey]:
        """Return the keys that sign for ``registry``."""
        return [key for key in self._keys.values() if registry in key.registries]

    def beside(self, key: TrustedKey) -> list[TrustedKey]:
        """Return all keys of the files that contain ``key``, including itself."""
        return [one for one in self._keys.values() if set(one.paths) & set(key.paths)]

    def add(self, text: str, path: str = "") -> None:
        """Trust the keys in ``text``, all or none: a JWK set, one JWK (RFC 7517) or PEM.

        Raises:
            ValueError: none of those, a key of another kind than ES256's, or one under a name that is not its own.
        """
        registry, points = _parse(text)
        for point in points:
            kid = thumbprint(point)
            key = self._keys.setdefault(kid, TrustedKey(kid, point))
            key.paths.append(path)
            if registry is not None:
                key.registries.add(registry)


def load(environ: Mapping[str, str]) -> tuple[TrustedKeys, list[str]]:
    """Return the keys of the two key folders, and a sentence about each file there that could not be used.

    Such a file does not hide others: otherwise an attacker who could place one could prevent every verification.
    """
    keys, problems = TrustedKeys(), []
    for folder in (os.path.join(place, KEYS) for place in (own_folder(environ), SYSTEM_FOLDER)):
        try:
            names = sorted(os.listdir(folder))
        except OSError:
            continue
        for path in (os.path.join(folder, name) for name in names if name[0] != "."):
            if os.path.isdir(path):
                continue
            try:
                _add(keys, path)
            except ToolError as error:
                problems.append(str(error))
    return keys, problems


def load_given(paths: Iterable[str]) -> TrustedKeys:
    """Return the keys of the files that were named on the command line.

    Raises:
        Refused: a file cannot be read or is not a key file.
    """
    keys = TrustedKeys()
    for path in paths:
        _add(keys, path)
    return keys


def key_file(registry: str, keys: Iterable[TrustedKey]) -> str:
    """Return the text of a key file that binds ``keys`` to ``registry``."""
    return f"{json.dumps({'registry': registry, 'keys': [key.jwk() for key in keys]}, indent=2)}\n"


def _add(keys: TrustedKeys, path: str) -> None:
    try:
        with open(path, "rb") as file:
            text = decoded(file.read(MAX_FILE))
    except OSError as error:
        raise ToolError(f"cannot read the key file {path}: {error.strerror}", 2) from error
    except ValueError as error:
        raise ToolError(f"{path} is not a key file of a vendor: it is not text", 2) from error
    try:
        keys.add(text, path)
    except (ValueError, RecursionError) as error:
        why = str(error) if type(error) is ValueError else "it is neither a JWK set nor a PEM public key"
        raise ToolError(f"{path} is not a key file of a vendor: {why}", 2) from error


def _parse(text: str) -> tuple[str | None, list[bytes]]:
    """Return the registry that a key file names, or None, and the points of its keys."""
    if text.lstrip().startswith("-----BEGIN"):
        return None, [_point_of_pem(text)]
    body = json.loads(text)
    if isinstance(body, dict) and "license" in body:
        raise ValueError("it is a license; the vendor's keys are in NAME.license-key.json")
    entries = body.get("keys", [body]) if isinstance(body, dict) else None
    if not isinstance(entries, list):
        raise ValueError("it is neither a JWK set nor a PEM public key")  # noqa: TRY004  callers tell by one type
    registry = body.get("registry")
    if registry is not None and not (isinstance(registry, str) and host.is_registry(registry)):
        raise ValueError("its 'registry' is not the name of a registry")
    return None if registry is None else host.normalise(registry), [_point_of_jwk(entry) for entry in entries]


def _point_of_jwk(entry: Any) -> bytes:
    if not isinstance(entry, dict) or entry.get("kty") != "EC" or entry.get("crv") != "P-256" or "d" in entry:
        raise ValueError("a key in it is not the public half of an ES256 key")
    halves = []
    for name in ("x", "y"):
        text = entry.get(name)
        if not isinstance(text, str):
            raise ValueError(f"a key in it has no {name}")  # noqa: TRY004  callers tell by one type
        halves.append(_decoded(text + "=" * (-len(text) % 4)))
    point = bytes([es256.UNCOMPRESSED]) + b"".join(halves)
    if len(halves[0]) != es256.COORDINATE_BYTES or not es256.is_public_key(point):
        raise ValueError("a key in it is not a point of P-256")
    if entry.get("kid", thumbprint(point)) != thumbprint(point):
        raise ValueError(
            f"it calls a key {entry['kid']!r:.90}, and that key's name (its RFC 7638 thumbprint) is {thumbprint(point)}"
        )
    return point


def _point_of_pem(text: str) -> bytes:
    lines = [line.strip() for line in text.strip().splitlines()]
    if lines[0] != "-----BEGIN PUBLIC KEY-----" or lines[-1] != "-----END PUBLIC KEY-----":
        raise ValueError("it is not a PEM public key")
    der = _decoded("".join(lines[1:-1]))
    point = der[len(_SPKI_HEAD) :]
    if not der.startswith(_SPKI_HEAD) or not es256.is_public_key(point):
        raise ValueError("it is not a P-256 public key")
    return point


def _decoded(text: str) -> bytes:
    """Return the bytes of base64 in either alphabet."""
    try:
        return base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error as error:
        raise ValueError("a key in it is not base64") from error
