"""The measurement of linked images against real servers, with small blobs; no figure is asserted."""

import asyncio
from pathlib import Path

from tests.bench.linked import beside
from tests.bench.linked_beside import Waits
from tests.bench.linked_pulls import Cost
from tests.bench.linked_report import beside_ratios, figures, table
from tests.bench.linked_servers import PLAIN, PLAIN_CACHE, PLAIN_STREAMING
from tests.bench.linked_stack import AUTHSVC, HIT, MISS, NGINX, bench
from tests.support.http_client import ask
from tests.support.stack import Stack


def counted(stack: Stack, what: str) -> float:
    """Return what the server has counted of blobs."""
    text = ask(stack.inside, "GET", "/metrics").body.decode()
    (value,) = (line.split()[1] for line in text.splitlines() if line.startswith(f'{what}{{kind="blobs"}}'))
    return float(value)


def test_everything_is_measured(tmp_path: Path) -> None:
    """What is called fetched is fetched, and what is called cached is not; all who serve take some time."""
    with bench(tmp_path, 100_000) as running:
        rounds = [running.round(number, 2) for number in range(2)]
        assert (8, 4) == tuple(counted(running.stack, f"authsvc_proxy_{what}_total") for what in ("requests", "misses"))
        assert all({PLAIN, PLAIN_STREAMING, PLAIN_CACHE, MISS, HIT} == set(one) for one in rounds)
        assert {AUTHSVC, NGINX} == set(rounds[0][MISS].processor) == set(rounds[0][HIT].processor)
        assert all(spent > 0 for one in rounds for cost in one.values() for spent in cost.processor.values())
        assert {AUTHSVC, NGINX} == set(running.growth(0, 4, cached=True))
        found = asyncio.run(beside(running, rounds=1, seconds=0.3, pause=0.2))
    assert 6 == len(found)
    assert all(one["p50_ms"] > 0 for one in found.values())


def test_a_ratio_is_taken_within_its_round() -> None:
    """Of both servers together, to plain nginx."""
    rounds = [
        {PLAIN: Cost({NGINX: slow}, 100.0), MISS: Cost({NGINX: slow, AUTHSVC: 0.25 * slow}, 80.0)}
        for slow in (1.0, 9.0, 2.0)
    ]
    found = figures(rounds)[MISS]
    assert {"cpu_s_per_gib": 2.5, "authsvc_cpu_s_per_gib": 0.5, "to_plain": 1.25} == {
        name: found[name] for name in ("cpu_s_per_gib", "authsvc_cpu_s_per_gib", "to_plain")
    }


def test_waits_are_compared_within_their_round() -> None:
    """And the table has a line for everything."""
    alone = [Waits(slow, 10 * slow) for slow in (1.0, 50.0, 2.0)]
    waited = [Waits(1.5 * one.p50, 2 * one.p99) for one in alone]
    ratios = beside_ratios(waited, alone)
    assert {"p50_ms": 3.0, "p50_ratio": 1.5, "p99_ratio": 2.0} == ratios

    lines = table({"pulls": {}, "memory": {"200 pulls": {AUTHSVC: 1.25}}, "beside": {"tokens": ratios}}).splitlines()
    assert ["200", "pulls", "authsvc", "+1.2", "MiB"] == lines[1].split()
    assert lines[2].startswith("tokens ")
