"""Keys change while everything runs: on the real registry, with several servers, and with the root kept offline."""

import json
import os
import secrets
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from authsvc import license_file
from authsvc.issuance import ISSUER
from authsvc.keys.file_names import TOKEN_ROOT_KEY
from authsvc.keys.files import load_ec_key, new_key_pem, public_pem
from authsvc.keys.secrets_dir import load_next_root, load_token_root
from authsvc.signing.jws import Leaf
from authsvc.signing.root import issue_leaf
from authsvc.spec.claims import Claims
from tests.support import es256
from tests.support.http_client import ask, get_token
from tests.support.load import meanwhile
from tests.support.ports import free_port
from tests.support.processes import is_alive, workers_of
from tests.support.stack import PATIENT, Stack, running_stack, short_folder
from tests.support.tenants import Account, License, make_license, make_team
from tests.support.waiting import PATIENCE, until

REQUESTS = 2000


@pytest.fixture(scope="module")
def keyed() -> Iterator[Stack]:
    """Return a stack with two workers, an app and short token lives."""
    with running_stack(options=("--workers", "2"), PUSH_TOKEN_LIFE="60", PULL_TOKEN_LIFE="60") as stack:
        make_team(stack, "keyapp")
        yield stack


def answer_of_registry(stack: Stack, token: str, name: str = "keyapp/worker") -> int:
    """Return how the registry answers a token that may pull: 404 when it accepts it, as there is nothing there."""
    reply = ask(stack.port, "GET", f"/v2/{name}/tags/list", headers={"Authorization": f"Bearer {token}"})
    return reply.status


def pulls(stack: Stack, account: Account) -> tuple[int, int]:
    """Get a token and show it to the registry; return both statuses."""
    reply = get_token(stack.port, account, "repository:keyapp/worker:pull")
    return reply.status, answer_of_registry(stack, reply.json()["token"]) if reply.status == 200 else 0


def published(stack: Stack) -> dict[str, ec.EllipticCurvePublicKey]:
    """Return the published license keys by name."""
    document = json.loads(ask(stack.port, "GET", "/auth/license-keys.json").body)
    assert stack.name == document["registry"]
    return {key["kid"]: jwt.PyJWK(key).key for key in document["keys"]}


def verifies(stack: Stack, license_: License) -> bool:
    """Whether a license file verifies with what is published now."""
    keys = published(stack)

    def check(kid: str, data: bytes, signature: bytes) -> bool:
        return kid in keys and es256.verify(keys[kid], data, signature)

    try:
        license_file.verify(license_.file, check)
    except license_file.LicenseFileError:
        return False
    return True


