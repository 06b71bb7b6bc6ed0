"""What other tools read: config.json, pull secret, hosts.toml, kubelet's answer and configuration."""

import base64
import json
import re
import tomllib
from pathlib import Path

import pytest

from tests.installer.conftest import Tool
from tests.support.kubelet import Kubelet
from tests.support.license_files import FACTS, put_file

pytestmark = pytest.mark.usefixtures("vendor_key")

HOST, TOKEN = FACTS["registry"], FACTS["registry_token"]
LOGIN = base64.b64encode(f"license:{TOKEN}".encode()).decode()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Return a license file."""
    return put_file(tmp_path / "acme.license.json")


def test_docker_config(tool: Tool, file: Path) -> None:
    """One entry for the registry, in the form that every tool reads."""
    ran = tool("docker-config", file)

    assert (0, "") == (ran.code, ran.err)
    assert {"auths": {HOST: {"auth": LOGIN}}} == json.loads(ran.out)


def decoded(text: str) -> str:
    """Return the text in base64."""
    return base64.b64decode(text).decode()


def read_secret(text: str) -> dict[str, str]:
    """Return the scalars of a flat YAML document, by their path."""
    found, above = {}, ""
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        match = re.fullmatch(r'( *)"?([\w.]+)"?:(?: (.*))?', line)
        assert match, line
        above = match[2] if not match[1] and match[3] is None else above if match[1] else ""
        if match[3] is not None:
            found["/".join(filter(None, (above, match[2])))] = match[3].strip('"')
    return found


def test_pull_secret(tool: Tool, file: Path) -> None:
    """A secret for kubectl apply, with the line that gives it to a service account."""
    ran = tool("pull-secret", "--namespace", "shop", "--name", "acme-pull", file)

    assert (0, "") == (ran.code, ran.err)
    secret = read_secret(ran.out)
    config = json.loads(decoded(secret.pop("data/.dockerconfigjson")))
    assert {
        "apiVersion": "v1", "kind": "Secret", "metadata/name": "acme-pull", "metadata/namespace": "shop",
        "type": "kubernetes.io/dockerconfigjson",
    } == secret  # fmt: skip
    assert {"auths": {HOST: {"username": "license", "password": TOKEN, "auth": LOGIN}}} == config
    patch = """kubectl patch serviceaccount default --namespace shop -p '{"imagePullSecrets":[{"name":"acme-pull"}]}'"""
    assert patch in ran.out


def test_pull_secret_by_default(tool: Tool, file: Path) -> None:
    """Without options the app names the secret, and kubectl chooses the namespace."""
    secret = read_secret(tool("pull-secret", file).out)

    assert ("myapp-license", None) == (secret["metadata/name"], secret.get("metadata/namespace"))


@pytest.mark.parametrize(
    "options",
    [("--name", "Upper"), ("--name", "a\nb: c"), ("--name", "-a"), ("--name", "a" * 254), ("--namespace", "a.b"),
     ("--namespace", "a" * 64), ("--namespace", "a b"), ("--namespace", "ab\n")],
)  # fmt: skip
def test_names_that_kubernetes_would_refuse(tool: Tool, file: Path, options: tuple[str, str]) -> None:
    """A bad name is refused here, and cannot smuggle YAML in."""
    ran = tool("pull-secret", f"{options[0]}={options[1]}", file)

    assert (2, "", 1) == (ran.code, ran.out, len(ran.err.splitlines()))


def test_token(tool: Tool, file: Path) -> None:
    """The registry token alone, for a password on standard input."""
    assert f"{TOKEN}\n" == tool("token", file).out


@pytest.mark.parametrize(
    ("registry", "options", "server"),
    [
        (HOST, (), f"https://{HOST}"),
        (HOST, ("--plain-http",), f"http://{HOST}"),
        ("localhost:5000", (), "http://localhost:5000"),
    ],
)
def test_containerd(tool: Tool, tmp_path: Path, registry: str, options: tuple[str, ...], server: str) -> None:
    """hosts.toml names the server and allows pulling alone, and lies where containerd looks for it."""
    file = put_file(tmp_path / "a.json", registry=registry)

    printed = tool("containerd", *options, file)
    written = tool("containerd", *options, "--directory", tmp_path / "certs.d", file)

    assert {"server": server, "host": {server: {"capabilities": ["pull", "resolve"]}}} == tomllib.loads(printed.out)
    assert f"wrote {tmp_path}/certs.d/{registry}/hosts.toml\n" == written.out
    assert printed.out == (tmp_path / f"certs.d/{registry}/hosts.toml").read_text()


@pytest.mark.parametrize(
    "registry",
    ["..", ".", "a/../..", "/etc", "user:pw@host.test", "ghcr.io/path", "https://host.test", "host.test:0",
     "host.test:65536", "host.test:", ":5000", "-host.test", "host_.test", "host..test", "[::1", "[zz]", "ho st",
     "ho\ufb06.test", "a" * 64, "host.test\\x"],
)  # fmt: skip
def test_what_is_not_the_name_of_a_registry(tool: Tool, tmp_path: Path, registry: str) -> None:
    """Nothing else than host[:port] gets into an address or a path: nothing is printed, and nothing is written."""
    file = put_file(tmp_path / "a.json", registry=registry)

    for words in (("containerd", "--directory", tmp_path / "certs.d" / "inner"), ("docker-config",), ("login",)):
        ran = tool(*words, file)
        assert (1, "") == (ran.code, ran.out)
        assert f"{file}: this is not a license file: its 'registry' is not the name of a registry" in ran.err
    assert not (tmp_path / "certs.d").exists()
    assert [] == list(tmp_path.rglob("hosts.toml"))


@pytest.mark.parametrize(
    "registry",
    ["localhost", "localhost:5000", "r.test", "R.Test:65535", "127.0.0.1:5000", "[::1]:5000", "xn--hst-hoa.test"],
)
def test_what_is_the_name_of_a_registry(tool: Tool, tmp_path: Path, registry: str) -> None:
    """Names, addresses and ports that docker's grammar allows are fine."""
    ran = tool("docker-config", put_file(tmp_path / "a.json", registry=registry))

    assert [registry.lower()] == list(json.loads(ran.out)["auths"])


