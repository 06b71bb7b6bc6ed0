"""Every setting of the server can be set where an operator of compose sets things."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from authsvc.public_url import parse_public_url
from authsvc.settings import SETTINGS
from authsvc.setup import config_digest
from authsvc.setup.compose import authsvc_values, nginx_values, parse_options
from authsvc.setup.edge_settings import EdgeSettings, edge_settings_of
from authsvc.setup.pull_through import PullThrough, pull_through_of
from tests.compose.engine import ROOT
from tests.support.upstream_tls import UpstreamAuthority

RENDERED = {
    *("public_url", "redis_url", "redis_disk", "registry_url", "registry_disk", "nginx_url", "secrets_dir"),
    *("control_socket", "key_socket"),
}
"""In authsvc.toml, which `init` writes."""

OFFLINE_ROOT = {"leaf_key", "leaf_certificate"}
"""For installations whose root is kept elsewhere: those mount files of their own."""

KEY_SERVICE = {"keys_dir"}
"""An argument of the key service's own container; the server has no such folder there."""


def test_every_setting_is_passed_on() -> None:
    """A setting that is new in the program must be thought about in compose.yaml."""
    given = set(re.findall(r"^      AUTHSVC_(\w+):", (ROOT / "compose.yaml").read_text(), re.MULTILINE))
    settings = {setting.name for setting in SETTINGS} - RENDERED - OFFLINE_ROOT - KEY_SERVICE

    assert {name.upper() for name in settings} <= given


def targets(service: dict[str, Any]) -> dict[str, str]:
    """Return where a service has its volumes."""
    pairs = [one if isinstance(one, dict) else None for one in service["volumes"]]
    texts = [one.split(":") for one in service["volumes"] if isinstance(one, str)]
    return {**{one["source"]: one["target"] for one in pairs if one}, **{one[0]: one[1] for one in texts}}


def test_linked_registries_are_reached_and_cached(tmp_path: Path) -> None:
    """Nginx caches in a volume that `init` has given its owner, and both it and authsvc have a way out."""
    text = (ROOT / "compose.yaml").read_text()
    compose = yaml.safe_load(text)
    services, networks = compose["services"], compose["networks"]
    options = parse_options(ROOT, parse_public_url("http://localhost:5000"), "", "", None, "198.18.213")
    authorities = str(UpstreamAuthority.make(tmp_path / "ca").file)
    environ = {"AUTHSVC_UPSTREAM_CACHE_SIZE": "2g", "AUTHSVC_UPSTREAM_CA_FILE": authorities}
    values = nginx_values(options, "5e" * 32, pull_through_of(environ, system=False), EdgeSettings())

    assert targets(services["nginx"])["upstream-cache"] == targets(services["init"])["upstream-cache"]
    folder = targets(services["nginx"])["upstream-cache"]
    assert values.cache_dir.startswith(f"{folder}/")
    assert (values.cache_size, values.ca_file) == (2048, authorities)
    assert (
        nginx_values(options, "5e" * 32, PullThrough(), EdgeSettings()).ca_file == "/etc/ssl/certs/ca-certificates.crt"
    )
    assert f" {folder.removeprefix('/')} " in text, "the image makes the folder with its owner"
    certificates = "${AUTHSVC_UPSTREAM_CA_FILE:-upstream-ca}:${AUTHSVC_UPSTREAM_CA_FILE:-/upstream-ca}:ro"
    for name in ("nginx", "authsvc", "init"):
        assert certificates in services[name]["volumes"], "under the path that it has on the host"
    for name in ("nginx", "authsvc"):
        assert [one for one in services[name]["networks"] if not (networks[one] or {}).get("internal")], name
    assert "upstreams" not in [*services["registry"]["networks"], *services["redis"]["networks"]]


