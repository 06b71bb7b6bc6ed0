"""Workers cache records: whatever takes access away counts for the next request, on each of four workers."""

import http.client
import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from itertools import cycle, islice
from typing import Any
from urllib.parse import urlencode

import pytest
from attrs import evolve, field, frozen
from redis import Redis

from authsvc.credentials.machine_secret import PERSONAL_KIND, SERVICE_KIND
from authsvc.redaction import Secret
from authsvc.store import keys
from authsvc.store.codec import Codec
from authsvc.tenancy.machine_records import Grant
from authsvc.tenancy.records import Role
from authsvc.upstreams.origin import parse_origin
from tests.support.builders import (
    license_token,
    machine_secret,
    make_app,
    make_license,
    make_member,
    make_personal_token,
    make_service_account,
)
from tests.support.http_client import ask, basic, claims_of, get_token
from tests.support.recorded_activity import metric
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account
from tests.support.upstream_links import make_link
from tests.support.waiting import PATIENCE, until

WORKERS = 4
CONNECTIONS = 16
ANSWERS = 500
"""Answers that are looked at in each of the two tests; each comes to a request that was sent right after a change."""

CODEC = Codec()
SCOPE = "repository:acme/x:pull"
LATER = datetime.now(UTC) + timedelta(days=1)
LINKED = "proxy/acme/up/x"
DIGEST = f"sha256:{'0' * 64}"

LICENSE = make_license(expires_at=LATER)
APP = make_app()
MEMBER = make_member(Role.DEVELOPER)
TOKEN = make_personal_token()
ACCOUNT = make_service_account(Grant("acme", "**", ("pull",)))
LINK = make_link(parse_origin("http://127.0.0.1:1", plain_http=True), app="acme", name="up", repositories=("**",))
PULLER = make_license("c000000000000002", expires_at=LATER, repositories=("proxy/up/**",))
BUSY = make_license("c000000000000003", app="other", expires_at=LATER)


@frozen
class Change:
    """A change that takes access away.

    Attributes:
        key: of the record.
        before: the record.
        after: the changed one; None when it is removed.
        account: who asks.
        scope: for what.
        linked: whether it is an image of a linked registry that is asked for, with a token of before.
    """

    key: str
    before: object
    after: object | None
    account: Account
    scope: str = SCOPE
    linked: bool = False
    headers: Mapping[str, str] = field(factory=dict)


def secret(text: Secret) -> Account:
    """Return who shows a machine secret."""
    return Account("anyone", text.reveal())


HOLDER, ROBOT = secret(license_token().text), secret(machine_secret(SERVICE_KIND).text)
DEVELOPER = secret(machine_secret(PERSONAL_KIND).text)
NOW = datetime.now(UTC)
CHANGES = {
    "revoked": Change(keys.license_(LICENSE.id), LICENSE, evolve(LICENSE, revoked_at=NOW), HOLDER),
    "rotated": Change(
        keys.license_(LICENSE.id), LICENSE, make_license(expires_at=LATER, generations=((2, None),)), HOLDER
    ),
    "demoted": Change(
        keys.member(MEMBER.id), MEMBER, evolve(MEMBER, role=Role.VIEWER), DEVELOPER, "repository:acme/x:push"
    ),
    "archived": Change(keys.app(APP.slug), APP, evolve(APP, archived_at=NOW), HOLDER),
    "disabled": Change(keys.service_account(ACCOUNT.id), ACCOUNT, evolve(ACCOUNT, disabled_at=NOW), ROBOT),
    "token revoked": Change(keys.personal_token(TOKEN.id), TOKEN, evolve(TOKEN, revoked_at=NOW), DEVELOPER),
    "unlinked": Change(keys.upstream("acme", "up"), LINK, None, secret(license_token(PULLER.id).text), linked=True),
}


