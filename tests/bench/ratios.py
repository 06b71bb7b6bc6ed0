"""The ratios that ``make bench`` is about, their aims, and what was recorded of them before.

Each divides the least processor time of one kind, of all rounds, by the least of another one. Other work on a shared
machine only adds to it, mostly by emptying the processor's caches, and adds more to a server with more code; so medians
of two runs differed by a fifth where these differ by a twentieth. Figures of one machine say nothing about another one;
ratios nearly do. What the server itself does every few seconds, such as writing uses of credentials, is in some rounds
only, and so is left out.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from attrs import frozen

from tests.bench.report import (
    BARE,
    BARE_ALONE,
    BARE_TWO,
    FILE,
    LICENSE,
    LICENSE_ALONE,
    LICENSE_TWO,
    MEMBER,
    MISS,
    PERSONAL,
    SERVICE,
    SIGNED,
    SIGNED_ALONE,
    TOKENS_BESIDE,
    Round,
    least_processor,
)

BASELINE = Path(__file__).with_name("baseline.json")
TOLERANCE = 1.15
"""How many times the recorded ratio a ratio may be."""

COLD, PULL = "cold Argon2id ÷ the hash alone", "pull ÷ bare registry"
TWO_WORKERS = "two workers ÷ one, to the same of the bare handler"


@frozen
class CpuRatio:
    """The processor time of a request of one kind, divided by that of a request of another kind.

    Attributes:
        above: kind of requests.
        below: kind of requests.
        aim: that it should not exceed; None for none.
    """

    above: str
    below: str
    aim: float | None = None

    @property
    def name(self) -> str:
        """How it is printed and recorded."""
        return f"{self.above} ÷ {self.below}"


CPU_RATIOS = (
    CpuRatio(LICENSE, BARE, 6.2),
    CpuRatio(LICENSE, SIGNED, 3.2),
    CpuRatio(LICENSE_ALONE, BARE_ALONE, 4.5),
    CpuRatio(LICENSE_ALONE, SIGNED_ALONE),
    CpuRatio(FILE, LICENSE),
    CpuRatio(MEMBER, LICENSE, 1.6),
    CpuRatio(PERSONAL, LICENSE, 1.6),
    CpuRatio(SERVICE, LICENSE, 1.6),
    CpuRatio(MISS, LICENSE, 1.6),
    CpuRatio(TOKENS_BESIDE, LICENSE),
)

AIMS: Mapping[str, float] = {
    **{one.name: one.aim for one in CPU_RATIOS if one.aim is not None},
    TWO_WORKERS: 1.05,
    PULL: 1.05,
}


def ratios(rounds: Sequence[Round], others: Mapping[str, tuple[Sequence[float], Sequence[float]]]) -> dict[str, float]:
    """Return each ratio.

    Args:
        rounds: the runs; a ratio of which one side was not run is left out.
        others: ratios that do not come from these runs, by their name: the figures above and below, of each round.
    """
    found = {
        one.name: least_processor(rounds, one.above) / least_processor(rounds, one.below)
        for one in CPU_RATIOS
        if {one.above, one.below} <= rounds[0].keys()
    }
    if {LICENSE_TWO, BARE_TWO} <= rounds[0].keys():
        of_two, of_two_bare = (
            least_processor(rounds, two) / least_processor(rounds, one)
            for two, one in ((LICENSE_TWO, LICENSE), (BARE_TWO, BARE))
        )
        found[TWO_WORKERS] = of_two / of_two_bare
    return {
        name: round(value, 3)
        for name, value in {
            **found,
            **{name: min(above) / min(below) for name, (above, below) in others.items()},
        }.items()
    }


def missed_aims(measured: Mapping[str, float]) -> list[str]:
    """Return a line for each ratio that exceeds its aim."""
    return [
        f"{name}: {value:.2f} is above its aim of {AIMS[name]:.2f}"
        for name, value in measured.items()
        if name in AIMS and value > AIMS[name]
    ]


def worse(measured: Mapping[str, float], recorded: Mapping[str, float]) -> list[str]:
    """Return a line for each ratio that is worse than recorded, or that was not both measured and recorded."""
    lines = []
    for name in dict.fromkeys((*recorded, *measured)):
        if name not in measured:
            lines.append(f"{name}: recorded, but not measured; record new ratios")
        elif name not in recorded:
            lines.append(f"{name}: not recorded; record new ratios")
        elif measured[name] > TOLERANCE * recorded[name]:
            lines.append(
                f"{name}: {measured[name]:.3f} is {measured[name] / recorded[name] - 1:.0%} above "
                f"the recorded {recorded[name]:.3f}"
            )
    return lines


def read_baseline(path: Path) -> dict[str, float]:
    """Return the recorded ratios."""
    recorded: dict[str, float] = json.loads(path.read_text(encoding="utf-8"))
    return recorded


def write_baseline(path: Path, measured: Mapping[str, float]) -> None:
    """Record ratios."""
    path.write_text(json.dumps(measured, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def table(measured: Mapping[str, float], recorded: Mapping[str, float]) -> str:
    """Return the ratios for a person, beside their aims and what was recorded."""
    lines = [f"{'ratio':64}{'now':>8}{'aim':>8}{'recorded':>10}"]
    for name, value in measured.items():
        aim = f"≤ {AIMS[name]:.2f}" if name in AIMS else ""
        before = f"{recorded[name]:.2f}" if name in recorded else ""
        lines.append(f"{name:64}{value:8.2f}{aim:>8}{before:>10}")
    return "\n".join(lines)
