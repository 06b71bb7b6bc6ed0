"""The protocol of the key service: requests and replies as typed messages, one JSON object in one packet.

Packets travel over unix sockets of the type SOCK_SEQPACKET: the kernel keeps their boundaries, so a message is never
read in part, even when a new key service replaces a dead one on the same socket. A reply carries the number of its
request: a late reply must not be taken for that to the next request.

The sender is not trusted: every field is checked, unknown ones are refused, and a refusal never quotes a value.
"""

import base64
import binascii
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

import cattrs
from attrs import field, frozen
from cattrs.errors import BaseValidationError

from authsvc.errors import InputRefused
from authsvc.keys.seal_context import SealContext

MAX_REQUEST = 16 * 1024
"""Longest request in bytes."""

MAX_ADMIN_REQUEST = 128 * 1024
"""The same for administration: the file of retired public keys is one message."""

MAX_REPLY = 64 * 1024
"""Longest reply in bytes; more than 200 public keys fit."""

_MAX_NUMBER = 2**53 - 1

INVALID, TOO_LONG, TOO_FAST, CONFLICT, UNAVAILABLE = "invalid", "too_long", "too_fast", "conflict", "unavailable"
"""Codes of refusals. ``TOO_FAST`` is sent by older key services, which did not let operations wait."""


class MessageRefused(ValueError):
    """A message violates the protocol; the text says what is wrong without quoting it.

    Attributes:
        code: of the refusal.
        number: of the request, or 0 when it has none.
    """

    def __init__(self, reason: str, code: str = INVALID, number: int = 0) -> None:
        """Keep the reason, its code and the number."""
        super().__init__(reason)
        self.code = code
        self.number = number


@frozen
class SignLicense:
    """Sign a license file. The reply is ``jws``, compact.

    Attributes:
        payload: the ``license`` object as JSON.
    """

    payload: bytes = field(repr=False)


@frozen
class DeriveLicenseToken:
    """Derive the registry token of a license. The reply is ``token``."""

    license_id: str
    generation: int


@frozen
class ListLicenseKeys:
    """Return the public license keys, the one in use first. The reply is ``keys``, as JWKs."""


@frozen
class Seal:
    """Seal a secret. The reply is ``sealed``."""

    secret: bytes = field(repr=False)
    context: SealContext


@frozen
class Unseal:
    """Unseal a sealed secret. The reply is ``secret`` in base64."""

    sealed: str
    context: SealContext


@frozen
class DescribeKeys:
    """Administration: return which key files there are, as ``present``."""


@frozen
class InstallKey:
    """Administration: write a key file unless it exists. The reply is ``written``.

    Attributes:
        name: of the file.
        content: all of it.
    """

    name: str
    content: bytes = field(repr=False)


@frozen
class CreateKeys:
    """Administration: create the key files that are missing. The reply is ``created``, their names."""


@frozen
class RotateLicenseKey:
    """Administration: sign license files with a new key. The reply is ``kid``."""


@frozen
class RotateSealingKey:
    """Administration: seal under a new key; old ones can still unseal. The reply is ``key``, its name."""


Operation = (
    SignLicense
    | DeriveLicenseToken
    | ListLicenseKeys
    | Seal
    | Unseal
    | DescribeKeys
    | InstallKey
    | CreateKeys
    | RotateLicenseKey
    | RotateSealingKey
)

OPERATIONS: Mapping[str, type[Operation]] = {
    "sign_license": SignLicense,
    "derive_license_token": DeriveLicenseToken,
    "list_license_keys": ListLicenseKeys,
    "seal": Seal,
    "unseal": Unseal,
}
"""The operations that workers and the command line may request, by name."""

ADMINISTRATION: Mapping[str, type[Operation]] = {
    "describe_keys": DescribeKeys,
    "install_key": InstallKey,
    "create_keys": CreateKeys,
    "rotate_license_key": RotateLicenseKey,
    "rotate_sealing_key": RotateSealingKey,
}
"""The additional operations of the administration socket."""


@frozen
class KeyReply:
    """The answer to one request.

    Attributes:
        number: of the request.
        result: what the operation returns, or None when it was refused.
        code: of the refusal.
        reason: a sentence without secrets.
    """

    number: int
    result: dict[str, Any] | None = field(default=None, repr=False)
    code: str | None = None
    reason: str | None = None


