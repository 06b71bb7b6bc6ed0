"""``make bench-events``: 50,000 events of the registry, 30 % of them duplicates and 20 % out of order.

A sender, as a registry process, sends one event in one request over a connection of its own, and the next one after
the answer; after a 503 it sends the same again. A license holder asks for a token every 20 ms, from a process of its
own, in rounds: some seconds without events, then with a part of them, so that the noise of a shared machine meets both.
It fails when one event is lost or counted twice, or when the slowest tokens wait more than twice as long.
"""

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from random import Random
from typing import Any

import aiohttp
from redis import Redis

from authsvc.activity.kinds import ActivityKind
from authsvc.keys.secrets_dir import load_event_bearers
from tests.bench import installation
from tests.bench.asker import asking
from tests.bench.flood import Answer, Waited
from tests.bench.measuring import Cores
from tests.support.recorded_activity import inside_port, recorded, redis_url
from tests.support.registry_events import Record, disordered, notification, random_events
from tests.support.stack import Stack

LICENSES = 100
ROUNDS = 5
IDLE_SECONDS = 4.0
RETRY_PAUSE = 0.05
MOST_RATIO = 2.0
"""To which the slowest hundredth of the tokens may be slower with events than without."""

KINDS = {
    ("pull", "GET"): ActivityKind.PULL,
    ("pull", "HEAD"): ActivityKind.HEAD,
    ("push", "PUT"): ActivityKind.PUSH,
}


async def send(stack: Stack, events: Sequence[Record]) -> Counter[str]:
    """Send events as a registry does, and return what became of them, with how many answers were 503."""
    (bearer, *_), found = load_event_bearers(stack.data_dir / "secrets"), Counter[str]()
    url, headers = f"http://127.0.0.1:{inside_port(stack)}/events/registry", {"Authorization": f"Bearer {bearer}"}
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(force_close=True)) as session:
        for event in events:
            while True:
                async with session.post(url, data=notification(event), headers=headers) as reply:
                    if reply.status == 200:
                        found.update(await reply.json())
                        break
                    found[str(reply.status)] += 1
                await asyncio.sleep(RETRY_PAUSE)
    return found


async def flooded(stack: Stack, events: Sequence[Record], credentials: Sequence[str], senders: int) -> dict[str, Any]:
    """Send all events, and return the figures."""
    target, process = installation.target(stack), installation.worker(stack)
    answers, seconds, used = Counter[str](), 0.0, 0.0
    without: list[Answer] = []
    beside: list[Answer] = []
    for part in range(ROUNDS):
        async with asking(target, credentials) as waited:
            await asyncio.sleep(IDLE_SECONDS)
        without += waited
        sent = events[len(events) * part // ROUNDS : len(events) * (part + 1) // ROUNDS]
        async with asking(target, credentials) as waited:
            processor, began = processor_seconds(process), time.monotonic()
            found = await asyncio.gather(*(send(stack, sent[sender::senders]) for sender in range(senders)))
            seconds += time.monotonic() - began
            used += processor_seconds(process) - processor
        beside += waited
        answers = sum(found, answers)
    idle, meanwhile = Waited.of(without), Waited.of(beside)
    return {
        "events": len(events),
        "per_second": round(len(events) / seconds),
        "answers": dict(answers),
        "worker_seconds_per_1000": round(used / len(events) * 1000, 2),
        "tokens": {"idle": len(without), "meanwhile": len(beside)},
        "token_p50_ms": {"idle": idle.p50, "meanwhile": meanwhile.p50, "ratio": round(meanwhile.p50 / idle.p50, 2)},
        "token_p99_ms": {"idle": idle.p99, "meanwhile": meanwhile.p99, "ratio": round(meanwhile.p99 / idle.p99, 2)},
        "tokens_refused": idle.refused + meanwhile.refused,
    }


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has used (proc(5), ``utime`` and ``stime``), tokens included."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / 100


def used_memory(stack: Stack) -> int:
    """Return the bytes that Redis uses."""
    with Redis.from_url(redis_url(stack)) as client:
        return int(client.info("memory")["used_memory"])


def main() -> None:
    """Measure, compare with an independent count, and fail when they differ."""
    parser = argparse.ArgumentParser(prog="make bench-events", description=__doc__)
    parser.add_argument("--events", type=int, default=50_000, help="how many are sent, duplicates included")
    parser.add_argument("--senders", type=int, default=1, help="registry processes")
    chosen = parser.parse_args()
    chance, now = Random(10), datetime.now(UTC)
    cores = Cores.of(os.sched_getaffinity(0))
    with installation.installation(cores.server, cores.generator) as stack:
        credentials = installation.fill(stack, LICENSES, 0, 0).licenses
        subjects = [f"license:{one['id']}" for one in stack.json("license", "list", "--app", installation.APP)]
        distinct = random_events(chance, installation.REPOSITORY, "", chosen.events * 7 // 10, now)
        for event in distinct:
            event["actor"] = {"name": chance.choice(subjects)}
        repeated = chance.choices(distinct, k=chosen.events - len(distinct))
        memory = used_memory(stack)
        events = disordered(chance, [*distinct, *repeated])
        found = asyncio.run(flooded(stack, events, credentials, chosen.senders))
        found["redis_bytes_per_event"] = round((used_memory(stack) - memory) / len(distinct))
        counted = recorded(stack, installation.APP)
    expected = Counter(KINDS[event["action"], event["request"]["method"]] for event in distinct)
    found |= {"lost": (expected - counted).total(), "doubled": (counted - expected).total()}
    print(json.dumps(found, indent=2))  # noqa: T201  what the command is for
    if found["lost"] or found["doubled"] or found["token_p99_ms"]["ratio"] > MOST_RATIO:
        sys.exit(1)


if __name__ == "__main__":
    main()
