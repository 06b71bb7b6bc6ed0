"""From runs to figures: medians, ratios to the bare handler of the same round, and a table."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from attrs import asdict

from tests.bench.load import Load

BARE = "bare handler"
TOKENS_BESIDE, EVENTS_BESIDE = "license tokens beside events", "registry events, meanwhile"
GENERATOR_LIMIT = 0.9
"""Above this part of its core the generator may be what is measured."""

Round = Mapping[str, Load]
"""One run of each kind, made one after the other."""


def figures(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the medians of each kind over all rounds; a ratio is taken within its round first.

    Noise of a shared machine lasts longer than a round, so it meets both sides of a ratio.
    """
    return {
        kind: {
            **_medians([run[kind] for run in rounds]),
            "to_bare": round(median(run[kind].per_second / run[BARE].per_second for run in rounds), 4),
            "rounds": [round(run[kind].per_second, 1) for run in rounds],
        }
        for kind in rounds[0]
    }


def beside_events(rounds: Sequence[Round], alone: str) -> dict[str, float]:
    """Return what events cost the tokens beside them: ratios to the tokens ``alone`` of the same round."""
    pairs = [(run[TOKENS_BESIDE], run[alone]) for run in rounds]
    return {
        "cpu_ratio": round(median((one.processor or 0) / (other.processor or 1) for one, other in pairs), 3),
        "p50_ratio": round(median(one.p50 / other.p50 for one, other in pairs), 3),
        "p99_ratio": round(median(one.p99 / other.p99 for one, other in pairs), 3),
        "events_per_second": round(median(run[EVENTS_BESIDE].per_second for run in rounds), 1),
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the figures for a person."""
    titles = (("per second", 12), ("to bare", 10), ("p50 ms", 9), ("p99 ms", 9), ("not 2xx", 9), ("generator", 11))
    lines = [" " * 30 + "".join(f"{title:>{width}}" for title, width in (*titles, ("CPU µs", 9)))]
    lines += [
        f"{kind:30}{f['per_second']:12,.0f}{f['to_bare']:10.3f}{f['p50']:9.2f}{f['p99']:9.2f}"
        f"{f['refused'] + f['broken']:9.0f}{f['generator']:11.0%}"
        f"{'-' if f['processor'] is None else round(f['processor']):>9}"
        for kind, f in result["loads"].items()
    ]
    if "beside_events" in result:
        f = result["beside_events"]
        lines.append(
            f"beside {f['events_per_second']:.0f} events a second, to license tokens without: "
            f"CPU {f['cpu_ratio']:.2f}, p50 {f['p50_ratio']:.2f}, p99 {f['p99_ratio']:.2f}"
        )
    if "cold_argon2id_per_second" in result:
        lines.append(f"{'cold Argon2id':30}{result['cold_argon2id_per_second']:12,.1f}")
    lines += [
        f"{f'in a flood, {where}':30}{'':12}{'':10}{f['p50']:9.2f}{f['p99']:9.2f}{f['refused']:9.0f}"
        for where, f in result.get("flood", {}).items()
    ]
    if "worker_mebibytes" in result:
        lines.append(f"{'RSS of the worker, MiB':30}{result['worker_mebibytes']:12,.1f}")
    return "\n".join([*lines, *warnings(result)])


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
