"""Settings: where they come from, and what is refused."""

import re
from datetime import timedelta
from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from authsvc.errors import SetupRefused
from authsvc.public_url import PublicUrl
from authsvc.redaction import Secret
from authsvc.settings import COMPOSE_ONLY, OWNED_BY_OTHERS, SETTINGS, Settings, load, load_with_texts
from authsvc.store.connection import DEADLINE

NEEDED = {"AUTHSVC_REDIS_URL": "redis://localhost:6379/0", "AUTHSVC_SECRETS_DIR": "/run/secrets"}


def refusal(environment: dict[str, str]) -> str:
    """Return the sentence with which ``environment`` is refused."""
    with pytest.raises(SetupRefused) as refused:
        load(environment)
    return str(refused.value)


def test_defaults() -> None:
    """Two settings are needed; every other has a good default."""
    expected = Settings(
        public_url=PublicUrl("http", "localhost:5000"),
        redis_url=Secret("redis://localhost:6379/0"),
        redis_deadline=DEADLINE,
        cached_records=16384,
        secrets_dir=Path("/run/secrets"),
        redis_disk=(),
        redis_disk_reserve=128,
        registry_url=None,
        registry_disk=(),
        registry_disk_reserve=1024,
        nginx_url=None,
        pull_token_life=timedelta(minutes=5),
        push_token_life=timedelta(minutes=15),
        leaf_life=timedelta(hours=24),
        leaf_renewal=timedelta(hours=12),
        leaf_key=None,
        leaf_certificate=None,
        trusted_proxies=(ip_network("127.0.0.0/8"), ip_network("::1/128")),
        private_clients=True,
        degraded_pulls=True,
        refresh_tokens=True,
        audit_budget=256,
        audit_groups=16384,
        audit_export_dir=None,
        log_level="info",
        tls_endpoint=None,
        upstream_tag_interval=timedelta(minutes=1),
        upstream_stale_limit=timedelta(days=7),
        upstream_cache_size=10 * 1024,
        upload_size=20 * 1024,
        connections_per_address=1000,
        control_socket=None,
        keys_dir=Path("/run/secrets"),
        key_socket=None,
        key_admin_socket=None,
        upstream_private_networks=(),
        upstream_ca_file=None,
    )

    assert expected == load({**NEEDED, "PATH": "/bin", "HOME": "/root"})


@pytest.mark.parametrize(
    ("given", "private"),
    [
        ({}, True),
        ({"AUTHSVC_PUBLIC_URL": "https://registry.vendor.test"}, False),
        ({"AUTHSVC_PUBLIC_URL": "https://registry.vendor.test", "AUTHSVC_TRUSTED_PROXIES": "10.0.0.1/32"}, True),
        ({"AUTHSVC_PUBLIC_URL": "https://registry.vendor.test", "AUTHSVC_PRIVATE_CLIENTS": "on"}, True),
        ({"AUTHSVC_PRIVATE_CLIENTS": "off"}, False),
    ],
)
def test_whether_clients_may_have_private_addresses(given: dict[str, str], private: bool) -> None:
    """Where everybody is on this machine, or the proxies are named; elsewhere only when the operator says so."""
    assert load({**NEEDED, **given}).private_clients == private