def test_containerd_with_a_certificate(tool: Tool, file: Path) -> None:
    """A private certificate authority is named by its file."""
    made = tomllib.loads(tool("containerd", "--ca-file", '/etc/ca "x".pem', file).out)

    assert '/etc/ca "x".pem' == made["host"][f"https://{HOST}"]["ca"]


def test_kubelet(tool: Tool, file: Path, environ: dict[str, str], tmp_path: Path) -> None:
    """kubelet, configured by the tool, gets the login for the app's images and asks for no others."""
    config = tool("kubelet-provider", "--config", file)
    assert (0, "") == (config.code, config.err)
    kubelet = Kubelet.configured(config.out, Path(environ["PATH"].split(":")[0]), environ)

    for image in (f"{HOST}/myapp/worker:1", f"{HOST}/proxy/myapp/hub/library/redis@sha256:{'0' * 64}"):
        assert ("license", TOKEN) == kubelet.credentials(image)
    assert 0 < kubelet.last_cache_seconds <= 3600
    for image in (f"{HOST}/otherapp/api:1", "redis:7", f"{HOST}.evil.test/myapp/worker:1", "myapp/worker"):
        assert kubelet.credentials(image) is None


def test_kubelet_with_two_licenses_of_one_registry(
    tool: Tool, file: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """Each app's images get that app's login."""
    other = put_file(tmp_path / "b.json", app="otherapp", registry_token="other", issued_at="2026-09-01T00:00:00Z")
    config = tool("kubelet-provider", "--config", file, other).out
    kubelet = Kubelet.configured(config, Path(environ["PATH"].split(":")[0]), environ)

    logins = [kubelet.credentials(f"{HOST}/{path}:1") for path in ("myapp/worker", "otherapp/api", "myapp/worker")]

    assert [("license", TOKEN), ("license", "other"), ("license", TOKEN)] == logins


def test_kubelet_gets_all_licenses_of_the_app_and_no_other(
    tool: Tool, file: Path, environ: dict[str, str], tmp_path: Path
) -> None:
    """Two licenses of one app go together; what is for another app of the registry does not leave the node."""
    second = put_file(tmp_path / "b.json", id="c2", registry_token="second", repositories=("api/*",))
    other = put_file(tmp_path / "c.json", id="c3", app="otherapp", registry_token="other")
    config = tool("kubelet-provider", "--config", file, second, other).out
    kubelet = Kubelet.configured(config, Path(environ["PATH"].split(":")[0]), environ)

    login = kubelet.credentials(f"{HOST}/myapp/worker:1")

    assert login is not None
    assert {TOKEN, "second"} == set(login[1].split("."))
    assert ("license", "other") == kubelet.credentials(f"{HOST}/otherapp/api:1")


def test_several_files_are_one_login(tool: Tool, file: Path, tmp_path: Path) -> None:
    """config.json and pull secret hold, for each registry, all licenses that are in force, each once."""
    files = [
        file,
        put_file(tmp_path / "b.json", id="c2", app="otherapp", registry_token="other"),
        put_file(
            tmp_path / "old.json", id="c2", app="otherapp", registry_token="old", issued_at="2026-01-01T00:00:00Z"
        ),
        put_file(tmp_path / "ended.json", id="c3", registry_token="ended", expires_at="2026-09-01T00:00:00Z"),
        put_file(tmp_path / "d.json", id="c4", registry="localhost:5000", registry_token="local"),
    ]
    ran = tool("docker-config", *files)
    secret = read_secret(tool("pull-secret", *files).out)

    auths = json.loads(ran.out)["auths"]
    passwords = {registry: decoded(entry["auth"]) for registry, entry in auths.items()}
    assert {HOST: f"license:{TOKEN}.other", "localhost:5000": "license:local"} == passwords
    assert auths == {
        registry: {"auth": entry["auth"]}
        for registry, entry in json.loads(decoded(secret["data/.dockerconfigjson"]))["auths"].items()
    }
    assert f"warning: {tmp_path}/ended.json: not in force, left out" in ran.err


def test_kubelet_keeps_nothing_beyond_the_end(tool: Tool, environ: dict[str, str], tmp_path: Path) -> None:
    """The answer for an ended license is not kept, and the configuration's own default neither."""
    file = put_file(tmp_path / "a.json", expires_at="2026-09-01T00:00:00Z")
    config = tool("kubelet-provider", "--config", file).out
    kubelet = Kubelet.configured(config, Path(environ["PATH"].split(":")[0]), environ)

    assert ("license", TOKEN) == kubelet.credentials(f"{HOST}/myapp/worker:1")
    assert 0 == kubelet.last_cache_seconds
    assert "0s" == json.loads(config)["providers"][0]["defaultCacheDuration"]


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ("", "standard input is no CredentialProviderRequest of kubelet"),
        ("[]", "standard input is no CredentialProviderRequest of kubelet"),
        ('{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1alpha1","image":"a/b"}',
         "standard input is no CredentialProviderRequest of credentialprovider.kubelet.k8s.io/v1"),
        ('{"kind":"CredentialProviderRequest","apiVersion":"credentialprovider.kubelet.k8s.io/v1","image":"redis"}',
         "no license file here is for the registry and the app of redis"),
    ],
)  # fmt: skip
def test_kubelet_gets_no_answer(tool: Tool, request_: str, said: str) -> None:
    """What cannot be answered ends with 1, one line on standard error and nothing on standard output."""
    ran = tool("kubelet-provider", stdin=request_)

    assert (1, "", f"authsvc-license: {said}\n") == (ran.code, ran.out, ran.err)


def test_fields_of_newer_kubelets_are_fine(tool: Tool, file: Path) -> None:
    """A service account's token in the request changes nothing."""
    request = {
        "kind": "CredentialProviderRequest", "apiVersion": "credentialprovider.kubelet.k8s.io/v1",
        "image": f"{HOST}/myapp/worker", "serviceAccountToken": "x", "serviceAccountAnnotations": {"a": "b"},
    }  # fmt: skip
    assert 0 == tool("kubelet-provider", stdin=json.dumps(request), AUTHSVC_LICENSE=str(file)).code
