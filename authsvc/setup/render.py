"""Renders the configuration of the registry, redis, nginx and authsvc from values.

Rule 1: every value is written with the quoting filter of the configuration's language; a value without one is an error
here, not a surprise in the file.
Rule 2: this module does not depend on the paths of files or on the processes that read them, so compose and
``authsvc up`` use the same functions.
"""

import json
import re
from importlib.resources import files

import jinja2
from attrs import asdict, field, frozen

from authsvc.errors import SetupRefused
from authsvc.setting_values import DEFAULT_CACHE_SIZE, DEFAULT_CONNECTIONS, DEFAULT_UPLOAD_SIZE


@frozen
class S3Values:
    """Values of the registry's storage in S3."""

    bucket: str
    region: str
    endpoint: str | None
    """``https://HOST[:PORT]`` of a server that is not Amazon's."""
    folder: str
    """Prefix of every object's name, starting with a slash."""


@frozen
class EventsValues:
    """Values for the registry's events."""

    url: str
    bearer: str = field(repr=False)
    """The bearer that it sends with them (RFC 6750 §2.1)."""


@frozen
class RegistryValues:
    """Values of the registry's configuration."""

    network: str
    """``unix`` or ``tcp``."""
    address: str
    """A socket path, or ``host:port``."""
    storage_dir: str
    realm: str
    """URL of the token endpoint."""
    service: str
    """The audience of every token."""
    issuer: str
    root_certificate: str
    """Path of the PEM file with the roots of all signing leaves."""
    http_secret: str
    read_only: bool = False
    s3: S3Values | None = None
    """None for storage in ``storage_dir``."""
    events: EventsValues | None = None
    """None to send no events."""


@frozen
class RedisUsers:
    """The users of a redis that is reached over a network; SHA-256 of passwords in hexadecimal."""

    authsvc: str
    replica: str
    sentinel: str
    replica_password: str
    """In clear: a redis that becomes a replica signs in with it."""


@frozen
class RedisValues:
    """Values of redis' configuration: a socket path, or an address, a port and users."""

    directory: str
    unix_socket: str | None = None
    bind: str = "127.0.0.1"
    port: int = 0
    users: RedisUsers | None = None
    announce: str | None = None
    """The address that it announces to sentinels and replicas."""
    primary: str | None = None
    """Address of the redis that this one follows at first; on the same port."""


@frozen
class SentinelValues:
    """Values of one sentinel's configuration."""

    service: str
    """The name under which sentinels know the primary."""
    primary: str
    """Address of the first primary."""
    port: int
    directory: str
    password: str


@frozen
class NginxValues:
    """Values of nginx's configuration."""

    listen: str
    """``host:port``."""
    public_scheme: str
    public_authority: str
    registry_upstream: str
    """``unix:PATH`` or ``host:port``."""
    edge_upstream: str
    """Like ``registry_upstream``, of authsvc's edge listener."""
    pid_file: str
    temp_dir: str
    secret: str = field(repr=False)
    """The secret that it sends to authsvc for pulls of linked registries."""
    log_file: str | None = None
    """Folder of its logs; None for its standard output and error."""
    user: str | None = None
    """User that the workers run as; only root can choose it."""
    resolver: str | None = None
    """Address of a name server that is queried repeatedly for the upstreams' names."""
    certificate: str | None = None
    """Path of the chain in PEM; with it, ``listen`` is TLS."""
    certificate_key: str | None = None
    cache_dir: str = ""
    """Folder for blobs of linked registries."""
    cache_size: int = DEFAULT_CACHE_SIZE
    """Its largest size, in MiB."""
    ca_file: str | None = None
    """Authorities for linked registries; None without any, so that no blobs are fetched."""
    trusted_proxies: tuple[str, ...] = ()
    """Networks of the proxies in front of nginx, whose statement of the client's address is trusted."""
    upload_size: int = DEFAULT_UPLOAD_SIZE
    """How much one request may upload to the registry, in MiB."""
    connections: int = DEFAULT_CONNECTIONS
    """How many connections one address may have at once."""


