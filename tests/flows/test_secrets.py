"""No secret leaves its place: after a run with every kind of trouble, none is in anything that the run wrote."""

import os
import secrets
import signal
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import pytest
from attrs import frozen
from redis import Redis

from tests.support.canaries import Canaries, read_all
from tests.support.forgery import forge
from tests.support.http_client import FORM, ask, basic, get_token, post_token, say
from tests.support.oci import Image
from tests.support.processes import family_of
from tests.support.registry_client import Client
from tests.support.stack import Stack, running_stack
from tests.support.tenants import Account, License, make_team
from tests.support.waiting import until

PLACES_OF_SECRETS = ("d/secrets", "globex.license.json", "planted")
"""Where secrets belong; 0600 and 0700, which tests/keys checks."""


@frozen
class Run:
    """What a run left behind.

    Attributes:
        canaries: its secrets.
        texts: everything that it wrote, by place.
    """

    canaries: Canaries
    texts: dict[str, bytes]


def new_password(canaries: Canaries, name: str) -> str:
    """Return a password that nobody else has."""
    return canaries.add(name, f"pass phrase {secrets.token_urlsafe(24)}")


@pytest.fixture(scope="module")
def run() -> Iterator[Run]:
    """Run a stack that says as much as it can, with every kind of trouble, and return what it left behind."""
    canaries, texts = Canaries(), {}
    with running_stack(LOG_LEVEL="debug") as stack:
        team = make_team(stack, "app")
        owner = Account("owner@acme.test", new_password(canaries, "the owner's password"))
        texts["what commands said"] = commands(stack, team, owner, canaries).encode()
        license_ = License("", (stack.folder / "globex.license.json").read_text())
        canaries.add(
            "the registry token", license_.token.rpartition("_")[2]
        )  # before it stands the id, which everybody may know
        canaries.add("the license file's signature", license_.document["signature"].rpartition(".")[2])
        everyday(stack, owner, license_, canaries)
        pages(stack, license_, canaries)
        trouble(stack, owner, license_, canaries)
        keys(stack, canaries)
        assert stack.process is not None
        lines = list[bytes]()
        for pid in family_of(stack.process.pid):
            with suppress(FileNotFoundError, ProcessLookupError):  # Redis writes its file in a child that ends
                lines.append(Path(f"/proc/{pid}/cmdline").read_bytes())
        texts["command lines"] = b"\n".join(lines)
        texts["redis, as it answers"] = in_redis(stack)
        stack.stop()
        stack.start()
        stack.stop()
        yield Run(canaries, {**texts, **read_all(stack.folder, PLACES_OF_SECRETS)})


def commands(stack: Stack, team: str, owner: Account, canaries: Canaries) -> str:
    """Make what the run needs and return what the commands said."""
    add = ("member", "add", owner.username, "--team", team, "--role", "owner", "--password-stdin")
    refused = new_password(canaries, "a refused password")
    create = ("license", "create", "--app", "app", "--customer", "Globex", "--expires", "2031-01-31")
    ran = [
        stack.authsvc(*add, stdin=owner.password),
        stack.authsvc(*add, stdin=refused, check=False),
        stack.authsvc(*add, "--json", stdin=f"{{{refused}", check=False),
        stack.authsvc(*create, "--output", "globex.license.json"),
        stack.authsvc("license", "list", "--app", "app", "--json"),
    ]
    assert [each.code for each in ran] == [0, 1, 1, 0, 0]
    return "".join(each.said for each in ran)


def everyday(stack: Stack, owner: Account, license_: License, canaries: Canaries) -> None:
    """Push and pull as everybody does."""
    image = Image(b"no secret")
    Client(stack.port, owner).push("app/worker", "1", image)
    Client(stack.port, license_.account).pull("app/worker", "1", image)
    for who, account in (("owner", owner), ("license", license_.account)):
        replies = {
            "GET": get_token(stack.port, account, "repository:app/worker:pull,push"),
            "POST": post_token(stack.port, account, "repository:app/worker:pull"),
        }
        for method, reply in replies.items():
            canaries.add(f"signature of a token: {who}, {method}", reply.json()["token"].rpartition(".")[2])


