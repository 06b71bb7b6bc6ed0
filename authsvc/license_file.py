"""The license file: the one document that a customer receives (``*.license.json``).

It contains a readable ``license`` object and a ``signature``: a compact JWS (RFC 7515) with ES256 whose payload is the
same object. The JWS is authoritative; a readable field that differs makes the file invalid, and the error names it.

Shared with the license holder's tools, which run on a bare Python 3.9 and start for every pull. So it uses the standard
library only, imports nothing slow (``dataclasses`` and ``typing`` would double the start), and takes the functions that
sign and verify as arguments.
"""

from __future__ import annotations

import base64
import binascii
import json

TYPE_CHECKING = False  # the one of `typing`, whose import would cost the credential helper a fifth of its start
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

MAX_BYTES = 8192
"""Most bytes of a file that is made or read; it must fit as a password into a 16 KiB header (design #7)."""

COMFORTABLE_BYTES = 2400
"""Above this the Windows credential store (2,560 bytes) refuses the file as a password."""

KIND, VERSION, TYPE = "License", 1, "authsvc-license+jwt"

_KEY_ID_LENGTH, _SIGNATURE_BYTES = 43, 64
"""Lengths in characters of a SHA-256 thumbprint in base64url, and of an ES256 signature."""

_FRAME_BYTES = 100
"""More than what stands around the ``license`` object and the signature in a file."""

_UTF8_BOM = "\ufeff"


class LicenseFileError(ValueError):
    """The file is not a valid license; the text says what is wrong, and :attr:`field` names the field, if any."""

    def __init__(self, message: str, field_name: str | None = None) -> None:
        """Keep the sentence and the name of the field."""
        super().__init__(message)
        self.field = field_name


class LicenseDocument:
    """The content of a license file. Times are RFC 3339 in UTC, kept as text: documents are only compared."""

    def __init__(
        self,
        *,
        id: str,  # noqa: A002  the name in the document
        app: str,
        customer: str,
        type: str,  # noqa: A002  the name in the document
        issued_at: str,
        expires_at: str,
        registry: str,
        registry_token: str,
        not_before: str | None = None,
        repositories: tuple[str, ...] | None = None,
        fields: dict[str, Any] | None = None,
        contact: str | None = None,
    ) -> None:
        """Keep the values.

        Args:
            id: of the license.
            app: slug of the app whose images it pulls.
            customer: its holder.
            type: ``trial``, ``paid`` or ``dev``.
            issued_at: when it was made.
            expires_at: the first instant at which it no longer counts.
            registry: host and port to log in to.
            registry_token: the secret that logs in; the only field that the server reads.
            not_before: the first instant at which it counts, or None.
            repositories: patterns relative to the app, or None for the whole app.
            fields: for the vendor's own software.
            contact: whom to ask, or None.
        """
        # In the order in which people read it.
        self._says: dict[str, Any] = {
            "id": id,
            "app": app,
            "customer": customer,
            "type": type,
            "issued_at": issued_at,
            "not_before": not_before,
            "expires_at": expires_at,
            "registry": registry,
            "registry_token": registry_token,
            "repositories": None if repositories is None else list(repositories),
            "fields": dict(fields or {}),
            "contact": contact,
        }

    def to_json(self) -> dict[str, Any]:
        """Return the ``license`` object."""
        return dict(self._says)


def in_words(seconds: float) -> str:
    """Return a rounded time span in words: ``12 days``, ``3 h``, ``5 min``."""
    minutes, hours, days = round(seconds / 60), round(seconds / 3600), round(seconds / 86400)
    if hours >= 48:  # noqa: PLR2004  below two days people count hours
        return f"{days} days"
    return f"{hours} h" if minutes >= 60 else f"{max(minutes, 1)} min"  # noqa: PLR2004  of an hour


def write(document: LicenseDocument, sign: Callable[[bytes], str]) -> str:
    """Return the text of the signed file: ASCII JSON that ends with a line break.

    Args:
        document: its content.
        sign: returns the signature of a :func:`payload`, a compact JWS.

    Raises:
        LicenseFileError: the file would be longer than 8 KiB.
    """
    return file_text(document, sign(payload(document)))


