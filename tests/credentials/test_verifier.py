"""The password verifier: one flight, a bounded memory and queue, and places that the work holds."""

import asyncio
from collections.abc import Callable
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.credentials import verifier as module
from authsvc.credentials.password import MAX_BYTES, UNKNOWN_ACCOUNT, hash_password
from authsvc.credentials.verifier import PasswordRecord, PasswordVerifier
from authsvc.errors import Overloaded
from authsvc.redaction import Secret
from tests.support.builders import NOW, PASSWORD, check_plainly, plain_hash

WRONG = Secret("wrong horse battery")
ME = PasswordRecord("m1", 1, plain_hash(PASSWORD))
EMAIL = "me@acme.test"


async def settle() -> None:
    """Let every task of this loop go as far as it can."""
    for _ in range(8):
        await asyncio.sleep(0)


class Held(Executor):
    """An executor whose work waits until it is let go: a machine as slow as the test wants.

    Attributes:
        asked: the hash of every check that was started.
    """

    def __init__(self) -> None:
        """Hold everything."""
        self.asked: list[Secret] = []
        self._waiting: list[tuple[Future[Any], Callable[[], Any]]] = []

    def submit(self, fn: Callable[..., Any], /, *args: Any, **kwargs: Any) -> "Future[Any]":
        """Take work and hold it."""
        future: Future[Any] = Future()
        self.asked.append(args[-1])
        self._waiting.append((future, lambda: fn(*args, **kwargs)))
        return future

    async def let_go(self, most: int = 1000) -> None:
        """Do what waits, so much at most, and let its askers hear of it."""
        await settle()
        while self._waiting and most:
            future, work = self._waiting.pop(0)
            most -= 1
            if not future.set_running_or_notify_cancel():
                continue
            try:
                future.set_result(work())
            except ValueError as error:
                future.set_exception(error)
            await settle()


class Desk:
    """A verifier on a held executor, with short ways to ask it."""

    def __init__(self, max_waiting: int = 64, verify: Callable[[Secret, Secret], bool] = check_plainly) -> None:
        """Start with nothing remembered."""
        self.held = Held()
        self.verifier = PasswordVerifier(self.held, b"k" * 32, verify=verify, max_waiting=max_waiting)

    def ask(
        self,
        password: Secret = PASSWORD,
        record: PasswordRecord | None = ME,
        seconds: float = 0,
        *,
        slow: bool = False,
    ) -> "asyncio.Task[bool]":
        """Ask in the background, so many seconds after NOW."""
        now = NOW + timedelta(seconds=seconds)
        return asyncio.create_task(self.verifier.verify(record, EMAIL, password, now, slow=slow))

    async def answer(self, password: Secret = PASSWORD, record: PasswordRecord | None = ME, seconds: float = 0) -> bool:
        """Ask and wait."""
        task = self.ask(password, record, seconds)
        await self.held.let_go()
        return await task

    @property
    def checks(self) -> int:
        """How many hashes were computed or wait."""
        return len(self.held.asked)


async def test_right_and_wrong() -> None:
    """A right password is right, a wrong one wrong, and nobody's is never right."""
    desk = Desk()

    assert [True, False, False] == [await desk.answer(), await desk.answer(WRONG), await desk.answer(record=None)]


async def test_nobody_is_never_right() -> None:
    """Even a check that says yes does not make an unknown account exist, and it is not remembered."""
    desk = Desk(verify=lambda _password, _hash: True)
    await desk.answer(record=None)
    await desk.answer(record=None)

    assert [UNKNOWN_ACCOUNT] * 2 == desk.held.asked


async def test_one_flight() -> None:
    """Those who ask the same at once share one check, and all hear its answer."""
    desk = Desk()
    tasks = [desk.ask() for _ in range(20)]
    others = [desk.ask(WRONG), desk.ask(record=None), desk.ask(record=PasswordRecord("m2", 1, ME.password_hash))]
    await settle()
    checks = desk.checks
    await desk.held.let_go()

    assert checks == 4
    assert [True] * 20 == await asyncio.gather(*tasks)
    assert [False, False, True] == await asyncio.gather(*others)


@pytest.mark.parametrize(("seconds", "checks"), [(0, 1), (30, 1), (59.999, 1), (60, 2), (3600, 2), (-1, 2)])
async def test_a_success_is_remembered_for_a_minute(seconds: float, checks: int) -> None:
    """A second sign-in within 60 s costs no hash; after that, or when the clock was set back, it does."""
    desk = Desk()

    assert [True, True] == [await desk.answer(), await desk.answer(seconds=seconds)]
    assert checks == desk.checks


