"""Ids of requests and tokens. They are shown and logged, so they are no secrets; each is used once."""

from collections.abc import Callable

from attrs import define, field

REQUEST_NUMBER_BYTES = 4
TOKEN_ID_BYTES = 16

BLOCK = 4096
"""Random bytes that are read at once: one system call for each id takes longer than all else about it."""


@define
class Ids:
    """Makes ids; not for several threads.

    Attributes:
        random_bytes: returns so many bytes from the operating system.
        now: Unix seconds.
    """

    random_bytes: Callable[[int], bytes]
    now: Callable[[], float]
    _block: bytes = field(default=b"", init=False, repr=False)
    _used: int = field(default=0, init=False)

    def request_id(self) -> str:
        """Return an id that finds one request in the log and in the audit: the second it was made in, and a number."""
        return f"{int(self.now()):08x}{self._hex(REQUEST_NUMBER_BYTES)}"

    def token_id(self) -> str:
        """Return the ``jti`` of one token."""
        return self._hex(TOKEN_ID_BYTES)

    def _hex(self, count: int) -> str:
        used = self._used
        if used + count > len(self._block):
            self._block, used = self.random_bytes(BLOCK), 0
        self._used = used + count
        return self._block[used : self._used].hex()