def name_of(operation: Operation) -> str:
    """Return the name of an operation: for logs and metrics."""
    return next(name for name, kind in {**OPERATIONS, **ADMINISTRATION}.items() if kind is type(operation))


def encode_request(number: int, operation: Operation) -> bytes:
    """Return the packet of a request.

    Raises:
        InputRefused: it would be too long.
    """
    name = name_of(operation)
    packet = _encode({"number": number, "operation": name, **_converter().unstructure(operation)})
    if len(packet) > (MAX_ADMIN_REQUEST if name in ADMINISTRATION else MAX_REQUEST):
        raise InputRefused("the request to the key service would be too long", code="length_invalid", field=None)
    return packet


def decode_request(packet: bytes, *, administration: bool = False) -> tuple[int, Operation]:
    """Return the number and the operation in a packet.

    Args:
        packet: as received.
        administration: whether the sender may administer keys.

    Raises:
        MessageRefused: it is not a request, or the sender may not make it.
    """
    if len(packet) > (MAX_ADMIN_REQUEST if administration else MAX_REQUEST):
        raise MessageRefused("the message is too long", TOO_LONG)
    message = _object(packet)
    number = message.pop("number", None)
    if type(number) is not int or not 0 < number <= _MAX_NUMBER:
        raise MessageRefused("the message has no number")
    name = message.pop("operation", None)
    known = {**OPERATIONS, **ADMINISTRATION} if administration else OPERATIONS
    kind = known.get(name) if isinstance(name, str) else None
    if kind is None:
        raise MessageRefused("there is no such operation here", number=number)
    try:
        return number, _converter().structure(message, kind)
    except (BaseValidationError, InputRefused, ValueError, TypeError, KeyError) as error:
        raise MessageRefused(f"the fields of {name} are not right", number=number) from error


def encode_reply(reply: KeyReply) -> bytes:
    """Return the packet of a reply; a result that is too long becomes a refusal."""
    if reply.result is None:
        return _encode({"number": reply.number, "refused": reply.code, "reason": reply.reason})
    packet = _encode({"number": reply.number, "result": reply.result})
    if len(packet) <= MAX_REPLY:
        return packet
    return encode_reply(KeyReply(reply.number, None, TOO_LONG, "the reply would be too long"))


def decode_reply(packet: bytes) -> KeyReply:
    """Return the reply in a packet.

    Raises:
        MessageRefused: it is not one.
    """
    message = _object(packet)
    number, result, code = message.get("number"), message.get("result"), message.get("refused")
    if type(number) is int and isinstance(result, dict):
        return KeyReply(number, result)
    if type(number) is int and isinstance(code, str):
        return KeyReply(number, None, code, str(message.get("reason")))
    raise MessageRefused("the message is not a reply")


def encode_bytes(data: bytes) -> str:
    """Return ``data`` as it appears in a message: base64."""
    return base64.b64encode(data).decode("ascii")


def decode_bytes(text: object) -> bytes:
    """Reverse :func:`encode_bytes`.

    Raises:
        MessageRefused: the text is not base64.
    """
    try:
        return base64.b64decode(_exact(text, str), validate=True)
    except (binascii.Error, ValueError) as error:
        raise MessageRefused("a field is not base64") from error


def _encode(message: Mapping[str, Any]) -> bytes:
    return json.dumps(message, separators=(",", ":")).encode("ascii")


def _object(packet: bytes) -> dict[str, Any]:
    try:
        message = json.loads(packet)
    except (ValueError, RecursionError) as error:
        raise MessageRefused("the message is not JSON") from error
    if not isinstance(message, dict):
        raise MessageRefused("the message is not a JSON object")
    return message


def _exact(value: object, kind: type[Any]) -> Any:
    """Return ``value`` if it has exactly this type: neither ``"1"`` nor ``true`` is a number."""
    if type(value) is not kind:
        raise MessageRefused("a field is of another type")
    return value


@lru_cache
def _converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind in (str, int):
        converter.register_structure_hook(kind, _exact)
    converter.register_structure_hook(bytes, lambda value, _: decode_bytes(value))
    converter.register_unstructure_hook(bytes, encode_bytes)
    return converter
