"""Which license files the tools trust: the whole matrix, bugs that it must notice, and every command."""

import base64
import json
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from authsvc.installer import es256, keys, verification
from authsvc.installer.license_store import InstalledLicense
from authsvc.installer.trusted_key import TrustedKey, thumbprint
from authsvc.license_file import key_id, parse
from authsvc.license_file import verify as verify_file
from tests.installer import trust_matrix
from tests.installer.conftest import Tool
from tests.installer.test_page import commands
from tests.support.license_files import FACTS, FORGER, KID, VENDOR, put_file, put_keys

HOST, TOKEN = FACTS["registry"], FACTS["registry_token"]
NOT_CHECKED = "signature not checked"

cached_verify = cache(es256.verify)


@pytest.fixture(autouse=True)
def remembered_signatures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Check each signature of the matrix once."""
    monkeypatch.setattr(es256, "verify", cached_verify)


def test_matrix() -> None:
    """Every combination of a file and of trusted keys has the outcome that the contract says."""
    assert [] == list(trust_matrix.disagreements())


def believe_any_signature(patch: pytest.MonkeyPatch) -> None:
    """Forget to look at the signature."""
    patch.setattr(TrustedKey, "verify", lambda *_: True)


def compare_nothing(patch: pytest.MonkeyPatch) -> None:
    """Check the signature and believe the readable part."""

    def verify(text: str, good: Callable[[str, bytes, bytes], bool]) -> None:
        body = parse(text)
        patched = json.dumps({**body, "license": trust_matrix.payload(body["signature"])})
        verify_file(patched, good)

    patch.setattr(verification, "verify", verify)


def bind_nothing(patch: pytest.MonkeyPatch) -> None:
    """Accept any trusted key for any registry."""
    patch.setattr(verification, "_require_binding", lambda *_: None)


def only_known_kids(patch: pytest.MonkeyPatch) -> None:
    """Let a file go unchecked when its kid is unknown, whatever keys its registry has."""
    patch.setattr(keys.TrustedKeys, "bound_to", lambda *_: [])


def only_bound_registries(patch: pytest.MonkeyPatch) -> None:
    """Let a file go unchecked when its registry has no key, though its kid is known."""
    original = verification.Verifier.check

    def check(self: verification.Verifier, license_: InstalledLicense) -> None:
        if self._trusted.bound_to(license_.registry) or self._trusted.get(key_id(license_.text)) is None:
            original(self, license_)

    patch.setattr(verification.Verifier, "check", check)


def accept_copies(patch: pytest.MonkeyPatch) -> None:
    """Do not compare with the verified files of this machine."""
    patch.setattr(verification.Verifier, "_refuse_copy", lambda *_: None)


def compare_ids_alone(patch: pytest.MonkeyPatch) -> None:
    """Look for copies by the license's id, not by the one in the token."""
    patch.setattr(InstalledLicense, "ids", property(lambda self: {self.says["id"]}))


def believe_copies_of_anything(patch: pytest.MonkeyPatch) -> None:
    """Compare with files that nobody has verified either."""
    patch.setattr(verification.Verifier, "_is_verified", lambda *_: True)


def believe_names(patch: pytest.MonkeyPatch) -> None:
    """Keep a key under the name that its file gives it."""

    def add(self: keys.TrustedKeys, text: str, path: str = "") -> None:
        body = json.loads(text)
        for entry in body["keys"]:
            named = {**entry, "kid": thumbprint(point_of(entry))}
            keys_of_entry = keys.TrustedKeys()
            original(keys_of_entry, json.dumps({**body, "keys": [named]}), path)
            (key,) = keys_of_entry._keys.values()
            key.kid = entry["kid"]
            self._keys[key.kid] = key

    original = keys.TrustedKeys.add
    patch.setattr(keys.TrustedKeys, "add", add)


def point_of(jwk: dict[str, str]) -> bytes:
    """Return the point of a JWK."""
    return b"\x04" + b"".join(base64.urlsafe_b64decode(f"{jwk[name]}=") for name in ("x", "y"))


BUGS = [
    believe_names,
    believe_any_signature,
    compare_nothing,
    bind_nothing,
    only_known_kids,
    only_bound_registries,
    accept_copies,
    compare_ids_alone,
    believe_copies_of_anything,
]


