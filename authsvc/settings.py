"""Every setting of the server and the command line, read once into one frozen value.

A setting comes from the environment (``AUTHSVC_NAME``), for a secret also from a file named by ``AUTHSVC_NAME_FILE``,
or from a TOML file named by ``AUTHSVC_CONFIG`` (key ``name``). The environment takes precedence. An unknown
name is refused, because a misspelt setting that is silently ignored is noticed too late. docs/configuration.md lists
all settings; a test compares it with this module.
"""

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from attrs import frozen

from authsvc.disk_room import DEFAULT_RESERVE
from authsvc.errors import SetupRefused
from authsvc.private_file import read_trusted
from authsvc.public_url import PublicUrl, parse_public_url
from authsvc.redaction import Secret
from authsvc.redis_url import FORMS, is_sentinel_url, parse_sentinel_url
from authsvc.setting_values import (
    NOBODY,
    decimal_seconds,
    number,
    one_of,
    parse_absolute_path,
    parse_absolute_paths,
    parse_connections,
    parse_host_and_port,
    parse_on_or_off,
    parse_size,
    parse_socket_path,
    seconds,
)

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PREFIX = "AUTHSVC_"
CONFIG = "AUTHSVC_CONFIG"
"""The variable that names the TOML file."""

DATA_DIR = "AUTHSVC_DATA_DIR"
"""The variable that names a data directory of ``authsvc up``, for the command line."""

OWNED_BY_OTHERS = re.compile(r"AUTHSVC_(?:SERVICE_.*|PORT|PORT_.*|LICENSE|DATA_DIR|CONFIG)")
"""Names that Kubernetes, compose or our other tools set; they never count as unknown settings."""

COMPOSE_ONLY = frozenset(
    f"AUTHSVC_{name}"
    for name in (
        *("ACME_ADDRESS", "ACME_EMAIL", "ACME_INTERVAL", "ACME_PORT", "ACME_SERVER", "ADDRESS"),
        *("CERTBOT_IMAGE", "CERTIFICATES", "CERTIFICATE_INTERVAL", "IMAGE", "MEMORY", "METRICS_PORT"),
        *("NGINX_IMAGE", "NGINX_MEMORY", "PYTHON_IMAGE", "REDIS_IMAGE", "REDIS_MAXMEMORY", "REDIS_MEMORY"),
        "REGISTRY3_IMAGE",
        *("REGISTRY_IMAGE", "REGISTRY_MEMORY", "S3_BUCKET", "S3_CREDENTIALS", "S3_ENDPOINT", "S3_FOLDER"),
        *("S3_REGION", "S3_SOLE_WRITER", "STORE_NETWORK", "TLS"),
    )
)
"""Names that only compose.yaml reads; a test holds the list against it. They may be exported where our commands run."""

MIN_TOKEN_LIFE, MAX_TOKEN_LIFE = 60, 3600
"""Seconds. Clients treat anything below a minute as a minute; above an hour, a revocation would be too slow."""

DEFAULT_LEAF_LIFE = 24 * 3600

MIN_REDIS_DEADLINE, MAX_REDIS_DEADLINE = 0.5, 60
"""Seconds. Less would fail on a healthy network; clients do not wait longer than a minute for a token."""

MIN_AUDIT_BUDGET, MAX_AUDIT_BUDGET = 1, 65536
"""MiB."""

MIN_AUDIT_GROUPS, MAX_AUDIT_GROUPS = 1024, 1024 * 1024

MIN_CACHED_RECORDS, MAX_CACHED_RECORDS = 256, 1024 * 1024