@frozen
class AuthsvcValues:
    """Values of authsvc.toml, for ``authsvc serve``."""

    public_url: str
    redis_url: str
    redis_disk: str
    """Folders on the file systems that redis writes to, joined by colons."""
    registry_url: str
    nginx_url: str
    secrets_dir: str
    private_clients: str
    control_socket: str
    tls_endpoint: str | None = None
    """Address that terminates clients' TLS; None for none, or for that of the environment."""
    registry_disk: str | None = None
    """Folder on the file system that the registry writes to; None when that is a bucket."""
    trusted_proxies: str | None = None
    """Networks whose statement of the client's address is trusted; None for those of the environment."""
    key_socket: str | None = None
    """Socket of a key service in a separate container."""
    upstream_private_networks: str | None = None
    """Networks that a linked registry may be in, joined by commas; None for public ones only, or those of the
    environment."""
    upstream_ca_file: str | None = None
    """Certificates of their authorities; None for those of the system, or of the environment."""

    def settings(self) -> dict[str, str]:
        """Return the settings in the file, by name."""
        return {name: text for name, text in asdict(self).items() if text is not None}


class _Quoted(str):
    """A text that a quoting filter returned."""

    __slots__ = ()


Values = RegistryValues | RedisValues | SentinelValues | NginxValues | AuthsvcValues

_TEMPLATES: dict[type[Values], str] = {
    RegistryValues: "registry.yml",
    RedisValues: "redis.conf",
    SentinelValues: "sentinel.conf",
    NginxValues: "nginx.conf",
    AuthsvcValues: "authsvc.toml",
}


def render(values: Values) -> str:
    """Return the configuration for ``values``.

    Raises:
        SetupRefused: a value has characters that no configuration should contain.
    """
    environment = jinja2.Environment(
        autoescape=False,  # noqa: S701  not HTML: `finalize` lets nothing through that its own filter did not quote
        undefined=jinja2.StrictUndefined,
        finalize=_only_quoted,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(yaml=quote_json, toml=quote_json, nginx=quote_nginx, redis=quote_redis, word=quote_word)
    environment.filters["at_most"] = match_at_most
    return environment.from_string(_text(_TEMPLATES[type(values)])).render(asdict(values))


def copy_script(name: str) -> str:
    """Return the text of a script, which does not depend on values."""
    return _text(name)


def quote_json(value: str) -> str:
    """Quote for YAML and TOML: both read a JSON string as itself when it holds printable characters only.

    Raises:
        SetupRefused: ``value`` has control or other unprintable characters.
    """
    return _Quoted(json.dumps(_printable(value), ensure_ascii=False))


def quote_nginx(value: str) -> str:
    """Quote for nginx, in whose double quotes backslash and quote are escaped.

    Raises:
        SetupRefused: ``value`` is unprintable, or has a ``$``, which nginx expands and nothing escapes.
    """
    if "$" in value:
        raise SetupRefused(f"{value!r} has a '$', which nginx would expand; choose a name without it")
    return _quote_backslash(value)


def quote_redis(value: str) -> str:
    """Quote for redis, in whose double quotes backslash and quote are escaped.

    Raises:
        SetupRefused: ``value`` has control or other unprintable characters.
    """
    return _quote_backslash(value)


def quote_word(value: str) -> str:
    """Accept a word of the template itself."""
    if not re.fullmatch(r"[A-Za-z-]+", value, re.ASCII):
        raise TypeError(f"{value!r} is not a word of a template")
    return _Quoted(value)


def match_at_most(limit: int) -> str:
    """Return a regular expression for the decimal numbers from 0 to ``limit``, which nginx cannot compare."""
    digits = str(limit)
    rest = len(digits) - 1
    smaller = [
        f"{digits[:at]}[0-{int(digit) - 1}][0-9]{{{rest - at}}}" for at, digit in enumerate(digits) if digit > "0"
    ]
    return _Quoted(f"({'|'.join([f'[0-9]{{1,{rest}}}', *smaller, digits])})")


def _quote_backslash(value: str) -> str:
    escaped = _printable(value).replace("\\", "\\\\").replace('"', '\\"')
    return _Quoted(f'"{escaped}"')


def _printable(value: str) -> str:
    if not value.isprintable():
        raise SetupRefused(f"{value!r} has characters that cannot stand in a configuration file")
    return value


def _only_quoted(value: object) -> object:
    if isinstance(value, _Quoted | int):
        return value
    raise TypeError(f"a template prints {value!r} without a quoting filter")


def _text(name: str) -> str:
    return (files("authsvc") / "registry-config" / name).read_text(encoding="utf-8")
