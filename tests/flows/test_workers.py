"""Several workers: replaced under load without a failed request, kept alive, and counted together."""

import http.client
import os
import signal
import threading
import time
from collections.abc import Iterator
from typing import Self

import pytest
from prometheus_client.parser import text_string_to_metric_families

from authsvc.keys.file_names import TOKEN_ROOT_KEY
from authsvc.server.worker_health import SILENCE
from tests.support.http_client import ask, basic, get_token
from tests.support.load import meanwhile
from tests.support.processes import is_alive, workers_of
from tests.support.stack import Stack, running_stack, short_folder
from tests.support.tenants import Account, make_license, make_team
from tests.support.waiting import PATIENCE, until

ROLLS = 3


@pytest.fixture(scope="module")
def pool() -> Iterator[Stack]:
    """Return a stack with two workers."""
    with running_stack(options=("--workers", "2")) as stack:
        make_team(stack, "poolapp")
        yield stack


def workers(stack: Stack) -> set[int]:
    """Return the process ids of the workers."""
    return set(workers_of(stack.pid("serve")))


def port_of(stack: Stack, listener: str) -> int:
    """Return the port of a listener."""
    return int((stack.data_dir / "run" / f"{listener}-address").read_text().strip().rpartition(":")[2])


def events(stack: Stack, name: str) -> int:
    """Return how often an event was logged."""
    return sum(event["event"] == name for event in stack.events("serve.log"))


class KeptConnections:
    """Asks for tokens over one kept connection per thread, and minds ``Connection: close`` as every client does."""

    def __init__(self, stack: Stack, port: int, account: Account) -> None:
        """Connect to ``port`` as ``account``."""
        self._target = f"/auth/token?service={stack.name}&scope=repository:poolapp/x:pull"
        self._port = port
        self._headers = basic(account)
        self._own = threading.local()
        self._all: list[http.client.HTTPConnection] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for connection in self._all:
            connection.close()

    def once(self) -> int:
        """Ask once and return the status."""
        connection: http.client.HTTPConnection | None = getattr(self._own, "connection", None)
        if connection is None:
            connection = self._own.connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=PATIENCE)
            self._all.append(connection)
        try:
            connection.request("GET", self._target, headers=self._headers)
            answer = connection.getresponse()
            answer.read()
        except Exception:
            connection.close()
            raise
        if answer.will_close:
            connection.close()
        return answer.status