def trouble(stack: Stack, owner: Account, license_: License, canaries: Canaries) -> None:
    """Do everything with secrets that people do wrong, and let parts fail while they do."""
    port = stack.port
    edge = int((stack.data_dir / "run" / "edge-address").read_text().rpartition(":")[2])
    typo = Account(owner.username, new_password(canaries, "a wrong password"))
    assert get_token(port, typo).status == 401
    assert post_token(port, typo).status == 401
    # The password in the wrong field, the token in the wrong header or place.
    assert get_token(port, Account(owner.password, owner.username)).status == 401
    assert get_token(port, Account(license_.token, "")).status == 401
    bearer = {"Authorization": f"Bearer {license_.token}"}
    for target in ("/auth/token", "/v2/", "/v2/app/worker/tags/list", "/auth/license-keys.json", "/nowhere"):
        assert ask(port, "GET", target, headers=bearer).status in {200, 401, 404}
        assert ask(port, "GET", target, headers=basic(owner)).status in {200, 401, 404}
    # Forms of every shape.
    for kind, body in (
        (FORM, b"grant_type=password&password=%s&username=\xff\xfe" % owner.password.encode()),
        ("application/json", b'{"password": "%s"}' % owner.password.encode()),
        (FORM, b"&".join([b"password=%s" % license_.token.encode()] * 300)),
        (FORM, b"password=%s&x=" % license_.token.encode() + b"x" * 70_000),
        ("multipart/form-data; boundary=x", b"--x\r\n\r\n%s\r\n--x--" % owner.password.encode()),
        (FORM, f"grant_type=refresh_token&refresh_token={license_.token}x".encode()),
    ):
        assert ask(port, "POST", "/auth/token", headers={"Content-Type": kind}, body=body).status in {401, 413}
    # Headers that are too long, at nginx and behind it: aiohttp quotes them in its log.
    long_password = owner.password + "x" * 20_000
    for number in (port, edge):
        reply = ask(number, "GET", "/auth/token", headers=basic(Account(owner.username, long_password)))
        assert reply.status in {400, 431}
        say(
            number,
            b"GET /auth/token HTTP/1.1\r\nHost: x\r\nAuthorization: %s\r\n nonsense\r\n\r\n" % license_.token.encode(),
        )
        say(number, b"GET /auth/token HTTP/9.9\r\n%s\r\n\r\n" % owner.password.encode())
    # The secret of nginx: shown, in the wrong place, in a header that is too long, and in no request at all.
    shown = {"X-Authsvc-Secret": (stack.data_dir / "secrets" / "nginx.secret").read_text().strip()}
    for number in (port, edge):
        for headers in (shown, {**shown, "X-Authsvc-Step": "target"}, {"Authorization": f"Bearer {shown}"}):
            assert ask(number, "GET", "/v2/proxy/app/hub/x/tags/list", headers=headers).status in {401, 503}
        too_long = {"X-Authsvc-Secret": shown["X-Authsvc-Secret"] + "x" * 20_000}
        assert ask(number, "GET", "/v2/proxy/app/hub/x/tags/list", headers=too_long).status in {400, 431}
    # Tokens that the registry refuses, and says so in its own log.
    dead = forge(stack, {"app/worker": ["pull"]}, age=timedelta(hours=1))
    live = get_token(port, owner, "repository:app/worker:pull").json()["token"]
    for token in (dead, f"{live}x", live[:-20]):
        headers = {"Authorization": f"Bearer {token}"}
        assert ask(port, "GET", "/v2/app/worker/tags/list", headers=headers).status == 401
    canaries.add("signature of an expired token", dead.rpartition(".")[2])
    canaries.add("signature of a damaged token", live.rpartition(".")[2])
    # Parts that fail while somebody signs in.
    redis = stack.pid("redis")
    os.kill(redis, signal.SIGSTOP)
    assert get_token(port, owner).status == 503
    assert get_token(port, license_.account).status in {200, 503}
    os.kill(redis, signal.SIGCONT)
    os.kill(stack.pid("serve"), signal.SIGKILL)
    assert get_token(port, owner).status in {200, 503}
    until(lambda: get_token(port, license_.account).status == 200, "tokens are issued again")
    os.kill(stack.pid("registry"), signal.SIGKILL)
    assert ask(port, "GET", "/v2/", headers={"Authorization": f"Bearer {live}"}).status in {200, 503}


def pages(stack: Stack, license_: License, canaries: Canaries) -> None:
    """Open the customer's page as people do, and in the ways that go wrong; the address is the secret."""
    port, made = stack.port, stack.json("license", "link", license_.document["license"]["id"])
    page = urlsplit(made["url"]).path
    wrong = f"{page[:-24]}{secrets.token_hex(12)}"
    canaries.add("the link to the customer's page", page.rpartition("_")[2])
    canaries.add("a mistyped link", wrong.rpartition("_")[2])
    form = {"Origin": f"http://localhost:{port}", "Content-Type": FORM}
    opened = ask(port, "GET", page)
    assert (opened.status, b"Globex" in opened.body) == (200, True)
    assert ask(port, "POST", f"{page}/file", headers=form, body=b"x=").status == 200
    assert ask(port, "GET", wrong).status == 404
    text = {"text": f"{stack.name}/app/worker:1\n{stack.name}/app/worker:2"}
    body = urlencode(text).encode()
    until(lambda: b"no such image" in ask(port, "POST", f"{page}/images", headers=form, body=body).body, "a check")
    (listed,) = stack.json("license", "link", "--list", made["license"])
    assert (listed["id"], listed["works"]) == (made["id"], True)
    # Addresses that lead elsewhere or are read in two ways, bodies and addresses that are too long, and no HTTP at all.
    for target in (
        f"{page}/",
        f"{page}/nothing",
        f"/{page}",
        f"/x/..{page}",
        f"/%63{page[2:]}",
        f"/C{page[2:]}",
        page[2:],
    ):
        assert ask(port, "GET", target).status in {400, 404}, target
    assert ask(port, "GET", f"{page}?after=%ff").status == 400
    assert ask(port, "GET", f"{page}?after={'x' * 20_000}").status == 414
    assert ask(port, "POST", f"{page}/file", headers=form, body=b"x" * 2_000_000).status == 413
    edge = int((stack.data_dir / "run" / "edge-address").read_text().rpartition(":")[2])
    for number in (port, edge):
        say(number, f"GET {page} HTTP/9.9\r\n\r\n".encode())
        say(number, f"GET {page} HTTP/1.1\r\nHost: x\r\n nonsense\r\n\r\n".encode())
        assert ask(number, "GET", page, headers={"Referer": f"http://localhost:{port}{page}"}).status == 200
    # Parts that fail while the page is open.
    redis = stack.pid("redis")
    os.kill(redis, signal.SIGSTOP)
    assert ask(port, "GET", page).status == 503
    os.kill(redis, signal.SIGCONT)
    os.kill(stack.pid("serve"), signal.SIGKILL)
    assert ask(port, "GET", page).status in {200, 503}
    until(lambda: ask(port, "GET", page).status == 200, "the page opens again")
    assert "taken back" in stack.authsvc("license", "link", "--revoke", made["id"]).said
    assert ask(port, "GET", page).status == 404


