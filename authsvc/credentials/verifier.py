"""Hashes passwords in a bounded thread pool, in two lanes (design #5, #15).

One Argon2id check takes a core for tens of milliseconds, and anyone may ask for one. So:

1. at most as many checks run as there are threads, and in each lane at most so many wait; one more is refused at once.
   A thread is held by the work, not by the request: a client that hangs up frees nothing early;
2. networks that the account has signed in from before go first. Everybody else queues behind them, so a flood of
   guesses from new addresses delays a member at home by one check at most;
3. the same password of the same account is checked once at a time: who asks meanwhile shares the answer.
"""

import asyncio
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor
from enum import StrEnum

from attrs import frozen

from authsvc.credentials.password import UNKNOWN_ACCOUNT, verify_password
from authsvc.errors import Overloaded
from authsvc.in_flight import InFlight
from authsvc.redaction import Secret

MAX_WAITING = 64
"""Most checks that wait in one lane of one worker."""


class Lane(StrEnum):
    """Who waits; the first one goes first."""

    KNOWN = "known"
    NEW = "new"


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


@frozen(eq=False)
class _PendingCheck:
    lane: Lane
    password: Secret
    wanted: Secret
    answer: "asyncio.Future[bool]"


def _uncounted(_lane: Lane, _change: int) -> None:
    """Count nothing."""


class PasswordVerifier:
    """Checks passwords in a thread pool, bounded and in order of lanes."""

    def __init__(
        self,
        executor: Executor,
        threads: int,
        *,
        verify: Callable[[Secret, Secret], bool] = verify_password,
        max_waiting: int = MAX_WAITING,
        on_waiting: Callable[[Lane, int], None] = _uncounted,
    ) -> None:
        """Check in ``executor``, which the caller shuts down.

        Args:
            executor: with at most one thread per core.
            threads: how many it has.
            verify: the hash check itself.
            max_waiting: most checks that wait in one lane.
            on_waiting: called with every change in how many wait in a lane.
        """
        self._executor = executor
        self._idle = threads
        self._verify = verify
        self._max_waiting = max_waiting
        self._on_waiting = on_waiting
        self._lanes: dict[Lane, deque[_PendingCheck]] = {lane: deque() for lane in Lane}
        self._in_flight: InFlight[tuple[str, Lane], bool] = InFlight()

    async def verify(self, guess: str, record: PasswordRecord | None, password: Secret, lane: Lane) -> bool:
        """Whether ``password`` is the account's; None for ``record`` costs as much and is never right.

        Args:
            guess: the same for the same password of the same account, and for nothing else.
            record: the account's password.
            password: as typed.
            lane: where to wait.

        Raises:
            Overloaded: too many checks wait in the lane; this one was not made.
        """
        answer = await self._in_flight.ask((guess, lane), lambda: self._enqueue(record, password, lane))
        return answer and record is not None

    def _enqueue(self, record: PasswordRecord | None, password: Secret, lane: Lane) -> "asyncio.Future[bool]":
        if len(self._lanes[lane]) >= self._max_waiting:
            raise overloaded()
        wanted = UNKNOWN_ACCOUNT if record is None else record.password_hash
        answer: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        self._lanes[lane].append(_PendingCheck(lane, password, wanted, answer))
        self._on_waiting(lane, 1)
        self._dispatch()
        return answer

    def _dispatch(self) -> None:
        while self._idle and (lane := next((queue for queue in self._lanes.values() if queue), None)):
            check = lane.popleft()
            self._on_waiting(check.lane, -1)
            self._idle -= 1
            work = asyncio.ensure_future(self._run(check))
            work.add_done_callback(lambda done, check=check: self._landed(check, done))  # type: ignore[misc]

    async def _run(self, check: _PendingCheck) -> bool:
        loop = asyncio.get_running_loop()
        return await loop.run_in_executor(self._executor, self._verify, check.password, check.wanted)

    def _landed(self, check: _PendingCheck, done: "asyncio.Future[bool]") -> None:
        self._idle += 1
        if done.cancelled():
            check.answer.cancel()
        elif (error := done.exception()) is not None:
            check.answer.set_exception(error)
        else:
            check.answer.set_result(done.result())
        self._dispatch()


def overloaded() -> Overloaded:
    """Return the refusal of one password check too many."""
    return Overloaded("too many sign-ins are being checked right now; try again in a few seconds")