@frozen
class Settings:
    """The settings, checked.

    Attributes:
        public_url: what clients type; the only source of realm, service and the license's registry.
        redis_url: the one primary.
        redis_deadline: seconds that one operation on it may take.
        cached_records: records that each worker keeps decoded.
        redis_disk: folders on the file systems that Redis writes to; none when they cannot be seen from here.
        redis_disk_reserve: MiB that are left free there by everything that can wait.
        secrets_dir: the secrets directory.
        registry_url: URL of the registry; None for an installation without lists of images.
        registry_disk: folders on the file systems that the registry writes to; none when they cannot be seen from here.
        registry_disk_reserve: MiB that should be free there.
        nginx_url: URL of nginx; None when it is not checked.
        pull_token_life: of a token that only pulls.
        push_token_life: of a token that may push or delete.
        leaf_life: of a worker's signing certificate.
        leaf_renewal: the part of its lifetime after which a certificate is replaced.
        leaf_key: private key of a leaf that was made with an offline root, with ``leaf_certificate``.
        leaf_certificate: its certificate; None when this server has the root.
        trusted_proxies: networks whose ``X-Forwarded-For`` is believed.
        private_clients: whether a private address may be a client's own, and not that of a proxy that is not
            configured.
        degraded_pulls: whether a license that was verified within the last minute may pull while the store is down.
        refresh_tokens: whether ``docker login`` may keep a refresh token instead of a member's password.
        audit_budget: MiB of Redis that the audit may take.
        audit_groups: how many different decisions each worker aggregates before it writes them.
        audit_export_dir: folder to which its oldest entries are exported before they are trimmed; None to drop them.
        log_level: ``debug``, ``info``, ``warning`` or ``error``.
        tls_endpoint: host and port that terminate clients' TLS, to watch the certificate there; None to watch none.
        upstream_tag_interval: how long a tag of a linked registry is not looked up again.
        upstream_stale_limit: how long its last known image is served while that registry does not answer.
        upstream_cache_size: MiB that nginx may keep of linked registries; read by what renders its configuration.
        upload_size: MiB that one request may upload to the registry; read like the one before.
        connections_per_address: that nginx lets one address have at once; read like the one before.
        control_socket: socket for commands from the same host; None for no such socket.
        keys_dir: folder with the keys of the key service; the secrets directory unless set.
        key_socket: socket of a key service in another container; None when the server starts its own.
        key_admin_socket: its socket for administration; None when this process does not administer it.
        upstream_private_networks: private networks that a linked external registry may be in.
        upstream_ca_file: CA certificates for external registries; None for those of the system.
    """

    public_url: PublicUrl
    redis_url: Secret
    redis_deadline: float
    cached_records: int
    redis_disk: tuple[Path, ...]
    redis_disk_reserve: int
    secrets_dir: Path
    registry_url: str | None
    registry_disk: tuple[Path, ...]
    registry_disk_reserve: int
    nginx_url: str | None
    pull_token_life: timedelta
    push_token_life: timedelta
    leaf_life: timedelta
    leaf_renewal: timedelta
    leaf_key: Path | None
    leaf_certificate: Path | None
    trusted_proxies: tuple[Network, ...]
    private_clients: bool
    degraded_pulls: bool
    refresh_tokens: bool
    audit_budget: int
    audit_groups: int
    audit_export_dir: Path | None
    log_level: str
    tls_endpoint: tuple[str, int] | None
    upstream_tag_interval: timedelta
    upstream_stale_limit: timedelta
    upstream_cache_size: int
    upload_size: int
    connections_per_address: int
    control_socket: Path | None
    keys_dir: Path
    key_socket: Path | None
    key_admin_socket: Path | None
    upstream_private_networks: tuple[Network, ...]
    upstream_ca_file: Path | None

    @property
    def leaf_files(self) -> tuple[Path, Path] | None:
        """Key and certificate of a leaf that is configured as files."""
        if self.leaf_key is None or self.leaf_certificate is None:
            return None
        return self.leaf_key, self.leaf_certificate


@frozen
class _Setting:
    name: str
    parse: Callable[[str, str], Any]
    default: str | None = None
    secret: bool = False
    optional: bool = False

    @property
    def environment(self) -> str:
        return PREFIX + self.name.upper()

    def value(self, text: str, source: str) -> Any:
        if not text.strip():
            raise SetupRefused(f"{source} is empty; remove it or give it a value")
        return self.parse(text, source)


