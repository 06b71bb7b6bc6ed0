"""The threads that check passwords, and how long that takes."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

from typing_extensions import override

from authsvc.metrics.catalogue import PASSWORD_SECONDS, PASSWORDS_RUNNING
from authsvc.metrics.shared_metrics import Slot

T = TypeVar("T")


class CountedThreads(ThreadPoolExecutor):
    """A pool that counts what runs, and how long it took. Its threads share a slot, so under a lock."""

    def __init__(self, threads: int, slot: Slot) -> None:
        """Run at most ``threads`` at once, and count into ``slot``."""
        super().__init__(threads, thread_name_prefix="argon2")
        self._slot = slot
        self._counting = threading.Lock()

    @override
    def submit(self, fn: Callable[..., T], /, *args: Any, **kwargs: Any) -> Future[T]:
        """Run ``fn`` in a thread."""

        def counted() -> T:
            began = time.monotonic()
            with self._counting:
                self._slot.inc(PASSWORDS_RUNNING)
            try:
                return fn(*args, **kwargs)
            finally:
                with self._counting:
                    self._slot.inc(PASSWORDS_RUNNING, by=-1)
                    self._slot.observe(PASSWORD_SECONDS, time.monotonic() - began)

        return super().submit(counted)
