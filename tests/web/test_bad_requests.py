"""Malformed and hostile token requests on the running stack: one clear sentence, the right status, one event."""

import base64
from urllib.parse import urlencode

import pytest

from tests.support.http_client import FORM, Reply, ask, basic, claims_of, get_token, post_token
from tests.support.stack import PASSWORD, Stack
from tests.support.tenants import Account, License, make_license

REFUSED = "the user name, password, token or license file is not right; check it and sign in again"
SIGN_IN = "sign in with your account or license file: docker login"


def credentials(text: str | bytes) -> str:
    """Return ``text`` as Basic credentials."""
    return f"Basic {base64.b64encode(text if isinstance(text, bytes) else text.encode()).decode()}"


def check_refusal(stack: Stack, reply: Reply, sentence: str) -> None:
    """Check a 401 as every client needs it, and that the log has exactly one event for it."""
    assert reply.status == 401, reply
    request_id = reply.headers["x-request-id"]
    assert reply.error() == ("UNAUTHORIZED", f"{sentence} (request {request_id})")
    assert reply.reason == f"{sentence} (request {request_id})"
    assert reply.headers["cache-control"] == "no-store"
    assert reply.headers["www-authenticate"] == f'Basic realm="{stack.name}", charset="UTF-8"'
    event = stack.event_of(request_id)
    assert (event["event"], event["reason"]) == ("token.refused", sentence)


@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (None, SIGN_IN),
        ("", REFUSED),
        ("Basic", REFUSED),
        ("basic", REFUSED),
        ("Basic !!!not-base64!!!", REFUSED),
        ("Basic dXNlcjpwYXNzd29yZA", REFUSED),
        (credentials("no colon"), REFUSED),
        (credentials(":"), REFUSED),
        (credentials("me@acme.test:"), REFUSED),
        (credentials(":some long enough password"), REFUSED),
        (credentials("müller@acme.test:höchst geheim und lang".encode("latin-1")), REFUSED),
        (credentials("müller@acme.test:höchst geheim und lang"), REFUSED),
        (credentials("me@acme.test\0:some long enough password"), REFUSED),
        (credentials("me@acme.test:nul\0in the password"), REFUSED),
        (credentials(b"\xff\xfe\x00\x01:\xff"), REFUSED),
        (credentials("me@acme.test:" + "x" * 5000), REFUSED),
        (credentials("a" * 300 + "@acme.test:some long enough password"), REFUSED),
        (credentials("license:{"), REFUSED),
        (credentials('license:{"license": {"registry_token": 5}}'), REFUSED),
        (credentials("license:{" + '"a":{' * 1500), REFUSED),
        (credentials("license:asv_"), REFUSED),
        (credentials("license:asv_lic_"), REFUSED),
        (credentials("license:asv_lic_" + "0" * 60), REFUSED),
        (credentials("license:asv_xyz_0000000000000000_" + "0" * 40), REFUSED),
        ("Bearer eyJhbGciOiJub25lIn0.e30.", REFUSED),
        ("Digest username=me", REFUSED),
        ("Negotiate abc", REFUSED),
        ("\xe9\xe9", REFUSED),
    ],
)
def test_no_identity_is_proven(stack: Stack, header: str | None, sentence: str) -> None:
    """Whatever is wrong with the credentials, the answer is one sentence that does not say what."""
    headers = {} if header is None else {"Authorization": header}
    check_refusal(stack, ask(stack.port, "GET", f"/auth/token?service={stack.name}", headers=headers), sentence)


def test_unknown_and_wrong_are_one_answer(stack: Stack, member: Account) -> None:
    """Nobody learns from the answer whether an account exists."""

    def seen(account: Account) -> tuple[object, ...]:
        reply = get_token(stack.port, account)
        changing = reply.headers["x-request-id"]
        headers = {name: value for name, value in reply.headers.items() if name not in {"date", "x-request-id"}}
        return reply.status, reply.reason.replace(changing, ""), headers, reply.body.replace(changing.encode(), b"")

    wrong = seen(Account(member.username, "not the right password"))
    assert wrong == seen(Account("nobody@nowhere.test", "not the right password"))
    assert wrong == seen(Account(member.username.upper(), f"{PASSWORD}x"))


@pytest.mark.parametrize(
    ("kind", "body", "sentence"),
    [
        (FORM, b"", SIGN_IN),
        (FORM, b"grant_type=password", REFUSED),
        (FORM, b"grant_type=password&username=me@acme.test&password=", REFUSED),
        (FORM, b"grant_type=refresh_token", REFUSED),
        (FORM, b"grant_type=refresh_token&refresh_token=nonsense", REFUSED),
        (FORM, b"grant_type=client_credentials&client_id=x&client_secret=y", REFUSED),
        (FORM, b"grant_type=", REFUSED),
        (FORM, b"grant_type=password&username=%FF%FE&password=%FF%FE%FF%FE%FF%FE%FF%FE%FF", REFUSED),
        (FORM, b"grant_type=password&username=\xff&password=\xfe", REFUSED),
        (FORM, b"&&&===&&&", SIGN_IN),
        (FORM, b"%%%", SIGN_IN),
        (FORM, b"&".join([b"a=b"] * 5000), REFUSED),
        (FORM, b"x=" + b"x" * 65_000, SIGN_IN),
        ("application/json", b'{"grant_type": "password", "username": "a", "password": "b"}', SIGN_IN),
        ("application/json", b"[" * 10_000, SIGN_IN),
        ("multipart/form-data; boundary=x", b"--x\r\nContent-Disposition: form-data\r\n\r\nb\r\n--x--", SIGN_IN),
        ("text/plain; charset=utf-16", "grant_type=password".encode("utf-16"), REFUSED),
        ("", b"grant_type=password", REFUSED),
        (f"{FORM}; charset=nonsense", b"grant_type=password", REFUSED),
    ],
)
def test_a_form_that_proves_nothing(stack: Stack, kind: str, body: bytes, sentence: str) -> None:
    """Never 400 or 404, which would send containerd and buildkit elsewhere, and never a fault of ours."""
    headers = {"Content-Type": kind} if kind else {}
    check_refusal(stack, ask(stack.port, "POST", "/auth/token", headers=headers, body=body), sentence)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "nonsense"])
