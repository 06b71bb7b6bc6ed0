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
        states: kind of subject → state → answer; of several licenses the answer is ``counts``, see ``together``.
        together: state of several licenses → the state of each.
        app_of: relation → the app it is in; relations in no app are left out.
        unreal: relations that no HTTP request can carry.
        momentary: states that no request can meet.
    """

    world: Mapping[str, Any]
    subjects: Mapping[str, Mapping[str, Any]]
    rights: Mapping[tuple[str, str], frozenset[str]]
    relations: tuple[str, ...]
    actions: Mapping[str, frozenset[str]]
    states: Mapping[str, Mapping[str, str]]
    together: Mapping[str, tuple[str, ...]]
    app_of: Mapping[str, str]
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
        facts = self.subjects[cell.subject]
        if "licenses" in facts:
            return self._together(cell, facts["licenses"])
        account = self.states[facts["kind"]][cell.state]
        if account != COUNTS:
            return Answer(account)
        rights = self.rights[cell.subject, cell.relation]
        granted = self.actions[cell.actions] & rights
        # Every client reads while it pushes, so pull comes along with push.
        return Answer(account, granted | (rights & {"pull"}) if "push" in granted else granted)

    def _together(self, cell: Cell, licenses: list[str]) -> Answer:
        """Return the union of what each license in force gets alone."""
        granted: frozenset[str] = frozenset()
        ended_apps = set()
        for license_, state in zip(licenses, self.together[cell.state], strict=True):
            alone = self.answer(Cell(license_, state, cell.relation, cell.actions))
            granted |= alone.granted
            if alone.account == DENIED:
                ended_apps.add(self.subjects[license_]["app"])
        if not granted and self.app_of.get(cell.relation) in ended_apps:
            return Answer(DENIED)
        return Answer(COUNTS, granted)


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
    joined = {name: facts for name, facts in table["subjects"].items() if "licenses" in facts}
    if {subject for subject, _ in rights} != set(table["subjects"]) - set(joined):
        raise TableError("the columns are not the subjects")
    if any(table["subjects"][one]["kind"] != "license" for facts in joined.values() for one in facts["licenses"]):
        raise TableError("something is joined that is no license")
    together = {state: tuple(each) for state, each in table["states"]["licenses"].items()}
    if not {one for each in together.values() for one in each} <= set(table["states"].get("license", {})):
        raise TableError("several licenses are in a state that one license cannot be in")
    table["states"]["licenses"] = dict.fromkeys(together, COUNTS)
    if not set(table["app_of"]) <= set(relations):
        raise TableError("a name is in an app and in no row")
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
    return Oracle(
        table["world"],
        table["subjects"],
        rights,
        relations,
        actions,
        table["states"],
        together,
        table["app_of"],
        unreal,
        momentary,
    )


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
