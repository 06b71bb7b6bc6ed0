"""Checking passwords without letting them take the machine (design #5).

docker sends the password with **every** token request, several at once for one pull. So:

1. one check at a time per (account, password): those who ask the same meanwhile share the answer;
2. a success is remembered for a minute under an HMAC with a key of this process, bound to the account's epoch;
   failures never are, and the memory is bounded;
3. at most as many checks run as there are threads, and at most so many wait; one more is refused at once. The place
   is held by the work, not by the request: a client that hangs up frees nothing early.
"""

import asyncio
import hashlib
import hmac
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import Executor
from datetime import datetime, timedelta

from attrs import frozen

from authsvc.credentials.password import MAX_BYTES, UNKNOWN_ACCOUNT, verify_password
from authsvc.errors import Overloaded
from authsvc.redaction import Secret

REMEMBERED_FOR = timedelta(seconds=60)
"""Longest time for which a right password is believed without hashing it again."""

MAX_REMEMBERED = 10_000
"""Most successes that one worker remembers; the oldest go first."""

MAX_WAITING = 64
"""Most checks that run or wait in one worker."""

MAX_SLOW = 8
"""Most checks that run or wait in the slow lane of one worker."""

CHECK_DEADLINE = 10.0
"""Seconds that a request waits for its check at most."""


@frozen
class PasswordRecord:
    """What is known of an account's password.

    Attributes:
        account_id: of the member.
        epoch: raised whenever remembered passwords must end.
        password_hash: Argon2id in PHC form.
    """

    account_id: str
    epoch: int
    password_hash: Secret


class PasswordVerifier:
    """Checks passwords in a thread pool, bounded and remembered."""

    def __init__(
        self,
        executor: Executor,
        key: bytes,
        *,
        verify: Callable[[Secret, Secret], bool] = verify_password,
        max_waiting: int = MAX_WAITING,
    ) -> None:
        """Check in ``executor`` and remember under ``key``.

        Args:
            executor: with at most one thread per core; the caller shuts it down.
            key: random bytes that no other process has.
            verify: the hash check itself.
            max_waiting: most checks that run or wait.
        """
        self._executor = executor
        self._key = key
        self._verify = verify
        self._max_waiting = max_waiting
        self._waiting = {False: 0, True: 0}
        self._slow_lane = asyncio.Lock()
        self._flights: dict[bytes, asyncio.Future[bool]] = {}
        self._remembered: OrderedDict[bytes, datetime] = OrderedDict()

    def remembers(self, record: PasswordRecord | None, email: str, password: Secret, now: datetime) -> bool:
        """Whether ``password`` was found right within the last minute."""
        raw = password.reveal().encode("utf-8", "surrogatepass")
        return record is not None and self._is_remembered(self._fingerprint(record, email, raw), now)

    async def verify(
        self, record: PasswordRecord | None, email: str, password: Secret, now: datetime, *, slow: bool = False
    ) -> bool:
        """Whether ``password`` is the account's; None for ``record`` costs as much and is never right.

        ``slow`` is the lane of those who were wrong too often: one at a time, and few may wait.

        Raises:
            Overloaded: too many checks wait already, or this one took too long.
        """
        raw = password.reveal().encode("utf-8", "surrogatepass")
        if len(raw) > MAX_BYTES:
            return False
        fingerprint = self._fingerprint(record, email, raw)
        if record is not None and self._is_remembered(fingerprint, now):
            return True
        flight = self._flights.get(fingerprint) or self._start(fingerprint, record, password, now, slow=slow)
        try:
            async with asyncio.timeout(CHECK_DEADLINE):
                return await asyncio.shield(flight)
        except TimeoutError as error:
            raise _overloaded() from error

    def _start(
        self, fingerprint: bytes, record: PasswordRecord | None, password: Secret, now: datetime, *, slow: bool
    ) -> asyncio.Future[bool]:
        if self._waiting[slow] >= (MAX_SLOW if slow else self._max_waiting):
            raise _overloaded()
        self._waiting[slow] += 1
        wanted = UNKNOWN_ACCOUNT if record is None else record.password_hash
        flight = asyncio.create_task(self._check(password, wanted, slow=slow))
        self._flights[fingerprint] = flight

        def landed(done: asyncio.Future[bool]) -> None:
            self._waiting[slow] -= 1
            del self._flights[fingerprint]
            if not done.cancelled() and done.exception() is None and done.result() and record is not None:
                self._remember(fingerprint, now)

        flight.add_done_callback(landed)
        return flight

    async def _check(self, password: Secret, wanted: Secret, *, slow: bool) -> bool:
        loop = asyncio.get_running_loop()
        if not slow:
            return await loop.run_in_executor(self._executor, self._verify, password, wanted)
        async with self._slow_lane:
            return await loop.run_in_executor(self._executor, self._verify, password, wanted)

    def _fingerprint(self, record: PasswordRecord | None, email: str, raw: bytes) -> bytes:
        """Return what stands for this account, at this epoch, with this password, in this process alone."""
        account = f"{record.account_id}\0{record.epoch}" if record else f"?\0{email}"
        wanted = record.password_hash.reveal() if record else ""
        return hmac.digest(self._key, f"{account}\0{wanted}\0".encode() + raw, hashlib.sha256)

    def _is_remembered(self, fingerprint: bytes, now: datetime) -> bool:
        since = self._remembered.get(fingerprint)
        if since is None:
            return False
        if since <= now < since + REMEMBERED_FOR:
            return True
        del self._remembered[fingerprint]
        return False

    def _remember(self, fingerprint: bytes, now: datetime) -> None:
        self._remembered[fingerprint] = now
        self._remembered.move_to_end(fingerprint)
        while len(self._remembered) > MAX_REMEMBERED:
            self._remembered.popitem(last=False)


def _overloaded() -> Overloaded:
    return Overloaded("too many sign-ins are being checked right now; try again in a few seconds")