def payload(document: LicenseDocument) -> bytes:
    """Return what is signed: the ``license`` object as compact ASCII JSON."""
    return _compact(document.to_json())


def check_length(document: LicenseDocument) -> None:
    """Check, before the document is signed, that its file will not be too long.

    Raises:
        LicenseFileError: the file would be longer than 8 KiB.
    """
    signed = payload(document)
    if length_bound(signed) > MAX_BYTES:
        file_text(document, "s" * signature_length(signed))


def length_bound(payload: bytes) -> int:
    """Return a length that the file with this payload does not exceed: counted, since indented JSON takes far longer.

    Each item and each bracket may begin a line, indented by at most as many levels as there are brackets. Those within
    texts are counted, too.
    """
    brackets = sum(payload.count(one) for one in (b"{", b"["))
    lines = 2 * brackets + payload.count(b",")
    indented = lines * (1 + 2 * (1 + brackets)) + payload.count(b":")
    return _FRAME_BYTES + len(payload) + indented + signature_length(payload)


def signature_length(payload: bytes) -> int:
    """Return the length of the signature of ``payload``."""
    header = _compact({"alg": "ES256", "kid": "k" * _KEY_ID_LENGTH, "typ": TYPE})
    parts = (len(header), len(payload), _SIGNATURE_BYTES)
    return sum((4 * part + 2) // 3 for part in parts) + len("..")


def file_text(document: LicenseDocument, signature: str) -> str:
    """Return the text of the file: ASCII JSON that ends with a line break.

    Args:
        document: its content.
        signature: the JWS of its :func:`payload`.

    Raises:
        LicenseFileError: the file would be longer than 8 KiB.
    """
    text = json.dumps(
        {"kind": KIND, "version": VERSION, "license": document.to_json(), "signature": signature},
        indent=2,
        ensure_ascii=True,
    )
    if len(text) + 1 > MAX_BYTES:
        raise LicenseFileError(
            f"the license file would have {len(text) + 1} bytes and may have {MAX_BYTES}; shorten its fields, "
            "repositories or contact"
        )
    return f"{text}\n"


def registry_token(text: str) -> str | None:
    """Return the registry token inside ``text`` when ``text`` looks like a license file, else None.

    The server reads only this from a file that is sent as a password: nothing else in it grants anything.
    """
    text = _unwrapped(text)
    if len(text) > MAX_BYTES:
        return None
    try:
        body = json.loads(text)
    except (ValueError, RecursionError):
        return None
    license_object = body.get("license") if isinstance(body, dict) else None
    token = license_object.get("registry_token") if isinstance(license_object, dict) else None
    return token if isinstance(token, str) else None


def verify(text: str, verify_signature: Callable[[str, bytes, bytes], bool]) -> dict[str, Any]:
    """Return the ``license`` object of a file whose signature is valid and whose readable part agrees with it.

    Args:
        text: the file; a byte-order mark, CRLF and joined lines are fine.
        verify_signature: returns whether the key named by its first argument made the signature (third argument) of the
            bytes (second argument); False for an unknown key.

    Raises:
        LicenseFileError: not a license file, edited, or signed by an unknown key.
    """
    body = parse(text)
    readable, signature = body["license"], body["signature"]
    try:
        head, payload, mark = signature.split(".")
        header = _object(_decode(head), "signature")
        signed = _object(_decode(payload), "signature")
        raw = _decode(mark)
    except ValueError as error:
        raise LicenseFileError("the signature is damaged; ask the vendor for the file again", "signature") from error
    if header.get("alg") != "ES256" or header.get("typ") != TYPE or "crit" in header:
        raise LicenseFileError("the signature is of another kind than a license's", "signature")
    if not verify_signature(str(header.get("kid")), f"{head}.{payload}".encode("ascii"), raw):
        raise LicenseFileError("no known key of the vendor made this signature", "signature")
    for name in sorted({*signed, *readable}):
        if name not in signed or name not in readable or not _same(signed[name], readable[name]):
            raise LicenseFileError(f"the field {name!r} was edited; ask the vendor for the file again", name)
    return signed


def key_id(text: str) -> str | None:
    """Return the ``kid`` that the signature of a license file names, not yet checked; None when it is damaged.

    Raises:
        LicenseFileError: not a license file.
    """
    try:
        kid = _object(_decode(parse(text)["signature"].partition(".")[0]), "signature").get("kid")
    except LicenseFileError as error:
        if error.field != "signature":
            raise
        return None
    except ValueError:
        return None
    return kid if isinstance(kid, str) else None


def parse(text: str) -> dict[str, Any]:
    """Return the whole file as JSON and check its form; its signature is checked by :func:`verify`.

    Raises:
        LicenseFileError: not a license file.
    """
    text = _unwrapped(text)
    if len(text.encode("utf-8", "surrogatepass")) > MAX_BYTES:
        raise LicenseFileError(f"this is longer than a license file's {MAX_BYTES} bytes")
    body = _object(text, None)
    if isinstance(body.get("keys"), list) and "license" not in body:
        raise LicenseFileError("this is not a license file, it has keys; the license is in NAME.license.json")
    for name, kind in (("kind", str), ("version", int), ("license", dict), ("signature", str)):
        if type(body.get(name)) is not kind:
            raise LicenseFileError(f"this is not a license file: {name!r} is missing or of the wrong type", name)
    if body["kind"] != KIND or body["version"] != VERSION:
        raise LicenseFileError("this is not a license file of version 1", "kind")
    extra = sorted(set(body) - {"kind", "version", "license", "signature"})
    if extra:
        raise LicenseFileError(f"the field {extra[0]!r} does not belong into a license file", extra[0])
    return body


def _unwrapped(text: str) -> str:
    """Return ``text`` without what editors add to it, so that it does not count as length."""
    return text.lstrip(_UTF8_BOM).replace("\r\n", "\n")


def _object(text: str | bytes, field_name: str | None) -> dict[str, Any]:
    """Return the JSON object in ``text``; a duplicate name is refused, since parsers treat it differently."""

    def no_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        seen: set[str] = set()
        for name, _ in pairs:
            if name in seen:
                raise LicenseFileError(f"the field {name!r} stands in the file twice", field_name or name)
            seen.add(name)
        return dict(pairs)

    def finite(number: str) -> float:
        value = float(number)
        if value - value != 0:  # NaN, Infinity, 1e999: JSON cannot represent them
            raise ValueError(number)
        return value

    try:
        value = json.loads(text, object_pairs_hook=no_twins, parse_constant=finite, parse_float=finite)
    except LicenseFileError:
        raise
    except (ValueError, RecursionError) as error:
        raise LicenseFileError("this is not a license file: it is not JSON", field_name) from error
    if not isinstance(value, dict):
        raise LicenseFileError("this is not a license file: it is no JSON object", field_name)
    return value


def _same(left: Any, right: Any) -> bool:
    """Whether two JSON values are equal: ``1``, ``1.0`` and ``true`` differ, the order of names does not matter."""
    try:
        return json.dumps(left, sort_keys=True) == json.dumps(right, sort_keys=True)
    except RecursionError:  # nested almost too deeply to be read; no signed file is
        return False


def _compact(value: dict[str, Any]) -> bytes:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=True).encode("ascii")


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(text: str) -> bytes:
    """Return the bytes of unpadded base64url (RFC 7515 §2); only the canonical text of a value is accepted."""
    try:
        data = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except binascii.Error as error:
        raise ValueError("not base64url") from error
    if _encode(data) != text:
        raise ValueError("not canonical base64url")
    return data


def key_document(registry: str, keys: list[dict[str, Any]]) -> dict[str, Any]:
    """Return the JWK set with which license holders check their files; it names the registry of the keys.

    Args:
        registry: ``host[:port]``, as in the license files.
        keys: JWKs, first the one in use, then retired ones.
    """
    return {"registry": registry, "keys": keys}