def token_under(stack: Stack, root: tuple[x509.Certificate, ec.EllipticCurvePrivateKey]) -> str:
    """Return a token that opens `/v2/`, signed by a leaf of ``root``."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    leaf = Leaf(key, issue_leaf(*root, key.public_key(), serial=secrets.randbits(100) | 1, now=now))
    claims = Claims(ISSUER, "member:x", stack.name, now, now + timedelta(minutes=5), "id")
    return leaf.sign(claims.to_json())


def opens(stack: Stack, token: str) -> bool:
    """Whether the registry accepts a token."""
    status = ask(stack.port, "GET", "/v2/", headers={"Authorization": f"Bearer {token}"}).status
    assert status in {200, 401}
    return status == 200


def restart_registry(stack: Stack) -> None:
    """End the registry; the supervisor starts it again."""
    before = stack.pid("registry")
    os.kill(before, signal.SIGTERM)
    until(lambda: stack.pid("registry") not in {0, before}, "the registry is started again")
    until(lambda: ask(stack.port, "GET", "/v2/").status == 401, "the registry answers")


@contextmanager
def another_server(stack: Stack) -> Iterator[int]:
    """Run a second `authsvc serve` on the same Redis and secrets, as on another host; yield its process id."""
    ports = (free_port(), free_port())
    listeners = ("--edge", f"127.0.0.1:{ports[0]}", "--inside", f"127.0.0.1:{ports[1]}")
    config = {"AUTHSVC_CONFIG": str(stack.data_dir / "config" / "authsvc.toml")}
    with (stack.folder / "second.log").open("wb") as log:
        process = subprocess.Popen(
            (sys.executable, "-m", "authsvc", "serve", *listeners, "--workers", "1"),
            env={**stack.environ, **config},
            cwd=stack.folder,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
        )
    try:
        until(lambda: len(stack.json("keys", "show")["workers"]) == 3, "the second server's worker is listed")
        yield process.pid
    finally:
        process.terminate()
        process.wait(PATIENCE)


def test_no_request_is_refused_while_leaves_are_rotated(keyed: Stack) -> None:
    """Over 2,000 tokens, each shown to the real registry, while every worker gets new leaves; nothing restarts."""
    account = make_license(keyed, "keyapp").account
    registry = keyed.pid("registry")
    serials: set[str] = set()
    with meanwhile(lambda: pulls(keyed, account), threads=6) as load:
        while load.results.total() < REQUESTS or len(serials) < 4:
            rotated = keyed.json("keys", "rotate")
            assert (2, [], True) == (len(rotated["reached"]), rotated["missed"], rotated["complete"])
            serials |= {worker["leaf_serial"] for worker in rotated["reached"]}
    assert {(200, 404)} == set(load.results)
    assert registry == keyed.pid("registry")


def test_workers_of_every_server_are_reached_or_named(keyed: Stack) -> None:
    """Two servers share a Redis: all three workers follow; one that hangs is named, and its successor has followed."""
    with another_server(keyed) as second:
        assert 3 == len(keyed.json("keys", "rotate")["reached"])
        (hanging,) = workers_of(second)
        # Its server hangs too, or it might replace the worker before the command stops waiting.
        os.kill(second, signal.SIGSTOP)
        try:
            os.kill(hanging, signal.SIGSTOP)
            ran = keyed.authsvc("keys", "rotate", "--json", check=False)
        finally:
            os.kill(second, signal.SIGCONT)
        said = json.loads(ran.out)
        assert (1, False) == (ran.code, said["complete"])
        assert [True] == [f"-{hanging}-" in worker["id"] for worker in said["missed"]]
        assert f"-{hanging}-" in ran.err
        # Its server replaces it meanwhile, and the new one has the new number from the start.
        until(lambda: [child for child in workers_of(second) if child != hanging], "it is replaced")
        until(lambda: not any(f"-{hanging}-" in w["id"] for w in keyed.json("keys", "show")["workers"]), "it is gone")
    until(lambda: len(keyed.json("keys", "show")["workers"]) == 2, "the second server's worker has left the list")


def test_a_worker_ends_with_its_server(keyed: Stack) -> None:
    """A server that is killed outright leaves no worker behind, which would hold its port; it leaves the list too."""
    with another_server(keyed) as second:
        (orphan,) = workers_of(second)
        os.kill(second, signal.SIGKILL)
        until(lambda: not is_alive(orphan), "the orphan ends")
    assert '"worker.orphaned"' in (keyed.folder / "second.log").read_text()
    until(lambda: len(keyed.json("keys", "show")["workers"]) == 2, "its worker has left the list")


def test_a_rotated_license_key_leaves_old_files_valid(keyed: Stack) -> None:
    """The new key signs new files, the old one stays published; both files verify and log in."""
    old = make_license(keyed, "keyapp")
    before = set(published(keyed))
    new_kid = keyed.json("keys", "rotate", "--license")["license_key"]
    new = make_license(keyed, "keyapp")
    assert before | {new_kid} == set(published(keyed))
    assert (True, True) == (verifies(keyed, old), verifies(keyed, new))
    assert [(200, 404)] * 2 == [pulls(keyed, one.account) for one in (old, new)]
    states = {key["kid"]: key["state"] for key in keyed.json("keys", "show")["license_keys"]}
    assert {new_kid: "in use", **dict.fromkeys(before, "retired")} == states


def test_customers_get_current_and_retired_keys(keyed: Stack, tmp_path: Path) -> None:
    """The key file beside a license is the published one; an older one of the same name is brought up to date."""
    key = tmp_path / "vendor.license-key.json"
    umask = os.umask(0)
    for name in ("first", "second"):
        words = ("license", "create", "--app", "keyapp", "--customer", name, "--expires", "30d")
        keyed.authsvc(*words, "--output", str(tmp_path / f"{name}.license.json"), "--key-output", str(key))
        document = json.loads(key.read_text())
        assert (keyed.name, set(published(keyed))) == (document["registry"], {one["kid"] for one in document["keys"]})
        keyed.authsvc("keys", "rotate", "--license")
    os.umask(umask)
    assert [0o600, 0o644] == [path.stat().st_mode & 0o777 for path in (tmp_path / "first.license.json", key)]


def test_a_file_of_a_forgotten_key_does_not_verify(keyed: Stack) -> None:
    """Taking the retired key away makes the old file unverifiable: the check above depends on it."""
    old = make_license(keyed, "keyapp")
    keyed.authsvc("keys", "rotate", "--license")
    retired = keyed.data_dir / "secrets" / "license-retired.keys.pem"
    aside = retired.rename(retired.with_suffix(".aside"))
    try:
        keyed.authsvc("keys", "rotate")
        assert not verifies(keyed, old)
    finally:
        aside.rename(retired)
        keyed.authsvc("keys", "rotate")
    assert verifies(keyed, old)


def test_the_root_is_replaced_in_three_steps(keyed: Stack) -> None:
    """With both in the bundle the registry takes tokens of both; each step is refused before its time."""
    account = make_license(keyed, "keyapp").account
    directory = keyed.data_dir / "secrets"
    old = load_token_root(directory)
    assert "begin with" in keyed.authsvc("keys", "rotate", "--root", "switch", check=False).err

    keyed.authsvc("keys", "rotate", "--root", "prepare")
    new = load_next_root(directory)
    assert new is not None
    refused = keyed.authsvc("keys", "rotate", "--root", "switch", check=False)
    assert (1, True) == (refused.code, "does not accept the next root yet" in refused.err)
    assert (True, False) == (opens(keyed, token_under(keyed, old)), opens(keyed, token_under(keyed, new)))

    restart_registry(keyed)
    assert (True, True) == (opens(keyed, token_under(keyed, old)), opens(keyed, token_under(keyed, new)))
    with meanwhile(lambda: pulls(keyed, account), threads=2) as load:
        keyed.authsvc("keys", "rotate", "--root", "switch")
        until(lambda: load.results.total() > 50, "there is load")
    assert ({(200, 404)}, new[0]) == (set(load.results), load_token_root(directory)[0])
    assert not (directory / "token-root.next.key.pem").exists()

    refused = keyed.authsvc("keys", "rotate", "--root", "drop", check=False)
    assert (1, True) == (refused.code, "may still be in use" in refused.err)
    keyed.authsvc("keys", "rotate", "--root", "drop", "--force")
    restart_registry(keyed)
    assert (False, True) == (opens(keyed, token_under(keyed, old)), opens(keyed, token_under(keyed, new)))
    assert ((200, 404), 1) == (pulls(keyed, account), len(keyed.json("keys", "show")["roots"]))


def test_two_changes_at_once_are_refused(keyed: Stack) -> None:
    """--license and --root together are a mistake of usage."""
    assert 2 == keyed.authsvc("keys", "rotate", "--license", "--root", "drop", check=False).code


def request_for(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return a certificate request, as `openssl req -new` makes it."""
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "leaf")])
    return (
        x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)
    )