def scrape(stack: Stack) -> dict[str, float]:
    """Return every sample of ``/metrics``, from whichever worker accepts."""
    text = ask(stack.inside, "GET", "/metrics").body.decode()
    samples = {
        "|".join((sample.name, *sample.labels.values())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }
    assert samples["authsvc_metrics_lost_total"] == 0
    return samples


def roll(stack: Stack, process: int) -> None:
    """Send SIGHUP and wait until other workers serve."""
    before, done = workers(stack), events(stack, "roll.done")
    os.kill(process, signal.SIGHUP)
    until(lambda: events(stack, "roll.done") > done, "the workers are replaced")
    until(lambda: not workers(stack) & before, "the old workers are gone")


@pytest.mark.parametrize("direct", [False, True], ids=["nginx", "directly"])
def test_workers_are_replaced_without_a_failed_request(pool: Stack, direct: bool) -> None:
    """Three times under load, on kept connections and new ones: every request gets its token."""
    account = make_license(pool, "poolapp").account
    port = port_of(pool, "edge") if direct else pool.port
    scope = "repository:poolapp/x:pull"
    with (
        KeptConnections(pool, port, account) as connections,
        meanwhile(connections.once, threads=4) as kept,
        meanwhile(lambda: get_token(port, account, scope, service=pool.name).status, threads=2) as fresh,
    ):
        for number in range(1, ROLLS + 1):
            until(lambda: min(kept.results[200], fresh.results[200]) > 15 * number, "there is load")  # noqa: B023
            before = workers(pool)
            assert pool.json("reload") == {"reloaded": True, "workers": 2, "reason": None}
            assert not workers(pool) & before
    assert ({200}, {200}) == (set(kept.results), set(fresh.results))


def test_the_load_would_see_a_worker_that_is_not_replaced_gently(pool: Stack) -> None:
    """Killing workers instead breaks requests of the same load, so its silence above means something."""
    account = make_license(pool, "poolapp").account
    port = port_of(pool, "edge")
    with KeptConnections(pool, port, account) as connections, meanwhile(connections.once, threads=4) as load:
        until(lambda: load.results[200] > 20, "there is load")
        for worker in workers(pool):
            os.kill(worker, signal.SIGKILL)
        until(lambda: len(load.results) > 1, "it is noticed")
        until(lambda: scrape(pool)["authsvc_workers"] == 2, "they are back")
    assert {200} != set(load.results)


def test_up_hands_sighup_on(pool: Stack) -> None:
    """SIGHUP to `authsvc up` replaces the workers and nothing else."""
    assert pool.process is not None
    others = {name: pool.pid(name) for name in ("redis", "registry", "serve", "nginx")}
    roll(pool, pool.process.pid)
    assert others == {name: pool.pid(name) for name in others}


@pytest.mark.parametrize("line", ["nonsense = 1", 'log_level = "loud"'])
def test_unusable_settings_leave_the_old_workers(pool: Stack, line: str) -> None:
    """A roll that would not start is refused with a sentence, and everything goes on as it was."""
    file = pool.data_dir / "config" / "authsvc.toml"
    good, before, refused = file.read_text(), workers(pool), events(pool, "roll.refused")
    file.write_text(f"{good}{line}\n")
    try:
        os.kill(pool.pid("serve"), signal.SIGHUP)
        until(lambda: events(pool, "roll.refused") > refused, "it is refused")
        # The command is told by its own reading of the settings.
        assert pool.authsvc("reload", check=False).code == 2
        # One that dies meanwhile comes back as it was.
        os.kill(min(before), signal.SIGKILL)
        until(lambda: len(workers(pool) - before) == 1 and scrape(pool)["authsvc_workers"] == 2, "it is back")
        before = workers(pool)
    finally:
        file.write_text(good)
    assert (before, 401) == (workers(pool), get_token(pool.port, None).status)


def test_every_worker_tells_the_sum_and_no_counter_goes_backwards(pool: Stack) -> None:
    """Over requests, a killed worker and a roll: each scrape knows all that was counted before it."""
    account = make_license(pool, "poolapp").account
    name = "authsvc_token_requests_total|issued|full"

    def count(number: int) -> float:
        for _ in range(number):
            assert get_token(port_of(pool, "edge"), account, service=pool.name).status == 200
        found = {scrape(pool)[name] for _ in range(10)}
        assert len(found) == 1, "workers disagree"
        return found.pop()

    start = count(0)
    assert start + 20 == count(20)
    deaths = scrape(pool)["authsvc_worker_deaths_total"]
    os.kill(min(workers(pool)), signal.SIGKILL)
    until(lambda: scrape(pool)["authsvc_worker_deaths_total"] == deaths + 1, "the death is counted")
    until(lambda: scrape(pool)["authsvc_workers"] == 2, "two workers serve")
    assert start + 30 == count(10)
    roll(pool, pool.pid("serve"))
    assert start + 35 == count(5)
    until(lambda: scrape(pool)["authsvc_workers"] == 2, "two workers serve")


def test_what_clients_send_makes_no_series(pool: Stack) -> None:
    """Strange methods, paths, scopes and accounts are counted under names that were there before."""
    before = scrape(pool)
    for path in ("/auth/token?scope=repository:strange/name:pull", "/strange", "/auth/token/../x"):
        for method in ("GET", "POST", "STRANGE"):
            ask(port_of(pool, "edge"), method, path, headers=basic(Account("strange@user.test", "strange password")))
    after = scrape(pool)
    assert before.keys() == after.keys()
    assert after["authsvc_http_requests_total|edge|4xx"] > before["authsvc_http_requests_total|edge|4xx"]


def test_a_stopped_worker_is_replaced(pool: Stack) -> None:
    """SIGSTOP to every worker: whoever asks meanwhile waits, others take their place, and all is answered again."""
    account, hung = make_license(pool, "poolapp").account, workers(pool)
    before = events(pool, "worker.hung")
    for worker in hung:
        os.kill(worker, signal.SIGSTOP)
    until(lambda: events(pool, "worker.hung") >= before + 2, "they are noticed")
    until(lambda: not workers(pool) & hung and scrape(pool)["authsvc_workers"] == 2, "others serve")
    assert {200} == {get_token(pool.port, account, service=pool.name).status for _ in range(20)}


def test_a_stopped_server_listens_before_it_judges(pool: Stack) -> None:
    """The parent was stopped for longer than any worker may be silent: it must not take them for hung then."""
    before, hung = workers(pool), events(pool, "worker.hung")
    os.kill(pool.pid("serve"), signal.SIGSTOP)
    try:
        time.sleep(SILENCE + 2)
    finally:
        os.kill(pool.pid("serve"), signal.SIGCONT)
    roll(pool, pool.pid("serve"))  # it works again
    assert not workers(pool) & before
    assert events(pool, "worker.hung") == hung


@pytest.mark.parametrize("killed", ["workers", "server"])
def test_without_the_root_key_all_is_answered(pool: Stack, killed: str) -> None:
    """The key is gone and whoever had a certificate too: clients are told to try again, and operators why."""
    account = make_license(pool, "poolapp").account
    key = pool.data_dir / "secrets" / TOKEN_ROOT_KEY
    aside, before = key.rename(key.with_suffix(".aside")), workers(pool)
    try:
        for process in before if killed == "workers" else [pool.pid("serve")]:
            os.kill(process, signal.SIGKILL)
        until(lambda: not any(map(is_alive, before)), "they are gone")
        reply = get_token(pool.port, account, service=pool.name)
        assert (503, "UNAVAILABLE") == (reply.status, reply.error()[0])
        ready = ask(pool.inside, "GET", "/readyz")
        assert (503, "down") == (ready.status, ready.json()["leaf"]["status"])
        assert scrape(pool)["authsvc_workers"] == 0
        assert ask(pool.port, "GET", "/livez").status == 200
        keys = ask(pool.port, "GET", "/auth/license-keys.json")
        assert (503, False) == (keys.status, b'"keys"' in keys.body)
        reload_refused(pool)
    finally:
        aside.rename(key)
    until(lambda: scrape(pool)["authsvc_workers"] == 2, "the workers have certificates")
    assert 200 == get_token(pool.port, account, service=pool.name).status
    until(lambda: b'"kid"' in ask(pool.port, "GET", "/auth/license-keys.json").body, "the keys are published")


def reload_refused(stack: Stack) -> None:
    """Ask for other workers, which would have no certificate either; the old ones stay."""
    ran = stack.authsvc("reload", check=False)
    assert (1, True) == (ran.code, "the old workers stay" in ran.err and TOKEN_ROOT_KEY in ran.err), ran


def test_reload_without_a_server_says_so() -> None:
    """An installation that does not run has no workers to replace."""
    with short_folder() as folder:
        stack = Stack(folder)
        stack.authsvc("init", "--data-dir", str(stack.data_dir))
        ran = stack.authsvc("reload", "--json", check=False)
    assert (1, "", True) == (ran.code, ran.out, "no server of this installation" in ran.err)
