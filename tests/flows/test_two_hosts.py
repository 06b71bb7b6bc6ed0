"""Two replicas on two hosts: an upgrade of one under load, a fail-over, and records of two versions side by side."""

import json
import signal
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest

from tests.compose.later_version import FIELD
from tests.support.http_client import ask, get_token, post_token
from tests.support.load import Tally, meanwhile
from tests.support.oci import Image, digest_of
from tests.support.registry_client import Client
from tests.support.stack import PASSWORD
from tests.support.tenants import Account
from tests.support.two_hosts import Host, Site, two_hosts
from tests.support.two_networks import address
from tests.support.waiting import until

pytestmark = pytest.mark.system

SCOPE = "repository:myapp/worker:pull"
IMAGE = Image(b"a release")
MEMBER = Account("me@vendor.com", PASSWORD)
ENOUGH = 8
"""Requests of each kind that must come between two steps."""


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Return two hosts with one app and one image."""
    with two_hosts() as running:
        first = running.first
        first.authsvc("team", "create", "acme")
        first.authsvc("app", "create", "myapp", "--team", "acme")
        member = ("--team", "acme", "--role", "owner", "--password-stdin")
        first.authsvc("member", "add", MEMBER.username, *member, stdin=PASSWORD)
        Client(running.port, MEMBER).push("myapp/worker", "1.0", IMAGE)
        yield running


def new_license(host: Host) -> tuple[str, Account]:
    """Make a license with the command line of a host; return its id, and its file as an account."""
    terms = ("--app", "myapp", "--customer", "Globex", "--expires", "2031-01-31", "--output", "-")
    file = host.authsvc("license", "create", *terms).out
    return str(json.loads(file)["license"]["id"]), Account("license", file)


def pulled(site: Site, account: Account) -> str:
    """Pull as docker does: challenge, token, manifest, blobs."""
    Client(site.port, account).pull("myapp/worker", "1.0", IMAGE)
    return "pulled"


def test_an_upgrade_of_one_host_fails_no_request(site: Site) -> None:
    """Tokens, pulls and pushes go on while a host is out, and comes back with a later version, which it keeps."""
    _, account = new_license(site.first)
    numbers = count()

    def push() -> str:
        Client(site.port, MEMBER).push("myapp/worker", "pushed", Image(b"release %d" % next(numbers)))
        return "pushed"

    def load(*tallies: Tally) -> None:
        wanted = [sum(tally.results.values()) + ENOUGH for tally in tallies]
        until(
            lambda: all(sum(tally.results.values()) > least for tally, least in zip(tallies, wanted, strict=True)),
            "there is load",
        )

    pause = 0.2
    with (
        meanwhile(lambda: get_token(site.port, account, SCOPE).status, threads=2, pause=pause) as asked,
        meanwhile(lambda: post_token(site.port, account, SCOPE).status, pause=pause) as posted,
        meanwhile(lambda: pulled(site, account), pause=pause) as pulling,
        meanwhile(push, pause=pause) as pushing,
    ):
        load(asked, posted, pulling, pushing)
        site.balance(site.first)
        site.first.stop("serve")
        load(asked, posted, pulling, pushing)
        site.first.package = site.later
        site.first.serve()
        site.balance()
        load(asked, posted, pulling, pushing)

    print(asked.results, posted.results, pulling.results, pushing.results)  # noqa: T201  a figure worth seeing
    assert {200} == set(asked.results) | set(posted.results)
    assert ({"pulled"}, {"pushed"}) == (set(pulling.results), set(pushing.results))
    shown = ask(site.second.place, "GET", "/readyz")
    assert shown.status == 200


def test_one_server_that_ends_without_notice_fails_no_reading(site: Site) -> None:
    """The balancer asks the other one; that the load would notice is seen when that one ends, too."""
    _, account = new_license(site.first)
    with meanwhile(lambda: get_token(site.port, account, SCOPE).status, threads=2, pause=0.1) as asked:
        until(lambda: asked.results[200] > ENOUGH, "there is load")
        site.first.stop("serve", signal.SIGKILL)
        before = asked.results[200]
        until(lambda: asked.results[200] > before + ENOUGH, "tokens are issued by the other one")
        with_one = set(asked.results)
        site.second.stop("serve")
        until(lambda: len(asked.results) > 1, "it is noticed")
        for host in (site.first, site.second):
            host.serve()
    assert with_one == {200}


def test_a_change_at_one_host_counts_at_the_other_at_once(site: Site) -> None:
    """Made, rotated and revoked by the API of one; the next request to the other one goes by it."""
    first, second = site.first, site.second
    made = first.authsvc("token", "create", "ci", "--member", MEMBER.username, "--api", "manage", "--json").out
    bearer = {"Authorization": f"Bearer {json.loads(made)['token']}", "Content-Type": "application/json"}

    def call(method: str, path: str, body: Any = None) -> Any:
        sent = b"" if body is None else json.dumps(body).encode()
        reply = ask(first.place, method, f"/api/v1{path}", headers=bearer, body=sent)
        assert reply.status in {200, 201}, reply
        return reply.json()

    def status(password: str) -> int:
        return get_token(second.place, Account("license", password), SCOPE, service=site.name).status

    for _ in range(5):
        new = {"app": "myapp", "customer": "Hooli", "expires": "90d"}
        license_id = call("POST", "/licenses", new)["id"]
        before = json.dumps(call("GET", f"/licenses/{license_id}/file"))
        assert status(before) == 200
        call("POST", f"/licenses/{license_id}/rotate", {"overlap": "0"})
        after = json.dumps(call("GET", f"/licenses/{license_id}/file"))
        assert (status(before), status(after)) == (401, 200)
        call("POST", f"/licenses/{license_id}/revoke")
        assert status(after) == 401


def test_an_upload_goes_on_at_the_other_host(site: Site) -> None:
    """Begun at one, ended at the other, and there at both: they have one secret and one bucket."""
    first, second = (Client(host.place, MEMBER, service=site.name) for host in (site.first, site.second))
    content = b"a layer"
    begun = first.ask("POST", "/v2/myapp/worker/blobs/uploads/")
    ended = second.ask("PUT", f"{begun.headers['location']}&digest={digest_of(content)}", body=content)

    assert (begun.status, ended.status) == (202, 201)
    for client in (first, second):
        assert client.ask("GET", f"/v2/myapp/worker/blobs/{digest_of(content)}").body == content


def test_garbage_is_collected_while_both_hosts_only_read(site: Site) -> None:
    """What was deleted at one is gone at both, the rest stays, and what is gone can be pushed again."""
    _, account = new_license(site.first)
    client, old = Client(site.port, MEMBER), Image(b"deleted")
    client.push("myapp/worker", "old", old)
    client.pull("myapp/worker", "old", old)
    site.second.authsvc("image", "delete", "myapp/worker:old", "--yes")
    for host in (site.first, site.second):
        host.stop("registry")
        host.serve_images(read_only=True)
    refused = client.ask("POST", "/v2/myapp/worker/blobs/uploads/")
    said = site.second.collect_garbage()
    assert pulled(site, account) == "pulled"
    for host in (site.first, site.second):
        host.stop("registry")
        host.serve_images()

    assert refused.status == 405
    for digest in old.digests:
        assert f"blob eligible for deletion: {digest}" in said
        for host in (site.first, site.second):
            at_host = Client(host.place, MEMBER, service=site.name)
            assert at_host.ask("HEAD", f"/v2/myapp/worker/blobs/{digest}").status == 404
    client.push("myapp/worker", "old", old)
    client.pull("myapp/worker", "old", old)
    assert pulled(site, account) == "pulled"


def test_records_of_two_versions(site: Site) -> None:
    """What a later version has written is read and changed by this one, and its field stays."""
    site.first.package = site.later
    license_id, account = new_license(site.first)
    site.second.authsvc("license", "extend", license_id, "--expires", "2032-01-31")
    stored = json.loads(site.redis("get", f"authsvc:license:{license_id}"))

    assert (stored[FIELD], stored["expires_at"][:4]) == (1, "2032")
    for host in (site.first, site.second):
        assert get_token(host.place, account, SCOPE, service=site.name).status == 200


def test_a_fail_over_under_load(site: Site) -> None:
    """The host of the primary loses it: pulls go on or are told to come again, and what the standby had is there."""
    license_id, account = new_license(site.second)
    _, revoked = new_license(site.second)
    site.second.authsvc("license", "revoke", json.loads(revoked.password)["license"]["id"])
    until(lambda: site.redis("wait", "1", "1000").strip() == "1", "the standby has it")
    for host in (site.first, site.second):
        assert get_token(host.place, account, SCOPE, service=site.name).status == 200
    with meanwhile(lambda: get_token(site.port, account, SCOPE).status, threads=2, pause=0.05) as asked:
        until(lambda: asked.results[200] > ENOUGH, "there is load")
        site.first.stop("redis", signal.SIGKILL)
        until(lambda: site.watched().get("ip") == address(2), "the standby is the primary")
        until(lambda: site.first.is_ready() and site.second.is_ready(), "both hosts have followed")
        before = asked.results[200]
        until(lambda: asked.results[200] > before + ENOUGH, "tokens are issued")
    print(asked.results)  # noqa: T201  a figure worth seeing
    assert set(asked.results) <= {200, 503}
    assert license_id in site.first.authsvc("license", "list", "--app", "myapp", "--json").out
    assert get_token(site.port, revoked, SCOPE).status == 401
    new_license(site.first)
