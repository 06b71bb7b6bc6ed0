"""The audit on the running stack: whatever happens, a refusal can be explained, and nobody waits for it."""

import itertools
import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from redis import Redis

from tests.support.http_client import FORM, Reply, ask, basic, get_token, post_token
from tests.support.load import meanwhile
from tests.support.processes import family_of
from tests.support.stack import IMPATIENT, Stack, running_stack
from tests.support.tenants import Account, License, make_license, make_member, make_team
from tests.support.waiting import PATIENCE, until

SCOPE = "repository:app/worker:pull"
WORK = 3 * PATIENCE
"""Seconds for what takes thousands of requests."""


@pytest.fixture(scope="module")
def audited() -> Iterator[Stack]:
    """Return a stack with two workers and an app."""
    with running_stack(options=("--workers", "2")) as stack:
        make_team(stack, "app", slug="acme")
        yield stack


def explained(stack: Stack, reply: Reply) -> dict[str, Any]:
    """Return what the audit says of a reply, as soon as it says something."""
    request_id = reply.headers["x-request-id"]

    def look() -> dict[str, Any] | None:
        ran = stack.authsvc("audit", "explain", request_id, "--json", check=False)
        found: dict[str, Any] | None = json.loads(ran.out) if ran.code == 0 else None
        return found

    return until(look, f"{request_id} is explained")


def not_written(stack: Stack) -> int:
    """Return how often the log says that the audit cannot be written: once for each outage and worker."""
    return sum(event["event"] == "audit.not_written" for event in stack.events("serve.log"))


