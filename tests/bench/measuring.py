"""The rounds of ``make bench``: a run of each kind of request, one after the other, again and again."""

from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Self

from attrs import frozen

from tests.bench import installation
from tests.bench.bare import PLAIN, SIGNING, bare_server
from tests.bench.beside import EventLoad, run_beside
from tests.bench.cold import Cold, run_cold
from tests.bench.installation import Credentials
from tests.bench.load import CONNECTIONS, Load, Target, run_load, write_credentials
from tests.bench.report import (
    BARE,
    BARE_ALONE,
    BARE_TWO,
    EVENTS,
    EVENTS_BESIDE,
    FILE,
    LICENSE,
    LICENSE_ALONE,
    LICENSE_TWO,
    MEMBER,
    MISS,
    OTHER,
    PERSONAL,
    SERVICE,
    SIGNED,
    SIGNED_ALONE,
    TOKENS_BESIDE,
)
from tests.bench.servers import further_server
from tests.support.stack import Stack

ASKED = 10_000
"""Licenses that ask in a run: fewer than a worker caches by default."""

FEW_CACHED = 256
"""Records that the worker caches that is to find none."""

PASSES = {LICENSE: 2, LICENSE_TWO: 4}
"""How often each license asks before anything is counted: the audit begins with a license's first request and groups
from the second one on, and of two workers each must have seen most licenses."""


@frozen
class Cores:
    """Where what is measured and the generator run; None for anywhere.

    Attributes:
        server: for the worker, or the bare handler.
        generator: for everything else.
    """

    server: int | None
    generator: int | None

    @classmethod
    def of(cls, free: Iterable[int]) -> Self:
        """Choose among the cores that this process may use."""
        known = sorted(free)
        return cls(known[0], known[-1]) if len(known) > 1 else cls(None, None)

    @property
    def both(self) -> tuple[int | None, int | None]:
        """For two workers; with two cores, the second one shares its core with the generator."""
        return (self.server, None if self.server is None else self.server + 1)


@frozen
class Kinds:
    """The files with the credentials of each kind of request.

    Attributes:
        licenses: registry tokens.
        others: files of other kinds that one worker is asked with.
        members: Authorization values for each round.
        folder: where the files are.
    """

    licenses: Path
    others: Mapping[str, Path]
    members: Sequence[Sequence[str]]
    folder: Path

    @classmethod
    def write(cls, known: Credentials, folder: Path) -> Self:
        """Write the files."""
        others = {FILE: known.files, PERSONAL: known.personal_tokens, SERVICE: known.service_accounts}
        return cls(
            write_credentials(folder / "licenses", known.licenses[:ASKED]),
            {kind: write_credentials(folder / kind.replace(" ", "-"), values) for kind, values in others.items()},
            known.members,
            folder,
        )


@frozen
class _Run:
    """How one kind of request is run."""

    target: Target
    credentials: Path
    connections: int = CONNECTIONS


def measure_ours(
    stack: Stack, kinds: Kinds, events: EventLoad, cores: Cores, rounds: int, seconds: int
) -> tuple[list[dict[str, Load]], list[Cold]]:
    """Return the runs of each kind, round by round, and what the first sign-ins of each round's members took.

    The members of a round sign in for the first time right before they are measured, since what a worker remembers of
    a password lasts for a minute.
    """
    target = installation.target(stack)
    with ExitStack() as running:
        bare, signed, bare_two = (
            running.enter_context(bare_server(on, target.service, target.scope, kind))
            for on, kind in (((cores.server,), PLAIN), ((cores.server,), SIGNING), (cores.both, PLAIN))
        )
        few = running.enter_context(
            further_server(stack, "few", (cores.server,), cores.generator, CACHED_RECORDS=str(FEW_CACHED))
        )
        two = running.enter_context(further_server(stack, "two", cores.both, cores.generator))
        runs = {
            BARE: _Run(bare, kinds.licenses),
            SIGNED: _Run(signed, kinds.licenses),
            LICENSE: _Run(target, kinds.licenses),
            MISS: _Run(few, kinds.licenses),
            BARE_ALONE: _Run(bare, kinds.licenses, connections=1),
            SIGNED_ALONE: _Run(signed, kinds.licenses, connections=1),
            LICENSE_ALONE: _Run(target, kinds.licenses, connections=1),
            **{kind: _Run(target, file) for kind, file in kinds.others.items()},
            BARE_TWO: _Run(bare_two, kinds.licenses),
            LICENSE_TWO: _Run(two, kinds.licenses),
        }
        _warm_up(runs, cores)
        found, colds = [], []
        for number in range(rounds):
            loads = _loads(runs, seconds, cores, number / rounds)
            colds.append(run_cold(target, kinds.members[number]))
            members = write_credentials(kinds.folder / "members", kinds.members[number])
            loads[MEMBER] = run_load(target, members, seconds, cores.generator)
            loads[EVENTS] = events.run(seconds, cores.generator)
            both = run_beside(target, kinds.licenses, events, loads[EVENTS], seconds, cores.generator)
            loads[TOKENS_BESIDE], loads[EVENTS_BESIDE] = both
            found.append(loads)
        return found, colds


def measure_others(target: Target, credentials: Path, cores: Cores, rounds: int, seconds: int) -> list[dict[str, Load]]:
    """Return the runs of another server, round by round, with the bare handler in each."""
    with bare_server((cores.server,), target.service, target.scope) as bare:
        runs = {BARE: _Run(bare, credentials), OTHER: _Run(target, credentials)}
        _warm_up(runs, cores)
        return [_loads(runs, seconds, cores, number / rounds) for number in range(rounds)]


def _warm_up(runs: Mapping[str, _Run], cores: Cores) -> None:
    """Ask for a second, or with all licenses, so that what is cached then is cached from the first round on."""
    for kind, run in runs.items():
        load = run_load(run.target, run.credentials, 1, cores.generator)
        if kind in PASSES:
            seconds = 1 + int(PASSES[kind] * _lines(run.credentials) / load.per_second)
            run_load(run.target, run.credentials, seconds, cores.generator)


def _loads(runs: Mapping[str, _Run], seconds: int, cores: Cores, part: float) -> dict[str, Load]:
    """Return a run of each kind, which begins after this part of its credentials."""
    return {
        kind: run_load(
            *(run.target, run.credentials, seconds, cores.generator, run.connections),
            first=int(part * _lines(run.credentials)),
        )
        for kind, run in runs.items()
    }


def _lines(file: Path) -> int:
    return len(file.read_text(encoding="ascii").splitlines())
