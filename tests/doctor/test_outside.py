"""Broken proxies, registries and certificates, real ones, are each diagnosed by name from outside."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from authsvc.doctor.finding import Diagnosis
from authsvc.doctor.outside_catalogue import OUTSIDE_KINDS
from tests.support.doctored_site import Changes, Site, running_site
from tests.support.ports import free_port
from tests.support.upstream_tls import CertificateFiles

AUTH = "location /auth/ { proxy_pass http://127.0.0.1:"
V2 = "location /v2/ { "
GOOD_CHECKS = {"certificate", "challenge", "clock", "token endpoint", "header limits", "uploads"}
NO_AUTH = ("auth:\n  token:", "x-auth:\n  token:")


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    """Return an installation, whose proxy each test runs."""
    with running_site() as running:
        yield running


def codes(found: Diagnosis) -> list[str]:
    """Return the codes of all findings."""
    return [finding.code for finding in found.findings]


def challenge(site: Site, realm: str, service: str) -> str:
    """Return what makes the proxy change the challenge."""
    return (
        f"{V2}proxy_hide_header WWW-Authenticate; "
        f"""add_header WWW-Authenticate 'Bearer realm="{realm}",service="{service}"' always; """
    )


def test_a_good_proxy_is_fine(site: Site) -> None:
    """Everything is looked at, a slow push included, and nothing stays of that."""
    with site.behind():
        found = site.examine(push="img", seconds=1)

    assert ([], ()) == (codes(found), found.skipped)
    assert {*GOOD_CHECKS, "push"} == set(found.passed)
    assert [] == list((site.stack.data_dir / "registry").rglob("_uploads/*/data"))


PROXIES: dict[str, Callable[[Site], Changes]] = {
    "body-limit": lambda _: {"client_max_body_size 0": "client_max_body_size 1m"},
    "request-buffering": lambda _: {"proxy_request_buffering off": "proxy_request_buffering on"},
    "proxy-http-1.0": lambda _: {"proxy_http_version 1.1": "proxy_http_version 1.0"},
    "header-limit": lambda _: {"large_client_header_buffers 4 16k": "large_client_header_buffers 4 8k"},
    "token-header-limit": lambda _: {"large_client_header_buffers 4 16k": "large_client_header_buffers 4 4k"},
    # The whole body first: nginx cannot send it a second time when it has passed it on as it came.
    "reason-phrase-lost": lambda s: {
        AUTH: f"location @again {{ proxy_pass http://127.0.0.1:{s.stack.port}; }} location /auth/ {{ "
        "proxy_request_buffering on; proxy_intercept_errors on; error_page 401 =401 @again; "
        "proxy_pass http://127.0.0.1:"
    },
    "token-redirected": lambda _: {
        AUTH: "location /auth/ { if ($request_method = POST) { return 301 https://$http_host$request_uri; } "
        "proxy_pass http://127.0.0.1:"
    },
    "token-post-refused": lambda _: {
        AUTH: "location /auth/ { limit_except GET { deny all; } proxy_pass http://127.0.0.1:"
    },
    "token-endpoint-missing": lambda _: {AUTH: "location /auth/ { return 404; proxy_pass http://127.0.0.1:"},
    "token-unavailable": lambda s: {f"{AUTH}{s.stack.port}": f"{AUTH}{free_port()}"},
    "redirected": lambda _: {V2: f"{V2}return 308 https://registry.example$request_uri; "},
    "not-a-registry": lambda _: {V2: f"{V2}return 200 'Welcome'; "},
    "challenge-unusable": lambda _: {V2: f"{V2}auth_basic 'ours'; auth_basic_user_file /dev/null; "},
    "realm-host": lambda s: {V2: challenge(s, "https://auth.example/auth/token", f"localhost:{s.port}")},
    "realm-scheme": lambda s: {V2: challenge(s, f"http://localhost:{s.port}/auth/token", f"localhost:{s.port}")},
    "service-wrong": lambda s: {V2: challenge(s, f"{s.url}/auth/token", "registry.example")},
    "http2-offered": lambda _: {" ssl;": " ssl http2;"},
}
"""Proxies with one mistake each, by the code of what is found."""

ALSO = {
    "token-header-limit": ["header-limit"],
    "not-a-registry": [],
    "token-unavailable": [],
}
"""What else is found with some of them."""


@pytest.mark.parametrize("code", PROXIES)
def test_a_broken_proxy_is_diagnosed(site: Site, code: str) -> None:
    """One mistake, one finding, with the line to change."""
    with site.behind(PROXIES[code](site)):
        found = site.examine()

    assert sorted([code, *ALSO.get(code, [])]) == sorted(codes(found)), [one.what for one in found.findings]
    assert [] == re.findall(r"[{}]\w+[{}]", found.findings[0].change)


CERTIFICATES: dict[str, Callable[[Site], CertificateFiles]] = {
    "tls-expired": lambda s: s.authority.issue(expired=True),
    "tls-not-yet-valid": lambda s: s.authority.issue(begins_in=2, days=90),
    "tls-wrong-host": lambda s: s.authority.issue("registry.example", days=90),
    "tls-untrusted": lambda s: s.authority.issue(days=90, trusted=False),
    "tls-chain-incomplete": lambda s: s.authority.intermediate().issue(days=90),
    "tls-ends-soon": lambda s: s.authority.issue(days=3),
}


@pytest.mark.parametrize("code", CERTIFICATES)
def test_a_bad_certificate_is_diagnosed(site: Site, code: str) -> None:
    """What is behind it is looked at all the same, but no password is sent over a connection that is not trusted."""
    with site.behind(certificate=CERTIFICATES[code](site)):
        found = site.examine(push="img")

    assert [code] == codes(found)
    assert GOOD_CHECKS - {"certificate"} <= set(found.passed)
    assert ("push" in found.passed) is (code == "tls-ends-soon")


REGISTRIES: dict[str, tuple[Changes, ...]] = {
    "location-host": ({"relativeurls: true": "host: https://images.example"},),
    "location-scheme": ({"relativeurls: true": "relativeurls: false"},),
    "token-rejected": ({'issuer: "authsvc"': 'issuer: "another"'},),
    "push-refused": ({"  delete:\n": "  maintenance: {readonly: {enabled: true}}\n  delete:\n"},),
    "storage-not-shared": ({}, {}),
}
"""Registries whose mistakes only a push shows."""


@pytest.mark.parametrize("code", REGISTRIES)
def test_a_broken_registry_is_diagnosed(site: Site, code: str) -> None:
    """By the Location of an upload, by a token that is not accepted, and by replicas that do not know of each other."""
    scheme = {"X-Forwarded-Proto $scheme": 'X-Forwarded-Proto ""'} if code == "location-scheme" else {}
    with site.behind(scheme, registries=REGISTRIES[code]):
        found = site.examine(push="img")

    assert [code] == codes(found)
    assert {*GOOD_CHECKS} == set(found.passed)


def test_a_registry_that_asks_nobody_is_diagnosed(site: Site) -> None:
    """As registry 3 is with a configuration at the path of registry 2."""
    with site.behind(registries=({NO_AUTH[0]: NO_AUTH[1]},)):
        found = site.examine()

    assert "auth-disabled" == codes(found)[0]


def test_another_root_is_diagnosed(site: Site, tmp_path: Path) -> None:
    """The registry trusts the certificate of another installation."""
    bundle = tmp_path / "root.pem"
    bundle.write_bytes(site.authority.file.read_bytes())
    trusted = str(site.stack.data_dir / "secrets/token-root.cert.pem")
    with site.behind(registries=({trusted: str(bundle)},)):
        found = site.examine(push="img")

    assert ["token-rejected"] == codes(found)


def test_different_secrets_of_replicas_are_diagnosed(site: Site) -> None:
    """Two replicas share their storage, and one signs the state of uploads under another secret."""
    storage = Path(tempfile.mkdtemp(prefix="asvshared-"))
    own = str(site.stack.data_dir / "registry")
    secret = (site.stack.data_dir / "secrets/registry-http.secret").read_text().strip()
    try:
        with site.behind(registries=({own: str(storage)}, {own: str(storage), secret: "f" * len(secret)})):
            found = site.examine(push="img")
    finally:
        shutil.rmtree(storage)

    assert ["upload-state"] == codes(found)
    assert secret not in repr(found)


def test_a_short_timeout_is_diagnosed(site: Site) -> None:
    """A push that pauses for longer than the proxy waits is cut off."""
    with site.behind({"client_body_timeout 900s": "client_body_timeout 1s"}):
        found = site.examine(push="img", seconds=8)

    assert ["push-interrupted"] == codes(found)


def test_a_wrong_clock_is_diagnosed(site: Site) -> None:
    """The server is ten minutes behind; the sentence says how far and in which direction."""
    with site.behind():
        found = site.examine(clock_ahead=timedelta(minutes=10))

    assert ["clock-off"] == codes(found)
    assert re.search(r"is (59\d|60\d|61\d) s behind the one of this machine", found.findings[0].what)


def test_an_account_that_is_refused_is_not_a_fault_of_the_proxy(site: Site) -> None:
    """The sentence is authsvc's own."""
    with site.behind():
        found = site.examine(push="img", password="not the password of anybody")

    assert ["credentials-refused"] == codes(found)
    assert "is not right" in found.findings[0].what


