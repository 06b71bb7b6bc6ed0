"""``authsvc status``: what it says of each part, and when it exits with 1."""

import json
import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from authsvc.cli.status_parts import PartState, State, parts_of
from tests.support.http_client import ask
from tests.support.stack import running_stack
from tests.support.waiting import until

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def at(**span: float) -> str:
    """Return the instant so long after now."""
    return (NOW + timedelta(**span)).isoformat()


def disk(room: str = "enough") -> dict[str, Any]:
    """Return a disk of 40 GiB."""
    return {"room": room, "folder": "/data", "free_bytes": 20 << 30, "size_bytes": 40 << 30, "reserve_bytes": 1 << 30}


def healthy() -> dict[str, Any]:
    """Return what a server says with which nothing is wrong."""
    return {
        "status": "ready",
        "store": "up",
        "store_refuses": None,
        "store_files": {"append_only_file": "ok", "append_only_file_bytes": 3 << 20, "rewrite": "ok", "snapshot": "ok"},
        "leaf": {"status": "up", "not_after": at(hours=20)},
        "workers": {"serving": 2, "wanted": 2, "tracking": 2},
        "store_disk": disk(),
        "store_memory": {"room": "enough", "used_bytes": 12 << 20, "limit_bytes": 1 << 30},
        "registry": "up",
        "registry_disk": disk(),
        "nginx": "up",
        "keys": "up",
        "token_root": {"not_after": at(days=3000)},
        "tls_certificate": {"status": "ok", "not_after": at(days=60), "detail": None},
        "clocks": {"redis_ahead_seconds": 0.0, "registry_ahead_seconds": -0.4},
        "audit": {"used_bytes": 1 << 20, "budget_bytes": 256 << 20, "waiting": 3, "lost": 0},
        "log": {"lost": 0},
        "events": {"last_at": at(minutes=-3)},
        "images": {"crawled_at": at(hours=-2), "unread": 0, "waiting": 0},
        "upstreams": {"failing": 0},
        "webhooks": {"waiting": 0, "dropped": 0},
        "client_addresses": "clear",
    }


def of_part(health: dict[str, Any], name: str) -> PartState:
    """Return the line of one part."""
    (found,) = [part for part in parts_of(health, NOW) if part.name == name]
    return found


def test_a_healthy_installation_has_a_line_for_each_part() -> None:
    """Components, disks, certificates, clock and queues, each with what there is to know."""
    lines = {part.name: (part.state, part.detail) for part in parts_of(healthy(), NOW)}
    assert {name: (State.OK, detail) for name, (_, detail) in lines.items()} == lines
    assert lines == {
        "server": (State.OK, "2 of 2 workers serve"),
        "redis": (State.OK, "12 MiB of 1,024 MiB in use; append-only file 3 MiB"),
        "disk of redis": (State.OK, "20 GiB of 40 GiB free (/data)"),
        "registry": (State.OK, "up"),
        "disk of images": (State.OK, "20 GiB of 40 GiB free (/data)"),
        "nginx": (State.OK, "up"),
        "key service": (State.OK, "up"),
        "signing certificate": (State.OK, "ends in 20 hours, and is renewed before"),
        "token root": (State.OK, "ends in 3,000 days"),
        "TLS certificate": (State.OK, "ends in 60 days"),
        "clock": (State.OK, "redis agrees, the registry agrees"),
        "audit": (State.OK, "1 MiB of 256 MiB used, 3 waiting"),
        "registry events": (State.OK, "last 3 minutes ago"),
        "image index": (State.OK, "registry read 2 hours ago, 0 waiting"),
        "webhooks": (State.OK, "0 waiting"),
        "linked registries": (State.OK, "none failed at the last request"),
        "client addresses": (State.OK, "clear"),
    }


def change(*path: str, to: Any) -> Callable[[dict[str, Any]], None]:
    """Return what changes one value."""

    def apply(health: dict[str, Any]) -> None:
        *folders, last = path
        for folder in folders:
            health = health[folder]
        health[last] = to

    return apply


