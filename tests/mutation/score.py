"""Trials of many mutants, some at a time, and the share of them that the tests noticed."""

import multiprocessing
import os
import signal
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from attrs import frozen

from tests.mutation.mutants import Mutant
from tests.mutation.trial import NOT_IMPORTED, Target, run

PASSED = 0

PRELOADED = ("pytest", "hypothesis", "aiohttp.web", "redis.asyncio", "cattrs", "structlog", "jwt", "fido2.webauthn")
"""Imported once for all trials; nothing of the code under test."""


class TrialError(Exception):
    """The tests say nothing about mutants."""


@frozen
class Result:
    """How a mutant fared: ``killed`` when a test failed with it, or did not end."""

    target: Target
    mutant: Mutant
    killed: bool


class Trials:
    """Runs trials in processes that a clean one is forked into.

    Args:
        workers: how many at a time.
        patience: seconds that every trial gets beside ten times what the tests take without a mutant.
    """

    def __init__(self, workers: int, patience: float = 30) -> None:
        self._workers = workers
        self._patience = patience
        self._processes = multiprocessing.get_context("forkserver")
        self._processes.set_forkserver_preload(list(PRELOADED))

    def results(self, chosen: Sequence[tuple[Target, Mutant]]) -> Iterator[Result]:
        """Yield the result of every trial, in the order of ``chosen``.

        Raises:
            TrialError: the tests fail without a mutant, or never import the module.
        """
        with ThreadPoolExecutor(self._workers) as pool:
            targets = list(dict.fromkeys(target for target, _ in chosen))
            deadlines = dict(zip(targets, pool.map(self._deadline, targets), strict=True))
            yield from pool.map(lambda pair: self._result(pair[0], pair[1], deadlines[pair[0]]), chosen)

    def _deadline(self, target: Target) -> float:
        """Return after how many seconds a trial does not end any more: many times what it takes without a mutant."""
        began = time.monotonic()
        status, output = self._run(target, None, None)
        if status == NOT_IMPORTED:
            raise TrialError(f"{' '.join(target.tests)} never imports {target.module}")
        if status != PASSED:
            raise TrialError(f"the tests of {target.module} fail without a mutant:\n{output}")
        return self._patience + 10 * (time.monotonic() - began)

    def _result(self, target: Target, mutant: Mutant, deadline: float) -> Result:
        status, _ = self._run(target, mutant, deadline)
        return Result(target, mutant, killed=status != PASSED)

    def _run(self, target: Target, mutant: Mutant | None, deadline: float | None) -> tuple[int | None, str]:
        with tempfile.TemporaryDirectory() as folder:
            output = Path(folder) / "output"
            process = self._processes.Process(target=run, args=(target, mutant and mutant.tree, output))
            process.start()
            process.join(deadline)
            if process.is_alive():
                os.killpg(process.ident or 0, signal.SIGKILL)
                process.join()
            return process.exitcode, output.read_text(encoding="utf-8", errors="replace")


def score(results: Iterable[Result]) -> float:
    """Return the share of killed mutants in per cent; 100 when there are none."""
    killed = [result.killed for result in results]
    return 100 * sum(killed) / len(killed) if killed else 100.0


def report(results: Sequence[Result], say: Callable[[str], None]) -> None:
    """Say which mutants survived, and the score of each module and in total."""
    for one in results:
        if not one.killed:
            where = f"{one.target.path.relative_to(one.target.root)}:{one.mutant.line}"
            say(f"survived: {where} {one.mutant.key}")
    for target in dict.fromkeys(result.target for result in results):
        own = [result for result in results if result.target == target]
        say(f"{target.module:40} {sum(r.killed for r in own):4} of {len(own):4} killed {score(own):6.1f} %")
    say(f"{'total':40} {sum(r.killed for r in results):4} of {len(results):4} killed {score(results):6.1f} %")
