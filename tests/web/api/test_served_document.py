"""The OpenAPI document of a running worker: made once, and only when somebody asks for it."""

import asyncio
from threading import Event

import pytest

from authsvc.web.api.document import ApiDocument


class Maker:
    """Makes the document when the test says so, and counts how often it was asked."""

    def __init__(self) -> None:
        """Hold the document back."""
        self.calls = 0
        self.may_end = Event()

    def make(self) -> bytes:
        """Return the document."""
        self.calls += 1
        self.may_end.wait()
        return b"{}"


async def test_it_is_made_once_for_all_who_ask() -> None:
    """Not before the first request; the loop serves others meanwhile."""
    maker = Maker()
    document = ApiDocument(maker.make)
    assert maker.calls == 0
    asking = [asyncio.create_task(document.read()) for _ in range(3)]
    await asyncio.sleep(0)
    maker.may_end.set()
    assert await asyncio.gather(*asking) == [b"{}"] * 3
    assert await document.read() == b"{}"
    assert maker.calls == 1


async def test_a_client_that_hangs_up_does_not_end_it() -> None:
    """Whoever waits for the same document gets it."""
    maker = Maker()
    document = ApiDocument(maker.make)
    first, second = asyncio.create_task(document.read()), asyncio.create_task(document.read())
    await asyncio.sleep(0)
    first.cancel()
    maker.may_end.set()
    assert await second == b"{}"
    assert first.cancelled()
    assert maker.calls == 1


async def test_a_failure_is_not_remembered() -> None:
    """The next request tries again: a thread may be missing for a moment only."""
    failures = [RuntimeError("can't start new thread")]

    def make() -> bytes:
        if failures:
            raise failures.pop()
        return b"{}"

    document = ApiDocument(make)
    with pytest.raises(RuntimeError):
        await document.read()
    assert await document.read() == b"{}"
