"""Events of the real registry: what customers do arrives in Redis once, whatever dies meanwhile."""

import os
import random
import signal
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from attrs import frozen
from redis import Redis

from authsvc.activity.image_name import ImageName
from authsvc.activity.kinds import ActivityKind
from authsvc.keys.secrets_dir import load_event_bearers
from tests.support.http_client import Reply, ask, get_token
from tests.support.load import meanwhile
from tests.support.oci import MANIFEST, Image
from tests.support.processes import workers_of
from tests.support.recorded_activity import downloaded, history, inside_port, metric, recorded, redis_url
from tests.support.registry_client import Client, TokenRefused
from tests.support.registry_events import Record, disordered, notification, random_events, split_at_random
from tests.support.skopeo import Skopeo
from tests.support.stack import IMPATIENT, Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team, unique
from tests.support.waiting import until

IMAGE = Image(b"what is recorded")
EVENTS, NOTIFICATIONS = "authsvc_registry_events_total", "authsvc_registry_notifications_total"
PULL, PUSH = ActivityKind.PULL, ActivityKind.PUSH


def answered(action: Callable[[], object]) -> None:
    """Do something that takes tokens, again while a worker has not yet noticed that Redis is back."""

    def is_done() -> bool:
        try:
            action()
        except TokenRefused as refused:
            if refused.reply.status != 503:
                raise
            return False
        return True

    until(is_done, "every worker issues tokens")


@frozen
class Shop:
    """A vendor on a stack of its own, with one app for each test.

    Attributes:
        stack: where.
        team: whose.
        owner: of the team.
    """

    stack: Stack
    team: str
    owner: Account

    def new_app(self) -> tuple[str, License]:
        """Return a new app with an image under ``APP/worker:1``, and a license for it."""
        app = unique("app")
        self.stack.authsvc("app", "create", app, "--team", self.team)
        client = Client(self.stack.port, self.owner)
        answered(lambda: client.push(f"{app}/worker", "1", IMAGE))
        return app, make_license(self.stack, app)


@pytest.fixture(scope="module")
def shop() -> Iterator[Shop]:
    """Return a stack with two workers."""
    with running_stack(options=("--workers", "2"), REDIS_DEADLINE=IMPATIENT) as stack:
        team = make_team(stack)
        yield Shop(stack, team, make_member(stack, team, "owner"))


@frozen
class Puller:
    """A customer who has a token already, so that nothing but the registry is needed to pull."""

    client: Client
    repository: str

    @classmethod
    def of(cls, shop: Shop, app: str, license_: License) -> "Puller":
        """Return a customer with a token for an app's image."""
        puller = cls(Client(shop.stack.port, license_.account), f"{app}/worker")
        answered(lambda: puller.client.token(puller.scope))
        return puller

    @property
    def scope(self) -> str:
        """What the token is for."""
        return f"repository:{self.repository}:pull"

    def pull(self) -> bool:
        """Get the manifest; return whether that was answered."""
        target = f"/v2/{self.repository}/manifests/1"
        try:
            return self.client.ask("GET", target, headers={"Accept": MANIFEST}, scope=self.scope).status == 200
        except OSError:
            return False


def becomes_recorded(shop: Shop, app: str, kind: ActivityKind, count: int) -> None:
    """Wait until as many are recorded, and check that it is not more."""
    until(lambda: recorded(shop.stack, app)[kind] >= count, f"{count} of {kind} are recorded")
    assert recorded(shop.stack, app)[kind] == count


def test_pushes_and_pulls_are_recorded(shop: Shop, tmp_path: Path) -> None:
    """What skopeo pushes as a member and pulls with a license is in Redis, with who did it."""
    stack, app = shop.stack, unique("app")
    stack.authsvc("app", "create", app, "--team", shop.team)
    license_ = make_license(stack, app)
    (tmp_path / "v").mkdir()
    (tmp_path / "c").mkdir()
    vendor, customer = Skopeo(stack, tmp_path / "v"), Skopeo(stack, tmp_path / "c")
    for skopeo, account in ((vendor, shop.owner), (customer, license_.account)):
        assert skopeo.log_in(account).code == 0
    assert vendor.push(IMAGE, f"{app}/worker:7").code == 0
    assert customer.pull(f"{app}/worker:7").code == 0

    becomes_recorded(shop, app, PULL, 1)
    becomes_recorded(shop, app, PUSH, 1)
    until(lambda: downloaded(stack, app) >= len(IMAGE.layer) + len(IMAGE.config), "both blobs are counted")
    assert downloaded(stack, app) == len(IMAGE.layer) + len(IMAGE.config)
    known = history(stack, ImageName(f"{app}/worker", "7"))
    assert known.pushed is not None
    assert known.pulled_by_license is not None
    assert (known.pushed.subject or "").startswith("member:")
    assert known.pulled_by_license.subject == f"license:{license_.id}"
    assert known.pushed.digest == IMAGE.digest
    last = datetime.fromisoformat(ask(stack.inside, "GET", "/readyz").json()["events"]["last_at"])
    assert timedelta() <= datetime.now(UTC) - last < timedelta(minutes=5)


