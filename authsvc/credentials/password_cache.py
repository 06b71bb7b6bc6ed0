"""Remembers for a minute which passwords were right, so that docker, which sends one with every token request, costs
one hash a minute (design #5, ADR-0011).

Only successes are kept, limited in number, as an HMAC with a key of this process. Each is bound to the account's epoch
and hash (through the guess) and to the client's network: a success in one network proves nothing about a guess from
another.
"""  # noqa: D205

import hashlib
import hmac
from collections import OrderedDict
from datetime import datetime, timedelta

REMEMBERED_FOR = timedelta(seconds=60)
"""How long a right password is accepted without hashing it again."""

MAX_REMEMBERED = 10_000
"""Most successes that one worker remembers; the oldest are dropped first."""


class PasswordCache:
    """The passwords that were right within the last minute."""

    def __init__(self, key: bytes) -> None:
        """Compute the HMAC with ``key``: random bytes that no other process has."""
        self._key = key
        self._remembered: OrderedDict[bytes, datetime] = OrderedDict()

    def has(self, guess: str, network: str, now: datetime) -> bool:
        """Whether the same guess from the same network was right within the minute before ``now``."""
        entry = self._entry(guess, network)
        since = self._remembered.get(entry)
        if since is None:
            return False
        if since <= now < since + REMEMBERED_FOR:
            return True
        del self._remembered[entry]
        return False

    def add(self, guess: str, network: str, now: datetime) -> None:
        """Remember that a guess was right at ``now`` from a network."""
        entry = self._entry(guess, network)
        self._remembered[entry] = now
        self._remembered.move_to_end(entry)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)

    def _entry(self, guess: str, network: str) -> bytes:
        return hmac.digest(self._key, f"{guess}\0{network}".encode(), hashlib.sha256)