async def test_the_minute_begins_with_the_check() -> None:
    """Being asked again does not prolong what is remembered: after 60 s the password is checked again."""
    desk = Desk()
    for seconds in (0, 20, 40, 59, 60):
        await desk.answer(seconds=seconds)

    assert desk.checks == 2


@pytest.mark.parametrize(
    "changed",
    [
        PasswordRecord("m1", 2, ME.password_hash),
        PasswordRecord("m2", 1, ME.password_hash),
        PasswordRecord("m1", 1, plain_hash(WRONG)),
        None,
    ],
    ids=["epoch", "account", "hash", "gone"],
)
async def test_a_changed_account_is_checked_again(changed: PasswordRecord | None) -> None:
    """What is remembered holds for that account at that epoch with that hash."""
    desk = Desk()
    await desk.answer()
    expected = changed is not None and changed.password_hash == ME.password_hash

    assert expected == await desk.answer(record=changed)
    assert desk.checks == 2


async def test_failures_are_not_remembered() -> None:
    """A wrong password costs a hash every time, and is right at once when the account gets it."""
    desk = Desk()

    assert [False, False] == [await desk.answer(WRONG), await desk.answer(WRONG)]
    assert await desk.answer(WRONG, PasswordRecord("m1", 1, plain_hash(WRONG)))
    assert desk.checks == 3


async def test_a_success_that_nobody_waits_for() -> None:
    """A check whose asker hung up is finished and remembered for the next one."""
    desk = Desk()
    task = desk.ask()
    await settle()
    task.cancel()
    await desk.held.let_go()

    assert await desk.answer()
    assert desk.checks == 1


async def test_the_memory_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of more successes than fit, the newest stay."""
    monkeypatch.setattr(module, "MAX_REMEMBERED", 3)
    desk = Desk()
    accounts = [PasswordRecord(f"m{number}", 1, ME.password_hash) for number in range(5)]
    for account in accounts:
        await desk.answer(record=account)
    asked_before = desk.checks
    for account in reversed(accounts[2:]):
        await desk.answer(record=account)
    kept = desk.checks
    await desk.answer(record=accounts[0])

    assert [5, 5, 6] == [asked_before, kept, desk.checks]


async def test_the_memory_holds_no_password() -> None:
    """What is remembered is an HMAC under this process's key: it is no use in another process, and shows nothing."""
    desk, other = Desk(), PasswordVerifier(Held(), b"l" * 32, verify=check_plainly)
    await desk.answer()
    (remembered,) = desk.verifier._remembered

    assert len(remembered) == 32
    assert remembered != other._fingerprint(ME, EMAIL, PASSWORD.reveal().encode())


async def test_the_queue_is_bounded() -> None:
    """One check more than fit is refused at once; those that wait already are not disturbed."""
    desk = Desk(max_waiting=2)
    waiting = [desk.ask(Secret(f"password number {number}")) for number in range(2)]
    await settle()

    with pytest.raises(Overloaded, match="too many sign-ins are being checked right now; try again in a few seconds"):
        await desk.ask(WRONG)
    joined = desk.ask(Secret("password number 0"))
    await settle()
    await desk.held.let_go()
    assert [False] * 3 == await asyncio.gather(*waiting, joined)
    assert await desk.answer()


async def test_a_remembered_success_never_queues() -> None:
    """A full queue does not stop those whose password was right a moment ago."""
    desk = Desk(max_waiting=1)
    await desk.answer()
    queued = desk.ask(WRONG)
    await settle()

    assert await desk.ask(seconds=1)
    assert not queued.done()
    await desk.held.let_go()


async def test_hanging_up_frees_nothing() -> None:
    """The place is held by the work: clients that come and go do not make more of it (threat 21)."""
    desk = Desk(max_waiting=2)
    tasks = [desk.ask(Secret(f"password number {number}")) for number in range(2)]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    with pytest.raises(Overloaded):
        await desk.ask(WRONG)
    await desk.held.let_go()
    assert await desk.answer()


