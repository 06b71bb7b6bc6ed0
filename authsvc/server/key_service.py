"""The key service: the process that holds the license-signing, license-token and sealing keys (design #24).

It has no network listener. Workers of its parent reach it over a socket pair each; in a container of its own it listens
on unix sockets (:mod:`authsvc.server.key_sockets`). What it serves is in :mod:`authsvc.keys.messages`.

Started by :mod:`authsvc.server.key_process` as ``python -m authsvc.server.key_service CONTROL
DIRECTORY LOG-LEVEL``, where CONTROL is a descriptor over which the parent hands in the channel of each worker, and
whose end is the end of the parent.
"""

import asyncio
import math
import os
import signal
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from attrs import Factory, define, field, frozen

from authsvc.errors import Conflict, InputRefused, SecretsRefused
from authsvc.keys import messages
from authsvc.keys.messages import (
    MAX_ADMIN_REQUEST,
    MAX_REQUEST,
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
    decode_request,
    encode_bytes,
    encode_reply,
    name_of,
)
from authsvc.keys.service_keys import (
    LocalKeys,
    create_service_keys,
    install_service_key,
    present_keys,
)
from authsvc.logs import Logger, server_log
from authsvc.server.worker_health import HEARTBEAT

REPLY_DEADLINE = 5.0
"""Seconds in which a peer must receive a reply, or its connection is closed."""

WORKER_RATE, WORKER_BURST = 50.0, 200.0
"""Operations per second of one worker, and how many at once after a silence. A new license takes one, and its file
another."""

REFUSALS_LOGGED_EVERY = 1.0
"""Seconds between two log lines about refusals of one peer."""

_NAME_BYTES = 256


@define
class KeyPeer:
    """A client of the key service.

    Attributes:
        name: for the log.
        rate: operations per second.
        burst: operations at once after a silence.
        administration: whether it may change keys.

    An operation above the rate waits for its turn. A connection has one operation at a time, so that it waits for at
    most one of every other connection of the same peer: none that floods takes the rate from the others.
    """

    name: str
    rate: float
    burst: float
    administration: bool = False
    _tokens: float = field(init=False)
    _filled_at: float = 0.0
    _refusals: int = 0
    _logged_at: float = -math.inf

    def __attrs_post_init__(self) -> None:
        """Begin with a full bucket."""
        self._tokens = self.burst

    def take(self, now: float) -> float:
        """Take one operation from the bucket; return the seconds until it is in there."""
        self._tokens = min(self.burst, self._tokens + (now - self._filled_at) * self.rate)
        self._filled_at = now
        self._tokens -= 1
        return max(0.0, -self._tokens / self.rate)

    def refusals(self, now: float) -> int:
        """Count a refusal; return how many are not logged yet, or 0 while it is too early for another line."""
        self._refusals += 1
        if now - self._logged_at < REFUSALS_LOGGED_EVERY:
            return 0
        self._logged_at, count, self._refusals = now, self._refusals, 0
        return count


