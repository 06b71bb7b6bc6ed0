"""Configuration text, read back by a parser of its own language."""

import json
import re
import tomllib

import attrs
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import SetupRefused
from authsvc.setup import render
from authsvc.setup.render import match_at_most
from authsvc.web.events import READ_DEADLINE, RECORD_DEADLINE

HOSTILE = "a\"b'c\\d: #e {{f}} %g ; &h *i !j [k] l? ünï 🐳"
"""A directory name that means something in each language."""

printable = st.text().filter(str.isprintable)

REGISTRY = render.RegistryValues(
    network="tcp",
    address="0.0.0.0:5000",
    storage_dir="/var/lib/registry",
    realm="https://r.example/auth/token",
    service="r.example",
    issuer="authsvc",
    root_certificate="/secrets/root.pem",
    http_secret="s" * 64,
)
NGINX = render.NginxValues(
    listen="0.0.0.0:80",
    public_scheme="https",
    public_authority="r.example",
    registry_upstream="registry:5000",
    edge_upstream="authsvc:8080",
    pid_file="/run/nginx.pid",
    temp_dir="/tmp/nginx",
    secret="s" * 64,
)


@given(printable)
def test_toml_gives_back_what_went_in(value: str) -> None:
    """A TOML parser reads the values as they were."""
    values = render.AuthsvcValues(
        public_url=value,
        redis_url=value,
        redis_disk=value,
        registry_url=value,
        registry_disk=value or None,
        nginx_url=value,
        secrets_dir=value,
        private_clients=value,
        control_socket=value,
        tls_endpoint=value or None,
        trusted_proxies=value or None,
        key_socket=value or None,
        upstream_private_networks=value or None,
        upstream_ca_file=value or None,
    )

    assert values.settings() == tomllib.loads(render.render(values))


@given(printable)
def test_yaml_gives_back_what_went_in(value: str) -> None:
    """A value stands in YAML as a JSON string (YAML 1.2 §1.3), on one line."""
    text = render.render(attrs.evolve(REGISTRY, realm=value))
    (line,) = [line for line in text.split("\n") if line.startswith("    realm: ")]

    assert value == json.loads(line.removeprefix("    realm: "))


@given(printable)
def test_quotes_end_where_they_should(value: str) -> None:
    """No value of nginx or redis has an unescaped quote inside, and taking the escapes out gives it back."""
    for quoted in (render.quote_redis(value), render.quote_nginx(value.replace("$", ""))):
        inside = quoted[1:-1]
        plain = inside.replace("\\\\", "\0").replace('\\"', "\1")

        assert '"' not in plain
        assert "\\" not in plain
        assert plain.replace("\0", "\\").replace("\1", '"') in (value, value.replace("$", ""))


@pytest.mark.parametrize("value", ["a\nb", "a\0b", "a\x7fb", "a\u2028b", "a\udcffb", "a\tb"])
def test_unprintable_values_are_refused(value: str) -> None:
    """A line break, a control character or bytes that are not UTF-8 reach no configuration."""
    for quote in (render.quote_json, render.quote_nginx, render.quote_redis):
        with pytest.raises(SetupRefused, match="cannot stand in a configuration file"):
            quote(value)


def test_nginx_variables_are_refused() -> None:
    """Nginx expands a dollar sign in some directives and knows no escape for it."""
    with pytest.raises(SetupRefused, match=r"has a '\$'"):
        render.quote_nginx("/home/$USER/data")


def test_a_value_without_a_filter_fails() -> None:
    """A template that forgets to quote is an error, not an injection."""
    with pytest.raises(TypeError, match="without a quoting filter"):
        render._only_quoted("plain")


@pytest.mark.parametrize("limit", [10, 109, 999, 1000, 2048, 26214])
def test_numbers_at_most(limit: int) -> None:
    """The regular expression has every number up to the limit, and none above."""
    matches = re.compile(match_at_most(limit)).fullmatch

    assert [number for number in range(10 * limit + 10) if matches(str(number))] == list(range(limit + 1))


def test_separate_containers() -> None:
    """The same templates serve TCP listeners and upstreams in other containers."""
    registry = render.render(REGISTRY)
    nginx = render.render(NGINX)
    users = render.RedisUsers(authsvc="a1", replica="b2", sentinel="c3", replica_password="secret")
    redis = render.render(render.RedisValues(directory="/data", bind="0.0.0.0", port=6379, users=users))

    assert 'net: "tcp"\n  addr: "0.0.0.0:5000"' in registry
    assert 'server "registry:5000"' in nginx
    assert 'server "authsvc:8080"' in nginx
    assert "\nuser " not in nginx
    assert 'bind "0.0.0.0"\nport 6379\n' in redis
    assert "unixsocket" not in redis
    # Redis replays its append-only file as this user, and drops what the user may not do.
    assert "\nuser default off ~* &* +@all\n" in redis
    assert 'user authsvc on "#a1" ' in redis


def test_uploads_that_nobody_finishes_are_purged() -> None:
    """Within hours; not while garbage is collected."""
    usual, collecting = (
        yaml.safe_load(render.render(attrs.evolve(REGISTRY, read_only=read_only)))["storage"]["maintenance"]
        for read_only in (False, True)
    )

    assert usual == {"uploadpurging": {"enabled": True, "age": "12h", "interval": "2h", "dryrun": False}}
    assert collecting == {"uploadpurging": {"enabled": False}, "readonly": {"enabled": True}}


@pytest.mark.parametrize("read_only", [False, True])
def test_the_registry_sends_events(read_only: bool) -> None:
    """One endpoint with one bearer, which gets everything, also from a registry that is read-only for a while."""
    events = render.EventsValues(f"http://authsvc:8081/{HOSTILE}", "5e" * 32)
    text = render.render(attrs.evolve(REGISTRY, events=events, read_only=read_only))

    (endpoint,) = yaml.safe_load(text)["notifications"]["endpoints"]
    assert endpoint == {
        "name": "authsvc",
        "url": f"http://authsvc:8081/{HOSTILE}",
        "headers": {"Authorization": [f"Bearer {'5e' * 32}"]},
        "timeout": "5s",
        "threshold": 3,
        "backoff": "1s",
    }
    assert "5e5e" not in repr(attrs.evolve(REGISTRY, events=events))
    assert "notifications" not in yaml.safe_load(render.render(REGISTRY))


def test_authsvc_answers_before_the_registry_gives_up() -> None:
    """Otherwise events come again that were recorded, and later ones wait."""
    text = render.render(attrs.evolve(REGISTRY, events=render.EventsValues("http://a/", "b")))
    (endpoint,) = yaml.safe_load(text)["notifications"]["endpoints"]
    assert READ_DEADLINE + RECORD_DEADLINE < float(endpoint["timeout"].removesuffix("s"))


@pytest.mark.parametrize("certificate", [None, "/tls/site.crt"])
def test_headers_of_a_location_add_to_hsts(certificate: str | None) -> None:
    """A location that adds a header inherits none: each says HSTS again, where there is TLS, and nowhere else."""
    text = render.render(attrs.evolve(NGINX, certificate=certificate, certificate_key=certificate, cache_dir="/cache"))
    adding = [block for block in text.split("location ")[1:] if "add_header " in block]

    assert len(adding) >= 6
    assert {"add_header Strict-Transport-Security" in block for block in adding} == {certificate is not None}
