"""Hashes passwords in a bounded thread pool, in lanes (design #5, #15).

One Argon2id check occupies a core for tens of milliseconds, and anyone may cause one. So:

1. at most as many checks run as there are threads, and the number that wait in each lane is limited; further ones are
refused at once. A thread belongs to the check, not to the request: a client that disconnects does not free it early;
2. checks from networks that the account has signed in from before go first, then new passwords, one at a time. All
others wait behind them, so a flood of guesses from new addresses delays a member in a known network by at most one
check;
3. simultaneous checks of the same password of the same account are done once and share the result.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection
from concurrent.futures import Executor
from enum import StrEnum
from typing import Any, TypeVar

from attrs import frozen

from authsvc.credentials.password import UNKNOWN_ACCOUNT, hash_new_password, verify_password
from authsvc.errors import Overloaded
from authsvc.in_flight import InFlight
from authsvc.redaction import Secret

T = TypeVar("T")

MAX_WAITING = 64
"""Most jobs that may wait in one lane of one worker."""


class Lane(StrEnum):
    """The lanes, in the order in which they are served."""

    KNOWN = "known"
    CHOSEN = "chosen"
    NEW = "new"


@frozen
class PasswordRecord:
    """The password of an account, as its record has it.

    Attributes:
        account_id: of the member.
        epoch: raised whenever remembered passwords must be forgotten.
        password_hash: Argon2id in PHC form.
    """

    account_id: str
    epoch: int
    password_hash: Secret


@frozen(eq=False)
class _Job:
    """Work for a thread; its result is set on the future ``answer``."""

    lane: Lane
    work: Callable[..., Any]
    arguments: tuple[Any, ...]
    answer: "asyncio.Future[Any]"


def _uncounted(_lane: Lane, _change: int) -> None:
    """Count nothing."""


class PasswordVerifier:
    """Checks passwords, and hashes new ones, in a thread pool: bounded and in order of lanes."""

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
            on_waiting: called whenever the number of waiting jobs in a lane changes.
        """
        self._executor = executor
        self._idle = threads
        self._verify = verify
        self._max_waiting = max_waiting
        self._on_waiting = on_waiting
        self._lanes: dict[Lane, deque[_Job]] = {lane: deque() for lane in Lane}
        self._choosing = False
        self._in_flight: InFlight[tuple[str, Lane], bool] = InFlight()

    async def verify(self, guess: str, record: PasswordRecord | None, password: Secret, lane: Lane) -> bool:
        """Whether ``password`` is the account's; None for ``record`` costs as much and is never right.

        Args:
            guess: equal for the same password of the same account only.
            record: the account's password.
            password: as typed.
            lane: in which to wait.

        Raises:
            Overloaded: too many checks wait in the lane; this one was not done.
        """
        wanted = UNKNOWN_ACCOUNT if record is None else record.password_hash
        answer = await self._in_flight.ask((guess, lane), lambda: self._enqueue(lane, self._verify, password, wanted))
        return answer and record is not None

    async def hash(self, password: Secret, names: Collection[str], salt: bytes) -> Secret:
        """Return the hash of a new password; one is hashed at a time.

        Args:
            password: as typed.
            names: texts about the person that others may know.
            salt: random bytes.

        Raises:
            InputRefused: the password is not acceptable.
            Overloaded: too many new passwords wait; this one was not checked.
        """
        return await asyncio.shield(self._enqueue(Lane.CHOSEN, hash_new_password, password, names, salt))

    def _enqueue(self, lane: Lane, work: Callable[..., T], *arguments: Any) -> "asyncio.Future[T]":
        if len(self._lanes[lane]) >= self._max_waiting:
            raise overloaded()
        answer: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._lanes[lane].append(_Job(lane, work, arguments, answer))
        self._on_waiting(lane, 1)
        self._dispatch()
        return answer

    def _dispatch(self) -> None:
        while self._idle and (lane := self._next_lane()) is not None:
            job = self._lanes[lane].popleft()
            self._on_waiting(lane, -1)
            self._idle -= 1
            self._choosing = self._choosing or lane is Lane.CHOSEN
            work = asyncio.ensure_future(self._run(job))
            work.add_done_callback(lambda done, job=job: self._landed(job, done))  # type: ignore[misc]

    def _next_lane(self) -> Lane | None:
        """Return the first lane in which a job waits that may start now."""
        ready = (lane for lane, queue in self._lanes.items() if queue)
        return next((lane for lane in ready if lane is not Lane.CHOSEN or not self._choosing), None)

    async def _run(self, job: _Job) -> Any:
        return await asyncio.get_running_loop().run_in_executor(self._executor, job.work, *job.arguments)

    def _landed(self, job: _Job, done: "asyncio.Future[Any]") -> None:
        self._idle += 1
        if job.lane is Lane.CHOSEN:
            self._choosing = False
        if done.cancelled():
            job.answer.cancel()
        elif (error := done.exception()) is not None:
            job.answer.set_exception(error)
            job.answer.exception()  # the caller may be gone
        else:
            job.answer.set_result(done.result())
        self._dispatch()


def overloaded() -> Overloaded:
    """Return the error for too many password checks."""
    return Overloaded("too many sign-ins are being checked right now; try again in a few seconds")
