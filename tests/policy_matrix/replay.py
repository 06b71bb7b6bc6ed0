"""One cell as real requests: a token as that client would ask for it, and what it opens at the registry."""

import base64
import http.client
import threading
from collections.abc import Mapping
from urllib.parse import urlencode

from attrs import Factory, define, frozen

from tests.policy_matrix.oracle import COUNTS, Answer, Cell, Oracle
from tests.policy_matrix.world import APP_ARCHIVED, TAG, Held, World
from tests.support.forgery import forge
from tests.support.http_client import FORM, Reply, claims_of
from tests.support.oci import MANIFEST
from tests.support.waiting import PATIENCE

NO_SUCH_DIGEST = f"sha256:{'0' * 64}"

LINKED, LINKED_SLASHES = "proxy/", 3
"""How the name of a linked image begins, and how many slashes it has at least: proxy/APP/LINK/REPOSITORY."""

THIN_RIGHTS, THIN_NOTHING, THIN_STATES = 3, 7, 24
"""One cell in so many is replayed: where something is allowed, where nothing is, and in another state than active."""


@frozen
class Disagreement:
    """Something that was not as the table says."""

    cell: Cell
    what: str
    expected: object
    actual: object


@define
class Wire:
    """A connection that is kept, one for each thread."""

    port: int
    _here: threading.local = Factory(threading.local)
    _open: list[http.client.HTTPConnection] = Factory(list)

    def ask(self, method: str, target: str, headers: Mapping[str, str], body: bytes = b"") -> Reply:
        """Send one request."""
        connection: http.client.HTTPConnection | None = getattr(self._here, "connection", None)
        if connection is None:
            connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=PATIENCE)
            self._here.connection = connection
            self._open.append(connection)
        connection.request(method, target, body=body or None, headers=dict(headers))
        answer = connection.getresponse()
        found = {name.lower(): value for name, value in answer.getheaders()}
        return Reply(answer.status, answer.reason, found, answer.read())

    def close(self) -> None:
        """Close the connections of all threads."""
        for connection in self._open:
            connection.close()