class Clients:
    """Kept connections, over which one request is sent at the same moment."""

    def __init__(self, port: int) -> None:
        """Connect to ``port``."""
        self._connections = [
            http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE) for _ in range(CONNECTIONS)
        ]

    def ask(self, target: str, headers: Mapping[str, str]) -> list[tuple[int, bytes]]:
        """Send the request over each connection, then return status and body of each answer."""
        for connection in self._connections:
            connection.request("GET", target, headers=dict(headers))
        answers = [connection.getresponse() for connection in self._connections]
        return [(answer.status, answer.read()) for answer in answers]

    def close(self) -> None:
        """Close them."""
        for connection in self._connections:
            connection.close()


def is_granted(change: Change, answer: tuple[int, bytes]) -> bool:
    """Whether an answer is one of before the change."""
    status, body = answer
    if change.linked:
        assert status in {404, 502}, body
        return status != 404
    if status != 200:
        assert status in {401, 429}, body
        return False
    granted: list[dict[str, Any]] = claims_of(json.loads(body)["token"])["access"]
    return change.scope.rpartition(":")[2] in {action for one in granted for action in one["actions"]}


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Return a stack with four workers and everybody in its Redis."""
    with running_stack(options=("--workers", str(WORKERS))) as running:
        told = f"authsvc_workers_tracking {WORKERS}.0"
        until(lambda: told in ask(running.inside, "GET", "/metrics").body.decode(), "workers are told of changes")
        yield running


def put(redis: Redis, key: str, record: object | None) -> None:
    """Change a record as the script of all changes does, and wait for Redis' acknowledgement."""
    if record is None:
        redis.delete(key)
    else:
        redis.set(key, CODEC.encode(record))


@contextmanager
def nothing_else(_stack: Stack) -> Iterator[None]:
    """Let nobody else ask."""
    yield


@contextmanager
def load(stack: Stack) -> Iterator[None]:
    """Let four clients ask without a pause."""
    stop, failed = threading.Event(), list[int]()

    def go_on() -> None:
        while not stop.is_set():
            status = get_token(stack.port, secret(license_token(BUSY.id).text), "repository:other/x:pull").status
            if status != 200:
                failed.append(status)

    threads = [threading.Thread(target=go_on) for _ in range(4)]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed


@pytest.mark.parametrize("beside", [nothing_else, load], ids=["idle", "under load"])
def test_no_answer_from_before_a_change(stack: Stack, beside: Callable[[Stack], Any]) -> None:
    """Sixteen requests are sent the moment that Redis acknowledges a change; none gets what it took away."""
    everything = {
        **{change.key: change.before for change in CHANGES.values()},
        keys.license_(PULLER.id): PULLER,
        keys.license_(BUSY.id): BUSY,
        keys.app("other"): make_app("other"),
    }
    with Redis(unix_socket_path=str(stack.data_dir / "run" / "redis.sock")) as redis:
        for key, record in everything.items():
            put(redis, key, record)
        clients = Clients(stack.port)
        stale, seen = 0, 0
        with beside(stack):
            for change in islice(cycle(CHANGES.values()), -(-ANSWERS // CONNECTIONS)):
                target = f"/auth/token?{urlencode({'service': stack.name, 'scope': change.scope})}"
                headers = basic(change.account)
                if change.linked:
                    pull = get_token(stack.port, change.account, f"repository:{LINKED}:pull").json()["token"]
                    target, headers = f"/v2/{LINKED}/blobs/{DIGEST}", {"Authorization": f"Bearer {pull}"}
                for _ in range(2):  # the second time from the cache
                    assert all(is_granted(change, answer) for answer in clients.ask(target, headers))
                put(redis, change.key, change.after)
                answers = clients.ask(target, headers)
                seen += len(answers)
                stale += sum(is_granted(change, answer) for answer in answers)
                put(redis, change.key, change.before)
        clients.close()
    assert (0, True) == (stale, seen >= ANSWERS)
    until(lambda: metric(stack, "authsvc_record_reads_total", "cache") > ANSWERS // 4, "the cache has answered")
