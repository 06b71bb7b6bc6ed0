"""Sign-ins of members whose password this worker has not seen: one Argon2id each."""

import asyncio
import time
from collections import deque
from urllib.parse import urlsplit

from tests.bench.load import CONNECTIONS, Target

ANSWER = 30.0
"""Seconds for one sign-in: as many wait for one core as there are connections."""


def run_cold(target: Target, values: list[str]) -> float:
    """Sign in with each of ``values`` once, over 16 connections, and return how many were checked per second."""
    began = time.monotonic()
    asyncio.run(_all(target, values))
    return len(values) / (time.monotonic() - began)


async def _all(target: Target, values: list[str]) -> None:
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
