"""``make mutation``: whether the unit tests of the modules that guard security notice small mistakes in them.

A runner of its own, since mutmut and cosmic-ray bring dozens of packages and rewrite source files, and 300 lines over
``ast`` do for ten modules.
"""

import argparse
import os
import random
import sys

from tests.mutation.mutants import mutants
from tests.mutation.score import TrialError, Trials, report, score
from tests.mutation.targets import TARGETS, equivalent_mutants

LEAST = 85
"""Per cent of the mutants that must be killed."""


def arguments(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(prog="make mutation", description=__doc__)
    parser.add_argument("modules", nargs="*", metavar="MODULE", help="such as authsvc.policy; all without any")
    parser.add_argument("--all", action="store_true", help="every mutant, not a sample: may take an hour")
    parser.add_argument("--sample", type=int, default=10, help="mutants of each module")
    parser.add_argument("--seed", default="0", help="another seed chooses other mutants")
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1, help="trials at a time")
    return parser.parse_args(argv)


def main(argv: list[str]) -> int:
    """Try mutants; return 1 when too many survive."""
    chosen = arguments(argv)
    equivalent = equivalent_mutants()
    pairs = []
    for target in TARGETS:
        if chosen.modules and target.module not in chosen.modules:
            continue
        known = equivalent.get(target.module, set())
        every = [one for one in mutants(target.path.read_text(encoding="utf-8")) if one.key not in known]
        if not chosen.all:
            draw = random.Random(f"{chosen.seed} {target.module}")
            every = sorted(draw.sample(every, min(chosen.sample, len(every))), key=lambda one: one.line)
        pairs += [(target, one) for one in every]
    try:
        results = list(Trials(chosen.workers).results(pairs))
    except TrialError as error:
        print(f"mutation: {error}", file=sys.stderr)  # noqa: T201
        return 2
    report(results, print)
    if score(results) < LEAST:
        print(f"mutation: fewer than {LEAST} % were killed", file=sys.stderr)  # noqa: T201
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