def parse_networks(text: str, name: str) -> tuple[Network, ...]:
    """Return the networks in the value of the setting ``name``.

    Raises:
        SetupRefused: it lists something else.
    """
    try:
        return tuple(ipaddress.ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise SetupRefused(f"{name} must list networks such as 10.0.0.0/8,::1/128: {error}") from error


def parse_proxies(text: str, name: str) -> tuple[Network, ...]:
    """Return the networks in the value of the setting ``name``; none for the word that stands for no network.

    Raises:
        SetupRefused: it lists something else.
    """
    return () if text.strip() == NOBODY else parse_networks(text, name)


def _redis_url(text: str, name: str) -> Secret:
    try:
        if is_sentinel_url(text):
            parse_sentinel_url(text)
            return Secret(text)
        url = urlsplit(text)
        good = (url.scheme in {"redis", "rediss"} and url.hostname and url.port != 0) or (
            url.scheme == "unix" and url.path.startswith("/")
        )
    except ValueError:  # a port that is not a number, or too high
        good = False
    if not good:  # without the value: it may hold a password
        raise SetupRefused(f"{name} must look like {FORMS}")
    return Secret(text)


def _server_url(text: str, name: str) -> str:
    try:
        is_good = re.fullmatch(r"(?:https?://[^/\s]+|unix:///\S+)", text) is not None and urlsplit(text).port != 0
    except ValueError:  # brackets that are not closed, or a port that is not a number
        is_good = False
    if not is_good:
        raise SetupRefused(f"{name} must look like http://HOST:PORT or unix:///path/name.sock")
    return text


SETTINGS = (
    _Setting("public_url", parse_public_url, "http://localhost:5000"),
    _Setting("redis_url", _redis_url, secret=True),
    _Setting("redis_deadline", decimal_seconds(MIN_REDIS_DEADLINE, MAX_REDIS_DEADLINE), "1.5"),
    _Setting("cached_records", number(MIN_CACHED_RECORDS, MAX_CACHED_RECORDS), "16384"),
    _Setting("redis_disk", parse_absolute_paths, optional=True),
    _Setting("redis_disk_reserve", number(1, 1024 * 1024, " of MiB"), str(DEFAULT_RESERVE)),
    _Setting("secrets_dir", lambda text, _: Path(text)),
    _Setting("registry_url", _server_url, optional=True),
    _Setting("registry_disk", parse_absolute_paths, optional=True),
    _Setting("registry_disk_reserve", number(1, 1024 * 1024, " of MiB"), "1024"),
    _Setting("nginx_url", _server_url, optional=True),
    _Setting("pull_token_life", seconds(MIN_TOKEN_LIFE, MAX_TOKEN_LIFE), "300"),
    _Setting("push_token_life", seconds(MIN_TOKEN_LIFE, MAX_TOKEN_LIFE), "900"),
    _Setting("leaf_life", seconds(600, 90 * 24 * 3600), str(DEFAULT_LEAF_LIFE)),
    _Setting("leaf_renewal", seconds(1, 45 * 24 * 3600), optional=True),
    _Setting("leaf_key", lambda text, _: Path(text), optional=True),
    _Setting("leaf_certificate", lambda text, _: Path(text), optional=True),
    _Setting("trusted_proxies", parse_proxies, "127.0.0.0/8,::1/128"),
    _Setting("private_clients", parse_on_or_off, optional=True),
    _Setting("degraded_pulls", parse_on_or_off, "on"),
    _Setting("refresh_tokens", parse_on_or_off, "on"),
    _Setting("audit_budget", number(MIN_AUDIT_BUDGET, MAX_AUDIT_BUDGET, " of MiB"), "256"),
    _Setting("audit_groups", number(MIN_AUDIT_GROUPS, MAX_AUDIT_GROUPS), "16384"),
    _Setting("audit_export_dir", parse_absolute_path, optional=True),
    _Setting("log_level", one_of("debug", "info", "warning", "error"), "info"),
    _Setting("tls_endpoint", parse_host_and_port, optional=True),
    _Setting("upstream_tag_interval", seconds(1, 24 * 3600), "60"),
    _Setting("upstream_stale_limit", seconds(0, 90 * 24 * 3600), str(7 * 24 * 3600)),
    _Setting("upstream_cache_size", parse_size, "10g"),
    _Setting("upload_size", parse_size, "20g"),
    _Setting("connections_per_address", parse_connections, "1000"),
    _Setting("control_socket", parse_socket_path, optional=True),
    _Setting("keys_dir", lambda text, _: Path(text), optional=True),
    _Setting("key_socket", parse_socket_path, optional=True),
    _Setting("key_admin_socket", parse_socket_path, optional=True),
    _Setting("upstream_private_networks", parse_networks, optional=True),
    _Setting("upstream_ca_file", parse_absolute_path, optional=True),
)
"""All settings: the fields of :class:`Settings`, in its order."""


def load(environment: Mapping[str, str], rendered: Mapping[str, str] | None = None) -> Settings:
    """Return the settings; see :func:`load_with_texts`."""
    return load_with_texts(environment, rendered)[0]


def load_with_texts(
    environment: Mapping[str, str], rendered: Mapping[str, str] | None = None
) -> tuple[Settings, dict[str, str]]:
    """Return the settings, and the texts that were given for them: ``load({}, texts)`` returns the same settings.

    Args:
        environment: variables; names that do not begin with ours are ignored.
        rendered: content of a settings file that is not written yet; None to read the file that the environment names.

    Raises:
        SetupRefused: a name is unknown, a value is not acceptable, one that is needed is missing, or a file cannot
            be read.
    """
    if rendered is not None:
        given = {name: (text, name) for name, text in rendered.items()}
    else:
        given = _from_file(environment[CONFIG]) if environment.get(CONFIG) else {}
    given.update(_from_environment(environment))
    values: dict[str, Any] = {}
    for setting in SETTINGS:
        text, source = given.get(setting.name, (setting.default, setting.environment))
        if text is None:
            if not setting.optional:
                raise SetupRefused(f"{setting.environment} is not set; docs/configuration.md says what it is")
            values[setting.name] = None
        else:
            values[setting.name] = setting.value(text, source)
    for name in ("redis_disk", "registry_disk", "upstream_private_networks"):
        values[name] = values[name] or ()
    values["keys_dir"] = values["keys_dir"] or values["secrets_dir"]
    values["leaf_renewal"] = values["leaf_renewal"] or values["leaf_life"] / 2
    longest = max(values["pull_token_life"], values["push_token_life"])
    if values["leaf_life"] - values["leaf_renewal"] < longest + timedelta(minutes=1):
        raise SetupRefused(
            "AUTHSVC_LEAF_LIFE is too short: a certificate must outlive the longest token by a minute after its "
            "renewal is due"
        )
    if values["private_clients"] is None:
        # If proxies are configured, other private addresses are those of clients; a server that is only reached as
        # localhost has no proxies in front.
        values["private_clients"] = (
            bool("trusted_proxies" in given and values["trusted_proxies"]) or values["public_url"].is_localhost
        )
    if values["tls_endpoint"] is not None and values["public_url"].scheme != "https":
        raise SetupRefused("AUTHSVC_TLS_ENDPOINT needs an AUTHSVC_PUBLIC_URL that begins with https://")
    if (values["leaf_key"] is None) != (values["leaf_certificate"] is None):
        raise SetupRefused("AUTHSVC_LEAF_KEY and AUTHSVC_LEAF_CERTIFICATE belong together; set both or neither")
    return Settings(**values), {name: text for name, (text, _) in given.items()}


def check_variables(environment: Mapping[str, str]) -> None:
    """Check the value of every setting in the environment, including those that a rendered file will override.

    Raises:
        SetupRefused: a name is unknown or a value is not acceptable.
    """
    settings = {setting.name: setting for setting in SETTINGS}
    for name, (text, source) in _from_environment(environment).items():
        settings[name].value(text, source)


def _from_file(path: str) -> dict[str, tuple[str, str]]:
    try:
        table = tomllib.loads(read_trusted(Path(path)).decode("utf-8"))
    except SetupRefused as error:
        raise SetupRefused(f"the settings file cannot be used: {error}") from error
    except OSError as error:
        raise SetupRefused(f"cannot read the settings file {path}: {error.strerror}") from error
    except ValueError as error:
        raise SetupRefused(f"the settings file {path} is not TOML: {error}") from error
    known = {setting.name for setting in SETTINGS}
    given: dict[str, tuple[str, str]] = {}
    for name, value in table.items():
        if name not in known:
            raise SetupRefused(f"{path} sets {name!r}, which is not a setting; known are: {', '.join(sorted(known))}")
        if isinstance(value, bool) or not isinstance(value, str | int):
            raise SetupRefused(f"{path}: {name} must be a text or a whole number")
        given[name] = (str(value), f"{name} in {path}")
    return given


def _from_environment(environment: Mapping[str, str]) -> dict[str, tuple[str, str]]:
    by_variable = {setting.environment: setting for setting in SETTINGS}
    by_file_variable = {f"{setting.environment}_FILE": setting for setting in SETTINGS if setting.secret}
    given: dict[str, tuple[str, str]] = {}
    for variable in sorted(environment):
        if not variable.startswith(PREFIX) or variable in COMPOSE_ONLY or OWNED_BY_OTHERS.fullmatch(variable):
            continue
        if variable in by_variable:
            name, text = by_variable[variable].name, environment[variable]
        elif variable in by_file_variable:
            name, text = by_file_variable[variable].name, _read(environment[variable], variable)
        else:
            known = ", ".join(sorted(by_variable))
            raise SetupRefused(f"{variable} is not a setting of authsvc; known are: {known}")
        if name in given:
            raise SetupRefused(f"{variable} and {given[name][1]} say the same thing; remove one of them")
        given[name] = (text, variable)
    return given


def _read(path: str, variable: str) -> str:
    try:
        return read_trusted(Path(path)).decode("utf-8").strip()
    except SetupRefused as error:
        raise SetupRefused(f"{variable} cannot be used: {error}") from error
    except (OSError, ValueError) as error:
        raise SetupRefused(f"cannot read the file {path[:200]!r} that {variable} names") from error
