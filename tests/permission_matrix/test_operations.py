"""Every operation of the management API, sent by every actor for everything: answered as the table says."""

import time
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from typing import Any

import pytest
from attrs import frozen

from authsvc.credentials.machine_secret import MachineSecret
from authsvc.credentials.verifier import PasswordVerifier
from authsvc.keys.service_keys import LocalKeys
from tests.permission_matrix.matrix import ORACLE
from tests.permission_matrix.operation_bugs import BUGS
from tests.permission_matrix.operation_requests import IDS, NAMES, Answered, Questioner, limits_of, names_of, operations
from tests.permission_matrix.oracle import DENIED, MISSING, UNPROVEN, YES, Cell
from tests.permission_matrix.test_matrix import PARTS, cheap_hashes, part_of, server, world
from tests.permission_matrix.world import Things, World
from tests.support.api_server import DOCUMENT, api_server
from tests.support.canaries import FRAGMENT, Canaries
from tests.support.installation import Installation

__all__ = ["cheap_hashes", "server", "world"]

OPERATIONS = operations(ORACLE, DOCUMENT)

CELLS = 1000
"""The least number of requests."""

HOW_TO = """\
{name}: {method} {path} has no row in the table. In tests/permission_matrix/table.toml, below [operations], add
    {name} = {{ row = "…", names = "…" }}
with its row of the contract's table and the kind of object that a request names. If its path has a new variable, or
it names the object by another parameter or member, add that to NAMES in
tests/permission_matrix/operation_requests.py. The example of its body may name the app `myapp` and the team `acme`;
those of the actor are put in their places."""


@asynccontextmanager
async def questioner(world: World) -> AsyncIterator[Questioner]:
    """Build the world and serve the API over it."""
    await world.build()
    with ThreadPoolExecutor(1) as executor:
        house = Installation(world.connection, PasswordVerifier(executor, 1), now=world.now)
        keys = LocalKeys(world.folder)
        async with api_server(house, keys, sealer=keys) as api:
            yield Questioner(world, api)


async def disagreements(
    asking: Questioner, cells: Iterable[Cell], names: Mapping[str, Callable[[Things], str]] = NAMES
) -> AsyncIterator[str]:
    """Yield what is wrong, request by request."""
    missing: dict[tuple[str, str], dict[str, Answered]] = defaultdict(dict)
    hidden = {actor: hidden_from(asking.world, actor) for actor in asking.world.actors}
    for cell in cells:
        operation = OPERATIONS[cell.use_case]
        request, at = asking.request(operation, cell, names)
        expected, got = ORACLE.answer_to_request(cell), await asking.answer(request, at, cell.actor)
        if got.outcome != expected:
            yield f"{cell}: {got.outcome} instead of {expected}: {got.told[:300]}"
        elif got.changed and (got.outcome != YES or operation.method == "GET"):
            yield f"{cell}: changed something"
        elif not is_public(cell.use_case) and (leaked := hidden[cell.actor].shown_in(got.told)):
            yield f"{cell}: shows {leaked}"
        elif got.outcome == MISSING:
            missing[cell.actor, cell.use_case][cell.place] = got
        if expected == DENIED and not ORACLE.rests_on_grant(cell):
            broken = await asking.answer(request.broken(), at, cell.actor)
            if broken.outcome != DENIED:
                yield f"{cell}: what is sent is looked at before the permission: {broken.outcome}"
    for (actor, name), answers in missing.items():
        if len({(one.told, one.commands) for one in answers.values()}) > 1:
            yield f"{actor}, {name}: what is foreign and what is unknown are told apart: {answers}"


def is_public(name: str) -> bool:
    """Whether an operation answers everybody the same."""
    return bool(ORACLE.rows[ORACLE.operations[name]["row"]].get("public"))


@frozen
class Hidden:
    """What no answer may show to an actor: whatever belongs to the other team, or to an app outside its limits.

    Attributes:
        canaries: ids, addresses and secrets, which are found in any encoding.
        words: slugs and the like, which are too short for that.
    """

    canaries: Canaries
    words: tuple[str, ...]

    def shown_in(self, told: str) -> set[tuple[str, str]]:
        """Return what an answer shows of it."""
        return self.canaries.found_in({"answer": told.encode()}) | {
            (one, "answer") for one in self.words if one in told
        }


