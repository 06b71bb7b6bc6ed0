"""Webhooks as a vendor types them on a running installation."""

import base64
import hashlib
import hmac
import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from attrs import frozen

from tests.support.command import call
from tests.support.stack import Ran, Stack
from tests.support.tenants import make_team, unique
from tests.support.upstream_stub import Answer, Seen, StubUpstream
from tests.support.upstream_tls import UpstreamAuthority

LINE = 120
"""Most characters of a line of a table."""


@frozen
class Vendor:
    """A team with an app, and a receiver of its own.

    Attributes:
        stack: the installation.
        team: slug, and that of the app.
        receiver: on this machine, with TLS.
        authority: file of the authority that vouches for it.
    """

    stack: Stack
    team: str
    receiver: StubUpstream
    authority: Path

    def webhook(self, *arguments: str, check: bool = True, without: str | None = None) -> Ran:
        """Run a command, with the settings of an operator who lets receivers be on this machine, but perhaps one."""
        environ = {
            # Of a data directory the settings of its server count, which has none; not those of a command.
            "AUTHSVC_CONFIG": str(self.stack.data_dir / "config" / "authsvc.toml"),
            "AUTHSVC_UPSTREAM_PRIVATE_NETWORKS": "127.0.0.0/8,::1/128",
            "AUTHSVC_UPSTREAM_CA_FILE": str(self.authority),
        }
        given = {name: value for name, value in environ.items() if name != without}
        ran = call("webhook", *arguments, environ=given)
        assert ran.code == 0 or not check, ran
        return ran

    def add(self, path: str, *more: str) -> tuple[str, str]:
        """Add a webhook, and return its id and secret."""
        facts = json.loads(self.webhook("add", f"{self.receiver.url}{path}", "--team", self.team, *more, "--json").out)
        return facts["id"], facts["secret"]


@pytest.fixture(scope="module")
def vendor(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Vendor]:
    """Yield a vendor whose receiver accepts what is sent to ``/ok``."""
    slug = unique("hook")
    make_team(stack, slug, slug=slug)
    authority = UpstreamAuthority.make(tmp_path_factory.mktemp("ca"))
    answers = {"/ok": Answer(204), "/gone": Answer(410), "/moved": Answer(302, (("Location", "/ok"),))}
    tls = authority.issue("localhost", "127.0.0.1").server_context()
    with StubUpstream(tls=tls, answers=answers) as receiver:
        yield Vendor(stack, slug, receiver, authority.file)