@contextmanager
def offline_installation(life: str = "30d", **settings: str) -> Iterator[tuple[Stack, Path]]:
    """Yield an installation that is not started, whose root key lies elsewhere, with a leaf made there."""
    with short_folder() as folder:
        stack = Stack(folder)
        vault = folder / "vault"
        stack.authsvc("init", "--data-dir", str(vault))
        stack.authsvc("init", "--data-dir", str(stack.data_dir))
        shutil.rmtree(stack.data_dir / "secrets")
        shutil.copytree(vault / "secrets", stack.data_dir / "secrets", ignore=shutil.ignore_patterns(TOKEN_ROOT_KEY))
        leaf_key, request = folder / "leaf.key", folder / "leaf.csr"
        leaf_key.write_bytes(new_key_pem())
        leaf_key.chmod(0o600)
        request.write_bytes(request_for(load_ec_key(leaf_key)))
        issue(stack, vault, request, life)
        stack.settings = {
            "AUTHSVC_REDIS_DEADLINE": PATIENT,
            "AUTHSVC_LEAF_KEY": str(leaf_key),
            "AUTHSVC_LEAF_CERTIFICATE": str(folder / "leaf.crt"),
            **{f"AUTHSVC_{name}": value for name, value in settings.items()},
        }
        yield stack, vault
        if stack.process is not None:
            stack.stop()


def issue(stack: Stack, vault: Path, request: Path, life: str) -> dict[str, Any]:
    """Make `leaf.crt` with the offline root."""
    arguments = ("--data-dir", str(vault), "--request", str(request), "--life", life)
    said: dict[str, Any] = stack.json("keys", "issue", *arguments, "--output", str(stack.folder / "leaf.crt"))
    return said