def keys(stack: Stack, canaries: Canaries) -> None:
    """Add what is in the secrets directory."""
    for file in (stack.data_dir / "secrets").iterdir():
        if "cert" in file.name:
            continue
        lines = [line for line in file.read_text().splitlines() if not line.startswith("-----")]
        # Every P-256 key begins alike; what is secret comes after that.
        canaries.add(file.name, "".join(lines)[-60:] if len(lines) == 1 else lines[1])


def in_redis(stack: Stack) -> bytes:
    """Return every key and value: in its files they may be packed."""
    with Redis(unix_socket_path=str(stack.data_dir / "run" / "redis.sock")) as client:
        return b"\n".join(key + b" " + (plain(client, key)) for key in client.scan_iter(count=1000))


def plain(client: "Redis", key: bytes) -> bytes:
    """Return a value of any type."""
    match client.type(key):
        case b"string":
            return repr(client.get(key)).encode()
        case b"set":
            return repr(client.smembers(key)).encode()
        case b"zset":
            return repr(client.zrange(key, 0, -1)).encode()
        case b"stream":
            return repr(client.xrange(key)).encode()
        case b"hash":
            return repr(client.hgetall(key)).encode()
        case b"none":  # its time has come meanwhile
            return b""
        case kind:
            pytest.fail(f"how is a {kind!r} read?")


def test_no_secret_is_anywhere(run: Run) -> None:
    """No password, token or key is in a log, in Redis, on a command line, in the images, or was printed."""
    found = run.canaries.found_in(run.texts)
    # The one exception by design: the registry and nginx read theirs from their configuration, which is 0600.
    assert found == {
        ("registry-http.secret", "d/config/registry.yml"),
        ("registry-events.secret", "d/config/registry.yml"),
        ("registry-http.secret", "d/config/registry-read-only.yml"),
        ("registry-events.secret", "d/config/registry-read-only.yml"),
        ("nginx.secret", "d/config/nginx.conf"),
    }


def test_the_search_has_looked_at_everything(run: Run) -> None:
    """The places where secrets might be were there and had something in them."""
    for place in ("serve.log", "nginx.log", "registry.log", "redis.log", "changes.log"):
        assert run.texts[f"d/log/{place}"], place
    assert any(place.startswith("d/redis/appendonlydir/") and text for place, text in run.texts.items())
    assert "d/redis/dump.rdb" in run.texts
    assert b"owner@acme.test" in run.texts["redis, as it answers"]
    assert b"redis-server" in run.texts["command lines"]
    assert b"ready http://localhost:" in run.texts["up.out"]
    assert run.texts["up.err"]
    assert len(run.canaries.secrets) >= 15


@pytest.mark.parametrize("form", ["as it is", "as Basic credentials", "in a URL", "cut short"])
def test_the_search_would_find_one(run: Run, form: str) -> None:
    """Each secret, planted in any form in which it might be logged, is found."""
    for name, secret in run.canaries.secrets.items():
        written = {
            "as it is": f"error: {secret} is wrong".encode(),
            "as Basic credentials": str(basic(Account("someone", secret))).encode(),
            "in a URL": ask_url(secret),
            "cut short": f"Authorization: {secret}"[: len("Authorization: ") + 16].encode(),
        }[form]
        assert (name, "serve.log") in run.canaries.found_in({"serve.log": run.texts["d/log/serve.log"] + written})


def ask_url(secret: str) -> bytes:
    """Return a URL with ``secret`` in it."""
    return f"GET /auth/token?{urlencode({'password': secret})}".encode()
