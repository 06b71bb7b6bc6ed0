"""How a worker gets its certificate: JSON lines over a socket pair to the supervising parent.

The worker makes a key and sends the public half; the parent, the only process with the root key, sends a certificate
and further data for the worker. Private keys are never sent. The worker also sends heartbeats, and says when it serves
with a certificate. The end of the channel is the end of the parent. An answer carries the number of its question: a
late one must not be taken for the answer to the next question.
"""

import asyncio
import json
import secrets
import socket
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from authsvc.errors import SecretsRefused, SignerUnavailable
from authsvc.keys.authority import Authority
from authsvc.keys.files import public_pem
from authsvc.server.remote_license_keys import RemoteLicenseKeys
from authsvc.signing.jws import Leaf
from authsvc.signing.root import fingerprint, issue_leaf

MAX_LINE = 256 * 1024
"""Longest line, in bytes: certificates and public keys are far smaller."""

ANSWER_DEADLINE = 5.0
"""Seconds that a worker waits for its certificate."""


@frozen
class CertificateReply:
    """The reply of the parent to a worker.

    Attributes:
        certificate: for the worker's public key, in PEM, or None when it did not ask for one.
        root: SHA-256 of the root certificate, hexadecimal.
        license_keys: the JWK set to publish.
    """

    certificate: str | None
    root: str
    license_keys: dict[str, Any]


@frozen(eq=False, repr=False)
class LeafIssuer:
    """The parent's side. Keys are read again for every certificate, so that a changed one counts from then on.

    Attributes:
        load: returns the keys in the secrets directory.
        life: of the certificates.
        clock: the wall clock.
        remote: returns the license keys to publish when they are in another container.
    """

    load: Callable[[], Authority]
    life: timedelta
    clock: Callable[[], datetime]
    remote: RemoteLicenseKeys | None = None

    async def answer(
        self,
        channel: socket.socket,
        on_leaf: Callable[[], None],
        on_ready: Callable[[], None],
        on_heartbeat: Callable[[], None],
    ) -> None:
        """Answer one worker until it ends.

        Args:
            channel: our end.
            on_leaf: called after each certificate.
            on_ready: called when the worker serves with a certificate.
            on_heartbeat: called for each heartbeat of the worker.
        """
        reader, writer = await asyncio.open_connection(sock=channel, limit=MAX_LINE)
        try:
            while line := await reader.readline():
                message = json.loads(line)
                if message.get("heartbeat"):
                    on_heartbeat()
                    continue
                if message.get("ready"):
                    on_ready()
                    continue
                answer = {"number": message["number"], **await self._answer(message["public_key"])}
                writer.write(json.dumps(answer).encode() + b"\n")
                async with asyncio.timeout(ANSWER_DEADLINE):
                    await writer.drain()
                on_leaf()
        except (ConnectionError, TimeoutError, ValueError, KeyError, TypeError, AttributeError):
            return  # the worker is gone, or sent an invalid line; the supervisor notices its end
        finally:
            writer.close()

    async def _answer(self, public_key: str | None) -> dict[str, Any]:
        try:
            authority = self.load()
        except SecretsRefused as error:
            return {"refused": str(error)}
        published = authority.published if self.remote is None else await self.remote.published()
        answer = {"certificate": None, "root": fingerprint(authority.root), "license_keys": published}
        if public_key is not None and authority.root_key is not None:
            answer["certificate"] = self._certificate(authority.root, authority.root_key, public_key)
        return answer

    def _certificate(self, root: x509.Certificate, root_key: ec.EllipticCurvePrivateKey, public_key: str) -> str:
        key = load_pem_public_key(public_key.encode("ascii"))
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("not a P-256 key")  # noqa: TRY004  a bad value on the wire, whatever its type
        serial = secrets.randbits(158) | 1
        leaf = issue_leaf(root, root_key, key, serial=serial, now=self.clock(), life=self.life)
        return leaf.public_bytes(Encoding.PEM).decode("ascii")


class LeafRequester:
    """The worker's side.

    Attributes:
        gone: set when the parent is gone.
    """

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, deadline: float) -> None:
        """Use an open channel, with ``deadline`` seconds for an answer."""
        self.gone = asyncio.Event()
        self._reader = reader
        self._writer = writer
        self._deadline = deadline
        self._asked = 0
        self._waiting: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._receiving = asyncio.create_task(self._receive())

    @classmethod
    async def open(cls, channel: socket.socket, deadline: float = ANSWER_DEADLINE) -> "LeafRequester":
        """Return the requester on ``channel``."""
        return cls(*await asyncio.open_connection(sock=channel, limit=MAX_LINE), deadline)

    async def request(self) -> tuple[Leaf, CertificateReply]:
        """Return a new leaf with a fresh key, and what came with it.

        Raises:
            ConnectionError: the parent is gone.
            TimeoutError: it did not answer in time.
            SignerUnavailable: it has no usable root key now.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        grant = await self._ask(public_pem(key.public_key()).decode("ascii"))
        if grant.certificate is None:
            raise SignerUnavailable("the root key is kept offline, and no leaf is given as a file")
        return Leaf(key, x509.load_pem_x509_certificate(grant.certificate.encode("ascii"))), grant

    async def published(self) -> CertificateReply:
        """Return everything but a certificate; raises as :meth:`request`."""
        return await self._ask(None)

    async def send_heartbeats(self, interval: float) -> None:
        """Send the parent a heartbeat from the event loop every ``interval`` seconds, until the parent is gone."""
        with suppress(ConnectionError):
            while True:
                await self._send({"heartbeat": True})
                await asyncio.sleep(interval)

    async def tell_ready(self) -> None:
        """Notify the parent that this worker serves with a certificate.

        Raises:
            ConnectionError: the parent is gone.
        """
        await self._send({"ready": True})

    async def close(self) -> None:
        """Close the channel."""
        self._receiving.cancel()
        await asyncio.gather(self._receiving, return_exceptions=True)
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()

    async def _ask(self, public_key: str | None) -> CertificateReply:
        self._asked += 1
        number = self._asked
        answered = self._waiting[number] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(self._deadline):
                await self._send({"number": number, "public_key": public_key})
                answer = await answered
        finally:
            del self._waiting[number]
        if "refused" in answer:
            raise SignerUnavailable("the signing certificate could not be renewed", detail=answer["refused"])
        return CertificateReply(answer["certificate"], answer["root"], answer["license_keys"])

    async def _send(self, message: dict[str, Any]) -> None:
        if self.gone.is_set():
            raise ConnectionResetError("the parent closed the channel")
        self._writer.write(json.dumps(message).encode() + b"\n")
        await self._writer.drain()

    async def _receive(self) -> None:
        """Pass every answer to the request that waits for it, until the channel ends."""
        try:
            while line := await self._reader.readline():
                answer = json.loads(line)
                answered = self._waiting.get(answer["number"])
                if answered is not None and not answered.done():
                    answered.set_result(answer)
        except (ConnectionError, ValueError, KeyError, TypeError):
            pass  # a parent that sends something else is treated as gone
        finally:
            self.gone.set()
            for answered in self._waiting.values():
                if not answered.done():
                    answered.set_exception(ConnectionResetError("the parent closed the channel"))