def is_genuine(seen: Seen, secret: str) -> bool:
    """Whether a request was signed with a secret, computed from the specification."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    content = f"{seen.headers['webhook-id']}.{seen.headers['webhook-timestamp']}.".encode() + seen.body
    digest = hmac.digest(key, content, hashlib.sha256)
    return f"v1,{base64.b64encode(digest).decode()}" in seen.headers["webhook-signature"].split(" ")


def test_a_webhook_is_moved_and_gets_another_secret(vendor: Vendor) -> None:
    """Without a gap: the receiver that knows the old secret accepts what is signed with both."""
    webhook, first = vendor.add("/gone")
    assert vendor.webhook("set", webhook, check=False).code == 2
    moved = vendor.webhook("set", webhook, "--url", f"{vendor.receiver.url}/ok?later", "--type", "license.ending")
    assert moved.out == f"webhook {webhook} is changed\n"
    rotated = vendor.webhook("rotate", webhook, "--overlap", "2h")
    second = rotated.out.strip()
    assert "the old one signs as well until" in rotated.err
    vendor.webhook("test", webhook)
    (seen,) = vendor.receiver.asked("?later")
    assert is_genuine(seen, first)
    assert is_genuine(seen, second)
    assert vendor.webhook("rotate", webhook, "--overlap", "2h", check=False).code == 1
    assert vendor.webhook("rotate", webhook, "--overlap", "0").out.startswith("whsec_")
    assert vendor.webhook("disable", webhook).out == f"webhook {webhook} is disabled\n"
    facts = json.loads(vendor.webhook("show", webhook, "--json").out)
    assert (facts["types"], facts["disabled_reason"]) == (["license.ending"], "it was disabled by hand")
    assert facts["old_secret_until"] is None


def test_a_webhook_from_its_beginning_to_its_end(vendor: Vendor) -> None:
    """Added with a secret that is printed once, tested, listed, shown and removed."""
    url = f"{vendor.receiver.url}/ok?token=of-the-receiver"
    added = vendor.webhook("add", url, "--team", vendor.team, "--type", "license.ending", "--type", "image.pushed")
    sentence, secret = added.out.splitlines()
    webhook = sentence.split()[1]
    assert sentence == f"webhook {webhook} sends events of {vendor.team} to {url}"
    assert f"authsvc webhook test {webhook}" in added.err

    tested = vendor.webhook("test", webhook)
    assert tested.out.startswith("ok: the receiver answered 204 in ")
    (seen,) = vendor.receiver.asked("of-the-receiver")
    assert (seen.method, seen.headers["content-type"]) == ("POST", "application/json")
    assert is_genuine(seen, secret)
    assert json.loads(seen.body)["data"] == {"team": vendor.team, "app": None, "webhook": webhook}

    shown = json.loads(vendor.webhook("show", webhook, "--json").out)
    assert (shown["types"], shown["disabled_at"], shown["deliveries"]) == (["license.ending", "image.pushed"], None, [])
    table, page = vendor.webhook("list", "--team", vendor.team).out, vendor.webhook("show", webhook).out
    assert max(map(len, table.splitlines())) <= LINE
    for text in (table, page, json.dumps(shown), *map(json.dumps, vendor.stack.events("changes.log"))):
        assert secret not in text
        assert "sealed1" not in text
    assert not any("of-the-receiver" in json.dumps(event) for event in vendor.stack.events("changes.log"))

    assert vendor.webhook("enable", webhook).out == f"webhook {webhook} is enabled\n"
    assert json.loads(vendor.webhook("remove", webhook, "--json").out) == {"id": webhook, "removed": True}
    again = vendor.webhook("remove", webhook, check=False)
    assert (again.code, "there is no webhook" in again.err, "see: authsvc webhook list" in again.err) == (1, True, True)


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("/nothing-here", "the receiver answered 404"),
        ("/gone", "the receiver answered 410"),
        ("/moved", "the receiver answered 302, and no redirect is followed"),
    ],
)
def test_a_test_says_what_the_receiver_answered(vendor: Vendor, path: str, words: str) -> None:
    """Exit 1, and the reason; a redirect leads nowhere."""
    webhook, _ = vendor.add(path)
    before = len(vendor.receiver.asked("/ok"))
    tested = vendor.webhook("test", webhook, check=False)
    assert (tested.code, tested.out.startswith(f"FAILED: {words}")) == (1, True), tested
    facts = json.loads(vendor.webhook("test", webhook, "--json", check=False).out)
    assert facts["ok"] is False
    assert words.startswith(f"the receiver answered {facts['status']}")
    assert len(vendor.receiver.asked("/ok")) == before


def test_a_test_says_why_nothing_was_sent(vendor: Vendor) -> None:
    """A certificate of an unknown authority, and an address that the operator has not excepted any more."""
    webhook, _ = vendor.add("/ok?untrusted")
    untrusted = vendor.webhook("test", webhook, check=False, without="AUTHSVC_UPSTREAM_CA_FILE")
    assert (untrusted.code, "TLS failed" in untrusted.out) == (1, True), untrusted
    refused = vendor.webhook("test", webhook, check=False, without="AUTHSVC_UPSTREAM_PRIVATE_NETWORKS")
    assert (refused.code, "the address of the receiver may not be used" in refused.out) == (1, True), refused
    assert vendor.receiver.asked("untrusted") == []


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("https://hooks.example.com/",), 2, "say whose events are sent: --team TEAM or --app SLUG"),
        (("hooks.example.com/in", "--team", "TEAM"), 1, "begins with https:// and a host name"),
        (("https://a:b@hooks.example.com/", "--team", "TEAM"), 1, "has a name or a password in it"),
        (("https://169.254.169.254/", "--team", "TEAM"), 1, "metadata service"),
        (("https://10.1.2.3/in", "--team", "TEAM"), 1, "is or leads to a private address"),
        (("https://hooks.example.com/", "--team", "TEAM", "--type", "pushed"), 1, "'pushed' is not a type of events"),
        (("https://hooks.example.com/", "--team", "no-such-team"), 1, "there is no team 'no-such-team'"),
        (("https://hooks.example.com/", "--app", "no-such-app"), 1, "there is no app 'no-such-app'"),
    ],
)
def test_what_is_wrong_is_said(vendor: Vendor, arguments: tuple[str, ...], code: int, words: str) -> None:
    """One sentence, and nothing is added."""
    ran = vendor.webhook("add", *(vendor.team if one == "TEAM" else one for one in arguments), check=False)
    assert (ran.code, ran.out, words in ran.err) == (code, "", True), ran
    listed = json.loads(vendor.webhook("list", "--team", vendor.team, "--json").out)
    assert not any("hooks.example.com" in one["url"] for one in listed)
