"""The password verifier: one flight, two lanes, bounded queues, and places that the work holds."""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest

from authsvc.credentials.password import UNKNOWN_ACCOUNT, hash_password
from authsvc.credentials.verifier import Lane, PasswordRecord, PasswordVerifier
from authsvc.errors import InputRefused, Overloaded
from authsvc.redaction import Secret
from tests.support.builders import PASSWORD, check_plainly, plain_hash
from tests.support.held_executor import HeldExecutor, settle

WRONG = Secret("wrong horse battery")
ME = PasswordRecord("m1", 1, plain_hash(PASSWORD))


class Desk:
    """A verifier on a held executor, with short ways to ask it.

    Attributes:
        waiting: how many checks wait in each lane, as the verifier tells.
    """

    def __init__(
        self, threads: int = 100, max_waiting: int = 64, verify: Callable[[Secret, Secret], bool] = check_plainly
    ) -> None:
        """Start with empty lanes."""
        self.held = HeldExecutor()
        self.waiting = dict.fromkeys(Lane, 0)
        self.verifier = PasswordVerifier(
            self.held, threads, verify=verify, max_waiting=max_waiting, on_waiting=self._count
        )

    def _count(self, lane: Lane, change: int) -> None:
        self.waiting[lane] += change

    def ask(
        self, password: Secret = PASSWORD, record: PasswordRecord | None = ME, lane: Lane = Lane.NEW
    ) -> "asyncio.Task[bool]":
        """Ask in the background."""
        guess = f"{record}{password.reveal()}"
        return asyncio.create_task(self.verifier.verify(guess, record, password, lane))

    async def answer(self, password: Secret = PASSWORD, record: PasswordRecord | None = ME) -> bool:
        """Ask and wait."""
        task = self.ask(password, record)
        await self.held.let_go()
        return await task

    @property
    def checks(self) -> int:
        """How many hashes were computed or are being computed."""
        return len(self.held.asked)


def numbered(times: int) -> list[Secret]:
    """Return so many passwords, each another one."""
    return [Secret(f"password number {number}") for number in range(times)]


async def test_right_and_wrong() -> None:
    """A right password is right, a wrong one wrong, and nobody's is never right."""
    desk = Desk()

    assert [True, False, False] == [await desk.answer(), await desk.answer(WRONG), await desk.answer(record=None)]


async def test_nobody_is_never_right() -> None:
    """Even a check that says yes does not make an unknown account exist."""
    desk = Desk(verify=lambda _password, _hash: True)

    assert not await desk.answer(record=None)
    assert [UNKNOWN_ACCOUNT] == desk.held.asked


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


async def test_nothing_is_remembered() -> None:
    """A password that is asked for again is checked again, right or wrong."""
    desk = Desk()

    assert [True, True, False, False] == [
        await desk.answer(password) for password in (PASSWORD, PASSWORD, WRONG, WRONG)
    ]
    assert desk.checks == 4


async def test_no_more_checks_than_threads() -> None:
    """What has no thread waits in its lane, and is counted there."""
    desk = Desk(threads=2)
    asked = [desk.ask(password) for password in numbered(5)]
    await settle()

    assert (desk.checks, desk.waiting) == (2, {Lane.KNOWN: 0, Lane.CHOSEN: 0, Lane.NEW: 3})
    await desk.held.let_go()
    assert [False] * 5 == await asyncio.gather(*asked)
    assert (desk.checks, desk.waiting) == (5, {Lane.KNOWN: 0, Lane.CHOSEN: 0, Lane.NEW: 0})


async def test_known_networks_go_first() -> None:
    """However many strangers wait, a member at home waits for the check that runs, and for nobody else."""
    desk = Desk(threads=1)
    strangers = [desk.ask(password, None) for password in numbered(50)]
    await settle()
    mine = desk.ask(lane=Lane.KNOWN)
    await settle()
    await desk.held.let_go(1)

    assert [UNKNOWN_ACCOUNT, ME.password_hash] == desk.held.asked
    await desk.held.let_go()
    assert await mine
    assert [False] * 50 == await asyncio.gather(*strangers)


async def test_strangers_do_not_fill_the_lane_of_known_networks() -> None:
    """A full lane refuses its own; the other one goes on."""
    desk = Desk(threads=1, max_waiting=2)
    strangers = [desk.ask(password, None) for password in numbered(4)]
    await settle()
    mine = desk.ask(lane=Lane.KNOWN)
    await settle()
    await desk.held.let_go()

    ended = await asyncio.gather(*strangers, return_exceptions=True)
    assert [False, False, False] == ended[:3]
    assert isinstance(ended[3], Overloaded)
    assert str(ended[3]) == "too many sign-ins are being checked right now; try again in a few seconds"
    assert await mine