@pytest.mark.parametrize("bug", BUGS, ids=lambda bug: bug.__name__)
def test_matrix_notices(bug: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch) -> None:
    """Each way to get it wrong disagrees with the contract somewhere."""
    bug(monkeypatch)

    assert next(trust_matrix.disagreements(), None) is not None


WITH_A_FILE = [name for name, parser in commands().items() if any(a.dest in {"file", "files"} for a in parser._actions)]
MORE = {"preflight": (f"{HOST}/myapp/worker:1",)}


def call(tool: Tool, name: str, file: Path) -> tuple[int, str, str]:
    """Run a command on a file; return exit code, output and errors."""
    ran = tool(name, file, *MORE.get(name, ()))
    return ran.code, ran.out, ran.err


def test_commands_with_a_file() -> None:
    """The parser knows the commands of the contract, so that the tests below walk all of them."""
    known = {"show", "verify", "login", "docker-config", "pull-secret", "token", "containerd", "preflight"}
    assert known <= set(WITH_A_FILE)


def edited(path: Path) -> Path:
    """Write a genuine file whose readable registry was changed, and return where."""
    put_file(path)
    path.write_text(path.read_text().replace(f'"registry": "{HOST}"', '"registry": "localhost:1"', 1))
    return path


@pytest.mark.parametrize("name", WITH_A_FILE)
def test_every_command_refuses_an_edited_registry(tool: Tool, home: Path, tmp_path: Path, name: str) -> None:
    """With the vendor's key here no command uses a file whose registry somebody changed, or sends its token there."""
    put_keys(home / ".config/authsvc/keys/vendor.json")

    code, out, err = call(tool, name, edited(tmp_path / "a.json"))

    assert (1, "") == (code, out)
    assert f"authsvc-license: {tmp_path}/a.json: the field 'registry' was edited" in err
    assert TOKEN not in err


@pytest.mark.parametrize("name", WITH_A_FILE)
def test_every_command_refuses_a_copy_with_another_registry(tool: Tool, home: Path, tmp_path: Path, name: str) -> None:
    """Signed anew by a stranger, for another registry, with the token of a verified file: refused all the same."""
    put_keys(home / ".config/authsvc/keys/vendor.json")
    put_file(home / ".config/authsvc/licenses/mine.license.json")
    copy = put_file(tmp_path / "a.json", key=FORGER, kid="x", registry="localhost:1")

    code, out, err = call(tool, name, copy)

    assert (4 if name == "verify" else 1, "") == (code, out)
    assert 1 == len(err.splitlines())
    assert ("signed by a key that is not here (x)" if name == "verify" else "not genuine: ") in err


@pytest.mark.parametrize("name", WITH_A_FILE)
def test_every_command_says_once_what_was_not_checked(tool: Tool, tmp_path: Path, name: str) -> None:
    """Without any key a file is used, and standard error says once that nobody has checked it; verify refuses."""
    file = put_file(tmp_path / "a.json", registry="localhost:1")

    code, out, err = call(tool, name, file)

    if name == "verify":
        assert (4, "") == (code, out)
        assert "there is no key of the vendor to check with: give it as --key FILE" in err
    else:
        assert (1 if name == "preflight" else 0) == code, err
        assert 1 == err.count(f"{NOT_CHECKED}: {file}")


@pytest.mark.parametrize("action", ["get", "list"])
def test_the_credential_helper_refuses(helper: Tool, home: Path, action: str) -> None:
    """An edited file and a stranger's one are named on standard error, and their tokens are in no answer."""
    folder = home / ".config/authsvc/licenses"
    put_keys(home / ".config/authsvc/keys/vendor.json")
    put_file(folder / "good.license.json")
    put_file(folder / "stranger.license.json", key=FORGER, kid="x", registry_token="hostile", id="c2")
    file = put_file(folder / "edited.license.json", registry="evil.test")
    file.write_text(file.read_text().replace('"registry": "evil.test"', f'"registry": "{HOST}"', 1))

    ran = helper(action, stdin=HOST)

    assert 0 == ran.code
    assert (TOKEN if action == "get" else "license") in json.loads(ran.out).values()
    assert "hostile" not in ran.out
    assert [f"docker-credential-authsvc: {folder}/{name}.license.json: " for name in ("edited", "stranger")] == [
        line[: line.index(".json: ") + 7] for line in sorted(ran.err.splitlines())
    ]


