"""From runs of linked pulls to figures: medians, ratios to plain nginx of the same round, and a table."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from tests.bench.linked_beside import Waits
from tests.bench.linked_pulls import Cost
from tests.bench.linked_servers import PLAIN
from tests.bench.linked_stack import AUTHSVC

Round = Mapping[str, Cost]


def figures(rounds: Sequence[Round]) -> dict[str, Any]:
    """Return for each kind of pull the processor seconds for a GiB, together and of authsvc, their ratio, the rate."""
    return {
        kind: {
            "cpu_s_per_gib": round(median(_all(run[kind]) for run in rounds), 3),
            "authsvc_cpu_s_per_gib": round(median(run[kind].processor.get(AUTHSVC, 0.0) for run in rounds), 4),
            "to_plain": round(median(_all(run[kind]) / _all(run[PLAIN]) for run in rounds), 3),
            "rounds_to_plain": [round(_all(run[kind]) / _all(run[PLAIN]), 3) for run in rounds],
            "mib_per_second": round(median(run[kind].mebibytes for run in rounds), 1),
        }
        for kind in rounds[0]
    }


def _all(cost: Cost) -> float:
    return sum(cost.processor.values())


def beside_ratios(beside: Sequence[Waits], alone: Sequence[Waits]) -> dict[str, float]:
    """Return how long requests took beside others, to how long they took alone in the same round."""
    return {
        "p50_ms": round(median(one.p50 for one in beside), 2),
        "p50_ratio": round(median(one.p50 / other.p50 for one, other in zip(beside, alone, strict=True)), 3),
        "p99_ratio": round(median(one.p99 / other.p99 for one, other in zip(beside, alone, strict=True)), 3),
    }


def table(result: Mapping[str, Any]) -> str:
    """Return the figures for a person."""
    lines = [f"{'':34}{'CPU s/GiB':>11}{'authsvc':>10}{'to plain':>10}{'MiB/s':>9}"]
    lines += [
        f"{kind:34}{f['cpu_s_per_gib']:11.3f}{f['authsvc_cpu_s_per_gib']:10.4f}{f['to_plain']:10.2f}"
        f"{f['mib_per_second']:9.0f}"
        for kind, f in result["pulls"].items()
    ]
    lines += [
        f"{what:34}" + "".join(f"  {name} {mebibytes:+.1f} MiB" for name, mebibytes in growth.items())
        for what, growth in result["memory"].items()
    ]
    lines += [
        f"{what:46}p50 {f['p50_ms']:.2f} ms, p50 {f['p50_ratio']:.2f} and p99 {f['p99_ratio']:.2f} times as long"
        for what, f in result["beside"].items()
    ]
    return "\n".join(lines)
