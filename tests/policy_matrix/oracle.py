"""What must be answered: reads table.toml, and knows nothing of authsvc. The standard library alone."""

import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("table.toml")

LETTERS = {"P": "pull", "U": "push", "D": "delete"}
COUNTS, DENIED, UNAUTHORIZED = "counts", "DENIED", "UNAUTHORIZED"


_TYPED = re.compile(r"[a-z]+(?:\([a-z]+\))?:")
"""How a relation begins that is no plain repository."""


class TableError(Exception):
    """The table has a hole, or names something that is not in it."""


@dataclass(frozen=True)
class Cell:
    """One question: who, in which state, asks for what, where."""

    subject: str
    state: str
    relation: str
    actions: str

    @property
    def scope(self) -> str:
        """The question as it stands in a token request."""
        typed = _TYPED.match(self.relation) is not None
        return f"{self.relation if typed else f'repository:{self.relation}'}:{self.actions}"


@dataclass(frozen=True)
class Answer:
    """What must come back.

    Attributes:
        account: ``counts``, ``DENIED`` or ``UNAUTHORIZED``.
        granted: actions; none unless the account counts.
    """

    account: str
    granted: frozenset[str] = frozenset()


@dataclass(frozen=True)
class Oracle:
    """The table, complete.

    Attributes:
        world: teams and apps.
        subjects: the facts of each, by name.
        rights: the letters, by subject and relation.
        relations: in the table's order.
        actions: asked text → letters.
        states: kind of subject → state → answer.
        unreal: relations that no HTTP request can carry.
        momentary: states that no request can meet.
    """

    world: Mapping[str, Any]
    subjects: Mapping[str, Mapping[str, Any]]
    rights: Mapping[tuple[str, str], frozenset[str]]
    relations: tuple[str, ...]
    actions: Mapping[str, frozenset[str]]
    states: Mapping[str, Mapping[str, str]]
    unreal: frozenset[str]
    momentary: frozenset[str]

    def cells(self) -> Iterator[Cell]:
        """Yield every question."""
        for subject, facts in self.subjects.items():
            for state in self.states[facts["kind"]]:
                for relation in self.relations:
                    for actions in self.actions:
                        yield Cell(subject, state, relation, actions)

    def answer(self, cell: Cell) -> Answer:
        """Return what must come back."""
        account = self.states[self.subjects[cell.subject]["kind"]][cell.state]
        if account != COUNTS:
            return Answer(account)
        rights = self.rights[cell.subject, cell.relation]
        granted = self.actions[cell.actions] & rights
        # Every client reads while it pushes, so pull comes along with push.
        return Answer(account, granted | (rights & {"pull"}) if "push" in granted else granted)


def load(text: str) -> Oracle:
    """Return the table in ``text``.

    Raises:
        TableError: a row, a column or a value is missing, doubled or unknown.
    """
    table = tomllib.loads(text)
    rights: dict[tuple[str, str], frozenset[str]] = {}
    relations: tuple[str, ...] = ()
    for name, grid in table["rights"].items():
        rows = _rows(name, grid, rights)
        if relations not in {(), rows}:
            raise TableError(f"the rows of {name} are not those of the grid before it")
        relations = rows
    if {subject for subject, _ in rights} != set(table["subjects"]):
        raise TableError("the columns are not the subjects")
    unreal = frozenset(table["unreal"]["relations"])
    momentary = frozenset(table["unreal"]["states"]["momentary"])
    kinds = {facts["kind"] for facts in table["subjects"].values()}
    states = {state for of_kind in table["states"].values() for state in of_kind}
    answers = {answer for of_kind in table["states"].values() for answer in of_kind.values()}
    if kinds != set(table["states"]) or not answers <= {COUNTS, DENIED, UNAUTHORIZED}:
        raise TableError("the states do not fit the subjects, or a state has an unknown answer")
    if not (unreal <= set(relations) and momentary <= states):
        raise TableError("something is unreal that is not in the table")
    actions = {asked: _letters(letters) for asked, letters in table["actions"].items()}
    return Oracle(table["world"], table["subjects"], rights, relations, actions, table["states"], unreal, momentary)


def _rows(name: str, grid: str, rights: dict[tuple[str, str], frozenset[str]]) -> tuple[str, ...]:
    """Read one grid into ``rights`` and return its relations."""
    heading, *lines = grid.strip().splitlines()
    columns, rows = heading.split(), tuple(line.split()[0] for line in lines)
    for relation, line in zip(rows, lines, strict=True):
        values = line.split()[1:]
        if len(values) != len(columns):
            raise TableError(f"{name}, {relation}: {len(values)} values for {len(columns)} columns")
        for subject, value in zip(columns, values, strict=True):
            if (subject, relation) in rights:
                raise TableError(f"{name}: {subject} on {relation} is there twice")
            rights[subject, relation] = _letters("" if value == "-" else value)
    return rows


def _letters(text: str) -> frozenset[str]:
    if not set(text) <= set(LETTERS) or len(set(text)) != len(text):
        raise TableError(f"{text!r} is not made of P, U and D")
    return frozenset(LETTERS[letter] for letter in text)
