"""Shares the requests to a linked registry fairly among the customers."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from attrs import define, field

from authsvc.fair_share import FairShare
from authsvc.in_flight import InFlight
from authsvc.registries.upstream.room import BUSY, REQUESTS_OF_A_LINK, WAIT, WAITING

OF_A_SUBJECT = 3
"""Most simultaneous requests to one link for one subject: half of those of the link."""

Key = TypeVar("Key", bound=Hashable)
Result = TypeVar("Result")


@define(eq=False)
class _LinkShare:
    share: FairShare
    users: int = 0


@define(eq=False, repr=False)
class LinkShares:
    """Gives turns at each link, in which the subjects of tokens alternate.

    Attributes:
        patience: seconds that a question waits for its turn.
    """

    patience: float = WAIT
    _links: dict[str, _LinkShare] = field(init=False, factory=dict, repr=False)

    @asynccontextmanager
    async def take(self, link: str, subject: str) -> AsyncIterator[None]:
        """Hold a turn for as long as the context lasts.

        Raises:
            Overloaded: too many questions of this subject wait already, or its turn does not come soon enough.
        """
        found = self._links.get(link)
        if found is None:
            share = FairShare(REQUESTS_OF_A_LINK, OF_A_SUBJECT, WAITING, BUSY, patience=self.patience)
            found = self._links[link] = _LinkShare(share)
        found.users += 1
        try:
            async with found.share.slot(subject):
                yield
        finally:
            found.users -= 1
            if not found.users:
                del self._links[link]


class SharedQuestions(Generic[Key, Result]):
    """Shares the answer of a question among all callers that ask it at the same time.

    A subject only waits for its own turn: it joins another subject's question only if that already has its turn.
    """

    def __init__(self, shares: LinkShares) -> None:
        """Ask in the turns of ``shares``."""
        self._shares = shares
        self._waiting: InFlight[tuple[Key, str], Result] = InFlight()
        self._asked: InFlight[Key, Result] = InFlight()

    async def ask(
        self,
        link: str,
        subject: str,
        key: Key,
        known: Callable[[], Awaitable[Result | None]],
        ask: Callable[[], Awaitable[Result]],
    ) -> Result:
        """Return the answer to a question.

        Args:
            link: id of the link that is asked.
            subject: on whose behalf.
            key: equal for equal questions.
            known: returns the answer when another has asked meanwhile.
            ask: asks.

        Raises:
            Overloaded: the turn of this subject does not come soon enough.
        """

        async def in_turn() -> Result:
            async with self._shares.take(link, subject):
                answer = await known()
                if answer is not None:
                    return answer
                return await self._asked.ask(key, lambda: asyncio.ensure_future(ask()))

        return await self._waiting.ask((key, subject), lambda: asyncio.ensure_future(in_turn()))
