"""The client of the key service: for workers over an inherited socket, for others over the path of its socket.

Every call has a deadline; while the key service is down, stopped or restarted, calls raise SignerUnavailable.
"""

import asyncio
import math
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from attrs import define, field

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.errors import Conflict, InputRefused, Overloaded, SignerUnavailable
from authsvc.keys import messages
from authsvc.keys.messages import (
    MAX_REPLY,
    CreateKeys,
    DeriveLicenseToken,
    DescribeKeys,
    InstallKey,
    KeyReply,
    ListLicenseKeys,
    MessageRefused,
    Operation,
    RotateLicenseKey,
    RotateSealingKey,
    Seal,
    SignLicense,
    Unseal,
    decode_bytes,
    decode_reply,
    encode_request,
    name_of,
)
from authsvc.keys.seal_context import SealContext

DEADLINE = 3.0
"""Seconds that one operation may take. They suffice for a restart of the key service, which takes about one second."""

TURN_DEADLINE = 8.0
"""Seconds that an operation may wait for earlier ones: the key service limits how many each worker may do per
second."""

_CONNECT_AGAIN = 0.01
"""Seconds between two attempts to connect."""

TOO_MANY = "too many operations with keys at once; try again in a few seconds"

DONE, REFUSED, UNAVAILABLE = "done", "refused", "unavailable"
"""Outcomes of an operation, for metrics."""


