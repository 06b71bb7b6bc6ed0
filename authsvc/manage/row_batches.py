"""Rows of a file, a batch at a time: code shared by the import and the renewal of licenses."""

import asyncio
from collections.abc import Awaitable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

from authsvc.errors import InputRefused

T = TypeVar("T")

BATCH = 16
"""Rows that a worker looks up together and carries out concurrently, beside other requests."""

COMMAND_BATCH = 128
"""The same for a command, which does nothing else."""

GROUP = 16
"""Rows that are begun at once: the store works on them while the next ones are begun."""

MAX_ROWS = 100_000
"""Most rows of one file: the digests of their references take two megabytes."""


def batches(rows: Iterable[T], size: int = BATCH) -> Iterator[list[T]]:
    """Yield the rows in lists of at most ``size``."""
    rest = iter(rows)
    while batch := list(islice(rest, size)):
        yield batch


def check_row_count(count: int) -> None:
    """Accept the number of rows that were read so far.

    Raises:
        InputRefused: there are more than :data:`MAX_ROWS`.
    """
    if count > MAX_ROWS:
        raise InputRefused(f"a file has at most {MAX_ROWS:,} rows; split it", code="rows_too_many", field="rows")


async def finish_all(work: Iterable[Awaitable[object]]) -> None:
    """Wait for all of ``work``, even when some of it fails, so that a repetition finds what is done.

    When this is cancelled, so is what has begun, and nothing else begins.

    Raises:
        BaseException: the first failure.
    """
    tasks = list[asyncio.Task[object]]()
    try:
        for each in work:
            tasks.append(asyncio.ensure_future(each))
            if len(tasks) % GROUP == 0:
                await asyncio.sleep(0)
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
    for ended in await asyncio.gather(*tasks, return_exceptions=True):
        if isinstance(ended, BaseException):
            raise ended
