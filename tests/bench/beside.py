"""Tokens beside events of the registry: what a token costs while one registry process sends all that it can."""

import os
import secrets
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from attrs import evolve, frozen

from authsvc.keys.secrets_dir import load_event_bearers
from tests.bench import installation
from tests.bench.load import Load, Target, generate, run_load, write_lines
from tests.support.recorded_activity import inside_port
from tests.support.registry_events import EVENT, changed, notification
from tests.support.stack import Stack

SCRIPT = Path(__file__).with_name("events.lua")
TAGS = 50
EVENT_ID = "EVENT-ID"
"""In whose place the generator puts an id of its own."""


@frozen
class EventLoad:
    """Sends events, one after the other, as a registry process does.

    Attributes:
        url: of the inside listener.
        bodies: file with the bearer and the events.
        process: the worker.
    """

    url: str
    bodies: Path
    process: int

    @classmethod
    def of(cls, stack: Stack, subjects: Sequence[str], folder: Path, repository: str) -> "EventLoad":
        """Prepare pulls of 50 tags of a repository by ``subjects``."""
        now = datetime.now(UTC).isoformat()
        bodies = [
            notification(
                {
                    **changed("target", repository=repository, tag=f"t{number % TAGS}"),
                    "id": EVENT_ID,
                    "timestamp": now,
                    "request": EVENT["request"],
                    "actor": {"name": subject},
                }
            ).decode()
            for number, subject in enumerate(subjects)
        ]
        bearer = load_event_bearers(stack.data_dir / "secrets")[0]
        bodies_file = write_lines(folder / "events", [bearer, *bodies])
        return cls(f"http://127.0.0.1:{inside_port(stack)}/", bodies_file, installation.worker(stack))

    def run(self, seconds: int, core: int | None) -> Load:
        """Send for so many seconds."""
        arguments = (str(self.bodies), f"{os.getpid()}-{secrets.token_hex(4)}")
        return generate(SCRIPT, self.url, arguments, seconds, core, connections=1, processes=(self.process,))


def run_beside(
    target: Target, credentials: Path, events: EventLoad, alone: Load, seconds: int, core: int | None
) -> tuple[Load, Load]:
    """Ask for tokens while events are sent; return both loads.

    The worker's time is shared out: an event costs what it cost in ``alone``, without tokens, and the rest is the
    tokens'.
    """
    with ThreadPoolExecutor(1) as threads:
        sending = threads.submit(events.run, seconds, core)
        tokens = run_load(target, credentials, seconds, core)
        sent = sending.result()
    if tokens.processor is None or alone.processor is None:
        return tokens, sent
    share = alone.processor * sent.per_second / tokens.per_second
    return evolve(tokens, processor=tokens.processor - share), evolve(sent, processor=alone.processor)
