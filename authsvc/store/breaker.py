"""A circuit breaker: while the store is down, most requests fail at once instead of waiting for a deadline."""

FAILURES = 5
"""Consecutive failures that open it."""

OPEN_FOR = 0.5
"""Seconds between two attempts to reach the store again."""


class Breaker:
    """Counts consecutive failures. Times are seconds of a monotonic clock."""

    def __init__(self) -> None:
        """Start closed."""
        self._failures = 0
        self._next_attempt = 0.0

    def lets_through(self, now: float) -> bool:
        """Whether a command may be sent now; while the breaker is open, one every half second may."""
        if self._failures < FAILURES:
            return True
        if now < self._next_attempt:
            return False
        self._next_attempt = now + OPEN_FOR
        return True

    def succeeded(self) -> None:
        """The store has answered: close."""
        self._failures = 0

    def failed(self, now: float) -> None:
        """The store has not answered."""
        self._failures += 1
        self._next_attempt = now + OPEN_FOR
