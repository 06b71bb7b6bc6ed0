"""Sign-ins of members whose password this worker has not seen: one Argon2id each."""

import asyncio
import time
from collections import deque
from collections.abc import Sequence
from urllib.parse import urlsplit

from attrs import frozen

from authsvc.credentials.password import hash_password
from authsvc.redaction import Secret
from tests.bench.load import CONNECTIONS, Target, processor_seconds
from tests.support.stack import PASSWORD

ANSWER = 30.0
"""Seconds for one sign-in: as many wait for one core as there are connections."""

HASHES = 20
"""Hashes that are made in this process to know what one takes."""


@frozen
class Cold:
    """What some first sign-ins took.

    Attributes:
        per_second: passwords that were checked.
        processor: microseconds of processor time that the server spent on one.
        alone: microseconds of processor time that the hash takes alone, in this process.
    """

    per_second: float
    processor: float
    alone: float


def run_cold(target: Target, values: Sequence[str]) -> Cold:
    """Sign in with each of ``values`` once, over 16 connections."""
    began, before = time.monotonic(), sum(map(processor_seconds, target.processes))
    asyncio.run(_all(target, values))
    spent = sum(map(processor_seconds, target.processes)) - before
    per_second = len(values) / (time.monotonic() - began)
    return Cold(per_second, spent * 1e6 / len(values), _alone())


def _alone() -> float:
    before = time.process_time()
    for number in range(HASHES):
        hash_password(Secret(PASSWORD), salt=number.to_bytes(16, "big"))
    return (time.process_time() - before) * 1e6 / HASHES


async def _all(target: Target, values: Sequence[str]) -> None:
    waiting = deque(values)
    await asyncio.gather(*(_one_connection(target, waiting) for _ in range(CONNECTIONS)))


async def _one_connection(target: Target, waiting: deque[str]) -> None:
    split = urlsplit(target.url)
    reader, writer = await asyncio.open_connection(split.hostname, split.port)
    try:
        while waiting:
            value = waiting.popleft()
            head = f"GET {target.path} HTTP/1.1\r\nHost: {split.netloc}\r\nAuthorization: {value}\r\n\r\n"
            writer.write(head.encode("ascii"))
            async with asyncio.timeout(ANSWER):
                answer = await reader.readuntil(b"\r\n\r\n")
                length = next(line for line in answer.lower().split(b"\r\n") if line.startswith(b"content-length:"))
                body = await reader.readexactly(int(length.partition(b":")[2]))
            assert answer.startswith(b"HTTP/1.1 200 "), (answer, body)
    finally:
        writer.close()