async def test_a_stranger_with_my_password_does_not_hold_me_up() -> None:
    """The same password of the same account in both lanes is two checks: nobody waits behind strangers for it."""
    desk = Desk(threads=1)
    asked = [desk.ask(WRONG), *(desk.ask(password) for password in numbered(3)), desk.ask(), desk.ask(lane=Lane.KNOWN)]
    await settle()
    await desk.held.let_go(2)

    assert asked[-1].done()
    assert not asked[-2].done()
    await desk.held.let_go()
    assert [False] * 4 + [True] * 2 == await asyncio.gather(*asked)


async def test_those_who_share_a_check_take_no_place() -> None:
    """A full lane is no reason to refuse who asks for what waits there already."""
    desk = Desk(threads=1, max_waiting=1)
    tasks = [desk.ask(WRONG), desk.ask(), desk.ask()]
    await desk.held.let_go()

    assert [False, True, True] == await asyncio.gather(*tasks)


async def test_hanging_up_frees_nothing() -> None:
    """The place is held by the work: clients that come and go do not make more of it (threat 21)."""
    desk = Desk(threads=1, max_waiting=1)
    tasks = [desk.ask(password) for password in numbered(2)]
    await settle()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    with pytest.raises(Overloaded):
        await desk.ask(WRONG)
    await desk.held.let_go()
    assert await desk.answer()


async def test_a_failing_check_frees_its_place() -> None:
    """A hash that cannot be read is an error of ours for everybody who asked, and takes no place for ever."""

    def broken(_password: Secret, password_hash: Secret) -> bool:
        raise ValueError(str(password_hash))

    desk = Desk(threads=1, verify=broken)
    for _ in range(3):
        with pytest.raises(ValueError, match="<redacted>"):
            await desk.answer()

    assert desk.checks == 3


async def test_new_passwords_are_hashed_one_at_a_time() -> None:
    """After known networks, before strangers; and while one is hashed, the other threads check passwords."""
    desk = Desk(threads=2)
    salts = [bytes([number]) * 16 for number in range(3)]
    chosen = [asyncio.create_task(desk.verifier.hash(PASSWORD, (), salt)) for salt in salts]
    await settle()
    stranger, mine = desk.ask(record=None), desk.ask(WRONG)
    await settle()
    assert (desk.held.asked[0], desk.checks, desk.waiting[Lane.CHOSEN]) == (salts[0], 2, 2)
    at_home = desk.ask(lane=Lane.KNOWN)
    await settle()
    await desk.held.let_go(1)
    assert desk.held.asked[2] is ME.password_hash
    assert not at_home.done()
    await desk.held.let_go(1)
    assert desk.held.asked[3] == salts[1]
    await desk.held.let_go()
    assert await asyncio.gather(*chosen) == [hash_password(PASSWORD, salt=salt) for salt in salts]
    assert [False, False, True] == list(await asyncio.gather(stranger, mine, at_home))


async def test_a_bad_new_password_frees_its_thread() -> None:
    """As does one whose asker has hung up."""
    desk = Desk(threads=1)
    refused = asyncio.create_task(desk.verifier.hash(Secret("short"), (), bytes(16)))
    gone = asyncio.create_task(desk.verifier.hash(PASSWORD, (), bytes(16)))
    await settle()
    gone.cancel()
    last = asyncio.create_task(desk.verifier.hash(PASSWORD, (), bytes(16)))
    await desk.held.let_go()
    with pytest.raises(InputRefused, match="15 to 1,024 bytes"):
        await refused
    assert await last == hash_password(PASSWORD, salt=bytes(16))
    assert await desk.answer()


async def test_too_many_new_passwords_are_refused() -> None:
    """Their lane is bounded like the others."""
    desk = Desk(threads=1, max_waiting=2)
    asked = [asyncio.create_task(desk.verifier.hash(PASSWORD, (), bytes(16))) for _ in range(4)]
    await settle()
    await desk.held.let_go()
    assert [type(one) for one in await asyncio.gather(*asked, return_exceptions=True)] == [Secret] * 3 + [Overloaded]


async def test_a_closed_executor_takes_no_place() -> None:
    """Work that could not even start holds nothing."""
    executor = ThreadPoolExecutor(1)
    verifier = PasswordVerifier(executor, 1, verify=check_plainly)
    executor.shutdown()
    for _ in range(2):
        with pytest.raises(RuntimeError, match="after shutdown"):
            await verifier.verify("guess", ME, PASSWORD, Lane.NEW)


async def test_real_hashes() -> None:
    """With real threads and real Argon2 the same rules hold."""
    record = PasswordRecord("m1", 1, hash_password(PASSWORD, salt=bytes(16)))
    with ThreadPoolExecutor(2) as executor:
        verifier = PasswordVerifier(executor, 2)
        asked = [(PASSWORD, record), (WRONG, record), (PASSWORD, record), (PASSWORD, None)]
        answers = [verifier.verify(f"{p.reveal()}{r}", r, p, Lane.NEW) for p, r in asked]

        assert [True, False, True, False] == await asyncio.gather(*answers)