def test_the_edge_has_no_way_to_it(shop: Shop) -> None:
    """Neither nginx nor the edge listener serves events, also to whoever has the bearer; inside, it must be shown."""
    edge = int((shop.stack.data_dir / "run" / "edge-address").read_text().rpartition(":")[2])
    bearer = load_event_bearers(shop.stack.data_dir / "secrets")[0]

    def post(port: int, headers: dict[str, str]) -> Reply:
        return ask(port, "POST", "/events/registry", headers=headers, body=notification())

    right = {"Authorization": f"Bearer {bearer}"}
    assert [post(port, right).status for port in (shop.stack.port, edge, inside_port(shop.stack))] == [404, 404, 200]
    assert post(inside_port(shop.stack), {}).status == 401
    assert post(inside_port(shop.stack), {"Authorization": f"Bearer {bearer[::-1]}"}).status == 401


def test_a_bearer_is_replaced_while_everything_runs(shop: Shop) -> None:
    """Two are accepted meanwhile; without any, events are refused and wait, and tokens are served all the same."""
    path = shop.stack.data_dir / "secrets" / "registry-events.secret"
    old, new = path.read_text(), f"{'5e' * 31}0d\n"
    app, license_ = shop.new_app()
    puller = Puller.of(shop, app, license_)

    def answer(bearer: str) -> int:
        headers = {"Authorization": f"Bearer {bearer.strip()}"}
        return ask(inside_port(shop.stack), "POST", "/events/registry", headers=headers, body=notification()).status

    try:
        path.write_text(new + old)
        shop.stack.authsvc("reload")
        assert [answer(old), answer(new), answer("0" * 64)] == [200, 200, 401]
        assert puller.pull()
        becomes_recorded(shop, app, PULL, 1)

        path.write_text(new)
        shop.stack.authsvc("reload")
        assert [answer(old), answer(new)] == [401, 200]
        path.unlink()
        shop.stack.authsvc("reload")
        assert [answer(old), answer(new)] == [401, 401]
        assert puller.pull()
        Puller.of(shop, app, license_)
    finally:
        path.write_text(old)
        path.chmod(0o600)
        shop.stack.authsvc("reload")
    becomes_recorded(shop, app, PULL, 2)
    said = [event["event"] for event in shop.stack.events("serve.log")]
    assert {"events.no_bearer", "events.refused"} <= set(said)


def test_a_server_that_is_down(shop: Shop) -> None:
    """What happens while serve or its workers are dead arrives later, and once."""
    app, license_ = shop.new_app()
    puller = Puller.of(shop, app, license_)
    pulls = 0
    for round_ in range(4):
        serve = shop.stack.pid("serve")
        for pid in [serve] if round_ % 2 else workers_of(serve):
            os.kill(pid, signal.SIGKILL)
        for _ in range(8):
            assert puller.pull()
            pulls += 1

    becomes_recorded(shop, app, PULL, pulls)
    becomes_recorded(shop, app, PUSH, 1)


def test_a_redis_that_is_killed(shop: Shop) -> None:
    """Events that come while Redis dies are answered 503 and sent again: the totals are exact."""
    app, license_ = shop.new_app()
    puller = Puller.of(shop, app, license_)
    becomes_recorded(shop, app, PUSH, 1)
    before = metric(shop.stack, NOTIFICATIONS, "unavailable")
    said = shop.stack.err.read_text().count("redis is running again")
    with meanwhile(puller.pull, threads=2, pause=0.01) as tally:
        for round_ in range(3):
            until(lambda least=tally.results[True] + 10: tally.results[True] >= least, "pulls go on")  # type: ignore[misc]
            os.kill(shop.stack.pid("redis"), signal.SIGKILL)
            until(
                lambda times=said + round_ + 1: shop.stack.err.read_text().count("redis is running again") >= times,  # type: ignore[misc]
                "Redis runs again",
            )

    assert tally.results[False] == 0
    becomes_recorded(shop, app, PULL, tally.results[True])
    assert metric(shop.stack, NOTIFICATIONS, "unavailable") > before
    assert metric(shop.stack, EVENTS, "unusable") == 0