@pytest.mark.parametrize("action", ["get", "list"])
def test_the_credential_helper_says_once_what_was_not_checked(helper: Tool, home: Path, action: str) -> None:
    """Two files that no key here can check: one line on standard error, and standard output is the protocol's."""
    folder = home / ".config/authsvc/licenses"
    for name in ("a", "b"):
        put_file(folder / f"{name}.license.json", id=name)

    ran = helper(action, stdin=HOST)

    assert 0 == ran.code
    assert HOST in ran.out
    assert (
        f"docker-credential-authsvc: {NOT_CHECKED}: {folder}/a.license.json, {folder}/b.license.json: no key of the "
        "vendor is here\n"
    ) == ran.err


def test_the_helper_checks_only_what_was_asked_for(helper: Tool, home: Path) -> None:
    """A bad file of another registry costs a pull nothing, not even a line."""
    put_keys(home / ".config/authsvc/keys/vendor.json")
    put_file(home / ".config/authsvc/licenses/a.license.json")
    put_file(home / ".config/authsvc/licenses/b.license.json", registry="other.test")

    ran = helper("get", stdin=HOST)

    assert (0, "") == (ran.code, ran.err)


def test_kubelet_gets_no_hostile_token(tool: Tool, home: Path) -> None:
    """Kubelet is told nothing of a file that the key of the registry did not sign."""
    put_keys(home / ".config/authsvc/keys/vendor.json")
    put_file(home / ".config/authsvc/licenses/a.license.json", key=FORGER, kid="x", registry_token="hostile")
    request = {
        "kind": "CredentialProviderRequest",
        "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": f"{HOST}/myapp/worker:1",
    }

    refused = tool("kubelet-provider", stdin=json.dumps(request))
    configured = tool("kubelet-provider", "--config", home / ".config/authsvc/licenses/a.license.json")

    assert [(1, ""), (4, "")] == [(ran.code, ran.out) for ran in (refused, configured)]
    assert "signed by a key that is not here (x)" in refused.err


@pytest.mark.parametrize("where", ["option", "folder"])
def test_a_key_under_a_foreign_name(tool: Tool, home: Path, tmp_path: Path, where: str) -> None:
    """Vendor B calls its key by the name of vendor A's: B's forgery is not valid, and A's file is genuine."""
    folder = home / ".config/authsvc/keys"
    put_keys(folder / "a.json")
    hostile = put_keys((tmp_path if where == "option" else folder) / "b.json", FORGER, registry="b.test", kid=KID)
    forgery = put_file(tmp_path / "forged.json", key=FORGER, kid=KID)
    given = ("--key", hostile) if where == "option" else ()

    forged, genuine = tool("verify", *given, forgery), tool("verify", put_file(tmp_path / "real.json"))

    assert (2 if where == "option" else 1, "") == (forged.code, forged.out)
    told = forged if where == "option" else genuine
    assert f"{hostile} is not a key file of a vendor: it calls a key '{KID}'" in told.err
    assert 0 == genuine.code
    assert f"key: {KID} ({folder}/a.json)" in genuine.out


def test_a_key_of_another_registry(tool: Tool, home: Path, tmp_path: Path) -> None:
    """Vendor B's own key, well named, signs nothing for the registry of vendor A."""
    put_keys(home / ".config/authsvc/keys/a.json")
    put_keys(home / ".config/authsvc/keys/b.json", FORGER, registry="b.test")
    forgery = put_file(tmp_path / "forged.json", key=FORGER, kid=thumbprint(es256_point(FORGER)))

    ran = tool("verify", forgery)

    assert (1, "") == (ran.code, ran.out)
    assert f"the license names {HOST}, and the key of b.test signed it" in ran.err


