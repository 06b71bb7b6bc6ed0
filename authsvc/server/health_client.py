"""Asks the server of this installation how it is: where, on its control socket, and then there, with HTTP."""

import asyncio
import json
from pathlib import Path
from typing import Any

from authsvc.errors import Conflict, SetupRefused
from authsvc.listen_address import parse_listen
from authsvc.server.control_socket import inside_address

DEADLINE = 10.0
"""Seconds for the answer: the server itself waits for each part a second or two."""

MAX_ANSWER = 1024 * 1024
"""Bytes."""


async def read_health(control_socket: Path, deadline: float = DEADLINE) -> dict[str, Any]:
    """Return the answer of ``/readyz`` of the server with this control socket, ready or not.

    Raises:
        NotFound: no server listens there.
        Conflict: it does not report its health.
    """
    address = await inside_address(control_socket)
    try:
        async with asyncio.timeout(deadline):
            answer = json.loads(await _get(address))
        if isinstance(answer, dict) and answer.get("status") in {"ready", "not ready"}:
            return answer
        why = "its answer cannot be read"
    except TimeoutError:
        why = f"there was no answer within {deadline:.0f} s"
    except (OSError, ValueError, EOFError, SetupRefused) as error:
        why = str(error)
    raise Conflict(
        f"the server runs but does not report its state ({address}): {why}; look at its log", code="status_unavailable"
    )


async def _get(address: str) -> bytes:
    """Return the body of the answer, which ends with the connection (RFC 9112 §6.3)."""
    if address.startswith("unix:"):
        opening = asyncio.open_unix_connection(address.removeprefix("unix:"))
    else:
        listening = parse_listen(address)
        opening = asyncio.open_connection(listening.host, listening.port)
    reader, writer = await opening
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: authsvc\r\nConnection: close\r\n\r\n")
        await writer.drain()
        _ = await reader.readuntil(b"\r\n\r\n")
        return await reader.read(MAX_ANSWER)
    finally:
        writer.close()