def test_a_redis_whose_memory_is_full(shop: Shop) -> None:
    """Events wait, a license is revoked for good, and what waited is recorded when there is room again."""
    stack, (app, license_) = shop.stack, shop.new_app()
    puller, revoked = Puller.of(shop, app, license_), make_license(stack, app)
    becomes_recorded(shop, app, PUSH, 1)

    def room() -> str:
        return str(ask(stack.inside, "GET", "/readyz").json()["store_memory"]["room"])

    pulled: list[bool] = []
    with Redis.from_url(redis_url(stack)) as redis:
        redis.config_set("maxmemory", int(redis.info("memory")["used_memory"] * 1.1))
        try:
            until(lambda: room() == "full", "it is noticed")
            before = metric(stack, NOTIFICATIONS, "unavailable")

            def waits() -> bool:
                pulled.append(puller.pull())
                return metric(stack, NOTIFICATIONS, "unavailable") > before

            until(waits, "both workers have noticed, and events wait, while Redis itself would take them")
            redis.config_set("maxmemory", "1mb")
            stack.authsvc("license", "revoke", revoked.id)
            assert get_token(stack.port, revoked.account, puller.scope).status == 401
        finally:
            redis.config_set("maxmemory", "0")
    assert all(pulled)
    becomes_recorded(shop, app, PULL, len(pulled))
    until(lambda: room() == "enough", "activity goes on")

    def said() -> set[str]:
        return {event["room"] for event in stack.events("serve.log") if event["event"] == "store.memory"}

    until(lambda: {"full", "enough"} == said(), "the log says both")  # it is written a moment after the answer


def test_a_registry_that_is_killed_with_events(shop: Shop) -> None:
    """What it had not delivered is lost, nothing is recorded by halves, and all goes on with the next event."""
    (lost_app, lost_license), (app, license_) = shop.new_app(), shop.new_app()
    unlucky, puller = Puller.of(shop, lost_app, lost_license), Puller.of(shop, app, license_)
    for pushed in (lost_app, app):
        becomes_recorded(shop, pushed, PUSH, 1)
    redis, registry = shop.stack.pid("redis"), shop.stack.pid("registry")
    os.kill(redis, signal.SIGSTOP)
    try:
        assert all(unlucky.pull() for _ in range(10))
        os.kill(registry, signal.SIGKILL)
    finally:
        os.kill(redis, signal.SIGCONT)
    until(puller.pull, "the registry serves again")
    assert all(puller.pull() for _ in range(5))

    becomes_recorded(shop, app, PULL, 6)
    # The one that was under way may have been written when Redis woke up.
    arrived = recorded(shop.stack, lost_app)[PULL]
    known = history(shop.stack, ImageName(f"{lost_app}/worker", "1"))
    assert arrived <= 1
    assert (known.pulled is not None) == (arrived == 1)

    token = shop.stack.json("token", "create", unique("crm"), "--member", shop.owner.username, "--api", "read")["token"]

    def rows(source: str) -> list[dict[str, Any]]:
        path = f"/api/v1/activity?license={lost_license.id}&source={source}"

        def answer() -> Reply | None:
            reply = ask(shop.stack.port, "GET", path, headers={"Authorization": f"Bearer {token}"})
            return None if reply.status == 503 else reply  # a worker has not yet noticed that Redis is back

        found: list[dict[str, Any]] = until(answer, "the API answers").json()["items"]
        return found

    asked = until(lambda: rows("token"), "the API says that the customer asked")
    assert {("token", f"{lost_app}/worker", lost_license.id, None)} == {
        (row["source"], row["repository"], row["license"], row["digest"]) for row in asked
    }
    assert arrived == sum(row["count"] for row in rows("registry") if row["action"] == "pull")


def test_a_clean_stop_delivers_what_is_queued(shop: Shop) -> None:
    """The registry ends when its last events have arrived, and before serve does."""
    app, license_ = shop.new_app()
    puller = Puller.of(shop, app, license_)
    with ThreadPoolExecutor(8) as threads:
        assert all(threads.map(lambda _: puller.pull(), range(200)))
    assert shop.stack.stop() == 0
    shop.stack.start()

    assert recorded(shop.stack, app)[PULL] == 200


def test_many_events_in_any_order(shop: Shop) -> None:
    """Of 5,000 events, 30 % of them duplicates and 20 % out of order, each one is counted once."""
    app, license_ = shop.new_app()
    becomes_recorded(shop, app, PUSH, 1)
    chance = random.Random(10)
    distinct = random_events(chance, f"{app}/worker", f"license:{license_.id}", 3_500, datetime.now(UTC))
    events = disordered(chance, [*distinct, *chance.choices(distinct, k=1_500)])
    batches = split_at_random(chance, events, 20)
    bearer = load_event_bearers(shop.stack.data_dir / "secrets")[0]

    def post(batch: list[Record]) -> Counter[str]:
        def answered() -> Reply | None:
            headers, body = {"Authorization": f"Bearer {bearer}"}, notification(*batch)
            reply = ask(inside_port(shop.stack), "POST", "/events/registry", headers=headers, body=body)
            return None if reply.status == 503 else reply

        return Counter(until(answered, "the events are taken").json())

    with ThreadPoolExecutor(8) as threads:
        answers = sum(threads.map(post, batches), Counter[str]())

    kinds = {("pull", "GET"): PULL, ("pull", "HEAD"): ActivityKind.HEAD, ("push", "PUT"): PUSH}
    expected = Counter(kinds[event["action"], event["request"]["method"]] for event in distinct)
    assert answers["accepted"] + answers["duplicate"] == 5_000
    assert recorded(shop.stack, app) - Counter({PUSH: 1}) == expected