@define(eq=False, repr=False)
class KeyServiceClient:
    """Calls the key service. One client performs one operation at a time.

    Every method raises SignerUnavailable when the key service does not answer in time or cannot use its keys, and
    Overloaded when too many operations are before it.

    Attributes:
        deadline: seconds for one operation, from when it is sent.
        turn_deadline: seconds that it may wait for earlier ones.
        on_operation: called with the name and the outcome of each operation.
        answered_at: when the key service last answered, by the clock of the event loop.
    """

    _inherited: socket.socket | None = None
    _path: Path | None = None
    deadline: float = DEADLINE
    on_operation: Callable[[str, str], None] = lambda _operation, _outcome: None
    turn_deadline: float = TURN_DEADLINE
    answered_at: float = -math.inf
    _failed_at: float = -math.inf
    _number: int = 0
    _turn: asyncio.Lock = field(factory=asyncio.Lock)

    @classmethod
    def on_socket(
        cls, channel: socket.socket, on_operation: Callable[[str, str], None] | None = None, deadline: float = DEADLINE
    ) -> "KeyServiceClient":
        """Return a client on one end of a socket pair, which it then owns."""
        channel.setblocking(False)  # noqa: FBT003  the standard library takes it by position only
        return cls(inherited=channel, deadline=deadline, on_operation=on_operation or _ignore)

    @classmethod
    def at(
        cls, path: Path, on_operation: Callable[[str, str], None] | None = None, deadline: float = DEADLINE
    ) -> "KeyServiceClient":
        """Return a client of the key service that listens at ``path``; it connects for every operation."""
        return cls(path=path, deadline=deadline, on_operation=on_operation or _ignore)

    async def sign_license(self, payload: bytes) -> str:
        """Return the signature of a license file, a compact JWS.

        Raises:
            InputRefused: the payload is not the object of a license.
        """
        return _text(await self._call(SignLicense(payload)), "jws")

    async def derive_license_token(self, license_id: str, generation: int) -> MachineSecret:
        """Return the registry token of a license.

        Raises:
            InputRefused: this is not a license.
        """
        token = MachineSecret.parse(_text(await self._call(DeriveLicenseToken(license_id, generation)), "token"))
        if token is None:
            raise _unavailable("the reply is not a registry token")
        return token

    async def license_keys(self) -> list[dict[str, Any]]:
        """Return the public license keys as JWKs: the one in use, then retired ones, newest first."""
        keys = (await self._call(ListLicenseKeys())).get("keys")
        if not isinstance(keys, list) or not all(isinstance(key, dict) for key in keys):
            raise _unavailable("the reply has no keys")
        return keys

    async def seal(self, secret: bytes, context: SealContext) -> str:
        """Return ``secret`` sealed for ``context``.

        Raises:
            InputRefused: the secret is too long.
        """
        return _text(await self._call(Seal(secret, context)), "sealed")

    async def unseal(self, sealed: str, context: SealContext) -> bytes:
        """Return the secret in ``sealed``.

        Raises:
            Conflict: it is damaged, was sealed for another context, or its key is gone.
        """
        secret = _text(await self._call(Unseal(sealed, context)), "secret")
        try:
            return decode_bytes(secret)
        except MessageRefused as error:
            raise _unavailable(str(error)) from error

    async def present_keys(self) -> tuple[str, ...]:
        """Return the names of the key files that the key service has; for the administration socket."""
        return _names(await self._call(DescribeKeys()), "present")

    async def create_keys(self) -> tuple[str, ...]:
        """Create the key files that are missing, and return their names; for the administration socket."""
        return _names(await self._call(CreateKeys()), "created")

    async def install_key(self, name: str, content: bytes) -> bool:
        """Write a key file unless it exists, and return whether it was written; for the administration socket.

        Raises:
            Conflict: the file exists with other content.
        """
        return bool((await self._call(InstallKey(name, content))).get("written"))

    async def rotate_license_key(self) -> str:
        """Sign license files with a new key, and return its name; for the administration socket."""
        return _text(await self._call(RotateLicenseKey()), "kid")

    async def rotate_sealing_key(self) -> str:
        """Seal under a new key, and return its name; for the administration socket."""
        return _text(await self._call(RotateSealingKey()), "key")

    def close(self) -> None:
        """Close the connection."""
        if self._inherited is not None:
            self._inherited.close()

    async def _call(self, operation: Operation) -> dict[str, Any]:
        name = name_of(operation)
        try:
            reply = await self._exchange(operation)
        except (OSError, TimeoutError, MessageRefused) as error:
            self.on_operation(name, UNAVAILABLE)
            raise _unavailable(f"{type(error).__name__}: {error}") from error
        except Overloaded:
            self.on_operation(name, REFUSED)
            raise
        if reply.result is not None:
            self.on_operation(name, DONE)
            return reply.result
        self.on_operation(name, UNAVAILABLE if reply.code == messages.UNAVAILABLE else REFUSED)
        reason = reply.reason or "the key service refused"
        match reply.code:
            case messages.UNAVAILABLE:
                raise _unavailable(reason)
            case messages.TOO_FAST:
                raise Overloaded(TOO_MANY)
            case messages.CONFLICT:
                raise Conflict(reason, code="key_service_refused")
            case _:
                raise InputRefused(reason, code="key_service_refused", field=None)

    async def _exchange(self, operation: Operation) -> KeyReply:
        """Return the reply to one request.

        Raises:
            OSError: the key service cannot be reached.
            TimeoutError: it did not answer in time.
            MessageRefused: the received message is not a reply.
            Overloaded: too many operations wait before this one.
        """
        async with self._taking_turn():
            try:
                async with asyncio.timeout(self.deadline), self._connected() as channel:
                    reply = await self._ask(channel, operation)
            except (OSError, TimeoutError):
                self._failed_at = asyncio.get_running_loop().time()
                raise
            self.answered_at = asyncio.get_running_loop().time()
            return reply

    @asynccontextmanager
    async def _taking_turn(self) -> AsyncIterator[None]:
        """Wait for the turn of an operation, and hold it.

        Raises:
            Overloaded: too many wait before this one.
            TimeoutError: an earlier one got no answer; this one does not wait for as long again.
        """
        began = asyncio.get_running_loop().time()
        try:
            async with asyncio.timeout(self.turn_deadline):
                await self._turn.acquire()
        except TimeoutError as error:
            raise Overloaded(TOO_MANY) from error
        try:
            if self._failed_at > began:
                raise TimeoutError("the operation before got no answer")
            yield
        finally:
            self._turn.release()

    async def _ask(self, channel: socket.socket, operation: Operation) -> KeyReply:
        loop = asyncio.get_running_loop()
        self._number += 1
        await loop.sock_sendall(channel, encode_request(self._number, operation))
        while True:
            packet = await loop.sock_recv(channel, MAX_REPLY + 1)
            if not packet:
                raise ConnectionResetError("the key service hung up")
            reply = decode_reply(packet)
            if reply.number == self._number:  # others are late replies to earlier requests
                return reply

    @asynccontextmanager
    async def _connected(self) -> AsyncIterator[socket.socket]:
        if self._inherited is not None:
            yield self._inherited
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET | socket.SOCK_NONBLOCK) as channel:
            while True:
                try:
                    channel.connect(str(self._path))
                    break
                except BlockingIOError:  # too many wait to be accepted, unix(7)
                    await asyncio.sleep(_CONNECT_AGAIN)
            yield channel


def _ignore(_operation: str, _outcome: str) -> None:
    """Count nothing."""


def _unavailable(detail: str) -> SignerUnavailable:
    return SignerUnavailable("the service's keys cannot be used now; try again in a few seconds", detail=detail)


def _text(result: dict[str, Any], name: str) -> str:
    value = result.get(name)
    if not isinstance(value, str):
        raise _unavailable(f"the reply has no {name}")
    return value


def _names(result: dict[str, Any], name: str) -> tuple[str, ...]:
    value = result.get(name)
    return tuple(map(str, value)) if isinstance(value, list) else ()
