"""One id for a request, in the logs of nginx and of whoever served it; and no secret path in any of them."""

import os
import signal
from collections.abc import Iterator
from typing import Any

import pytest

from authsvc.processes.log_rotation import MAX_LOG
from tests.support.http_client import ask, get_token
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, make_member, make_team
from tests.support.waiting import until

SECRET = "asv_page_0123456789"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """Return a stack with nothing of another test in its logs."""
    with running_stack() as running:
        yield running


@pytest.fixture(scope="module")
def owner(stack: Stack) -> Account:
    """Return who may push."""
    return make_member(stack, make_team(stack, "app"), "owner")


def requests(stack: Stack, **facts: Any) -> list[dict[str, Any]]:
    """Return the requests in nginx's log that have these facts."""
    return [event for event in stack.events("nginx.log") if facts.items() <= event.items()]


def test_authsvc_and_nginx_have_one_id(stack: Stack, owner: Account) -> None:
    """The one that a refusal shows."""
    wrong = Account(owner.username, "not the right password")
    shown = get_token(stack.port, wrong, "repository:app/x:pull").headers["x-request-id"]
    (line,) = until(lambda: requests(stack, request_id=shown), "nginx logs the request")

    assert stack.event_of(shown)["event"] == "token.refused"
    assert (line["method"], line["path"], line["status"]) == ("GET", "/auth/token", 401)


def test_the_registry_and_nginx_have_one_id(stack: Stack, owner: Account) -> None:
    """Where the registry says something at all: what is ordinary is in nginx's log alone."""
    log = stack.data_dir / "log" / "registry.log"
    token = get_token(stack.port, owner, "repository:app/x:pull,push").json()["token"]
    right = {"Authorization": f"Bearer {token}"}
    ordinary = ("/v2/", "/v2/app/x/manifests/1", "/v2/app/x/blobs/sha256:" + "a" * 64, "/v2/app/x/tags/list")
    statuses = [ask(stack.port, "GET", path, headers=right if path != "/v2/" else None).status for path in ordinary]
    forged = ask(stack.port, "GET", "/v2/app/x/manifests/2", headers={"Authorization": "Bearer x.y.z"})
    assert (statuses, forged.status) == ([401, 404, 404, 404], 401)
    (line,) = until(lambda: requests(stack, path="/v2/app/x/manifests/2"), "nginx logs the request")
    until(lambda: f"http.request.referer={line['request_id']} " in log.read_text(), "the registry logs it, too")

    assert [text for text in log.read_text().splitlines() if "/v2/app/x/manifests/2" not in text] == []
    for path in ordinary:
        until(lambda path=path: requests(stack, path=path), f"nginx logs {path}, too")  # type: ignore[misc]


@pytest.mark.parametrize(
    "path",
    [
        f"/c/{SECRET}",
        f"/c/{SECRET}/images?x=1",
        f"//c/{SECRET}",
        f"/v2/../c/{SECRET}",
        f"/v2/./../c/{SECRET}",
        f"/%63/{SECRET}",
        f"/v2/%2e%2e/c/{SECRET}",
        f"/portal/../c/{SECRET}",
        f"/portal/join/{SECRET}",
        f"/portal//join/{SECRET}",
        f"/x?then=/c/{SECRET}",
    ],
)
@pytest.mark.parametrize("method", ["GET", "PUT"])
def test_no_secret_path_is_in_a_log(stack: Stack, path: str, method: str) -> None:
    """However it is spelt, also when it is not served or too much comes with it."""
    before = len(requests(stack))
    ask(stack.port, method, path, body=b"x" * 2_000_000 if method == "PUT" else b"")
    (line,) = until(lambda: requests(stack)[before:], "nginx logs the request")

    assert line["method"] == method
    for log in (stack.data_dir / "log").iterdir():
        assert SECRET not in log.read_text(errors="replace"), log.name


def test_nginx_goes_on_in_a_new_log(stack: Stack) -> None:
    """When the log has grown large it is put aside, and later requests are in the new one."""
    log = stack.data_dir / "log" / "nginx.log"
    with log.open("ab") as file:
        file.write((b"x" * 1023 + b"\n") * (MAX_LOG // 1024 + 1))
    until(lambda: log.stat().st_size < MAX_LOG, "the log is put aside")

    def is_logged() -> bool:
        ask(stack.port, "GET", "/livez")
        return bool(requests(stack, path="/livez"))

    until(is_logged, "the next request is in the new log")
    os.kill(stack.pid("nginx"), signal.SIGUSR1)  # once more harms nothing
    until(is_logged, "and the next")
