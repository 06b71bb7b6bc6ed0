"""What every actor may do: reads table.toml, and knows nothing of authsvc. The standard library alone."""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

FILE = Path(__file__).with_name("table.toml")

YES, DENIED, MISSING = "yes", "denied", "missing"
"""It is done; the actor may not; there is no such thing, as far as the actor can know."""

UNPROVEN = "unproven"
"""The bearer token of a request is not accepted, so that nobody asks."""

SELF, NOWHERE, NOTHING, ONESELF = "self", "nowhere", "nothing", "oneself"
LEVELS = ("none", "read", "manage", "person")
ROLES = ("owner", "developer", "viewer")
OF_A_TEAM = {"team", "member", "service account", "account", "token", "webhook", "member link"}
"""Kinds of objects that belong to a team and to no app of it."""

RECORDS = {"app record", "license record"}
"""Kinds of objects that were looked up before."""

OF_SOMEBODY = {"account", "token"}
"""Kinds of objects that every member has: the actor's own is one more place."""


class TableError(Exception):
    """The table has a hole, or names something that is not in it."""


@dataclass(frozen=True)
class Cell:
    """One question: who calls what, on the object that lies where."""

    actor: str
    use_case: str
    place: str


@dataclass(frozen=True)
class Oracle:
    """The table, complete.

    Attributes:
        places: team and app of each place.
        actors: the facts of each, by name.
        rows: the cells of each row.
        use_cases: row and kind of object of each.
        operations: the same of each operation of the management API.
    """

    places: Mapping[str, Mapping[str, str]]
    actors: Mapping[str, Mapping[str, Any]]
    rows: Mapping[str, Mapping[str, Any]]
    use_cases: Mapping[str, Mapping[str, str]]
    operations: Mapping[str, Mapping[str, str]]

    def cells(self) -> Iterator[Cell]:
        """Yield every question."""
        for use_case, facts in self.use_cases.items():
            for actor in self.actors:
                for place in self.places_of(facts["names"], actor):
                    yield Cell(actor, use_case, place)

    def requests(self) -> Iterator[Cell]:
        """Yield every question to the management API: those of the actors that can have a bearer token."""
        for operation, facts in self.operations.items():
            for actor in filter(self.has_bearer, self.actors):
                for place in self.places_of(facts["names"], actor):
                    yield Cell(actor, operation, place)

    def has_bearer(self, actor: str) -> bool:
        """Whether an actor can send a bearer token: not the operator, and not a member in person."""
        return "api" in self.actors[actor]

    def places_of(self, names: str, actor: str) -> Iterator[str]:
        """Yield where an object of this kind can lie."""
        if names == NOTHING:
            yield NOTHING
            return
        kind = self.actors[actor]["kind"]
        if names == ONESELF:
            yield from [SELF] if kind == "member" and "api" not in self.actors[actor] else []
            return
        if (names in OF_SOMEBODY and kind == "member") or (names == "service account" == kind):
            yield SELF
        for place in self.places:
            if not (place == "annex" and names in OF_A_TEAM) and not (place == NOWHERE and names in RECORDS):
                yield place

    def answer(self, cell: Cell) -> str:
        """Return what must come back."""
        return self._answer(cell, self.use_cases[cell.use_case])

    def answer_to_request(self, cell: Cell) -> str:
        """Return what the management API must answer; the cell's use case is an operation."""
        actor, facts = self.actors[cell.actor], self.operations[cell.use_case]
        accepted = actor["api"] != "none" and "state" not in actor and "state" not in actor.get("creator", {})
        if not accepted and not self.rows[facts["row"]].get("public"):
            return UNPROVEN
        return self._answer(cell, facts)

    def rests_on_grant(self, cell: Cell) -> bool:
        """Whether the grants of a service account decide, and so the name that is sent."""
        row = self.rows[self.operations[cell.use_case]["row"]]
        return bool(row.get("granted")) and self.actors[cell.actor]["kind"] == "service account"

    def _answer(self, cell: Cell, facts: Mapping[str, str]) -> str:
        actor, row, names = self.actors[cell.actor], self.rows[facts["row"]], facts["names"]
        if row.get("public"):
            return YES
        if actor["kind"] == "operator":
            return MISSING if cell.place == NOWHERE else YES
        if not self._may(actor, row):
            return DENIED
        if cell.place in {NOTHING, SELF}:
            return YES
        return self._among(actor, row, names, self.places[cell.place])

    def _among(self, actor: Mapping[str, Any], row: Mapping[str, Any], names: str, place: Mapping[str, str]) -> str:
        """Return what an actor gets that may do it to something, by where that lies."""
        if row.get("granted") and actor["kind"] == "service account":
            return self._granted(actor, place)
        if row.get("own") in {"all", actor["kind"]}:
            return DENIED if names == "account" else MISSING
        return YES if self._sees(actor, names, place) else MISSING

    def _granted(self, actor: Mapping[str, Any], place: Mapping[str, str]) -> str:
        """Return what a service account gets that has a grant for the first app of its team."""
        first = next(one["app"] for one in self.places.values() if one.get("team") == _team(actor))
        return YES if place.get("app") == first else DENIED

    def _sees(self, actor: Mapping[str, Any], names: str, place: Mapping[str, str]) -> bool:
        if place.get("team") != _team(actor):
            return False
        return names in OF_A_TEAM or place["app"] in _apps(actor, place["app"])

    def _may(self, actor: Mapping[str, Any], row: Mapping[str, Any]) -> bool:
        creator = actor.get("creator")
        if "state" in actor or (creator is not None and "state" in creator):
            return False
        if actor["kind"] == "service account":
            cell = row["service-account"]
            # Nothing can exceed what its creator holds; its own rotation gives it nothing.
            if creator is not None and "own" not in row:
                closed = "apps" in creator and row["limited"] == "closed"
                if closed or row[creator["role"]] == "-":
                    return False
            return cell != "-" and _reaches(actor["api"], cell)
        if "apps" in actor and row["limited"] == "closed":
            return False
        cell = row[actor["role"]]
        return cell != "-" and _reaches(actor.get("api", "person"), cell)