@frozen(eq=False, repr=False)
class KeyService:
    """Answers requests with the keys in a directory.

    Attributes:
        directory: where the key files are.
        logger: of the process.
        keys: uses them.
    """

    directory: Path
    logger: Logger
    keys: LocalKeys = field(init=False, default=Factory(lambda service: LocalKeys(service.directory), takes_self=True))

    async def serve(self, channel: socket.socket, peer: KeyPeer, idle: float | None = None) -> None:
        """Answer the requests of one peer until it disconnects; its channel is then closed.

        Args:
            channel: a connected SOCK_SEQPACKET socket.
            peer: who is at the other end.
            idle: seconds of silence after which it is hung up on; None for never.
        """
        loop, longest = asyncio.get_running_loop(), MAX_ADMIN_REQUEST if peer.administration else MAX_REQUEST
        channel.setblocking(False)  # noqa: FBT003  the standard library takes it by position only
        with channel, suppress(OSError, TimeoutError):
            while True:
                async with asyncio.timeout(idle):
                    packet = await loop.sock_recv(channel, longest + 1)
                if not packet:
                    return
                reply = encode_reply(await self._answer(packet, peer))
                async with asyncio.timeout(REPLY_DEADLINE):
                    await loop.sock_sendall(channel, reply)
                await asyncio.sleep(0)  # the two above do not wait while there is more: others are served meanwhile

    async def _answer(self, packet: bytes, peer: KeyPeer) -> KeyReply:
        number, name = 0, "unknown"
        try:
            number, operation = decode_request(packet, administration=peer.administration)
            name = name_of(operation)
            if pause := peer.take(asyncio.get_running_loop().time()):
                await asyncio.sleep(pause)
            result = await self._perform(operation)
        except MessageRefused as error:
            code, reason, number = error.code, str(error), error.number
        except Conflict as error:
            code, reason = messages.CONFLICT, str(error)
        except InputRefused as error:
            code, reason = messages.INVALID, str(error)
        except SecretsRefused as error:
            code, reason = messages.UNAVAILABLE, str(error)
        except Exception as error:  # noqa: BLE001  a fault of one operation is not the end of all; no value is logged
            self.logger.error("key_service.fault", operation=name, error=type(error).__name__)
            code, reason = messages.UNAVAILABLE, "the operation failed"
        else:
            if peer.administration:
                self.logger.info("key_service.administered", operation=name, peer=peer.name)
            return KeyReply(number, result)
        if count := peer.refusals(asyncio.get_running_loop().time()):
            self.logger.warning(
                "key_service.refused", operation=name, peer=peer.name, code=code, reason=reason, count=count
            )
        return KeyReply(number, None, code, reason)

    async def _perform(self, operation: Operation) -> dict[str, Any]:
        match operation:
            case SignLicense():
                return {"jws": await self.keys.sign_license(operation.payload)}
            case DeriveLicenseToken():
                token = await self.keys.derive_license_token(operation.license_id, operation.generation)
                return {"token": token.text.reveal()}
            case ListLicenseKeys():
                return {"keys": await self.keys.license_keys()}
            case Seal():
                return {"sealed": await self.keys.seal(operation.secret, operation.context)}
            case Unseal():
                return {"secret": encode_bytes(await self.keys.unseal(operation.sealed, operation.context))}
            case _:
                return await self._administer(operation)

    async def _administer(self, operation: Operation) -> dict[str, Any]:
        match operation:
            case DescribeKeys():
                return {"present": present_keys(self.directory)}
            case InstallKey():
                return {"written": install_service_key(self.directory, operation.name, operation.content)}
            case CreateKeys():
                return {"created": create_service_keys(self.directory)}
            case RotateLicenseKey():
                return {"kid": await self.keys.rotate_license_key()}
            case RotateSealingKey():
                return {"key": await self.keys.rotate_sealing_key()}
            case _:
                raise TypeError(f"{name_of(operation)} is not implemented")


async def serve_channels(control: socket.socket, directory: Path, log_level: str) -> None:
    """Run the key service of a parent: serve the channels that it hands in, until it ends or SIGTERM.

    Args:
        control: a connected SOCK_SEQPACKET socket; takes packets of a worker's name with its channel, and is sent a
            heartbeat every second.
        directory: where the keys are.
        log_level: the least level that is logged.
    """
    stopping, serving = stop_signals(), set[asyncio.Task[None]]()
    control.setblocking(False)  # noqa: FBT003  the standard library takes it by position only
    with server_log(log_level, not_counted) as logger:
        service = KeyService(directory, logger)

        def handed_in() -> None:
            packet, descriptors, _, _ = socket.recv_fds(control, _NAME_BYTES, 1)
            if not packet:
                stopping.set()
            for descriptor in descriptors:
                peer = KeyPeer(packet.decode("ascii", "replace"), WORKER_RATE, WORKER_BURST)
                task = asyncio.create_task(service.serve(socket.socket(fileno=descriptor), peer))
                serving.add(task)
                task.add_done_callback(serving.discard)

        asyncio.get_running_loop().add_reader(control, _quietly(handed_in, stopping))
        beating = asyncio.create_task(_beat(control))
        logger.info("key_service.started", pid=os.getpid(), keys=present_keys(directory))
        await stopping.wait()
        asyncio.get_running_loop().remove_reader(control)
        for task in (beating, *serving):
            task.cancel()
        await asyncio.gather(beating, *serving, return_exceptions=True)
        logger.info("key_service.stopped", pid=os.getpid())


def _quietly(handler: Callable[[], None], stopping: asyncio.Event) -> Callable[[], None]:
    """Return a handler for which an error of the channel is the end of the parent."""

    def handle() -> None:
        try:
            handler()
        except BlockingIOError:
            pass
        except OSError:
            stopping.set()

    return handle


async def _beat(control: socket.socket) -> None:
    with suppress(OSError):
        while True:
            await asyncio.get_running_loop().sock_sendall(control, b"heartbeat")
            await asyncio.sleep(HEARTBEAT)


def stop_signals() -> asyncio.Event:
    """Return what SIGTERM and SIGINT set."""
    stopping = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stopping.set)
    return stopping


def not_counted(_lost: int) -> None:
    """Ignore the number of lost log lines: this process has no metrics, and the log reports them."""


def main() -> None:
    """Run the key service of a parent: on a descriptor, with the keys in a directory, and with a log level."""
    control, directory, log_level = sys.argv[1:]
    asyncio.run(serve_channels(socket.socket(fileno=int(control)), Path(directory), log_level))


if __name__ == "__main__":
    main()
