"""Checks passwords behind the throttle: above a limit a password is not evaluated (design #15, docs/throttle.md).

An attempt is counted in the throttle's buckets first, in one atomic step of the store, then it is evaluated, then
it is settled: right, wrong, or not evaluated. A guess that is not admitted is neither hashed nor looked up among the
passwords that were right a moment ago.

docker sends the right password with every token request. One that was right within the last minute, from the same
network, is not counted as long as its account and network are unsuspicious: no wrong password is counted for them, and
none is being evaluated in this worker. So it costs no write; and of simultaneous guesses, each worker can answer at
most one in this way before they are counted (docs/decisions/0017-throttle-before-evaluation.md).
"""

import asyncio
import math
from collections import Counter
from collections.abc import Callable
from datetime import datetime
from typing import Protocol

from authsvc.client import Client
from authsvc.counts import counted
from authsvc.credentials.password import MAX_BYTES
from authsvc.credentials.password_cache import PasswordCache
from authsvc.credentials.verifier import Lane, PasswordRecord, PasswordVerifier, overloaded
from authsvc.errors import Throttled
from authsvc.in_flight import InFlight
from authsvc.redaction import Secret
from authsvc.throttle import PAIR, Admission, Attempt, TATs, guess_digest, limits_of, longest_wait

CHECK_DEADLINE = 10.0
"""Most seconds that a request waits for its check; the check itself continues."""


class Throttle(Protocol):
    """Counts wrong secrets."""

    async def admit(self, attempt: Attempt, now: datetime) -> Admission:
        """Count an attempt before it is evaluated, and return whether it is admitted."""
        ...

    async def right(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an admitted attempt that was right."""
        ...

    async def wrong(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an admitted attempt that was wrong."""
        ...

    async def unevaluated(self, attempt: Attempt, admission: Admission, now: datetime) -> None:
        """Settle an admitted attempt that was not evaluated."""
        ...

    async def count_machine(self, credential_id: str, network: str, method: str, now: datetime) -> float:
        """Count one unknown machine secret; return for how long its worst bucket was over the limit before."""
        ...


def _unreported(_network: str) -> None:
    """Report nothing."""


class ThrottledPasswords:
    """Evaluates passwords if the throttle admits them."""

    def __init__(
        self,
        verifier: PasswordVerifier,
        cache: PasswordCache,
        throttle: Throttle,
        guess_key: bytes,
        *,
        on_unclear: Callable[[str], None] = _unreported,
    ) -> None:
        """Hash with ``verifier``, remember in ``cache`` and count with ``throttle``.

        Args:
            verifier: checks hashes.
            cache: successes of this process.
            throttle: counts wrong passwords.
            guess_key: key of the digests by which wrong passwords are recognised; the same in all workers of a server,
                never stored.
            on_unclear: called for a network that may be that of a proxy instead of the client.
        """
        self._verifier = verifier
        self._cache = cache
        self._throttle = throttle
        self._guess_key = guess_key
        self._on_unclear = on_unclear
        self._in_flight: InFlight[tuple[Attempt, bool], bool] = InFlight()
        self._evaluating: Counter[tuple[str, str]] = Counter()

    async def verify(
        self,
        record: PasswordRecord | None,
        email: str,
        password: Secret,
        client: Client,
        tats: TATs,
        now: datetime,
    ) -> bool:
        """Whether ``password`` is the account's; None for ``record`` costs as much and is never right.

        Args:
            record: the account's password.
            email: canonical.
            password: as typed.
            client: its sender.
            tats: the buckets of the account and network, read after the request arrived.
            now: the request's one reading of the clock.

        Raises:
            Throttled: too many were wrong, so this one was not evaluated.
            Overloaded: too many checks wait, or this one took too long.
            StoreUnavailable: the throttle cannot be asked.
        """
        raw = password.reveal().encode("utf-8", "surrogatepass")
        if len(raw) > MAX_BYTES:
            return False  # unknown account: there is nothing to evaluate, and nothing is revealed
        if not client.owns_address:
            self._on_unclear(client.network)
        guess = guess_digest(self._guess_key, self._account(record, email), raw)
        attempt = Attempt(
            email, None if record is None else record.account_id, client.network, guess, client.owns_address
        )
        cached = self._cache.has(guess, client.network, now)
        if cached and self._is_quiet(attempt, tats, now):
            return True
        try:
            async with asyncio.timeout(CHECK_DEADLINE):
                return await self._in_flight.ask(
                    (attempt, cached), lambda: self._start(attempt, record, password, now, cached=cached)
                )
        except TimeoutError as error:
            raise overloaded() from error

    @staticmethod
    def _account(record: PasswordRecord | None, email: str) -> str:
        """Return everything that the right password depends on, so that a change invalidates what is remembered."""
        if record is None:
            return f"?\0{email}"
        return f"{record.account_id}\0{record.epoch}\0{record.password_hash.reveal()}"

    def _is_quiet(self, attempt: Attempt, tats: TATs, now: datetime) -> bool:
        """Whether account and network are unsuspicious, so that a cached success need not be counted.

        A cached password was right from this network within the last minute, so the network is known to the account.
        """
        counted, at = tats.get(PAIR), now.timestamp()
        if self._evaluating[attempt.email, attempt.network] or (counted is not None and counted > at):
            return False
        return longest_wait(tats, limits_of(known=attempt.exempts), at) <= 0

    def _start(
        self, attempt: Attempt, record: PasswordRecord | None, password: Secret, now: datetime, *, cached: bool
    ) -> "asyncio.Task[bool]":
        """Evaluate in a separate task, so that the guess is settled even if the client disconnects."""
        evaluation = asyncio.create_task(self._evaluate(attempt, record, password, now, cached=cached))
        pair = (attempt.email, attempt.network)
        self._evaluating[pair] += 1

        def ended(_: "asyncio.Task[bool]") -> None:
            self._evaluating[pair] -= 1
            if not self._evaluating[pair]:
                del self._evaluating[pair]

        evaluation.add_done_callback(ended)
        return evaluation

    async def _evaluate(
        self, attempt: Attempt, record: PasswordRecord | None, password: Secret, now: datetime, *, cached: bool
    ) -> bool:
        admission = await self._throttle.admit(attempt, now)
        if admission.repeated:
            return False
        if not admission.admitted:
            raise throttled(
                admission.wait,
                "wrong passwords for this account or from this network",
                f"{attempt.network}, not evaluated",
            )
        lane = Lane.KNOWN if admission.known else Lane.NEW
        try:
            right = cached or await self._verifier.verify(attempt.guess, record, password, lane)
        except Exception:  # too many wait, or the check failed: whether the password is right is unknown
            await self._throttle.unevaluated(attempt, admission, now)
            raise
        if right:
            await self._throttle.right(attempt, admission, now)
            if not cached:
                self._cache.add(attempt.guess, attempt.network, now)
            return True
        await self._throttle.wrong(attempt, admission, now)
        return False


def throttled(over: float, what: str, detail: str) -> Throttled:
    """Return the error for too many wrong secrets.

    Args:
        over: seconds until the next one may be evaluated.
        what: describes the secrets and their source.
        detail: for the log.
    """
    seconds = max(1, math.ceil(over))
    return Throttled(f"too many {what}; wait {counted(seconds, 'second')} and try again", over, detail=detail)
