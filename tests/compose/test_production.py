"""AUTHSVC_PUBLIC_URL with https and mounted certificates: what a public registry must be."""

import os
from pathlib import Path

import pytest

from tests.compose.certificates import Authority
from tests.compose.engine import ComposeEngine, Project
from tests.compose.story import Shop, open_shop
from tests.support.waiting import until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # the first one has an engine made, and the image

NAME = "localhost:5443"
KIB = 1024


@pytest.fixture(scope="module")
def authority() -> Authority:
    """Return who signs the certificates."""
    return Authority.make()


@pytest.fixture(scope="module")
def certificates(engine: ComposeEngine, authority: Authority) -> Path:
    """Return the operator's folder."""
    folder = engine.folder / "certificates"
    authority.write_pair(folder, "localhost")
    (engine.folder / "authority.pem").write_bytes(authority.pem)
    return folder


@pytest.fixture(scope="module")
def shop(project: Project, certificates: Path) -> Shop:
    """Return a shop behind TLS."""
    production = project.with_settings(
        AUTHSVC_PUBLIC_URL=f"https://{NAME}",
        AUTHSVC_PORT="5443",
        AUTHSVC_CERTIFICATES=str(certificates),
        AUTHSVC_CERTIFICATE_INTERVAL="1",
    )
    production.up()
    return open_shop(production, NAME)


def curl(shop: Shop, path: str, *options: str) -> str:
    """Ask the edge over TLS, believing the authority only; return head and body."""
    trust = ("--cacert", str(shop.project.engine.folder / "authority.pem"))
    return shop.project.engine.inside("curl", "-si", *trust, *options, f"https://{NAME}{path}").out


def serial(shop: Shop) -> str:
    """Return the serial number of the certificate that the edge shows."""
    shown = ("openssl", "s_client", "-connect", NAME, "-servername", "localhost")
    pem = shop.project.engine.inside(*shown).out
    return shop.project.engine.inside("openssl", "x509", "-noout", "-serial", stdin=pem).out.strip()


def test_a_customer_pulls_over_tls(shop: Shop) -> None:
    """The challenge names the https realm, and the whole way works."""
    head = curl(shop, "/v2/")

    assert f'realm="https://{NAME}/auth/token",service="{NAME}"' in head
    shop.still_sells()


@pytest.mark.parametrize(("version", "spoken"), [("-tls1_1", False), ("-tls1_2", True), ("-tls1_3", True)])
def test_tls_versions(shop: Shop, version: str, spoken: bool) -> None:
    """Nothing below TLS 1.2, whatever the client offers."""
    client = ("openssl", "s_client", "-cipher", "ALL:@SECLEVEL=0", version, "-connect", NAME)
    ran = shop.project.engine.inside(*client)

    assert spoken == ("Cipher is (NONE)" not in ran.out and ran.code == 0)


def test_http_1_1_only(shop: Shop) -> None:
    """A client that offers HTTP/2 gets HTTP/1.1, whose reason phrase some clients show."""
    assert curl(shop, "/v2/", "--http2").startswith("HTTP/1.1 401 ")


def test_plain_http_is_sent_on(shop: Shop) -> None:
    """Who types http:// to the TLS port is sent to the public address, method kept."""
    head = shop.project.engine.inside("curl", "-si", f"http://{NAME}/v2/?a=b").out

    assert head.startswith("HTTP/1.1 308 ")
    assert f"Location: https://{NAME}/v2/?a=b\r\n".lower() in head.lower()


def test_what_a_client_claims_is_overwritten(shop: Shop) -> None:
    """No header moves the realm or the way back of an upload."""
    claims = ("Host: evil.test", "X-Forwarded-Host: evil.test", "X-Forwarded-Proto: http", "Forwarded: host=evil.test")
    head = curl(shop, "/v2/", *(argument for claim in claims for argument in ("-H", claim)))

    assert f'realm="https://{NAME}/auth/token"' in head
    assert "evil" not in head


@pytest.mark.parametrize(("length", "status"), [(15 * KIB, "401"), (17 * KIB, "431")])
def test_headers_of_16_kib(shop: Shop, length: int, status: str) -> None:
    """A license file of the largest size fits into the header of its login."""
    assert curl(shop, "/auth/token", "-H", "Authorization: Basic " + "A" * length).startswith(f"HTTP/1.1 {status} ")


def test_a_large_layer_is_not_buffered(shop: Shop) -> None:
    """A layer larger than all that nginx may write or remember passes through, both ways."""
    engine = shop.project.engine
    image = f"{NAME}/myapp/large:1"
    engine.make_image("large", os.urandom(90_000_000))
    engine.docker("tag", "large", image, check=True)
    shop.login_as_vendor()
    pushed = engine.docker("push", image)
    engine.docker("image", "rm", "--force", "large")
    shop.login_as_customer()
    pulled = shop.pull(image)
    engine.docker("image", "rm", "--force", image)

    assert (pushed.code, pulled.code) == (0, 0), (pushed, pulled)


def test_new_certificates_are_read(shop: Shop, certificates: Path, authority: Authority) -> None:
    """A renewed pair is served within the interval, by the same nginx."""
    before, container = serial(shop), shop.project.container("nginx")
    authority.write_pair(certificates, "localhost")

    until(lambda: serial(shop) != before, "the new certificate is served")
    assert shop.project.container("nginx") == container
    shop.still_sells()


def looked_at(shop: Shop) -> str:
    """Return what authsvc says of its health once it has seen a certificate that clients may accept."""
    look = "import urllib.request as r; print(r.urlopen('http://127.0.0.1:8081/readyz').read().decode())"
    said = shop.project.compose("exec", "-T", "authsvc", "python3", "-ISc", look).out
    return said if '"tls_certificate": {"status": "ok"' in said else ""


def test_a_certificate_of_another_host_is_not_taken(shop: Shop, certificates: Path, authority: Authority) -> None:
    """Nginx goes on with the one that it has, and says why; authsvc sees what nginx really serves."""
    before = serial(shop)
    authority.write_pair(certificates, "other.test")
    said = "fullchain.pem is not taken: it is for DNS:other.test and not for localhost;"
    until(lambda: said in shop.project.compose("logs", "nginx").out, "nginx says why")
    seen = until(lambda: looked_at(shop), "authsvc has looked")

    assert "no authority that authsvc trusts has signed it" in seen
    assert serial(shop) == before
    authority.write_pair(certificates, "localhost")
    until(lambda: serial(shop) != before, "the good certificate is served")


def test_an_unreadable_key_is_named(shop: Shop, certificates: Path) -> None:
    """A key of root's alone is the usual mistake: nginx says whose it must be."""
    key = certificates / "privkey.pem"
    os.chown(key, 0, 0)
    shop.project.compose("restart", "nginx")
    try:
        said = "privkey.pem may not be read by user 10001"
        until(lambda: said in shop.project.compose("logs", "nginx").out, "nginx says why")
    finally:
        os.chown(key, 10001, 10001)
    shop.project.up()
    shop.still_sells()
