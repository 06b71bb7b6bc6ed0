"""What the first start says."""

from pathlib import Path

import pytest

from authsvc.listen_address import parse_listen
from authsvc.local.quickstart import exposure_warning, first_start, later_start
from authsvc.public_url import parse_public_url

LOCAL = parse_public_url("http://localhost:5000")
PUBLIC = parse_public_url("https://registry.example.com")


def test_the_story_has_real_values() -> None:
    """Every docker line names this registry, and the second terminal finds this stack."""
    text = first_start(PUBLIC, Path("/srv/my data"), None)

    assert "export AUTHSVC_DATA_DIR='/srv/my data'\n" in text
    assert "docker login registry.example.com -u me@acme.test\n" in text
    assert "docker push registry.example.com/myapp/worker:1.0.1\n" in text
    assert "docker login registry.example.com -u license --password-stdin < globex.license.json\n" in text
    assert "PATH=" not in text
    assert "localhost" not in text


def test_the_command_is_put_on_the_path_when_it_is_not() -> None:
    """A fresh clone keeps it in a virtual environment."""
    for text in (first_start(LOCAL, Path("/d"), Path("/c/.venv/bin")), later_start(Path("/d"), Path("/c/.venv/bin"))):
        assert "export PATH=/c/.venv/bin:$PATH\n  export AUTHSVC_DATA_DIR=/d\n" in text


def test_tls_is_skipped_on_plain_http_only() -> None:
    """Nobody learns --tls-verify=false for a registry that has a certificate."""
    assert "skopeo copy --dest-tls-verify=false " in first_start(LOCAL, Path("/d"), None)
    assert "podman login --tls-verify=false localhost:5000 " in first_start(LOCAL, Path("/d"), None)
    assert "tls-verify" not in first_start(PUBLIC, Path("/d"), None)
    assert "podman login registry.example.com " in first_start(PUBLIC, Path("/d"), None)


def test_docker_needs_a_word_for_plain_http_elsewhere() -> None:
    """Docker speaks plain http to this machine unasked, to others only when told."""
    remote = first_start(parse_public_url("http://build.example:5000"), Path("/d"), None)

    assert "build.example:5000 in its `insecure-registries`" in remote
    assert "insecure-registries" not in first_start(LOCAL, Path("/d"), None)
    assert "insecure-registries" not in first_start(PUBLIC, Path("/d"), None)


@pytest.mark.parametrize(
    ("listen", "url", "warned"),
    [
        ("0.0.0.0:5000", "http://localhost:5000", True),
        ("[::]:5000", "http://registry.acme.test:5000", True),
        ("10.1.2.3:5000", "http://10.1.2.3:5000", True),
        ("127.0.0.1:5000", "http://localhost:5000", False),
        ("[::1]:5000", "http://localhost:5000", False),
        ("0.0.0.0:5000", "https://registry.acme.test", False),
    ],
)
def test_plain_http_for_other_machines_is_warned_of(listen: str, url: str, warned: bool) -> None:
    """The warning names the address and what licenses will say."""
    public_url = parse_public_url(url)
    warning = exposure_warning(parse_listen(listen), public_url)

    assert warned == (warning is not None)
    assert not warned or (listen in str(warning) and f"licenses will name {public_url.authority};" in str(warning))