def _reaches(access: str, needed: str) -> bool:
    return LEVELS.index(access) >= LEVELS.index(needed)


def _team(actor: Mapping[str, Any]) -> str:
    return str(actor.get("team", "acme-team"))


def _apps(actor: Mapping[str, Any], every: str) -> list[str]:
    """Return the apps that an actor is limited to; without a limit ``every``, which may be any."""
    limits: list[str] = actor.get("apps") or actor.get("creator", {}).get("apps") or [every]
    return limits


def load(text: str) -> Oracle:
    """Return the table in ``text``.

    Raises:
        TableError: it is not complete.
    """
    table = tomllib.loads(text)
    oracle = Oracle(table["places"], table["actors"], table["rows"], table["use_cases"], table["operations"])
    for name, row in oracle.rows.items():
        cells = [row.get(column) for column in (*ROLES, "service-account")]
        if not set(cells) <= {"-", *LEVELS[1:]} or row.get("limited") not in {"within", "closed"}:
            raise TableError(f"the row {name!r} has a hole")
        if row.get("own", "all") not in {"all", "service account"}:
            raise TableError(f"the row {name!r} belongs to nobody")
    for name, actor in oracle.actors.items():
        if actor["kind"] == "member" and (actor["role"] not in ROLES or actor.get("api", "none") not in LEVELS[:3]):
            raise TableError(f"the actor {name!r} is not complete")
        if actor["kind"] == "service account" and actor.get("api") not in LEVELS[:3]:
            raise TableError(f"the actor {name!r} is not complete")
    used = {facts["row"] for facts in oracle.use_cases.values()}
    if used != set(oracle.rows):
        raise TableError(f"these rows are not there, or not used: {sorted(used ^ set(oracle.rows))}")
    _check_names(oracle)
    return oracle


def _check_names(oracle: Oracle) -> None:
    known = {NOTHING, ONESELF, "app", "customer", "image", "license", "repository", "upstream", *OF_A_TEAM, *RECORDS}
    for name, facts in (*oracle.use_cases.items(), *oracle.operations.items()):
        if facts["names"] not in known:
            raise TableError(f"{name} names an unknown kind of object")
        if facts["row"] not in oracle.rows:
            raise TableError(f"{name} has a row that is not there")