def test_settings_of_the_edge_reach_nginx() -> None:
    """They are told to what makes nginx's configuration, and a change of one makes nginx anew."""
    compose = yaml.safe_load((ROOT / "compose.yaml").read_text())
    options = parse_options(ROOT, parse_public_url("http://localhost:5000"), "", "", None, "198.18.213")
    given = {
        "AUTHSVC_UPLOAD_SIZE": "3g",
        "AUTHSVC_CONNECTIONS_PER_ADDRESS": "50",
        "AUTHSVC_TRUSTED_PROXIES": "192.0.2.7",
    }
    values = nginx_values(options, "5e" * 32, PullThrough(), edge_settings_of(given))

    assert (values.upload_size, values.connections, values.trusted_proxies) == (3072, 50, ("192.0.2.7/32",))
    for name in given:
        assert name in compose["services"]["init"]["environment"]
        assert f"${{{name}:-}}" in compose["services"]["nginx"]["labels"]["authsvc.rendered-for"]
    # serve itself goes on believing its own nginx, and no one else.
    assert "${" not in compose["services"]["authsvc"]["environment"]["AUTHSVC_TRUSTED_PROXIES"]


@pytest.mark.parametrize(
    ("url", "tls", "endpoint"),
    [
        ("https://registry.vendor.test", "", "nginx:5000"),
        ("https://registry.vendor.test", "off", None),
        ("http://localhost:5000", "", None),
    ],
)
def test_the_certificate_is_watched_where_nginx_shows_it(url: str, tls: str, endpoint: str | None) -> None:
    """At its own port, when it does TLS."""
    options = parse_options(ROOT, parse_public_url(url), tls, "", None, "198.18.213")
    port = nginx_values(options, "5e" * 32, PullThrough(), EdgeSettings()).listen.rpartition(":")[2]

    assert authsvc_values(options, b"5e" * 32, EdgeSettings()).tls_endpoint == endpoint
    assert endpoint is None or endpoint == f"nginx:{port}"


def test_what_runs_notices_another_rendering() -> None:
    """`init` is told the settings by which containers are made anew, and whoever reads what it renders follows."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    told = services["init"]["environment"][config_digest.RENDERED_FOR]

    for name, service in services.items():
        assert service["labels"]["authsvc.rendered-for"] == told, name
        folders = [f"{folder}-config" for folder in config_digest.FOLDERS if f"{folder}-config" in targets(service)]
        if folders and service["restart"] != "no" and not name.startswith("sentinel-"):
            command = " ".join(service["command"])
            (script,) = re.findall(r"/(\w+\.sh) ", f"{command} ")
            text = (ROOT / "registry-config" / script).read_text()
            assert script == "follow.sh" or "/follow.sh" in text, name


def test_nginx_is_asked_at_the_port_that_is_published() -> None:
    """A port of its own would be well while the published one refuses everybody."""
    nginx = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]["nginx"]
    options = parse_options(ROOT, parse_public_url("http://localhost:5000"), "", "", None, "198.18.213")
    (published,), asked = nginx["ports"], nginx["healthcheck"]["test"][-1]
    port = published.rpartition(":")[2]

    assert asked.startswith(f"http://127.0.0.1:{port}/")
    assert nginx_values(options, "5e" * 32, PullThrough(), EdgeSettings()).listen == f"0.0.0.0:{port}"


def test_every_container_has_the_same_limit_of_files() -> None:
    """It is what nginx asks for; an engine's own may be a thousand."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    template = (ROOT / "registry-config/nginx.conf").read_text()
    (asked,) = re.findall(r"^worker_rlimit_nofile (\d+);$", template, re.MULTILINE)

    for name, service in services.items():
        assert service["ulimits"]["nofile"] == {"soft": int(asked), "hard": int(asked)}, name


def test_metrics_are_published_on_the_loopback_alone() -> None:
    """By a container that is there when it is asked for, and passes two addresses on and nothing else."""
    services = yaml.safe_load((ROOT / "compose.yaml").read_text())["services"]
    (published,) = services["metrics"]["ports"]
    address, _, inner = published.rpartition(":")
    template = (ROOT / "registry-config/metrics.conf").read_text()

    assert address.startswith("127.0.0.1:")
    assert f"listen 0.0.0.0:{inner};" in template
    assert services["metrics"]["profiles"] == ["metrics"]
    assert re.findall(r"location (.*) {", template) == ["= /metrics", "= /readyz", "/"]
    assert [name for name, one in services.items() if "ports" in one and "profiles" not in one] == ["nginx"]