def test_everything_by_environment() -> None:
    """Each setting has its variable."""
    expected = Settings(
        public_url=PublicUrl("https", "registry.vendor.test"),
        redis_url=Secret("unix:///run/redis.sock"),
        redis_deadline=2.25,
        cached_records=512,
        secrets_dir=Path("secrets"),
        redis_disk=(Path("/var/a:b"), Path("/var/c")),
        redis_disk_reserve=64,
        registry_url="unix:///run/registry.sock",
        registry_disk=(Path("/var/images"),),
        registry_disk_reserve=2048,
        nginx_url="http://127.0.0.1:5000",
        pull_token_life=timedelta(seconds=60),
        push_token_life=timedelta(seconds=3600),
        leaf_life=timedelta(seconds=7200),
        leaf_renewal=timedelta(seconds=10),
        leaf_key=Path("leaf.key"),
        leaf_certificate=Path("leaf.crt"),
        trusted_proxies=(ip_network("10.0.0.0/8"),),
        private_clients=False,
        degraded_pulls=False,
        refresh_tokens=False,
        audit_budget=1,
        audit_groups=1024,
        audit_export_dir=Path("/var/audit"),
        log_level="debug",
        tls_endpoint=("nginx", 5000),
        upstream_tag_interval=timedelta(seconds=30),
        upstream_stale_limit=timedelta(0),
        upstream_cache_size=512,
        upload_size=2048,
        connections_per_address=50,
        control_socket=Path("/run/authsvc.sock"),
        keys_dir=Path("/var/keys"),
        key_socket=Path("/run/keys.sock"),
        key_admin_socket=Path("/run/admin.sock"),
        upstream_private_networks=(ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")),
        upstream_ca_file=Path("/etc/ca.pem"),
    )

    assert expected == load(
        {
            "AUTHSVC_PUBLIC_URL": "https://Registry.Vendor.test/",
            "AUTHSVC_TRUSTED_PROXIES": " 10.0.0.0/8 ",
            "AUTHSVC_REGISTRY_DISK": "/var/images",
            "AUTHSVC_REGISTRY_DISK_RESERVE": "2048",
            "AUTHSVC_NGINX_URL": "http://127.0.0.1:5000",
            "AUTHSVC_PRIVATE_CLIENTS": "off",
            "AUTHSVC_DEGRADED_PULLS": "off",
            "AUTHSVC_REDIS_URL": "unix:///run/redis.sock",
            "AUTHSVC_REDIS_DEADLINE": "2.25",
            "AUTHSVC_CACHED_RECORDS": "512",
            "AUTHSVC_SECRETS_DIR": "secrets",
            "AUTHSVC_REDIS_DISK": "/var/a:b:/var/c",
            "AUTHSVC_REDIS_DISK_RESERVE": "64",
            "AUTHSVC_REGISTRY_URL": "unix:///run/registry.sock",
            "AUTHSVC_PULL_TOKEN_LIFE": "60",
            "AUTHSVC_PUSH_TOKEN_LIFE": "3600",
            "AUTHSVC_LEAF_LIFE": "7200",
            "AUTHSVC_LEAF_RENEWAL": "10",
            "AUTHSVC_LEAF_KEY": "leaf.key",
            "AUTHSVC_LEAF_CERTIFICATE": "leaf.crt",
            "AUTHSVC_REFRESH_TOKENS": "off",
            "AUTHSVC_AUDIT_BUDGET": "1",
            "AUTHSVC_AUDIT_GROUPS": "1024",
            "AUTHSVC_AUDIT_EXPORT_DIR": "/var/audit",
            "AUTHSVC_LOG_LEVEL": "debug",
            "AUTHSVC_TLS_ENDPOINT": "nginx:5000",
            "AUTHSVC_UPSTREAM_TAG_INTERVAL": "30",
            "AUTHSVC_UPSTREAM_STALE_LIMIT": "0",
            "AUTHSVC_UPSTREAM_CACHE_SIZE": "512m",
            "AUTHSVC_UPLOAD_SIZE": "2G",
            "AUTHSVC_CONNECTIONS_PER_ADDRESS": "50",
            "AUTHSVC_CONTROL_SOCKET": "/run/authsvc.sock",
            "AUTHSVC_KEYS_DIR": "/var/keys",
            "AUTHSVC_KEY_SOCKET": "/run/keys.sock",
            "AUTHSVC_KEY_ADMIN_SOCKET": "/run/admin.sock",
            "AUTHSVC_UPSTREAM_PRIVATE_NETWORKS": "10.1.0.0/16, fd00:1::/32",
            "AUTHSVC_UPSTREAM_CA_FILE": "/etc/ca.pem",
        }
    )


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    """A TOML file gives settings in text or whole numbers, and a variable overrides it."""
    file = tmp_path / "authsvc.toml"
    file.write_text('redis_url = "redis://file:1"\nsecrets_dir = "/file"\npull_token_life = 120\nlog_level = "error"\n')
    settings = load({"AUTHSVC_CONFIG": str(file), "AUTHSVC_LOG_LEVEL": "warning"})

    assert Secret("redis://file:1") == settings.redis_url
    assert (timedelta(minutes=2), "warning") == (settings.pull_token_life, settings.log_level)


def test_a_secret_by_file(tmp_path: Path) -> None:
    """A secret may stand in a file of its own; the blanks around it do not count."""
    file = tmp_path / "redis-url"
    file.write_text("rediss://:pass@redis:6379/1\n")

    assert Secret("rediss://:pass@redis:6379/1") == load(
        {"AUTHSVC_REDIS_URL_FILE": str(file), "AUTHSVC_SECRETS_DIR": "/s"}
    ).redis_url  # fmt: skip


@pytest.mark.parametrize(
    "name",
    ["AUTHSVC_SERVICE_HOST", "AUTHSVC_SERVICE_PORT_EDGE", "AUTHSVC_PORT", "AUTHSVC_PORT_5000_TCP_ADDR",
     "AUTHSVC_LICENSE", "AUTHSVC_DATA_DIR", "AUTHSVCX", "authsvc_redis"],
)  # fmt: skip
def test_names_that_others_own(name: str) -> None:
    """What Kubernetes and our other tools set is no setting and no mistake."""
    assert load(NEEDED) == load({**NEEDED, name: "tcp://10.0.0.1:5000"})


def test_names_that_only_compose_reads() -> None:
    """Whoever has them exported for compose can run our commands beside it."""
    compose = Path(__file__).parent.parent / "compose.yaml"
    names = {*re.findall(r"AUTHSVC_[A-Z0-9_]+", compose.read_text(encoding="utf-8")), "AUTHSVC_IMAGE"}
    settings = {f"{setting.environment}{suffix}" for setting in SETTINGS for suffix in ("", "_FILE")}
    others = {name for name in names - settings if not OWNED_BY_OTHERS.fullmatch(name)}

    assert others == COMPOSE_ONLY
    assert load(NEEDED) == load({**NEEDED, **dict.fromkeys(others, "x")})


@pytest.mark.parametrize(
    "name",
    ["AUTHSVC_", "AUTHSVC_PUBLIC_ULR", "AUTHSVC_public_url", "AUTHSVC_PUBLIC_URL_FILE", "AUTHSVC_SERVICE",
     "AUTHSVC_PORTS", "AUTHSVC_LICENSES", "AUTHSVC_REDIS_URL_FILE_FILE", "AUTHSVC_PUBLIC_URL "],
)  # fmt: skip
def test_unknown_names(name: str) -> None:
    """A misspelt setting is refused, with the list of right ones; its value is not shown."""
    sentence = refusal({**NEEDED, name: "s3cret"})

    assert sentence.startswith(f"{name} is not a setting of authsvc; known are: AUTHSVC_AUDIT_BUDGET, ")
    assert "s3cret" not in sentence


@pytest.mark.parametrize("name", ["AUTHSVC_REDIS_URL", "AUTHSVC_SECRETS_DIR"])
def test_a_needed_setting_is_missing(name: str) -> None:
    """What has no default must be given."""
    rest = {variable: value for variable, value in NEEDED.items() if variable != name}

    assert f"{name} is not set; docs/configuration.md says what it is" == refusal(rest)


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("PUBLIC_URL", "localhost:5000", "AUTHSVC_PUBLIC_URL 'localhost:5000' is not a registry address"),
        ("PUBLIC_URL", "https://r.test/path", "AUTHSVC_PUBLIC_URL 'https://r.test/path' is not a registry address"),
        ("PUBLIC_URL", "", "AUTHSVC_PUBLIC_URL is empty"),
        ("REDIS_URL", "", "AUTHSVC_REDIS_URL is empty"),
        ("REDIS_URL", "  ", "AUTHSVC_REDIS_URL is empty"),
        ("REDIS_URL", "localhost:6379", "AUTHSVC_REDIS_URL must look like redis://HOST:PORT, rediss://HOST:PORT or unix:///"),
        ("REDIS_URL", "http://:pass@redis", "AUTHSVC_REDIS_URL must look like redis://HOST:PORT"),
        ("REDIS_URL", "redis://:pass@redis:65536", "AUTHSVC_REDIS_URL must look like redis://HOST:PORT"),
        ("REDIS_URL", "redis://:pass@redis:port", "AUTHSVC_REDIS_URL must look like redis://HOST:PORT"),
        ("SECRETS_DIR", "", "AUTHSVC_SECRETS_DIR is empty"),
        ("REGISTRY_URL", "registry:5000", "AUTHSVC_REGISTRY_URL must look like http://HOST:PORT or unix:///"),
        ("REGISTRY_URL", "http://registry:5000/v2/", "AUTHSVC_REGISTRY_URL must look like"),
        ("CONNECTIONS_PER_ADDRESS", "9", "AUTHSVC_CONNECTIONS_PER_ADDRESS must be a number from 10 to 100000, not '9'"),
        ("UPLOAD_SIZE", "0", "AUTHSVC_UPLOAD_SIZE must be a size from 100m to 1000000g such as 10g"),
        ("UPSTREAM_CACHE_SIZE", "10", "AUTHSVC_UPSTREAM_CACHE_SIZE must be a size from 100m to 1000000g such as 10g"),
        ("UPSTREAM_CACHE_SIZE", "99m", "AUTHSVC_UPSTREAM_CACHE_SIZE must be a size from 100m"),
        ("UPSTREAM_CACHE_SIZE", "10g; evil", "AUTHSVC_UPSTREAM_CACHE_SIZE must be a size from 100m"),
        ("PULL_TOKEN_LIFE", "59", "AUTHSVC_PULL_TOKEN_LIFE must be a number of seconds from 60 to 3600, not '59'"),
        ("PULL_TOKEN_LIFE", "3601", "AUTHSVC_PULL_TOKEN_LIFE must be a number of seconds from 60 to 3600"),
        ("PUSH_TOKEN_LIFE", "-900", "AUTHSVC_PUSH_TOKEN_LIFE must be a number of seconds"),
        ("PUSH_TOKEN_LIFE", "15m", "AUTHSVC_PUSH_TOKEN_LIFE must be a number of seconds"),
        ("PUSH_TOKEN_LIFE", "9e2", "AUTHSVC_PUSH_TOKEN_LIFE must be a number of seconds"),
        ("PUSH_TOKEN_LIFE", "\u0669\u0660\u0660", "AUTHSVC_PUSH_TOKEN_LIFE must be a number of seconds"),
        ("PUSH_TOKEN_LIFE", "9" * 5000, "AUTHSVC_PUSH_TOKEN_LIFE must be a number of seconds"),
        ("REDIS_DEADLINE", "0.4", "AUTHSVC_REDIS_DEADLINE must be a number of seconds from 0.5 to 60, not '0.4'"),
        ("REDIS_DEADLINE", "60.1", "AUTHSVC_REDIS_DEADLINE must be a number of seconds from 0.5 to 60"),
        ("REDIS_DEADLINE", "inf", "AUTHSVC_REDIS_DEADLINE must be a number of seconds from 0.5 to 60"),
        ("REDIS_DEADLINE", "1e1", "AUTHSVC_REDIS_DEADLINE must be a number of seconds from 0.5 to 60"),
        ("LEAF_LIFE", "599", "AUTHSVC_LEAF_LIFE must be a number of seconds from 600"),
        ("LEAF_LIFE", "1900", "AUTHSVC_LEAF_LIFE is too short"),
        ("LEAF_RENEWAL", "0", "AUTHSVC_LEAF_RENEWAL must be a number of seconds from 1"),
        ("LEAF_RENEWAL", "86400", "AUTHSVC_LEAF_LIFE is too short"),
        ("REFRESH_TOKENS", "true", "AUTHSVC_REFRESH_TOKENS must be one of on, off, not 'true'"),
        ("LOG_LEVEL", "INFO", "AUTHSVC_LOG_LEVEL must be one of debug, info, warning, error, not 'INFO'"),
        ("TLS_ENDPOINT", "nginx", "AUTHSVC_TLS_ENDPOINT must be a host and a port such as nginx:5000 or [::1]:443"),
        ("TLS_ENDPOINT", "nginx:65536", "AUTHSVC_TLS_ENDPOINT must be a host and a port"),
        ("TLS_ENDPOINT", "https://nginx:5000", "AUTHSVC_TLS_ENDPOINT must be a host and a port"),
        ("TLS_ENDPOINT", "nginx:5000", "AUTHSVC_TLS_ENDPOINT needs an AUTHSVC_PUBLIC_URL that begins with https://"),
        ("CONFIG", "/does/not/exist.toml", "cannot read the settings file /does/not/exist.toml: No such file"),
        ("CONFIG", "/", "cannot read the settings file /: Is a directory"),
    ],
)  # fmt: skip
def test_a_bad_value(name: str, value: str, sentence: str) -> None:
    """Each bad value gives one sentence that names the setting and says what is right; no password is shown."""
    said = refusal({**NEEDED, f"AUTHSVC_{name}": value})

    assert said.startswith(sentence)
    assert len(said) < 400
    assert "pass@" not in said


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("= 1", "is not TOML"),
        ("redis_url = 'a'\nredis_url = 'b'", "is not TOML"),
        ("\xff", "is not TOML"),
        ("reddis_url = 'x'", "sets 'reddis_url', which is not a setting; known are: audit_budget, "),
        ("log_level = true", "log_level must be a text or a whole number"),
        ("pull_token_life = 90.5", "pull_token_life must be a text or a whole number"),
        ("[redis]\nurl = 'x'", "sets 'redis', which is not a setting"),
        ("pull_token_life = 1", "authsvc.toml must be a number of seconds from 60 to 3600, not '1'"),
    ],
)
def test_a_bad_file(tmp_path: Path, text: str, sentence: str) -> None:
    """Each bad file gives one sentence that names the file."""
    file = tmp_path / "authsvc.toml"
    file.write_bytes(text.encode("latin-1"))
    said = refusal({**NEEDED, "AUTHSVC_CONFIG": str(file)})

    assert str(file) in said
    assert sentence in said