def test_a_packed_form_is_not_unpacked(stack: Stack, encoding: str) -> None:
    """No client packs its credentials, and a packed bomb stays packed."""
    headers = {"Content-Type": FORM, "Content-Encoding": encoding}
    body = b"\x1f\x8b\x08\x00\x00\x00\x00\x00"
    check_refusal(stack, ask(stack.port, "POST", "/auth/token", headers=headers, body=body), REFUSED)


def test_a_form_without_a_grant_is_read_like_a_query(stack: Stack, license_: License) -> None:
    """Then the header says who asks."""
    headers = {**basic(license_.account), "Content-Type": FORM}
    reply = ask(stack.port, "POST", "/auth/token", headers=headers, body=f"service={stack.name}".encode())
    assert reply.status == 200


@pytest.mark.parametrize(
    "service", ["", "LOCALHOST:{port}", "localhost", "registry.example", "localhost:{port}\n", "ü"]
)
def test_another_service(stack: Stack, license_: License, service: str) -> None:
    """A token is for this registry or for none, and the answer names it."""
    asked = service.format(port=stack.port)
    wanted = f"this server issues tokens for {stack.name} only; the registry asked for another service"
    query = urlencode({"service": asked})
    check_refusal(stack, ask(stack.port, "GET", f"/auth/token?{query}", headers=basic(license_.account)), wanted)
    check_refusal(stack, post_token(stack.port, license_.account, service=asked), wanted)


def test_many_scopes(stack: Stack, app: str, license_: License) -> None:
    """Sixteen resources are looked at, the rest is dropped and logged, and the token stays small."""
    scopes = [f"repository:{app}/{'r' * 150}{number}:pull" for number in range(40)]
    reply = post_token(stack.port, license_.account, *scopes)
    assert reply.status == 200
    token = reply.json()["token"]
    assert len(claims_of(token)["access"]) == 16
    assert len(token) < 7 * 1024
    assert stack.event_of(reply.headers["x-request-id"])["dropped"] == 24
    assert ask(stack.port, "GET", "/v2/", headers={"Authorization": f"Bearer {token}"}).status == 200


@pytest.mark.parametrize(
    "scope",
    [
        "",
        " ",
        ":",
        "repository",
        "repository:",
        "repository::pull",
        "repository:{app}/x",
        "repository:{app}/x:",
        "repository:{app}/x:PULL",
        "repository:{app}/x:pull;push",
        "repository(plugin):{app}/x:pull",
        "repository(:{app}/x:pull",
        "registry:catalog:*",
        "aws:{app}/x:pull",
        "Repository:{app}/x:pull",
        "repository:{app}/x\t:pull",
        "repository:{app}/ü:pull",
        "repository:{long}/x:pull",
        "repository:{app}/x:push,delete",
        "{junk}",
    ],
)
def test_a_scope_that_gives_nothing(stack: Stack, app: str, license_: License, scope: str) -> None:
    """A scope that is malformed or not granted never fails the request; the token just holds nothing of it."""
    asked = scope.format(app=app, long="a" * 300, junk="repository:a:b " * 2500)
    reply = post_token(stack.port, license_.account, asked)
    assert (reply.status, claims_of(reply.json()["token"])["access"]) == (200, [])


def test_the_largest_license_file_passes(stack: Stack, app: str) -> None:
    """A file of 8 KiB makes a header of 11 KiB, and that goes through everything."""
    fields = [option for number in range(8) for option in ("--field", f"f{number}={'v' * 190}")]
    license_ = make_license(stack, app, *fields)
    padded = license_.file.replace("{\n", "{" + " " * (8192 - len(license_.file)) + "\n", 1)
    assert len(padded) == 8192
    account = Account("license", padded)
    for reply in (get_token(stack.port, account), post_token(stack.port, account)):
        assert reply.status == 200
    one_more = Account("license", padded.replace("{", "{  ", 1))
    for reply in (get_token(stack.port, one_more), post_token(stack.port, one_more)):
        check_refusal(stack, reply, REFUSED)


def test_a_contact_of_any_script_is_one_ascii_line(stack: Stack, app: str) -> None:
    """The reason phrase is ASCII of at most 200 bytes, the message has the contact as it was typed."""
    contact = "Zoë Müller, 販売部 " + "☎" * 150
    pending = make_license(stack, app, "--not-before", "2030-06-01", "--contact", contact)
    reply = get_token(stack.port, pending.account)
    code, message = reply.error()
    assert (reply.status, code) == (401, "DENIED")
    assert contact in message
    assert reply.reason.isascii()
    assert reply.reason.isprintable()
    assert len(reply.reason) <= 200
    assert reply.reason.startswith(f"license {pending.id} of Globex begins on 2030-06-01; contact Zo?")