def test_an_account_that_may_not_push_is_said_so(site: Site) -> None:
    """It is nothing that is wrong with the installation."""
    with site.behind():
        found = site.examine(push="../other/img".replace("../", "x-"))

    assert [] == codes(found)
    assert ["push"] != [*found.passed]


def test_nobody_there_is_diagnosed(site: Site) -> None:
    """One finding, at once."""
    assert ["unreachable"] == codes(site.examine())


@pytest.mark.parametrize("tls", [True, False])
def test_the_wrong_scheme_is_diagnosed(site: Site, *, tls: bool) -> None:
    """Plain http where https is typed, and the other way around."""
    with site.behind(tls=tls):
        found = site.examine(f"{'http' if tls else 'https'}://localhost:{site.port}")

    assert ["scheme-mismatch"] == codes(found)


def test_another_public_url_is_diagnosed(site: Site) -> None:
    """The challenge was put right by the proxy, but authsvc itself has another address."""
    url = f"https://127.0.0.1:{site.port}"
    with site.behind({V2: challenge(site, f"{url}/auth/token", f"127.0.0.1:{site.port}")}):
        found = site.examine(url)

    assert "public-url-wrong" in codes(found)


def test_every_code_is_produced_here() -> None:
    """A code that no real mistake produces would be a sentence that nobody has read."""
    here = Path(__file__).read_text(encoding="utf-8")
    assert [] == [code for code in OUTSIDE_KINDS if f'"{code}"' not in here]