@contextmanager
def paused(stack: Stack) -> Iterator[None]:
    """Let Redis hang during the block."""
    os.kill(stack.pid("redis"), signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(stack.pid("redis"), signal.SIGCONT)


def test_every_shown_id_is_explained(audited: Stack) -> None:
    """Whatever a client is refused for, in either form, the id in its message leads to the reason."""
    ended = make_license(audited, "app")
    audited.authsvc("license", "revoke", ended.id)
    member = make_member(audited, "acme", "viewer")
    nobody = Account("nobody@acme.test", "a password of nobody")
    anonymous = get_token(audited.port, None, SCOPE)
    garbage = ask(
        audited.port, "POST", "/auth/token", headers={"Content-Type": FORM}, body=b"grant_type=\xff\xfe&password=%ff"
    )
    other_service = get_token(audited.port, member, SCOPE, service="elsewhere:443")
    preflight = ask(audited.port, "GET", "/auth/preflight?image=app/worker:1", headers=basic(ended.account))
    shown = {
        "revoked": (get_token(audited.port, ended.account, SCOPE), "token.denied"),
        "revoked, by form": (post_token(audited.port, ended.account, SCOPE), "token.denied"),
        "wrong": (get_token(audited.port, Account(member.username, "not the password at all"), SCOPE), "token.refused"),
        "unknown": (get_token(audited.port, nobody, SCOPE), "token.refused"),
        "anonymous": (anonymous, "token.refused"),
        "another service": (other_service, "token.refused"),
        "no form": (garbage, "token.refused"),
        "preflight": (preflight, "token.denied"),
    }
    for what, (reply, event) in shown.items():
        assert reply.status == 401, what
        request_id = reply.headers["x-request-id"]
        assert request_id in reply.error()[1], what
        told = explained(audited, reply)
        assert (event, True) == (told["event"], request_id in told["requests"]), what
        assert told["reason"] in reply.error()[1], what


def test_a_tired_person_reads_why(audited: Stack) -> None:
    """The reason, who it was, what was true then and the way out, though the license was extended since."""
    license_ = make_license(audited, "app", "--expires", "2031-01-31")
    audited.authsvc("license", "revoke", license_.id)
    reply = get_token(audited.port, license_.account, SCOPE)
    explained(audited, reply)
    audited.authsvc("license", "reinstate", license_.id)
    said = audited.authsvc("audit", "explain", reply.headers["x-request-id"]).out

    assert f"license {license_.id} of Globex was revoked on" in said
    assert f"Who: license:{license_.id}, by the registry token of license {license_.id}." in said
    assert "state revoked, ends at 2031-01-31 00:00:00 UTC" in said
    assert f"To restore access: authsvc license reinstate {license_.id}" in said


def test_what_is_refused_inside_a_success_is_found_by_its_subject(audited: Stack) -> None:
    """A pull of another app's image is answered 200 by us and refused by the registry; the audit knows why."""
    license_ = make_license(audited, "app")
    reply = get_token(audited.port, license_.account, SCOPE, "repository:other/x:pull")
    assert reply.status == 200
    subject = f"license:{license_.id}"
    told = until(
        lambda: json.loads(
            audited.authsvc("audit", "explain", "--subject", subject, "--last", "--json", check=False).out or "null"
        ),
        "the decision is told",
    )

    assert [{"scope": "repository:other/x:pull", "action": "pull", "reason": "the license is for the app app"}] == told[
        "refused"
    ]
    assert [SCOPE] == told["granted"]
    assert reply.headers["x-request-id"] in told["requests"]


def test_an_outage_is_explained_afterwards() -> None:
    """A client that got 503 while Redis hung finds that out, too, and the audit says it was no refusal."""
    with running_stack(REDIS_DEADLINE=IMPATIENT) as stack:
        make_team(stack, "app")
        unseen = make_license(stack, "app")
        with paused(stack):
            reply = get_token(stack.port, unseen.account, SCOPE)
            assert reply.status == 503
            until(lambda: not_written(stack), "the audit cannot be written either")
        told = explained(stack, reply)

    assert ("token.unanswered", "StoreUnavailable") == (told["event"], told["kind"])


def test_an_audit_that_cannot_be_written_slows_no_token(audited: Stack) -> None:
    """While every batch fails and is sent again, tokens are issued, and afterwards all goes on."""
    license_ = make_license(audited, "app")
    redis = Redis(unix_socket_path=str(audited.data_dir / "run" / "redis.sock"))
    before = not_written(audited)
    # A stream that is no stream: every batch fails, is kept and sent again, for as long as the test runs.
    redis.rename("authsvc:audit", "authsvc:kept")
    redis.set("authsvc:audit", "in the way")
    try:
        # Each is the first of its kind, so that each is to be written within the second.
        scopes = (f"repository:app/new{number}:pull" for number in itertools.count())
        with meanwhile(lambda: get_token(audited.port, license_.account, next(scopes)).status) as others:
            until(lambda: not_written(audited) > before, "the log says that the audit cannot be written")
            # Nothing has been or will be written: a request that waited for it would get no answer.
            issued = [get_token(audited.port, license_.account, SCOPE).status for _ in range(100)]
        assert redis.get("authsvc:audit") == b"in the way"
    finally:
        redis.delete("authsvc:audit")
        redis.rename("authsvc:kept", "authsvc:audit")
        redis.close()

    assert {200} == set(others.results) | set(issued)
    explained(audited, get_token(audited.port, make_revoked(audited).account, SCOPE))


def make_revoked(stack: Stack) -> License:
    """Make a license that is refused."""
    license_ = make_license(stack, "app")
    stack.authsvc("license", "revoke", license_.id)
    return license_


def test_thousands_of_refusals_leave_little(audited: Stack) -> None:
    """A cluster with a dead license can ask all night: a handful of entries with all their counts."""
    license_ = make_revoked(audited)
    redis = Redis(unix_socket_path=str(audited.data_dir / "run" / "redis.sock"))
    with meanwhile(lambda: get_token(audited.port, license_.account, SCOPE).status, threads=8) as tally:
        until(lambda: tally.results[401] >= 2000, "they were refused", WORK)
    # Its own alone: a worker may only now write what another test has left it.
    rows: Any = redis.xrange("authsvc:audit")
    told = [entry for _, entry in rows if license_.id.encode() in entry[b"entry"]]
    redis.close()

    assert {401} == set(tally.results)
    assert 2 < len(told) <= 2 * 10, "it was made and revoked, and then refused"
    assert sum(len(name) + len(value) for entry in told for name, value in entry.items()) < 64 * 1024


def _size(redis: Redis) -> int:
    return redis.memory_usage("authsvc:audit", samples=0) or 0


def test_a_clean_stop_writes_everything_and_a_start_goes_on() -> None:
    """Counts that would have waited for minutes are there after SIGTERM; a kill loses no change and little else."""
    with running_stack(options=("--workers", "2")) as stack:
        make_team(stack, "app", slug="acme")
        license_ = make_revoked(stack)
        shown = [get_token(stack.port, license_.account, SCOPE).headers["x-request-id"] for _ in range(40)]
        explain = ("audit", "explain", shown[0])
        until(lambda: stack.authsvc(*explain, check=False).code == 0, "the first is written")
        shown += [get_token(stack.port, license_.account, SCOPE).headers["x-request-id"] for _ in range(40)]
        stack.stop()
        stack.start()
        listed = stack.json("audit", "list", "--subject", f"license:{license_.id}", "--event", "token.denied")
        assert sorted(shown) == sorted(one for entry in listed for one in entry["requests"])
        assert 80 == sum(entry["count"] for entry in listed)
        assert stack.process is not None
        last = get_token(stack.port, license_.account, SCOPE)
        explained(stack, last)
        for pid in reversed(family_of(stack.process.pid)):
            os.kill(pid, signal.SIGKILL)
        stack.process.wait(PATIENCE)
        stack.start()
        explained(stack, last)


def test_a_tiny_budget_exports_and_a_revocation_always_has_room(tmp_path: Path) -> None:
    """Under a flood of decisions the oldest are exported, Redis stays within the budget, and changes go through."""
    folder, number, sizes = tmp_path / "audit", itertools.count(), list[int]()
    with running_stack(options=("--workers", "2"), AUDIT_BUDGET="1", AUDIT_EXPORT_DIR=str(folder)) as stack:
        make_team(stack, "app", slug="acme")
        # One subject alone does not fill the audit: beyond a number its requests are counted together.
        licenses = [make_license(stack, "app") for _ in range(8)]
        license_ = licenses[0]
        redis = Redis(unix_socket_path=str(stack.data_dir / "run" / "redis.sock"))

        def new_decision() -> int:
            count = next(number)
            account = licenses[count % len(licenses)].account
            return get_token(stack.port, account, f"repository:app/x{count}:pull").status

        def is_exported() -> bool:
            sizes.append(_size(redis))
            return any(folder.glob("*.jsonl"))

        with meanwhile(new_decision, threads=6) as tally:
            until(is_exported, "something is exported", WORK)
            stack.authsvc("license", "revoke", license_.id)
            until(lambda: tally.results[401] >= 10, "it is refused")
        assert {200, 401} >= set(tally.results)
        assert max(sizes) < 1024 * 1024
        redis.close()
        # A clean stop writes what waits, so that from here on every decision is in an entry or counted as lost.
        stack.stop()
        stack.start()
        # An export that the stop has interrupted is made once more: until then its entries are in Redis, too.
        told = until(lambda: _whole(stack, folder, tmp_path / "rest.jsonl"), "each entry is in one place, and in order")

    assert ["team.created", "license.changed"] == [told[0]["event"], *(
        entry["event"] for entry in told if entry["event"] == "license.changed"
    )]  # fmt: skip
    decided = sum(entry["count"] for entry in told if entry["event"] in {"token.issued", "token.denied"})
    lost = sum(entry["lost"] for entry in told if entry["event"] == "audit.lost")
    assert sum(tally.results.values()) == decided + lost


def _whole(stack: Stack, folder: Path, rest: Path) -> list[dict[str, Any]] | None:
    """Return all entries, those that were exported first; None while an export goes on."""
    rest.unlink(missing_ok=True)
    stack.authsvc("audit", "export", str(rest))
    told = [*_lines(folder), *(json.loads(line) for line in rest.read_text().splitlines())]
    places = [tuple(map(int, entry["cursor"].split("-"))) for entry in told]
    is_over = "audit.trimmed" in {entry["event"] for entry in told}
    return told if is_over and sorted(set(places)) == places else None


def _lines(folder: Path) -> list[dict[str, Any]]:
    """Return all exported entries, oldest first."""
    files = sorted(folder.glob("*.jsonl"), key=lambda file: int(file.name.split("-")[1]))
    return [json.loads(line) for file in files for line in file.read_text().splitlines()]
