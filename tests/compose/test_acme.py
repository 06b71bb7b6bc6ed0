"""The profile ``acme``: the first certificate, nginx waiting for it, and a renewal."""

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.compose.engine import ROOT, ComposeEngine, Project, base_images
from tests.support.waiting import PATIENCE, until

pytestmark = [pytest.mark.system, pytest.mark.timeout(1200)]  # the first one has an engine made, and the image

HOST, PORT = "registry.vendor.test", 5443
CERTBOT = base_images()["AUTHSVC_CERTBOT_IMAGE"]


@pytest.fixture(scope="module")
def certbot(engine: ComposeEngine) -> None:
    """Make the stand-in for certbot's image: the real program, of its own package."""
    folder = engine.folder / "certbot"
    folder.mkdir()
    python = engine.docker("image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "python", check=True).out.split()[0]
    lines = (
        f"FROM {python}",
        "RUN python3 -m venv /opt/certbot",
        f"RUN /opt/certbot/bin/pip install --quiet --no-cache-dir certbot=={CERTBOT.rpartition(':v')[2]}",
        "ENV PATH=/opt/certbot/bin:$PATH",
        'ENTRYPOINT ["certbot"]',
    )
    (folder / "Dockerfile").write_text("\n".join(lines))
    built = engine.docker("build", "--tag", CERTBOT, str(folder))
    assert built.code == 0, built


@pytest.fixture
def production(project: Project, certbot: None) -> Project:
    """Return a project whose certificates come from the authority."""
    return project.with_settings(
        AUTHSVC_PUBLIC_URL=f"https://{HOST}:{PORT}",
        AUTHSVC_PORT=str(PORT),
        AUTHSVC_CERTIFICATE_INTERVAL="1",
        AUTHSVC_ACME_EMAIL="ops@vendor.test",
        COMPOSE_PROFILES="acme",
    )


@pytest.fixture
def authority(production: Project, tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """Run an authority on the host, beside the network ``challenge``; return its address and the file of its root."""
    production.compose("up", "--no-start", "--build")
    of_gateway = ("--format", "{{(index .IPAM.Config 0).Gateway}}")
    host = production.engine.docker("network", "inspect", "authsvc_challenge", *of_gateway, check=True).out.strip()
    file = tmp_path / "authority.pem"
    command = (sys.executable, "-m", "tests.compose.acme_authority", host, "14000", "127.0.0.1:80", str(file))
    with production.engine.starts_inside(*command, cwd=ROOT) as running:
        until(file.is_file, "the authority runs")
        yield f"http://{host}:14000/directory", file
        running.communicate(timeout=PATIENCE)


def asked(project: Project, root: Path) -> str:
    """Return the head of an answer over TLS that only this root vouches for."""
    options = ("-si", "--cacert", str(root), "--resolve", f"{HOST}:{PORT}:127.0.0.1")
    return project.engine.inside("curl", *options, f"https://{HOST}:{PORT}/v2/").out


def test_a_certificate_is_got_and_renewed(production: Project, authority: tuple[str, Path]) -> None:
    """The edge waits for the first pair, serves it, and serves the next one without a restart."""
    address, root = authority
    served = production.with_settings(AUTHSVC_ACME_SERVER=address)
    served.up()
    head = asked(served, root)
    container, before = served.container("nginx"), fingerprint(served)
    folders = "--config-dir /letsencrypt/config --work-dir /tmp/by-hand --logs-dir /tmp/by-hand"
    renew = f"certbot renew --force-renewal --quiet --no-random-sleep-on-renew {folders}"
    until(lambda: served.compose("exec", "-T", "acme", *renew.split(), check=False).code == 0, "a renewal")
    # What was renewed by hand is published with the next look, of which a restart is one.
    served.compose("restart", "acme")
    until(lambda: fingerprint(served) != before, "the renewed certificate is served")
    wrong = served.compose("run", "--rm", "--no-deps", "--env", "AUTHSVC_ACME_EMAIL=", "acme", check=False)

    assert wrong.code == 1
    assert "set AUTHSVC_ACME_EMAIL" in wrong.said
    assert f'realm="https://{HOST}:{PORT}/auth/token"' in head
    assert served.container("nginx") == container
    assert asked(served, root).startswith("HTTP/1.1 401 ")


def fingerprint(project: Project) -> str:
    """Return the fingerprint of the certificate that the edge shows."""
    pem = project.engine.inside("openssl", "s_client", "-connect", f"localhost:{PORT}", "-servername", HOST).out
    return project.engine.inside("openssl", "x509", "-noout", "-fingerprint", "-sha256", stdin=pem).out
