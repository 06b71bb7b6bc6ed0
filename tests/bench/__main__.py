"""``make bench``: how many tokens one worker on one core issues, beside a handler that does nothing.

Everything is measured at the worker's own socket, without nginx, over 16 connections, in interleaved rounds.
"""

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from statistics import median
from typing import Any

from attrs import asdict

from tests.bench import installation
from tests.bench.bare import bare_server
from tests.bench.beside import EventLoad, run_beside
from tests.bench.cold import run_cold
from tests.bench.flood import run_flood
from tests.bench.load import Load, Target, basic, run_load, write_credentials
from tests.bench.report import BARE, EVENTS_BESIDE, TOKENS_BESIDE, beside_events, figures, table

LICENSES = 10_000
MEMBERS = 16
COLD_PER_ROUND = 48
FLOODED = 40
"""Members who sign in at home during the flood, and as many elsewhere."""

EVENT_LICENSES = 100
"""Licenses that pull in the events."""

WARM_UP = 2
"""Seconds of load before anything is counted."""

LICENSE, MEMBER, OTHER = "license tokens", "member passwords, warm", "the other server"
EVENTS = "registry events, alone"

Kinds = Mapping[str, tuple[Target, Path]]


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5, help="interleaved runs of each kind")
    parser.add_argument("--seconds", type=int, default=5, help="length of one run")
    parser.add_argument("--licenses", type=int, default=LICENSES, help="distinct licenses in Redis")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON there")
    other = parser.add_argument_group("measuring another token server instead")
    other.add_argument("--against", metavar="URL", help="its token endpoint, for example http://127.0.0.1:5001/auth")
    other.add_argument("--service", default="registry", help="the service parameter it expects")
    other.add_argument("--scope", default="repository:bench/worker:pull", help="the scope to ask for")
    other.add_argument("--credentials", type=Path, metavar="FILE", help="one user:password a line")
    chosen = parser.parse_args(argv)
    if chosen.against and not chosen.credentials:
        parser.error("--against needs --credentials FILE with accounts of that server, one user:password a line")
    return chosen


def cores() -> tuple[int | None, int | None]:
    """Return a core for the server and another one for the generator, or two times None when there is one only."""
    free = sorted(os.sched_getaffinity(0))
    return (free[0], free[-1]) if len(free) > 1 else (None, None)


def measure(kinds: Kinds, chosen: argparse.Namespace, events: EventLoad | None = None) -> list[dict[str, Load]]:
    """Return the runs of each kind, round by round, the bare handler in each; and license tokens beside events."""
    server_core, generator_core = cores()
    target, credentials = next(iter(kinds.values()))
    with bare_server(server_core, target.service, target.scope) as bare:
        all_kinds = {BARE: (bare, credentials), **kinds}
        for to, values in all_kinds.values():
            run_load(to, values, WARM_UP, generator_core)
        rounds = []
        for _ in range(chosen.rounds):
            runs = {
                kind: run_load(to, values, chosen.seconds, generator_core) for kind, (to, values) in all_kinds.items()
            }
            if events is not None:
                runs[EVENTS] = events.run(chosen.seconds, generator_core)
                both = run_beside(*kinds[LICENSE], events, runs[EVENTS], chosen.seconds, generator_core)
                runs[TOKENS_BESIDE], runs[EVENTS_BESIDE] = both
            rounds.append(runs)
        return rounds


def ours(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure one worker of ours."""
    with installation.installation(*cores()) as stack:
        known = installation.fill(stack, chosen.licenses, MEMBERS, COLD_PER_ROUND * chosen.rounds, FLOODED)
        target = installation.target(stack)
        kinds = {
            LICENSE: (target, write_credentials(folder / "licenses", known.licenses)),
            MEMBER: (target, write_credentials(folder / "members", known.members)),
        }
        subjects = [f"license:{one['id']}" for one in stack.json("license", "list", "--limit", str(EVENT_LICENSES))]
        rounds = measure(kinds, chosen, EventLoad.of(stack, subjects, folder, installation.REPOSITORY))
        resident = installation.resident_mebibytes(installation.worker(stack))
        at_home, elsewhere = run_flood(target, known.at_home, known.elsewhere)
        step = COLD_PER_ROUND
        cold = [run_cold(target, known.newcomers[at : at + step]) for at in range(0, len(known.newcomers), step)]
    return {
        "loads": figures(rounds),
        "beside_events": beside_events(rounds, LICENSE),
        "cold_argon2id_per_second": round(median(cold), 1),
        "flood": {"at home": asdict(at_home), "elsewhere": asdict(elsewhere)},
        "worker_mebibytes": round(resident, 1),
        "licenses": chosen.licenses,
    }


def theirs(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure another server, wherever it runs."""
    lines = chosen.credentials.read_text(encoding="utf-8").splitlines()
    values = [basic(*line.split(":", 1)) for line in lines if ":" in line]
    target = Target(chosen.against, chosen.service, chosen.scope)
    return {"loads": figures(measure({OTHER: (target, write_credentials(folder / "other", values))}, chosen))}


def main() -> None:
    """Measure, print a table, and write the figures as JSON."""
    chosen = arguments(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="asv-bench-") as folder:
        result = (theirs if chosen.against else ours)(chosen, Path(folder))
    result |= {"rounds": chosen.rounds, "seconds": chosen.seconds, "pinned": cores()[0] is not None}
    print(table(result))  # noqa: T201  what the command is for
    text = json.dumps(result, indent=2)
    if chosen.output is None:
        print(text)  # noqa: T201  same
    else:
        chosen.output.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
