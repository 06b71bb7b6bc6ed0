"""Running a container daemon of one's own, which begins in the foreground and answers some seconds later."""

import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.support.waiting import PATIENCE, until


@contextmanager
def daemon(
    command: Sequence[str], folder: Path, environ: Mapping[str, str], answers: Callable[[], bool]
) -> Iterator[None]:
    """Run ``command`` in ``folder`` until it answers, and for the length of a block; its output is in ``log`` there."""
    log = folder / "log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd=folder, env=environ
        )

    def lives_and_answers() -> bool:
        assert process.poll() is None, log.read_text(errors="replace")[-4000:]
        return answers()

    try:
        until(lives_and_answers, f"{command[0]} answers")
        yield
    finally:
        process.terminate()
        process.wait(PATIENCE)
