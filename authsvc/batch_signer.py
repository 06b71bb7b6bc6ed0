"""Signs the tokens of concurrent requests one right after the other.

An ES256 signature reads tables of 150 KiB. Right after another signature they are in the processor's cache, and it
takes half of the time that it takes after everything else that a request does.
"""

import asyncio
from typing import Any

from authsvc.signing.jws import Signer


class BatchSigner:
    """Signs what one turn of the event loop requests at the end of that turn, or at once when requests come singly.

    One that comes alone after a turn with several waits for the end of its turn, too.
    """

    def __init__(self, signer: Signer) -> None:
        """Sign with ``signer``."""
        self._signer = signer
        self._waiting: list[tuple[dict[str, Any], asyncio.Future[str]]] = []
        self._requested = 0
        self._gathers = False

    async def sign(self, claims: dict[str, Any]) -> str:
        """Return the compact JWS of ``claims``.

        Raises:
            SignerUnavailable: the signing certificate ends before the token would.
        """
        loop = asyncio.get_running_loop()
        if not self._requested:
            loop.call_soon(self._end_turn)
        self._requested += 1
        if not self._gathers:
            return self._signer.sign(claims)
        signed: asyncio.Future[str] = loop.create_future()
        self._waiting.append((claims, signed))
        return await signed

    def _end_turn(self) -> None:
        """Sign what waits. The next turn gathers only if this one had several requests."""
        waiting, self._waiting = self._waiting, []
        self._gathers, self._requested = self._requested > 1, 0
        for claims, signed in waiting:
            if signed.done():
                continue  # its client has gone
            try:
                signed.set_result(self._signer.sign(claims))
            except Exception as error:  # noqa: BLE001  it is raised in the request that waits
                signed.set_exception(error)