@pytest.mark.parametrize(
    ("wrong", "name", "state", "words"),
    [
        (change("status", to="not ready"), "server", State.FAILED, "no tokens can be issued"),
        (change("workers", "serving", to=1), "server", State.FAILED, "1 of 2 workers"),
        (change("log", "lost", to=1), "log", State.OK, "1 line lost"),
        (change("nginx", to={"error": "no answer within 3 s"}), "nginx", State.FAILED, "no answer within 3 s"),
        (change("token_root", to={"error": "an error"}), "token root", State.FAILED, "cannot be asked: an error"),
        (change("leaf_renewal", to="by a person"), "signing certificate", State.WARNING, "authsvc keys issue"),
        (change("store", to="down"), "redis", State.FAILED, "does not answer"),
        (change("store_refuses", to="OOM command not allowed"), "redis", State.FAILED, "OOM command"),
        (change("store_files", "append_only_file", to="err"), "redis", State.FAILED, "append-only file failed"),
        (change("store_files", "snapshot", to="err"), "redis", State.WARNING, "snapshot failed"),
        (change("store_memory", "room", to="full"), "redis", State.FAILED, "maxmemory"),
        (change("store_disk", to=disk("low")), "disk of redis", State.WARNING, "make room"),
        (change("store_disk", to=disk("full")), "disk of redis", State.FAILED, "the audit has stopped"),
        (change("store_disk", to={"room": "unknown", "error": "gone"}), "disk of redis", State.WARNING, "gone"),
        (change("registry", to="down"), "registry", State.FAILED, "does not answer"),
        (change("registry_disk", to=disk("full")), "disk of images", State.FAILED, "pushes will fail"),
        (change("nginx", to="down"), "nginx", State.FAILED, "does not answer"),
        (change("keys", to="down"), "key service", State.FAILED, "does not answer"),
        (change("leaf", "status", to="down"), "signing certificate", State.FAILED, "none is valid"),
        (change("leaf", "status", to="ending"), "signing certificate", State.WARNING, "not renewed"),
        (change("token_root", "not_after", to=at(days=80)), "token root", State.WARNING, "keys rotate --root"),
        (change("tls_certificate", "status", to="ends soon"), "TLS certificate", State.WARNING, "60 days"),
        (change("tls_certificate", "status", to="wrong"), "TLS certificate", State.FAILED, "60 days"),
        (change("clocks", "redis_ahead_seconds", to=5.2), "clock", State.WARNING, "redis is 5 s ahead"),
        (change("clocks", "registry_ahead_seconds", to=-90.0), "clock", State.FAILED, "90 s behind"),
        (change("audit", "used_bytes", to=250 << 20), "audit", State.WARNING, "AUTHSVC_AUDIT_EXPORT_DIR"),
        (change("audit", "lost", to=7), "audit", State.OK, "7 decisions lost"),
        (change("images", "crawled_at", to=at(days=-2)), "image index", State.WARNING, "2 days ago"),
        (change("images", "unread", to=4), "image index", State.WARNING, "4 could not be read"),
        (change("webhooks", "dropped", to=2), "webhooks", State.OK, "2 dropped"),
        (change("upstreams", "failing", to=1), "linked registries", State.WARNING, "1 registry failed"),
        (change("client_addresses", to="private, so"), "client addresses", State.WARNING, "private"),
    ],
)
def test_what_is_wrong_is_said(wrong: Callable[[dict[str, Any]], None], name: str, state: State, words: str) -> None:
    """Its part fails or warns and says what it is; no other part changes."""
    health = healthy()
    before = {part.name: part for part in parts_of(health, NOW)}
    wrong(health)
    found = of_part(health, name)
    assert state is found.state
    assert words in found.detail
    assert before.keys() - {name} <= {part.name for part in parts_of(health, NOW) if part == before.get(part.name)}


def test_an_older_server_has_fewer_lines() -> None:
    """What it does not say is left out, and nothing fails."""
    health = {
        "status": "ready",
        "store": "up",
        "store_refuses": None,
        "leaf": {"status": "up", "not_after": at(days=1)},
    }
    assert {"server", "redis", "signing certificate"} == {part.name for part in parts_of(health, NOW)}


def test_the_status_of_an_installation() -> None:
    """Every part of `up` is there and well; one that hangs is named, and so is a server that does not run."""
    with running_stack() as stack:
        parts = {part["name"]: part for part in stack.json("status")["parts"]}
        every = {"server", "redis", "registry", "nginx", "key service", "disk of redis", "disk of images", "clock"}
        assert every <= parts.keys()
        assert {name for name, part in parts.items() if part["state"] == "failed"} == set()
        assert parts["server"]["detail"] == "1 of 1 worker serves"
        assert parts["nginx"]["detail"] == parts["registry"]["detail"] == parts["key service"]["detail"] == "up"
        assert parts["clock"]["detail"] == "redis agrees, the registry agrees"

        registry = stack.pid("registry")
        os.kill(registry, signal.SIGSTOP)
        try:
            ran = stack.authsvc("status", check=False)
            assert ran.code == 1
            (line,) = [line for line in ran.out.splitlines() if line.startswith("failed")]
            assert line.split()[:2] == ["failed", "registry"]
        finally:
            os.kill(registry, signal.SIGCONT)
        until(lambda: stack.authsvc("status", check=False).code == 0, "it is well again")
        measured = ask(stack.inside, "GET", "/metrics").body.decode()
        assert 'authsvc_part_up{part="redis"} 1.0' in measured
        assert "authsvc_workers_wanted 1.0" in measured
        assert "authsvc_token_root_expiry_seconds" in measured

        stack.stop()
        ran = stack.authsvc("status", "--json", check=False)
        assert ran.code == 1
        (part,) = json.loads(ran.out)["parts"]
        assert part["state"] == "failed"
        assert "no server of this installation answers" in part["detail"]
