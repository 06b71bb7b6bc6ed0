"""A log that passes through this process, which leaves out uninformative lines.

The file is opened again for each piece, so it may be renamed at any time. If the disk refuses a write, the lines are
lost.
"""

import asyncio
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

PIECE = 64 * 1024
"""Most bytes that are read at once; a longer line is passed on in pieces, without being filtered."""


async def pass_on(reading: int, log: Path, is_noise: Callable[[bytes], bool]) -> None:
    """Pass on the lines from a pipe, until all of its writers have closed it. The descriptor is then closed.

    Args:
        reading: the pipe.
        log: to write to.
        is_noise: whether a line is left out.
    """
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    with os.fdopen(reading, "rb", buffering=0) as pipe:
        transport, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), pipe)
        rest = b""
        try:
            while piece := await reader.read(PIECE):
                *lines, rest = (rest + piece).split(b"\n")
                text = b"".join(line + b"\n" for line in lines if not is_noise(line))
                if len(rest) >= PIECE:
                    text, rest = text + rest, b""
                _append(log, text)
            _append(log, rest)
        finally:
            transport.close()


def _append(log: Path, text: bytes) -> None:
    if not text:
        return
    with suppress(OSError):
        descriptor = os.open(log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            os.write(descriptor, text)
        finally:
            os.close(descriptor)
