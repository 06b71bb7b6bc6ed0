"""Many requests at once, for as long as something else goes on."""

import threading
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from attrs import Factory, define

from tests.support.waiting import PATIENCE


@define
class Tally:
    """What came out.

    Attributes:
        results: how often each result was seen.
    """

    results: Counter[object] = Factory(Counter)
    _stop: threading.Event = Factory(threading.Event)
    _lock: threading.Lock = Factory(threading.Lock)

    def repeat(self, once: Callable[[], object], pause: float) -> None:
        """Do ``once`` until the end; an exception is a result too."""
        while not self._stop.wait(pause):
            try:
                result = once()
            except Exception as error:  # noqa: BLE001  whatever it is, the test wants to see it
                result = repr(error)
            with self._lock:
                self.results[result] += 1

    def stop(self) -> None:
        """Let everybody finish what they are doing."""
        self._stop.set()


@contextmanager
def meanwhile(once: Callable[[], object], *, threads: int = 1, pause: float = 0.0) -> Iterator[Tally]:
    """Do ``once`` over and over in ``threads`` threads during the block."""
    tally = Tally()
    crew = [threading.Thread(target=tally.repeat, args=(once, pause)) for _ in range(threads)]
    for member in crew:
        member.start()
    try:
        yield tally
    finally:
        tally.stop()
        for member in crew:
            member.join(PATIENCE)
        assert not any(member.is_alive() for member in crew)
