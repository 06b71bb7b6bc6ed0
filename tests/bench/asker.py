"""Asks for tokens one by one, in a process of its own: nothing that the measuring process does delays an answer.

It reads what to ask for from the first line of its standard input, goes on until that is closed, and writes how long
each answer took.
"""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from attrs import asdict

from tests.bench.flood import Answer, ask
from tests.bench.load import Target

PAUSE = 0.02
"""Seconds between two requests."""

ADDRESS = "192.0.2.1"


@asynccontextmanager
async def asking(target: Target, credentials: Sequence[str]) -> AsyncIterator[list[Answer]]:
    """Ask all the while; the answers are in the list when the context has ended."""
    answers: list[Answer] = []
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "tests.bench.asker", stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdin is not None
    process.stdin.write(f"{json.dumps([asdict(target), list(credentials)])}\n".encode())
    try:
        yield answers
    finally:
        process.stdin.close()
        said, _ = await process.communicate()
        answers += [Answer(*one) for one in json.loads(said)]


async def _ask_until_closed(target: Target, credentials: Sequence[str]) -> list[Answer]:
    closing = asyncio.create_task(asyncio.to_thread(sys.stdin.read))
    answers: list[Answer] = []
    while not closing.done():
        answers.append(await ask(target, (credentials[len(answers) % len(credentials)], ADDRESS)))
        await asyncio.sleep(PAUSE)
    return answers


def main() -> None:
    """Ask, and write the milliseconds and the status of each answer."""
    target, credentials = json.loads(sys.stdin.readline())
    answers = asyncio.run(_ask_until_closed(Target(**target), credentials))
    print(json.dumps([[answer.milliseconds, answer.status] for answer in answers]))  # noqa: T201  what it is for


if __name__ == "__main__":
    main()