def test_a_bad_secret_file(tmp_path: Path) -> None:
    """A file that cannot be read, or holds nothing, is named by the variable that named it."""
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    rest = {"AUTHSVC_SECRETS_DIR": "/s"}
    said = [refusal({**rest, "AUTHSVC_REDIS_URL_FILE": str(tmp_path / name)}) for name in ("none", "binary", "empty")]

    assert said[:2] == [
        f"cannot read the file {str(tmp_path / name)!r} that AUTHSVC_REDIS_URL_FILE names"
        for name in ("none", "binary")
    ]
    assert said[2] == "AUTHSVC_REDIS_URL_FILE is empty; remove it or give it a value"


def test_the_same_thing_twice(tmp_path: Path) -> None:
    """A secret by value and by file is one too many, even if both agree."""
    file = tmp_path / "redis-url"
    file.write_text(NEEDED["AUTHSVC_REDIS_URL"])

    assert "AUTHSVC_REDIS_URL_FILE and AUTHSVC_REDIS_URL say the same thing; remove one of them" == refusal(
        {**NEEDED, "AUTHSVC_REDIS_URL_FILE": str(file)}
    )


def test_secrets_do_not_print() -> None:
    """Settings in a log or a traceback show no password."""
    assert "hunter2" not in repr(load({**NEEDED, "AUTHSVC_REDIS_URL": "redis://:hunter2@redis"}))


VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40)


@given(st.sampled_from([setting.environment for setting in SETTINGS]), VALUES | st.integers().map(str))
def test_reading_is_total(name: str, value: str) -> None:
    """Any value of any setting is taken or refused with a sentence."""
    try:
        settings = load({**NEEDED, name: value})
    except SetupRefused as refused:
        said = str(refused)
    else:
        said = repr(settings)

    assert said


@given(st.integers(60, 3600), st.integers(60, 3600), st.integers(600, 7200), st.none() | st.integers(1, 7200))
def test_a_leaf_outlives_the_last_token_it_signs(pull: int, push: int, leaf: int, renewal: int | None) -> None:
    """Whatever lives are accepted: when renewal is due, the old certificate outlives the longest token by a minute."""
    given_ = {"PULL_TOKEN_LIFE": pull, "PUSH_TOKEN_LIFE": push, "LEAF_LIFE": leaf, "LEAF_RENEWAL": renewal}
    try:
        settings = load({**NEEDED, **{f"AUTHSVC_{name}": str(n) for name, n in given_.items() if n is not None}})
    except SetupRefused:
        return

    longest = max(settings.pull_token_life, settings.push_token_life)
    assert settings.leaf_life - settings.leaf_renewal >= longest + timedelta(minutes=1)


def test_the_texts_that_were_given_make_the_same_settings(tmp_path: Path) -> None:
    """A worker that is started again gets them, whatever the environment and the files say by then."""
    file, secret = tmp_path / "authsvc.toml", tmp_path / "redis-url"
    file.write_text('secrets_dir = "/file"\npull_token_life = 120\ntrusted_proxies = "10.0.0.0/8"\n')
    secret.write_text("rediss://:pass@redis:6379/1\n")
    environment = {"AUTHSVC_CONFIG": str(file), "AUTHSVC_REDIS_URL_FILE": str(secret), "AUTHSVC_LOG_LEVEL": "warning"}

    loaded, texts = load_with_texts(environment)

    file.unlink()
    assert loaded == load({}, texts)
    assert loaded.private_clients


@pytest.mark.parametrize("url", ["http://[nginx:5000", "http://nginx:port", "nginx:5000", "http://nginx/path"])
def test_an_address_that_nothing_can_reach_is_refused(url: str) -> None:
    """At the start, and not when it is first used."""
    for name in ("AUTHSVC_NGINX_URL", "AUTHSVC_REGISTRY_URL"):
        assert name in refusal({**NEEDED, name: url})
