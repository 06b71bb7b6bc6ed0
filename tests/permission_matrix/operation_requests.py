"""Every operation of the management API as a request, made of the document's own examples, and what is answered.

A new operation needs nothing here as long as the variables of its path, or the parameters and members that name an
object, are in ``NAMES``, and its body has an example that uses the names of ``EXAMPLES``.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any
from urllib.parse import quote, unquote, urlencode

from attrs import evolve, field, frozen

from tests.permission_matrix.oracle import DENIED, MISSING, NOTHING, SELF, UNPROVEN, YES, Cell, Oracle
from tests.permission_matrix.world import Someone, Things, World
from tests.support.api_server import ApiReply, ApiServer, resolved

NAMES: Mapping[str, Callable[[Things], str]] = {
    "app": lambda at: at.app,
    "team": lambda at: at.team,
    "image": lambda at: at.image,
    "repository": lambda at: at.image.rpartition(":")[0],
    "license": lambda at: at.license,
    "customer": lambda at: at.customer,
    "member": lambda at: at.email,
    "token": lambda at: at.token,
    "service_account": lambda at: at.account,
    "subject": lambda at: f"license:{at.license}",
    "upstream": lambda at: at.upstream,
    "webhook": lambda at: at.webhook,
    "link": lambda at: at.link,
    "member_link": lambda at: f"invited@{at.team}.test",
    "request_id": lambda _: "op-3",
}
"""How an object of a place is named where a variable, a parameter or a member has this name."""

IDS: Mapping[str, Callable[[Things], str]] = {
    **NAMES,
    "member": lambda at: at.member_id,
    "service_account": lambda at: at.account_id,
}
"""The same by id."""

EXAMPLES: Mapping[str, Callable[[Things], str]] = {"myapp": lambda at: at.app, "acme": lambda at: at.team}
"""What the examples of bodies call an app and a team."""

NEW: Mapping[str, Mapping[str, Any]] = {
    "createApp": {"slug": "fresh"},
    "renewLicenses": {"rows": [{"reference": "renewed", "expires": "2028-11-27"}]},
}
"""Members of bodies that cannot be what the example says: a name that there is, or a license that there is not."""

OUTCOMES = {401: UNPROVEN, 403: DENIED, 404: MISSING}

PER_ANSWER = {"x-request-id", "date", "content-length"}
"""Headers that differ from answer to answer."""


@frozen
class Operation:
    """One operation of the document.

    Attributes:
        method: in capitals.
        path: with its variables in braces.
        facts: what the document says of it.
        names: the kind of object that a request names, by the table.
    """

    method: str
    path: str
    facts: Mapping[str, Any]
    names: str

    def request(self, at: Things, names: Mapping[str, Callable[[Things], str]] = NAMES) -> "Request":
        """Return a request that names what lies at a place.

        The object is named in the path; otherwise by the query parameter or the member of the body that is called
        like its kind.
        """
        kind, path = self.names.replace(" ", "_"), self.path
        variables = [part.partition("}")[0].partition(":")[0] for part in path.split("{")[1:]]
        for variable in variables:
            path = path.replace(f"{{{variable}}}", quote(names[variable](at), safe=""))
        described = [resolved(one) for one in self.facts.get("parameters", ())]
        parameters = [one["name"] for one in described if one["in"] == "query"]
        body = _renamed(self._example(), at)
        if isinstance(body, dict):
            body |= NEW.get(self.facts["operationId"], {})
        query = {one["name"]: names[one["name"]](at) for one in described if one["in"] == "query" and one["required"]}
        if kind in NAMES and kind not in variables:
            if kind in parameters:
                query[kind] = names[kind](at)
            else:
                assert isinstance(body, dict), f"{self.facts['operationId']} cannot name the {kind}"
                body[kind] = names[kind](at)
        return Request(self.method, path, query, body)

    def _example(self) -> Any:
        content = self.facts.get("requestBody", {}).get("content", {})
        return next((one["example"] for one in content.values()), None)


@frozen
class Request:
    """One request.

    Attributes:
        query: its parameters.
        body: to be sent as JSON, or None.
        raw: to be sent in place of a body, or None.
    """

    method: str
    path: str
    query: Mapping[str, str] = field(factory=dict)
    body: Any = None
    raw: bytes | None = None

    def but(self, **query: str) -> "Request":
        """Return the request with further parameters."""
        return evolve(self, query={**self.query, **query})

    def broken(self) -> "Request":
        """Return the request with a parameter and a body that nothing accepts."""
        raw = None if self.method in {"GET", "DELETE"} else b"{"
        return evolve(self.but(no_such="1"), body=None, raw=raw)

    def carries(self, name: str) -> bool:
        """Whether the name, as a whole word, is in the path, the query or the body."""
        sent = f"{unquote(self.path)} {self.query} {json.dumps(self.body)}"
        return re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", sent) is not None

    async def send(self, api: ApiServer, token: Any, *, checked: bool = False) -> ApiReply:
        """Send it; what has to be confirmed is confirmed."""
        target = f"{self.path}?{urlencode(self.query)}" if self.query else self.path
        reply = await api.ask(self.method, target, token, self.body, raw=self.raw, checked=checked)
        if reply.status == 409 and reply.code == "confirmation_needed" and "confirm" not in self.query:
            return await self.but(confirm=reply.json()["mark"]).send(api, token, checked=checked)
        return reply


@frozen
class Answered:
    """What came back.

    Attributes:
        outcome: as the table says it, or the status and the code of an answer that it does not have.
        told: headers and body, without what differs from answer to answer and the name that was asked for.
        commands: how many commands Redis got meanwhile.
        changed: whether anything is stored otherwise than before, but for the counters of the throttle.
    """

    outcome: str
    told: str
    commands: int
    changed: bool


def operations(oracle: Oracle, document: Mapping[str, Any]) -> dict[str, Operation]:
    """Return the operations of the document that the table knows, by name."""
    found = {
        facts["operationId"]: (method.upper(), path, facts)
        for path, item in document["paths"].items()
        for method, facts in item.items()
    }
    return {name: Operation(*found[name], row["names"]) for name, row in oracle.operations.items() if name in found}


@frozen
class Questioner:
    """Sends requests as the table's actors; after each, everything is as before.

    Attributes:
        world: as it was built.
        api: over the same Redis.
    """

    world: World
    api: ApiServer

    def request(
        self, operation: Operation, cell: Cell, names: Mapping[str, Callable[[Things], str]] = NAMES
    ) -> tuple[Request, Things]:
        """Return the request of a cell, and what it names."""
        at = self._things(cell)
        return operation.request(at, names), at

    async def answer(self, request: Request, at: Things, actor: str) -> Answered:
        """Send a request as an actor."""
        world, facts = self.world, self.world.oracle.actors[actor]
        expired = "expired" in facts.get("state", "")
        self.api.house.now = world.now + timedelta(hours=expired)
        return await self.answer_to(request, at, world.actors[actor].bearer)

    async def answer_to(self, request: Request, at: Things, token: Any) -> Answered:
        """Send a request with a bearer token."""
        world = self.world
        writes, world.commands = await world.writes(), 0
        reply = await request.send(self.api, token)
        commands = world.commands
        outcome = OUTCOMES.get(reply.status, YES if reply.status < 300 else "")
        if not outcome:
            outcome = f"{reply.status} {reply.body.decode()[:300]}"
        changed = await world.writes() != writes
        if changed and outcome == UNPROVEN:
            await world.forget_throttle()
            changed = await world.content() != world.digest
        if changed:
            await world.restore()
        return Answered(
            outcome, _told(reply, [name for name in names_of(at) if request.carries(name)]), commands, changed
        )

    def _things(self, cell: Cell) -> Things:
        """Return what a request names; what it does not ask about is the actor's own."""
        world, facts = self.world, self.world.oracle.actors[cell.actor]
        team, limits = facts.get("team", "acme-team"), limits_of(facts)
        own = next(at for at in world.places.values() if at.team == team and (not limits or at.app in limits))
        if cell.place == NOTHING:
            return own
        if cell.place != SELF:
            return world.places[cell.place]
        return _self(world.actors[cell.actor], own)


