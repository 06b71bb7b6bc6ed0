"""Joins equal questions that are asked at the same time (request coalescing): one is asked, and all get its answer."""

import asyncio
from collections.abc import Callable, Hashable
from functools import partial
from typing import Generic, TypeVar

from attrs import define

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


@define(eq=False)
class _Question(Generic[Result]):
    answer: "asyncio.Future[Result]"
    callers: int = 0


class InFlight(Generic[Key, Result]):
    """The questions whose answers are on their way."""

    def __init__(self, *, cancel_unwanted: bool = False) -> None:
        """Start with nothing in flight.

        Args:
            cancel_unwanted: whether a question is cancelled when its last caller hangs up; otherwise it goes on, and
                whoever asks meanwhile joins it.
        """
        self._cancel_unwanted = cancel_unwanted
        self._questions: dict[Key, _Question[Result]] = {}

    async def ask(self, key: Key, start: Callable[[], "asyncio.Future[Result]"]) -> Result:
        """Return the answer to the question ``key``, for every caller who asks while it is on its way.

        Args:
            key: equal for equal questions.
            start: asks; what it raises reaches this caller alone, what its future raises reaches all.
        """
        question = self._questions.get(key)
        if question is None:
            question = self._questions[key] = _Question(start())
            question.answer.add_done_callback(partial(self._done, key, question))
        question.callers += 1
        try:
            return await asyncio.shield(question.answer)
        finally:
            question.callers -= 1
            if self._cancel_unwanted and not question.callers:
                self._forget(key, question)
                question.answer.cancel()

    def _done(self, key: Key, question: _Question[Result], answer: "asyncio.Future[Result]") -> None:
        self._forget(key, question)
        if not answer.cancelled():
            answer.exception()  # the callers have heard of it, unless all of them hung up

    def _forget(self, key: Key, question: _Question[Result]) -> None:
        if self._questions.get(key) is question:
            del self._questions[key]
