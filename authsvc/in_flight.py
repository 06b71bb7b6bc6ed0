"""Request coalescing: of equal questions at the same time one is asked, and all callers get its answer."""

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
    """The questions that have been asked and not answered yet."""

    def __init__(self, *, cancel_unwanted: bool = False) -> None:
        """Start with nothing in flight.

        Args:
            cancel_unwanted: whether a question is cancelled when its last caller is cancelled; otherwise it continues,
                and later callers join it.
        """
        self._cancel_unwanted = cancel_unwanted
        self._questions: dict[Key, _Question[Result]] = {}

    async def ask(self, key: Key, start: Callable[[], "asyncio.Future[Result]"]) -> Result:
        """Return the answer to the question ``key``, to every caller that asks before it arrives.

        Args:
            key: equal for equal questions.
            start: asks the question; what it raises itself reaches only this caller, what its future raises reaches all
                callers.
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
            answer.exception()  # the callers got it, unless all of them were cancelled

    def _forget(self, key: Key, question: _Question[Result]) -> None:
        if self._questions.get(key) is question:
            del self._questions[key]
