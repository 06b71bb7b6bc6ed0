"""``make bench``: what a token costs one worker on one core, beside a handler that does nothing.

Everything is measured at the worker's own socket, without nginx unless it says so, in interleaved rounds. The exit code
is 1 when a ratio is more than 15 % above the recorded one.
"""

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from statistics import median
from typing import Any

from attrs import asdict

from tests.bench import installation, ratios
from tests.bench.beside import EventLoad
from tests.bench.flood import run_flood
from tests.bench.load import Target, basic, run_load, write_credentials
from tests.bench.measuring import Cores, Kinds, measure_others, measure_ours
from tests.bench.pulls import facts, run_pulls
from tests.bench.report import beside_events, figures, missed_aims, table
from tests.bench.roll import run_roll

LICENSES = 20_000
MEMBERS = 100
FLOODED = 40
"""Members who sign in at home during the flood, and as many elsewhere."""

EVENT_LICENSES = 100
"""Licenses that pull in the events."""

ROLL_SECONDS = 10
PULLS = 7
"""Pairs of pulls."""

QUICK = {"rounds": 1, "seconds": 1, "licenses": 600, "members": 16, "flooded": 4, "pairs": 1, "roll": 5}
"""With ``--quick``: whether it works at all."""


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--rounds", type=int, default=15, help="interleaved runs of each kind")
    parser.add_argument("--seconds", type=int, default=1, help="length of one run")
    parser.add_argument("--licenses", type=int, default=LICENSES, help="distinct licenses in Redis")
    parser.add_argument("--output", type=Path, metavar="FILE", help="write the figures as JSON there")
    parser.add_argument("--record", action="store_true", help="record the ratios, for later runs to be compared with")
    parser.add_argument("--quick", action="store_true", help="one short round, which is compared with nothing")
    other = parser.add_argument_group("measuring another token server instead")
    other.add_argument("--against", metavar="URL", help="its token endpoint, for example http://127.0.0.1:5001/auth")
    other.add_argument("--service", default="registry", help="the service parameter it expects")
    other.add_argument("--scope", default="repository:bench/worker:pull", help="the scope to ask for")
    other.add_argument("--credentials", type=Path, metavar="FILE", help="one user:password a line")
    parser.set_defaults(members=MEMBERS, flooded=FLOODED, pairs=PULLS, roll=ROLL_SECONDS)
    chosen = parser.parse_args(argv)
    if chosen.against and not chosen.credentials:
        parser.error("--against needs --credentials FILE with accounts of that server, one user:password a line")
    if chosen.record and (chosen.against or chosen.quick):
        parser.error("--record is for a whole run of authsvc: leave out --against and --quick")
    if chosen.quick:
        vars(chosen).update(QUICK)
    return chosen


def ours(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure authsvc."""
    cores = Cores.of(os.sched_getaffinity(0))
    with installation.installation(cores.server, cores.generator) as stack:
        known = installation.fill(stack, chosen.licenses, chosen.members, chosen.rounds, chosen.flooded)
        subjects = [f"license:{one['id']}" for one in stack.json("license", "list", "--limit", str(EVENT_LICENSES))]
        events = EventLoad.of(stack, subjects, folder, installation.REPOSITORY)
        rounds, colds = measure_ours(stack, Kinds.write(known, folder), events, cores, chosen.rounds, chosen.seconds)
        target = installation.target(stack)
        every = write_credentials(folder / "every", known.licenses)
        run_load(target, every, max(chosen.seconds, chosen.licenses // 1000), cores.generator)
        resident = installation.resident_mebibytes(installation.worker(stack))
        at_home, elsewhere = run_flood(target, known.at_home, known.elsewhere)
        pulls = run_pulls(stack, chosen.pairs)
        roll = run_roll(stack, every, chosen.roll, cores.generator)
    others = {
        ratios.COLD: ([one.processor for one in colds], [one.alone for one in colds]),
        ratios.PULL: (pulls.seconds, pulls.bare_seconds),
    }
    return {
        "loads": figures(rounds),
        "ratios": ratios.ratios(rounds, others),
        "beside_events": beside_events(rounds),
        "cold": {
            "per_second": round(median(one.per_second for one in colds), 1),
            "cpu_us": round(median(one.processor for one in colds)),
        },
        "flood": {"at home": asdict(at_home), "elsewhere": asdict(elsewhere)},
        "worker_mebibytes": round(resident, 1),
        "pull": facts(pulls),
        "roll": {
            "per_second": round(roll.per_second, 1),
            "failed": roll.refused + roll.broken,
            "longest_ms": round(roll.longest),
        },
        "licenses": chosen.licenses,
    }


def theirs(chosen: argparse.Namespace, folder: Path) -> dict[str, Any]:
    """Measure another server, wherever it runs."""
    lines = chosen.credentials.read_text(encoding="utf-8").splitlines()
    values = [basic(*line.split(":", 1)) for line in lines if ":" in line]
    target = Target(chosen.against, chosen.service, chosen.scope)
    credentials = write_credentials(folder / "other", values)
    cores = Cores.of(os.sched_getaffinity(0))
    return {"loads": figures(measure_others(target, credentials, cores, chosen.rounds, chosen.seconds))}


def compare(result: dict[str, Any], chosen: argparse.Namespace) -> int:
    """Print the ratios, record them or compare them with what was recorded, and return the exit code."""
    measured = result["ratios"]
    recorded = ratios.read_baseline(ratios.BASELINE)
    print(f"\n{ratios.table(measured, recorded)}")  # noqa: T201  what the command is for
    for line in (*ratios.missed_aims(measured), *missed_aims(result)):
        print(f"aim missed: {line}")  # noqa: T201  same
    if chosen.record:
        ratios.write_baseline(ratios.BASELINE, measured)
        print(f"recorded in {ratios.BASELINE.name}")  # noqa: T201  same
        return 0
    if chosen.quick:
        print("not compared with the recorded ratios: the run was too short")  # noqa: T201  same
        return 0
    found = ratios.worse(measured, recorded)
    for line in found:
        sys.stderr.write(f"worse than recorded: {line}\n")
    return int(bool(found))


def main() -> int:
    """Measure, print tables, write the figures as JSON, and return the exit code."""
    chosen = arguments(sys.argv[1:])
    with tempfile.TemporaryDirectory(prefix="asv-bench-") as folder:
        result = (theirs if chosen.against else ours)(chosen, Path(folder))
    pinned = Cores.of(os.sched_getaffinity(0)).server is not None
    result |= {"rounds": chosen.rounds, "seconds": chosen.seconds, "pinned": pinned}
    text = json.dumps(result, indent=2, ensure_ascii=False)
    if chosen.output is None:
        print(text)  # noqa: T201  what the command is for
    else:
        chosen.output.write_text(f"{text}\n", encoding="utf-8")
    print(table(result))  # noqa: T201  same
    return compare(result, chosen) if "ratios" in result else 0


if __name__ == "__main__":
    sys.exit(main())