def hidden_from(world: World, actor: str) -> Hidden:
    """Return what is hidden from an actor."""
    actors = world.oracle.actors
    team, limits = actors[actor].get("team", "acme-team"), limits_of(actors[actor])
    names = [
        (f"{place}: {name}", name)
        for place, at in world.places.items()
        if world.oracle.places[place] and (at.team != team or (limits and at.app not in limits))
        for name in names_of(at)
        if name != team
    ]
    for other, who in world.actors.items():
        if "api" in actors[other] and actors[other].get("team", "acme-team") != team:
            assert who.bearer is not None
            own = (who.bearer.reveal(), who.token, who.member and who.member.email, who.account and who.account.id)
            names += [(f"{other}: {name[:24]}", name) for name in own if name]
    found = Canaries()
    for title, name in names:
        if len(name) >= FRAGMENT:
            found.add(title, name)
    return Hidden(found, tuple({name for _, name in names if len(name) < FRAGMENT}))


async def wrong_answers(world: World, names: Sequence[str]) -> list[str]:
    """Return what is wrong with the answers of some operations."""
    async with questioner(world) as asking:
        cells = [cell for cell in ORACLE.requests() if cell.use_case in names]
        return [line async for line in disagreements(asking, cells)]


def without_row(document: Mapping[str, Any]) -> list[str]:
    """Return what to add to the table for the operations of a document that it does not know."""
    return [
        HOW_TO.format(name=facts["operationId"], method=method.upper(), path=path)
        for path, item in document["paths"].items()
        for method, facts in item.items()
        if facts["operationId"] not in ORACLE.operations
    ]


def test_every_operation_has_a_row() -> None:
    """An operation that is not in the table, or no longer in the document, fails here."""
    hints = without_row(DOCUMENT)
    assert not hints, "\n".join(hints)
    assert set(ORACLE.operations) == set(OPERATIONS)
    more = {**DOCUMENT["paths"], "/api/v1/new": {"post": {"operationId": "newOne"}}}
    assert ["newOne: POST /api/v1/new has no row" in hint for hint in without_row({"paths": more})] == [True]


@pytest.mark.parametrize("part", range(PARTS))
async def test_every_request(world: World, part: int, record_property: Callable[[str, object], None]) -> None:
    """Outcome, effect and what is shown are those of the table; a denial comes before anything sent is looked at."""
    cells = part_of(ORACLE.requests(), part)
    async with questioner(world) as asking:
        began = time.process_time()
        wrong = [line async for line in disagreements(asking, cells)]
        print(f"{len(cells):,} requests in {time.process_time() - began:.1f} s")  # noqa: T201
    record_property("requests", len(cells))
    assert wrong == []


def test_the_parts_are_every_request() -> None:
    """Nothing is left out, and there is enough of each answer."""
    cells = list(ORACLE.requests())
    assert Counter(cell for part in range(PARTS) for cell in part_of(cells, part)) == Counter(cells)
    assert len(set(cells)) == len(cells) >= CELLS
    answers = [ORACLE.answer_to_request(cell) for cell in cells]
    assert min(answers.count(one) for one in (YES, DENIED, MISSING, UNPROVEN)) > 100


async def test_every_request_by_id(world: World) -> None:
    """What a request names by its id has the same answers, and foreign ids are as unknown ones."""
    named = {kind.replace("_", " ") for kind in NAMES if NAMES[kind] is not IDS[kind]}
    cells = [cell for cell in ORACLE.requests() if ORACLE.operations[cell.use_case]["names"] in named]
    async with questioner(world) as asking:
        assert [line async for line in disagreements(asking, cells, IDS)] == []


async def test_nobody_is_told_anything(world: World) -> None:
    """Without a credential, or with one that opens nothing here, every operation answers the same on everything."""
    async with questioner(world) as asking:
        records = world.places["acme"].records
        assert records is not None
        license_ = records[1]
        wrong = {
            "none": None,
            "unknown": MachineSecret.build("pat", "0" * 16, b"x" * 32).text,
            "junk": "x",
            "license": asking.api.house.registry_token(license_),
        }
        for kind, token in wrong.items():
            told = set()
            for name, operation in OPERATIONS.items():
                if is_public(name):
                    continue
                for at in world.places.values():
                    got = await asking.answer_to(operation.request(at), at, token)
                    assert (got.outcome, got.changed) == (UNPROVEN, False), (kind, name, got)
                    told.add((got.told, got.commands))
            assert len(told) == 1, (kind, told)


@pytest.mark.parametrize("sentence", BUGS)
async def test_a_seeded_bug_is_caught(world: World, sentence: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With one wrong line in the API or below it, the requests to these operations are answered otherwise."""
    BUGS[sentence].seed(monkeypatch)
    assert await wrong_answers(world, BUGS[sentence].operations) != []
