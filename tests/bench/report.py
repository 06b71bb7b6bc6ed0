"""From runs to figures: medians, ratios to the bare handler of the same round, and a table."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from attrs import asdict

from tests.bench.load import Load

BARE = "bare handler"
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


def table(result: Mapping[str, Any]) -> str:
    """Return the figures for a person."""
    titles = (("per second", 12), ("to bare", 10), ("p50 ms", 9), ("p99 ms", 9), ("not 2xx", 9), ("generator", 11))
    lines = [" " * 26 + "".join(f"{title:>{width}}" for title, width in (*titles, ("CPU µs", 9)))]
    lines += [
        f"{kind:26}{f['per_second']:12,.0f}{f['to_bare']:10.3f}{f['p50']:9.2f}{f['p99']:9.2f}"
        f"{f['refused'] + f['broken']:9.0f}{f['generator']:11.0%}"
        f"{'-' if f['processor'] is None else round(f['processor']):>9}"
        for kind, f in result["loads"].items()
    ]
    if "cold_argon2id_per_second" in result:
        lines.append(f"{'cold Argon2id':26}{result['cold_argon2id_per_second']:12,.1f}")
    lines += [
        f"{f'in a flood, {where}':26}{'':12}{'':10}{f['p50']:9.2f}{f['p99']:9.2f}{f['refused']:9.0f}"
        for where, f in result.get("flood", {}).items()
    ]
    if "worker_mebibytes" in result:
        lines.append(f"{'RSS of the worker, MiB':26}{result['worker_mebibytes']:12,.1f}")
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