async def test_the_slow_lane_is_one_at_a_time() -> None:
    """Those who guessed too often wait for each other, and few may wait; everybody else goes past them."""
    desk = Desk()
    slow = [desk.ask(Secret(f"guess number {number} of many"), slow=True) for number in range(module.MAX_SLOW)]
    await settle()
    running = desk.checks
    with pytest.raises(Overloaded):
        await desk.ask(WRONG, slow=True)
    mine = desk.ask()
    await settle()
    both = desk.checks
    await desk.held.let_go()

    assert [1, 2] == [running, both]
    assert await mine
    assert [False] * module.MAX_SLOW == await asyncio.gather(*slow)


async def test_a_right_password_in_the_slow_lane() -> None:
    """The slow lane is slow, not shut: a right password is right there, and remembered for every lane."""
    desk = Desk()
    task = desk.ask(slow=True)
    await desk.held.let_go()

    assert await task
    assert desk.verifier.remembers(ME, EMAIL, PASSWORD, NOW)
    assert await desk.ask()
    assert desk.checks == 1


@pytest.mark.parametrize(
    ("record", "password", "seconds", "expected"),
    [(ME, PASSWORD, 59, True), (ME, PASSWORD, 60, False), (ME, WRONG, 0, False), (None, PASSWORD, 0, False),
     (PasswordRecord("m1", 2, ME.password_hash), PASSWORD, 0, False)],
)  # fmt: skip
async def test_what_is_remembered(
    record: PasswordRecord | None, password: Secret, seconds: float, expected: bool
) -> None:
    """Asking what is remembered hashes nothing and says the same as signing in."""
    desk = Desk()
    await desk.answer()

    assert expected == desk.verifier.remembers(record, EMAIL, password, NOW + timedelta(seconds=seconds))
    assert desk.checks == 1


async def test_a_slow_check_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who waits too long is told to come again; the work goes on and keeps its place."""
    monkeypatch.setattr(module, "CHECK_DEADLINE", 0.01)
    desk = Desk(max_waiting=1)

    with pytest.raises(Overloaded, match="try again"):
        await desk.ask()
    with pytest.raises(Overloaded):
        await desk.ask(WRONG)
    await desk.held.let_go()
    assert await desk.ask()
    assert desk.checks == 1


async def test_a_failing_check_frees_its_place() -> None:
    """A hash that can not be read is an error of ours for everybody who asked, and takes no place for ever."""

    def broken(_password: Secret, password_hash: Secret) -> bool:
        raise ValueError(str(password_hash))

    desk = Desk(max_waiting=1, verify=broken)
    for _ in range(3):
        with pytest.raises(ValueError, match="<redacted>"):
            await desk.answer()

    assert desk.checks == 3


async def test_a_closed_executor_takes_no_place() -> None:
    """Work that could not even start holds nothing."""
    executor = ThreadPoolExecutor(1)
    verifier = PasswordVerifier(executor, b"k" * 32, verify=check_plainly, max_waiting=1)
    executor.shutdown()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="after shutdown"):
            await verifier.verify(ME, EMAIL, PASSWORD, NOW)


@pytest.mark.parametrize("record", [ME, None])
async def test_endless_passwords(record: PasswordRecord | None) -> None:
    """A password longer than any account's is wrong before it costs anything, for known and unknown alike."""
    desk = Desk()

    assert not await desk.answer(Secret("x" * (MAX_BYTES + 1)), record)
    assert not await desk.answer(Secret("x" * MAX_BYTES), record)
    assert desk.checks == 1


@given(st.lists(st.tuples(st.sampled_from([ME, None]), st.sampled_from([WRONG, Secret("x" * 20)])), max_size=12))
def test_unknown_and_wrong_cost_the_same(asked: list[tuple[PasswordRecord | None, Secret]]) -> None:
    """One hash for each wrong sign-in, whether the account exists or not, however often it is tried."""

    async def count() -> list[int]:
        desk, counts = Desk(), []
        for record, password in asked:
            before = desk.checks
            assert not await desk.answer(password, record)
            counts.append(desk.checks - before)
        return counts

    assert [1] * len(asked) == asyncio.run(count())


async def test_real_hashes() -> None:
    """With real threads and real Argon2 the same rules hold."""
    record = PasswordRecord("m1", 1, hash_password(PASSWORD, salt=bytes(16)))
    with ThreadPoolExecutor(2) as executor:
        verifier = PasswordVerifier(executor, b"k" * 32)
        answers = [verifier.verify(record, EMAIL, password, NOW) for password in (PASSWORD, WRONG, PASSWORD)]

        assert [True, False, True] == await asyncio.gather(*answers)
        assert not await verifier.verify(None, EMAIL, PASSWORD, NOW)
