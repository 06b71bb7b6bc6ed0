"""From runs to figures: medians, least processor times, ratios to the bare handler, and a table."""

import math
from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from attrs import asdict

from tests.bench.load import Load

BARE, BARE_ALONE, BARE_TWO = "bare handler", "bare handler, one connection", "bare handler, two processes"
SIGNED, SIGNED_ALONE = "bare handler that signs", "bare handler that signs, one connection"
LICENSE, LICENSE_ALONE, LICENSE_TWO = "license tokens", "license tokens, one connection", "license tokens, two workers"
MISS = "license tokens, not cached"
FILE, MEMBER = "license files", "member passwords, warm"
PERSONAL, SERVICE = "personal tokens", "service accounts"
EVENTS, OTHER = "registry events, alone", "the other server"
TOKENS_BESIDE, EVENTS_BESIDE = "license tokens beside events", "registry events, meanwhile"
MOST_MEBIBYTES = 110
"""That a worker should have at most when more licenses than it caches have asked."""

WIDTH = 41
GENERATOR_LIMIT = 0.9
"""Above this part of its core the generator may be what is measured."""

Round = Mapping[str, Load]
"""One run of each kind, made one after the other."""


def figures(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the medians of each kind over all rounds, the least processor time, and the ratios to the bare handler.

    The ratio of the rates is taken within its round first; of processor times the least count (:mod:`.ratios`).
    """
    return {
        kind: {
            **_medians([run[kind] for run in rounds]),
            **_processor_facts(rounds, kind),
            "to_bare": round(median(run[kind].per_second / run[BARE].per_second for run in rounds), 4),
            "rounds": [round(run[kind].per_second, 1) for run in rounds],
        }
        for kind in rounds[0]
    }


def least_processor(rounds: Sequence[Round], kind: str) -> float:
    """Return the least processor time that the server spent on a request of a kind, in microseconds."""
    return min(run[kind].processor or math.inf for run in rounds)


def _processor_facts(rounds: Sequence[Round], kind: str) -> dict[str, float | None]:
    """Return the least processor time, and its ratio to that of the bare handler; None if the server is elsewhere."""
    least = least_processor(rounds, kind)
    if math.isinf(least):
        return {"processor": None, "cpu_to_bare": None}
    return {"processor": round(least, 3), "cpu_to_bare": round(least / least_processor(rounds, BARE), 3)}


def beside_events(rounds: Sequence[Round]) -> dict[str, float]:
    """Return what events cost the tokens beside them: ratios to the tokens alone of the same round."""
    pairs = [(run[TOKENS_BESIDE], run[LICENSE]) for run in rounds]
    return {
        "cpu_ratio": round(median((one.processor or 0) / (other.processor or 1) for one, other in pairs), 3),
        "p50_ratio": round(median(one.p50 / other.p50 for one, other in pairs), 3),
        "p99_ratio": round(median(one.p99 / other.p99 for one, other in pairs), 3),
        "events_per_second": round(median(run[EVENTS_BESIDE].per_second for run in rounds), 1),
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the figures for a person."""
    titles = (("per second", 12), ("to bare", 10), ("p50 ms", 9), ("p99 ms", 9), ("not 2xx", 9), ("generator", 11))
    more = (("CPU µs", 9), ("to bare", 9))
    lines = [" " * WIDTH + "".join(f"{title:>{width}}" for title, width in (*titles, *more))]
    lines += [
        f"{kind:{WIDTH}}{f['per_second']:12,.0f}{f['to_bare']:10.3f}{f['p50']:9.2f}{f['p99']:9.2f}"
        f"{f['refused'] + f['broken']:9.0f}{f['generator']:11.0%}{_or_dash(f['processor'], 0)}"
        f"{_or_dash(f['cpu_to_bare'], 2)}"
        for kind, f in result["loads"].items()
    ]
    if "beside_events" in result:
        f = result["beside_events"]
        lines.append(
            f"beside {f['events_per_second']:.0f} events a second, to license tokens without: "
            f"CPU {f['cpu_ratio']:.2f}, p50 {f['p50_ratio']:.2f}, p99 {f['p99_ratio']:.2f}"
        )
    if "cold" in result:
        f = result["cold"]
        lines.append(f"{'cold Argon2id':{WIDTH}}{f['per_second']:12,.1f}{'':48}{f['cpu_us']:9,.0f}")
    lines += [
        f"{f'in a flood, {where}':{WIDTH}}{'':12}{'':10}{f['p50']:9.2f}{f['p99']:9.2f}{f['refused']:9.0f}"
        for where, f in result.get("flood", {}).items()
    ]
    return "\n".join([*lines, *_parts(result), *warnings(result)])


def _parts(result: Mapping[str, Any]) -> list[str]:
    """Return a line for each figure that stands alone."""
    lines = []
    if "worker_mebibytes" in result:
        lines.append(
            f"RSS of the worker after {result['licenses']:,} licenses: {result['worker_mebibytes']:.1f} MiB "
            f"(aim: at most {MOST_MEBIBYTES})"
        )
    if "roll" in result:
        f = result["roll"]
        lines.append(
            f"workers replaced by SIGHUP during {f['per_second']:,.0f} requests a second at nginx: {f['failed']:.0f} "
            f"failed (aim: 0), the slowest took {f['longest_ms']:.0f} ms"
        )
    if "pull" in result:
        f = result["pull"]
        lines.append(
            f"pull of {f['layers']} layers: {f['seconds']:.2f} s, of the bare registry {f['bare_seconds']:.2f} s; "
            f"token requests: {f['token_requests']}"
        )
    return lines


def missed_aims(result: Mapping[str, Any]) -> list[str]:
    """Return a line for each of these figures that misses its aim."""
    lines, resident, failed = [], result["worker_mebibytes"], result["roll"]["failed"]
    if resident > MOST_MEBIBYTES:
        lines.append(f"RSS of the worker: {resident:.1f} MiB are above its aim of {MOST_MEBIBYTES}")
    if failed:
        lines.append(f"workers replaced by SIGHUP: {failed:.0f} requests failed, and none should")
    return lines


def _or_dash(value: float | None, digits: int) -> str:
    return f"{'-' if value is None else f'{value:.{digits}f}':>9}"


def warnings(result: Mapping[str, Any]) -> list[str]:
    """Return why the figures may not mean what they seem to."""
    found = []
    for kind, facts in result["loads"].items():
        if facts["generator"] > GENERATOR_LIMIT:
            found.append(f"warning: {kind}: the generator used its whole core, so it may be the limit")
        if facts["refused"] or facts["broken"]:
            found.append(f"warning: {kind}: not every request got what it asked for")
    if not result["pinned"]:
        found.append("warning: one core only: server and generator share it")
    return found


def _medians(runs: Sequence[Load]) -> dict[str, float | None]:
    rows = [asdict(run) for run in runs]
    columns = {name: [row[name] for row in rows if row[name] is not None] for name in rows[0]}
    return {name: round(median(column), 3) if column else None for name, column in columns.items()}