def limits_of(actor: Mapping[str, Any]) -> list[str] | None:
    """Return the apps that an actor of the table is limited to, or None."""
    limits: list[str] | None = actor.get("apps") or actor.get("creator", {}).get("apps")
    return limits


def _self(who: Someone, own: Things) -> Things:
    if who.member is not None:
        return evolve(own, email=who.member.email, member_id=who.member.id, token=who.token)
    assert who.account is not None
    return evolve(own, account=who.account.name, account_id=who.account.id)


def _renamed(example: Any, at: Things) -> Any:
    """Return an example with the names of a place in it."""
    match example:
        case dict():
            return {name: _renamed(inner, at) for name, inner in example.items()}
        case list():
            return [_renamed(inner, at) for inner in example]
        case str():
            first, slash, rest = example.partition("/")
            return f"{EXAMPLES[first](at)}{slash}{rest}" if first in EXAMPLES else example
        case _:
            return example


def _told(reply: ApiReply, names: Iterable[str]) -> str:
    """Return what an answer tells, without the names that were sent."""
    headers = {name: value for name, value in reply.headers.items() if name not in PER_ANSWER}
    body = reply.body.decode()
    if reply.headers.get("content-type", "").startswith("application/problem+json"):
        body = json.dumps({**reply.json(), "request_id": ""})
    told = f"{headers} {body}"
    if reply.status not in {403, 404}:  # a refusal may repeat what was asked for
        return told
    for name in sorted(names, key=len, reverse=True):
        told = told.replace(name, "NAME")
    return told


def names_of(at: Things) -> Iterator[str]:
    """Yield everything that a request can name of a place."""
    people = (at.email, at.member_id, at.token, at.account, at.account_id, at.customer)
    yield from (at.team, at.app, *people, at.license, at.upstream, at.webhook, at.link)