def test_a_server_without_the_root_signs_with_a_leaf_from_files() -> None:
    """The registry accepts its tokens; a new file counts with `keys rotate`; the root key is nowhere."""
    with offline_installation() as (stack, vault):
        stack.start()
        make_team(stack, "keyapp")
        account = make_license(stack, "keyapp").account
        assert (200, 404) == pulls(stack, account)
        assert not (stack.data_dir / "secrets" / TOKEN_ROOT_KEY).exists()
        before = stack.json("keys", "show")["workers"][0]["leaf_serial"]
        issue(stack, vault, stack.folder / "leaf.csr", "20d")
        after = stack.json("keys", "rotate")["reached"][0]["leaf_serial"]
        assert (True, (200, 404)) == (before != after, pulls(stack, account))


def test_a_leaf_that_ends_soon_is_told_and_signs_nothing_beyond_its_end() -> None:
    """Readiness says `ending` while it signs; a token that would outlive the leaf is refused with 503."""
    with offline_installation(life="10m", PUSH_TOKEN_LIFE="900", PULL_TOKEN_LIFE="900") as (stack, _):
        stack.start()
        make_team(stack, "keyapp")
        account = make_license(stack, "keyapp").account
        ready = ask(stack.inside, "GET", "/readyz").json()
        assert ("ready", "up") == (ready["status"], ready["leaf"]["status"])
        reply = get_token(stack.port, account, "repository:keyapp/worker:pull")
        assert (503, True) == (reply.status, "certificate is about to end" in reply.error()[1])


REFUSALS: dict[str, tuple[Callable[[Stack], object], str]] = {
    "neither root key nor leaf": (lambda s: s.settings.clear(), "has no key token-root.key.pem beside it"),
    "one of two": (lambda s: s.settings.pop("AUTHSVC_LEAF_KEY"), "belong together"),
    "key of somebody else": (
        lambda s: (s.folder / "leaf.key").write_bytes(new_key_pem()),
        "was issued for another key",
    ),
    "readable by others": (lambda s: (s.folder / "leaf.key").chmod(0o644), "is open to others"),
    "no certificate": (lambda s: (s.folder / "leaf.crt").write_text("nonsense"), "is not a PEM certificate"),
    "missing": (lambda s: (s.folder / "leaf.crt").unlink(), "cannot read"),
    "of another root": (
        lambda s: (s.folder / "leaf.crt").write_bytes(self_signed(s.folder / "leaf.key")),
        "was not issued by the root",
    ),
}
"""What is wrong with an installation whose root is offline, and a part of the sentence that says so."""


def self_signed(key_file: Path) -> bytes:
    """Return a certificate for the leaf's key that nobody else signed."""
    key, name = load_ec_key(key_file), x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "other")])
    now = datetime.now(UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    builder = builder.serial_number(5).not_valid_before(now).not_valid_after(now + timedelta(days=5))
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


@pytest.mark.parametrize("what", REFUSALS)
def test_an_unusable_leaf_stops_the_start(what: str) -> None:
    """`serve` ends with exit code 2 and a sentence, and nothing is listening."""
    spoil, sentence = REFUSALS[what]
    with offline_installation() as (stack, _):
        spoil(stack)
        config = {"AUTHSVC_CONFIG": str(stack.data_dir / "config" / "authsvc.toml")}
        listeners = ("--edge", f"127.0.0.1:{free_port()}", "--inside", f"127.0.0.1:{free_port()}")
        done = subprocess.run(
            (sys.executable, "-m", "authsvc", "serve", *listeners),
            env={**stack.environ, **config},
            cwd=stack.folder,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert (2, True) == (done.returncode, sentence in done.stderr), done.stderr


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        (b"nonsense", "neither a PEM certificate request nor a PEM public key"),
        (
            public_pem(ec.generate_private_key(ec.SECP384R1()).public_key()),
            "must be for a P-256",
        ),
    ],
    ids=["nonsense", "another curve"],
)
def test_issue_refuses_what_is_no_request(request_: bytes, sentence: str) -> None:
    """A leaf is made for a P-256 key alone."""
    with offline_installation() as (stack, vault):
        (stack.folder / "bad").write_bytes(request_)
        ran = stack.authsvc(
            *("keys", "issue", "--data-dir", str(vault), "--request", str(stack.folder / "bad"), "--output", "-"),
            check=False,
        )
    assert (1, "", True) == (ran.code, ran.out, sentence in ran.err)