@define
class Replay:
    """Replays cells and remembers what was not as the table says.

    Attributes:
        world: where.
        wire: to it.
        opened: how many operations the registry let happen, by action.
        refused: how many it did not.
        found: disagreements.
    """

    world: World
    wire: Wire
    opened: dict[str, int] = Factory(dict)
    refused: int = 0
    found: list[Disagreement] = Factory(list)
    _sweeper: dict[str, str] = Factory(dict)
    _counting: threading.Lock = Factory(threading.Lock)

    def __attrs_post_init__(self) -> None:
        """Get a token that cancels uploads: whoever begins one need not have the right to (it is `delete`)."""
        self._sweeper = bearer(forge(self.world.stack, dict.fromkeys(self.world.stored, ("delete",))))

    def run(self, numbered: tuple[int, Cell]) -> None:
        """Ask for a token, and use it for all there is."""
        number, cell = numbered
        expected = self.world.oracle.answer(cell)
        reply = self._token(self.world.held[cell.subject, cell.state], cell.scope, number)
        if expected.account != COUNTS:
            code = reply.error()[0] if reply.status == 401 else None
            self._compare(cell, "refusal of the account", (401, expected.account), (reply.status, code))
            return
        self._compare(cell, "token request", 200, reply.status)
        if reply.status == 200:
            self.use(cell, expected, reply.json()["token"])

    def _token(self, held: Held, scope: str, number: int) -> Reply:
        """Ask as docker does (GET) or as containerd does (POST), in turn; a refresh token by POST alone."""
        question = {"service": self.world.stack.name, "scope": scope}
        password = held.passwords[number // 2 % len(held.passwords)]
        if held.refresh:
            form = {"grant_type": "refresh_token", "refresh_token": password, "client_id": "docker", **question}
        elif number % 2:
            form = {"grant_type": "password", "username": held.username, "password": password, **question}
        else:
            credentials = base64.b64encode(f"{held.username}:{password}".encode()).decode()
            target = f"/auth/token?{urlencode(question)}"
            return self.wire.ask("GET", target, {"Authorization": f"Basic {credentials}"})
        return self.wire.ask("POST", "/auth/token", {"Content-Type": FORM}, urlencode(form).encode())

    def use(self, cell: Cell, expected: Answer, token: str) -> None:
        """Try everything with ``token`` on the resource of ``cell``."""
        written = [(entry["type"], entry["name"], *entry["actions"]) for entry in claims_of(token)["access"]]
        kind, _, rest = cell.scope.partition(":")
        name = rest.rpartition(":")[0]
        wanted = [(kind, name, *sorted(expected.granted))] if expected.granted else []
        self._compare(cell, "access in the token", wanted, written)
        if kind == "registry":
            self._operate(cell, token, "list", "GET", "/v2/_catalog", 401)
            return
        self._try_all(cell, token, name, expected.granted)

    def _try_all(self, cell: Cell, token: str, name: str, may: frozenset[str]) -> None:
        """Pull, push and delete. What is linked authsvc answers itself: it takes no push from anybody."""
        denied = {"pull": 401, "push": 401, "delete": 401}
        allowed = {"pull": 200 if name in self.world.stored else 404, "push": 202, "delete": 404}
        if name.startswith(LINKED):
            denied = {"pull": 401 if name.count("/") >= LINKED_SLASHES else 404, "push": 405, "delete": 405}
        expected = {action: (allowed if action in may else denied)[action] for action in denied}
        self._operate(cell, token, "pull", "GET", f"/v2/{name}/manifests/{TAG}", expected["pull"])
        self._operate(cell, token, "push", "POST", f"/v2/{name}/blobs/uploads/", expected["push"])
        self._operate(cell, token, "delete", "DELETE", f"/v2/{name}/manifests/{NO_SUCH_DIGEST}", expected["delete"])

    def _operate(self, cell: Cell, token: str, what: str, method: str, target: str, expected: int) -> None:
        reply = self.wire.ask(method, target, {**bearer(token), "Accept": MANIFEST})
        self._compare(cell, what, expected, reply.status)
        with self._counting:
            if reply.status == 401:
                self.refused += 1
            else:
                self.opened[what] = self.opened.get(what, 0) + 1
        if reply.status == 202:
            ended = self.wire.ask("DELETE", reply.headers["location"], self._sweeper)
            self._compare(cell, "cancelling the upload", 204, ended.status)

    def _compare(self, cell: Cell, what: str, expected: object, actual: object) -> None:
        if expected != actual:
            with self._counting:
                self.found.append(Disagreement(cell, what, expected, actual))


def bearer(token: str) -> dict[str, str]:
    """Return the header that shows ``token`` (RFC 6750 §2.1)."""
    return {"Authorization": f"Bearer {token}"}


def expressible(oracle: Oracle) -> list[Cell]:
    """Return the cells that requests can express."""
    return [
        cell for cell in oracle.cells() if cell.state not in oracle.momentary and cell.relation not in oracle.unreal
    ]


def chosen(oracle: Oracle) -> list[Cell]:
    """Return the cells to replay: a slanted sample, in which every pair of two columns of the table meets."""
    subjects, relations, actions = list(oracle.subjects), list(oracle.relations), list(oracle.actions)

    def meets(cell: Cell) -> bool:
        slant = subjects.index(cell.subject) + relations.index(cell.relation) + actions.index(cell.actions)
        some = oracle.answer(Cell(cell.subject, "active", cell.relation, "*")).granted
        thin = THIN_RIGHTS if some else THIN_NOTHING
        return slant % (thin if cell.state == "active" else THIN_STATES) == 0

    cells = [cell for cell in expressible(oracle) if meets(cell)]
    return sorted(cells, key=lambda cell: cell.state == APP_ARCHIVED)
