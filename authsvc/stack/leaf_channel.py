"""How a worker gets its certificate: one JSON line each way over a socket pair to the supervising parent.

The worker makes a key and sends the public half; the parent, which alone has the root key, sends a certificate and
what else the worker must know. No private key ever crosses. The end of the channel is the end of the parent.
"""

import asyncio
import json
import secrets
import socket
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

from attrs import frozen
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, load_pem_public_key

from authsvc.signing.jws import Leaf
from authsvc.signing.root import issue_leaf
from authsvc.stack.secrets_dir import public_pem

MAX_LINE = 256 * 1024
"""Longest line, in bytes: certificates and public keys are far smaller."""

ANSWER_DEADLINE = 5.0
"""Seconds that a worker waits for its certificate."""


@frozen
class Grant:
    """What the parent gives a worker.

    Attributes:
        certificate: for the worker's public key.
        license_keys: the JWK set to publish.
    """

    certificate: x509.Certificate
    license_keys: dict[str, Any]


@frozen
class LeafIssuer:
    """The parent's side: holds the root.

    Attributes:
        root: the root certificate.
        root_key: its key.
        license_keys: the JWK set that workers publish.
        life: of the certificates.
        clock: the wall clock.
    """

    root: x509.Certificate
    root_key: ec.EllipticCurvePrivateKey
    license_keys: dict[str, Any]
    life: timedelta
    clock: Callable[[], datetime]

    async def answer(self, channel: socket.socket, on_leaf: Callable[[], None]) -> None:
        """Answer one worker until it ends; ``on_leaf`` is called after each certificate."""
        reader, writer = await asyncio.open_connection(sock=channel, limit=MAX_LINE)
        try:
            while line := await reader.readline():
                writer.write(self._grant(json.loads(line)["public_key"]))
                await asyncio.wait_for(writer.drain(), ANSWER_DEADLINE)
                on_leaf()
        except (ConnectionError, TimeoutError, ValueError, KeyError, TypeError):
            return  # the worker is gone or mad; the supervisor sees it end
        finally:
            writer.close()

    def _grant(self, public_key: str) -> bytes:
        key = load_pem_public_key(public_key.encode("ascii"))
        if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
            raise ValueError("not a P-256 key")  # noqa: TRY004  a bad value on the wire, whatever its type
        serial = secrets.randbits(158) | 1
        leaf = issue_leaf(self.root, self.root_key, key, serial=serial, now=self.clock(), life=self.life)
        answer = {"certificate": leaf.public_bytes(Encoding.PEM).decode(), "license_keys": self.license_keys}
        return json.dumps(answer).encode() + b"\n"


class LeafRequester:
    """The worker's side."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk over an open channel."""
        self._reader = reader
        self._writer = writer
        self._one_at_a_time = asyncio.Lock()

    @classmethod
    async def open(cls, channel: socket.socket) -> "LeafRequester":
        """Return the requester on ``channel``."""
        return cls(*await asyncio.open_connection(sock=channel, limit=MAX_LINE))

    async def request(self) -> tuple[Leaf, Grant]:
        """Return a new leaf with a fresh key, and what came with it.

        Raises:
            ConnectionError: the parent is gone.
            TimeoutError: it did not answer in time.
        """
        key = ec.generate_private_key(ec.SECP256R1())
        async with self._one_at_a_time, asyncio.timeout(ANSWER_DEADLINE):
            self._writer.write(json.dumps({"public_key": public_pem(key.public_key()).decode()}).encode() + b"\n")
            await self._writer.drain()
            line = await self._reader.readline()
        if not line:
            raise ConnectionError("the parent closed the channel")
        answer = json.loads(line)
        certificate = x509.load_pem_x509_certificate(answer["certificate"].encode("ascii"))
        return Leaf(key, certificate), Grant(certificate, answer["license_keys"])