def es256_point(key: ec.EllipticCurvePrivateKey) -> bytes:
    """Return the public half as an uncompressed point."""
    numbers = key.public_key().public_numbers()
    return b"\x04" + numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def test_login_binds_an_older_key_file(tool: Tool, home: Path, tmp_path: Path) -> None:
    """A key whose file names no registry is bound by the first file that it verifies; then it signs for no other."""
    key = put_keys(tmp_path / "older.json", registry=None)
    other = put_file(tmp_path / "other.json", registry="other.test")

    first = tool("login", "--key", key, put_file(tmp_path / "a.json"))

    assert (0, "") == (first.code, first.err)
    assert f"the key {KID} is trusted for {HOST} alone from now on; its file named no registry" in first.out
    kept = json.loads((home / f".config/authsvc/keys/{HOST}.license-key.json").read_text())
    assert (HOST, [KID]) == (kept["registry"], [entry["kid"] for entry in kept["keys"]])
    assert 1 == (ran := tool("docker-config", other)).code
    assert f"the license names other.test, and the key of {HOST} signed it" in ran.err


def test_login_binds_a_key_that_an_earlier_version_kept(tool: Tool, home: Path, tmp_path: Path) -> None:
    """A key that lies in the key folder without a registry is bound by the next login, without ``--key``."""
    put_keys(home / ".config/authsvc/keys/myapp-c000000000000001.license-key.json", registry=None)

    first, second = (tool("login", put_file(tmp_path / "a.json")) for _ in range(2))

    assert "is trusted for" in first.out
    assert "is trusted for" not in second.out
    assert 1 == tool("verify", put_file(tmp_path / "b.json", registry="other.test")).code
    tool("login", "--undo", HOST)
    bound = home / f".config/authsvc/keys/{HOST}.license-key.json"
    assert [bound] == [path for path in home.rglob("*") if path.is_file()]


def test_a_new_key_of_the_vendor(tool: Tool, home: Path, tmp_path: Path) -> None:
    """After a rotation a file is not called forged: exit 4 says what to do, and doing it works."""
    tool("login", "--key", put_keys(tmp_path / "old.json"), put_file(tmp_path / "a.json"))
    new_kid = thumbprint(es256_point(FORGER))
    renewed = put_file(tmp_path / "renewed.json", key=FORGER, kid=new_kid)

    for words in (("login",), ("verify",), ("login", "--key", tmp_path / "old.json")):
        ran = tool(*words, renewed)
        assert (4, "") == (ran.code, ran.out)
        assert f"{renewed}: signed by a key that is not here ({new_kid}); here for {HOST}: {KID}. " in ran.err
        assert "then: authsvc-license login --key KEYFILE LICENSE" in ran.err
    both = put_keys(tmp_path / "both.json", FORGER, VENDOR)
    assert 0 == tool("login", "--key", both, renewed).code
    assert [0, 0] == [tool("verify", file).code for file in (renewed, tmp_path / "a.json")]


def test_other_keys_of_a_registry_are_a_decision(tool: Tool, home: Path, tmp_path: Path) -> None:
    """A key file that names the registry of another vendor takes nothing over, unless it is told to."""
    tool("login", "--key", put_keys(tmp_path / "old.json"), put_file(tmp_path / "a.json"))
    new = put_keys(tmp_path / "new.json", FORGER)
    file = put_file(tmp_path / "b.json", key=FORGER, kid=thumbprint(es256_point(FORGER)))

    refused = tool("login", "--key", new, file)
    assert (1, "") == (refused.code, refused.out)
    assert f"{HOST} has other keys here ({KID})" in refused.err
    assert 0 == tool("verify", tmp_path / "a.json").code

    told = tool("login", "--replace", "--key", new, file)
    assert 0 == told.code
    assert f"{HOST}: the key {KID} is no longer trusted" in told.out
    assert [0, 4] == [tool("verify", one).code for one in (file, tmp_path / "a.json")]


def test_a_broken_key_file_hides_no_other(tool: Tool, home: Path, tmp_path: Path) -> None:
    """A file in the key folder that holds no key is named, and the others are used."""
    put_keys(home / ".config/authsvc/keys/good.json")
    (home / ".config/authsvc/keys/bad.json").write_text("{")

    ran = tool("verify", put_file(tmp_path / "a.json"))

    assert 0 == ran.code
    assert f"warning: {home}/.config/authsvc/keys/bad.json is not a key file of a vendor: " in ran.err
